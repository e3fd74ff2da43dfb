"""furiosactl top: its columns, its arithmetic, and its view of a device at work."""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from furiosa.cli.top import stamp
from furiosa.npu_sim.devices import Counters, Load, open_devices

RUN = "import sys; from furiosa.cli.furiosactl import main; sys.exit(main())"
HEAD = [
    "NOTE: furiosa top is under development. Usage and output formats may change.",
    "Please enter Ctrl+C to stop.",
    "Datetime                        PID       Device        NPU(%)   Comp(%)   I/O(%)   Command",
]


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FURIOSA_SIM_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if path))


def printed(*arguments: str) -> list[str]:
    command = [sys.executable, "-c", RUN, "top", "--interval", "20", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def counters(time_ns: int, task: int, compute: int) -> Counters:
    return Counters(time_ns, 0, task, compute, task - compute)


@pytest.mark.parametrize(
    ("task", "compute", "expected"),
    [
        (0, 0, Load(0.0, 0.0, 0.0)),
        (500, 400, Load(0.5, 0.8, 0.2)),
        (5000, 5000, Load(1.0, 1.0, 0.0)),  # the simulator was faster than the card
    ],
)
def test_load_is_modelled_time_over_time(task: int, compute: int, expected: Load) -> None:
    found = Load.between(counters(7, 100, 50), counters(1007, 100 + task, 50 + compute), clock_hz=1_000_000_000)
    assert (found.npu, found.compute, found.io) == pytest.approx((expected.npu, expected.compute, expected.io))


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (1679392555699483936, "2023-03-21T09:55:55.699483936Z"),
        (1679392558139291220, "2023-03-21T09:55:58.13929122Z"),
        (1679392558000000000, "2023-03-21T09:55:58Z"),
        (1679392560000000010, "2023-03-21T09:56:00.00000001Z"),
    ],
)
def test_stamp_drops_trailing_zeros_of_the_fraction(nanoseconds: int, text: str) -> None:
    assert stamp(nanoseconds) == text


def test_an_idle_host_shows_the_heading_only() -> None:
    assert printed("--count", "2") == HEAD


def test_lines_have_the_documented_columns() -> None:
    (device,) = open_devices("npu0pe0-1")
    with device:
        device.charge(1000, 900, 100)
        lines = printed("--count", "3")
    assert lines[:3] == HEAD
    assert len(lines) == 6
    for line in lines[3:]:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d*[1-9])?Z *", line[:32])
        assert line[32:42].strip() == str(os.getpid())
        assert line[42:52].strip() == "npu0pe0-1"
        assert [line[52:62], line[62:72], line[72:81]] == ["      0.00", "      0.00", "     0.00"]
        assert line[81:84] == "   "
        assert "pytest" in line[84:] or "python" in line[84:]


def test_json_is_one_object_a_line() -> None:
    (device,) = open_devices("npu0pe1")
    with device:
        records = [json.loads(line) for line in printed("--count", "2", "--format", "json")]
    assert [record["device"] for record in records] == ["npu0pe1", "npu0pe1"]
    assert list(records[0]) == [
        "datetime", "pid", "device", "npu_percent", "comp_percent", "io_percent", "command",
    ]  # fmt: skip


def test_csv_has_a_head() -> None:
    (device,) = open_devices("npu0pe0")
    with device:
        rows = list(csv.DictReader(printed("--count", "1", "--format", "csv")))
    assert [(row["device"], row["npu_percent"]) for row in rows] == [("npu0pe0", "0.0")]


def test_interrupt_is_the_way_to_stop() -> None:
    process = subprocess.Popen([sys.executable, "-c", RUN, "top"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(2)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, b"")
