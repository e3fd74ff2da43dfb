"""Benchmarks of a model on modelled devices: a discrete-event simulation, equal on every computer and in every run."""

from __future__ import annotations

import asyncio
import io
import itertools
import logging
import os
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from furiosa.isa import env
from furiosa.isa.enf import RunNpu
from furiosa.isa.errors import OptionError
from furiosa.isa.files import check_writable, save
from furiosa.isa.host import reference_host
from furiosa.runtime import logs
from furiosa.runtime.bench_trace import BenchTrace
from furiosa.runtime.engine import Engine
from furiosa.runtime.failures import runtime_errors
from furiosa.runtime.interface import Model
from furiosa.runtime.latencies import BenchResult, HostClock, Latencies, Part, Speed, Usage
from furiosa.runtime.profiler.events import write_events
from furiosa.runtime.profiler.recorder import Recorder, activate, deactivate
from furiosa.runtime.profiler.recording import Recording
from furiosa.runtime.query import Stay, stays, works
from furiosa.runtime.sync import open_engine
from furiosa.runtime.virtual import MOST_QUERIES, Host, Resource, Run, simulate

Array = NDArray[Any]
Workload: TypeAlias = Literal["L", "T"]

# With the throughput workload a worker sends its next query while the one before executes.
_QUERIES_A_WORKER = {"L": 1, "T": 2}
_MOST_TRACED = 200
_MEASURED_RUNS = 11
_SEED = 0
_MOST = 10**12
_LONGEST = 10**9


@dataclass(frozen=True, slots=True)
class BenchConfig:
    """What to run: a run ends when both ``queries`` and ``duration`` (seconds) are reached, ``warm_up`` not counted.

    ``host`` says what steps on the CPU cost: those of the reference host, or what they take on this computer.
    ``execute`` executes all queries for real as well, and measures that.
    """

    model_path: str | Path
    trace_output: str | Path | None = None
    batch_size: int | None = None
    compiler_config: Mapping[str, object] | None = None
    devices: str | None = None
    io_threads: int = 1
    workers: int = 1
    queries: int = 1
    duration: float = 0.0
    warm_up: int = 0
    host: HostClock = "reference"
    execute: bool = False


class BenchRunner:
    """One benchmark with the latency (``L``) or throughput (``T``) workload, for use in an event loop."""

    def __init__(self, config: BenchConfig, workload: Workload = "L") -> None:
        self.config = config
        self.workload = workload

    async def run(self) -> BenchResult:
        """Run it off the event loop. Raises FuriosaRuntimeError, which is a RuntimeError."""
        return await asyncio.to_thread(run_bench, self.config, self.workload)


def run_bench(config: BenchConfig, workload: Workload = "L") -> BenchResult:
    """Load the model and run the benchmark. Raises FuriosaRuntimeError."""
    with runtime_errors(), ExitStack() as stack:
        logs.start(logging.WARNING)  # its report says what was opened and loaded
        _check(config)
        trace = Path(config.trace_output) if config.trace_output is not None else None
        if trace is not None:
            check_writable(trace)
        engine = open_engine(
            Path(config.model_path), config.devices, config.workers, config.batch_size, config.compiler_config,
            opened=config.execute,
        )  # fmt: skip
        stack.callback(engine.devices.close)
        steps = _steps(engine, _measured_steps(engine) if config.host == "measured" else None)
        speed = _execute(config, engine) if config.execute else None
        run = _simulated(config, workload, engine, steps)
        result = _result(config, workload, engine, steps, run, speed)
        if trace is not None:
            text = io.StringIO()
            events = BenchTrace(run.visits, steps, result.programs, engine.devices.npus)
            write_events(events.lines(), text)
            save(trace, text.getvalue())
        return result


def _steps(engine: Engine, measured: Mapping[int, int] | None) -> list[Stay]:
    target = engine.devices.npus[0].target
    return stays(engine.enf, engine.executables[0].modelled, target, reference_host(), measured)


def _host(config: BenchConfig, workload: Workload, engine: Engine) -> Host:
    return Host(
        in_flight=config.workers * _QUERIES_A_WORKER[workload],
        threads=reference_host().threads if config.host == "reference" else _own_threads(),
        io_threads=config.io_threads,
        npus=len(engine.executables),
    )


def _simulated(config: BenchConfig, workload: Workload, engine: Engine, steps: Sequence[Stay]) -> Run:
    """The run on the virtual clock."""
    duration = round(config.duration * engine.devices.npus[0].target.clock_hz)
    traced = _MOST_TRACED if config.trace_output is not None else 0
    host = _host(config, workload, engine)
    return simulate(works(steps), host, config.queries, duration, config.warm_up, traced)


