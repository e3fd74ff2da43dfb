"""The log: its level, its form, whose handlers get it, and the compile logs of deprecated sessions."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.runtime.tiny_models import SHAPE, npu_model

from furiosa.isa import enf

LINE = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z  INFO furiosa\.runtime: "
USE = f"""
import logging, sys
import numpy as np
from furiosa.runtime import sync
def use():
    with sync.create_runner("model.enf") as runner:
        runner.run(np.zeros({SHAPE}, np.float32))
"""


@pytest.fixture(autouse=True)
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("model.enf").write_bytes(enf.dump(npu_model()))


def stderr(script: str, **environment: str) -> str:
    words = [sys.executable, "-W", "ignore", "-c", script]
    done = subprocess.run(words, capture_output=True, text=True, env=os.environ | environment, check=True)
    assert done.stdout == ""
    return done.stderr


def test_what_is_opened_and_loaded() -> None:
    first, second, *third = stderr(USE + "use(); use()").splitlines()
    assert re.fullmatch(LINE + re.escape("[1] npu:0:0-1 (warboy-2pe, 128dpes)"), first)
    loaded = "Model#0001 (1 inputs, 1 outputs) is loaded to npu:0:0-1: 1 contexts (DRAM usage: 384.0 B / 16.0 GiB, SRAM"
    assert re.fullmatch(LINE + re.escape(f"{loaded} usage: 4.0 kiB / 32.0 MiB)"), second)
    assert "Model#0002" in third[1]


@pytest.mark.parametrize(("level", "lines"), [("INFO", 3), ("3", 3), ("warn", 1), ("ERROR", 0), ("OFF", 0), ("0", 0)])
def test_levels(level: str, lines: int) -> None:
    text = stderr(USE + "use()", FURIOSA_LOG_LEVEL=level, NPU_DEVNAME="npu0pe0-1")
    assert len(text.splitlines()) == lines
    assert ("WARN furiosa.npu_sim: NPU_DEVNAME will be deprecated. Use FURIOSA_DEVICES instead." in text) == (lines > 0)


def test_an_unknown_level_is_an_error() -> None:
    script = USE + "\ntry: use()\nexcept RuntimeError as error: sys.stderr.write(str(error))"
    assert "`FURIOSA_LOG_LEVEL` has an unusable value `LOUD`" in stderr(script, FURIOSA_LOG_LEVEL="LOUD")


def test_a_program_that_has_configured_logging_gets_the_records() -> None:
    script = USE + "logging.basicConfig(level=logging.INFO, format='mine %(name)s %(message).4s')\nuse()"
    assert stderr(script).splitlines() == ["mine furiosa.runtime [1] ", "mine furiosa.runtime Mode"]
    script = USE + "logging.getLogger('furiosa').setLevel(logging.ERROR)\nuse()"
    assert stderr(script) == ""


def test_compile_logs(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    Path("model.onnx").write_bytes(
        onnx.parser.parse_model(
            '<ir_version: 8, opset_import: ["" : 13]> g (float[1,3] x) => (float[1,3] y) '
            "{ a = Relu (x) b = LpNormalization (a) y = Softplus (b) }"
        ).SerializeToString()
    )
    script = (
        "from furiosa.runtime import session\nfor name in ('model.enf', 'model.onnx'): session.create(name).close()"
    )
    text = stderr(script, FURIOSA_LOG_LEVEL="WARN")
    logs = sorted((tmp_path / "logs").iterdir(), key=lambda path: path.stat().st_size)
    assert all(re.fullmatch(r"compile-\d{14}-[a-z0-9]{6}\.log", path.name) for path in logs)
    saved = [f"Saving the compilation log into {path}" for path in logs]
    assert [line for line in text.splitlines() if line.startswith("Saving")] == saved
    assert len(re.findall(r"^Using furiosa-compiler \S+ \(rev: \w+ built at \S+\)$", text, re.MULTILINE)) == 2
    assert logs[0].read_text() == ""
    hints = re.findall(r"Z  WARN furiosa\.runtime: Hint \[(\d)\]: '(\w+)' cannot be accelerated.+", logs[1].read_text())
    assert hints == [("0", "Relu"), ("1", "LpNormalization"), ("2", "Softplus")]
    assert logs[1].read_text() in text
    quiet = script.replace("(name)", "(name, compiler_hints=False)")
    assert "Hint" not in stderr(quiet, FURIOSA_LOG_LEVEL="WARN")
    assert stderr(script, FURIOSA_LOG_LEVEL="OFF", FURIOSA_TEST_IS_RUNNING="1") == ""
    (tmp_path / "file").write_text("")
    text = stderr(script, FURIOSA_LOG_LEVEL="ERROR", FURIOSA_LOG_DIR=str(tmp_path / "file" / "logs"))
    assert text == ""
