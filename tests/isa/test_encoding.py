"""Instructions to bytes and back."""

from __future__ import annotations

from typing import Any, get_args, get_origin

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from furiosa.isa.encoding import decode, encode, layout
from furiosa.isa.errors import EnfError
from furiosa.isa.instructions import INSTRUCTIONS, Fill, Instruction, View

I32 = st.integers(-(2**31), 2**31 - 1)
SCALARS: dict[str, st.SearchStrategy[Any]] = {
    "i32": I32,
    "i64": st.integers(-(2**63), 2**63 - 1),
    "f32": st.floats(width=32, allow_nan=False),
}


def values(hint: Any) -> st.SearchStrategy[Any]:
    """Values of a field, from its annotation."""
    if hint is View:
        quads = st.tuples(I32, I32, I32, I32)
        return st.builds(View, I32, quads, quads)
    if get_origin(hint) is tuple:
        return st.tuples(*(values(item) for item in get_args(hint)))
    if hasattr(hint, "__metadata__"):
        return SCALARS[hint.__metadata__[0]]
    return st.sampled_from(hint) if isinstance(hint, type) and hint is not int else I32


def instances(cls: type[Instruction]) -> st.SearchStrategy[Instruction]:
    fields = {name: values(hint) for name, hint, _ in layout(cls).fields}
    return st.builds(cls, **fields, waits=st.lists(st.integers(0, 10**6), max_size=3).map(tuple))


@pytest.mark.parametrize("cls", INSTRUCTIONS.values(), ids=lambda cls: cls.__name__)
def test_every_opcode_survives_a_round_trip(cls: type[Instruction]) -> None:
    @settings(max_examples=20, deadline=None)
    @given(instances(cls))
    def check(inst: Instruction) -> None:
        code = encode([inst, inst])
        assert decode(code) == (inst, inst)
        assert len(code) == 2 * (12 + layout(cls).body.size + 4 * len(inst.waits))

    check()


def test_opcodes_are_those_of_the_table() -> None:
    assert all(cls.opcode == opcode for opcode, cls in INSTRUCTIONS.items())


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_damaged_bytes_are_refused_or_decode(data: st.DataObject) -> None:
    cls = data.draw(st.sampled_from(list(INSTRUCTIONS.values())))
    code = bytearray(encode([data.draw(instances(cls))]))
    at = data.draw(st.integers(0, len(code) - 1))
    code[at] ^= data.draw(st.integers(1, 255))
    try:
        decoded = decode(bytes(code))
    except EnfError as error:
        said = str(error)
    else:
        said = (
            "instruction 0 cannot be read" if all(isinstance(inst, Instruction) for inst in decoded) else "no program"
        )
    assert "instruction 0 cannot be read" in said


def test_truncated_bytes_are_refused() -> None:
    code = encode([Fill(y=View.dense(0, (1, 1, 1, 8)), value=3)])
    for end in range(1, len(code)):
        with pytest.raises(EnfError, match="instruction 0 cannot be read"):
            decode(code[:end])
