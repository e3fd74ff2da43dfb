"""The discrete-event model behind furiosa-bench, and the figures that the runner makes of it."""

from __future__ import annotations

import asyncio
import heapq
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.runtime.tiny_models import cpu_model, mixed_model, npu_model

from furiosa.isa import enf
from furiosa.isa.errors import OptionError
from furiosa.runtime.bench import BenchConfig, BenchRunner
from furiosa.runtime.latencies import Latencies
from furiosa.runtime.virtual import Host, Resource, Run, Work, simulate

HOST, SEND, EXECUTE, RECEIVE = Resource
STAGE = [Work(SEND, 30), Work(EXECUTE, 100), Work(RECEIVE, 20)]


def host(in_flight: int = 1, threads: int = 8, io_threads: int = 1, npus: int = 1) -> Host:
    return Host(in_flight, threads, io_threads, npus)


def test_one_query_at_a_time_takes_the_sum_of_its_works() -> None:
    run = simulate([Work(HOST, 7), *STAGE, *STAGE, Work(HOST, 3)], host(), 5)
    assert run.latencies == {310: 5}
    assert run.total == 1550
    assert run.busy == {HOST: 50, SEND: 300, EXECUTE: 1000, RECEIVE: 200}
    assert run.io_busy == 500


def test_the_npu_bounds_throughput() -> None:
    run = simulate(STAGE, host(4, io_threads=2), 100)
    assert run.total == 30 + 100 * 100 + 20
    twice = simulate(STAGE, host(4, io_threads=2, npus=2), 100)
    assert run.total / 2 < twice.total < run.total * 0.6


def test_io_threads_bound_throughput() -> None:
    slow = [Work(SEND, 200), Work(EXECUTE, 10), Work(RECEIVE, 200)]
    one = simulate(slow, host(8), 100)
    two = simulate(slow, host(8, io_threads=2), 100)
    assert one.total >= 100 * 400
    assert two.total < one.total * 0.6


def test_host_threads_bound_throughput() -> None:
    work = [Work(HOST, 100), Work(EXECUTE, 10)]
    totals = [simulate(work, host(8, threads), 80).total for threads in (1, 2, 4)]
    assert totals == [8010, 4020, 2040]  # those that end together wait for the NPU


def test_a_transfer_starts_on_its_thread_before_it_takes_the_link() -> None:
    # Both threads start at once; the second waits for the link.
    assert simulate([Work(SEND, 10, start=5)], host(2, io_threads=2), 2).latencies == {15: 1, 25: 1}
    assert simulate([Work(SEND, 10, start=5)], host(2, io_threads=1), 2).latencies == {15: 1, 30: 1}


def test_both_minima_are_met() -> None:
    assert simulate(STAGE, host(2), 1).latencies == {150: 1}
    run = simulate(STAGE, host(2), 3, 10_000)
    assert run.total >= 10_000
    assert sum(run.latencies.values()) > 3
    assert run == simulate(STAGE, host(2), 3, 10_000)


def test_no_duration_is_reached_by_nothing() -> None:
    assert simulate([], host(), 5).latencies == {0: 5}
    with pytest.raises(OptionError, match="no time"):
        simulate([], host(), 1, 100)


def test_more_in_flight_is_never_slower() -> None:
    totals = [simulate(STAGE, host(n), 50).total for n in (1, 2, 4, 8)]
    assert totals == sorted(totals, reverse=True)


def test_the_warm_up_does_not_count() -> None:
    cold, warm = (simulate(STAGE, host(4, io_threads=2), 1000, warm_up=warm_up) for warm_up in (0, 50))
    assert len(cold.latencies) > len(warm.latencies)
    assert sum(warm.latencies.values()) == 1000
    assert warm.total == 100 * 1000 + 20 - 100 + 80  # the pipeline is full when it begins, and drains at its end
    assert all(busy <= warm.total for busy in warm.busy.values())


def plainly(works: list[Work], who: Host, queries: int, duration: int) -> Run:
    """The same rules without any short cut."""
    threads, io, npus, link = [0] * who.threads, [0] * who.io_threads, [0] * who.npus, {SEND: 0, RECEIVE: 0}
    events = [(0, i, 0, 0) for i in range(who.in_flight if duration else min(who.in_flight, queries))]
    issued = tie = len(events)
    latencies: Counter[int] = Counter()
    busy: Counter[Resource] = Counter()
    now = io_busy = 0
    while events:
        now, _, began, step = heapq.heappop(events)
        if step == len(works):
            latencies[now - began] += 1
            if issued < queries or now < duration:
                heapq.heappush(events, (now, tie, now, 0))
                issued, tie = issued + 1, tie + 1
            continue
        resource, cycles, start = works[step]
        busy[resource] += cycles
        if resource in link:
            io_busy += start + cycles
            end = max(max(now, heapq.heappop(io)) + start, link[resource]) + cycles
            heapq.heappush(io, end)
            link[resource] = end
        else:
            pool = threads if resource is HOST else npus
            end = max(now, heapq.heappop(pool)) + cycles
            heapq.heappush(pool, end)
        heapq.heappush(events, (end, tie, began, step + 1))
        tie += 1
    return Run(dict(sorted(latencies.items())), now, busy, io_busy)


