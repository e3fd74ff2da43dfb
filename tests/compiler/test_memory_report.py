"""The memory page: its data against the program and the report, and that nothing a model says can change the page."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from tests.compiler.hostile_names import HOSTILE_NAMES
from tests.compiler.quantized_nets import NETS, Net, chain, floats, mixed, resnet, tiny

from furiosa.compiler import compile_model
from furiosa.compiler.compilation import Compiled
from furiosa.compiler.memory_report import render
from furiosa.isa.instructions import Engine
from furiosa.isa.memory import Memory, accesses
from furiosa.isa.target import target
from furiosa.isa.timeline import schedule


def reusing(size: int = 640, channels: int = 64) -> bytes:
    """A network in which whole tensors come to lie where pieces of others have been."""
    net = Net()
    x = net.conv(net.conv(net.quantized("x"), 3, channels, strides=[2, 2]), channels, channels)
    x = net.add(x, net.pool("MaxPool", x, stride=1))
    return net.model(net.head(x, channels), (1, 3, size, size), "reusing", (1, 10))


CASES: dict[str, tuple[Callable[[], bytes], str]] = {
    **{name: (net, "warboy-2pe") for name, net in NETS.items()}, "wide on one PE": (NETS["wide"], "warboy"),
    "reusing": (reusing, "warboy"), "no NPU part": (floats, "warboy-2pe"),
}  # fmt: skip


def page_of(compiled: Compiled, model: str = "model.onnx") -> str:
    return render(compiled.layers["gir"], model, compiled.layers["cdfg"].graph)


class Page(HTMLParser):
    """Reads HTML as a browser does: the tags, each with its attributes, and the text inside scripts and the title."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self._open = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._open = tag

    def handle_endtag(self, tag: str) -> None:
        self._open = ""

    def handle_data(self, data: str) -> None:
        self.texts.setdefault(self._open, []).append(data)


def data_of(text: str) -> dict[str, Any]:
    """The data of a page, with rows as dictionaries."""
    data: dict[str, Any] = json.loads(Page(text).texts["script"][0])
    for key in ("work", "buffers"):
        data[key] = [dict(zip(data[key]["columns"], row, strict=True)) for row in data[key]["rows"]]
    return data


@pytest.fixture(scope="module", params=CASES)
def compiled(request: pytest.FixtureRequest) -> Compiled:
    net, npu = CASES[request.param]
    return compile_model(net(), target=npu)


def test_figures_are_those_of_the_report(compiled: Compiled) -> None:
    data, report = data_of(page_of(compiled)), compiled.report
    for key in ("npu_cycles", "npu_latency_us", "sram_peak_bytes", "dram_bytes", "macs", "batch_size"):
        assert data[key] == report[key], key
    assert (data["target"]["name"], data["target"]["sram_bytes"]) == (report["target"], report["sram_bytes"])
    assert sum(row["bytes"] for row in data["work"]) == report["dram_bytes"]
    in_sram = [row["address"] + row["size"] for row in data["buffers"] if row["memory"] == "SRAM"]
    assert max(in_sram, default=0) == report["sram_peak_bytes"]
    assert len(data["work"]) == report["npu_instructions"]


def test_title_has_the_documented_form(compiled: Compiled) -> None:
    text = page_of(compiled)
    (title,) = Page(text).texts["title"]
    found = re.fullmatch(r"computation/total: (\d+)/(\d+)\(=(\d\.\d{4})\)", title)
    assert found
    computing, cycles = int(found[1]), int(found[2])
    busy = sum(row["end"] - row["start"] for row in data_of(text)["work"] if row["engine"] == "COMPUTE")
    assert (computing, cycles) == (busy, compiled.report["npu_cycles"])
    assert float(found[3]) == round(computing / cycles if cycles else 0, 4)


def test_every_buffer_is_there_once(compiled: Compiled) -> None:
    data = data_of(page_of(compiled))
    keys = ("program", "memory", "role", "tensor", "address", "size")
    slots = Counter(
        (index, slot.memory.name, slot.role, slot.tensor, slot.address, slot.size)
        for index, program in enumerate(compiled.layers["gir"].programs)
        for slot in program.slots
    )
    assert Counter(tuple(row[key] for key in keys) for row in data["buffers"]) == slots


def test_lifetimes_lie_in_their_program(compiled: Compiled) -> None:
    data = data_of(page_of(compiled))
    programs = data["programs"]
    assert [program["start"] for program in programs] == [0, *(program["end"] for program in programs)][: len(programs)]
    assert not programs or programs[-1]["end"] == data["npu_cycles"]
    for row in (*data["work"], *data["buffers"]):
        program = programs[row["program"]]
        assert program["start"] <= row["start"] < row["end"] <= program["end"]
    for index, row in enumerate(data["buffers"]):
        low, high = row["address"], row["address"] + row["size"]
        assert row["tip"] == f"T{index}] [{row['start']}, {row['end']}) [{low:#x}, {high:#x})"


def test_buffers_that_share_bytes_do_not_share_cycles(compiled: Compiled) -> None:
    buffers = [row for row in data_of(page_of(compiled))["buffers"] if row["memory"] == "SRAM"]
    for index, a in enumerate(buffers):
        for b in buffers[:index]:
            apart = a["end"] <= b["start"] or b["end"] <= a["start"]
            assert apart or a["address"] >= b["address"] + b["size"] or b["address"] >= a["address"] + a["size"]


