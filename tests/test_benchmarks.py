"""The benchmarks run on the digit network and print what programs read; no test looks at how long anything took."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

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
    assert all(ratio > 0 for ratio in printed["ratios"].values())
    return printed


def test_networks_are_made_once(folder: Path) -> None:
    made = result("networks.py", "--folder", folder, "--networks", "digits")
    file = Path(made["networks"][0]["file"])
    written = file.stat().st_mtime_ns
    assert result("networks.py", "--folder", folder, "--networks", "digits")["networks"] == made["networks"]
    assert file.stat().st_mtime_ns == written
    assert list(folder.iterdir()) == [file]


def test_inference_outputs_are_equal(folder: Path) -> None:
    rows = result("inference.py", "--folder", folder, "--networks", "digits", "--rounds", "1", "--threads", "1")["runs"]
    assert rows[0]["engine"] == "onnxruntime"
    assert len(rows) > 1
    assert {row["outputs"] for row in rows} == {"equal"}


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
    assert [row["network"] for row in printed["networks"]] == ["digits", "digits"]
    assert [row["operators"] for row in printed["chains"]] == [20, 40]
    assert list(printed["ratios"]) == ["digits: compiler / ONNX Runtime"]


def test_start_up_above_the_limit() -> None:
    done = run("start_up.py", "--rounds", "1", "--max-ratio", "0.000001")
    assert done.returncode == 1
    assert "| furiosactl list " in done.stdout
    assert "is above 1e-06" in done.stderr
