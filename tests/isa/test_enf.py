"""ENF files: deterministic, typed, and refused when damaged."""

from __future__ import annotations

import zlib
from pathlib import Path

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from furiosa.isa import enf
from furiosa.isa.dtypes import DType
from furiosa.isa.errors import EnfError

SAMPLE = enf.Enf(
    target="warboy", batch_size=1, inputs=("x",), outputs=("y",),
    tensors=(enf.Tensor("x", (1, 3, 4, 4), DType.F32, "NCHW"), enf.Tensor("y", (1, 3, 4, 4), DType.F32, "NCHW")),
    steps=(
        enf.Quantize("x", "q", 0.5, 3), enf.Lower("q", "l", (1, 3, 4, 4)), enf.RunNpu(0, ("l",), ("m",)),
        enf.Unlower("m", "u", (1, 3, 4, 4)), enf.Dequantize("u", "d", 0.25, 0), enf.RunCpu(0, ("d",), ("y",)),
    ),
    programs=(enf.Program(b"code", b"constants", 64, 128, (enf.Port("l", 64, 48),), (enf.Port("m", 64, 48),),
                          (enf.Origin(1, "node"),)),),
    cpu_models=(b"model",), report="{}", made_by="a test",
)  # fmt: skip
DATA = enf.dump(SAMPLE)


def test_what_is_written_is_read() -> None:
    assert enf.load(DATA) == SAMPLE
    assert enf.dump(enf.load(DATA)) == DATA
    assert enf.is_enf(DATA) and not enf.is_enf(b"ONNX") and not enf.is_enf(b"")


@settings(max_examples=150, deadline=None)
@given(st.integers(0, len(DATA) - 1), st.integers(1, 255))
def test_any_changed_byte_is_refused(at: int, change: int) -> None:
    damaged = bytearray(DATA)
    damaged[at] ^= change
    with pytest.raises(EnfError):
        enf.load(bytes(damaged))


def test_any_truncation_is_refused() -> None:
    for end in range(len(DATA)):
        with pytest.raises(EnfError):
            enf.load(DATA[:end])


def test_another_version_is_named() -> None:
    head = msgpack.unpackb(DATA)
    with pytest.raises(EnfError, match="version 99 cannot be read by this version, which reads 6"):
        enf.load(msgpack.packb(head | {"version": 99}))


@settings(max_examples=100, deadline=None)
@given(st.recursive(st.none() | st.integers() | st.binary() | st.text(), st.lists, max_leaves=5)
       .filter(lambda value: not isinstance(value, int) or abs(value) < 2**63))  # fmt: skip
def test_a_right_checksum_over_a_wrong_body_is_refused(body: object) -> None:
    try:
        packed = msgpack.packb(body)
    except OverflowError:
        return
    head = msgpack.unpackb(DATA)
    head |= {"body": packed, "checksum": zlib.crc32(head["constants"], zlib.crc32(packed)).to_bytes(4, "big")}
    with pytest.raises(EnfError, match="malformed"):
        enf.load(msgpack.packb(head))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(EnfError, match="absent"):
        enf.read(tmp_path / "absent.enf")
