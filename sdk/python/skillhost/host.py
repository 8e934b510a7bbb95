"""What the host does for a skill during a call. What reaches outside needs a grant of the operator's."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from . import world
from .failure import Failure, HostError, of_variant
from .reply import dumps, sound


#: Whether this call has changed something that the host knows of: what is refused after that did not leave all as it was.
effects = {"any": False}


@contextmanager
def _asked(changes: bool = False) -> Iterator[None]:
    """Errors of the host's interfaces as exceptions of ours; what `changes` something is an effect of this call."""
    try:
        yield
    except world.Err as error:
        raise _problem(error.value) from None
    effects["any"] |= changes


def _problem(value: Any) -> Exception:
    kind, held = of_variant(value)
    if kind == "refused":
        return _problem(held)
    if kind == "failed":
        return failure_of(held)
    return HostError(kind, held if isinstance(held, str) else "")


def failure_of(value: Any) -> Failure:
    """A failure of the contract's as an exception."""
    kind, held = of_variant(value)
    if kind == "transient":
        return Failure.transient(held.message, held.retry_after_ms)
    if kind == "missing-capability":
        return Failure.missing_capability(*held)
    return Failure(kind, held)


def progress(done: float, total: float | None = None, message: str | None = None) -> None:
    """How far the call is. `done` must grow. Cheap: the host passes on as many as the client can take."""
    world.host.progress(done, total, None if message is None else sound(message))


def cancelled() -> bool:
    """Whether the client gave up on the call: a good place to stop."""
    return world.host.cancelled()


def prepare_undo(token: Any) -> None:
    """Keep what `undo` needs, before the first effect. It is on disk when this returns."""
    with _asked(changes=True):
        world.host.prepare_undo(dumps(token))


def call(name: str, /, **arguments: Any) -> Any:
    """Call another skill's tool by its full name, where that is granted: its structured result, else its text.

    Raises:
        Failure: the tool's, or that it answers "no".
        HostError: the call was not made, or nobody knows what became of it.
    """
    with _asked(changes=True):
        reply = world.host.call_tool(name, dumps(arguments) if arguments else None)
    said = [block.content.value for block in reply.content if of_variant(block.content)[0] == "text"]
    if reply.is_error:
        raise Failure.permanent(f"{name} answers no: {chr(10).join(said)}")
    return "\n".join(said) if reply.structured is None else json.loads(reply.structured)


def tools_changed() -> None:
    """The tools have changed: the host lists them anew after the call."""
    with _asked():
        world.host.tools_changed()


def config(key: str, default: str | None = None) -> str | None:
    """A setting that the operator gave."""
    with _asked():
        found = world.config.get(key)
    return default if found is None else found


def all_config() -> dict[str, str]:
    """All settings."""
    with _asked():
        return dict(world.config.get_all())


def secret(name: str) -> str:
    """A secret that was granted. The host keeps it out of logs and replies."""
    with _asked():
        return world.secrets.get(name)


class Store:
    """The skill's own values, which stay over calls and restarts. Texts; what else is to be kept is written as JSON."""

    def get(self, key: str) -> str | None:
        with _asked():
            found = self._bucket().get(key)
        return None if found is None else bytes(found).decode()

    def set(self, key: str, value: str) -> None:
        with _asked(changes=True):
            self._bucket().set(key, value.encode())

    def delete(self, key: str) -> None:
        with _asked(changes=True):
            self._bucket().delete(key)

    def keys(self) -> list[str]:
        found: list[str] = []
        cursor = None
        with _asked():
            bucket = self._bucket()
            while True:
                page = bucket.list_keys(cursor)
                found += page.keys
                cursor = page.cursor
                if cursor is None:
                    return found

    @staticmethod
    def _bucket() -> Any:
        return world.keyvalue.open("")


store = Store()


class Log:
    """Lines of the host's log, with the call they belong to."""

    def trace(self, message: object) -> None:
        self._log("TRACE", message)

    def debug(self, message: object) -> None:
        self._log("DEBUG", message)

    def info(self, message: object) -> None:
        self._log("INFO", message)

    def warn(self, message: object) -> None:
        self._log("WARN", message)

    def error(self, message: object) -> None:
        self._log("ERROR", message)

    @staticmethod
    def _log(level: str, message: object) -> None:
        world.logs.log(world.logs.Level[level], "", sound(str(message)))


log = Log()
