"""furiosa-bench: both reports to the letter, notes on stderr, and one message with an exit status for every mistake."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.runtime.tiny_models import cpu_model, npu_model

from furiosa.cli import bench
from furiosa.isa import enf
from furiosa.isa.version import built, version_info

# One query: 64 bytes each way over the host link (11 cycles), the program 1213 cycles, at 2 GHz.
LATENCY_REPORT = """\
======================================================================
This benchmark was executed with latency-workload which prioritizes latency of individual queries over throughput.
1000 queries executed with batch size 1
Latency stats are as follows
QPS(Throughput): 1619433.20/s

Per-query latency:
Min latency (us)    : 1
Max latency (us)    : 1
Mean latency (us)   : 1
50th percentile (us): 1
95th percentile (us): 1
99th percentile (us): 1
99th percentile (us): 1
"""
NOTE = (
    "note: the figures are modelled device time (NPU execution and host link); "
    "host steps are not in it: Quantize, Lower, Unlower, Dequantize\n"
)


@pytest.fixture(autouse=True)
def own_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FURIOSA_SIM_STATE_DIR", str(tmp_path / "state"))
    for name in ("FURIOSA_DEVICES", "NPU_DEVNAME", "FURIOSA_PROFILER_OUTPUT_PATH", "FURIOSA_SIM_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    Path("model.enf").write_bytes(enf.dump(npu_model()))


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["furiosa-bench", *arguments])
    return bench.main()


def test_text_report(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, "./model.enf", "-n", "1000") == 0
    out, err = capsys.readouterr()
    assert out == LATENCY_REPORT
    assert err == NOTE


def test_throughput_workload(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    outputs = []
    for workload in ("T", "throughput"):
        assert run(monkeypatch, "model.enf", "--workload", workload, "-w", "2", "-t", "2", "-n", "64") == 0
        outputs.append(capsys.readouterr().out)
    assert outputs[0] == outputs[1]
    lines = outputs[0].splitlines()
    assert "throughput-workload" in lines[1]
    assert lines[2] == "64 queries executed with batch size 1"
    assert float(lines[4].removeprefix("QPS(Throughput): ").removesuffix("/s")) > 1619433.20


def test_json_report(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, "./model.enf", "-n", "1000", "-o", "report.json", "-b", "1") == 0
    assert capsys.readouterr().out == LATENCY_REPORT
    text = Path("report.json").read_text()
    digest = hashlib.md5(Path("model.enf").read_bytes()).hexdigest()
    version = version_info()
    microsecond = "1 us"
    expected = {
        "model_data": {"path": "./model.enf", "md5": f"{digest}  ./model.enf"},
        "compiler_version": f"{version.version}-{version.stage} (rev: {version.hash[:9]} built_at: {built()})",
        "hal_version": f"Version: {version.version}",
        "git_revision": version.hash[:7],
        "result": {
            "mode": "Latency",
            "total run time": "618 us",
            "total num queries": 1000,
            "batch size": 1,
            "qps": "1619433.20/s",
            "latency stats": {
                "min": microsecond,
                "max": microsecond,
                "mean": microsecond,
                "50th percentile": microsecond,
                "95th percentile": microsecond,
                "99th percentile": microsecond,
                "99.9th percentile": microsecond,
            },
        },
    }
    assert text == json.dumps(expected, indent=4) + "\n"


def test_duration_is_modelled_time(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, "model.enf", "--duration", "0.001") == 0
    queries = int(capsys.readouterr().out.splitlines()[2].split()[0])
    assert queries == 1620


def test_trace(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, "model.enf", "-T", "trace.json", "-n", "20") == 0
    assert capsys.readouterr().err == NOTE + "note: the trace shows 16 of 20 queries\n"
    names = [event["name"] for event in json.loads(Path("trace.json").read_text())]
    assert names.count("Inference") == 32
    assert names.count("LowLevelTable") == 16


def test_verbose_measures_the_simulator(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("FURIOSA_SIM_KERNELS", "reference")
    assert run(monkeypatch, "model.enf", "-v") == 0
    note, speed = capsys.readouterr().err.splitlines()
    assert note + "\n" == NOTE
    assert speed.startswith("note: the simulator itself takes ")
    assert speed.endswith(" us a query on this computer (measured; kernels: reference)")


def test_model_without_npu_part(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    Path("cpu.enf").write_bytes(enf.dump(cpu_model()))
    assert run(monkeypatch, "cpu.enf", "-n", "3") == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[2] == "3 queries executed with batch size 1"
    assert err == "note: the model has no NPU part: the figures are measured time of this computer's CPU\n"


def test_mistakes(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    Path("list.yaml").write_text("- 1\n")
    Path("broken.yaml").write_text("a: [1\n")
    Path("config.yaml").write_text("split_unit: 0\n")
    Path("empty.enf").write_bytes(Path("model.enf").read_bytes()[:40])
    for arguments, status, text in (
        (["absent.enf"], 2, "`absent.enf`"),
        (["."], 2, "`.`"),
        (["empty.enf"], 2, "ENF"),
        ([], 2, "<model-path>"),
        (["model.enf", "--nothing"], 2, "--nothing"),
        (["model.enf", "-b", "3"], 2, "power of two"),
        (["model.enf", "-b", "0"], 2, "power of two"),
        (["model.enf", "-b", "2"], 2, "batch size 1, not 2"),
        (["model.enf", "-n", "0"], 2, "queries"),
        (["model.enf", "-w", "x"], 2, "-w"),
        (["model.enf", "--duration", "nan"], 2, "duration"),
        (["model.enf", "--workload", "X"], 2, "--workload"),
        (["model.enf", "-C", "list.yaml"], 2, "`list.yaml`"),
        (["model.enf", "-C", "broken.yaml"], 2, "`broken.yaml`"),
        (["model.enf", "-C", "absent.yaml"], 2, "`absent.yaml`"),
        (["model.enf", "-C", "config.yaml"], 2, "compiler config"),
        (["model.enf", "-o", "no/report.json"], 2, "`no/report.json`"),
        (["model.enf", "-o", "."], 2, "`.`"),
        (["model.enf", "-T", "no/trace.json"], 2, "`no/trace.json`"),
        (["model.enf", "-d", "warboy"], 2, "warboy"),
        (["model.enf", "-d", "npu7pe0"], 3, "npu7pe0"),
        (["model.enf", "-d", "npu0pe0"], 2, "warboy-2pe"),
    ):
        assert run(monkeypatch, *arguments) == status, arguments
        out, err = capsys.readouterr()
        assert out == ""
        assert text in err, arguments
        assert err.startswith("error: ")
        assert "Traceback" not in err
    files = {path.name for path in Path().iterdir()}
    assert files == {"list.yaml", "broken.yaml", "config.yaml", "empty.enf", "model.enf", "state"}


def test_a_failed_run_leaves_the_old_files(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("report.json", "trace.json"):
        Path(name).write_text("old")
    Path("model.enf").write_bytes(b"\x00")
    assert run(monkeypatch, "model.enf", "-o", "report.json", "-T", "trace.json", "-d", "npu7pe0") == 3
    assert [Path(name).read_text() for name in ("report.json", "trace.json")] == ["old", "old"]


def test_as_a_program() -> None:
    command = [sys.executable, "-m", "furiosa.cli.bench"]
    done = subprocess.run([*command, "./model.enf", "-n", "1000"], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == (LATENCY_REPORT, NOTE)
    version = subprocess.run([*command, "-V"], capture_output=True, text=True, check=True).stdout
    assert version.splitlines()[0] == f"furiosa-bench {version_info()}"
    help_text = subprocess.run([*command, "-h"], capture_output=True, text=True, check=True).stdout
    for option in ("-b, --batch", "-o, --output", "-C, --compiler-config", "-d, --devices", "-t, --io-threads",
                   "--duration", "-n, --queries", "-T, --trace-output", "-V, --version", "-v, --verbose",
                   "-w, --workers", "--workload", "-h, --help"):  # fmt: skip
        assert option in help_text
