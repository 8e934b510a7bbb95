"""Why a call failed."""

from __future__ import annotations

from typing import Any


class Failure(Exception):
    """A call that failed, with the promise that nothing took effect. Any other exception says that nobody knows."""

    def __init__(self, kind: str, message: str, *, retry_after_ms: int | None = None, features: tuple[str, ...] = ()):
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.retry_after_ms = retry_after_ms
        self.features = features

    @classmethod
    def invalid_input(cls, message: str) -> Failure:
        """The arguments are wrong. The message says which, and what is expected."""
        return cls("invalid-input", message)

    @classmethod
    def transient(cls, message: str, retry_after_ms: int | None = None) -> Failure:
        """It may pass; `retry_after_ms` says when, if that is known."""
        return cls("transient", message, retry_after_ms=retry_after_ms)

    @classmethod
    def permanent(cls, message: str) -> Failure:
        """Trying again will not help."""
        return cls("permanent", message)

    @classmethod
    def conflict(cls, message: str) -> Failure:
        """The world is not as the call, or the undo, expected it."""
        return cls("conflict", message)

    @classmethod
    def missing_capability(cls, *features: str) -> Failure:
        """The client lacks these features."""
        return cls("missing-capability", f"the client lacks {', '.join(features)}", features=features)


class HostError(Exception):
    """Why the host, or another tool, did not do what was asked.

    `kind` is `not-offered`, `denied`, `invalid`, `unavailable`, `ended`, or what an interface of WASI says.
    """

    def __init__(self, kind: str, message: str = ""):
        super().__init__(message or kind)
        self.kind = kind
        self.message = message


def word(name: str) -> str:
    """`NotOffered` as `not-offered`."""
    return "".join(("-" if n and c.isupper() else "") + c.lower() for n, c in enumerate(name))


def of_variant(value: Any) -> tuple[str, Any]:
    """The case of a variant as bindings have it (`HostError_NotOffered`), and what it holds."""
    return word(type(value).__name__.rsplit("_", 1)[-1]), getattr(value, "value", None)
