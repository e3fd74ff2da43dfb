"""Normalizations that exporters write as many small nodes: on the CPU they are there together, for one reason."""

from __future__ import annotations

from furiosa.compiler.alternatives import alternative
from furiosa.compiler.graph import Graph, Op, Reason

_MEANS = ("ReduceMean", "GlobalAveragePool")
_ABOVE = (("Sqrt",), ("Add",), _MEANS, ("Pow", "Mul"), ("Sub",))


def normalizations(graph: Graph) -> dict[Op, Reason]:
    """The reason of every float node of d / sqrt(mean(d ** 2) + epsilon) with d = x - mean(x)."""
    reason = Reason("normalization", "a normalization by mean and deviation stays in float32",
                    "a part of one", "BatchNormalization", alternative("LayerNormalization"))  # fmt: skip
    ends = [op for op in graph if _is(op, ("Div",)) and len(op.inputs) == 2]
    return {part: reason for op in ends for part in _parts(op)}


def _parts(divide: Op) -> list[Op]:
    """The nodes of a normalization that ends in this one, producers last; empty when it is another quotient."""
    row = [divide, divide.inputs[1]]
    for kinds in _ABOVE:
        if not _is(row[-1], kinds):
            return []
        row.append(next((x for x in row[-1].inputs if x.kind == "onnx"), row[-1]))
    difference = row[-2]
    if divide.inputs[0] is not difference:
        return []
    return [*row[:-1], *(x for x in difference.inputs if _is(x, _MEANS))]


def _is(op: Op, kinds: tuple[str, ...]) -> bool:
    return op.kind == "onnx" and not op.attrs.domain and op.attrs.op_type in kinds
