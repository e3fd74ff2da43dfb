"""Execution of programs in C++, and the host's steps at the border of the NPU."""

from collections.abc import Sequence

from typing_extensions import Buffer

def available() -> list[str]:
    """The variants of the kernels that this processor can execute, the best last: portable, avx2, avx512."""

class Program:
    """A program made ready for execution: decoded, its constants packed, its memory pooled."""

    def __init__(self, code: bytes, constants: bytes, sram_bytes: int, dram_bytes: int, kernels: str) -> None:
        """``code`` must have been verified. Raises ValueError for code or ``kernels`` that cannot be executed."""

    def run(self, inputs: Sequence[tuple[int, Buffer]], outputs: Sequence[tuple[int, Buffer]], threads: int) -> None:
        """Execute once: copy the inputs to their DRAM addresses, run, copy the outputs from theirs.

        Buffers are contiguous; those of outputs are writable. Releases the GIL and may be called from several threads
        at a time. The result does not depend on ``threads``. Raises ValueError for a port outside the program's DRAM.
        """

    @property
    def kernels(self) -> str:
        """The variant that executes this program."""

class Inference:
    """The host's steps at the border of the NPU and the programs between them, executed in one call.

    Values are numbered by their place in ``sizes`` (bytes). Those of ``interface`` lie in memory of the caller, the
    others in memory of the execution. The methods that append a step raise ValueError for values that do not fit it.
    """

    def __init__(self, sizes: Sequence[int], interface: Sequence[int]) -> None: ...
    def quantize(self, x: int, y: int, scale: float, zero_point: int, signed: bool, by_product: bool = False) -> None:
        """Append ``quantize``."""

    def dequantize(self, x: int, y: int, scale: float, zero_point: int, signed: bool) -> None:
        """Append ``dequantize``."""

    def transpose(self, x: int, y: int, images: int, rows: int, columns: int, itemsize: int) -> None:
        """Append y[image, column, row] = x[image, row, column]."""

    def program(self, program: Program, inputs: Sequence[tuple[int, int]], outputs: Sequence[tuple[int, int]]) -> None:
        """Append an execution; ports are (address, value)."""

    def run(self, requests: Sequence[Sequence[Buffer]], inputs: int, threads: int, marks: Buffer | None = None) -> None:
        """Execute once for each request, which is its contiguous buffers of the interface: ``inputs`` to read first.

        ``marks`` is int64 with a row for each request: the time at its start and after each appended step, in ns of
        the monotonic clock, which is that of `time.perf_counter_ns`.

        Releases the GIL once for all of them and may be called from several threads at a time. Raises ValueError for
        buffers of another size.
        """

def peak(kernels: str) -> float:
    """Multiply-accumulate operations a second of one thread with a variant's instructions when nothing holds it up.

    Measured for some milliseconds, without the GIL.
    """

# The host's steps: ``kernels`` is a variant, the best one when it is empty. Buffers need not be aligned.

def quantize(
    x: Buffer,
    y: Buffer,
    scale: float,
    zero_point: int,
    signed: bool,
    threads: int,
    kernels: str = "",
    by_product: bool = False,
) -> None:
    """``arithmetic.quantize`` from float32 ``x`` to int8 (``signed``) or uint8 ``y`` of as many elements."""

def dequantize(
    x: Buffer, y: Buffer, scale: float, zero_point: int, signed: bool, threads: int, kernels: str = ""
) -> None:
    """``arithmetic.dequantize`` from int8 (``signed``) or uint8 ``x`` to float32 ``y`` of as many elements."""

def nchw_to_nhwc(
    x: Buffer, y: Buffer, n: int, c: int, h: int, w: int, itemsize: int, threads: int = 1, kernels: str = ""
) -> None:
    """``y`` = ``x`` with channels last; elements have 1, 2 or 4 bytes."""

def nhwc_to_nchw(
    x: Buffer, y: Buffer, n: int, c: int, h: int, w: int, itemsize: int, threads: int = 1, kernels: str = ""
) -> None:
    """``y`` = ``x`` with channels first; elements have 1, 2 or 4 bytes."""
