"""Resize to the nearest element, where that repeats every element or takes every n-th one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import prod

import numpy as np

from furiosa.compiler import lowlevel
from furiosa.compiler.graph import Array, Attrs, Op
from furiosa.compiler.lowlevel import Four
from furiosa.compiler.ops.coordinates import MODES, coordinate_mode, coordinates, scales
from furiosa.compiler.ops.layout import conform, low, nhwc, spatial_axis, view
from furiosa.compiler.ops.table import OpDef, Unit, four_axes, refuse
from furiosa.isa.arithmetic import positions

_HALF = np.float32(0.5)


@dataclass(frozen=True, slots=True)
class Resize(Attrs):
    """Of ``resize``: on each axis, elements ``start``, ``start`` + ``steps`` ... , each ``repeats`` times."""

    starts: tuple[int, ...]
    steps: tuple[int, ...]
    repeats: tuple[int, ...]


ROUNDINGS: dict[str, Callable[[Array], Array]] = {
    "round_prefer_floor": lambda x: np.ceil(x - _HALF),
    "round_prefer_ceil": lambda x: np.floor(x + _HALF),
    "floor": np.floor,
    "ceil": np.ceil,
}
"""``nearest_mode``."""


def build(unit: Unit) -> Op:
    """A Resize or Upsample with constant scales or sizes."""
    node, x, old = unit.node, unit.x(), unit.inputs[0]
    before, after = old.type.shape if old else (), unit.out.shape
    if node.str("mode", "nearest") != "nearest":
        raise refuse("resize_mode", "only linear Resize, and Resize to the nearest element, are accelerated",
                     node.str("mode", ""), "nearest or linear", 'resize with mode="linear"')  # fmt: skip
    factors = scales(unit, before, after)
    axes = [_axis(unit, factors[k], before[k], after[k]) for k in range(len(after))]
    starts, steps, repeats = zip(*axes)
    return unit.op("resize", (x,), Resize(starts, steps, repeats))


def _axis(unit: Unit, scale: np.float32, before: int, after: int) -> tuple[int, int, int]:
    """Start, step and repeats of one axis. Raises Refusal for any other pattern."""
    if before == after and scale == 1:
        return 0, 1, 1
    indices = _nearest(unit, scale, before, after)
    counted = np.arange(after)
    repeats = after // before
    if repeats and np.array_equal(indices, counted // repeats) and after == before * repeats:
        return 0, 1, repeats
    start, step = int(indices[0]), int(indices[1] - indices[0]) if after > 1 else 1
    if step > 0 and np.array_equal(indices, start + step * counted):
        return start, step, 1
    raise refuse("resize_pattern", "a Resize must repeat every element equally often, or take every n-th",
                 f"{before} to {after} elements", "a whole ratio",
                 'resize by a whole factor, with coordinate_transformation_mode="asymmetric" and '
                 'nearest_mode="floor"')  # fmt: skip


def _nearest(unit: Unit, scale: np.float32, before: int, after: int) -> Array:
    """The index of the input's element for each of the output's."""
    mode, nearest = coordinate_mode(unit), unit.node.str("nearest_mode", "round_prefer_floor")
    if unit.node.op_type == "Upsample" or unit.node.opset < 11:
        nearest = "ceil" if scale < 1 else "floor"
    if mode not in MODES or nearest not in ROUNDINGS:
        raise refuse("resize_coordinates", "a Resize to the nearest element must find it by coordinates and a "
                     "rounding of the ONNX standard", f"{mode}, {nearest}", ", ".join(MODES),
                     'use coordinate_transformation_mode="asymmetric"')  # fmt: skip
    where = ROUNDINGS[nearest](positions(coordinates(mode, scale, before, after), 0, after))
    return np.asarray(np.clip(where, 0, before - 1).astype(np.int64))


def lower(op: Op, inputs: tuple[Op, ...]) -> Op:
    """Every n-th element is a slice; repeating goes axis by axis."""
    x, rank = conform(inputs[0], op.type, op), len(op.type.shape)
    starts, steps, repeats = [0] * 4, [1] * 4, [1] * 4
    for axis in range(rank):
        place = spatial_axis(axis, rank)
        starts[place], steps[place], repeats[place] = (
            op.attrs.starts[axis],
            op.attrs.steps[axis],
            op.attrs.repeats[axis],
        )
    like = replace(op, type=replace(op.type, dtype=x.type.dtype, quant=x.type.quant))
    if steps != [1] * 4 or any(starts):
        taken = [size // count for size, count in zip(nhwc(op.type.shape), repeats)]
        x = low("slice", (x,), lowlevel.Slice(_four(starts), _four(steps)), _four(taken), like, ":taken")
    for axis in range(4):
        if repeats[axis] > 1:
            x = repeat(x, axis, repeats[axis], like)
    return x


def repeat(x: Op, axis: int, count: int, like: Op) -> Op:
    """Every element of an axis ``count`` times: a new axis behind it, spread out."""
    shape = x.type.shape
    outer, inner = prod(shape[:axis]), prod(shape[axis + 1 :])
    apart = view(x, (outer, shape[axis], 1, inner), like, f":apart{axis}")
    spread = low("expand", (apart,), Attrs(), (outer, shape[axis], count, inner), like, f":spread{axis}")
    grown = list(shape)
    grown[axis] *= count
    return view(spread, _four(grown), like, f":grown{axis}")


def _four(values: list[int] | tuple[int, ...]) -> Four:
    n, h, w, c = values
    return n, h, w, c


ROWS = (OpDef("resize", ("Resize", "Upsample"), build, lower, rules=(four_axes,), moves_data=True, turns=True),)
