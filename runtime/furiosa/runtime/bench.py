"""Benchmarks of a model: modelled device time, or measured time when a model has no NPU part."""

from __future__ import annotations

import asyncio
import io
import itertools
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from math import fsum
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from furiosa.isa.enf import Dequantize, Enf, Lower, Quantize, RunCpu, RunNpu, Step, Unlower
from furiosa.isa.errors import OptionError
from furiosa.isa.files import check_writable, save
from furiosa.runtime import logs
from furiosa.runtime.engine import Engine
from furiosa.runtime.failures import runtime_errors
from furiosa.runtime.interface import Model
from furiosa.runtime.profiler import chrome
from furiosa.runtime.profiler.recorder import Recorder, activate, deactivate
from furiosa.runtime.profiler.recording import Recording
from furiosa.runtime.sync import open_engine
from furiosa.runtime.virtual import MOST_QUERIES, Host, Stage, simulate

Array = NDArray[Any]
Workload: TypeAlias = Literal["L", "T"]

# With the throughput workload a worker sends its next query while the one before executes.
_QUERIES_A_WORKER = {"L": 1, "T": 2}
_MOST_TRACED = 16
_SPEED_RUNS = 3
_SEED = 0


@dataclass(frozen=True, slots=True)
class BenchConfig:
    """What to run: a run ends when both ``queries`` and ``duration`` (seconds) are reached."""

    model_path: str | Path
    trace_output: str | Path | None = None
    batch_size: int | None = None
    compiler_config: Mapping[str, object] | None = None
    devices: str | None = None
    io_threads: int = 1
    workers: int = 1
    queries: int = 1
    duration: float = 0.0
    measure_simulator: bool = False


@dataclass(frozen=True, slots=True)
class Speed:
    """How fast the simulator itself is here: measured seconds of one query, host steps included."""

    kernels: str
    seconds: float


@dataclass(frozen=True, slots=True)
class BenchResult:
    """The figures of one run: latencies in us in ascending order, and the time of the whole run in us.

    ``clock`` says whose time it is: ``device`` (modelled) or ``host`` (measured). ``left_out`` names the host steps
    that a modelled figure does not contain; ``traced`` is the number of queries in the trace.
    """

    batch_size: int
    clock: Literal["device", "host"]
    latencies: tuple[float, ...] = field(repr=False)
    total: float
    left_out: tuple[str, ...]
    traced: int
    speed: Speed | None

    @property
    def queries_per_second(self) -> float:
        return len(self.latencies) * 1e6 / self.total if self.total else 0.0

    @property
    def mean(self) -> float:
        return fsum(self.latencies) / len(self.latencies)

    def percentile(self, per_mille: int) -> float:
        """The latency that ``per_mille`` of 1000 queries stay below: an observed one, never interpolated."""
        return self.latencies[min(len(self.latencies) * per_mille // 1000, len(self.latencies) - 1)]


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
        traced = min(config.queries, _MOST_TRACED) if trace else 0
        with _traced_to(trace):
            engine = open_engine(
                Path(config.model_path), config.devices, config.workers, config.batch_size, config.compiler_config
            )
            stack.callback(engine.devices.close)
            inputs = random_inputs(engine.model)
            for _ in range(traced):
                engine.run(inputs)
        if not any(isinstance(step, RunNpu) for step in engine.enf.steps):
            return _measured(config, engine, inputs, traced)
        speed = _speed(engine, inputs) if config.measure_simulator else None
        return _modelled(config, workload, engine, traced, speed)


def _modelled(config: BenchConfig, workload: Workload, engine: Engine, traced: int, speed: Speed | None) -> BenchResult:
    """The run on the modelled clock: NPU executions and the transfers of their inputs and outputs."""
    programs = engine.executables[0].modelled
    stages = [
        Stage(
            send=program.link_cycles(program.input_bytes),
            execute=program.timeline.cycles,
            receive=program.link_cycles(program.output_bytes),
        )
        for program in (programs[step.program] for step in engine.enf.steps if isinstance(step, RunNpu))
    ]
    target = programs[0].target
    host = Host(config.workers * _QUERIES_A_WORKER[workload], config.io_threads, len(engine.executables))
    run = simulate(stages, host, config.queries, round(config.duration * target.clock_hz))
    return BenchResult(
        batch_size=engine.enf.batch_size,
        clock="device",
        latencies=tuple(target.microseconds(latency) for latency in sorted(run.latencies)),
        total=target.microseconds(run.total),
        left_out=_host_steps(engine.enf),
        traced=traced,
        speed=speed,
    )


def _measured(config: BenchConfig, engine: Engine, inputs: Sequence[Array], traced: int) -> BenchResult:
    """The run on the wall clock: each worker is a thread that runs queries one after the other."""
    latencies: list[float] = []
    tickets = itertools.count()
    began = time.perf_counter()

    def work() -> None:
        while next(tickets) < config.queries or time.perf_counter() - began < config.duration:
            start = time.perf_counter()
            engine.run(inputs)
            latencies.append((time.perf_counter() - start) * 1e6)

    with ThreadPoolExecutor(config.workers) as pool:
        for worker in [pool.submit(work) for _ in range(config.workers)]:
            worker.result()
    total = (time.perf_counter() - began) * 1e6
    return BenchResult(engine.enf.batch_size, "host", tuple(sorted(latencies)), total, (), traced, None)


@contextmanager
def _traced_to(path: Path | None) -> Iterator[None]:
    """Record what happens inside and write the trace to ``path``, if one is wanted."""
    if path is None:
        yield
        return
    check_writable(path)
    recorder = Recorder()
    activate(recorder)
    try:
        yield
    finally:
        deactivate(recorder)
    text = io.StringIO()
    chrome.write(Recording.of(recorder), text)
    save(path, text.getvalue())


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
    if config.queries > MOST_QUERIES:
        raise OptionError(f"the number of queries must be at most {MOST_QUERIES}, not {config.queries}")
    if not 0 <= config.duration < float("inf"):
        raise OptionError(f"the duration must be a number of seconds of at least 0, not {config.duration}")
    batch = config.batch_size
    if batch is not None and (batch < 1 or batch & (batch - 1)):
        raise OptionError(f"the batch size must be a power of two, not {batch}", hint="use 1, 2, 4, 8 ...")


def _speed(engine: Engine, inputs: Sequence[Array]) -> Speed:
    """The best of a few runs after one to warm up."""
    engine.run(inputs)
    seconds = []
    for _ in range(_SPEED_RUNS):
        start = time.perf_counter()
        engine.run(inputs)
        seconds.append(time.perf_counter() - start)
    return Speed(engine.executables[0].kernels, min(seconds))


def _host_steps(enf: Enf) -> tuple[str, ...]:
    kinds: dict[type[Step], str] = {
        Quantize: "Quantize", Lower: "Lower", RunCpu: "CPU clusters", Unlower: "Unlower", Dequantize: "Dequantize",
    }  # fmt: skip
    present = {type(step) for step in enf.steps}
    return tuple(name for kind, name in kinds.items() if kind in present)
