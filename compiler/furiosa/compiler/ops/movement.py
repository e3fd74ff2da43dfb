"""Operators that only move elements: concatenation, padding, transposition and changes of shape."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np

from furiosa.compiler import lowlevel
from furiosa.compiler.graph import Attrs, Op, const, real_values
from furiosa.compiler.lowlevel import Four
from furiosa.compiler.ops.layout import TO_NHWC, affine, conform, low, nchw, nhwc, reshape, spatial_axis, transpose
from furiosa.compiler.ops.table import FOLD, OpDef, Unit, four_axes, refuse, rule
from furiosa.isa import arithmetic


@dataclass(frozen=True, slots=True)
class Concat(Attrs):
    """Of ``concat``: the axis, counted from the first."""

    axis: int


@dataclass(frozen=True, slots=True)
class Pad(Attrs):
    """Of ``pad``: elements before and after on each axis, and the real value they have."""

    before: tuple[int, ...]
    after: tuple[int, ...]
    value: float


@dataclass(frozen=True, slots=True)
class Transpose(Attrs):
    """Of ``transpose``: axis i of the result is axis ``perm[i]`` of the operand."""

    perm: tuple[int, ...]


def build_concat(unit: Unit) -> Op:
    """A Concat; constants among its operands are quantized as the result is."""
    inputs = tuple(unit.x(i) for i in range(len(unit.inputs)))
    if all(x.kind == "const" for x in inputs):
        raise refuse("constant_operands", "at least one operand must be computed", "constants only",
                     "one computed", FOLD)  # fmt: skip
    return unit.op("concat", inputs, Concat(unit.node.int("axis", 1) % len(unit.out.shape)))


def lower_concat(op: Op, inputs: tuple[Op, ...]) -> Op:
    """Operands of another quantization go through a table first; of more than four axes, those around are joined."""
    shape, axis = op.type.shape, op.attrs.axis
    tables = {x: conform(x, op.type, op) for x in inputs if x.kind != "const"}
    if len(inputs) == 1:
        return tables[inputs[0]]
    if len(shape) <= 4:
        same = tuple(tables.get(x) or _laid(x, x.type.shape, op, i) for i, x in enumerate(inputs))
        attrs = lowlevel.Concat(spatial_axis(axis, len(shape)))
        return low("concat", same, attrs, nhwc(shape), op)
    joined = (prod(shape[:axis]), prod(shape[axis:]))
    parts = []
    for index, (x, old) in enumerate(zip(inputs, op.inputs)):
        rows = (joined[0], prod(old.type.shape[axis:]))
        parts.append(
            reshape(tables[x], old.type.shape, rows, op, f":part{index}") if x in tables else _laid(x, rows, op, index)
        )
    whole = low("concat", tuple(parts), lowlevel.Concat(3), nhwc(joined), op, ":joined")
    return reshape(whole, joined, shape, op, "")


def _laid(constant: Op, shape: tuple[int, ...], op: Op, index: int) -> Op:
    """A constant operand, seen with a shape, as it lies on the NPU."""
    value = np.ascontiguousarray(constant.value.reshape(nchw(shape)).transpose(TO_NHWC))
    return const(f"{op.name}:part{index}", value, constant.type.quant, op.node)


def build_pad(unit: Unit) -> Op:
    """A Pad with constant pads and value."""
    if unit.node.str("mode", "constant") != "constant":
        raise refuse("pad_mode", "padding must be with a constant", unit.node.str("mode", ""), "constant",
                     "pad with a constant")  # fmt: skip
    rank = len(unit.out.shape)
    pads = unit.node.ints("pads")
    value = unit.node.float("value", 0.0)
    if not pads:
        pads, value = _pad_operands(unit, rank)
    if min(pads, default=0) < 0:
        raise refuse("negative_pads", "pads must not be negative", min(pads), 0, "cut with a Slice instead")
    return unit.op("pad", (unit.x(),), Pad(pads[:rank], pads[rank:], value))


def _pad_operands(unit: Unit, rank: int) -> tuple[tuple[int, ...], float]:
    """Pads and value from the operands (since opset 11; axes since 18)."""
    given, constant, axes = unit.array(1), unit.constant(2), unit.array(3)
    if given is None:
        raise refuse("computed_operand", "the pads must be constant", "computed", "a constant",
                     "store the pads as an initializer")  # fmt: skip
    pads = np.zeros(2 * rank, np.int64)
    where = np.arange(rank) if axes is None else axes.reshape(-1) % rank
    pads[np.concatenate([where, where + rank])] = given.reshape(-1)
    value = 0.0
    if constant is not None and constant.kind != "absent" and constant.type.size:
        value = float(np.float32(real_values(constant).reshape(())))
    return tuple(int(p) for p in pads), value


def padding_code(op: Op) -> int:
    """The integer that a ``pad`` op fills with."""
    return int(arithmetic.quantize(np.float32(op.attrs.value), *affine(op.type)))


def lower_pad(op: Op, inputs: tuple[Op, ...]) -> Op:
    """Filled with the integer that stands for the value."""
    rank = len(op.type.shape)
    before, after = [0, 0, 0, 0], [0, 0, 0, 0]
    for axis in range(rank):
        before[spatial_axis(axis, rank)] = op.attrs.before[axis]
        after[spatial_axis(axis, rank)] = op.attrs.after[axis]
    attrs = lowlevel.Pad(_four(before), _four(after), padding_code(op) % 256)
    return low("pad", (conform(inputs[0], op.type, op),), attrs, nhwc(op.type.shape), op)


def _four(values: list[int]) -> Four:
    n, h, w, c = values
    return n, h, w, c


def build_transpose(unit: Unit) -> Op:
    """A Transpose."""
    rank = len(unit.out.shape)
    perm = unit.node.ints("perm") or tuple(reversed(range(rank)))
    return unit.op("transpose", (unit.x(),), Transpose(perm))


def merged(shape: tuple[int, ...], perm: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The same permutation on fewer axes: those of one element left out, and those that stay together made one."""
    runs: list[list[int]] = []
    order = [axis for axis in perm if shape[axis] > 1]
    place = {axis: index for index, axis in enumerate(sorted(order))}
    for axis in order:
        if runs and place[axis] == place[runs[-1][-1]] + 1:
            runs[-1].append(axis)
        else:
            runs.append([axis])
    firsts = sorted(run[0] for run in runs)
    sizes = {run[0]: prod(shape[axis] for axis in run) for run in runs}
    return tuple(sizes[first] for first in firsts), tuple(firsts.index(run[0]) for run in runs)


