"""A host for tests outside a component: what `testing` sets up, with the names of the generated bindings."""

from __future__ import annotations

import json
from dataclasses import make_dataclass
from enum import Enum, Flag, auto
from types import SimpleNamespace
from typing import Any


class Err(Exception):
    """The failure of a function of the contract."""

    def __init__(self, value: Any):
        super().__init__(value)
        self.value = value


_VARIANTS = {
    "Content": "Text Image Audio",
    "Failure": "InvalidInput Transient Permanent Conflict MissingCapability",
    "Ask": "Form Url Sample Roots",
    "Outcome": "Reply InputRequired",
    "AnswerValue": "Elicited Sampled Roots",
    "HostError": "NotOffered Denied Invalid Unavailable",
    "CallError": "Refused Failed Ended",
}
_RECORDS = {
    "Annotations": "read_only destructive idempotent open_world",
    "Tool": "name title description input_schema output_schema annotations undoable durable task icons meta",
    "Media": "data mime_type",
    "ContentBlock": "content annotations meta",
    "Reply": "content structured is_error undo_token meta",
    "Transient": "message retry_after_ms",
    "Form": "message schema",
    "Url": "message url id",
    "Question": "key ask",
    "InputRequired": "questions state",
    "Elicited": "action content",
    "Root": "uri name",
    "Answer": "key value",
    "Round": "number state answers",
    "Context": "call_id correlation_id attempt time_left_ms caller client meta round",
}

types = SimpleNamespace(
    **{name: make_dataclass(name, fields.split()) for name, fields in _RECORDS.items()},
    **{
        f"{variant}_{case}": make_dataclass(f"{variant}_{case}", [] if (variant, case) == ("Ask", "Roots") else ["value"])
        for variant, cases in _VARIANTS.items()
        for case in cases.split()
    },
    TaskSupport=Enum("TaskSupport", "NO OPTIONAL REQUIRED ANSWERED"),
    Action=Enum("Action", "ACCEPT DECLINE CANCEL"),
)


class ClientFeatures(Flag):
    """What the client can do."""

    ELICITATION_FORM = auto()
    ELICITATION_URL = auto()
    SAMPLING = auto()
    SAMPLING_TOOLS = auto()
    ROOTS = auto()
    PROGRESS = auto()


types.ClientFeatures = ClientFeatures


class State:
    """What stands behind the interfaces now."""

    def __init__(self) -> None:
        self.config: dict[str, str] = {}
        self.secrets: dict[str, str] = {}
        self.values: dict[str, bytes] = {}
        self.tools: dict[str, Any] = {}
        self.cancelled = False
        self.progress: list[tuple[float, float | None, str | None]] = []
        self.log: list[tuple[str, str]] = []
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.prepared: Any = None
        self.changed: list[str] = []


state = State()


def _call_tool(name: str, arguments: str | None) -> Any:
    given = json.loads(arguments or "{}")
    if name not in state.tools:
        denied = types.HostError_Denied(f"the test has no tool {name}")
        raise Err(types.CallError_Refused(denied))
    state.calls.append((name, given))
    return state.tools[name](**given)


def _secret(name: str) -> str:
    if name not in state.secrets:
        raise Err(types.HostError_Denied(f"the secret {name} was not granted"))
    return state.secrets[name]


class _Bucket:
    def get(self, key: str) -> bytes | None:
        return state.values.get(key)

    def set(self, key: str, value: bytes) -> None:
        state.values[key] = value

    def delete(self, key: str) -> None:
        state.values.pop(key, None)

    def list_keys(self, _: int | None) -> Any:
        return SimpleNamespace(keys=list(state.values), cursor=None)


host = SimpleNamespace(
    progress=lambda *said: state.progress.append(said),
    cancelled=lambda: state.cancelled,
    prepare_undo=lambda token: setattr(state, "prepared", json.loads(token)),
    tools_changed=lambda: state.changed.append("tools"),
    call_tool=_call_tool,
)
secrets = SimpleNamespace(get=_secret)
config = SimpleNamespace(get=lambda key: state.config.get(key), get_all=lambda: list(state.config.items()))
keyvalue = SimpleNamespace(open=lambda _: _Bucket())
logs = SimpleNamespace(
    Level=Enum("Level", "TRACE DEBUG INFO WARN ERROR CRITICAL"),
    log=lambda level, _, message: state.log.append((level.name.lower(), message)),
)
