"""furiosa-litmus: lines, archive, exit statuses, JSON, and every step that can fail."""

from __future__ import annotations

import json
import re
import sys
import zipfile
from pathlib import Path

import pytest
import yaml
from tests.litmus.models import conv_model, saved

import furiosa.litmus
from furiosa.isa.errors import FuriosaError
from furiosa.isa.version import version_info
from furiosa.litmus import calibrate_with_random_data, main, validate
from furiosa.optimizer import optimize_model
from furiosa.quantizer import quantize

VERSION = version_info()
BANNER = " ".join(f"furiosa-{name} {VERSION.version} (rev. {VERSION.hash[:9]})" for name in ("quantizer", "litmus"))
FIRST = """\
[Step 1] Checking if the model can be loaded and optimized ...
[Step 1] Passed
[Step 2] Checking if the model can be quantized ...
[Step 2] Passed
"""
SKIPPED = """\
[Step 1] Skip model loading and optimization
[Step 2] Skip model quantization
[Step 1 & Step 2] Load quantized model ...
"""
LAST = """\
[Step 3] Checking if the model can be compiled for the NPU family [{}] ...
[Step 3] Passed
[Step 4] Perform inference once for data collection... (Optional)
BENCH
[Step 4] Finished
"""
MEMBERS = [
    "meta.yaml", "compiler/compiler.log", "compiler/memory-analysis.html", "compiler/model.dot", "runtime/trace.json"
]  # fmt: skip


@pytest.fixture(autouse=True)
def own_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FURIOSA_SIM_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("FC_CACHE_STORE_URL", str(tmp_path / "cache"))
    for name in ("FURIOSA_DEVICES", "NPU_DEVNAME", "FURIOSA_PROFILER_OUTPUT_PATH", "FURIOSA_SIM_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    saved(conv_model(), tmp_path / "model.onnx")


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["furiosa-litmus", *arguments])
    return main()


def archived(prefix: str = "report") -> dict[str, bytes]:
    """The members of the only archive, by their names in the inner folder."""
    (path,) = Path().glob(f"{prefix}-*.zip")
    assert re.fullmatch(prefix + r"-\d+\.zip", path.name)
    with zipfile.ZipFile(path) as file:
        names = file.namelist()
        assert all(re.fullmatch(re.escape(path.stem) + "[a-z0-9_]{8}", name.split("/")[0]) for name in names)
        assert len({name.split("/")[0] for name in names}) == 1
        return {name.partition("/")[2]: file.read(name) for name in names}


def without_bench(out: str) -> str:
    return re.sub(r"={70}\n.*99th percentile \(us\): \d+(?=\n\[)", "BENCH", out, flags=re.DOTALL)


