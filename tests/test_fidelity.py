"""Calibration against published times: read, compared, and constants that are found again."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import onnx
import pytest

import anchors
import calibrate
from anchors import Anchors, Programs
from furiosa.isa.target import target

NPUS = ("warboy", "warboy-2pe")
TRUTH = {name: getattr(target("warboy"), name) for name in calibrate.CALIBRATED}


def published(folder: Path, microseconds: dict[str, float], classes: dict[str, float]) -> Anchors:
    """A folder with one network, and these times of it by metric and operator class."""
    onnx.save(anchors.mnistnet(), folder / "net.onnx")
    rows = [{"model": "net.onnx", "npu": npu, "batch": 1, "metric": metric, "value": us * 1e3, "unit": "ns"}
            for metric, us in microseconds.items() for npu in NPUS]  # fmt: skip
    items = [{"op": name, "total_ns": us * 1e3} for name, us in classes.items()]
    breakdown = {"model": "net.onnx", "npu": "warboy-2pe", "classes": items}
    (folder / "anchors.json").write_text(json.dumps({"rows": rows, "operator_breakdowns": [breakdown]}))
    return Anchors.read(folder)


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Programs:
    folder = tmp_path_factory.mktemp("net")
    found = published(folder, {"npu_latency": 1.0}, {})
    parts = anchors.clusters(found.paths["net"])
    return {("net", npu): anchors.compiled(parts, target(npu)) for npu in NPUS}


def test_errors_are_modelled_over_published(tmp_path: Path, programs: Programs) -> None:
    fused = target("warboy-2pe")
    whole = anchors.modelled_us(programs["net", "warboy-2pe"], fused, run=False)
    run = anchors.modelled_us(programs["net", "warboy-2pe"], fused, run=True)
    classes = anchors.modelled_classes_us(programs["net", "warboy-2pe"], fused)
    assert sum(classes.values()) == pytest.approx(run) and run < whole
    assert {"LowLevelConv2d", "LowLevelDepthwiseConv2d", "LowLevelPad"} <= set(classes)
    given = published(tmp_path, {"npu_latency": whole / 2, "npu_run": run}, {"LowLevelPad": classes["LowLevelPad"] * 4})
    found = calibrate.errors(given, programs, TRUTH, ["net"])
    by = {(f.metric, f.npu): error for f, error in found.times.items()}
    assert by["npu_latency", "warboy-2pe"] == pytest.approx(1) and by["npu_run", "warboy-2pe"] == pytest.approx(0)
    assert found.classes == {("net", "LowLevelPad"): pytest.approx(-0.75)}
    one = anchors.modelled_us(programs["net", "warboy"], target("warboy"), run=False)
    assert found.gains["net"] == pytest.approx(one / whole - 1)  # published as equal


def test_constants_are_found_again(tmp_path: Path, programs: Programs) -> None:
    """Times that the model itself gives: the fit comes back to them from elsewhere."""
    npus = {npu: target(npu) for npu in NPUS}
    true = anchors.modelled_us(programs["net", "warboy-2pe"], npus["warboy-2pe"], run=False)
    classes = anchors.modelled_classes_us(programs["net", "warboy-2pe"], npus["warboy-2pe"])
    given = published(tmp_path, {"npu_total": true}, classes)
    of = partial(calibrate.errors, given, programs, networks=["net"])
    start = TRUTH | {"conv_start_cycles": 4000, "window_start_cycles": 600, "dma_setup_cycles": 300}
    found = calibrate.fit(of, start)
    for name in ("conv_start_cycles", "window_start_cycles"):
        assert found[name] == pytest.approx(TRUTH[name], rel=0.1)
    assert max(map(abs, of(start).classes.values())) > 0.3
    assert max(map(abs, (*of(found).times.values(), *of(found).classes.values()))) < 0.1


def test_families_are_left_out_together(tmp_path: Path) -> None:
    given = published(tmp_path, {"npu_total": 1.0}, {})
    names = ["net", "yolov5s", "yolov5xu", "yolov8s"]
    assert calibrate.groups(given, names, "family") == [["net"], ["yolov5s", "yolov5xu"], ["yolov8s"]]
    assert calibrate.groups(given, names, "network") == [[name] for name in names]


def test_a_term_can_be_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Broadcasts take time, and `--fit` finds other constants without them."""
    published(tmp_path, {"npu_total": 30.0}, {})
    found = {}
    for more in ((), ("--without", "broadcast"), ("--without", "broadcast", "--fit")):
        monkeypatch.setattr("sys.argv", ["calibrate.py", str(tmp_path), "--json", *more])
        calibrate.main()
        found[more] = json.loads(capsys.readouterr().out)
    whole, without, fitted = found.values()
    assert without["times"][0]["modelled_us"] < whole["times"][0]["modelled_us"]
    assert set(whole["constants"]) - set(fitted["constants"]) == {"broadcast_bytes_per_cycle"}
    assert fitted["time_errors"]["mean"] < without["time_errors"]["mean"]


def test_the_report_names_every_error(tmp_path: Path, programs: Programs, capsys: pytest.CaptureFixture[str]) -> None:
    given = published(tmp_path, {"npu_latency": 10.0}, {"LowLevelConv2d": 5.0})
    found = calibrate.errors(given, programs, TRUTH, ["net"])
    data = json.loads(json.dumps(calibrate.report(given, found, dict.fromkeys(found.times, -0.5))))
    assert data["out_of_fold_errors"] == {"mean": 0.5, "worst": 0.5} and len(data["times"]) == 2
    calibrate.show(data)
    text = capsys.readouterr().out
    assert "10.0 us published" in text and "out of fold errors: mean 50.0%, worst 50.0%" in text
    assert "LowLevelConv2d" in text and "gain from fusing two PEs" in text
