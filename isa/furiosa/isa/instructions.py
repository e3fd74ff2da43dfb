"""The instruction set: one frozen dataclass an opcode, with its operands and its meaning.

Memory. SRAM and DRAM are byte addressed. A *view* is a strided box of one-byte elements in SRAM. Activations lie
channels-last: a tensor of the model with shape (N, C, H, W) is a view of shape (N, H, W, C).

Order. Each engine issues its instructions in program order and finishes one before it starts the next. An instruction
also waits for the tokens in ``waits``: the token of an instruction is its index in the program, given when it is done.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated, ClassVar

from furiosa.isa.dtypes import DType

SramAddress = Annotated[int, "i32"]
DramAddress = Annotated[int, "i64"]
Int = Annotated[int, "i32"]
F32 = Annotated[float, "f32"]


class Engine(IntEnum):
    """The units that work in parallel: the tensor unit, and the two DMA queues between DRAM and SRAM."""

    COMPUTE = 0
    LOAD = 1
    STORE = 2


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
    """Whose formula a mean or a softmax rounds by: that of ONNX Runtime, or that of LiteRT."""

    ONNX = 0
    TFLITE = 1


class CopyKind(IntEnum):
    """Why bytes are moved inside SRAM; the profiler shows it as the operator's name."""

    RESHAPE = 0
    TRANSPOSE = 1
    SLICE = 2
    CONCAT = 3
    PAD = 4
    EXPAND = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruction:
    """What all instructions share. Fields are integers, float32 values, views and tuples of integers."""

    opcode: ClassVar[int]
    engine: ClassVar[Engine]
    sdk_name: ClassVar[str]

    waits: tuple[int, ...] = ()

    @property
    def label(self) -> str:
        """The operator name that the profiler and traces show."""
        return self.sdk_name

    @property
    def macs(self) -> int:
        """Multiply-accumulate operations of useful work."""
        return 0


