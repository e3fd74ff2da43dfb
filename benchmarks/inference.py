"""How long an inference takes on the simulated NPU, against ONNX Runtime and OpenVINO on the same file.

    python benchmarks/inference.py [--networks digits,resnet50] [--threads 1,2] [--kernels avx512] [--rounds 8] [--json]

All contenders live in one process, on as many processors as they have threads, and take turns: a pause, in which the
threads of others stop spinning, one run that warms the caches up, then the measured runs. Outputs are compared with
ONNX Runtime's: a fast wrong answer is not a result.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import claims
from engines import ONNXRUNTIME, PEERS, Array, Inference, able, installed, load
from furiosa.npu_sim.kernels import REFERENCE, available, native
from networks import NAMES
from report import Column, arguments, column, emit, names, numbers, progress, spread, spread_columns
from subjects import Subject, subject
from timing import Times, alternate, cores, pin, usable

LOADS = 3
PEAKS = 5
PAUSE = 0.02
BLOCK_SECONDS = 0.25
MOST_IN_BLOCK = 200

Row = dict[str, Any]
Peaks = dict[str, tuple[float, ...]]


class Contender:
    """A network that an engine runs on a number of threads."""

    def __init__(self, engine: str, threads: int, network: Subject) -> None:
        self.engine, self.threads, self._network = engine, threads, network
        self._infer: Inference | None = None

    @property
    def key(self) -> str:
        return f"{self.engine} {self.threads}"

    def load(self) -> list[float]:
        """The seconds of loading; what was loaded before is dropped first."""
        pin(cores(self.threads))
        self._infer = None
        start = time.perf_counter()
        self._infer = load(self.engine, self._network.file(self.engine), self.threads, self._network.inputs)
        return [time.perf_counter() - start]

    def outputs(self) -> list[Array]:
        """Of one inference."""
        assert self._infer is not None
        return [output.copy() for output in self._infer()]

    def block(self) -> list[float]:
        """Seconds of a few inferences in a row."""
        pin(cores(self.threads))
        time.sleep(PAUSE)
        warm = self._timed()
        return [self._timed() for _ in range(max(1, min(MOST_IN_BLOCK, int(BLOCK_SECONDS / warm))))]

    def _timed(self) -> float:
        assert self._infer is not None
        start = time.perf_counter()
        self._infer()
        return time.perf_counter() - start


def measure(network: Subject, engines: Sequence[str], threads: Sequence[int], rounds: int) -> tuple[list[Row], Peaks]:
    """One row for every engine on every number of threads, and the peaks of our kernels meanwhile."""
    # Most threads first: OpenVINO keeps for good how many processors it finds when it is first used.
    pin(cores(max(threads)))
    engines = able(engines, network.model, max(threads), network.inputs)
    made = [Contender(engine, count, network) for count in sorted(threads, reverse=True) for engine in engines]
    loads = alternate({each.key: each.load for each in made}, LOADS)
    kernels = [engine for engine in engines if engine not in (*PEERS, REFERENCE)]
    taking_turns = {each.key: each.block for each in made} | {name: partial(_peak, name) for name in kernels}
    times = alternate(taking_turns, rounds)
    expected = {each.threads: each.outputs() for each in made if each.engine == ONNXRUNTIME}
    made.sort(key=lambda each: each.threads)
    rows = [
        {
            **_row(network, each, times),
            "load_ms": loads[each.key].median * 1e3,
            "differences": unlike(each.outputs(), expected[each.threads]),
        }
        for each in made
    ]
    return rows, {name: times[name].seconds for name in kernels}


def _peak(kernels: str) -> list[float]:
    """Seconds of a multiply-accumulate operation on one thread, when nothing but the instructions counts."""
    module = native()
    assert module is not None
    pin(cores(1))
    return [1 / module.peak(kernels) for _ in range(PEAKS)]


def _row(network: Subject, each: Contender, times: Mapping[str, Times]) -> Row:
    median = times[each.key].median
    single, rate = times.get(f"{each.engine} 1"), network.macs / each.threads / median
    return {
        "network": network.name,
        "threads": each.threads,
        "engine": each.engine,
        **spread(times[each.key]),
        **{f"ratio_{peer}": _ratio(median, times.get(f"{peer} {each.threads}")) for peer in PEERS},
        "speed_up": single.median / median if single and each.threads > 1 else None,
        "gmac_per_second": network.macs / median / 1e9,
        "peak_share": times[each.engine].median * rate if each.engine in times else None,
        "vector_share": times[claims.VECTOR_KERNELS].median * rate if claims.VECTOR_KERNELS in times else None,
    }


def _ratio(median: float, peer: Times | None) -> float | None:
    return median / peer.median if peer else None


def unlike(outputs: Sequence[Array], expected: Sequence[Array]) -> int:
    """How many values differ."""
    return sum(int(np.count_nonzero(a != b)) for a, b in zip(outputs, expected, strict=True))


def ratios(rows: Sequence[Row], kernels: str) -> Iterator[tuple[str, float]]:
    """What `claims.py` may limit, of these kernels."""
    loads = {(row["network"], row["threads"]): row["load_ms"] for row in rows if row["engine"] == ONNXRUNTIME}
    for row in rows:
        network, threads = row["network"], row["threads"]
        if row["engine"] == kernels:
            if row["vector_share"]:
                yield claims.vector_share(network, threads, kernels), row["vector_share"]
            for peer in PEERS:
                if row[f"ratio_{peer}"] is not None:
                    yield claims.run_time(network, threads, kernels, peer), row[f"ratio_{peer}"]
            yield claims.load_time(network, threads, kernels, ONNXRUNTIME), row["load_ms"] / loads[network, threads]
            if row["speed_up"]:
                yield claims.speed_up(network, threads, kernels), row["speed_up"]
    for network in {row["network"]: None for row in rows}:
        differences = [row["differences"] for row in rows if (row["network"], row["engine"]) == (network, kernels)]
        yield claims.differences(network, kernels), float(max(differences))


def main() -> int:
    default = [name for name in available() if name != REFERENCE][::-1] or [REFERENCE]
    parser = arguments("Measure inferences.", NAMES, rounds=8)
    parser.add_argument("--kernels", type=names(available()), default=default, help=f"default: {','.join(default)}")
    parser.add_argument("--threads", type=numbers, default=list(claims.THREADS), help="default: 1,2")
    options = parser.parse_args()
    threads, engines = usable(options.threads), [*installed(), *options.kernels]
    rows: list[Row] = []
    peaks: Peaks = {}
    with tempfile.TemporaryDirectory() as folder:
        os.environ["FURIOSA_SIM_STATE_DIR"] = folder
        for name in options.networks:
            progress(name)
            more, found = measure(subject(name, options.folder, Path(folder)), engines, threads, options.rounds)
            rows += more
            peaks = {kernels: (*peaks.get(kernels, ()), *seconds) for kernels, seconds in found.items()}
    tables = {"runs": (_columns(engines), rows), "peaks": (PEAK_COLUMNS, [_peak_row(*each) for each in peaks.items()])}
    return emit("inference", tables, dict(ratios(rows, options.kernels[0])), options)


def _columns(engines: Sequence[str]) -> list[Column]:
    columns = [column("network"), column("threads"), column("engine"), *spread_columns(3)]
    columns += [column(f"ratio_{peer}", f"/ {peer}", 2) for peer in PEERS if peer in engines]
    columns += [column("speed_up", "speed-up", 2), column("gmac_per_second", "GMAC/s")]
    columns += [column("peak_share", "of peak", 2), column("load_ms", "load ms"), column("differences", "differ")]
    return columns


def _peak_row(kernels: str, seconds: tuple[float, ...]) -> Row:
    slow, fast = (1 / value / 1e9 for value in Times(seconds).quartiles[::-1])
    return {"kernels": kernels, "median": 1 / Times(seconds).median / 1e9, "low": slow, "high": fast}


PEAK_COLUMNS = (column("kernels"), column("median", "GMAC/s, 1 thread"), column("low", "25 %"), column("high", "75 %"))


if __name__ == "__main__":
    sys.exit(main())
