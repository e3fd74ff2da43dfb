"""Traces: strict nesting, names of tracks and spans, pausing, and the sum rules of NPU executions."""

from __future__ import annotations

import asyncio
import io
import json
import os
import re
import subprocess
import sys
import threading
from collections import defaultdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.runtime.tiny_models import SHAPE, npu_model

from furiosa.isa import enf
from furiosa.isa.instructions import Engine
from furiosa.runtime import FuriosaRuntimeError, sync
from furiosa.runtime.profiler import Resource, profile

DATA = enf.dump(npu_model())
X = np.zeros(SHAPE, np.float32)
EPSILON = 1e-6  # us: rounding of ns as floating-point us

Event = dict[str, Any]
Span = tuple[str, float, float]


def spans_by_track(events: list[Event]) -> dict[tuple[int, int], list[Span]]:
    """Complete spans by (pid, tid); fails unless they nest strictly on every track."""
    open_: dict[tuple[int, int], list[tuple[str, float]]] = defaultdict(list)
    spans: dict[tuple[int, int], list[Span]] = defaultdict(list)
    for event in events:
        track = event["pid"], event["tid"]
        if event["ph"] == "B":
            open_[track].append((event["name"], event["ts"]))
        elif event["ph"] == "E":
            name, start = open_[track].pop()
            assert name == event["name"]
            assert start <= event["ts"]
            spans[track].append((name, start, event["ts"]))
        elif event["ph"] == "X":
            spans[track].append((event["name"], event["ts"], event["ts"] + event["dur"]))
    assert not any(open_.values())
    for track_spans in spans.values():
        stack: list[float] = []
        for _, start, end in sorted(track_spans, key=lambda span: (span[1], -span[2])):
            while stack and stack[-1] <= start + EPSILON:
                stack.pop()
            assert not stack or end <= stack[-1] + EPSILON
            stack.append(end)
    return spans


def names(events: list[Event], kind: str) -> dict[tuple[int, int], str]:
    return {(e["pid"], e["tid"]): e["args"]["name"] for e in events if e["ph"] == "M" and e["name"] == kind}


def traced(count: int = 3, **options: Any) -> list[Event]:
    file = io.StringIO()
    with profile(file=file, **options) as profiler, sync.create_runner(DATA) as runner:
        for _ in range(count):
            with profiler.record("Run"):
                runner.run(X)
    events: list[Event] = json.loads(file.getvalue())
    return events


def test_tracks_nest_and_are_named() -> None:
    events = traced()
    spans = spans_by_track(events)
    threads, processes = names(events, "thread_name"), names(events, "process_name")
    assert set(spans) <= set(threads)
    assert {pid for pid, _ in spans} == {pid for pid, _ in processes}
    assert sorted(processes.values()) == ["host (measured wall time)", "npu:0:0-1 (modelled device time)"]
    assert {"MainThread (measured)", "Executions (modelled)", "Compute (modelled)", "Load (modelled)",
            "Store (modelled)"} == set(threads.values())  # fmt: skip
    assert min(event["ts"] for event in events if "ts" in event) >= 0


def test_host_spans() -> None:
    events = traced(2)
    begun = [event["name"] for event in events if event["ph"] == "B" and event["pid"] == os.getpid()]
    once = ["Run", "Inference", "Quantize", "Lower", "Enqueue", "WaitForCommit", "Unlower", "Dequantize"]
    assert begun == ["Register", "ProgramBinary", *once, *once]
    assert len([event for event in events if event["name"] == "Run"]) == 4
    categories = {event["name"]: event["cat"] for event in events if "cat" in event}
    assert categories["Run"] == ""
    assert categories["Inference"] == "Runtime"
    assert categories["LowLevelTable"] == "NPU"