@pytest.mark.parametrize("target", ["warboy", "warboy-2pe"])
def test_lines_and_archive_of_a_model_that_works(target: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert validate(Path("model.onnx"), "report", False, False, target) is True
    out, err = capsys.readouterr()
    assert without_bench(out) == FIRST + LAST.format(target)
    assert err.startswith(BANNER + "\n[1/6] 🔍   Compiling from onnx to dfg\n")
    members = archived()
    assert list(members) == MEMBERS
    meta = yaml.safe_load(members["meta.yaml"])
    assert list(meta) == ["sdk", "environment", "os", "cpu", "model", "devices", "compiler_config"]
    assert {name: list(value) for name, value in meta["sdk"].items()} == {
        "compiler": ["version", "rev", "built"],
        "runtime": ["version", "stage", "hash"],
        "quantizer": ["version", "stage", "hash"],
    }
    assert list(meta["environment"]) == ["python", "glibc", "libonnxruntime", "datetime", "timezone"]
    assert list(meta["os"]) == ["platform", "distrib", "distrib_release", "kernel"]
    assert list(meta["model"]) == ["filename", "size", "md5", "created_at"]
    assert (meta["model"]["filename"], meta["model"]["size"]) == ("model.onnx", Path("model.onnx").stat().st_size)
    assert list(meta["devices"]["npu0"]) == ["serial_number", "uuid", "pci_dev", "firmware"]
    assert meta["compiler_config"] == {}
    assert b"Hint [2]: 'LogSoftmax' cannot be accelerated yet; " in members["compiler/compiler.log"]
    assert members["compiler/model.dot"].startswith(b"digraph")
    assert json.loads(members["runtime/trace.json"])


def test_quantized_models_are_taken_as_they_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = optimize_model(conv_model())
    Path("int8").write_bytes(quantize(model, calibrate_with_random_data(model)))
    assert call(monkeypatch, "int8", "--skip-quantization", "--target-npu", "warboy") == 0
    out, err = capsys.readouterr()
    assert without_bench(out) == SKIPPED + LAST.format("warboy")
    assert "Verdict: the model works on warboy: 2 operators on the NPU, 1 on the CPU, " in err


def test_json(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(monkeypatch, "model.onnx", "--format", "json") == 0
    values = json.loads(capsys.readouterr().out)
    assert [step["status"] for step in values["steps"]] == ["passed"] * 4
    assert [(row["node"], row["reason_code"]) for row in values["cpu_operators"]] == [("LogSoftmax_2", "no_lowering")]
    assert values["works"] and values["npu_latency_us"] > 0 and values["archive"] is None


def test_tflite_is_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for content in (b"\x1c\0\0\0TFL3junk", b"\x20\0\0\0TFL3", b""):
        Path("model.tflite").write_bytes(content)
        with pytest.raises(SystemExit) as ending:
            validate(Path("model.tflite"), None, False, False, "warboy-2pe")
        assert ending.value.code == 2
        assert capsys.readouterr().err == f"{BANNER}\n[Step 1] ERROR: The input file should be a valid ONNX file\n"
    assert call(monkeypatch, "model.tflite", "--dump", "report") == 2
    assert list(archived()) == ["meta.yaml"]


def test_files_that_are_not_there(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        call(monkeypatch, "absent.onnx")
    assert capsys.readouterr().err == f"{BANNER}\nERROR: absent.onnx does not exist\n"
    assert call(monkeypatch, ".") == 2


FAILURES = [
    # step, what is wrong, arguments, exit status, members of the archive
    (1, "NoSuchOperator", (), 1, ["meta.yaml"]),
    (2, "IsNaN", (), 1, ["meta.yaml"]),
    (3, "junk", ("--skip-quantization",), 2, ["meta.yaml", "compiler/compiler.log"]),
    (4, "LogSoftmax", (), 2, MEMBERS[:4]),
]


@pytest.mark.parametrize(("step", "what", "arguments", "status", "members"), FAILURES)
def test_failures_name_the_step_and_leave_an_archive(
    step: int, what: str, arguments: tuple[str, ...], status: int, members: list[str],
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    if what == "junk":
        Path("model.onnx").write_bytes(b"junk")
    elif what == "IsNaN":  # nothing in it can be quantized
        model = conv_model("IsNaN")
        model.graph.node[2].input[0] = "x"
        del model.graph.node[:2]
        del model.graph.initializer[:]
        model.graph.output[0].type.tensor_type.elem_type = 9
        saved(model, Path("model.onnx"))
    else:
        saved(conv_model(what), Path("model.onnx"))
    if step == 4:
        monkeypatch.setenv("FURIOSA_DEVICES", "warboy(3*1")
    assert call(monkeypatch, "model.onnx", "--dump", "report", "--format", "json", *arguments) == status
    out, err = capsys.readouterr()
    values = json.loads(out)
    failed = [row for row in values["steps"] if row["status"] == "failed"]
    assert [row["step"] for row in failed] == [step] and failed[0]["error"]["message"]
    assert values["exit_status"] == status and not values["works"]
    assert f"[Step {step}] Failed\n\n" in err and f"[Step {step}] Passed" not in err
    assert list(archived()) == members
    with pytest.raises(SystemExit if step == 4 else FuriosaError):
        validate(Path("model.onnx"), None, bool(arguments), False, "warboy-2pe")


def test_without_the_bench_step_4_is_skipped(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "furiosa.runtime.bench", None)
    assert validate(Path("model.onnx"), None, False, False, "warboy-2pe")
    assert capsys.readouterr().err.endswith("[Step 4] Skip, there is no furiosa-bench\n")


def test_wrong_options(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (("--target-npu", "gpu"), ("--dump-model",), ("--dump", "absent/report"), ("--dump", "a/")):
        assert call(monkeypatch, *arguments, "model.onnx") == 2, arguments
        out, err = capsys.readouterr()
        assert out == "" and err.startswith("error: ")


def test_calibration_refuses_what_it_cannot_make_up() -> None:
    with pytest.raises(RuntimeError, match="dimension 2 is `n`"):
        calibrate_with_random_data(conv_model(size="n"))
    model = conv_model()
    model.graph.input[0].type.tensor_type.elem_type = 8
    with pytest.raises(NotImplementedError, match="STRING"):
        calibrate_with_random_data(model)
    ranges = calibrate_with_random_data(conv_model(), dataset_size=2)
    assert ranges == calibrate_with_random_data(conv_model(), 2) and ranges["x"][0] < 0 < ranges["x"][1]


def test_version() -> None:
    assert furiosa.litmus.__version__ == VERSION
