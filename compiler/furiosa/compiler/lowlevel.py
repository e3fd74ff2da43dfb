"""The NPU's operators in the LDFG: what each reads and writes, on channels-last tensors of four axes (N, H, W, C).

Their kinds begin with ``npu.``: ``npu.conv2d`` ... Every low-level op has the type ``(N, H, W, C)`` i8 or u8 with a
per-tensor quantization. Constants have the exact bytes that the instructions read. Each kind maps to one instruction
(or to a few copies), tile by tile.
"""

from __future__ import annotations

from dataclasses import dataclass

from furiosa.compiler.graph import Attrs
from furiosa.isa.instructions import BinaryForm, Framework, Rounding, Summation

Four = tuple[int, int, int, int]
Two = tuple[int, int]
At = tuple[float, float, float, float]
"""The ``arithmetic.Coordinates`` of an axis."""


@dataclass(frozen=True, slots=True)
class Conv(Attrs):
    """``conv2d`` and ``depthwise_conv2d`` of (x, weights, bias, multipliers).

    ``pads`` is (top, left, bottom, right). Weights are const i8 with one zero point: [K][kh][kw][C/groups], depthwise
    [kh][kw][K]; bias is const i32 [K], multipliers const f32 [K], or i32 [K][3] where ``rounding`` is FIXED. The result
    is clamped to [lo, hi] in the stored integer type.
    """

    kernel: Two
    strides: Two
    dilations: Two
    pads: Four
    groups: int
    lo: int
    hi: int
    w_zero: int = 0
    rounding: Rounding = Rounding.FLOAT


@dataclass(frozen=True, slots=True)
class MatMul(Attrs):
    """``matmul`` of (a, b): (N, H, W, K) times (N, H, K, C); N and H of an operand may be 1.

    The exact sum of products times ``multiplier`` is clamped to [lo, hi] in the stored integer type.
    """

    multiplier: float
    lo: int
    hi: int


@dataclass(frozen=True, slots=True)
class Pool(Attrs):
    """``max_pool2d`` and ``average_pool2d`` of (x); ``pads`` as in Conv, what follows is for averages only."""

    kernel: Two
    strides: Two
    dilations: Two
    pads: Four
    include_pad: bool = False
    framework: Framework = Framework.ONNX


@dataclass(frozen=True, slots=True)
class Interpolate(Attrs):
    """``interpolate`` of (x): where rows and columns of the result lie in x, and whose rounding it has."""

    rows: At
    columns: At
    framework: Framework = Framework.ONNX


@dataclass(frozen=True, slots=True)
class Softmax(Attrs):
    """``softmax`` of (x) over C; x is multiplied by ``beta`` first."""

    framework: Framework = Framework.ONNX
    beta: float = 1.0


@dataclass(frozen=True, slots=True)
class GlobalPool(Attrs):
    """``global_average_pool`` of (x), (N, H, W, C) -> (N, 1, 1, C): the sum of each image, divided by ``divisor``."""

    divisor: int
    summation: Summation = Summation.EXACT


@dataclass(frozen=True, slots=True)
class AddPool(Attrs):
    """``add_average_pool2d`` of (a, b): the mean of max(a + b, floor), see the instruction AddAveragePool2d."""

    kernel: Two
    strides: Two
    dilations: Two
    pads: Four
    include_pad: bool
    floor: float


@dataclass(frozen=True, slots=True)
class Binary(Attrs):
    """``add``, ``sub`` and ``mul`` of (a, b), whose shapes broadcast (axes equal or 1; b may be a const).

    The formula, and the clamp of the result in the stored integer type. ``factor`` is that of a Mean: of both operands.
    """

    form: BinaryForm
    lo: int
    hi: int
    factor: float = 1.0


@dataclass(frozen=True, slots=True)
class Sum(Attrs):
    """``sum`` of (x, scales, zeros): as many tensors as there are scales, one after the other along N of x.

    Scales are const f32 [count], zero points const of the type of x. Their sum in float32 times ``factor``, clamped to
    [lo, hi] in the stored integer type.
    """

    factor: float
    lo: int
    hi: int


@dataclass(frozen=True, slots=True)
class Concat(Attrs):
    """``concat`` of the bytes of all inputs along ``axis`` (0 N, 1 H, 2 W, 3 C)."""

    axis: int


@dataclass(frozen=True, slots=True)
class Pad(Attrs):
    """``pad`` of (x): ``before`` and ``after`` elements of raw byte ``value`` (0-255) on each axis, all at least 0."""

    before: Four
    after: Four
    value: int


@dataclass(frozen=True, slots=True)
class Slice(Attrs):
    """``slice`` of (x): the box of the result's shape that starts at ``start``, taking every ``steps``-th element."""

    start: Four
    steps: Four


@dataclass(frozen=True, slots=True)
class Transpose(Attrs):
    """``transpose`` of (x): axis i of the result is axis ``perm[i]`` of x."""

    perm: Four


# Kinds without attributes of their own (``Attrs``):
#   table (x, table)             table is const u8 [1, 256] or [C, 256]
#   expand (x)                   axes of one element repeated to the extent that the result has
#   reduce_l2 (x)                (N, H, W, C) -> (N, H, W, 1): the Euclidean norm of the channels
#   l2_normalize (x)             x divided by that norm
#   view (x)                     the same bytes with another shape
KINDS = frozenset(
    f"npu.{kind}"
    for kind in (
        "conv2d", "depthwise_conv2d", "matmul", "max_pool2d", "average_pool2d", "global_average_pool",
        "add_average_pool2d", "interpolate", "add", "sub", "mul", "sum", "table", "softmax", "reduce_l2",
        "l2_normalize", "concat", "pad", "slice", "transpose", "expand", "view",
    )
)  # fmt: skip