def test_npu_spans_and_their_sums() -> None:
    events = traced(3)
    operators = [event for event in events if event["ph"] == "X"]
    assert [event["name"] for event in operators] == ["Load", "Load", "LowLevelTable", "Store"] * 3
    assert operators[2]["args"] == {
        "instruction_index": "2", "pe_index": "0", "execution_index": "0", "node": "lookup",
    }  # fmt: skip
    threads = names(events, "thread_name")
    engines = {"Load": Engine.LOAD, "LowLevelTable": Engine.COMPUTE, "Store": Engine.STORE}
    for event in operators:
        assert threads[event["pid"], event["tid"]] == f"{engines[event['name']].name.capitalize()} (modelled)"
    tasks = [span for track in spans_by_track(events).values() for span in track if span[0].startswith("Task(")]
    assert [name for name, _, _ in tasks] == ["Task(0,0)", "Task(0,1)", "Task(0,2)"]
    previous_end = 0.0
    for index, (_, start, end) in enumerate(tasks):
        children = [event for event in operators if event["args"]["execution_index"] == str(index)]
        assert start >= previous_end - EPSILON
        assert all(start <= e["ts"] + EPSILON and e["ts"] + e["dur"] <= end + EPSILON for e in children)
        run = sum(event["dur"] for event in children if event["name"] not in ("Load", "Store"))
        assert 0 < run <= end - start + EPSILON
        previous_end = end


def test_npu_time_starts_with_the_host_span_that_executes() -> None:
    events = traced(1)
    wait = next(event["ts"] for event in events if event["name"] == "WaitForCommit")
    enqueue = next(event["ts"] for event in events if event["name"] == "Enqueue")
    task = next(event["ts"] for event in events if event["name"] == "Task(0,0)")
    assert enqueue <= task <= wait


def test_resources() -> None:
    assert not [event for event in traced(resource=Resource.Cpu) if event.get("cat") == "NPU"]
    assert {event["cat"] for event in traced(resource=Resource.NPU) if "cat" in event} == {"", "NPU"}
    assert Resource.ALL.value == Resource.All.value
    assert Resource.Cpu | Resource.Npu == Resource.All


def test_pause_and_resume() -> None:
    file = io.StringIO()
    with sync.create_runner(DATA) as runner, profile(file=file) as profiler:
        profiler.pause()
        profiler.pause()
        with profiler.record("warm up"):
            runner.run(X)
        profiler.resume()
        profiler.resume()
        with profiler.record("trace"):
            runner.run(X)
            profiler.pause()
        with profiler.record("", warm_up=True):
            profiler.resume()
        with profiler.record("warm", warm_up=True):
            runner.run(X)
    events = json.loads(file.getvalue())
    spans_by_track(events)
    found = [event["name"] for event in events]
    assert found.count("trace") == 2
    assert "warm up" not in found
    assert "warm" not in found
    assert found.count("Inference") == 2
    assert found.count("LowLevelTable") == 1


def test_tasks_of_one_event_loop_nest_on_lanes() -> None:
    file = io.StringIO()

    async def use() -> None:
        async def task(delay: float) -> None:
            with profiler.record("task"):
                await asyncio.sleep(delay)

        await asyncio.gather(task(0.002), task(0.004), task(0.001))

    with profile(file=file) as profiler:
        asyncio.run(use())
    events = json.loads(file.getvalue())
    assert sum(map(len, spans_by_track(events).values())) == 3
    assert "MainThread (2) (measured)" in names(events, "thread_name").values()


