"""ReduceMean and ReduceSum over axes that lie next to each other."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from furiosa.compiler import lowlevel
from furiosa.compiler.graph import Attrs, Op
from furiosa.compiler.ops.layout import low, reshape, transpose, view
from furiosa.compiler.ops.pool import no_clamp
from furiosa.compiler.ops.table import OpDef, Unit, refuse, rule

_MOST = 1 << 22


@dataclass(frozen=True, slots=True)
class Reduce(Attrs):
    """Of ``reduce``: from which axis to which (included), and whether the mean or the sum."""

    first: int
    last: int
    mean: bool


def build(unit: Unit) -> Op:
    """A ReduceMean or ReduceSum with constant axes."""
    no_clamp(unit)
    x = unit.x()
    shape = x.type.shape
    given = unit.array(1)
    axes = unit.node.ints("axes") or (tuple(int(a) for a in given.reshape(-1)) if given is not None else ())
    if not axes and unit.node.int("noop_with_empty_axes", 0):
        return unit.op("reduce", (x,), Reduce(0, -1, True))
    reduced = sorted({a % len(shape) for a in axes} or range(len(shape)))
    first, last = reduced[0], reduced[-1]
    if any(shape[axis] > 1 for axis in set(range(first, last + 1)).difference(reduced)):
        raise refuse("reduced_axes", "the axes of a Reduce must lie next to each other", list(reduced),
                     "neighbours", "reduce in two steps, or transpose before it")  # fmt: skip
    return unit.op("reduce", (x,), Reduce(first, last, unit.node.op_type == "ReduceMean"))


@rule(_MOST, "reduce in two steps")
def reduced_elements(op: Op) -> str | None:
    """a Reduce can be over at most 4194304 elements"""
    count = prod(op.inputs[0].type.shape[op.attrs.first : op.attrs.last + 1])
    return f"{count}" if count > _MOST else None


def lower(op: Op, inputs: tuple[Op, ...]) -> Op:
    """The mean of an image; other axes are brought to where its rows are."""
    x, shape, first, last = inputs[0], op.inputs[0].type.shape, op.attrs.first, op.attrs.last
    outer, count, inner = prod(shape[:first]), prod(shape[first : last + 1]), prod(shape[last + 1 :])
    attrs = lowlevel.GlobalPool(1.0 if op.attrs.mean else float(count))
    if first == 2 and last == len(shape) - 1 and len(shape) in (3, 4):
        n, _, _, c = x.type.shape
        pooled = low("global_average_pool", (x,), attrs, (n, 1, 1, c), op, ":image")
        return reshape(pooled, (n, c), op.type.shape, op, "")
    rows = transpose(reshape(x, shape, (outer, count, inner), op, ":rows"), (0, 3, 1, 2), op, ":turned")
    pooled = low("global_average_pool", (view(rows, (outer, count, 1, inner), op, ":seen"),), attrs,
                 (outer, 1, 1, inner), op, ":mean")  # fmt: skip
    return reshape(pooled, (outer, inner), op.type.shape, op, "")


ROWS = (
    OpDef("reduce", ("ReduceMean", "ReduceSum"), build, lower, rules=(reduced_elements,),
          parity="ONNX Runtime adds up in float32, in an order of its own: the result may differ by one step at a tie"),
)  # fmt: skip
