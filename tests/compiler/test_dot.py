"""The DOT graph: its operators, edges and clusters, and names that mean something to graphviz."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import Counter
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from tests.compiler.hostile_names import HOSTILE_NAMES
from tests.compiler.quantized_nets import NETS, floats, mixed, tiny

from furiosa.compiler import compile_model
from furiosa.compiler.dot import render
from furiosa.compiler.graph import Graph, Op, rebuild

_STRING = r'"((?:[^"\\]|\\.)*)"'
_NODE = re.compile(rf"(\w+) \[label={_STRING}, tooltip={_STRING}, ([^\]]*)\];")
_BOX = re.compile(rf'label={_STRING}; tooltip={_STRING}; style="rounded,filled"; fillcolor="#\w+"; color="#\w+";')
_SVG = "{http://www.w3.org/2000/svg}"
_NEEDS_DOT = pytest.mark.skipif(shutil.which("dot") is None, reason="graphviz is not installed")


class Dot:
    """A DOT text, read: labels, tool tips and styles by node, edges, and the nodes of each box by its title."""

    def __init__(self, text: str) -> None:
        self.labels: dict[str, str] = {}
        self.tooltips: dict[str, str] = {}
        self.styles: dict[str, str] = {}
        self.edges: list[tuple[str, str]] = []
        self.boxes: dict[str, list[str]] = {}
        head, *lines, end = text.rstrip("\n").split("\n")
        assert re.fullmatch(rf"digraph {_STRING} \{{", head)
        assert end == "}"
        box = ""
        for line in map(str.strip, lines):
            if edge := re.fullmatch(r"(\w+) -> (\w+);", line):
                assert not box, "an edge in a box draws its ends into the box"
                self.edges.append((edge[1], edge[2]))
            elif node := _NODE.fullmatch(line):
                self.labels[node[1]], self.tooltips[node[1]], self.styles[node[1]] = node.groups()[1:]
                if box:
                    self.boxes[box].append(node[1])
            elif title := _BOX.fullmatch(line):
                box = title[1]
                self.boxes[box] = []
            elif line == "}":
                box = ""
            else:
                assert re.match(r"graph \[|node \[|edge \[|label=<.*>;$|subgraph cluster_\d+ \{$", line), line


def seen(graph: Graph) -> list[Op]:
    return [op for op in graph if op.kind not in ("const", "absent")]


@pytest.mark.parametrize("layer", ["dfg", "ldfg"])
@pytest.mark.parametrize("net", NETS)
def test_graphs(net: str, layer: str) -> None:
    graph = compile_model(NETS[net](), target_ir=layer).layers[layer]
    dot = Dot(render(graph))
    assert len(dot.labels) == len(seen(graph)) + len(graph.outputs)
    assert {name for edge in dot.edges for name in edge} == set(dot.labels)
    assert len(dot.edges) == len(graph.outputs) + sum(
        x.kind not in ("const", "absent") for op in seen(graph) for x in op.inputs
    )
    assert dot.boxes == {}


@pytest.mark.parametrize("net", NETS)
def test_clusters_are_boxes(net: str) -> None:
    model = compile_model(NETS[net]()).layers["cdfg"]
    dot = Dot(render(model))
    expected = [c for c in model.clusters if c.device in ("npu", "cpu")]
    assert [title.split(":")[0] for title in dot.boxes] == [c.name for c in expected]
    for cluster, names in zip(expected, dot.boxes.values(), strict=True):
        shown = [op for op in cluster.ops if op.kind not in ("const", "absent")]
        assert len(names) == len(shown)
        for op, name in zip(shown, names, strict=True):
            assert f"{op.type.dtype.value} {'x'.join(map(str, op.type.shape))}" in dot.labels[name]
            assert op.name in dot.tooltips[name]
    ends = Counter(source for source, _ in dot.edges)
    assert all(ends[name] for name in dot.labels if not name.startswith("o"))


def test_reasons_are_on_the_nodes() -> None:
    dot = Dot(render(compile_model(mixed()).layers["cdfg"]))
    (sine,) = (name for name, label in dot.labels.items() if label.startswith("Sin\\n"))
    assert "has no NPU lowering" in dot.labels[sine].replace("\\n", " ")
    assert "on the CPU: `Sin` has no NPU lowering" in dot.tooltips[sine]
    assert "hint: " in dot.tooltips[sine]
    colours = {re.findall(r'fillcolor="(#\w+)"', dot.styles[names[-1]])[0] for names in dot.boxes.values()}
    assert len(colours) > 1


def test_fused_operators_and_windows_are_named() -> None:
    labels = [label.split("\\n")[0] for label in Dot(render(compile_model(mixed()).layers["cdfg"])).labels.values()]
    assert labels.count("Conv + Relu 3x3") == 2
    labels = [
        label.split("\\n")[0] for label in Dot(render(compile_model(NETS["resnet"]()).layers["cdfg"])).labels.values()
    ]
    assert "MaxPool 3x3 /2x2" in labels


def test_the_same_model_gives_the_same_bytes() -> None:
    assert len({render(compile_model(mixed()).layers["cdfg"]) for _ in range(2)}) == 1


def named(name: str) -> Graph:
    """The smallest network with this name everywhere."""
    graph: Graph = compile_model(tiny(), target_ir="ldfg").layers["ldfg"]

    def change(op: Op, inputs: tuple[Op, ...]) -> Op:
        return replace(op, inputs=inputs, name=name, node=name, sources=tuple((name, kind) for _, kind in op.sources))

    return replace(rebuild(graph, change), name=name, output_names=(name,))


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_labels_are_short_and_safe(name: str) -> None:
    text = render(named(name))
    dot = Dot(text)
    text.encode("utf-8")
    assert all(c.isprintable() or c == "\n" for c in text)
    plain = Dot(render(named("plain")))
    assert (dot.edges, dot.styles) == (plain.edges, plain.styles)
    assert max(len(line) for label in dot.labels.values() for line in label.split("\\n")) < 200
    assert len(text) < 100_000


@_NEEDS_DOT
@pytest.mark.parametrize("net", [*NETS.values(), floats])
def test_graphviz_draws_it(net: object) -> None:
    assert callable(net)
    text = render(compile_model(net()).layers["cdfg"])
    svg = ElementTree.fromstring(drawn(text))
    titles = Counter(kind.get("class") for kind in svg.iter(f"{_SVG}g"))
    dot = Dot(text)
    assert (titles["node"], titles["edge"], titles["cluster"]) == (len(dot.labels), len(dot.edges), len(dot.boxes))


@_NEEDS_DOT
def test_graphviz_shows_names_as_they_are() -> None:
    """All in one run of graphviz, which takes longer to start than to draw."""
    names = ["plain", *HOSTILE_NAMES]
    svgs = drawn("".join(render(named(name)) for name in names)).split("<?xml ")[1:]
    times = []
    for name, svg in zip(names, svgs, strict=True):
        nodes = [g for g in ElementTree.fromstring(f"<?xml {svg}").iter(f"{_SVG}g") if g.get("class") == "node"]
        if name.isprintable() and name.strip() and len(name) < 30:
            times.append(sum(text.text == name for node in nodes for text in node.iter(f"{_SVG}text")))
    assert set(times) == {times[0]}
    assert times[0] > 5


def drawn(text: str) -> str:
    done = subprocess.run(["dot", "-Tsvg"], input=text.encode(), capture_output=True, timeout=120, check=True)
    assert done.stderr == b""
    return done.stdout.decode()
