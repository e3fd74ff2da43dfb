"""Writes ``instructions.h``: the instruction set as C++ structs, laid out as ``furiosa.isa.encoding`` encodes it."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from textwrap import fill
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from furiosa.isa.encoding import layout
from furiosa.isa.instructions import INSTRUCTIONS, Instruction, View

TARGET = Path(__file__).parent / "instructions.h"
_TYPES = {"i32": "int32_t", "i64": "int64_t", "f32": "float"}
_HEAD = """\
// The instruction set as structs. Written by generate.py from furiosa.isa.instructions: do not edit.
#pragma once

#include <cstdint>
#include <variant>

namespace furiosa {

#pragma pack(push, 4)
"""
_TAIL = """
#pragma pack(pop)

{variant}

}}  // namespace furiosa
"""


def header() -> str:
    """The text that ``instructions.h`` must have."""
    parts = [_HEAD, _struct("View", _members(View, ())), ""]
    bases: set[type] = set()
    for opcode, cls in INSTRUCTIONS.items():
        base = cls.__bases__[0]
        if base is not Instruction and base not in bases:
            bases.add(base)
            parts += [_struct(base.__name__.lstrip("_"), _members(base, ("waits",))), ""]
        parts += [_instruction(opcode, cls, base), ""]
    return "\n".join(parts).rstrip() + "\n" + _TAIL.format(variant=_variant())


def _variant() -> str:
    start = "    std::variant<"
    names = ", ".join(cls.__name__ for cls in INSTRUCTIONS.values())
    return "using Instruction =\n" + fill(f"{names}>;", 120, initial_indent=start, subsequent_indent=" " * len(start))


def _instruction(opcode: int, cls: type[Instruction], base: type) -> str:
    name = cls.__name__
    inherited = () if base is Instruction else tuple(field.name for field in fields(base))
    parent = "" if base is Instruction else f" : {base.__name__.lstrip('_')}"
    members = [f"static constexpr int32_t opcode = {opcode:#04x};", *_members(cls, ("waits", *inherited))]
    return f"{_struct(name + parent, members)}\nstatic_assert(sizeof({name}) == {4 * layout(cls).words});"


def _struct(name: str, members: list[str]) -> str:
    return "\n".join([f"struct {name} {{", *(f"  {member}" for member in members), "};"])


def _members(cls: type, without: tuple[str, ...]) -> list[str]:
    hints = get_type_hints(cls, include_extras=True)
    return [_member(field.name, hints[field.name]) for field in fields(cls) if field.name not in without]


def _member(name: str, hint: Any) -> str:
    if get_origin(hint) is tuple:
        return f"int32_t {name}[{len(get_args(hint))}];"
    if get_origin(hint) is Annotated:
        return f"{_TYPES[get_args(hint)[1]]} {name};"
    return f"{'View' if hint is View else 'int32_t'} {name};"


if __name__ == "__main__":
    TARGET.write_text(header())