def test_every_access_is_in_a_buffer_and_every_use_is_an_access(compiled: Compiled) -> None:
    data = data_of(page_of(compiled))
    stream = [(index, inst) for index, program in enumerate(compiled.layers["lir"].programs)
              for inst in program.instructions]  # fmt: skip
    found: dict[str, set[tuple[int, int]]] = {"reads": set(), "writes": set()}
    for number, buffer in enumerate(data["buffers"]):
        used = [data["work"][index] for index in (*buffer["reads"], *buffer["writes"])]
        assert used or buffer["memory"] == "DRAM"
        if used:
            assert min(row["start"] for row in used) == buffer["start"]
            assert max(row["end"] for row in used) == buffer["end"]
            assert buffer["node"] in {row["node"] for row in used}
        for key, uses in found.items():
            uses |= {(index, number) for index in buffer[key]}
    for index, (program, inst) in enumerate(stream):
        for key, intervals in accesses(inst)._asdict().items():
            for memory, start, end in intervals:
                holders = [
                    number for number, row in enumerate(data["buffers"])
                    if (row["program"], Memory[row["memory"]]) == (program, memory) and (index, number) in found[key]
                    and row["address"] <= start and end <= row["address"] + row["size"]
                ]  # fmt: skip
                assert len(holders) == 1, (index, inst)


def test_work_is_the_timeline(compiled: Compiled) -> None:
    data = data_of(page_of(compiled))
    rows = iter(data["work"])
    for program, shown in zip(compiled.layers["lir"].programs, data["programs"], strict=True):
        spans = schedule(program.instructions, target(program.target)).spans
        for inst, node, (start, end), row in zip(program.instructions, program.nodes, spans, rows):
            assert (row["engine"], row["label"], row["node"]) == (inst.engine.name, inst.label, node)
            assert (row["start"] - shown["start"], row["end"] - shown["start"]) == (start, end)
            assert (row["bytes"] > 0) == (inst.engine is not Engine.COMPUTE)
    assert next(rows, None) is None


def test_fused_nodes_and_types_come_from_the_graph() -> None:
    compiled = compile_model(mixed())
    data = data_of(page_of(compiled))
    assert any(names and names[0].startswith("Relu") for names in data["fused"].values())
    assert {row["type"] for row in data["buffers"] if row["role"] == "activation"} <= {"u8 1x12x12x8", "u8 1x12x12x4"}
    alone = data_of(render(compiled.layers["gir"]))
    assert (alone["fused"], {row["type"] for row in alone["buffers"]}) == ({}, {""})


def test_the_page_makes_no_request(compiled: Compiled) -> None:
    text = page_of(compiled)
    page = Page(text)
    assert not re.search(r"https?:|//[a-z]|@import|url\((?!#)|fetch\(|XMLHttp|WebSocket|import\(|sendBeacon", text)
    assert [tag for tag, attrs in page.tags if "src" in attrs] == []
    assert [attrs["href"] for _, attrs in page.tags if "href" in attrs] == ["data:,"]
    (policy,) = (attrs["content"] for _, attrs in page.tags if "http-equiv" in attrs)
    assert policy and policy.startswith("default-src 'none';")


def test_the_same_program_gives_the_same_bytes() -> None:
    first, second = (page_of(compile_model(resnet())) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_names_are_data(name: str) -> None:
    compiled = compile_model(tiny())
    module = compiled.layers["gir"]
    plain = Page(render(module, "m", compiled.layers["cdfg"].graph))
    (program,) = module.programs
    named = replace(
        program, name=name,
        slots=tuple(replace(slot, tensor=name) for slot in program.slots),
        steps=tuple(replace(step, node=name) for step in program.steps),
    )  # fmt: skip
    text = render(replace(module, programs=(named,)), name)
    page, data = Page(text), data_of(text)
    text.encode("utf-8")
    assert page.tags == plain.tags
    assert page.texts["script"][1:] == plain.texts["script"][1:]
    assert data["model"] == data["programs"][0]["cluster"] == name
    assert {row["node"] for row in data["work"]} == {row["tensor"] for row in data["buffers"]} == {name}


def test_slots_that_people_edited() -> None:
    """A GIR can be a source: what its slots say may be impossible, the page is made all the same."""
    module = compile_model(tiny()).layers["gir"]
    (program,) = module.programs
    for change in ({"first": -5, "last": 10**9}, {"first": 9, "last": 2}, {"address": 10**12}, {"size": 0}):
        edited = replace(program, slots=tuple(replace(slot, **change) for slot in program.slots))
        data = data_of(render(replace(module, programs=(edited,))))
        assert len(data["buffers"]) == len(program.slots)
        assert all(0 <= row["start"] < row["end"] <= data["npu_cycles"] for row in data["buffers"])


@pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed")
@pytest.mark.parametrize("net", [floats, mixed, lambda: chain(300)], ids=["no NPU part", "mixed", "300 operators"])
def test_in_a_browser(net: Callable[[], bytes], tmp_path: Path) -> None:
    compiled = compile_model(net())
    path = tmp_path / "page.html"
    path.write_text(page_of(compiled, "</script> & co"), encoding="utf-8")
    done = subprocess.run(
        ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-dev-shm-usage",
         "--disable-background-networking", "--disable-component-update", "--disable-sync", "--enable-logging=stderr",
         f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", path.as_uri()],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    assert "CONSOLE" not in done.stderr
    page = Page(done.stdout)
    shown = [attrs["data-tip"] for tag, attrs in page.tags if tag == "rect" and "data-tip" in attrs]
    buffers = [row["tip"] for row in data_of(path.read_text(encoding="utf-8"))["buffers"] if row["memory"] == "SRAM"]
    assert sorted(filter(None, shown)) == sorted(buffers)
    assert page.texts["h1"] == ["</script> & co"]
