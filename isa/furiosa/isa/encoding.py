"""Instructions as bytes: little-endian words, one fixed layout an opcode, readable from C++ without a parser.

An instruction is a header of three int32 (opcode, number of words in the body, number of waits), the body (each field
in order of declaration; views and tuples flattened; ``i32`` and ``f32`` take one word, ``i64`` two), then the waits.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from enum import IntEnum
from functools import cache
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from furiosa.isa.errors import EnfError
from furiosa.isa.instructions import INSTRUCTIONS, Instruction, View

_HEADER = struct.Struct("<3i")
_FORMATS = {"i32": "i", "i64": "q", "f32": "f"}


@dataclass(frozen=True)
class Layout:
    """How the body of one opcode is laid out: its struct, and for each field how many values it takes and its type."""

    body: struct.Struct
    fields: tuple[tuple[str, Any, int], ...]

    @property
    def words(self) -> int:
        return self.body.size // 4


def layout(cls: type[Instruction]) -> Layout:
    """The layout of an instruction class, from its type annotations."""
    return _layout(cls.opcode)


@cache
def _layout(opcode: int) -> Layout:
    cls = INSTRUCTIONS[opcode]
    hints = get_type_hints(cls, include_extras=True)
    codes, parts = "<", []
    for field in fields(cls):
        if field.name != "waits":
            code = _codes(hints[field.name])
            codes += code
            parts.append((field.name, hints[field.name], len(code)))
    return Layout(struct.Struct(codes), tuple(parts))


def _codes(hint: Any) -> str:
    if get_origin(hint) is Annotated:
        return _FORMATS[get_args(hint)[1]]
    if get_origin(hint) is tuple:
        return "".join(_codes(item) for item in get_args(hint))
    if hint is View:
        return "".join(_codes(item) for item in get_type_hints(View, include_extras=True).values())
    return "i"


def _flatten(value: Any) -> Iterator[int | float]:
    if isinstance(value, View):
        yield value.address
        yield from value.shape
        yield from value.strides
    elif isinstance(value, tuple):
        yield from value
    else:
        yield value


def _build(hint: Any, values: Sequence[Any]) -> Any:
    if hint is View:
        return View(values[0], tuple(values[1:5]), tuple(values[5:9]))
    if get_origin(hint) is tuple:
        return tuple(values)
    if isinstance(hint, type) and issubclass(hint, IntEnum):
        return hint(values[0])
    return values[0]


def encode(instructions: Iterable[Instruction]) -> bytes:
    """The program as bytes."""
    out = bytearray()
    for inst in instructions:
        shape = _layout(inst.opcode)
        words = [word for name, _, _ in shape.fields for word in _flatten(getattr(inst, name))]
        out += _HEADER.pack(inst.opcode, shape.words, len(inst.waits))
        out += shape.body.pack(*words)
        out += struct.pack(f"<{len(inst.waits)}i", *inst.waits)
    return bytes(out)


def decode(code: bytes) -> tuple[Instruction, ...]:
    """The program in these bytes; the inverse of ``encode``.

    Raises EnfError, naming the instruction and its byte offset, when the bytes are not a sequence of instructions.
    """
    program: list[Instruction] = []
    at = 0
    while at < len(code):
        try:
            inst, at = _decode_one(code, at)
        except (struct.error, ValueError, KeyError, IndexError) as error:
            raise EnfError(
                f"instruction {len(program)} cannot be read: {error}", where=f"byte {at} of the program",
                hint="the file is damaged: compile the model again",
            ) from None  # fmt: skip
        program.append(inst)
    return tuple(program)


def _decode_one(code: bytes, at: int) -> tuple[Instruction, int]:
    opcode, words, waits = _HEADER.unpack_from(code, at)
    if opcode not in INSTRUCTIONS:
        raise ValueError(f"opcode {opcode:#x} is unknown")
    cls = INSTRUCTIONS[opcode]
    shape = _layout(opcode)
    if words != shape.words or not 0 <= waits <= len(code):
        raise ValueError(f"`{cls.__name__}` has a body of {words} words and {waits} waits")
    at += _HEADER.size
    values = shape.body.unpack_from(code, at)
    at += shape.body.size
    kwargs, first = {}, 0
    for name, hint, count in shape.fields:
        kwargs[name] = _build(hint, values[first : first + count])
        first += count
    tokens = struct.unpack_from(f"<{waits}i", code, at)
    return cls(**kwargs, waits=tokens), at + 4 * waits
