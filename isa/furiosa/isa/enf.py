"""ENF, the compiled file: msgpack, versioned, checksummed, deterministic, typed on read.

The file is one msgpack map ``{"magic": "ENF", "version": 6, "checksum": 4 bytes, "body": bytes, "constants": bytes}``.
The body is the msgpack form of an ``Enf`` whose programs have only the size of their constants; these lie one after the
other in ``constants``, so that a reader need not copy them. The checksum is the CRC-32 of both, big-endian. Nothing in
a file depends on time, place or hash seeds.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path
from typing import Any

from furiosa.isa.dtypes import DType
from furiosa.isa.errors import EnfError
from furiosa.isa.wire import from_wire, to_wire

MAGIC = "ENF"
VERSION = 6
_KEYS = ("magic", "version", "checksum", "body", "constants")
_BIN = {0xC4: ">B", 0xC5: ">H", 0xC6: ">I"}
"""How msgpack's markers of bytes are followed by their length."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """A value between steps: its unique name, shape, element type, and what its axes mean (``NCHW``, ``??`` ...).

    An axis whose extent depends on the data is -1. A value of type ANY has its ONNX type (``seq(float[])``) as format.
    ``named``: users see the name. ``width``: how many elements the last axis takes in memory, the last of them padding;
    0 where there is none. Only inputs and outputs of the model have padding.
    """

    name: str
    shape: tuple[int, ...]
    dtype: DType
    format: str
    named: bool = True
    width: int = 0

    @property
    def storage(self) -> tuple[int, ...]:
        """The shape with its padding."""
        return (*self.shape[:-1], self.width) if self.width else self.shape


@dataclass(frozen=True, slots=True)
class Quantize:
    """Host step: y = saturate(rint(x / scale) + zero_point), from float32 to the type of ``y``.

    ``by_product``: x * float32(1 / scale) instead of the quotient. When x is uint8, y is the int8 of the same real
    values: y = x - 128, and ``zero_point`` that of x less 128.
    """

    x: str
    y: str
    scale: float
    zero_point: int
    by_product: bool = False


@dataclass(frozen=True, slots=True)
class Dequantize:
    """Host step: y = (x - zero_point) * scale, to float32."""

    x: str
    y: str
    scale: float
    zero_point: int


@dataclass(frozen=True, slots=True)
class Lower:
    """Host step into the NPU's layout: x read as shape ``nchw``, y the same values as (N, H, W, C)."""

    x: str
    y: str
    nchw: tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Unlower:
    """Host step out of the NPU's layout: x is (N, H, W, C) of ``nchw``, y the same values in channels-first order."""

    x: str
    y: str
    nchw: tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Pad:
    """Host step: y has the values of x at the front of its last axis, which is longer, and zeros (raw bytes) behind."""

    x: str
    y: str


@dataclass(frozen=True, slots=True)
class Slice:
    """Host step: y has the front of the last axis of x."""

    x: str
    y: str


@dataclass(frozen=True, slots=True)
class RunNpu:
    """Execute ``programs[program]``; ``inputs`` and ``outputs`` name tensors in the order of the program's ports."""

    program: int
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RunCpu:
    """Run the ONNX model ``cpu_models[model]`` in ONNX Runtime; its inputs and outputs have the tensors' names."""

    model: int
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


Step = Quantize | Dequantize | Lower | Unlower | Pad | Slice | RunNpu | RunCpu


@dataclass(frozen=True, slots=True)
class Port:
    """Where a tensor of the program's interface lies in DRAM; ``size`` is in bytes, data dense in the NPU's layout."""

    tensor: str
    address: int
    size: int


@dataclass(frozen=True, slots=True)
class Origin:
    """The next ``count`` instructions come from the model's node ``node``."""

    count: int
    node: str


@dataclass(frozen=True, slots=True)
class Program:
    """One NPU cluster. ``code`` is encoded instructions; ``constants`` lie at DRAM address 0 and are never written.

    Of a file that was read, ``constants`` is a view of the file's bytes.
    ``sram_bytes`` and ``dram_bytes`` are the highest addresses used plus one.
    """

    code: bytes
    constants: bytes | memoryview
    sram_bytes: int
    dram_bytes: int
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    origins: tuple[Origin, ...]


@dataclass(frozen=True, slots=True)
class Enf:
    """A compiled model: its interface, the steps of one inference in order, and what the steps refer to.

    ``report`` is the compiler's report as JSON text (placement, MACs, modelled cycles and latency).
    """

    target: str
    batch_size: int
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    tensors: tuple[Tensor, ...]
    steps: tuple[Step, ...]
    programs: tuple[Program, ...]
    cpu_models: tuple[bytes, ...]
    report: str
    made_by: str


