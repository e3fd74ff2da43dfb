"""The profiler's data frame, the tables that it prints, and the trace that it exports."""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tests.compiler.quantized_nets import resnet
from tests.runtime.test_profiler import spans_by_track
from tests.runtime.tiny_models import SHAPE, mixed_model, npu_model

from furiosa.compiler import compile_model
from furiosa.isa import enf
from furiosa.runtime import FuriosaRuntimeError, sync
from furiosa.runtime.profiler import RecordFormat, Resource, profile
from furiosa.runtime.profiler.tables import box, inferences, npu_executions, npu_operators, summary

DATA = enf.dump(npu_model())
MIXED = enf.dump(mixed_model())
X = np.zeros(SHAPE, np.float32)
COLUMNS = ["trace_id", "parent_span_id", "span_id", "start", "end", "cat", "name", "thread.id", "dram_base", "pe_index",
           "execution_index", "instruction_index", "operator_index", "dur"]  # fmt: skip
ROOT = "0" * 16


def profiled(count: int = 3, model: bytes = DATA, **options: Any) -> profile:
    with profile(format=RecordFormat.PandasDataFrame, **options) as profiler, sync.create_runner(model) as runner:
        for _ in range(count):
            with profiler.record("trace"):
                runner.run(X)
    return profiler


def test_columns_and_types() -> None:
    frame = profiled().get_pandas_dataframe()
    assert list(frame.columns) == COLUMNS
    for name in ("dram_base", "pe_index", "execution_index", "instruction_index", "operator_index"):
        assert frame[name].dtype == pd.Int64Dtype()
    for name in ("start", "end", "thread.id", "dur"):
        assert frame[name].dtype == np.int64
    assert (frame["dur"] == frame["end"] - frame["start"]).all()
    assert frame["start"].is_monotonic_increasing
    assert set(frame["cat"]) == {"", "Runtime", "NPU"}
    assert frame["trace_id"].map(lambda text: bool(re.fullmatch("[0-9a-f]{32}", text))).all()
    assert frame["span_id"].map(lambda text: bool(re.fullmatch("[0-9a-f]{16}", text))).all()
    assert frame["span_id"].is_unique


def test_spans_form_trees() -> None:
    frame = profiled(3, MIXED).get_pandas_dataframe()
    rows = {row["span_id"]: row for _, row in frame.iterrows()}
    for _, row in frame.iterrows():
        if row["parent_span_id"] == ROOT:
            assert row["name"] in ("Register", "trace")
            continue
        parent = rows[row["parent_span_id"]]
        assert parent["trace_id"] == row["trace_id"]
        assert parent["start"] <= row["start"]
        if row["name"] != "Execution":  # it has a clock of its own
            assert row["end"] <= parent["end"]
    assert frame["trace_id"].nunique() == 1 + 3
    parents = {(row["name"], rows[row["parent_span_id"]]["name"]) for _, row in frame.iterrows()
               if row["parent_span_id"] != ROOT}  # fmt: skip
    assert parents > {
        ("Inference", "trace"), ("Quantize", "Inference"), ("CpuCluster", "Inference"), ("Enqueue", "Inference"),
        ("Execution", "WaitForCommit"), ("LowLevelTable", "Execution"), ("Store", "Execution"),
    }  # fmt: skip


def test_sum_rules() -> None:
    frame = profiled(4, MIXED).get_pandas_dataframe()
    executions = npu_executions(frame)
    assert len(executions) == 8
    for _, row in executions.iterrows():
        children = frame[frame["parent_span_id"] == row["span_id"]]
        operators = children[~children["name"].isin(["Load", "Store"])]
        assert row["NPU Run"] == operators["dur"].sum() > 0
        assert row["NPU Run"] + row["NPU IoWait"] == row["NPU Total"]
        assert row["NPU IoWait"] >= 0
    operators = npu_operators(frame)
    assert (operators["average_elapsed (ns)"] * operators["count"]).sum() == executions["NPU Run"].sum()


