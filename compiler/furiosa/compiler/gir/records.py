"""Records as text: dataclasses written like Python calls and read back by a parser that builds nothing else.

``View(0x40, (1, 8, 8, 4))`` is a dense view; strides follow where it is not. ``Box[0:1, 0:8, 0:8, 0:4]`` is a box.
"""

from __future__ import annotations

import ast
import struct
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from enum import IntEnum
from functools import cache
from types import MappingProxyType, NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from furiosa.compiler.gir.boxes import Box
from furiosa.isa import instructions
from furiosa.isa.encoding import encode
from furiosa.isa.errors import ModelError
from furiosa.isa.instructions import INSTRUCTIONS, View
from furiosa.isa.memory import Memory, accesses

INSTRUCTION_TYPES: Mapping[str, type[Any]] = {cls.__name__: cls for cls in INSTRUCTIONS.values()}

_ENUMS: tuple[type[IntEnum], ...] = (
    Memory,
    *(each for each in vars(instructions).values() if isinstance(each, type) and issubclass(each, IntEnum)),
)
_ADDRESSES = frozenset({"address", "src", "dst", "weights", "bias", "multipliers", "table"})
_NAMES: dict[str, Any] = {member.name: member for enum in _ENUMS for member in enum} | {"inf": float("inf")}


class Unreadable(Exception):
    """A line that is no record; the message says why."""


def write(record: Any) -> str:
    """A dataclass as ``Name(field=value, ...)``; fields with their default value are left out."""
    cls: Any = type(record)
    parts = [
        f"{name}={hex(value) if is_address else _value(value)}"
        for name, is_address, default in _columns(cls)
        if (value := getattr(record, name)) != default
    ]
    return f"{type(record).__name__}({', '.join(parts)})"


def _value(value: Any) -> str:
    if isinstance(value, View):
        dense = View.dense(value.address, value.shape) == value
        return f"View({value.address:#x}, {value.shape}{'' if dense else f', {value.strides}'})"
    if isinstance(value, Box):
        return f"Box[{', '.join(f'{a}:{b}' for a, b in zip(value.start, value.stop))}]"
    if is_dataclass(value):
        return write(value)
    if isinstance(value, tuple):
        return f"({', '.join(map(_value, value))}{',' if len(value) == 1 else ''})"
    return value.name if isinstance(value, IntEnum) else repr(value)


@cache
def _columns(cls: Any) -> tuple[tuple[str, bool, Any], ...]:
    """For each field its name, whether it is an address, and its default (MISSING for none)."""
    hints = _hints(cls)

    def is_address(field: Field[Any]) -> bool:
        return field.name in _ADDRESSES and hints[field.name] is not View

    ordered = sorted(fields(cls), key=lambda field: field.name == "waits")
    return tuple((field.name, is_address(field), field.default) for field in ordered)


@cache
def _hints(cls: Any) -> dict[str, Any]:
    return get_type_hints(cls, localns={}, include_extras=True)  # a method called `int` is no type


_VIEW = get_type_hints(View, include_extras=True)


def read(text: str, types: Mapping[str, type[Any]], parts: Mapping[str, type[Any]] = MappingProxyType({})) -> Any:
    """The record in ``text``, of one of ``types``; its fields may hold records of ``parts``.

    Raises Unreadable, also for values that do not fit their fields.
    """
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise Unreadable("it is not written like `Name(field=value, ...)`") from None
    if not isinstance(tree, ast.Call):
        raise Unreadable("it is no record")
    try:
        return _record(tree, types, parts)
    except RecursionError:
        raise Unreadable("it is nested too deeply") from None


def read_instruction(text: str, types: Mapping[str, type[Any]] = INSTRUCTION_TYPES) -> Any:
    """The instruction in ``text``. Raises Unreadable, also for one that has no encoding or touches no real bytes."""
    instruction = read(text, types)
    try:
        encode([instruction])
        touched = accesses(instruction)
    except (struct.error, OverflowError, ArithmeticError, ValueError, IndexError):
        raise Unreadable("a value is out of range") from None
    if not all(0 <= interval.start < interval.end for interval in (*touched.reads, *touched.writes)):
        raise Unreadable("it touches bytes before the first of a memory, or none")
    return instruction


