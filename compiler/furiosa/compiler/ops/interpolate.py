"""Linear Resize by whole factors: a depthwise convolution whose outputs are the pixels of blocks."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import lcm, prod

import numpy as np

from furiosa.compiler import lowlevel
from furiosa.compiler.graph import Array, Attrs, Op, const
from furiosa.compiler.lowlevel import Four
from furiosa.compiler.ops.blocks import channels_innermost, to_space
from furiosa.compiler.ops.layout import low, nhwc
from furiosa.compiler.ops.pool import no_clamp
from furiosa.compiler.ops.resize import repeat
from furiosa.compiler.ops.table import OpDef, Unit, four_axes, integer_range, refuse, rule
from furiosa.isa.instructions import Framework

Two = tuple[int, int]
_CENTRED = ("half_pixel", "pytorch_half_pixel")
_MOST = 64 * 127


@dataclass(frozen=True, slots=True)
class Interpolate(Attrs):
    """Of ``interpolate``: rows and columns grow by these factors; ``centred``: pixels are areas, not points.

    ``framework`` says whose rounding it has: LiteRT rounds half up, and changes no scale.
    """

    factors: Two
    centred: bool
    framework: Framework = Framework.ONNX


def build(unit: Unit) -> Op:
    """A Resize or Upsample of the spatial axes by whole factors."""
    no_clamp(unit)
    x, node = unit.x(), unit.node
    before, after = x.type.shape, unit.out.shape
    if len(after) not in (3, 4) or before[:2] != after[:2]:
        raise refuse("images", "a linear Resize must keep the batch and the channels", f"{before} to {after}",
                     "one or two spatial axes", "resize the spatial axes only")  # fmt: skip
    plain = node.op_type == "Upsample" or node.opset < 11
    mode = "asymmetric" if plain else node.str("coordinate_transformation_mode", "half_pixel")
    if mode not in (*_CENTRED, "asymmetric") and before != after:
        raise refuse("resize_coordinates", "a linear Resize must have coordinates with which the shares of neighbours "
                     "repeat from block to block", f"{mode}, {before[2:]} to {after[2:]}",
                     ", ".join((*_CENTRED, "asymmetric")),
                     "export with align_corners=False (half_pixel) and a whole factor")  # fmt: skip
    if any(new % old for old, new in zip(before[2:], after[2:])):
        raise refuse("whole_factor", "a linear Resize must grow by whole factors",
                     f"{mode}, {before[2:]} to {after[2:]}", "a whole factor",
                     "choose sizes that grow by a whole factor; shrink with AveragePool")  # fmt: skip
    rows, columns = (new // old for old, new in zip(nhwc(before)[1:3], nhwc(after)[1:3]))
    return unit.op("interpolate", (x,), Interpolate((rows, columns), mode in _CENTRED))


def shares(factor: int, centred: bool) -> list[list[Fraction]]:
    """For each place in a block, the shares of the pixels before, at and after it."""
    result = []
    for place in range(factor):
        offset = Fraction(2 * place + 1, 2 * factor) - Fraction(1, 2) if centred else Fraction(place, factor)
        result.append([max(-offset, Fraction(0)), 1 - abs(offset), max(offset, Fraction(0))])
    return result


def _denominator(factor: int, centred: bool) -> int:
    return lcm(*(share.denominator for row in shares(factor, centred) for share in row))


@rule(_MOST, "resize in two steps, or by a smaller factor")
def resize_weights(op: Op) -> str | None:
    """the shares of a linear Resize, in units of the smallest, must be at most 8128"""
    rows, columns = op.attrs.factors
    most = int(_weights(op).max())
    return f"{most} for factors of {rows} and {columns}" if most > _MOST else None


def _weights(op: Op) -> Array:
    """[blocks][3][3]: the shares of each place in units of the smallest, for LiteRT of half of it."""
    axes = [np.array([[int(share * _denominator(f, op.attrs.centred)) for share in row]
                      for row in shares(f, op.attrs.centred)]) for f in op.attrs.factors]  # fmt: skip
    doubled = 2 if op.attrs.framework is Framework.TFLITE else 1
    return np.asarray(doubled * np.einsum("ra,cb->rcab", *axes).reshape(-1, 3, 3))


def _split(weights: Array) -> Array:
    """int8 [blocks][3 * parts][3]: every row as so many rows as it takes for weights to fit, which add up to it."""
    parts = -(-int(weights.max()) // 127)
    each = weights[:, :, None] // parts + (np.arange(parts)[:, None] < weights[:, :, None] % parts)
    return np.asarray(each.reshape(weights.shape[0], 3 * parts, 3), np.int8)


def lower(op: Op, inputs: tuple[Op, ...]) -> Op:
    """Borders repeated, the convolution, and blocks to pixels; rows are repeated where weights are split."""
    n, h, w, c = nhwc(op.inputs[0].type.shape)
    factors, source = op.attrs.factors, op.inputs[0]
    like = Op(source.kind, (), Attrs(), source.type, op.name, op.node, sources=op.sources)
    x = _bordered(_bordered(inputs[0], 1, like), 2, like)
    blocks, split = prod(factors), _split(_weights(op))
    parts = split.shape[1] // 3
    x = repeat(x, 1, parts, like) if parts > 1 else x
    lite = op.attrs.framework is Framework.TFLITE
    weights = np.tile(split, (c, 1, 1))
    packed = weights.transpose(1, 2, 0) if c > 1 else weights[..., None]
    unit = prod(_denominator(factor, op.attrs.centred) for factor in factors)
    # An odd sum of doubled shares is never halfway between two integers: rounded to even, it is the half rounded up.
    factor = np.float32(0.5 / unit) if lite else np.float32(source.type.scale / op.type.scale / unit)
    parameters = (const(f"{op.name}:weights", np.ascontiguousarray(packed), node=op.node),
                  const(f"{op.name}:bias", np.full(c * blocks, int(lite), np.int32), node=op.node),
                  const(f"{op.name}:multipliers", np.full(c * blocks, factor, np.float32), node=op.node))  # fmt: skip
    conv = lowlevel.Conv((3 * parts, 3), (parts, 1), (1, 1), (0, 0, 0, 0), c, *integer_range(op.type.dtype))
    y = low("depthwise_conv2d" if c > 1 else "conv2d", (x, *parameters), conv, (n, h, w, c * blocks), op, ":blocks")
    return to_space(channels_innermost(y, c, blocks, op, ":places"), factors, op)


def _bordered(x: Op, axis: int, like: Op) -> Op:
    """The first and the last row (axis 1) or column (axis 2) once more, at the border."""
    shape, size = x.type.shape, x.type.shape[axis]

    def cut(at: int, name: str) -> Op:
        start, one = [0] * 4, list(shape)
        start[axis], one[axis] = at, 1
        return low("slice", (x,), lowlevel.Slice(_four(start), (1, 1, 1, 1)), _four(one), like, f":{name}{axis}")

    grown = list(shape)
    grown[axis] += 2
    parts = (cut(0, "first"), x, cut(size - 1, "last"))
    return low("concat", parts, lowlevel.Concat(axis), _four(grown), like, f":bordered{axis}")


def _four(values: list[int]) -> Four:
    n, h, w, c = values
    return n, h, w, c


ROWS = (
    OpDef("interpolate", ("Resize", "Upsample"), build, lower, rules=(four_axes, resize_weights),
          parity="of linear Resize: ONNX Runtime interpolates in float32, the result may differ by one step at a tie",
          takes=lambda node: node.str("mode", "nearest") == "linear"),
)  # fmt: skip
