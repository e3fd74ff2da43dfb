"""The programs in examples/ run, and what they show is what they promise."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def run(program: str, *arguments: str, cwd: Path | None = None) -> str:
    """What a program prints; it must end well."""
    command = [sys.executable, str(EXAMPLES / program), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_quantize_digits() -> None:
    out = run("quantize_digits.py")
    exact = float(re.search(r"^float32 +([\d.]+)%", out, re.MULTILINE)[1])  # type: ignore[index]  # it is there
    rows = re.findall(r"^(\w+_A?SYM) +([\d.]+)%   (-?[\d.]+) to ([\d.]+) +-?[\d.]+ to [\d.]+$", out, re.MULTILINE)
    assert len(rows) == 10
    for method, accuracy, low, high in rows:
        assert float(accuracy) >= exact - (1.0 if method.startswith("MIN_MAX") else 0.5), method
        assert float(low) < float(high)


def test_uint8_input() -> None:
    out = run("uint8_input.py")
    assert float(re.search(r"pixels: ([\d.]+)%", out)[1]) > 98  # type: ignore[index]  # it is there
    assert re.search(r"^float32 +Quantize -> RunNpu", out, re.MULTILINE)
    assert re.search(r"^uint8 +Quantize -> RunNpu", out, re.MULTILINE)
    measured = [float(time) for time in re.findall(r"Quantize: ([\d.]+) us", out)]
    assert measured[1] < measured[0]


def test_int8_output() -> None:
    out = run("int8_output.py")
    assert out.startswith("Quantize -> Lower -> RunNpu -> Unlower\noutput: int8, accuracy 9")
    assert float(re.search(r"output: ([\d.]+) quantization", out)[1]) <= 0.5  # type: ignore[index]  # it is there


def test_permuted_input() -> None:
    assert run("permuted_input.py").splitlines() == [
        'TensorDesc(name="images", shape=(1, 3, 640, 640), dtype=UINT8, format=NCHW, size=1228800, len=1228800)',
        "  Lower runs on the NPU",
        'TensorDesc(name="images", shape=(1, 640, 640, 3), dtype=UINT8, format=NHWC, size=1228800, len=1228800)',
        "  Lower on the host moves nothing",
        "equal results: True",
    ]


def test_profiling(tmp_path: Path) -> None:
    out = run("profiling.py", "trace.json", cwd=tmp_path)
    rows = re.findall(r"^(host|NPU|program) +(\S.*?) +(\d+) +[\d.]+$", out, re.MULTILINE)
    counts = {(where, name): int(count) for where, name, count in rows}
    assert counts["host", "Inference"] == counts["host", "Quantize"] == counts["program", "image 0"] * 5 == 5
    assert {("NPU", "LowLevelConv2d"), ("NPU", "LowLevelMaxPool2d"), ("host", "Compile")} <= counts.keys()
    assert isinstance(json.loads((tmp_path / "trace.json").read_text()), list)