@dataclass(frozen=True, slots=True)
class Load(Instruction):
    """DRAM -> SRAM: dst[n, h, w, c] = dram[src + n*sn + h*sh + w*sw + c*sc]."""

    opcode = 0x01
    engine = Engine.LOAD
    sdk_name = "Load"

    dst: View
    src: DramAddress
    src_strides: tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Store(Instruction):
    """SRAM -> DRAM: dram[dst + n*sn + h*sh + w*sw + c*sc] = src[n, h, w, c]."""

    opcode = 0x02
    engine = Engine.STORE
    sdk_name = "Store"

    src: View
    dst: DramAddress
    dst_strides: tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class _Convolution(Instruction):
    """Operands of the two convolutions.

    ``x`` (N, H, W, C) and ``y`` (N, P, Q, K) are views with channel stride 1. Rows and columns outside ``x`` read as
    ``x_zero``; ``pads`` are the (top, left) pixels before the first of ``x``, bottom and right follow from the shapes.
    At ``weights`` lie int8 values, at ``bias`` K int32, at ``multipliers`` K float32 (both 4-byte aligned).

        acc = sum((x - x_zero) * w) + bias[k]                                      exact, int32
        y   = saturate(rint(float32(acc) * multipliers[k]) + y_zero), then clamped to [lo, hi]

    ``rint`` rounds half to even; ``saturate`` is to the range of ``y_type``.
    """

    x: View
    y: View
    weights: SramAddress
    bias: SramAddress
    multipliers: SramAddress
    kernel: tuple[int, int]
    strides: tuple[int, int]
    dilations: tuple[int, int]
    pads: tuple[int, int]
    groups: Int
    x_type: Activation
    y_type: Activation
    x_zero: Int
    y_zero: Int
    lo: Int
    hi: Int

    @property
    def weight_bytes(self) -> int:
        """Bytes of int8 weights."""
        return self.y.shape[3] * self.kernel[0] * self.kernel[1] * (self.x.shape[3] // self.groups)

    @property
    def macs(self) -> int:
        return self.y.size * self.kernel[0] * self.kernel[1] * (self.x.shape[3] // self.groups)


@dataclass(frozen=True, slots=True)
class Conv2d(_Convolution):
    """Convolution, also matrix products (1x1). Weights: int8 [K][kh][kw][C/groups]."""

    opcode = 0x10
    engine = Engine.COMPUTE
    sdk_name = "LowLevelConv2d"


@dataclass(frozen=True, slots=True)
class DepthwiseConv2d(_Convolution):
    """Convolution with groups = C, so that output k reads input channel k // (K/C). Weights: int8 [kh][kw][K]."""

    opcode = 0x11
    engine = Engine.COMPUTE
    sdk_name = "LowLevelDepthwiseConv2d"


@dataclass(frozen=True, slots=True)
class MaxPool2d(Instruction):
    """y = the largest x in each window; pixels outside ``x`` are left out (a window has at least one inside)."""

    opcode = 0x18
    engine = Engine.COMPUTE
    sdk_name = "LowLevelMaxPool2d"

    x: View
    y: View
    kernel: tuple[int, int]
    strides: tuple[int, int]
    dilations: tuple[int, int]
    pads: tuple[int, int]
    type: Activation


@dataclass(frozen=True, slots=True)
class AveragePool2d(Instruction):
    """y = the mean of each window in float32, as ``furiosa.isa.arithmetic.average_pool`` defines it.

    When ``x_type`` and ``y_type`` differ, y = quantize(float_average_pool(dequantize(x))) instead: they round at
    different places. Dilations are 1. For TFLITE, y = ``arithmetic.lite_average_pool``,
    the mean of the stored integers: types, scales and zero points of x and y are the same, and padding is 0.

    A window is divided by the number of its pixels in the rows and columns ``counted`` (first row, first column, end
    row, end column, in coordinates of ``x``): the image itself, or with its padding when padding counts.
    """

    opcode = 0x19
    engine = Engine.COMPUTE
    sdk_name = "LowLevelAveragePool2d"

    x: View
    y: View
    kernel: tuple[int, int]
    strides: tuple[int, int]
    dilations: tuple[int, int]
    pads: tuple[int, int]
    counted: tuple[int, int, int, int]
    x_type: Activation
    y_type: Activation
    x_scale: F32
    x_zero: Int
    y_scale: F32
    y_zero: Int
    framework: Framework = Framework.ONNX


@dataclass(frozen=True, slots=True)
class GlobalAveragePool(Instruction):
    """y (N, 1, 1, C) = the mean over rows and columns of x, as ``arithmetic.global_average_pool`` defines it.

    The formula depends on x - x_zero only, so ``x_type`` and ``y_type`` may differ.
    """

    opcode = 0x1A
    engine = Engine.COMPUTE
    sdk_name = "LowLevelGlobalAveragePool"

    x: View
    y: View
    x_type: Activation
    y_type: Activation
    x_scale: F32
    x_zero: Int
    y_scale: F32
    y_zero: Int


@dataclass(frozen=True, slots=True)
class AddAveragePool2d(Instruction):
    """y = the mean of max(a + b, floor) over each window, all in float32: the head of a residual network in one pass.

    ``a`` and ``b`` have one shape and are dequantized and added; ``floor`` is 0 for a ReLU in between, else -inf. The
    mean and ``counted`` are those of AveragePool2d, y = quantize(mean). Pixels outside the image add nothing.
    Dilations are 1.
    """

    opcode = 0x1B
    engine = Engine.COMPUTE
    sdk_name = "LowLevelAveragePool2d"

    a: View
    b: View
    y: View
    kernel: tuple[int, int]
    strides: tuple[int, int]
    dilations: tuple[int, int]
    pads: tuple[int, int]
    counted: tuple[int, int, int, int]
    a_type: Activation
    b_type: Activation
    y_type: Activation
    a_scale: F32
    a_zero: Int
    b_scale: F32
    b_zero: Int
    y_scale: F32
    y_zero: Int
    floor: F32


@dataclass(frozen=True, slots=True)
class _Binary(Instruction):
    """Operands of the element-wise instructions; ``a`` and ``b`` have the shape of ``y`` (stride 0 broadcasts).

    The result is clamped to [lo, hi] in the stored integer type.
    """

    a: View
    b: View
    y: View
    a_type: Activation
    b_type: Activation
    y_type: Activation
    a_scale: F32
    a_zero: Int
    b_scale: F32
    b_zero: Int
    y_scale: F32
    y_zero: Int
    form: BinaryForm
    lo: Int
    hi: Int


@dataclass(frozen=True, slots=True)
class Add(_Binary):
    """y = a + b, as ``arithmetic.binary`` and ``lite_binary`` define it for each form."""

    opcode = 0x20
    engine = Engine.COMPUTE
    sdk_name = "LowLevelAdd"


@dataclass(frozen=True, slots=True)
class Sub(_Binary):
    """y = a - b, as Add."""

    opcode = 0x21
    engine = Engine.COMPUTE
    sdk_name = "LowLevelSub"


@dataclass(frozen=True, slots=True)
class Mul(_Binary):
    """y = a * b, as Add."""

    opcode = 0x22
    engine = Engine.COMPUTE
    sdk_name = "LowLevelMul"


@dataclass(frozen=True, slots=True)
class Table(Instruction):
    """y = table[c][x] with the byte of x read as unsigned index; ``tables`` is 1 (shared) or C, each 256 bytes."""

    opcode = 0x28
    engine = Engine.COMPUTE
    sdk_name = "LowLevelTable"

    x: View
    y: View
    table: SramAddress
    tables: Int


@dataclass(frozen=True, slots=True)
class Softmax(Instruction):
    """y = softmax of x over the channels, as ``arithmetic.softmax`` or ``lite_softmax`` defines it for the type of y.

    The formula depends on differences of x only, so ``x_type`` and ``y_type`` may differ.
    """

    opcode = 0x29
    engine = Engine.COMPUTE
    sdk_name = "LowLevelSoftmax"

    x: View
    y: View
    x_type: Activation
    y_type: Activation
    x_scale: F32
    x_zero: Int
    y_scale: F32
    y_zero: Int
    framework: Framework = Framework.ONNX


@dataclass(frozen=True, slots=True)
class Copy(Instruction):
    """sram[dst + i . dst_strides] = sram[src + i . src_strides] for every index i below ``shape`` (six axes)."""

    opcode = 0x30
    engine = Engine.COMPUTE
    sdk_name = "LowLevelReshape"

    dst: SramAddress
    dst_strides: tuple[int, int, int, int, int, int]
    src: SramAddress
    src_strides: tuple[int, int, int, int, int, int]
    shape: tuple[int, int, int, int, int, int]
    kind: CopyKind

    @property
    def label(self) -> str:
        return f"LowLevel{self.kind.name.capitalize()}"


@dataclass(frozen=True, slots=True)
class Fill(Instruction):
    """y = value (the raw byte, 0 to 255) everywhere."""

    opcode = 0x31
    engine = Engine.COMPUTE
    sdk_name = "LowLevelExpand"

    y: View
    value: Int


INSTRUCTIONS: dict[int, type[Instruction]] = {
    cls.opcode: cls
    for cls in (
        Load, Store, Conv2d, DepthwiseConv2d, MaxPool2d, AveragePool2d, GlobalAveragePool, AddAveragePool2d,
        Add, Sub, Mul, Table, Softmax, Copy, Fill,
    )
}  # fmt: skip
