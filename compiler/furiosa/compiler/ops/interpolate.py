"""Linear Resize of images: one instruction, which finds the four neighbours of each pixel by itself."""

from __future__ import annotations

from dataclasses import dataclass

from furiosa.compiler import lowlevel
from furiosa.compiler.graph import Attrs, Op
from furiosa.compiler.lowlevel import At
from furiosa.compiler.ops.coordinates import MODES, coordinate_mode, coordinates, scales
from furiosa.compiler.ops.layout import low, nhwc, spatial_axis
from furiosa.compiler.ops.pool import no_clamp
from furiosa.compiler.ops.table import OpDef, Unit, four_axes, refuse, rule
from furiosa.isa.arithmetic import IDENTITY
from furiosa.isa.instructions import Framework


@dataclass(frozen=True, slots=True)
class Interpolate(Attrs):
    """Of ``interpolate``: where rows and columns of the result lie in the operand, as ``arithmetic.Coordinates``.

    ``framework`` says whose rounding it has; LiteRT's changes no scale.
    """

    rows: At
    columns: At
    framework: Framework = Framework.ONNX


def build(unit: Unit) -> Op:
    """A linear Resize or Upsample of the spatial axes."""
    no_clamp(unit)
    x, after = unit.x(), unit.out.shape
    before, rank = x.type.shape, len(after)
    if rank not in (3, 4) or before[:2] != after[:2]:
        raise refuse("images", "a linear Resize must keep the batch and the channels", f"{before} to {after}",
                     "one or two spatial axes", "resize the spatial axes only")  # fmt: skip
    if unit.node.int("antialias", 0):
        raise refuse("antialias", "a linear Resize with antialiasing is not accelerated", 1, 0,
                     "leave antialias out, or shrink with AveragePool")  # fmt: skip
    mode, factors = coordinate_mode(unit), scales(unit, before, after)
    if mode not in MODES:
        raise refuse("resize_coordinates", "a linear Resize must have coordinates of one of these modes", mode,
                     ", ".join(MODES), 'export with coordinate_transformation_mode="half_pixel"')  # fmt: skip
    found = {spatial_axis(k, rank): coordinates(mode, factors[k], before[k], after[k]) for k in range(2, rank)}
    return unit.op("interpolate", (x,), Interpolate(found.get(1, IDENTITY), found[2]))


@rule("1048576", "resize in parts")
def image_extents(op: Op) -> str | None:
    """images between whose pixels is interpolated must have at most 1048576 rows and columns"""
    most = max(*nhwc(op.inputs[0].type.shape)[1:3], *nhwc(op.type.shape)[1:3])
    return f"{most}" if most > 1 << 20 else None


def lower(op: Op, inputs: tuple[Op, ...]) -> Op:
    """One instruction."""
    attrs = lowlevel.Interpolate(op.attrs.rows, op.attrs.columns, op.attrs.framework)
    return low("interpolate", inputs, attrs, nhwc(op.type.shape), op)


ROWS = (
    OpDef("interpolate", ("Resize", "Upsample"), build, lower, rules=(four_axes, image_extents), turns=True,
          parity="of a linear Resize of columns alone: between convolutions, and where there are three axes, ONNX "
                 "Runtime adds the products of a last row or channel up in another order (float32), and the result may "
                 "differ by one step at a tie",
          takes=lambda node: node.str("mode", "nearest") == "linear"),
)  # fmt: skip
