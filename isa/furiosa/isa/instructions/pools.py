"""Instructions over windows of an image, over whole images, and between the pixels of an image."""

from __future__ import annotations

from dataclasses import dataclass

from furiosa.isa.instructions.instruction import Engine, Instruction
from furiosa.isa.instructions.operands import F32, Activation, Framework, Int, Summation, View


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
    """y (N, 1, 1, C) = the sum over rows and columns of x, divided by ``divisor``: all pixels for a mean, 1 for a sum.

    It is ``arithmetic.global_average_pool`` where the summation is EXACT, else ``arithmetic.real_mean``. The formulas
    depend on x - x_zero only, so ``x_type`` and ``y_type`` may differ. For VECTORS, channel c of image n is row
    ``rows[0]`` + n * ``rows[1]`` + c of what ONNX Runtime adds up; other summations have no rows.
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
    divisor: Int
    summation: Summation = Summation.EXACT
    rows: tuple[int, int] = (0, 0)


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
class Interpolate(Instruction):
    """y = x between its pixels, as ``arithmetic.interpolate`` or, for TFLITE, ``lite_interpolate`` defines it.

    ``x`` and ``y`` may be parts of an image and of what it becomes: ``x_start`` and ``y_start`` are their first row and
    column in these, and ``extents`` the rows and columns of the image. ``row_...`` and ``column_...`` are the
    ``arithmetic.Coordinates`` of the rows and of the columns; all neighbours of the pixels of ``y`` lie in ``x``. For
    TFLITE, types, scales and zero points of x and y are the same.
    """

    opcode = 0x1C
    engine = Engine.COMPUTE
    sdk_name = "LowLevelResize"

    x: View
    y: View
    extents: tuple[int, int]
    x_start: tuple[int, int]
    y_start: tuple[int, int]
    row_lead: F32
    row_factor: F32
    row_divisor: F32
    row_offset: F32
    column_lead: F32
    column_factor: F32
    column_divisor: F32
    column_offset: F32
    x_type: Activation
    y_type: Activation
    x_scale: F32
    x_zero: Int
    y_scale: F32
    y_zero: Int
    framework: Framework = Framework.ONNX
