"""What is promised of the ratios that the benchmarks measure: the table of limits.

The limits of inference hold on a processor with AVX-512 VNNI or AMX, for the fastest kernels that it can execute.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engines import ONNXRUNTIME, OPENVINO
from furiosa.npu_sim.kernels import kernels_name

KERNELS = kernels_name()
VECTOR_KERNELS = "avx512"
THREADS = (1, 2)


@dataclass(frozen=True, slots=True)
class Limit:
    """A ratio is at most ``value``, or at least that."""

    value: float
    at_least: bool = False

    def holds(self, measured: float) -> bool:
        return measured >= self.value if self.at_least else measured <= self.value

    def __str__(self) -> str:
        return f"{'at least' if self.at_least else 'at most'} {self.value:.2f}"


def on(threads: int) -> str:
    return "1 thread" if threads == 1 else f"{threads} threads"


def run_time(network: str, threads: int, engine: str, peer: str) -> str:
    return f"{network}, {on(threads)}: {engine} / {peer}"


def load_time(network: str, threads: int, engine: str, peer: str) -> str:
    return f"{network}, {on(threads)}: load time, {engine} / {peer}"


def first_load_time(network: str, engine: str, peer: str) -> str:
    return f"{network}: first load of a process, {engine} / {peer}"


def peak_memory(network: str, engine: str, peer: str) -> str:
    return f"{network}: peak memory, {engine} / {peer}"


def vector_share(network: str, threads: int, engine: str) -> str:
    return f"{network}, {on(threads)}: MAC rate of {engine} / peak of {VECTOR_KERNELS}"


def speed_up(network: str, threads: int, engine: str) -> str:
    return f"{network}: speed-up by {on(threads)}, {engine}"


def differences(network: str, engine: str) -> str:
    return f"{network}: outputs that differ from {ONNXRUNTIME}'s, {engine}"


def host_step(step: str, threads: int) -> str:
    return f"{step}, {on(threads)} / copy"


def cache_hit(network: str, store: str) -> str:
    return f"{network}: process with a hit in the cache, {store} / compile"


def profiled(network: str) -> str:
    return f"{network}: inference with profiling / without"


def traced(network: str) -> str:
    return f"{network}: seconds to write a trace of {TRACED_INFERENCES} inferences"


def simulated(network: str) -> str:
    return f"{network}: queries that furiosa-bench simulates in a second"


def timeline(network: str) -> str:
    return f"{network}: milliseconds for the timeline of its program"


def throughput(contender: str) -> str:
    return f"{contender}: throughput / synchronous loop"


# Of the contenders of `queues.py`, those of whose throughput something is promised.
QUEUE, ASYNC_QUEUE = "queue, 16 threads", "asynchronous queue, 1000 tasks"
ASYNC_OVERHEAD = "asynchronous runner, one task: overhead / 100 us"
PACE = "real-time pace, 2 workers: speed-up"
TRACED_INFERENCES = 1000
CACHE_STORES = ("a folder", "Redis")


def calibration_time(network: str, method: str) -> str:
    return f"{network}, calibrating by {method}: ours / {ONNXRUNTIME}"


def calibration_memory(network: str, method: str) -> str:
    return f"{network}, calibrating by {method}: peak memory, ours / {ONNXRUNTIME}"


def calibration_growth(network: str, method: str) -> str:
    return f"{network}, calibrating by {method}: peak memory, all images / few"


START_UP = "furiosactl list / import typer"
COMPILE = "resnet50: compiler / ONNX Runtime"
COMPILE_TFLITE = "mobilenet_v2: furiosa-compiler / vela"
QUANTIZE = "float32 to int8"
CONVERT_SAME, CONVERT = "uint8 to int8, same scale", "uint8 to int8, other scale"

HOST_STEPS = {QUANTIZE: 2.0, CONVERT_SAME: 1.5, CONVERT: 1.5}

# Network -> the most that our time may be of ONNX Runtime's and of OpenVINO's.
_RUN_TIMES = {
    "digits": (1.5, None),
    "squeezenet": (0.95, 1.15),
    "mobilenet_v1": (0.95, 1.15),
    "mobilenet_v2": (0.95, 1.15),
    "resnet50": (0.85, 1.0),
    "resnet50-int8": (0.45, 1.0),
    "yolo": (0.95, 1.15),
}

_CALIBRATION_TIMES = {"min-max": 0.9, "entropy": 0.6, "percentile": 0.6}


def _claims() -> Iterator[tuple[str, Limit]]:
    for network, limits in _RUN_TIMES.items():
        for peer, limit in zip((ONNXRUNTIME, OPENVINO), limits):
            if limit is not None:
                yield from ((run_time(network, threads, KERNELS, peer), Limit(limit)) for threads in THREADS)
    yield vector_share("resnet50", 1, KERNELS), Limit(0.8, at_least=True)
    yield speed_up("resnet50", 2, KERNELS), Limit(1.8, at_least=True)
    yield from ((load_time("resnet50", threads, KERNELS, ONNXRUNTIME), Limit(1.0)) for threads in THREADS)
    yield first_load_time("resnet50", KERNELS, ONNXRUNTIME), Limit(1.0)
    yield from ((peak_memory(network, KERNELS, ONNXRUNTIME), Limit(1.3)) for network in _RUN_TIMES)
    yield from ((differences(network, KERNELS), Limit(0)) for network in _RUN_TIMES)
    for step, most in HOST_STEPS.items():
        yield from ((host_step(step, threads), Limit(most)) for threads in THREADS)
    for method, most in _CALIBRATION_TIMES.items():
        yield calibration_time("resnet50", method), Limit(most)
        yield calibration_growth("resnet50", method), Limit(1.05)
        if method != "min-max":
            yield calibration_memory("resnet50", method), Limit(0.5)
    yield START_UP, Limit(1.6)
    yield COMPILE, Limit(3.0)
    yield COMPILE_TFLITE, Limit(0.6)
    yield profiled("resnet50"), Limit(1.03)
    yield from ((traced(network), Limit(2.0)) for network in ("digits", "resnet50"))
    yield from ((simulated(network), Limit(100_000, at_least=True)) for network in ("digits", "resnet50"))
    yield timeline("resnet50"), Limit(20.0)
    yield from ((throughput(contender), Limit(1.5, at_least=True)) for contender in (QUEUE, ASYNC_QUEUE))
    yield ASYNC_OVERHEAD, Limit(1.0)
    yield PACE, Limit(1.7, at_least=True)
    yield from ((cache_hit("resnet50", store), Limit(0.3)) for store in CACHE_STORES)


CLAIMS: dict[str, Limit] = dict(_claims())


def verdict(name: str, measured: float | None) -> dict[str, Any]:
    """A row of the table of claims; ``holds`` is None where nothing is promised or nothing was measured."""
    limit = CLAIMS.get(name)
    holds = None if limit is None or measured is None else limit.holds(measured)
    return {"claim": name, "measured": measured, "limit": limit and str(limit), "holds": holds}


def verdicts(measured: Mapping[str, float]) -> list[dict[str, Any]]:
    """One row for every claim."""
    return [verdict(name, measured.get(name)) for name in CLAIMS]


def broken(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The claims among the rows that do not hold, or that nothing was measured for."""
    return [row["claim"] for row in rows if row["limit"] and not row["holds"]]