def dump(enf: Enf) -> bytes:
    """The file's bytes; equal for equal values."""
    import msgpack

    programs = tuple(replace(program, constants=b"") for program in enf.programs)
    sizes = [len(program.constants) for program in enf.programs]
    body: bytes = msgpack.packb({"enf": to_wire(replace(enf, programs=programs)), "constants": sizes})
    constants = b"".join(program.constants for program in enf.programs)
    values = (MAGIC, VERSION, _checksum(body, constants), body, constants)
    data: bytes = msgpack.packb(dict(zip(_KEYS, values)))
    return data


def is_enf(data: bytes) -> bool:
    """Whether these bytes claim to be an ENF file (they may still be damaged)."""
    return data[1:11] == b"\xa5magic\xa3ENF"


def load(data: bytes, where: str | None = None) -> Enf:
    """Read a file's bytes. Raises EnfError when they are damaged, truncated or of another version."""
    import msgpack

    again = "compile the model again with `furiosa-compiler`"
    try:
        head, body, constants = _parts(memoryview(data))
    except Exception as error:  # msgpack raises many kinds for hostile bytes
        reason = str(error) or type(error).__name__
        raise EnfError(f"not a readable ENF file: {reason}", where=where, hint=again) from None
    if head["version"] != VERSION or type(head["version"]) is not int:  # True is 1
        raise EnfError(f"ENF version {head['version']} cannot be read by this version, which reads {VERSION}",
                       where=where, hint=again)  # fmt: skip
    if _checksum(body, constants) != head["checksum"]:
        raise EnfError("the ENF file is damaged: its checksum does not fit its content", where=where, hint=again)
    try:
        return _assemble(msgpack.unpackb(body, max_bin_len=len(body)), constants)
    except Exception as error:  # a hostile body with a right checksum
        raise EnfError(f"the ENF file is malformed: {error}", where=where, hint=again) from None


def _checksum(body: bytes | memoryview, constants: bytes | memoryview) -> bytes:
    return struct.pack(">I", zlib.crc32(constants, zlib.crc32(body)))


def _parts(data: memoryview) -> tuple[dict[str, Any], memoryview, memoryview]:
    """The small values of a file, and its two large ones, which are not copied. Raises any error for other bytes."""
    import msgpack

    unpacker = msgpack.Unpacker()
    unpacker.feed(data[:256])
    count = unpacker.read_map_header()
    if count < 2 or unpacker.unpack() != "magic" or unpacker.unpack() != MAGIC or unpacker.unpack() != "version":
        raise ValueError("its head is damaged or of another kind")
    head = {"version": unpacker.unpack()}
    if head["version"] != VERSION:
        return head, data[:0], data[:0]
    head["checksum"] = _expect(unpacker, "checksum").unpack()
    body, at = _bin(data, _expect(unpacker, "body").tell())
    marker = msgpack.packb("constants")
    if data[at : at + len(marker)] != marker:
        raise ValueError("its constants are missing")
    constants, at = _bin(data, at + len(marker))
    if count != len(_KEYS) or at != len(data):
        raise ValueError("its end is damaged")
    return head, body, constants


def _expect(unpacker: Any, key: str) -> Any:
    if unpacker.unpack() != key:
        raise ValueError(f"its {key} is missing")
    return unpacker


def _bin(data: memoryview, at: int) -> tuple[memoryview, int]:
    """The bytes whose msgpack form starts at ``at``, and where it ends."""
    length = struct.Struct(_BIN[data[at]])
    (size,) = length.unpack_from(data, at + 1)
    first = at + 1 + length.size
    if first + size > len(data):
        raise ValueError("it is truncated")
    return data[first : first + size], first + size


def _assemble(body: Any, constants: memoryview) -> Enf:
    if not isinstance(body, dict) or set(body) != {"enf", "constants"}:
        raise ValueError("its body is incomplete")
    enf, sizes = from_wire(Enf, body["enf"]), from_wire(tuple[int, ...], body["constants"])
    if len(sizes) != len(enf.programs) or min(sizes, default=0) < 0 or sum(sizes) != len(constants):
        raise ValueError("the sizes of its constants do not fit")
    ends = list(accumulate(sizes, initial=0))
    programs = (replace(p, constants=constants[ends[i] : ends[i + 1]]) for i, p in enumerate(enf.programs))
    return replace(enf, programs=tuple(programs))


def read(path: Path) -> Enf:
    """Read a file. Raises EnfError, also for a file that cannot be opened."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise EnfError(f"cannot read `{path}`: {error.strerror}", hint="check the path and its permissions") from None
    return load(data, where=str(path))
