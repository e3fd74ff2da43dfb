"""ReduceMean, ReduceSum and ReduceL2 over axes that lie next to each other."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from furiosa.compiler import lowlevel
from furiosa.compiler.graph import Attrs, Op
from furiosa.compiler.ops.layout import innermost, low, nhwc, reshape, transpose, view
from furiosa.compiler.ops.pool import no_clamp
from furiosa.compiler.ops.table import OpDef, Unit, refuse, rule

_MOST = 1 << 22
_WHAT = {"ReduceMean": "mean", "ReduceSum": "sum", "ReduceL2": "norm"}


@dataclass(frozen=True, slots=True)
class Reduce(Attrs):
    """Of ``reduce``: from which axis to which (included), and whether the ``mean``, the ``sum`` or the ``norm``."""

    first: int
    last: int
    what: str


def build(unit: Unit) -> Op:
    """A reduction with constant axes."""
    no_clamp(unit)
    x = unit.x()
    shape = x.type.shape
    given = unit.array(1)
    axes = unit.node.ints("axes") or (tuple(int(a) for a in given.reshape(-1)) if given is not None else ())
    if not axes and unit.node.int("noop_with_empty_axes", 0):
        return unit.op("reduce", (x,), Reduce(0, -1, "mean"))
    reduced = sorted({a % len(shape) for a in axes} or range(len(shape)))
    first, last = reduced[0], reduced[-1]
    if any(shape[axis] > 1 for axis in set(range(first, last + 1)).difference(reduced)):
        raise refuse("reduced_axes", "the axes of a Reduce must lie next to each other", list(reduced),
                     "neighbours", "reduce in two steps, or transpose before it")  # fmt: skip
    return unit.op("reduce", (x,), Reduce(first, last, _WHAT[unit.node.op_type]))


@rule(_MOST, "reduce in two steps")
def reduced_elements(op: Op) -> str | None:
    """a Reduce can be over at most 4194304 elements"""
    count = prod(op.inputs[0].type.shape[op.attrs.first : op.attrs.last + 1])
    return f"{count}" if count > _MOST else None


def lower(op: Op, inputs: tuple[Op, ...]) -> Op:
    """The mean of an image, other axes are brought to where its rows are; the norm of the channels."""
    x, shape, first, last = inputs[0], op.inputs[0].type.shape, op.attrs.first, op.attrs.last
    if op.attrs.what == "norm":
        rows, (outer, _, inner) = innermost(x, shape, range(first, last + 1), op)
        norms = low("reduce_l2", (rows,), Attrs(), nhwc((outer, 1, inner)), op, ":norms")
        return reshape(norms, (outer, 1, inner), op.type.shape, op, "")
    outer, count, inner = prod(shape[:first]), prod(shape[first : last + 1]), prod(shape[last + 1 :])
    attrs = lowlevel.GlobalPool(1.0 if op.attrs.what == "mean" else float(count))
    if first == 2 and last == len(shape) - 1 and len(shape) in (3, 4):
        n, _, _, c = x.type.shape
        pooled = low("global_average_pool", (x,), attrs, (n, 1, 1, c), op, ":image")
        return reshape(pooled, (n, c), op.type.shape, op, "")
    rows = transpose(reshape(x, shape, (outer, count, inner), op, ":rows"), (0, 3, 1, 2), op, ":turned")
    pooled = low("global_average_pool", (view(rows, (outer, count, 1, inner), op, ":seen"),), attrs,
                 (outer, 1, 1, inner), op, ":mean")  # fmt: skip
    return reshape(pooled, (outer, inner), op.type.shape, op, "")


ROWS = (
    OpDef("reduce", ("ReduceMean", "ReduceSum", "ReduceL2"), build, lower, rules=(reduced_elements,),
          parity="ONNX Runtime adds up in float32, in an order of its own: the result may differ by one step at a tie"),
)  # fmt: skip
