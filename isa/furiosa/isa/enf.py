"""ENF, the compiled file: msgpack, versioned, checksummed, deterministic, typed on read.

The file is one msgpack map ``{"magic": "ENF", "version": 1, "checksum": sha256 of body, "body": bytes}``; the body is
the msgpack form of an ``Enf``. Nothing in it depends on time, place or hash seeds.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from furiosa.isa.dtypes import DType
from furiosa.isa.errors import EnfError
from furiosa.isa.wire import from_wire, to_wire

MAGIC = "ENF"
VERSION = 1
_KEYS = {"magic", "version", "checksum", "body"}


@dataclass(frozen=True, slots=True)
class Tensor:
    """A value between steps: its unique name, shape, element type, and what its axes mean (``NCHW``, ``??`` ...)."""

    name: str
    shape: tuple[int, ...]
    dtype: DType
    format: str


@dataclass(frozen=True, slots=True)
class Quantize:
    """Host step: y = saturate(rint(x / scale) + zero_point), from float32 to the type of ``y``."""

    x: str
    y: str
    scale: float
    zero_point: int


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


Step = Quantize | Dequantize | Lower | Unlower | RunNpu | RunCpu


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

    ``sram_bytes`` and ``dram_bytes`` are the highest addresses used plus one.
    """

    code: bytes
    constants: bytes
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

    body: bytes = msgpack.packb(to_wire(enf))
    head = {"magic": MAGIC, "version": VERSION, "checksum": hashlib.sha256(body).digest(), "body": body}
    data: bytes = msgpack.packb(head)
    return data


def is_enf(data: bytes) -> bool:
    """Whether these bytes claim to be an ENF file (they may still be damaged)."""
    return data[:16].find(b"\xa5magic\xa3ENF") == 1


def load(data: bytes, where: str | None = None) -> Enf:
    """Read a file's bytes. Raises EnfError when they are damaged, truncated or of another version."""
    import msgpack

    again = "compile the model again with `furiosa-compiler`"
    try:
        head: Any = msgpack.unpackb(data, max_bin_len=len(data))
    except Exception as error:  # msgpack raises many kinds for hostile bytes
        reason = str(error) or type(error).__name__
        raise EnfError(f"not a readable ENF file: {reason}", where=where, hint=again) from None
    if not isinstance(head, dict) or head.get("magic") != MAGIC or set(head) != _KEYS:
        raise EnfError("not an ENF file: its head is damaged or of another kind", where=where, hint=again)
    if head["version"] != VERSION or type(head["version"]) is not int:  # True is 1
        raise EnfError(f"ENF version {head['version']} cannot be read by this version, which reads {VERSION}",
                       where=where, hint=again)  # fmt: skip
    body = head["body"]
    if not isinstance(body, bytes) or hashlib.sha256(body).digest() != head["checksum"]:
        raise EnfError("the ENF file is damaged: its checksum does not fit its content", where=where, hint=again)
    try:
        return from_wire(Enf, msgpack.unpackb(body, max_bin_len=len(body)))
    except Exception as error:  # a hostile body with a right checksum
        raise EnfError(f"the ENF file is malformed: {error}", where=where, hint=again) from None


def read(path: Path) -> Enf:
    """Read a file. Raises EnfError, also for a file that cannot be opened."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise EnfError(f"cannot read `{path}`: {error.strerror}", hint="check the path and its permissions") from None
    return load(data, where=str(path))
