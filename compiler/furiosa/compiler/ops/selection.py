"""Operators that take a part of a tensor or repeat it: Slice, Split, Gather and Expand."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod

from furiosa.compiler import lowlevel
from furiosa.compiler.graph import Attrs, Op
from furiosa.compiler.lowlevel import Four
from furiosa.compiler.ops.layout import conform, low, nhwc, reshape, spatial_axis
from furiosa.compiler.ops.table import OpDef, Refusal, Unit, four_axes, refuse, rule

_SHOWN = 8


@dataclass(frozen=True, slots=True)
class Slice(Attrs):
    """Of ``slice``: on each axis, elements ``start``, ``start`` + ``step`` ... up to the result's extent."""

    starts: tuple[int, ...]
    steps: tuple[int, ...]


def build_slice(unit: Unit) -> Op:
    """A Slice with constant bounds."""
    x = unit.x()
    rank = len(x.type.shape)
    starts, axes, steps = _ints(unit, "starts", 1), _ints(unit, "axes", 3), _ints(unit, "steps", 4)
    if starts is None:
        raise refuse("computed_operand", "the bounds of a Slice must be constant", "computed", "constants",
                     "store the bounds as initializers")  # fmt: skip
    first, step = [0] * rank, [1] * rank
    for place, axis in enumerate(axes or range(len(starts))):
        by = steps[place] if steps else 1
        if by < 1:
            raise refuse("positive_steps", "the steps of a Slice must be positive", by, "1 or more",
                         "turn the tensor around where it is made")  # fmt: skip
        first[axis], step[axis] = slice(starts[place], None, by).indices(x.type.shape[axis])[0], by
    return unit.op("slice", (x,), Slice(tuple(first), tuple(step)))


def _ints(unit: Unit, name: str, index: int) -> tuple[int, ...] | None:
    """Numbers that are an attribute before opset 10, and an operand since."""
    given = unit.array(index) if unit.node.opset >= 10 else None
    if given is not None and given.size:
        return tuple(int(v) for v in given.reshape(-1))
    return unit.node.ints(name) or None


def build_split(unit: Unit) -> Op:
    """One result of a Split: parts as given, else all of the size of this one, the last excepted."""
    x, own = unit.x(), unit.out.shape
    axis = unit.node.int("axis", 0) % len(own)
    sizes = unit.node.ints("split")
    operand = unit.array(1) if not sizes else None
    if operand is not None and operand.size:
        sizes = tuple(int(v) for v in operand.reshape(-1))
    count = unit.node.int("num_outputs", 0)
    each = -(-x.type.shape[axis] // count) if count else own[axis]
    starts = [0] * len(own)
    starts[axis] = sum(sizes[: unit.index]) if sizes else each * unit.index
    return unit.op("slice", (x,), Slice(tuple(starts), (1,) * len(own)))


def build_gather(unit: Unit) -> Op:
    """A Gather of one index, or of evenly spaced ones, which is a Slice."""
    x, indices = unit.x(), unit.array(1)
    rank = len(x.type.shape)
    axis = unit.node.int("axis", 0) % rank
    places = [] if indices is None else [int(i) % x.type.shape[axis] for i in indices.reshape(-1)]
    step = places[1] - places[0] if len(places) > 1 else 1
    even = step > 0 and all(place == places[0] + step * i for i, place in enumerate(places))
    if indices is None or not places or not even:
        raise refuse("gathered", "a Gather must take one element, or evenly spaced ones, in rising order",
                     f"indices {_listed(places)}", "i, i + n, i + 2n ...",
                     "reorder the weights of the operators before and behind it instead")  # fmt: skip
    starts, steps = [0] * rank, [1] * rank
    starts[axis], steps[axis] = places[0], step
    shape = (*x.type.shape[:axis], len(places), *x.type.shape[axis + 1 :])
    name = unit.name if indices.ndim == 1 else f"{unit.name}:part"
    part = replace(unit, out=replace(unit.out, shape=shape), name=name)
    taken = part.op("slice", (x,), Slice(tuple(starts), tuple(steps)))
    broken = sliceable.reason(taken)
    if broken is not None:
        raise Refusal(broken)
    return taken if indices.ndim == 1 else unit.op("reshape", (taken,), Attrs())


def _listed(places: list[int]) -> str:
    """The first of the numbers."""
    return ", ".join([*map(str, places[:_SHOWN]), *(["..."] if len(places) > _SHOWN else [])])


def _runs(op: Op) -> list[list[int]]:
    """The axes in groups that are taken as one: an axis that is cut stands alone."""
    runs: list[list[int]] = []
    before, after = op.inputs[0].type.shape, op.type.shape
    whole = False
    for axis, (old, new) in enumerate(zip(before, after)):
        if old == new and runs and whole:
            runs[-1].append(axis)
        else:
            runs.append([axis])
        whole = old == new
    return runs


@rule("4 groups of axes", "join axes with a Reshape")
def sliceable(op: Op) -> str | None:
    """a Slice must see at most 4 groups of axes: those it cuts, and those between"""
    count = len(_runs(op))
    return f"it sees {count}" if len(op.type.shape) > 4 and count > 4 else None


def lower_slice(op: Op, inputs: tuple[Op, ...]) -> Op:
    """One instruction; axes are joined where there are more than four."""
    x, before, after = conform(inputs[0], op.type, op), op.inputs[0].type.shape, op.type.shape
    if before == after:
        return x
    runs = _runs(op) if len(before) > 4 else [[axis] for axis in range(len(before))]
    old, new = (tuple(prod(shape[axis] for axis in run) for run in runs) for shape in (before, after))
    x = reshape(x, before, old, op, ":joined") if len(before) > 4 else x
    starts, steps = [0] * 4, [1] * 4
    for place, run in enumerate(runs):
        axis = spatial_axis(place, len(runs))
        starts[axis], steps[axis] = op.attrs.starts[run[0]], op.attrs.steps[run[0]]
    suffix = ":part" if len(before) > 4 else ""
    part = low("slice", (x,), lowlevel.Slice(_four(starts), _four(steps)), nhwc(new), op, suffix)
    return reshape(part, new, after, op, "") if len(before) > 4 else part


def _four(values: list[int]) -> Four:
    n, h, w, c = values
    return n, h, w, c


def build_expand(unit: Unit) -> Op:
    """An Expand: its shape is known."""
    return unit.op("expand", (unit.x(),), Attrs())


def lower_expand(op: Op, inputs: tuple[Op, ...]) -> Op:
    """Axes of one element are repeated by one copy."""
    x, before, after = conform(inputs[0], op.type, op), op.inputs[0].type.shape, op.type.shape
    whole = (1,) * (len(after) - len(before)) + before
    x = reshape(x, before, whole, op, ":whole")
    return x if whole == after else low("expand", (x,), Attrs(), nhwc(after), op)


ROWS = (
    OpDef("slice", ("Slice",), build_slice, lower_slice, rules=(sliceable,), moves_data=True, turns=True),
    OpDef("split", ("Split",), build_split, lower_slice, rules=(sliceable,), moves_data=True),
    OpDef("gather", ("Gather",), build_gather, lower_slice, moves_data=True),
    OpDef("expand", ("Expand",), build_expand, lower_expand, rules=(four_axes,), moves_data=True),
)
