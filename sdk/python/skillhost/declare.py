"""Functions as tools."""

from __future__ import annotations

import dataclasses
import inspect
import re
import typing
from collections.abc import Callable
from typing import Any, Literal

from .schema import build, object_of, schema

NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")

#: All that were declared, by name.
tools: dict[str, Tool] = {}


@dataclasses.dataclass(frozen=True)
class Context:
    """Who calls, and what is known of the call. A parameter of this type gets it, and is none of the tool's arguments."""

    #: The same over all attempts, rounds and the replay of a call: an idempotency key for services that you call.
    call_id: str
    correlation_id: str
    #: 1 for the first.
    attempt: int
    #: Until the host ends the call.
    time_left_ms: int
    #: `local` for a client on this machine.
    caller: str
    #: What the client can do.
    client: Any
    #: The request's own `_meta`.
    meta: dict[str, Any]
    #: For `ask`.
    answers: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Undo:
    """How a call is taken back. Without a token it may never have begun: look, and if there is nothing, succeed."""

    token: Any
    #: The operator's word to overwrite what has changed since.
    force: bool
    ctx: Context


class Tool:
    """A function that is a tool. It can be called as before, which is how it is tested."""

    def __init__(self, function: Callable[..., Any], options: dict[str, Any]):
        self.function = function
        self.options = options
        self.undoing: Callable[..., Any] | None = None
        self.name: str = options.get("name") or function.__name__
        if not NAME.fullmatch(self.name):
            raise ValueError(f"the tool {self.name}: a name has 1 to 64 characters of A-Z a-z 0-9 _ -")
        if self.name in tools:
            raise ValueError(f"the tool {self.name} is declared twice")
        self.description: str = options.get("description") or inspect.cleandoc(function.__doc__ or "")
        if not self.description:
            raise ValueError(f"the tool {self.name} has no docstring, which is all that a model knows of it")
        if inspect.iscoroutinefunction(function):
            raise TypeError(f"the tool {self.name} is async: nothing here needs to be awaited")
        hints = typing.get_type_hints(function, include_extras=True)
        self.parameters: dict[str, Any] = {}
        required = []
        self.context: str | None = None
        for parameter in inspect.signature(function).parameters.values():
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
                raise TypeError(f"the tool {self.name}: `{parameter}` has no name that a client could give")
            hint = hints.get(parameter.name, parameter.empty)
            if hint is Context:
                self.context = parameter.name
                continue
            self.parameters[parameter.name] = hint
            if parameter.default is parameter.empty:
                required.append(parameter.name)
        self.input = options.get("input") or object_of(self.parameters, required)
        self.output = options.get("output") or _output(hints.get("return"))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)

    def undo(self, function: Callable[..., None]) -> Callable[..., None]:
        """A decorator for what takes a call back: `def f(undo: Undo, …)`, with the tool's own parameters, or fewer."""
        self.undoing = function
        return function

    def run(self, arguments: dict[str, Any], ctx: Context) -> Any:
        """Call it as the host does."""
        given = {name: build(self.parameters.get(name, Any), value) for name, value in arguments.items()}
        if self.context:
            given[self.context] = ctx
        return self.function(**given)

    def take_back(self, arguments: dict[str, Any], undo: Undo) -> None:
        """Take a call back as the host does."""
        assert self.undoing
        first, *names = inspect.signature(self.undoing).parameters
        given = {name: build(self.parameters.get(name, Any), arguments[name]) for name in names if name in arguments}
        self.undoing(undo, **given)


def tool(
    function: Callable[..., Any] | None = None,
    *,
    name: str | None = None,
    title: str | None = None,
    description: str | None = None,
    read_only: bool | None = None,
    destructive: bool | None = None,
    idempotent: bool | None = None,
    open_world: bool | None = None,
    durable: bool = False,
    reusable: bool = False,
    task: Literal["no", "optional", "required", "answered"] = "no",
    input: dict[str, Any] | None = None,
    output: dict[str, Any] | None = None,
    meta: dict[str, Any] | None = None,
) -> Any:
    """Make a tool of a function. Its docstring is the description, its type hints are the schemas.

    A parameter with a default may be left out; `Annotated[str, "what it is"]` describes one. What is returned: a text is the
    answer's text, None is nothing, anything else is the structured result; a `Failure` is raised. `input` and `output` are
    for schemas that the hints cannot say. `reusable`: it bears an instance that has served other calls, of whoever they were,
    where the operator sets `reuse_calls`.
    """
    options = {key: value for key, value in locals().items() if key != "function"}

    def declared(function: Callable[..., Any]) -> Tool:
        made = Tool(function, options)
        tools[made.name] = made
        return made

    return declared if function is None else declared(function)


def _output(hint: Any) -> dict[str, Any] | None:
    """Only of what is an object for sure; the host holds results against it."""
    try:
        found = schema(hint) if hint is not None else {}
    except TypeError:
        return None
    return found if found.get("type") == "object" else None
