"""JSON Schemas of type hints, and values of JSON as what the hints say."""

from __future__ import annotations

import dataclasses
import enum
import inspect
import types
import typing
from typing import Any, Literal, Union

_PLAIN = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    type(None): {"type": "null"},
}


def schema(hint: Any) -> dict[str, Any]:
    """The schema of a type hint. `Annotated[str, "what it is"]` describes it; a dict in it is added as it is.

    Raises:
        TypeError: there is none.
    """
    if hint in (Any, inspect.Parameter.empty, dict, object):
        return {"type": "object"} if hint is dict else {}
    if isinstance(hint, type) and hint in _PLAIN:
        return dict(_PLAIN[hint])
    if hint is None:
        return {"type": "null"}
    if hint is list:
        return {"type": "array"}
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        found = schema(parts[0])
        for said in parts[1:]:
            found.update({"description": said} if isinstance(said, str) else said if isinstance(said, dict) else {})
        return found
    if origin in (Union, types.UnionType):
        return {"anyOf": [schema(part) for part in parts]}
    if origin is Literal:
        return {"enum": list(parts)}
    if origin is list:
        return {"type": "array", "items": schema(parts[0])}
    if origin is tuple and parts and parts[-1] is not Ellipsis:
        items = [schema(part) for part in parts]
        return {"type": "array", "prefixItems": items, "items": False, "minItems": len(items)}
    if origin is dict:
        if parts[0] is not str:
            raise TypeError(f"{hint}: the keys of an object are texts")
        return {"type": "object", "additionalProperties": schema(parts[1])}
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return {"enum": [member.value for member in hint]}
    if dataclasses.is_dataclass(hint):
        hints = typing.get_type_hints(hint, include_extras=True)
        fields = {field.name: hints[field.name] for field in dataclasses.fields(hint)}
        required = [field.name for field in dataclasses.fields(hint) if not _has_default(field)]
        return object_of(fields, required)
    if typing.is_typeddict(hint):
        # Which members are required is told beside it.
        hints = {name: _member(of) for name, of in typing.get_type_hints(hint, include_extras=True).items()}
        return object_of(hints, sorted(hint.__required_keys__))
    raise TypeError(f"{hint} has no JSON Schema; give one with `Annotated[Any, {{…}}]`")


def object_of(members: dict[str, Any], required: list[str]) -> dict[str, Any]:
    """The schema of an object with these members."""
    found: dict[str, Any] = {
        "type": "object",
        "properties": {name: schema(hint) for name, hint in members.items()},
        "additionalProperties": False,
    }
    if required:
        found["required"] = required
    return found


def build(hint: Any, value: Any) -> Any:
    """A value that matches the hint's schema, as what the hint says: dataclasses and enums are made."""
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        return build(parts[0], value)
    if origin in (Union, types.UnionType):
        return build(next((part for part in parts if _fits(part, value)), Any), value)
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return hint(value)
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        hints = typing.get_type_hints(hint)
        return hint(**{name: build(hints[name], member) for name, member in value.items()})
    if typing.is_typeddict(hint):
        hints = {name: _member(of) for name, of in typing.get_type_hints(hint, include_extras=True).items()}
        return {name: build(hints[name], member) for name, member in value.items()}
    if origin is list and parts:
        return [build(parts[0], item) for item in value]
    if origin is tuple and parts:
        return tuple(build(part, item) for part, item in zip(parts, value))
    if origin is dict:
        return {key: build(parts[1], member) for key, member in value.items()}
    if hint is float and isinstance(value, int):
        return float(value)
    if hint is int and isinstance(value, float) and value.is_integer():
        # JSON Schema's integers may be written with a point.
        return int(value)
    return value


def plain(value: Any) -> Any:
    """A value as `json` takes it."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, dict):
        return {key: plain(member) for key, member in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def _member(hint: Any) -> Any:
    """What `NotRequired` and `Required` are put around."""
    origin = typing.get_origin(hint)
    return typing.get_args(hint)[0] if getattr(origin, "_name", None) in ("NotRequired", "Required") else hint


def _fits(hint: Any, value: Any) -> bool:
    origin = typing.get_origin(hint)
    if origin is typing.Annotated:
        return _fits(typing.get_args(hint)[0], value)
    if hint in (None, type(None)):
        return value is None
    if origin is Literal:
        return value in typing.get_args(hint)
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return any(member.value == value for member in hint)
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        names = {field.name for field in dataclasses.fields(hint)}
        needed = {field.name for field in dataclasses.fields(hint) if not _has_default(field)}
        return isinstance(value, dict) and needed <= value.keys() <= names
    if hint is bool or isinstance(value, bool):
        return hint is bool and isinstance(value, bool)
    if hint is int and isinstance(value, float):
        return value.is_integer()
    kinds = {int: int, float: (int, float), str: str, list: list, tuple: list, dict: dict}
    kind = kinds.get(origin or hint)
    return kind is None or isinstance(value, kind)


def _has_default(field: dataclasses.Field) -> bool:
    return field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
