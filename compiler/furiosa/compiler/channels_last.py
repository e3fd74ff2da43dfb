"""DFG pass: the reductions that ONNX Runtime computes with the channels last, which decides the order of their sums.

It has the images of its integer convolutions so, and transposes in front of the first and behind the last of them:
transpositions move through what lies between two convolutions and are gone where they meet.
"""

from __future__ import annotations

from dataclasses import replace

from furiosa.compiler.graph import Graph, Op, consumers, rebuild, with_inputs
from furiosa.compiler.ops import OPS
from furiosa.compiler.ops.conv import Conv


def sum_channels_last(graph: Graph) -> Graph:
    """Reductions of images between integer convolutions are marked."""
    behind: dict[Op, bool] = {}
    for op in graph:
        computed = [x for x in op.inputs if x.kind != "const"]
        passed = _turns(op) and bool(computed) and all(behind[x] for x in computed)
        behind[op] = passed or _in_integers(op)
    readers = consumers(graph)
    before: dict[Op, bool] = {}
    for op in reversed(list(graph)):
        before[op] = any(_in_integers(y) or (_turns(y) and before[y]) for y in readers[op])

    def change(op: Op, inputs: tuple[Op, ...]) -> Op:
        between = op.kind == "reduce" and len(op.type.shape) == 4 and behind[op] and before[op]
        op = with_inputs(op, inputs)
        return replace(op, attrs=replace(op.attrs, channels_last=True)) if between else op

    return rebuild(graph, change)


def _turns(op: Op) -> bool:
    return op.kind in OPS and OPS[op.kind].turns


def _in_integers(op: Op) -> bool:
    return isinstance(op.attrs, Conv) and not op.attrs.in_float32