def test_padding_is_an_operator_of_its_own() -> None:
    data = compile_model(resnet()).enf
    with profile(format=RecordFormat.PandasDataFrame) as profiler, sync.create_runner(data) as runner:
        runner.run([np.zeros(value.shape, value.dtype.numpy_dtype) for value in runner.model.inputs()])
    frame = profiler.get_pandas_dataframe()
    assert frame["span_id"].is_unique
    pads = frame[frame["name"] == "LowLevelPad"]
    assert len(pads) > 0
    for _, pad in pads.iterrows():
        parts = frame[(frame["instruction_index"] == pad["instruction_index"]).fillna(False)]
        (name, _), (_, start), (end, _) = (list(parts[column]) for column in ("name", "start", "end"))
        assert name == "LowLevelPad" and start == end


def test_filters_and_resources() -> None:
    profiler = profiled()
    frame = profiler.get_pandas_dataframe()
    assert set(profiler.get_cpu_pandas_dataframe()["cat"]) == {"Runtime"}
    assert set(profiler.get_npu_pandas_dataframe()["name"]) == {"Execution", "Load", "LowLevelTable", "Store"}
    assert len(profiler.get_pandas_dataframe_with_filter("name", "Inference")) == 3
    frame["name"] = "changed"
    assert "changed" not in set(profiler.get_pandas_dataframe()["name"])
    npu = profiled(resource=Resource.NPU).get_pandas_dataframe()
    assert set(npu["cat"]) == {"", "NPU"}
    traces = npu[npu["name"] == "trace"]
    assert list(npu[npu["name"] == "Execution"]["parent_span_id"]) == list(traces["span_id"])
    assert set(profiled(resource=Resource.Cpu).get_pandas_dataframe()["cat"]) == {"", "Runtime"}


def test_the_file_is_csv(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    with path.open("w") as file:
        profiler = profiled(file=file)
    rows = list(csv.DictReader(io.StringIO(path.read_text())))
    frame = profiler.get_pandas_dataframe()
    assert list(rows[0]) == COLUMNS
    assert [row["span_id"] for row in rows] == list(frame["span_id"])
    assert [int(row["dur"]) for row in rows] == list(frame["dur"])
    assert {row["pe_index"] for row in rows} == {"", "0"}


def lines(output: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("│").split("┆")] for line in output.splitlines() if "┆" in line]


def test_printed_tables(capsys: pytest.CaptureFixture[str]) -> None:
    profiler = profiled(2)
    tables = {}
    for name in ("inferences", "npu_executions", "npu_operators", "external_operators"):
        getattr(profiler, f"print_{name}")()
        tables[name] = lines(capsys.readouterr().out)
    assert tables["inferences"][0] == ["trace_id", "span_id", "thread.id", "dur"]
    assert len(tables["inferences"]) == 3
    assert tables["npu_executions"][0] == [
        "trace_id", "span_id", "pe_index", "execution_index", "NPU Total", "NPU Run", "NPU IoWait"
    ]  # fmt: skip
    # The program takes 4934 cycles of 0.5 ns, its look-up 702 of them.
    assert [row[2:] for row in tables["npu_executions"][1:]] == [["0", "0", "2467", "351", "2116"],
                                                                 ["0", "1", "2467", "351", "2116"]]  # fmt: skip
    assert tables["npu_operators"] == [["name", "average_elapsed (ns)", "count"], ["LowLevelTable", "351.0", "2"]]
    external = tables["external_operators"]
    assert external[0] == ["trace_id", "span_id", "thread.id", "name", "operator_index", "dur"]
    assert [row[3:5] for row in external[1:]] == [["Quantize", "0"], ["Lower", "1"], ["Unlower", "3"],
                                                  ["Dequantize", "4"]] * 2  # fmt: skip


BOX = """\
┌──────────┬─────┐
│ name     ┆ dur │
╞══════════╪═════╡
│ Lower    ┆ 7   │
│ Quantize ┆ 123 │
└──────────┴─────┘"""
NARROW = """\
┌──────────┬─────┐
│ name     ┆ dur │
╞══════════╪═════╡
│ LowLevel ┆ 7   │
│ Conv2d   ┆     │
└──────────┴─────┘"""