def test_threads_and_devices_keep_to_their_tracks() -> None:
    file = io.StringIO()
    model = enf.dump(npu_model("warboy"))
    with profile(file=file), sync.create_runner(model, device="warboy(1)*2", worker_num=4) as runner:
        threads = [threading.Thread(target=lambda: [runner.run(X) for _ in range(10)]) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    events = json.loads(file.getvalue())
    spans = spans_by_track(events)
    assert {"npu:0:0 (modelled device time)", "npu:0:1 (modelled device time)"} < set(
        names(events, "process_name").values()
    )
    tasks = [sorted(track, key=lambda span: span[1]) for track in spans.values() if track[0][0].startswith("Task(")]
    assert sum(map(len, tasks)) == 40
    assert len({name for track in tasks for name, _, _ in track}) == 40
    for track in tasks:
        assert all(end <= start + EPSILON for (_, _, end), (_, start, _) in pairwise(track))


def test_what_is_no_option_is_refused() -> None:
    with pytest.raises(FuriosaRuntimeError, match=r"RecordFormat\.PandasDataFrame"):
        profile(format="csv")
    with pytest.raises(FuriosaRuntimeError, match=r"Resource\.Npu"):
        profile(resource="npu")


def flows(events: list[Event]) -> dict[int, list[Event]]:
    found: dict[int, list[Event]] = defaultdict(list)
    for event in events:
        if event["ph"] in ("s", "t", "f"):
            found[event["id"]].append(event)
    return found


def enclosing(events: list[Event], flow: Event) -> set[str]:
    """The spans on the track of a flow's event that are open then: viewers bind it to the innermost."""
    spans = spans_by_track(events)[flow["pid"], flow["tid"]]
    return {name for name, start, end in spans if start <= flow["ts"] <= end + EPSILON}


def test_flows_lead_from_the_request_to_the_device() -> None:
    events = traced(2)
    for index, flow in flows(events).items():
        assert [event["ph"] for event in flow] == ["s", "f"]
        assert {"Run", "Inference", "Enqueue"} <= enclosing(events, flow[0])
        assert enclosing(events, flow[1]) == {f"Task(0,{index})"}
    assert len(flows(events)) == 2


def test_flows_lead_from_submissions_over_workers() -> None:
    file = io.StringIO()
    with profile(file=file) as profiler, sync.create_queue(DATA) as (submitter, receiver):
        for index in range(20):
            with profiler.record("ask"):
                submitter.submit(X, context=index)
        for _ in range(20):
            receiver.recv()
    events = json.loads(file.getvalue())
    assert len(flows(events)) == 20
    requests = {phase: {e["id"]: e["ts"] for e in events if e["ph"] == phase} for phase in "be"}
    assert len(requests["b"]) == 20
    assert all(start < requests["e"][number] for number, start in requests["b"].items())
    (name,) = {event["name"] for event in events if event["ph"] in "be"}
    assert re.fullmatch(r"Inference \(Model#\d{4}\)", name)
    asked = [flow[0]["ts"] for flow in flows(events).values()]
    assert sorted(asked) == sorted(requests["b"].values())
    for flow in flows(events).values():
        assert [event["ph"] for event in flow] == ["s", "t", "f"]
        assert {"ask", "Submit"} <= enclosing(events, flow[0])
        assert {"Inference", "Enqueue"} <= enclosing(events, flow[1])
        assert len({event["tid"] for event in flow}) == 3
        assert [event["ts"] for event in flow] == sorted(event["ts"] for event in flow)


def test_counters() -> None:
    counters: dict[str, list[Event]] = defaultdict(list)
    for event in traced(3):
        if event["ph"] == "C":
            counters[event["name"]].append(event)
    # The table unit has no MACs at work.
    assert set(counters) == {"SRAM in use (modelled)", "DRAM bandwidth (modelled)"}
    for values in counters.values():
        assert [event["ts"] for event in values] == sorted(event["ts"] for event in values)
        assert next(iter(values[-1]["args"].values())) == 0
    sram = [event["args"]["bytes"] for event in counters["SRAM in use (modelled)"]]
    assert max(sram) == 256 + 64 + 64  # table, x and y; two of them are needed when the third is written


def test_tracing_by_environment(tmp_path: Path) -> None:
    path, trace = tmp_path / "model.enf", tmp_path / "trace.json"
    path.write_bytes(DATA)
    script = f"""
import io
import numpy as np
from furiosa.runtime import sync
from furiosa.runtime.profiler import profile
file = io.StringIO()
with profile(file=file), sync.create_runner({str(path)!r}) as runner:
    runner.run(np.zeros({SHAPE}, np.float32))
assert file.getvalue() == ""
"""
    env = os.environ | {"FURIOSA_PROFILER_OUTPUT_PATH": str(trace)}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=env)
    assert "FURIOSA_PROFILER_OUTPUT_PATH" in done.stderr
    events = json.loads(trace.read_text())
    spans_by_track(events)
    assert [event["name"] for event in events].count("Inference") == 2
