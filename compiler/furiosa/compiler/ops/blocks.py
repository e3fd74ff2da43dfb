"""DepthToSpace and SpaceToDepth: elements move between the channels and blocks of pixels."""

from __future__ import annotations

from dataclasses import dataclass

from furiosa.compiler.graph import Attrs, Op
from furiosa.compiler.lowlevel import Four
from furiosa.compiler.ops.layout import conform, nhwc, transpose, view
from furiosa.compiler.ops.table import OpDef, Unit, refuse


@dataclass(frozen=True, slots=True)
class Blocks(Attrs):
    """Of ``depth_to_space`` and ``space_to_depth``: the side of a block; ``depth_first``: of DCR, not CRD order."""

    size: int
    depth_first: bool


def build(unit: Unit) -> Op:
    """A DepthToSpace or SpaceToDepth of images."""
    if len(unit.out.shape) != 4:
        raise refuse("images", "blocks are made of images with two spatial axes", f"{len(unit.out.shape)} axes", 4,
                     "join axes with a Reshape")  # fmt: skip
    attrs = Blocks(unit.node.int("blocksize", 1), unit.node.str("mode", "DCR") == "DCR")
    kind = "depth_to_space" if unit.node.op_type == "DepthToSpace" else "space_to_depth"
    return unit.op(kind, (unit.x(),), attrs)


def to_space(x: Op, size: tuple[int, int], like: Op, suffix: str = "") -> Op:
    """``x`` (N, H, W, rows * columns * C), block by block and channels innermost, as (N, H * rows, W * columns, C)."""
    n, h, w, c = x.type.shape
    rows, columns = size
    inner = c // (rows * columns)
    apart = view(x, (n * h, w, rows, columns * inner), like, f"{suffix}:apart")
    turned = transpose(apart, (0, 2, 1, 3), like, f"{suffix}:turned")
    return view(turned, (n, h * rows, w * columns, inner), like, suffix)


def channels_innermost(x: Op, outer: int, blocks: int, like: Op, suffix: str) -> Op:
    """Channels in the order (outer, blocks, inner) as (blocks, outer, inner)."""
    n, h, w, c = x.type.shape
    apart = view(x, (n * h * w, outer, blocks, c // (outer * blocks)), like, f"{suffix}:apart")
    return view(transpose(apart, (0, 2, 1, 3), like, f"{suffix}:turned"), _four(x), like, suffix)


def lower_depth_to_space(op: Op, inputs: tuple[Op, ...]) -> Op:
    """One transposition; another before it where blocks lie innermost."""
    x, size = conform(inputs[0], op.type, op), op.attrs.size
    if not op.attrs.depth_first:
        x = channels_innermost(x, x.type.shape[3] // size**2, size**2, op, ":blocks")
    return to_space(x, (size, size), op)


def lower_space_to_depth(op: Op, inputs: tuple[Op, ...]) -> Op:
    """The same the other way round."""
    x, size = conform(inputs[0], op.type, op), op.attrs.size
    n, h, w, c = nhwc(op.type.shape)
    inner = c // size**2
    apart = view(x, (n * h, size, w, size * inner), op, ":apart")
    blocks = view(transpose(apart, (0, 2, 1, 3), op, ":turned"), (n, h, w, c), op, ":blocks")
    return blocks if op.attrs.depth_first else channels_innermost(blocks, size**2, inner, op, "")


def _four(op: Op) -> Four:
    n, h, w, c = op.type.shape
    return n, h, w, c


ROWS = (
    OpDef("depth_to_space", ("DepthToSpace",), build, lower_depth_to_space, moves_data=True),
    OpDef("space_to_depth", ("SpaceToDepth",), build, lower_space_to_depth, moves_data=True),
)
