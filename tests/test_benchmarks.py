"""The benchmarks run on the digit network and print what programs read; no test looks at how long anything took."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from claims import (
    ASYNC_OVERHEAD,
    ASYNC_QUEUE,
    CACHE_STORES,
    CLAIMS,
    CONVERT,
    CONVERT_SAME,
    KERNELS,
    PACE,
    QUANTIZE,
    QUEUE,
    Limit,
    broken,
    cache_hit,
    run_time,
    simulated,
    speed_up,
    throughput,
    traced,
    verdicts,
)
from document import filled
from engines import PEERS

SCRIPTS = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bench")


def run(script: str, *options: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, SCRIPTS / script, *options], capture_output=True, text=True, check=False)


def result(script: str, *options: str | Path) -> dict[str, Any]:
    done = run(script, "--json", *options)
    assert done.returncode == 0, done.stderr
    printed: dict[str, Any] = json.loads(done.stdout)
    assert (printed["schema_version"], printed["benchmark"]) == (1, script.removesuffix(".py"))
    assert printed["machine"]["cores"] >= 1
    assert 0 <= printed["background_share"] <= 1
    assert all(ratio >= 0 for ratio in printed["ratios"].values())
    return printed


def test_networks_are_made_once(folder: Path) -> None:
    made = result("networks.py", "--folder", folder, "--networks", "digits")
    file = Path(made["networks"][0]["file"])
    written = file.stat().st_mtime_ns
    assert result("networks.py", "--folder", folder, "--networks", "digits")["networks"] == made["networks"]
    assert file.stat().st_mtime_ns == written
    assert list(folder.iterdir()) == [file]


def test_inference_outputs_are_equal(folder: Path) -> None:
    options = ("--networks", "digits", "--rounds", "1", "--threads", "1")
    printed = result("inference.py", "--folder", folder, *options)
    ours = [row for row in printed["runs"] if row["engine"] not in PEERS]
    assert printed["runs"][0]["engine"] == "onnxruntime"
    assert ours
    assert {row["differences"] for row in ours} == {0}
    first = ours[0]["engine"]
    assert f"digits, 1 thread: {first} / onnxruntime" in printed["ratios"]
    if first == KERNELS:
        assert [claim["limit"] for claim in printed["claims"]] == ["at most 1.50", "at most 0.00"]
    for row in ours:
        assert row["peak_share"] is None or 0 < row["peak_share"] < 2


def test_a_peer_that_is_not_installed_is_left_out_visibly(folder: Path) -> None:
    script = SCRIPTS / "inference.py"
    words = [str(script), "--folder", str(folder), "--networks", "digits", "--rounds", "1", "--threads", "1"]
    code = (
        f"import runpy, sys; sys.modules['openvino'] = None; sys.argv = {words}; sys.path.insert(0, {str(SCRIPTS)!r})"
    )
    code += f"; runpy.run_path({str(script)!r}, run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "left out: openvino, which is not installed" in done.stderr
    assert "| onnxruntime " in done.stdout
    assert "| openvino " not in done.stdout


def test_host_steps() -> None:
    done = run("host_steps.py", "--json", "--size", "32", "--rounds", "1", "--threads", "1,4096")
    assert "left out: 4096 threads" in done.stderr
    printed = json.loads(done.stdout)
    steps = {row["step"]: row for row in printed["steps"]}
    assert steps[QUANTIZE]["tensor"] == "1x3x32x32 float32"
    assert steps[CONVERT_SAME]["median_ms"] > 0
    if printed["machine"]["kernels"] != ["reference"]:
        assert steps[CONVERT]["median_ms"] > 0
        assert {claim["limit"] for claim in printed["claims"]} == {"at most 2.00", "at most 1.50"}


def test_all_at_once_into_the_document(folder: Path, tmp_path: Path) -> None:
    options = ("--results", tmp_path, "--folder", folder, "--networks", "digits", "--rounds", "1", "--threads", "1")
    done = run("run.py", "memory", "--check", *options)
    assert done.returncode == 1, "most claims are not measured here"
    assert f"| resnet50, 1 thread: {KERNELS} / openvino" in done.stdout
    saved = json.loads((tmp_path / "memory.json").read_text())
    rows = {row["engine"]: row for row in saved["processes"]}
    assert rows["onnxruntime"]["peak_ratio"] == 1
    assert all(10 < row["peak_mib"] < 10_000 for row in rows.values())
    page = "a\n<!-- bench memory -->\nold\n<!-- end -->\nb\n<!-- bench absent -->\nkept\n<!-- end -->\n"
    lines = filled(page, tmp_path).splitlines()
    assert lines[:2] == ["a", "<!-- bench memory -->"]
    assert lines[2].startswith("| network ")
    assert "old" not in lines
    assert lines[-4:] == ["b", "<!-- bench absent -->", "kept", "<!-- end -->"]


def test_calibration(folder: Path) -> None:
    options = ("--folder", folder, "--networks", "digits", "--rounds", "1", "--images", "5", "--methods", "percentile")
    printed = result("calibration.py", *options)
    rows = [(row["side"], row["images"]) for row in printed["calibrations"]]
    assert rows == [("ours", 5), ("ours", 4), ("onnxruntime", 5)]
    assert all(10 < row["peak_mib"] < 10_000 and row["median_ms"] > 0 for row in printed["calibrations"])
    assert len(printed["ratios"]) == 3


def test_limits() -> None:
    at_most, at_least = Limit(0.85), Limit(1.8, at_least=True)
    assert [at_most.holds(value) for value in (0.84, 0.85, 0.86)] == [True, True, False]
    assert [at_least.holds(value) for value in (1.79, 1.8, 1.81)] == [False, True, True]
    above, holding = run_time("resnet50", 1, KERNELS, "onnxruntime"), speed_up("resnet50", 2, KERNELS)
    wrong = broken(verdicts({above: 0.9, holding: 1.9}))
    assert above in wrong
    assert holding not in wrong
    assert len(wrong) == len(CLAIMS) - 1, "what is not measured does not hold"


def test_cache_hits(folder: Path) -> None:
    printed = result("cache_hits.py", "--folder", folder, "--networks", "digits", "--rounds", "1")
    assert [row["process"] for row in printed["processes"]][:2] == ["compile", CACHE_STORES[0]]
    assert cache_hit("digits", CACHE_STORES[0]) in printed["ratios"]
    assert cache_hit("resnet50", CACHE_STORES[0]) in CLAIMS
    redis = cache_hit("digits", CACHE_STORES[1]) in printed["ratios"]
    assert redis == (shutil.which("redis-server") is not None)


def test_queues(folder: Path) -> None:
    printed = result("queues.py", "--folder", folder, "--requests", "200", "--rounds", "1")
    assert printed["requests"][0]["contender"] == "synchronous loop"
    assert {throughput(QUEUE), throughput(ASYNC_QUEUE), ASYNC_OVERHEAD} <= CLAIMS.keys() & printed["ratios"].keys()


def test_pace() -> None:
    printed = result("pace.py", "--convolutions", "5", "--requests", "4", "--rounds", "1")
    assert [row["workers"] for row in printed["requests"]] == ["1", "2"]
    assert [claim["claim"] for claim in printed["claims"]] == [PACE]


def test_compile_time(folder: Path) -> None:
    options = (
        "--networks",
        "digits",
        "--rounds",
        "1",
        "--operators",
        "20,40",
        "--chain-rounds",
        "1",
        "--max-ratio",
        "1e6",
    )
    printed = result("compile_time.py", "--folder", folder, *options)
    peers = ["ONNX Runtime", *(["OpenVINO"] if find_spec("openvino") else [])]
    assert [row["network"] for row in printed["networks"]] == ["digits"] * (1 + len(peers))
    assert [row["operators"] for row in printed["chains"]] == [20, 40]
    assert list(printed["ratios"]) == [f"digits: compiler / {peer}" for peer in peers]


def test_clocks(folder: Path) -> None:
    printed = result("clocks.py", "--folder", folder, "--networks", "digits", "--rounds", "1")
    assert len(printed["costs"]) == 6
    assert [claim["claim"] for claim in printed["claims"]] == [traced("digits"), simulated("digits")]


def test_start_up_above_the_limit() -> None:
    done = run("start_up.py", "--rounds", "1", "--max-ratio", "0.000001")
    assert done.returncode == 1
    assert "| furiosactl list " in done.stdout
    assert "is above 1e-06" in done.stderr
