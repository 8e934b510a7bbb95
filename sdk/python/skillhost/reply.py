"""What a tool answers."""

from __future__ import annotations

import json
from typing import Any

from . import world
from .schema import plain


class Reply:
    """What a tool answers, where more is to be said than a value. Each method gives the reply back."""

    def __init__(self) -> None:
        self.content: list[Any] = []
        self.structured: Any = None
        self.has_structured = False
        self.is_error = False
        self.undo_token: Any = None
        self.meta: dict[str, Any] | None = None

    @classmethod
    def of(cls, value: Any) -> Reply:
        """What a tool returned: a text is a text, None is nothing, anything else is the structured result."""
        if isinstance(value, Reply):
            return value
        if value is None:
            return cls()
        return cls().text(value) if isinstance(value, str) else cls().json(value)

    @classmethod
    def error(cls, text: str) -> Reply:
        """The tool ran, and answers "no"."""
        reply = cls().text(text)
        reply.is_error = True
        return reply

    def text(self, text: str) -> Reply:
        """For people and models."""
        return self._with(world.types.Content_Text(sound(text)))

    def image(self, data: bytes, mime_type: str) -> Reply:
        """A picture."""
        return self._with(world.types.Content_Image(world.types.Media(data, mime_type)))

    def audio(self, data: bytes, mime_type: str) -> Reply:
        """A sound."""
        return self._with(world.types.Content_Audio(world.types.Media(data, mime_type)))

    def json(self, value: Any) -> Reply:
        """For programs: any value of JSON, dataclasses and enums too."""
        self.structured, self.has_structured = plain(value), True
        return self

    def undoable(self, token: Any) -> Reply:
        """What `undo` needs to take the call back."""
        self.undo_token = token
        return self

    def _with(self, content: Any) -> Reply:
        self.content.append(world.types.ContentBlock(content, None, None))
        return self

    def to_wit(self) -> Any:
        """As the contract has it."""
        return world.types.Reply(
            self.content,
            dumps(self.structured) if self.has_structured else None,
            self.is_error,
            None if self.undo_token is None else dumps(self.undo_token),
            None if self.meta is None else dumps(self.meta),
        )


def dumps(value: Any) -> str:
    """JSON, which has no NaN."""
    return sound(json.dumps(plain(value), ensure_ascii=False, allow_nan=False, separators=(",", ":")))


def sound(text: str) -> str:
    """A text without lone surrogates: they have no UTF-8, and would end the instance."""
    return text.encode("utf-8", "replace").decode()