def literal(text: str, kind: type[Any]) -> Any:
    """The value of type ``kind`` that ``text`` spells. Raises Unreadable."""
    try:
        value = ast.literal_eval(text.strip())
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        value = None
    if type(value) is not kind:
        raise Unreadable(f"`{text.strip()}` is no {kind.__name__}")
    return value


def _record(call: ast.Call, types: Mapping[str, type[Any]], parts: Mapping[str, type[Any]]) -> Any:
    if not isinstance(call.func, ast.Name) or call.func.id not in types:
        raise Unreadable(f"`{ast.unparse(call.func)}` is none of {', '.join(types)}")
    cls: Any = types[call.func.id]
    hints = _hints(cls)
    values: dict[str, Any] = {}
    for keyword in call.keywords:
        if keyword.arg not in hints:
            raise Unreadable(f"`{cls.__name__}` has no field `{keyword.arg}`")
        values[keyword.arg] = _evaluate(keyword.value, parts)
        if not _fits(values[keyword.arg], hints[keyword.arg]):
            raise Unreadable(f"`{keyword.arg}` cannot be `{ast.unparse(keyword.value)}`")
    missing = [name for name, _, default in _columns(cls) if default is MISSING and name not in values]
    if missing or call.args:
        raise Unreadable(f"`{cls.__name__}` lacks {', '.join(missing)}" if missing else "its fields must be named")
    return cls(**values)


def _evaluate(node: ast.expr, parts: Mapping[str, type[Any]] = MappingProxyType({})) -> Any:
    match node:
        case ast.Constant(value=int() | float() | str() | bytes() | None as value):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            value = _evaluate(operand)
            if type(value) in (int, float):
                return -value
        case ast.Tuple(elts=items):
            return tuple(_evaluate(item, parts) for item in items)
        case ast.Name(id=name) if name in _NAMES:
            return _NAMES[name]
        case ast.Call(func=ast.Name(id="View"), args=args, keywords=[]):
            return _view([_evaluate(item) for item in args])
        case ast.Call(func=ast.Name(id=name)) if name in parts:
            return _record(node, parts, parts)
        case ast.Subscript(value=ast.Name(id="Box"), slice=ast.Tuple(elts=items)):
            return _box(items)
    raise Unreadable(f"`{ast.unparse(node)}` is no value")


def _view(args: list[Any]) -> View:
    if len(args) == 2 and _fits(args[1], _VIEW["shape"]):
        args.append(View.dense(0, args[1]).strides)
    if len(args) != 3 or not all(_fits(value, hint) for value, hint in zip(args, _VIEW.values())):
        raise Unreadable("a view is `View(address, shape)` or `View(address, shape, strides)`")
    return View(*args)


def _box(items: list[ast.expr]) -> Box:
    bounds = [
        (_evaluate(item.lower), _evaluate(item.upper))
        for item in items if isinstance(item, ast.Slice) and item.lower and item.upper and not item.step
    ]  # fmt: skip
    if len(items) != 4 or len(bounds) != 4 or not all(type(value) is int for pair in bounds for value in pair):
        raise Unreadable("a box is `Box[n:n, h:h, w:w, c:c]`")
    (a, b), (c, d), (e, f), (g, h) = bounds
    return Box((a, c, e, g), (b, d, f, h))


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value is of the type that a field is declared with."""
    origin = get_origin(hint)
    if origin is Annotated:
        return _fits(value, get_args(hint)[0])
    if origin in (Union, UnionType):
        return any(_fits(value, choice) for choice in get_args(hint))
    if origin is tuple:
        items = get_args(hint)
        if items[-1] is Ellipsis:
            items = (items[0],) * len(value) if isinstance(value, tuple) else ()
        return isinstance(value, tuple) and len(value) == len(items) and all(map(_fits, value, items))
    if is_dataclass(hint):
        return isinstance(value, hint)  # type: ignore[arg-type]  # a class, not an instance
    return hint is Any or (value is None if hint is NoneType else type(value) is hint)


def bad_line(layer: str, number: int, line: str, why: object) -> ModelError:
    """The error for line ``number`` (from 1) of a layer's text."""
    return ModelError(
        f"the {layer} text cannot be read: {why}", where=f"line {number}: `{line.strip()[:100]}`",
        hint=f"write it with `furiosa-compiler --target-ir {layer.lower()}`",
    )  # fmt: skip
