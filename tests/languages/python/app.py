"""What a skill does in every language: tests/skills/behaves says it in Rust."""

from dataclasses import dataclass
from typing import Any

from skillhost import Context, Failure, Reply, Undo, host, log, tool
from skillhost import ask as asking


@tool(read_only=True)
def echo(value: Any) -> dict:
    """Gives back what it is given."""
    return {"value": value}


@tool(read_only=True)
def say(text: str) -> str:
    """Says a text."""
    return text


@tool()
def fail(kind: str):
    """Fails as it is told to."""
    if kind == "no":
        return Reply.error("as told")
    failures = {
        "invalid-input": lambda: Failure.invalid_input("as told"),
        "transient": lambda: Failure.transient("as told", 1500),
        "permanent": lambda: Failure.permanent("as told"),
        "conflict": lambda: Failure.conflict("as told"),
        "missing-capability": lambda: Failure.missing_capability("roots"),
    }
    raise failures[kind]() if kind in failures else ValueError("as told")


@tool(read_only=True)
def steps(count: int) -> str:
    """Tells how far it is."""
    for step in range(1, count + 1):
        host.progress(step, count, f"step {step}")
    return "done"


@tool(read_only=True)
def setting(key: str) -> dict:
    """Tells a setting."""
    return {"value": host.config(key)}


@tool()
def put(key: str, value: str) -> None:
    """Keeps a value."""
    host.prepare_undo({"was": host.store.get(key)})
    host.store.set(key, value)


@put.undo
def unput(undo: Undo, key: str) -> None:
    if undo.token is None:
        return
    if undo.token["was"] is None:
        host.store.delete(key)
    else:
        host.store.set(key, undo.token["was"])


@tool(read_only=True)
def get(key: str) -> dict:
    """Tells a value."""
    return {"value": host.store.get(key)}


@dataclass
class Sure:
    sure: bool


@tool(read_only=True)
def ask(ctx: Context) -> str:
    """Asks the person."""
    answer = asking.form(ctx, "sure", "Sure?", Sure)
    return f"sure: {str(answer.content.sure).lower()}"


@tool()
def relay(tool: str, args: dict) -> dict:
    """Calls another tool."""
    return {"value": host.call(tool, **args)}


calls = 0


@tool(read_only=True, reusable=True)
def served(garbage: int) -> str:
    """Counts the calls that this instance has served."""
    global calls
    bytearray(garbage)
    calls += 1
    return str(calls)


@tool(read_only=True)
def note(text: str) -> None:
    """Writes a line of the log."""
    log.warn(text)
