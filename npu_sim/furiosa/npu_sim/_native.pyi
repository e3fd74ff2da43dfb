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

def quantize(x: Buffer, y: Buffer, scale: float, zero_point: int, signed: bool, threads: int) -> None:
    """``arithmetic.quantize`` from float32 ``x`` to int8 (``signed``) or uint8 ``y`` of as many elements."""

def dequantize(x: Buffer, y: Buffer, scale: float, zero_point: int, signed: bool, threads: int) -> None:
    """``arithmetic.dequantize`` from int8 (``signed``) or uint8 ``x`` to float32 ``y`` of as many elements."""

def nchw_to_nhwc(x: Buffer, y: Buffer, n: int, c: int, h: int, w: int, itemsize: int, threads: int = 1) -> None:
    """``y`` = ``x`` with channels last; elements have 1, 2 or 4 bytes."""

def nhwc_to_nchw(x: Buffer, y: Buffer, n: int, c: int, h: int, w: int, itemsize: int, threads: int = 1) -> None:
    """``y`` = ``x`` with channels first; elements have 1, 2 or 4 bytes."""
