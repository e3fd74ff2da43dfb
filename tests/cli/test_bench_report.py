"""furiosa-bench -v and --report: where the time goes, as tables and as a page."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.runtime.tiny_models import cpu_model, mixed_model, npu_model

from furiosa.cli import bench
from furiosa.isa import enf

HOSTILE = "</script><b>&{{data}}"


@pytest.fixture(autouse=True)
def own_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FURIOSA_SIM_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    model = npu_model()
    hostile = replace(model.programs[0], origins=(enf.Origin(4, HOSTILE),))
    for name, each in (("npu", model), ("mixed", mixed_model()), ("cpu", cpu_model()),
                       ("hostile", replace(model, programs=(hostile,)))):  # fmt: skip
        Path(f"{name}.enf").write_bytes(enf.dump(each))


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["furiosa-bench", *arguments])
    return bench.main()


def page_of(model: str, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> tuple[str, dict[str, Any]]:
    assert run(monkeypatch, f"{model}.enf", "-n", "100", "--report", "page.html", *arguments) == 0
    page = Path("page.html").read_text(encoding="utf-8")
    found = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    data: dict[str, Any] = json.loads(found[0])
    return page, data


def rows(table: dict[str, Any]) -> list[dict[str, Any]]:
    return [dict(zip(table["columns"], row, strict=True)) for row in table["rows"]]


def test_tables(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, "mixed.enf", "-n", "100", "-v") == 0
    report, _, tables = capsys.readouterr().out.partition("99th percentile (us)")[2].partition("\n\n")
    assert report.count("99th percentile") == 1, "the tables stand behind the whole report"
    usage, query, operators = tables.strip().split("\n\n")
    assert usage.splitlines()[1].split() == ["NPU", "1", usage.splitlines()[1].split()[-1]]
    assert [line.split()[0] for line in query.splitlines()[1:]].count("CpuCluster") == 1
    assert operators.splitlines()[0].split("  ")[0] == "operator"
    cells = operators.splitlines()[1].split()
    assert cells[:2] == ["LowLevelTable", "lookup"]
    assert cells[3] == "100.0%"
    assert cells[-2:] == [str(2 * (256 + 64 + 64)), "DMA"]


def test_page_data(monkeypatch: pytest.MonkeyPatch) -> None:
    _, data = page_of("mixed", monkeypatch, "-w", "3", "--workload", "T")
    assert data["schema_version"] == 1
    assert (data["model"], data["queries"], data["workers"], data["workload"]) == ("mixed.enf", 100, 3, "throughput")
    work, operators = rows(data["work"]), rows(data["operators"])
    first, second = data["programs"]
    assert (first["start"], first["end"], second["end"]) == (0, second["start"], data["cycles"])
    assert [item["label"] for item in work] == ["Load", "Load", "LowLevelTable", "Store"] * 2
    assert max(item["end"] for item in work) == data["cycles"]
    assert sum(row["cycles"] for row in operators) == data["cycles"]
    assert data["npu_us"] == pytest.approx(data["cycles"] * 1e6 / data["npu"]["clock_hz"], abs=0.001)
    assert max(value for _, value in data["curves"]["sram"]) == 256 + 64 + 64
    assert {part["step"] for part in data["query"]} >= {"Quantize", "Send", "Execute", "Receive", "CpuCluster"}


def test_the_page_is_self_contained(monkeypatch: pytest.MonkeyPatch) -> None:
    page, data = page_of("hostile", monkeypatch)
    assert "{{" not in page.replace("\\u003c/script\\u003e\\u003cb\\u003e\\u0026{{data}}", "")
    assert {row["node"] for row in rows(data["operators"])} == {HOSTILE}
    assert page.count("</script>") == 2
    assert not re.findall(r"""(?:src|href)=["'](?!data:)""", page)
    assert set(re.findall(r"https?://[^\s'\"]+", page)) <= {"http://www.w3.org/2000/svg"}


def test_without_npu_part(monkeypatch: pytest.MonkeyPatch) -> None:
    _, data = page_of("cpu", monkeypatch)
    assert (data["npu"], data["cycles"], data["operators"]["rows"]) == (None, 0, [])
    assert [part["step"] for part in data["query"]] == ["CpuCluster"]


def test_equal_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    assert page_of("npu", monkeypatch)[0] == page_of("npu", monkeypatch)[0]


def test_all_files_or_none(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, "npu.enf", "-o", "report.json", "--report", "no/page.html") == 2
    assert run(monkeypatch, "npu.enf", "-o", "same", "--report", "same") == 2
    assert not Path("report.json").exists()
    assert not Path("same").exists()


@pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed")
@pytest.mark.parametrize("model", ["mixed", "cpu", "hostile"])
def test_in_a_browser(model: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _, data = page_of(model, monkeypatch)
    done = subprocess.run(
        ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-dev-shm-usage", "--disable-background-networking", "--disable-component-update", "--disable-sync",
         "--enable-logging=stderr", f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom",
         (tmp_path / "page.html").as_uri()],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    assert "CONSOLE" not in done.stderr
    shown = done.stdout.partition("</main>")[0]
    assert shown.count('class="bar fill-') == len(data["work"]["rows"])
    assert shown.count("<tr>") == (1 + len(data["operators"]["rows"]) if data["npu"] else 0)
    assert f"<title>{model}.enf: where the time goes</title>" in done.stdout
