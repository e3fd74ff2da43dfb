"""What instructions are made of: addresses, views, and how bytes are read and rounded."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated

from furiosa.isa.dtypes import DType

SramAddress = Annotated[int, "i32"]
DramAddress = Annotated[int, "i64"]
Int = Annotated[int, "i32"]
F32 = Annotated[float, "f32"]


@dataclass(frozen=True, slots=True)
class View:
    """A box of one-byte elements in SRAM: element (n, h, w, c) is at address + n*sn + h*sh + w*sw + c*sc.

    ``shape`` is (n, h, w, c), each at least 1; ``strides`` is (sn, sh, sw, sc) in bytes. A stride of 0 repeats an
    element (broadcast) and is legal only in a view that is read.
    """

    address: SramAddress
    shape: tuple[int, int, int, int]
    strides: tuple[int, int, int, int]

    @classmethod
    def dense(cls, address: int, shape: tuple[int, int, int, int]) -> View:
        """The view of ``shape`` with no gaps."""
        _, h, w, c = shape
        return cls(address, shape, (h * w * c, w * c, c, 1))

    @property
    def size(self) -> int:
        """Elements (= bytes of data) in the view."""
        n, h, w, c = self.shape
        return n * h * w * c

    @property
    def end(self) -> int:
        """One past the last byte the view touches."""
        return self.address + sum((d - 1) * s for d, s in zip(self.shape, self.strides)) + 1


class Activation(IntEnum):
    """How a tensor's bytes are to be read: unsigned or signed 8-bit integers."""

    U8 = 0
    I8 = 1

    @property
    def dtype(self) -> DType:
        return DType.I8 if self is Activation.I8 else DType.U8

    @classmethod
    def of(cls, dtype: DType) -> Activation:
        return {DType.U8: cls.U8, DType.I8: cls.I8}[dtype]


class BinaryForm(IntEnum):
    """Which formula an element-wise instruction rounds by; they differ in the last bit before rounding.

    REAL dequantizes both operands, computes, and quantizes. SCALED works on the stored integers with precomputed scale
    ratios, as ONNX Runtime's QLinearAdd and QLinearMul do; it is for Add and Mul of operands of one type. LITE is what
    LiteRT computes (``arithmetic.lite_binary``): sums in fixed point, for which the larger of a_scale / y_scale and
    b_scale / y_scale must lie in [2**-10, 2**8).
    """

    REAL = 0
    SCALED = 1
    LITE = 2


class Framework(IntEnum):
    """Whose formula a mean, an interpolation or a softmax rounds by: that of ONNX Runtime, or that of LiteRT."""

    ONNX = 0
    TFLITE = 1


class Summation(IntEnum):
    """In which order the values of an image are added up for their mean; the last bits depend on it.

    EXACT adds integers (``arithmetic.global_average_pool``). The others add real values in float32: FORWARD pixel by
    pixel, VECTORS in vectors of four (``arithmetic.vector_sum``).
    """

    EXACT = 0
    FORWARD = 1
    VECTORS = 2


class Rounding(IntEnum):
    """How the sum of a convolution becomes its result.

    FLOAT multiplies in float32 and rounds once, half to even. FIXED multiplies in fixed point and rounds twice, as
    LiteRT's own kernels do (``arithmetic.fixed_requantize``).
    """

    FLOAT = 0
    FIXED = 1


class CopyKind(IntEnum):
    """Why bytes are moved inside SRAM; the profiler shows it as the operator's name."""

    RESHAPE = 0
    TRANSPOSE = 1
    SLICE = 2
    CONCAT = 3
    PAD = 4
    EXPAND = 5
