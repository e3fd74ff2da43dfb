"""The report, its table, the placement rows, the DOT graph and the memory page."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from tests.compiler.quantized_nets import floats, mixed, resnet, tiny

from furiosa.compiler import compile_model
from furiosa.compiler.dot import render as dot
from furiosa.compiler.memory_report import render as memory_page
from furiosa.compiler.report import render

KEYS = {
    "schema_version": int, "target": str, "batch_size": int, "macs": int, "npu_clusters": int, "cpu_clusters": int,
    "npu_instructions": int, "npu_cycles": int, "npu_latency_us": float, "sram_peak_bytes": int, "sram_bytes": int,
    "dram_bytes": int, "placement": list,
}  # fmt: skip
ROW = ("node", "op", "device", "reason_code", "reason", "actual", "limit", "hint")
VOID = ("meta", "br", "img")


@pytest.mark.parametrize("model", [tiny, mixed, resnet, floats])
def test_keys_and_types(model: object) -> None:
    assert callable(model)
    report = compile_model(model()).report
    assert {key: type(value) for key, value in report.items()} == KEYS
    for row in report["placement"]:
        assert tuple(row) == ROW
        assert all(isinstance(value, str) for value in row.values())
        assert row["device"] in ("npu", "cpu")
        assert bool(row["reason"]) == bool(row["reason_code"]) == (row["device"] == "cpu")


def test_latency_is_cycles_at_two_gigahertz() -> None:
    report = compile_model(resnet()).report
    assert report["npu_latency_us"] == pytest.approx(report["npu_cycles"] / 2000, abs=1e-3)


def test_every_node_of_the_model_has_one_row() -> None:
    """Nodes of the model that compute, by name; Quantize and Dequantize nodes inside the NPU part are types."""
    rows = compile_model(mixed()).report["placement"]
    assert len({row["node"] for row in rows}) == len(rows)
    operators = [row["op"] for row in rows if row["reason_code"] != "boundary_layout"]
    assert sorted(operators) == ["Conv", "Conv", "Relu", "Relu", "Sin"]
    (sine,) = (row for row in rows if row["op"] == "Sin")
    assert (sine["device"], sine["reason_code"]) == ("cpu", "no_lowering")
    assert "has no NPU lowering" in sine["reason"]


def test_table() -> None:
    text = render(compile_model(mixed(), target="warboy").report)
    table, _, reasons = re.sub(r"\d[\d,.]*", "#", text).partition("\nOn the CPU:\n")
    assert re.fullmatch(r"     # x Sin: .*has no NPU lowering.* \(Sin#\)\n", reasons)
    assert table == (
        "Target              : warboy, batch size #\n"
        "Operators           : # on the NPU, # on the CPU\n"
        "Clusters            : # NPU, # CPU\n"
        "Work                : # M MAC in # instructions\n"
        "SRAM peak           : # of # MiB\n"
        "DRAM traffic        : # MiB\n"
        "NPU time (modelled) : # cycles, # us\n"
    )
    assert "Operators           : 4 on the NPU, 1 on the CPU\n" in text


def test_a_model_without_npu_part_has_a_report_too() -> None:
    report = compile_model(floats()).report
    assert (report["npu_clusters"], report["npu_cycles"], report["macs"], report["cpu_clusters"]) == (0, 0, 0, 1)
    assert "0 on the NPU, 1 on the CPU" in render(report)


def read_dot(text: str) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """Nodes with their labels, and edges: every line must be one of the forms that are written."""
    head, style, *lines, end = text.rstrip("\n").split("\n")
    assert re.fullmatch(r'digraph "(?:[^"\\]|\\.)*" \{', head)
    assert style.startswith("  node [") and end == "}"
    nodes, edges = {}, []
    for line in lines:
        if edge := re.fullmatch(r"  (\w+) -> (\w+);", line):
            edges.append((edge[1], edge[2]))
            continue
        node = re.fullmatch(r'  (\w+) \[label="((?:[^"\\]|\\.)*)", fillcolor="(#\w{6})"\];', line)
        assert node, line
        nodes[node[1]] = node[2]
    return nodes, edges


@pytest.mark.parametrize("layer", ["dfg", "ldfg"])
def test_dot(layer: str) -> None:
    graph = compile_model(mixed()).layers[layer]
    nodes, edges = read_dot(dot(graph))
    assert {name for edge in edges for name in edge} == set(nodes)
    shown = [op for op in graph if op.kind not in ("const", "absent")]
    assert len(nodes) == len(shown) + len(graph.outputs)
    assert any("has no NPU lowering" in label for label in nodes.values())


class Page(HTMLParser):
    """Reads HTML and insists on matching tags."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: dict[str, list[str]] = {}
        self.rects = 0

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in VOID:
            self.open.append(tag)
        self.rects += tag == "rect"

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open:
            self.texts.setdefault(self.open[-1], []).append(data)


def test_memory_page() -> None:
    compiled = compile_model(mixed())
    page = Page()
    text = memory_page(compiled.layers["gir"])
    page.feed(text)
    assert page.open == []
    title = page.texts["h1"][0]
    found = re.fullmatch(r"computation/total: (\d+)/(\d+)\(=(0\.\d{4})\)", title)
    assert found
    assert text.count(f"<title>{title}</title>") == 1
    assert int(found[2]) == compiled.report["npu_cycles"]
    assert float(found[3]) == round(int(found[1]) / int(found[2]), 4)
    assert page.texts["h2"] == ["pe#0:exe#0", "pe#0:exe#1"]
    tips = [tip for tip in page.texts["title"] if tip.startswith("T")]
    assert tips
    assert all(re.match(r"T\d+\] \[\d+, \d+\) \[0x[0-9a-f]+, 0x[0-9a-f]+\) ", tip) for tip in tips)
    assert page.rects == len(page.texts["title"]) - 1


def test_memory_page_without_npu_part() -> None:
    page = Page()
    page.feed(memory_page(compile_model(floats()).layers["gir"]))
    assert page.texts["h1"] == ["computation/total: 0/0(=0.0000)"]