WORK = st.builds(lambda resource, cycles, start: Work(resource, cycles, start if resource in (SEND, RECEIVE) else 0),
                 st.sampled_from(Resource), st.integers(1, 60), st.integers(0, 9))  # fmt: skip
HOSTS = st.builds(Host, st.integers(1, 9), st.integers(1, 3), st.integers(1, 3), st.integers(1, 2))


@given(st.lists(WORK, min_size=1, max_size=6), HOSTS, st.integers(1, 400), st.integers(0, 9000))
def test_whole_periods_are_left_out_without_a_difference(
    works: list[Work], who: Host, queries: int, duration: int
) -> None:
    assert simulate(works, who, queries, duration) == plainly(works, who, queries, duration)


@given(st.lists(WORK, min_size=1, max_size=6), HOSTS, st.integers(1, 60), st.integers(0, 9), st.integers(0, 70))
def test_visits_are_what_was_simulated(
    works: list[Work], who: Host, queries: int, warm_up: int, visits_of: int
) -> None:
    run = simulate(works, who, queries, warm_up=warm_up, visits_of=visits_of)
    assert replace(run, visits=()) == simulate(works, who, queries, warm_up=warm_up)
    seen = {visit.query for visit in run.visits}
    assert seen <= set(range(visits_of)) and (warm_up or len(seen) == min(queries, visits_of))
    for query in seen:
        visits = [visit for visit in run.visits if visit.query == query]
        assert [visit.work for visit in visits] == list(range(len(works)))[-len(visits) :]
        assert all(before.end <= after.start for before, after in pairwise(visits))
        assert warm_up or max(run.latencies) >= visits[-1].end - visits[0].start
    numbers = {HOST: who.threads, EXECUTE: who.npus, SEND: who.io_threads, RECEIVE: who.io_threads}
    for resource, number in numbers.items():
        own = [visit for visit in run.visits if works[visit.work].resource is resource]
        assert all(sum(v.start <= at.start < v.end for v in own) <= number for at in own)
    if not warm_up and visits_of >= queries:
        for resource in (HOST, EXECUTE):
            own = [visit for visit in run.visits if works[visit.work].resource is resource]
            assert sum(visit.end - visit.start for visit in own) == run.busy.get(resource, 0)
        assert max(visit.end for visit in run.visits) == run.total


def test_as_many_queries_as_one_likes() -> None:
    few, many = (simulate(STAGE, host(5, io_threads=2), count) for count in (10_000, 10**12))
    assert sum(many.latencies.values()) == 10**12
    assert many.total == few.total + (10**12 - 10_000) * 100
    assert many.busy[EXECUTE] == 10**12 * 100


def test_percentiles_are_observed() -> None:
    latencies = Latencies(((1.5, 2), (2.0, 7), (9.0, 1)))
    assert len(latencies) == 10
    found = {text: latencies.percentile(Fraction(text)) for text in ("10", "20", "50", "89.9", "90", "100")}
    assert found == {"10": 1.5, "20": 2.0, "50": 2.0, "89.9": 2.0, "90": 9.0, "100": 9.0}
    assert latencies.mean == pytest.approx(2.6)


def result_of(path: Path, workload: Any = "L", **options: Any) -> Any:
    return asyncio.run(BenchRunner(BenchConfig(path, **options), workload).run())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "model.enf"
    path.write_bytes(enf.dump(npu_model()))
    return path


def test_figures_are_deterministic(path: Path) -> None:
    one = result_of(path, queries=100)
    again = result_of(path, queries=100)
    assert (one.latencies, one.usage, one.query, one.total) == (again.latencies, again.usage, again.query, again.total)
    assert one.latencies.least == one.latencies.most == pytest.approx(one.latencies.mean)
    assert one.total == pytest.approx(100 * one.latencies.mean)
    assert sum(part.us for part in one.query) == pytest.approx(one.latencies.mean)
    assert [part.name for part in one.query] == [
        "Quantize", "Lower", "Send", "Execute", "Receive", "Unlower", "Dequantize"
    ]  # fmt: skip
    fast = result_of(path, "T", queries=100, workers=2, io_threads=2)
    assert fast.queries_per_second > one.queries_per_second
    assert fast.latencies.mean > one.latencies.mean


