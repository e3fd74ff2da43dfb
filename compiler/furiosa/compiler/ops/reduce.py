"""ReduceMean, ReduceSum and ReduceL2."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from math import prod

from furiosa.compiler import lowlevel
from furiosa.compiler.graph import Attrs, Op
from furiosa.compiler.ops.layout import innermost, low, nhwc, reshape, transpose, view
from furiosa.compiler.ops.movement import merged, permuted
from furiosa.compiler.ops.pool import no_clamp
from furiosa.compiler.ops.table import OpDef, Unit, rule
from furiosa.isa.instructions import Summation

_MOST = 1 << 22
_WHAT = {"ReduceMean": "mean", "ReduceSum": "sum", "ReduceL2": "norm"}


@dataclass(frozen=True, slots=True)
class Reduce(Attrs):
    """Of ``reduce``: the axes, ascending, and whether the ``mean``, the ``sum`` or the ``norm``.

    ``channels_last``: ONNX Runtime has the image as NHWC.
    """

    axes: tuple[int, ...]
    what: str
    channels_last: bool = False


def build(unit: Unit) -> Op:
    """A reduction with constant axes."""
    no_clamp(unit)
    x = unit.x()
    rank, given = len(x.type.shape), unit.array(1)
    axes = unit.node.ints("axes") or (tuple(int(a) for a in given.reshape(-1)) if given is not None else ())
    if not axes and unit.node.int("noop_with_empty_axes", 0):
        return unit.op("reduce", (x,), Reduce((), "mean"))
    reduced = tuple(sorted({axis % rank for axis in axes} or range(rank)))
    return unit.op("reduce", (x,), Reduce(reduced, _WHAT[unit.node.op_type]))


@rule(_MOST, "reduce in two steps")
def reduced_elements(op: Op) -> str | None:
    """a Reduce can be over at most 4194304 elements"""
    count = prod(op.inputs[0].type.shape[axis] for axis in op.attrs.axes)
    return f"{count}" if count > _MOST else None


@rule("4 groups of axes", "reduce in two steps")
def gathered(op: Op) -> str | None:
    """a Reduce of axes that lie apart must see at most 4 groups of axes"""
    shape = op.inputs[0].type.shape
    groups, _ = merged(shape, _last(op)) if _apart(op) else ((), ())
    return f"it sees {len(groups)}" if len(groups) > 4 else None


def _apart(op: Op) -> bool:
    """Whether an axis that stays lies between two that do not."""
    axes, shape = op.attrs.axes, op.inputs[0].type.shape
    return bool(axes) and any(shape[axis] > 1 for axis in set(range(axes[0], axes[-1])).difference(axes))


def _last(op: Op) -> tuple[int, ...]:
    """The axes in the order in which those that are reduced come last."""
    rank, axes = len(op.inputs[0].type.shape), op.attrs.axes
    return (*(axis for axis in range(rank) if axis not in axes), *axes)


def _summation(op: Op) -> Summation:
    """The order in which ONNX Runtime adds up, which depends on where the axes lie; EXACT where it is another one."""
    shape = op.inputs[0].type.shape
    axes = (0, 2, 3, 1) if op.attrs.channels_last else range(len(shape))
    sides = ["R" if axis in op.attrs.axes else "K" for axis in axes if shape[axis] > 1]
    order = "".join(side for side, _ in groupby(sides))
    if order in ("R", "KR"):
        return Summation.VECTORS
    return Summation.EXACT if order in ("KRK", "RKR") else Summation.FORWARD


def lower(op: Op, inputs: tuple[Op, ...]) -> Op:
    """The mean of an image, other axes are brought to where its rows are; the norm of the channels."""
    x, shape, axes = inputs[0], op.inputs[0].type.shape, op.attrs.axes
    if _apart(op):
        order = _last(op)
        x, shape = permuted(x, shape, order, op, ":last"), tuple(shape[axis] for axis in order)
        axes = range(len(shape) - len(axes), len(shape))
    reduced = range(axes[0], axes[-1] + 1) if axes else range(0)
    if op.attrs.what == "norm":
        rows, (outer, _, inner) = innermost(x, shape, reduced, op)
        norms = low("reduce_l2", (rows,), Attrs(), nhwc((outer, 1, inner)), op, ":norms")
        return reshape(norms, (outer, 1, inner), op.type.shape, op, "")
    outer, inner = prod(shape[: reduced.start]), prod(shape[reduced.stop :])
    count = prod(shape[reduced.start : reduced.stop])
    attrs = lowlevel.GlobalPool(count if op.attrs.what == "mean" else 1, _summation(op))
    if reduced == range(2, len(shape)) and len(shape) in (3, 4):
        n, _, _, c = x.type.shape
        pooled = low("global_average_pool", (x,), attrs, (n, 1, 1, c), op, ":image")
        return reshape(pooled, (n, c), op.type.shape, op, "")
    rows = transpose(reshape(x, shape, (outer, count, inner), op, ":rows"), (0, 3, 1, 2), op, ":turned")
    pooled = low("global_average_pool", (view(rows, (outer, count, 1, inner), op, ":seen"),), attrs,
                 (outer, 1, 1, inner), op, ":mean")  # fmt: skip
    return reshape(pooled, (outer, inner), op.type.shape, op, "")


ROWS = (
    OpDef("reduce", ("ReduceMean", "ReduceSum", "ReduceL2"), build, lower, rules=(reduced_elements, gathered),
          parity="ONNX Runtime adds up in float32; in an order of its own, a ReduceMean or ReduceSum over axes between "
                 "others or around them, and a ReduceL2 over all axes: the result may differ by one step at a tie",
          turns=True),
)  # fmt: skip
