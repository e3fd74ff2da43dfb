"""A division by the Euclidean norm that an exporter wrote as many small float nodes: LpNormalization again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from furiosa.compiler.graph import Op
from furiosa.compiler.ops.normalization import LpNormalization
from furiosa.compiler.ops.table import QUANTIZE, Unit, refuse

_LONGEST = 8
_SEEN_ANEW = ("Expand", "Unsqueeze", "Reshape", "Identity")
_GREATEST = float(np.finfo(np.float32).max)


class Epsilon(NamedTuple):
    """What keeps a divisor from 0: its least value, or what is ``added``; ``squared``: under the root."""

    value: float
    added: bool
    squared: bool

    def changes(self, norm: np.float32) -> bool:
        """Whether a norm of this value, or the larger ones, comes out different in float32."""
        plain = norm * norm if self.squared else norm
        return bool(plain + np.float32(self.value) != plain if self.added else self.value > plain)


@dataclass(frozen=True, slots=True)
class WrittenNorm:
    """x divided by its norm along ``axis``: the dequantized ``x``, the model's nodes from the last one up."""

    x: Op
    axis: int
    nodes: tuple[Op, ...]
    epsilons: tuple[Epsilon, ...]

    @property
    def sources(self) -> tuple[tuple[str, str], ...]:
        """The nodes that end in the last one, without it, producers first."""
        return tuple((node.node, node.attrs.op_type) for node in self.nodes[:0:-1])

    def op(self, unit: Unit) -> Op:
        """The normalization as the NPU has it, which gives 0 for zeros. Raises Refusal where that is not the same."""
        least = np.float32(unit.x().type.scale)
        if unit.clamped:
            raise refuse("activation", "an activation after LpNormalization needs a quantization in between",
                         "Relu or Clip", "none", QUANTIZE)  # fmt: skip
        if not self.epsilons:
            raise refuse("epsilon", "a written-out normalization must have an epsilon, without it zeros give NaN",
                         "none", "an epsilon", "divide by max(norm, 1e-12)")  # fmt: skip
        wrong = [epsilon.value for epsilon in self.epsilons if epsilon.changes(least)]
        if wrong:
            raise refuse("epsilon", "the epsilon of a written-out normalization must be too small to change a norm",
                         f"{max(wrong):.3g}, the least norm is {least:.3g}", "no change in float32",
                         "divide by max(norm, 1e-12)")  # fmt: skip
        return unit.op("lp_normalization", (unit.x(),), LpNormalization(self.axis))


def written_norm(last: Op) -> WrittenNorm | None:
    """The normalization that ends in a node; None for any other node.

    Read are x / d, x * Reciprocal(d) and x * (1 / d), where d is ReduceL2 along one axis or the root of a sum of
    squares, with epsilons inside or outside of the root, spread out to the shape of x or not.
    """
    for x, divisor, above in _quotients(last):
        row, epsilons = _down_to_sum(divisor)
        axis = _axis(x, row[-1]) if row else None
        squares = _squares(x, row[-1]) if row else None
        if axis is not None and squares is not None:
            return WrittenNorm(x, axis, (last, *above, *row, *squares), tuple(epsilons))
    return None


def _quotients(last: Op) -> list[tuple[Op, Op, tuple[Op, ...]]]:
    """The readings of a node as x / d: x, d, and the node that inverts d."""
    if _is(last, "Div"):
        return [(last.inputs[0], last.inputs[1], ())]
    if not _is(last, "Mul"):
        return []
    pairs = (last.inputs[:2], last.inputs[1::-1])
    return [(x, divisor, (inverse,)) for x, inverse in pairs if (divisor := _inverted(inverse)) is not None]


def _inverted(op: Op) -> Op | None:
    if _is(op, "Reciprocal"):
        return op.inputs[0]
    return op.inputs[1] if _is(op, "Div") and _number(op.inputs[0]) == 1.0 else None


def _down_to_sum(op: Op) -> tuple[list[Op], list[Epsilon]]:
    """The nodes from a divisor down to the reduction of x, and its epsilons; no nodes when it is not a norm."""
    row: list[Op] = []
    epsilons: list[Epsilon] = []
    squared = False
    while len(row) < _LONGEST and op.kind == "onnx":
        row.append(op)
        if _is(op, *(("ReduceSum", "ReduceSumSquare") if squared else ("ReduceL2",))):
            return row, epsilons
        number = next((value for x in op.inputs if (value := _number(x)) is not None), None)
        floor = _floor(op, number)
        if not squared and (_is(op, "Sqrt") or (_is(op, "Pow") and number == 0.5)):
            squared = True
        elif _is(op, "Add") and number is not None:
            epsilons.append(Epsilon(number, True, squared))
        elif floor is not None:
            epsilons.append(Epsilon(floor, False, squared))
        elif not _is(op, *_SEEN_ANEW):
            break
        op = next((x for x in op.inputs if x.kind == "onnx"), op.inputs[0])
    return [], []


def _floor(op: Op, number: float | None) -> float | None:
    """The least value that a Max with a scalar leaves, or a Clip without an upper bound."""
    if _is(op, "Max"):
        return number if len(op.inputs) == 2 else None
    if not _is(op, "Clip") or op.attrs.float("max", _GREATEST) < _GREATEST:
        return None
    if any(x.kind != "absent" and _number(x) != _GREATEST for x in op.inputs[2:]):
        return None
    return _number(op.inputs[1]) if len(op.inputs) > 1 else op.attrs.float("min", 0.0)


def _axis(x: Op, reduction: Op) -> int | None:
    """The axis that is reduced; None for several."""
    axes = reduction.attrs.ints("axes")
    if len(reduction.inputs) > 1 and reduction.inputs[1].kind == "const":
        axes = tuple(int(axis) for axis in reduction.inputs[1].value.reshape(-1))
    return axes[0] % len(x.type.shape) if len(axes) == 1 and x.kind == "dequantize" else None


def _squares(x: Op, reduction: Op) -> tuple[Op, ...] | None:
    """The node that squares x in front of a reduction that does not; None when it is about another tensor."""
    of = reduction.inputs[0]
    if not _is(reduction, "ReduceSum"):
        return () if _same(of, x) else None
    squared = (_is(of, "Pow") and _number(of.inputs[1]) == 2.0) or (_is(of, "Mul") and _same(of.inputs[1], x))
    return (of,) if squared and _same(of.inputs[0], x) else None


def _same(a: Op, b: Op) -> bool:
    """Whether two ops dequantize one tensor alike."""
    return a is b or (a.kind == b.kind == "dequantize" and a.inputs == b.inputs and a.attrs == b.attrs)


def _number(op: Op) -> float | None:
    """The value of a scalar constant of float32."""
    given = op.kind == "const" and op.type.size == 1 and op.value.dtype == np.float32
    return float(op.value.reshape(())) if given else None


def _is(op: Op, *kinds: str) -> bool:
    return op.kind == "onnx" and not op.attrs.domain and op.attrs.op_type in kinds
