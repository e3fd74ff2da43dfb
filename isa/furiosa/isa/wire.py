"""Typed dataclasses as plain msgpack data and back: every value is checked against its annotation when it is read."""

from __future__ import annotations

import types
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")


def to_wire(value: Any) -> Any:
    """``value`` as maps, lists, numbers, strings and bytes; a dataclass is a map that names its class in ``is``."""
    if is_dataclass(value) and not isinstance(value, type):
        return {"is": type(value).__name__} | {f.name: to_wire(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, tuple | list):
        return [to_wire(item) for item in value]
    if isinstance(value, dict):
        return {key: to_wire(item) for key, item in value.items()}
    return value


def from_wire(cls: type[T], data: Any, where: str = "") -> T:
    """The ``cls`` that ``to_wire`` turned into ``data``. Raises ValueError naming the first wrong place."""
    value: T = _read(cls, data, where or cls.__name__)
    return value


@cache
def _hints(cls: type) -> dict[str, Any]:
    return get_type_hints(cls)


def _read(hint: Any, data: Any, where: str) -> Any:
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return _read_union(get_args(hint), data, where)
    if origin is tuple:
        return _read_tuple(get_args(hint), data, where)
    if origin is dict:
        return _read_dict(get_args(hint), data, where)
    if is_dataclass(hint):
        return _read_dataclass(hint, data, where)
    if isinstance(hint, type) and issubclass(hint, Enum):
        try:
            return hint(data)
        except ValueError:
            raise ValueError(f"{where} is {data!r:.40}, which is no {hint.__name__}") from None
    if hint is float and type(data) is int:
        return float(data)
    if hint is not Any and type(data) is not hint:
        raise ValueError(f"{where} is {type(data).__name__} where {getattr(hint, '__name__', hint)} is expected")
    return data


def _read_union(choices: tuple[Any, ...], data: Any, where: str) -> Any:
    if data is None and type(None) in choices:
        return None
    classes = [choice for choice in choices if choice is not type(None)]
    if type(data) in classes:
        return data
    if len(classes) == 1:
        return _read(classes[0], data, where)
    tag = data.get("is") if isinstance(data, dict) else None
    for choice in classes:
        if choice.__name__ == tag:
            return _read(choice, data, where)
    raise ValueError(f"{where} is {tag!r:.40}, which is none of {', '.join(c.__name__ for c in classes)}")


def _read_tuple(items: tuple[Any, ...], data: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(data, list):
        raise ValueError(f"{where} is {type(data).__name__} where a list is expected")
    if len(items) == 2 and items[1] is Ellipsis:
        return tuple(_read(items[0], item, f"{where}[{i}]") for i, item in enumerate(data))
    if len(data) != len(items):
        raise ValueError(f"{where} has {len(data)} items where {len(items)} are expected")
    return tuple(_read(hint, item, f"{where}[{i}]") for i, (hint, item) in enumerate(zip(items, data)))


def _read_dict(items: tuple[Any, ...], data: Any, where: str) -> dict[Any, Any]:
    if not isinstance(data, dict):
        raise ValueError(f"{where} is {type(data).__name__} where a map is expected")
    return {_read(items[0], key, f"{where} key"): _read(items[1], item, f"{where}.{key}") for key, item in data.items()}


def _read_dataclass(cls: Any, data: Any, where: str) -> Any:
    hints = _hints(cls)
    names = {field.name for field in fields(cls)}
    if not isinstance(data, dict) or data.get("is") != cls.__name__ or set(data) - {"is"} != names:
        raise ValueError(f"{where} is not a complete {cls.__name__}")
    return cls(**{name: _read(hints[name], data[name], f"{where}.{name}") for name in names})
