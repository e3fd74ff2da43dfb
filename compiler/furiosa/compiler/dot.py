"""A graph as DOT (graphviz), coloured by where its operators run."""

from __future__ import annotations

from furiosa.compiler.graph import Graph, Op
from furiosa.compiler.lowlevel import KINDS
from furiosa.compiler.ops import OPS

_COLOURS = {"npu": "#cfe8cf", "cpu": "#f6d5c4", "host": "#dfe6f2", "model": "#eeeeee"}


def render(graph: Graph) -> str:
    """The graph as DOT text: a box an operator, with name, shape and element type; constants are left out."""
    ops = [op for op in graph if op.kind not in ("const", "absent")]
    number = {op: index for index, op in enumerate(ops)}
    lines = [f"digraph {_quoted(graph.name)} {{", '  node [shape=box, style="rounded,filled", fontname="Helvetica"];']
    lines += [f'  n{number[op]} [label={_quoted(_label(op))}, fillcolor="{_COLOURS[_device(op)]}"];' for op in ops]
    lines += [f"  n{number[x]} -> n{number[op]};" for op in ops for x in op.inputs if x in number]
    lines += [
        f'  o{i} [label={_quoted(name)}, fillcolor="{_COLOURS["model"]}"];\n  n{number[op]} -> o{i};'
        for i, (op, name) in enumerate(zip(graph.outputs, graph.output_names)) if op in number
    ]  # fmt: skip
    return "\n".join([*lines, "}"]) + "\n"


def _label(op: Op) -> str:
    kind = op.attrs.op_type if op.kind == "onnx" else op.kind
    shape = "x".join(map(str, op.type.shape))
    reason = f"\nCPU: {op.cpu}" if op.cpu else ""
    return f"{kind}\n{op.name}\n{op.type.dtype.value} {shape}{reason}"


def _device(op: Op) -> str:
    if op.kind == "input":
        return "model"
    if op.kind in KINDS or op.kind in OPS:
        return "npu"
    return "cpu" if op.kind in ("onnx", "project") else "host"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
