"""What the two clocks cost: profiling and traces of real runs, and the simulation of time.

    python benchmarks/clocks.py [--folder build/bench] [--networks digits,resnet50] [--rounds 10] [--json]

Profiling is held against the same runs of the same session while it is paused, in turns.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from claims import TRACED_INFERENCES, profiled, simulated, timeline, traced
from engines import Array
from furiosa.isa.host import reference_host
from furiosa.isa.timeline import schedule
from furiosa.runtime.engine import Engine
from furiosa.runtime.profiler import profile
from furiosa.runtime.query import stays, works
from furiosa.runtime.sync import Runner, open_engine
from furiosa.runtime.virtual import Host, simulate
from networks import NAMES
from report import arguments, column, emit, progress, spread, spread_columns
from subjects import Subject, subject
from timing import alternate

DEFAULT_NETWORKS = ("digits", "resnet50")
BLOCK_SECONDS = 0.2
SIMULATED_QUERIES = 200_000
HOST = Host(in_flight=16, threads=8, io_threads=4, npus=1)


def profiling(given: Subject, rounds: int) -> list[dict[str, Any]]:
    """One inference with and without profiling, and writing the trace of TRACED_INFERENCES."""
    with profile() as profiler, Runner(open_engine(given.enf, None, 1, None, None)) as runner:
        turns = {"paused": partial(_block, runner, given.inputs, profiler.pause),
                 "profiled": partial(_block, runner, given.inputs, profiler.resume)}  # fmt: skip
        times = alternate(turns, rounds)
    ratio = times["profiled"].median / times["paused"].median
    rows = [
        {"network": given.name, "what": "an inference, profiling paused", **spread(times["paused"])},
        {"network": given.name, "what": "an inference, profiled", **spread(times["profiled"]), "ratio": ratio},
    ]
    return [*rows, {"network": given.name, "what": f"writing a trace of {TRACED_INFERENCES} inferences",
                    "median_ms": _trace_seconds(given) * 1e3}]  # fmt: skip


def _block(runner: Runner, inputs: tuple[Array, ...], switch: Callable[[], None]) -> list[float]:
    """Seconds of some inferences in a row."""
    switch()
    runner.run(inputs)
    seconds: list[float] = []
    while not seconds or sum(seconds) < BLOCK_SECONDS:
        start = time.perf_counter()
        runner.run(inputs)
        seconds.append(time.perf_counter() - start)
    return seconds


def _trace_seconds(given: Subject) -> float:
    """From the end of the block that is profiled to the end of the file."""
    with tempfile.TemporaryFile("w") as file:
        profiler = profile(file=file)
        with profiler, Runner(open_engine(given.enf, None, 1, None, None)) as runner:
            for _ in range(TRACED_INFERENCES):
                runner.run(given.inputs)
            runner.close()
            ended = time.perf_counter()
        return time.perf_counter() - ended


def simulation(given: Subject, rounds: int) -> list[dict[str, Any]]:
    """The bench's queries, with periods left out and, as in a warm-up, one by one; the timeline of the program."""
    engine = open_engine(given.enf, None, 1, None, None)
    queries = works(_stays(engine))
    turns = {
        "queries": partial(_seconds, lambda: simulate(queries, HOST, SIMULATED_QUERIES)),
        "one by one": partial(_seconds, lambda: simulate(queries, HOST, 1, warm_up=SIMULATED_QUERIES)),
    }
    for program in engine.executables[0].modelled:
        turns["timeline"] = partial(_seconds, partial(schedule, program.instructions, program.target))
    times = alternate(turns, rounds)
    engine.close()
    rows = [
        {"network": given.name, "what": f"{SIMULATED_QUERIES:,} queries of furiosa-bench{more}", **spread(times[turn]),
         "per_second": SIMULATED_QUERIES / times[turn].median}
        for turn, more in (("queries", ""), ("one by one", ", one by one"))
    ]  # fmt: skip
    if "timeline" in times:
        rows.append({"network": given.name, "what": "the timeline of its program", **spread(times["timeline"])})
    return rows


def _stays(engine: Engine) -> list[Any]:
    modelled = engine.executables[0].modelled
    return stays(engine.enf, modelled, engine.devices.npus[0].target, reference_host())


def _seconds(work: Callable[[], object]) -> list[float]:
    start = time.perf_counter()
    work()
    return [time.perf_counter() - start]


def main() -> int:
    parser = arguments("Measure what the clocks cost.", NAMES, rounds=10)
    parser.set_defaults(networks=list(DEFAULT_NETWORKS))
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    ratios: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        os.environ["FURIOSA_SIM_STATE_DIR"] = folder
        for name in options.networks:
            progress(name)
            given = subject(name, options.folder, Path(folder))
            real, modelled = profiling(given, options.rounds), simulation(given, options.rounds)
            rows += [*real, *modelled]
            ratios[profiled(name)] = real[1]["ratio"]
            ratios[traced(name)] = real[2]["median_ms"] / 1e3
            ratios[simulated(name)] = modelled[0]["per_second"]
            ratios |= {timeline(name): row["median_ms"] for row in modelled[2:]}
    columns = [column("network"), column("what"), *spread_columns(3)]
    columns += [column("ratio", "/ paused", 3), column("per_second", "a second")]
    return emit("clocks", {"costs": (columns, rows)}, ratios, options)


if __name__ == "__main__":
    sys.exit(main())
