"""Normalizations that exporters write as many small nodes: on the CPU they are there together, for one reason."""

from __future__ import annotations

from furiosa.compiler.alternatives import alternative
from furiosa.compiler.graph import Graph, Op, Reason
from furiosa.compiler.written_norms import written_norm

_MEANS = ("ReduceMean", "GlobalAveragePool")
_ABOVE = (("Sqrt",), ("Add",), _MEANS, ("Pow", "Mul"), ("Sub",))


def normalizations(graph: Graph) -> dict[Op, Reason]:
    """The reason of every float node of d / sqrt(mean(d ** 2) + epsilon) with d = x - mean(x), and of x / norm(x)."""
    reason = Reason("normalization", "a normalization by mean and deviation stays in float32",
                    "a part of one", "BatchNormalization", alternative("LayerNormalization"))  # fmt: skip
    ends = [op for op in graph if _is(op, ("Div",)) and len(op.inputs) == 2]
    return {part: reason for op in ends for part in _parts(op)} | _norms(graph)


def _norms(graph: Graph) -> dict[Op, Reason]:
    """The parts of each division by a norm have the reason of the division."""
    found = ((op, written_norm(op)) for op in graph if op.cpu is not None)
    return {part: op.cpu for op, norm in found if norm is not None and op.cpu is not None for part in norm.nodes}


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