@rule("4 groups of axes", "write it as two transpositions")
def mergeable(op: Op) -> str | None:
    """a transposition must move at most 4 groups of axes against each other"""
    groups, _ = merged(op.inputs[0].type.shape, op.attrs.perm)
    return f"it moves {len(groups)}" if len(groups) > 4 else None


def lower_transpose(op: Op, inputs: tuple[Op, ...]) -> Op:
    """See ``permuted``."""
    return permuted(conform(inputs[0], op.type, op), op.inputs[0].type.shape, op.attrs.perm, op, "")


def permuted(x: Op, shape: tuple[int, ...], order: tuple[int, ...], like: Op, suffix: str) -> Op:
    """``x``, a tensor of the model's ``shape``, with its axes in this order; of more than four, merged before."""
    result = tuple(shape[axis] for axis in order)
    if len(result) > 4:
        fewer, order = merged(shape, order)
        x, shape = reshape(x, shape, fewer, like, f"{suffix}:merged"), fewer
    axes = [spatial_axis(axis, len(shape)) for axis in range(len(shape))]
    perm = list(range(4))
    for axis, source in enumerate(order):
        perm[axes[axis]] = axes[source]
    if len(result) <= 4:
        return transpose(x, _four(perm), like, suffix)
    turned = transpose(x, _four(perm), like, f"{suffix}:turned")
    return reshape(turned, tuple(shape[source] for source in order), result, like, suffix)


def build_reshape(unit: Unit) -> Op:
    """Any operator that keeps the order of the elements."""
    return unit.op("reshape", (unit.x(),), Attrs())


def lower_reshape(op: Op, inputs: tuple[Op, ...]) -> Op:
    """See ``layout.reshape``."""
    return reshape(conform(inputs[0], op.type, op), op.inputs[0].type.shape, op.type.shape, op, "")


ROWS = (
    OpDef("concat", ("Concat",), build_concat, lower_concat, moves_data=True, turns=True),
    OpDef("pad", ("Pad",), build_pad, lower_pad, rules=(four_axes,), moves_data=True, turns=True),
    OpDef("transpose", ("Transpose",), build_transpose, lower_transpose, rules=(mergeable,), moves_data=True),
    OpDef("reshape", ("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Dropout"), build_reshape,
          lower_reshape, moves_data=True),
)  # fmt: skip