def _result(
    config: BenchConfig, workload: Workload, engine: Engine, steps: Sequence[Stay], run: Run, speed: Speed | None
) -> BenchResult:
    """The figures of a run."""
    target = engine.devices.npus[0].target
    modelled = engine.executables[0].modelled
    microseconds = target.microseconds
    return BenchResult(
        batch_size=engine.enf.batch_size,
        target=target.name,
        devices=tuple(npu.name for npu in engine.devices.npus),
        workload=workload,
        workers=config.workers,
        io_threads=config.io_threads,
        warm_up=config.warm_up,
        host=config.host,
        latencies=Latencies(
            tuple((microseconds(latency), count) for latency, count in run.latencies.items()),
        ),
        total=microseconds(run.total),
        usage=_usage(run, _host(config, workload, engine)),
        query=tuple(Part(step.name, microseconds(step.work.start + step.work.cycles)) for step in steps),
        programs=tuple(modelled[step.program] for step in engine.enf.steps if isinstance(step, RunNpu)),
        traced=len({visit.query for visit in run.visits}),
        speed=speed,
    )


def _own_threads() -> int:
    """How many host steps this computer executes at a time, each with as many threads as it was measured with."""
    return max(1, len(os.sched_getaffinity(0)) // env.THREADS.get())


def _usage(run: Run, host: Host) -> tuple[Usage, ...]:
    """How busy everything was that takes part."""
    rows = [
        ("NPU", host.npus, run.busy.get(Resource.EXECUTE, 0)),
        ("host threads", host.threads, run.busy.get(Resource.HOST, 0)),
        ("I/O threads", host.io_threads, run.io_busy),
        ("link to the device", 1, run.busy.get(Resource.SEND, 0)),
        ("link from the device", 1, run.busy.get(Resource.RECEIVE, 0)),
    ]
    return tuple(Usage(name, number, busy / (number * run.total) if run.total else 0.0) for name, number, busy in rows)


def _measured_steps(engine: Engine) -> dict[int, int]:
    """What each host step takes on this computer: the median of some runs, in ns by the index of the step."""
    inputs = random_inputs(engine.model)
    engine.run(inputs)
    recorder = Recorder()
    activate(recorder)
    try:
        for _ in range(_MEASURED_RUNS):
            engine.run(inputs)
    finally:
        deactivate(recorder)
    times: dict[int, list[int]] = {}
    for span in Recording.of(recorder).spans:
        if "operator_index" in span.args:
            times.setdefault(int(span.args["operator_index"]), []).append(span.end - span.start)
    return {index: round(median(found)) for index, found in times.items()}


def _execute(config: BenchConfig, engine: Engine) -> Speed:
    """All queries for real, by as many threads as there are workers."""
    inputs = random_inputs(engine.model)
    for _ in range(max(1, config.warm_up)):
        engine.run(inputs)
    tickets = itertools.count()
    stopped = threading.Event()

    def work() -> None:
        while next(tickets) < config.queries and not stopped.is_set():
            engine.run(inputs)

    began = time.perf_counter()
    with ThreadPoolExecutor(config.workers) as pool:
        try:
            for worker in [pool.submit(work) for _ in range(config.workers)]:
                worker.result()
        finally:
            stopped.set()  # an error or Ctrl-C ends all of them
    return Speed(engine.executables[0].kernels, config.queries, time.perf_counter() - began)


def random_inputs(model: Model) -> list[Array]:
    """One query's inputs: uniform in [0, 1) for floating point, over the whole range for one-byte types, else 0 or 1.

    Large integers may be indices, which only small values suit.
    """
    random = np.random.default_rng(_SEED)
    arrays: list[Array] = []
    for desc in model.inputs():
        dtype = desc.numpy_dtype
        if dtype.kind == "f":
            arrays.append(random.random(desc.shape).astype(dtype))
        elif dtype.itemsize == 1 and dtype.kind in "iu":
            arrays.append(random.integers(0, 256, desc.shape, np.uint8).view(dtype))
        elif dtype.kind in "iub":
            arrays.append(random.integers(0, 2, desc.shape).astype(dtype))
        else:
            raise OptionError(f"cannot make up values of type {desc.dtype} for the input `{desc.name}`")
    return arrays


def _check(config: BenchConfig) -> None:
    for name, value in (("queries", config.queries), ("workers", config.workers), ("I/O threads", config.io_threads)):
        if value < 1:
            raise OptionError(f"the number of {name} must be at least 1, not {value}")
    if config.queries > _MOST:
        raise OptionError(f"the number of queries must be at most {_MOST}, not {config.queries}")
    if config.execute and config.queries > MOST_QUERIES:
        raise OptionError(f"at most {MOST_QUERIES} queries can be executed, not {config.queries}")
    if not 0 <= config.warm_up <= MOST_QUERIES:
        raise OptionError(f"the warm-up must be 0 to {MOST_QUERIES} queries, not {config.warm_up}")
    if not 0 <= config.duration <= _LONGEST:
        raise OptionError(f"the duration must be a number of seconds from 0 to {_LONGEST}, not {config.duration}")
    batch = config.batch_size
    if batch is not None and (batch < 1 or batch & (batch - 1)):
        raise OptionError(f"the batch size must be a power of two, not {batch}", hint="use 1, 2, 4, 8 ...")
