"""furiosa-bench: both reports to the letter, notes on stderr, and one message with an exit status for every mistake."""

from __future__ import annotations

import hashlib
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.compiler.quantized_nets import tiny
from tests.runtime.tiny_models import cpu_model, npu_model

from furiosa.cli import bench
from furiosa.isa import enf
from furiosa.isa.encoding import decode
from furiosa.isa.target import target
from furiosa.isa.timeline import schedule
from furiosa.isa.version import built, version_info
from furiosa.npu_sim.devices import open_devices

# One query at 2 GHz: the program, and 34784 cycles for host steps of 1 us and more each, and for 64 bytes each way over
# the host link, after 5 us.
NPU_CYCLES = schedule(decode(npu_model().programs[0].code), target("warboy-2pe")).cycles
NPU_US, LATENCY_US = NPU_CYCLES / 2000, (NPU_CYCLES + 34784) / 2000
US, QPS = f"{math.floor(LATENCY_US + 0.5)}", f"{1e6 / LATENCY_US:.2f}"
LATENCY_REPORT = f"""\
======================================================================
This benchmark was executed with latency-workload which prioritizes latency of individual queries over throughput.
1000 queries executed with batch size 1
Latency stats are as follows
QPS(Throughput): {QPS}/s

Per-query latency:
Min latency (us)    : {US}
Max latency (us)    : {US}
Mean latency (us)   : {US}
50th percentile (us): {US}
95th percentile (us): {US}
99th percentile (us): {US}
99th percentile (us): {US}
"""
NOTE = (
    "note: the figures are modelled time, equal on every computer: the NPU and the host link, and host steps on a "
    "reference host\n"
)
BOTTLENECK = (
    "note: bottleneck: workers, nothing is at work all of the time; "
    f"Send is {5.0055 / LATENCY_US:.0%} of a query's {LATENCY_US:,.1f} us\n"
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
    assert err == NOTE + BOTTLENECK


def test_throughput_workload(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    outputs = []
    for workload in ("T", "throughput"):
        assert run(monkeypatch, "model.enf", "--workload", workload, "-w", "2", "-t", "2", "-n", "64") == 0
        outputs.append(capsys.readouterr().out)
    assert outputs[0] == outputs[1]
    lines = outputs[0].splitlines()
    assert "throughput-workload" in lines[1]
    assert lines[2] == "64 queries executed with batch size 1"
    assert float(lines[4].removeprefix("QPS(Throughput): ").removesuffix("/s")) > float(QPS)


def test_json_report(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, "./model.enf", "-n", "1000", "-o", "report.json", "-b", "1") == 0
    assert capsys.readouterr().out == LATENCY_REPORT
    text = Path("report.json").read_text()
    digest = hashlib.md5(Path("model.enf").read_bytes()).hexdigest()
    version = version_info()
    latency = f"{US} us"
    ours = json.loads(text)["furiosa_sim"]
    expected = {
        "model_data": {"path": "./model.enf", "md5": f"{digest}  ./model.enf"},
        "compiler_version": f"{version.version}-{version.stage} (rev: {version.hash[:9]} built_at: {built()})",
        "hal_version": f"Version: {version.version}",
        "git_revision": version.hash[:7],
        "result": {
            "mode": "Latency",
            "total run time": f"{math.floor(LATENCY_US * 1000 + 0.5)} us",
            "total num queries": 1000,
            "batch size": 1,
            "qps": f"{QPS}/s",
            "latency stats": dict.fromkeys(
                ("min", "max", "mean", "50th percentile", "95th percentile", "99th percentile", "99.9th percentile"),
                latency,
            ),
        },
        "furiosa_sim": ours,
    }
    assert text == json.dumps(expected, indent=4) + "\n"
    assert ours["schema_version"] == 1
    assert ours["queries_per_second"] == pytest.approx(1e9 / ours["total_us"], abs=0.01)
    assert ours["latency_p99.9_us"] == ours["latency_mean_us"] == pytest.approx(LATENCY_US, abs=0.001)
    assert sum(part["us"] for part in ours["query"]) == pytest.approx(LATENCY_US, abs=0.004)
    assert ours["npu_us"] == pytest.approx(NPU_US, abs=0.001)
    assert [each["resource"] for each in ours["usage"]] == [
        "NPU", "host threads", "I/O threads", "link to the device", "link from the device"
    ]  # fmt: skip
    assert "simulator" not in ours, "what was measured here is only there when it was asked for"


def test_reports_are_byte_identical(tmp_path: Path) -> None:
    """In every run and environment; ResNet-sized numbers of queries take no longer than small ones."""
    reports = []
    for seed, kernels in (("1", "reference"), ("2", "auto")):
        environment = os.environ | {"PYTHONHASHSEED": seed, "FURIOSA_SIM_KERNELS": kernels, "FURIOSA_SIM_THREADS": seed}
        environment["TZ"] = f"UTC-{seed}"
        command = [sys.executable, "-m", "furiosa.cli.bench", "model.enf", "-n", "1000000", "-w", "7", "-t", "3", "-v"]
        files = ("report.json", "trace.json", "page.html")
        command += [word for pair in zip(("-o", "-T", "--report"), files) for word in pair]
        out = subprocess.run(command, capture_output=True, check=True, env=environment)
        reports.append((out.stdout, out.stderr, *(Path(file).read_bytes() for file in files)))
    assert reports[0] == reports[1]


def test_chosen_percentiles(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--percentile", "99.9", "--percentile", "12.5", "-o", "report.json")
    assert run(monkeypatch, "model.enf", "-n", "10", "-w", "3", *options) == 0
    labels = [line.partition(":")[0] for line in capsys.readouterr().out.splitlines()[10:]]
    assert labels == ["99.9th percentile (us)", "12.5th percentile (us)"]
    report = json.loads(Path("report.json").read_text())
    assert list(report["result"]["latency stats"])[3:] == ["99.9th percentile", "12.5th percentile"]
    assert report["furiosa_sim"]["latency_p12.5_us"] <= report["furiosa_sim"]["latency_p99.9_us"]


@pytest.mark.parametrize(
    ("condition", "status", "answer"),
    [
        ("p99<2ms", 0, f"holds, it is {LATENCY_US:,.2f} us"),
        ("p99.9 <= 17us", 1, f"DOES NOT HOLD, it is {LATENCY_US:,.2f} us"),
        ("mean>=0.00001s", 0, f"holds, it is {LATENCY_US:,.2f} us"),
        ("max>1e6ns", 1, f"DOES NOT HOLD, it is {LATENCY_US:,.2f} us"),
        ("npu<10us", 0, f"holds, it is {NPU_US:,.2f} us"),
        ("qps>500", 0, f"holds, it is {1e6 / LATENCY_US:,.2f}/s"),
        ("qps<1/s", 1, f"DOES NOT HOLD, it is {1e6 / LATENCY_US:,.2f}/s"),
    ],
)
def test_conditions(
    condition: str, status: int, answer: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "model.enf", "-n", "10", "--assert", "min>0us", "--assert", condition) == status
    out, err = capsys.readouterr()
    assert out.startswith("=" * 70)
    assert err.splitlines()[-2:] == [
        f"assert min>0us: holds, it is {LATENCY_US:,.2f} us",
        f"assert {condition}: {answer}",
    ]


def test_comparison(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, "model.enf", "-n", "10", "-o", "old.json") == 0
    capsys.readouterr()
    assert run(monkeypatch, "model.enf", "-n", "10", "-w", "2", "-t", "2", "--compare", "old.json") == 0
    lines = capsys.readouterr().out.splitlines()
    rows = {line.split()[0]: line.split()[1:] for line in lines[lines.index("") + 10 :] if line.strip()}
    assert rows["old"] == ["new", "change"]
    assert rows["npu_us"][0] == rows["npu_us"][1]
    assert rows["npu_us"][2] == "same"
    assert rows["queries_per_second"][2].startswith("+")
    # A report of a real device, as the SDK writes it.
    old = json.loads(Path("old.json").read_text())
    del old["furiosa_sim"]
    old["result"]["latency stats"]["99th percentile"] = "36 us"
    Path("old.json").write_text(json.dumps(old))
    assert run(monkeypatch, "model.enf", "-n", "10", "--compare", "old.json") == 0
    lines = capsys.readouterr().out.splitlines()
    assert next(line.split() for line in lines if "p99_us" in line) == [
        "latency_p99_us", "36.000", f"{LATENCY_US:.3f}", f"{LATENCY_US / 36 - 1:+.1%}"
    ]  # fmt: skip


def test_duration_is_modelled_time(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, "model.enf", "--duration", "0.001") == 0
    queries = int(capsys.readouterr().out.splitlines()[2].split()[0])
    assert queries == math.ceil(1000 / LATENCY_US)


def test_trace(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, "model.enf", "-T", "trace.json", "-n", "220") == 0
    assert capsys.readouterr().err == NOTE + BOTTLENECK + "note: the trace shows 200 of 220 queries\n"
    names = [event["name"] for event in json.loads(Path("trace.json").read_text())]
    assert names.count("Inference") == 400
    assert names.count("LowLevelTable") == 200


def test_no_device_is_needed_unless_queries_are_executed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with open_devices("npu0pe0-1")[0]:
        for more in ((), ("-T", "trace.json"), ("--host", "measured"), ("-d", "npu0pe0-1")):
            assert run(monkeypatch, "model.enf", "-n", "10", *more) == 0
        capsys.readouterr()
        assert run(monkeypatch, "model.enf", "-n", "10", "--execute") == 3
        assert "cannot be served now" in capsys.readouterr().err


def test_execution_measures_the_simulator(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("FURIOSA_SIM_KERNELS", "reference")
    assert run(monkeypatch, "model.enf", "-n", "3", "--execute", "-o", "report.json") == 0
    note, bottleneck, speed = capsys.readouterr().err.splitlines()
    assert (note + "\n", bottleneck + "\n") == (NOTE, BOTTLENECK)
    assert speed.startswith("note: the simulator itself takes ")
    assert speed.endswith(" us a query on this computer (measured over 3; kernels: reference)")
    simulator = json.loads(Path("report.json").read_text())["furiosa_sim"]["simulator"]
    assert (simulator["kernels"], simulator["queries"]) == ("reference", 3)


def test_measured_host_steps(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, "model.enf", "--host", "measured", "-o", "report.json") == 0
    assert "with host steps as measured on this computer" in capsys.readouterr().err
    ours = json.loads(Path("report.json").read_text())["furiosa_sim"]
    assert ours["host"] == "measured"
    assert ours["npu_us"] == pytest.approx(NPU_US, abs=0.001)


def test_model_without_npu_part(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    Path("cpu.enf").write_bytes(enf.dump(cpu_model()))
    assert run(monkeypatch, "cpu.enf", "-n", "3") == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[2] == "3 queries executed with batch size 1"
    assert "no NPU part, and host steps on a reference host" in err


def test_compiler_config(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A query of tensors in the NPU's layout has no steps on the host."""
    Path("tiny.onnx").write_bytes(tiny())
    Path("config.yaml").write_text("remove_lower: true\nremove_unlower: true\nuse_program_loading: true\n")
    steps = []
    for options in ((), ("-C", "config.yaml"), ("--compiler-config", "config.yaml")):
        assert run(monkeypatch, "tiny.onnx", "-n", "3", "-o", "report.json", *options) == 0
        query = json.loads(Path("report.json").read_text())["furiosa_sim"]["query"]
        steps.append({row["step"] for row in query})
    assert steps[0] > steps[1] == steps[2] == {"Send", "Execute", "Receive"}


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
        (["model.enf", "--warm-up", "-1"], 2, "warm-up"),
        (["model.enf", "--host", "mine"], 2, "--host"),
        (["model.enf", "--percentile", "0"], 2, "`0` is no percentile"),
        (["model.enf", "--percentile", "1/0"], 2, "`1/0` is no percentile"),
        (["model.enf", "--percentile", "101"], 2, "`101` is no percentile"),
        (["model.enf", "--assert", "p99"], 2, "`p99` is no condition"),
        (["model.enf", "--assert", "p99<2"], 2, "unit of time"),
        (["model.enf", "--assert", "p999<2ms"], 2, "`999` is no percentile"),
        (["model.enf", "--assert", "speed<2ms"], 2, "no figure: `speed`"),
        (["model.enf", "--compare", "absent.json"], 2, "`absent.json`"),
        (["model.enf", "--compare", "list.yaml"], 2, "no report of furiosa-bench"),
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
    assert files == {"list.yaml", "broken.yaml", "config.yaml", "empty.enf", "model.enf"}


def test_a_failed_run_leaves_the_old_files(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("report.json", "trace.json"):
        Path(name).write_text("old")
    Path("model.enf").write_bytes(b"\x00")
    assert run(monkeypatch, "model.enf", "-o", "report.json", "-T", "trace.json", "-d", "npu7pe0") == 3
    assert [Path(name).read_text() for name in ("report.json", "trace.json")] == ["old", "old"]


def test_as_a_program() -> None:
    command = [sys.executable, "-m", "furiosa.cli.bench"]
    done = subprocess.run([*command, "./model.enf", "-n", "1000"], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == (LATENCY_REPORT, NOTE + BOTTLENECK)
    version = subprocess.run([*command, "-V"], capture_output=True, text=True, check=True).stdout
    assert version.splitlines()[0] == f"furiosa-bench {version_info()}"
    help_text = subprocess.run([*command, "-h"], capture_output=True, text=True, check=True).stdout
    for option in ("-b, --batch", "-o, --output", "-C, --compiler-config", "-d, --devices", "-t, --io-threads",
                   "--duration", "-n, --queries", "-T, --trace-output", "-V, --version", "-v, --verbose",
                   "-w, --workers", "--workload", "-h, --help"):  # fmt: skip
        assert option in help_text