def test_boxes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert box(pd.DataFrame({"name": ["Lower", "Quantize"], "dur": [7, 123]})) == BOX
    long = pd.DataFrame({"name": ["LowLevelConv2d"], "dur": [7]})
    assert len(box(long).splitlines()) == 5
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "18")
    assert box(long) == NARROW


SUMMARY = """\
================================================
  Inference Results Summary
================================================
Inference counts                : 4
Min latency (ns)                : 1584494
Max latency (ns)                : 3027309
Mean latency (ns)               : 2136984
Median latency (ns)             : 1968066
90.0 percentile Latency (ns)    : 2752525
95.0 percentile Latency (ns)    : 2889917
97.0 percentile Latency (ns)    : 2944874
99.0 percentile Latency (ns)    : 2999831
99.9 percentile Latency (ns)    : 3024561"""


def test_summary() -> None:
    """The documented figures: percentiles are interpolated, everything is rounded to nearest."""
    durations = [1584494, 1824770, 2111362, 3027309]
    rows = pd.DataFrame({"name": "Inference", "cat": "Runtime", "trace_id": "", "span_id": "", "thread.id": 1,
                         "dur": durations})  # fmt: skip
    assert len(inferences(rows)) == 4
    assert summary(rows) == SUMMARY


def test_nothing_recorded(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with profile() as profiler:
        pass
    assert list(profiler.get_pandas_dataframe().columns) == COLUMNS
    for method in (profiler.print_summary, profiler.print_inferences, profiler.print_npu_executions,
                   profiler.print_npu_operators, profiler.print_external_operators,
                   lambda: profiler.export_chrome_trace(tmp_path / "trace.json")):  # fmt: skip
        method()
        assert capsys.readouterr().out == "DataFrame is empty.\n"
    assert list(tmp_path.iterdir()) == []


def test_exported_trace(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    profiler = profiled(2)
    profiler.export_chrome_trace(tmp_path / "trace.json")
    assert capsys.readouterr().out == "Export trace event format completed.\n"
    events = json.loads((tmp_path / "trace.json").read_text())
    spans_by_track(events)
    frame = profiler.get_pandas_dataframe()
    spans = [event for event in events if event["ph"] == "X"]
    assert sorted(event["name"] for event in spans) == sorted(frame["name"])
    assert min(event["ts"] for event in spans) == 0
    assert sum(event["dur"] for event in spans) == pytest.approx(frame["dur"].sum() / 1000)
    tables = [event for event in spans if event["name"] == "LowLevelTable"]
    assert [event["args"]["execution_index"] for event in tables] == ["0", "1"]
    assert {event["tid"] for event in tables} == {10_000_000}
    assert {event["args"]["operator_index"] for event in spans if event["name"] == "Lower"} == {"1"}
    names = {event["args"]["name"] for event in events if event["ph"] == "M"}
    assert names == {"NPU 0", "NPU 0 Load", "NPU 0 Store"}
    with pytest.raises(FuriosaRuntimeError, match="no/trace"):
        profiler.export_chrome_trace(tmp_path / "no" / "trace.json")


def test_a_failed_block_leaves_what_was_recorded() -> None:
    file = io.StringIO()
    profiler = profile(file=file)
    with pytest.raises(TypeError), profiler, sync.create_runner(DATA) as runner:
        runner.run([runner.run(X)[0].astype(np.float16)])
    assert [event["name"] for event in json.loads(file.getvalue())].count("Inference") == 2
    assert len(profiler.get_pandas_dataframe_with_filter("name", "Inference")) == 1


def test_pandas_is_imported_only_for_frames(tmp_path: Path) -> None:
    (tmp_path / "model.enf").write_bytes(DATA)
    program = f"""
import sys
import numpy as np
from furiosa.runtime import sync
from furiosa.runtime.profiler import profile
with open("trace.json", "w") as file, profile(file=file), sync.create_runner("model.enf") as runner:
    runner.run(np.zeros({SHAPE}, np.float32))
assert "pandas" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True, cwd=tmp_path)
