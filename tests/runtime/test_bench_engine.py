"""The discrete-event model behind furiosa-bench, and the figures that the runner makes of it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from tests.runtime.tiny_models import cpu_model, npu_model

from furiosa.isa import enf
from furiosa.runtime.bench import BenchConfig, BenchRunner
from furiosa.runtime.virtual import Host, Stage, simulate

STAGE = Stage(send=30, execute=100, receive=20)


def test_one_query_at_a_time_takes_the_sum_of_its_stages() -> None:
    run = simulate([STAGE, STAGE], Host(in_flight=1, io_threads=1, npus=1), 5, 0)
    assert run.latencies == (300,) * 5
    assert run.total == 1500


def test_the_npu_bounds_throughput() -> None:
    run = simulate([STAGE], Host(in_flight=4, io_threads=2, npus=1), 100, 0)
    assert run.total == 30 + 100 * 100 + 20
    twice = simulate([STAGE], Host(in_flight=4, io_threads=2, npus=2), 100, 0)
    assert run.total / 2 < twice.total < run.total * 0.6


def test_io_threads_bound_throughput() -> None:
    slow = Stage(send=200, execute=10, receive=200)
    one = simulate([slow], Host(in_flight=8, io_threads=1, npus=1), 100, 0)
    two = simulate([slow], Host(in_flight=8, io_threads=2, npus=1), 100, 0)
    assert one.total >= 100 * 400
    assert two.total < one.total * 0.6


def test_both_minima_are_met() -> None:
    host = Host(in_flight=2, io_threads=1, npus=1)
    assert len(simulate([STAGE], host, 1, 0).latencies) == 1
    run = simulate([STAGE], host, 3, 10_000)
    assert run.total >= 10_000
    assert len(run.latencies) > 3
    assert run == simulate([STAGE], host, 3, 10_000)


def test_more_workers_are_never_slower() -> None:
    totals = [simulate([STAGE], Host(n, 1, 1), 50, 0).total for n in (1, 2, 4, 8)]
    assert totals == sorted(totals, reverse=True)


def result_of(path: Path, workload: Any = "L", **options: Any) -> Any:
    return asyncio.run(BenchRunner(BenchConfig(path, **options), workload).run())


def test_modelled_figures_are_deterministic(tmp_path: Path) -> None:
    path = tmp_path / "model.enf"
    path.write_bytes(enf.dump(npu_model()))
    one = result_of(path, queries=100)
    assert one == result_of(path, queries=100)
    assert one.clock == "device"
    assert one.latencies[0] == one.latencies[-1] == one.mean
    assert one.total == pytest.approx(100 * one.mean)
    fast = result_of(path, "T", queries=100, workers=2)
    assert fast.queries_per_second > one.queries_per_second
    assert fast.mean > one.mean
    assert one.left_out == ("Quantize", "Lower", "Unlower", "Dequantize")


def test_a_model_without_npu_part_is_measured(tmp_path: Path) -> None:
    path = tmp_path / "cpu.enf"
    path.write_bytes(enf.dump(cpu_model()))
    result = result_of(path, queries=7, workers=2)
    assert result.clock == "host"
    assert len(result.latencies) == 7
    assert result.total > 0


def test_errors_are_runtime_errors(tmp_path: Path) -> None:
    path = tmp_path / "model.enf"
    path.write_bytes(enf.dump(npu_model()))
    for options in ({"queries": 0}, {"workers": 0}, {"io_threads": 0}, {"batch_size": 3}, {"duration": -1.0},
                    {"devices": "npu9pe0"}, {"trace_output": tmp_path / "no" / "trace.json"}):  # fmt: skip
        with pytest.raises(RuntimeError):
            result_of(path, **options)
    with pytest.raises(RuntimeError):
        result_of(tmp_path / "absent")
