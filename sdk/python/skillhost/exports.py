"""What the component exports: the contract's interfaces over the tools that were declared."""

from __future__ import annotations

import json
from typing import Any

from . import world
from .ask import Asked, answered
from .failure import Failure, HostError
from .host import effects
from .reply import Reply, dumps, sound
from .declare import Context, Tool as Declared, Undo as How, tools


NOT_ASKED = "nobody can be asked while a call is taken back"


class Tools:
    """`skillhost:skill/tools`."""

    def list(self) -> list[Any]:
        return [spec(tool) for tool in tools.values()]

    def call(self, ctx: Any, name: str, arguments: str | None) -> Any:
        tool = find(name)
        effects["any"] = False
        try:
            reply = Reply.of(tool.run(parsed(arguments), context(ctx)))
        except Asked as asked:
            return world.types.Outcome_InputRequired(asked.to_wit())
        except (Failure, HostError) as error:
            raise failed(failure_in(error)) from None
        return world.types.Outcome_Reply(reply.to_wit())


class Undo:
    """`skillhost:skill/undo`."""

    def undo(self, ctx: Any, name: str, arguments: str | None, token: str | None, force: bool) -> None:
        tool = find(name)
        effects["any"] = False
        try:
            if tool.undoing is None:
                raise Failure.permanent(f"{name} takes nothing back")
            how = How(None if token is None else json.loads(token), force, context(ctx))
            tool.take_back(parsed(arguments), how)
        except Asked:
            raise failed(Failure.permanent(NOT_ASKED)) from None
        except (Failure, HostError) as error:
            raise failed(failure_in(error)) from None


def failure_in(error: Failure | HostError) -> Failure:
    """What the host refused did not happen, and neither did the call, as long as it has changed nothing before."""
    if isinstance(error, Failure):
        return error
    if error.kind == "ended" or effects["any"]:
        raise error
    return (Failure.transient if error.kind == "unavailable" else Failure.permanent)(str(error))


def find(name: str) -> Declared:
    """The tool of that name."""
    if name not in tools:
        raise failed(Failure.permanent(f"there is no tool {name}"))
    return tools[name]


def failed(failure: Failure) -> Any:
    """As the contract has it."""
    types = world.types
    failure.message = sound(failure.message)
    match failure.kind:
        case "transient":
            value = types.Failure_Transient(types.Transient(failure.message, failure.retry_after_ms))
        case "missing-capability":
            value = types.Failure_MissingCapability(list(failure.features))
        case "invalid-input":
            value = types.Failure_InvalidInput(failure.message)
        case "conflict":
            value = types.Failure_Conflict(failure.message)
        case _:
            value = types.Failure_Permanent(failure.message)
    return world.Err(value)


def spec(tool: Declared) -> Any:
    """What is told of a tool."""
    types, options = world.types, tool.options
    meta = options["meta"]
    if options["reusable"]:
        meta = {**(meta or {}), "skillhost/reusable": True}
    said = [options[key] for key in ("read_only", "destructive", "idempotent", "open_world")]
    return types.Tool(
        tool.name,
        options["title"],
        tool.description,
        dumps(tool.input),
        None if tool.output is None else dumps(tool.output),
        types.Annotations(*said),
        tool.undoing is not None,
        options["durable"],
        types.TaskSupport[options["task"].upper()],
        None,
        None if meta is None else dumps(meta),
    )


def context(ctx: Any) -> Context:
    """As tools have it."""
    answers: dict[str, Any] = {}
    if ctx.round is not None:
        answers = json.loads(bytes(ctx.round.state)) if ctx.round.state else {}
        answers |= {answer.key: answered(answer.value) for answer in ctx.round.answers}
    return Context(
        ctx.call_id,
        ctx.correlation_id,
        ctx.attempt,
        ctx.time_left_ms,
        ctx.caller,
        ctx.client,
        parsed(ctx.meta),
        answers,
    )


def parsed(text: str | None) -> dict[str, Any]:
    """A JSON object; nothing is an empty one."""
    return {} if text is None else json.loads(text)
