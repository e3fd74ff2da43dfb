"""A model as DOT (graphviz): a box an operator, grouped by the clusters that run as one step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from textwrap import wrap

from furiosa.compiler.cdfg import Clusters
from furiosa.compiler.cluster import Cluster
from furiosa.compiler.graph import Graph, Op
from furiosa.compiler.lowlevel import KINDS
from furiosa.compiler.ops import OPS

_HEAD = """\
  graph [rankdir=TB, ranksep=0.22, nodesep=0.15, fontname="Helvetica", fontsize=11, labelloc=t, labeljust=l];
  node [shape=box, margin="0.09,0.04", height=0.2, fontname="Helvetica", fontsize=9, penwidth=1.2];
  edge [arrowsize=0.5, color="#57606a"];"""
# Blue and orange are told apart by everybody; shape and border say the same again.
_NODES = {
    "npu": 'style="rounded,filled", fillcolor="#cfe4f7", color="#0a5aa8"',
    "cpu": 'style="filled,bold", fillcolor="#fbd9b5", color="#a04a00"',
    "host": 'style="filled,dashed", fillcolor="#f2f4f6", color="#57606a"',
    "model": 'shape=oval, style=filled, fillcolor="#ffffff", color="#1b2027"',
}
_BOXES = {"npu": ("NPU", "#f0f6fc", "#0a5aa8"), "cpu": ("CPU", "#fef4ea", "#a04a00")}
_LEGEND = (("#cfe4f7", "NPU"), ("#fbd9b5", "CPU, with the reason"), ("#f2f4f6", "layout, by the host"))
_UNSEEN = ("const", "absent")
_LABEL, _LINE, _TOOLTIP = 30, 32, 1000


def render(model: Graph | Clusters) -> str:
    """The model as DOT text: operators with shape and element type, producers first; constants are left out.

    Of a model in the CDFG, the clusters are boxes around their operators; a Dequantize that several clusters repeat is
    in each of them. Labels are short, tool tips have the full names.
    """
    graph = model.graph if isinstance(model, Clusters) else model
    return "\n".join([f"digraph {_quoted(graph.name)} {{", _HEAD, f"  label=<{_legend(graph.name)}>;",
                      *_Nodes(graph).lines(model), "}"]) + "\n"  # fmt: skip


class _Nodes:
    """The operators written so far, by the name of their node."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._names: dict[Op, str] = {}
        self._edges: list[str] = []
        self._count = 0

    def lines(self, model: Graph | Clusters) -> Iterator[str]:
        """The operators, cluster by cluster, the model's outputs, then all edges."""
        yield from self._ops([op for op in self._graph.inputs if op.kind == "input"], "  ")
        if isinstance(model, Clusters):
            for index, cluster in enumerate(model.clusters):
                yield from self._cluster(index, cluster)
        else:
            yield from self._ops([op for op in self._graph if op.kind != "input"], "  ")
        for index, (op, name) in enumerate(zip(self._graph.outputs, self._graph.output_names)):
            yield f"  o{index} [label={_quoted(_short(name))}, tooltip={_quoted(name)}, {_NODES['model']}];"
            if op in self._names:
                self._edges.append(f"  {self._names[op]} -> o{index};")
        yield from self._edges  # last: an edge inside a box would draw both its ends into the box

    def _cluster(self, index: int, cluster: Cluster) -> Iterator[str]:
        if cluster.device not in _BOXES:
            yield from self._ops(cluster.ops, "  ")
            return
        device, fill, colour = _BOXES[cluster.device]
        count = sum(_device(op) == cluster.device for op in cluster.ops)
        label = _quoted(f"{cluster.name}: {count} {'operator' if count == 1 else 'operators'} on the {device}")
        yield f"  subgraph cluster_{index} {{"
        yield f'    label={label}; tooltip={label}; style="rounded,filled"; fillcolor="{fill}"; color="{colour}";'
        yield from self._ops(cluster.ops, "    ")
        yield "  }"

    def _ops(self, ops: Sequence[Op], indent: str) -> Iterator[str]:
        for op in ops:
            if op.kind in _UNSEEN:
                continue
            name = self._names[op] = f"n{self._count}"
            self._count += 1
            yield (f"{indent}{name} [label={_quoted(*_label(op))}, tooltip={_quoted(*_tooltip(op))}, "
                   f"{_NODES[_device(op)]}];")  # fmt: skip
            self._edges += [f"  {self._names[x]} -> {name};" for x in op.inputs if x in self._names]


def _label(op: Op) -> list[str]:
    if op.kind == "input":
        return [_short(op.name), _type(op)]
    reason = wrap(f"CPU: {op.cpu}", _LINE) if op.cpu else []
    node = [_short(op.node)] if op.node and op.kind not in ("lower", "unlower") else []
    return [_short(_what(op)), _type(op), *node, *reason]


def _tooltip(op: Op) -> list[str]:
    """Everything about the operator: the nodes it stands for, its result, and why it is on the CPU."""
    nodes = [f"{kind} {name}" for name, kind in op.sources] or [f"{op.kind} {op.node}"]
    reason = [f"on the CPU: {op.cpu}", *([f"hint: {op.cpu.hint}"] if op.cpu.hint else [])] if op.cpu else []
    return [*nodes, f"result {op.name}: {_type(op)}", *reason]


def _what(op: Op) -> str:
    """What the operator does: the model's operators that it stands for, with the window."""
    if op.kind == "onnx":
        return str(op.attrs.op_type)
    kinds = " + ".join(dict.fromkeys(kind for _, kind in op.sources)) or op.kind.removeprefix("npu.")
    kernel, strides = getattr(op.attrs, "kernel", None), getattr(op.attrs, "strides", None)
    window = f" {_by(kernel)}" if kernel else ""
    return f"{kinds}{window}{f' /{_by(strides)}' if window and strides and max(strides) > 1 else ''}"


def _type(op: Op) -> str:
    return f"{op.type.dtype.value} {_by(op.type.shape) or 'scalar'}"


def _by(extents: Sequence[int]) -> str:
    return "x".join(map(str, extents))


def _device(op: Op) -> str:
    if op.kind == "input":
        return "model"
    if op.kind in KINDS or op.kind in OPS:
        return "npu"
    return "cpu" if op.kind in ("onnx", "project") else "host"


def _short(name: str) -> str:
    """The name without its middle when it is long: the ends tell names apart."""
    half = _LABEL // 2
    return name if len(name) <= _LABEL else f"{name[: half - 4]}…{name[-half - 3 :]}"


def _legend(name: str) -> str:
    """The title of the picture with the meaning of the colours, as graphviz' HTML."""
    cells = "".join(f'<td bgcolor="{colour}" border="1">{meaning}</td>' for colour, meaning in _LEGEND)
    title = escape(_printable(name)[:200]) or "model"  # graphviz accepts no empty cell
    return f'<table border="0" cellspacing="4"><tr><td border="0"><b>{title}</b></td>{cells}</tr></table>'


def _quoted(*lines: str) -> str:
    """Lines as one DOT string. Graphviz resolves entities in it; what cannot be printed becomes a replacement mark."""
    cut = (
        _printable(line)[:_TOOLTIP].replace("&", "&amp;").replace("\\", "\\\\").replace('"', '\\"') for line in lines
    )
    return '"' + "\\n".join(cut) + '"'


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
