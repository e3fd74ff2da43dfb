"""How long an inference takes on the simulated NPU, against ONNX Runtime on the same file, and how long loading takes.

    python benchmarks/inference.py [--networks digits,resnet50] [--threads 1,2] [--kernels avx512] [--rounds 8] [--json]

All contenders live in one process and take turns: a pause, in which ONNX Runtime's threads stop spinning, one run that
warms the caches up, then the measured runs. Outputs are compared: a fast wrong answer is not a result.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from furiosa.compiler import compile_model
from furiosa.npu_sim.kernels import REFERENCE, available
from furiosa.runtime.sync import Runtime
from networks import NAMES, quantized, random_inputs
from report import arguments, column, emit, names, spread, spread_columns
from timing import alternate

PEER = "onnxruntime"
DEVICE = "warboy(2)*1"
TARGET = "warboy-2pe"
LOADS = 3
PAUSE = 0.02
BLOCK_SECONDS = 0.25
MOST_IN_BLOCK = 20

Array = NDArray[Any]
Inference = Callable[[], list[Array]]


class Contender:
    """A loaded network: who runs it, on how many threads, what loading took, and the outputs of one inference."""

    def __init__(self, engine: str, threads: int, load: Callable[[], Inference]) -> None:
        """Load it `LOADS` times; the last one is measured and the median of the times is kept."""
        self.engine, self.threads = engine, threads
        seconds = []
        for _ in range(LOADS):
            start = time.perf_counter()
            self._infer = load()
            seconds.append(time.perf_counter() - start)
        self.load_seconds = statistics.median(seconds)
        self.outputs = self._infer()

    @property
    def key(self) -> str:
        return f"{self.engine} {self.threads}"

    def block(self) -> list[float]:
        """Seconds of a few inferences in a row."""
        time.sleep(PAUSE)
        warm = self._timed()
        return [self._timed() for _ in range(max(1, min(MOST_IN_BLOCK, int(BLOCK_SECONDS / warm))))]

    def _timed(self) -> float:
        start = time.perf_counter()
        self._infer()
        return time.perf_counter() - start


def load_peer(model: Path, inputs: dict[str, Array], threads: int) -> Inference:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, inputs)


def load_ours(runtime: Runtime, enf: Path, inputs: dict[str, Array], kernels: str, threads: int) -> Inference:
    os.environ["FURIOSA_SIM_KERNELS"], os.environ["FURIOSA_SIM_THREADS"] = kernels, str(threads)
    runner = runtime.create_runner(enf)
    tensors = list(inputs.values())
    return lambda: runner.run(tensors)


def contenders(runtime: Runtime, model: Path, enf: Path, kernels: list[str], threads: list[int]) -> list[Contender]:
    """ONNX Runtime and every one of our ``kernels``, on each number of threads."""
    inputs: dict[str, Array] = {**random_inputs(model)}
    made = []
    for count in threads:
        made.append(Contender(PEER, count, partial(load_peer, model, inputs, count)))
        made += [Contender(name, count, partial(load_ours, runtime, enf, inputs, name, count)) for name in kernels]
    return made


def measure(name: str, model: Path, kernels: list[str], threads: list[int], rounds: int) -> list[dict[str, Any]]:
    """One row for every contender: load time, run time, ratio to ONNX Runtime on as many threads, equal outputs."""
    with tempfile.TemporaryDirectory() as folder, Runtime(DEVICE) as runtime:
        enf = Path(folder, "model.enf")
        enf.write_bytes(compile_model(model, TARGET).enf)
        made = contenders(runtime, model, enf, kernels, threads)
        times = alternate({each.key: each.block for each in made}, rounds)
    peers = {each.threads: each for each in made if each.engine == PEER}
    return [
        {
            "network": name,
            "threads": each.threads,
            "engine": each.engine,
            "load_ms": each.load_seconds * 1e3,
            **spread(times[each.key]),
            "ratio": times[each.key].median / times[peers[each.threads].key].median,
            "outputs": "equal" if equal(each.outputs, peers[each.threads].outputs) else "DIFFER",
        }
        for each in made
    ]


def equal(outputs: list[Array], expected: list[Array]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(outputs, expected, strict=True))


def main() -> int:
    native = [name for name in available() if name != REFERENCE]
    default = native[::-1] or [REFERENCE]
    parser = arguments("Measure inferences.", NAMES, rounds=8, ratio="the first kernels' time over ONNX Runtime's")
    parser.add_argument("--kernels", type=names(available()), default=default, help=f"default: {','.join(default)}")
    parser.add_argument("--threads", default="1,2", help="default: 1,2")
    options = parser.parse_args()
    threads = [int(word) for word in options.threads.split(",")]
    rows = []
    with tempfile.TemporaryDirectory() as state:
        os.environ["FURIOSA_SIM_STATE_DIR"] = state
        for name in options.networks:
            model = quantized(name, options.folder)
            rows += measure(name, model, options.kernels, threads, options.rounds)
    first = options.kernels[0]
    ratios = {
        f"{row['network']}, threads {row['threads']}: {first} / {PEER}": row["ratio"]
        for row in rows
        if row["engine"] == first
    }
    columns = [column("network"), column("threads"), column("engine"), column("load_ms", "load ms"), *spread_columns(2)]
    columns += [column("ratio", f"/ {PEER}", 2), column("outputs")]
    return emit("inference", {"runs": (columns, rows)}, ratios, options)


if __name__ == "__main__":
    sys.exit(main())