def test_every_resource_can_be_the_bottleneck(path: Path) -> None:
    assert result_of(path, queries=100).bottleneck == "workers"
    assert result_of(path, queries=1000, workers=8, io_threads=1).bottleneck == "I/O threads"
    for result in (result_of(path, queries=1000, workers=30, io_threads=20), result_of(path)):
        assert all(0 <= usage.share <= 1 for usage in result.usage)


def test_models_with_and_without_cpu_clusters(tmp_path: Path) -> None:
    for name, model in (("cpu", cpu_model()), ("mixed", mixed_model())):
        file = tmp_path / f"{name}.enf"
        file.write_bytes(enf.dump(model))
        result = result_of(file, queries=7, workers=2)
        assert len(result.latencies) == 7
        assert {part.name for part in result.query} >= {"CpuCluster"}
        assert result.npu_us == sum(part.us for part in result.query if part.name == "Execute")
        measured = result_of(file, queries=7, host="measured")
        assert [part.name for part in measured.query] == [part.name for part in result.query]
        assert measured.npu_us == result.npu_us


def test_execution_is_measured_apart(path: Path) -> None:
    result = result_of(path, queries=20, workers=2, execute=True)
    assert (result.speed.queries, result.speed.query_us > 0) == (20, True)
    assert result.latencies == result_of(path, queries=20, workers=2).latencies


@pytest.mark.parametrize("options", [{}, {"devices": "warboy(1)*2"}], ids=["fused", "two"])
def test_the_trace_is_that_of_the_virtual_clock(tmp_path: Path, options: dict[str, Any]) -> None:
    single = replace(npu_model(), target="warboy") if options else mixed_model()
    file, trace = tmp_path / "model.enf", tmp_path / "trace.json"
    file.write_bytes(enf.dump(single))
    result = result_of(file, "T", queries=30, workers=3, io_threads=2, trace_output=trace, **options)
    assert result.traced == 30
    events = json.loads(trace.read_text())
    names = {(event["pid"], event["tid"]): event["args"]["name"] for event in events if event["ph"] == "M"}
    assert names[1, 0] == "queries" and {"host thread 1", "I/O thread 1", "I/O thread 2"} <= set(names.values())
    inferences = {phase: {e["id"]: e["ts"] for e in events if e["name"] == "Inference" and e["ph"] == phase}
                  for phase in "be"}  # fmt: skip
    assert sorted(inferences["b"]) == list(range(30))
    assert max(inferences["e"].values()) == pytest.approx(result.total, abs=0.001)
    tasks = [e for e in events if e["name"].startswith("Task(") and e["ph"] == "B"]
    assert len(tasks) == 30 * len(result.programs) and {e["args"]["query"] for e in tasks} == set(range(30))
    assert len({e["pid"] for e in tasks}) == (2 if options else 1)
    arrows = {phase: [(e["id"], e["ts"]) for e in events if e["ph"] == phase] for phase in "sf"}
    assert sorted(e["id"] for e in tasks) == sorted(number for number, _ in arrows["f"])
    assert all(dict(arrows["s"])[number] <= at for number, at in arrows["f"])
    for track in {(e["pid"], e["tid"]) for e in events if e["ph"] == "X"}:
        assert track in names
        spans = sorted((round(e["ts"] * 1000), round((e["ts"] + e["dur"]) * 1000)) for e in spans_of(events, track))
        assert all(end <= start for (_, end), (start, _) in pairwise(spans)), names[track]


def spans_of(events: list[dict[str, Any]], track: tuple[int, int]) -> Iterator[dict[str, Any]]:
    return (event for event in events if event["ph"] == "X" and (event["pid"], event["tid"]) == track)


def test_errors_are_runtime_errors(path: Path, tmp_path: Path) -> None:
    for options in ({"queries": 0}, {"workers": 0}, {"io_threads": 0}, {"batch_size": 3}, {"duration": -1.0},
                    {"warm_up": -1}, {"queries": 10**13}, {"duration": float("inf")}, {"devices": "npu9pe0"},
                    {"trace_output": tmp_path / "no" / "trace.json"}):  # fmt: skip
        with pytest.raises(RuntimeError):
            result_of(path, **options)
    with pytest.raises(RuntimeError):
        result_of(tmp_path / "absent")
