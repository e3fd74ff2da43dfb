"""What the host's steps at the border of the NPU take, against a NumPy copy of the same tensor.

    python benchmarks/host_steps.py [--size 640] [--threads 1,2] [--rounds 20] [--json]

Steps and copies make their results anew each time, as a runner does. A uint8 image that is read as int8 with another
scale needs a table in the network's program: what the compiler adds is measured.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import claims
from conversion import conversion
from engines import Array
from furiosa.isa.dtypes import DType
from furiosa.npu_sim.kernels import REFERENCE, kernels_name
from furiosa.runtime.boundary import Boundary
from report import arguments, column, emit, numbers, spread, spread_columns
from timing import Times, alternate, cores, pin, usable

REPEATS = 20


@dataclass(frozen=True, slots=True)
class Step:
    """A step: its name, the array whose copy it is held against, and what measures its seconds."""

    name: str
    peer: Array
    seconds: Callable[[], float]


def steps(size: int, threads: int, folder: Path) -> Iterator[Step]:
    """All steps for an image of ``size`` x ``size``, and changes of layout for maps of 256 channels too."""
    rng = np.random.default_rng(0)
    boundary = Boundary()
    pixels = rng.integers(0, 256, (1, 3, size, size), np.uint8)
    maps = rng.integers(0, 256, (1, 256, size // 8, size // 8), np.uint8)
    image = rng.standard_normal(pixels.shape, np.float32)
    yield Step(claims.QUANTIZE, image, _timer(partial(boundary.quantize, image, 0.02, 0, DType.I8)))
    yield Step(claims.CONVERT_SAME, pixels, _timer(partial(boundary.quantize, pixels, 0.02, 0, DType.I8)))
    yield Step("int8 to float32", image, _timer(partial(boundary.dequantize, pixels.view(np.int8), 0.02, 0)))
    for x in (pixels, maps):
        lowered = boundary.lower(x, x.shape)
        yield Step("NCHW to NHWC", x, _timer(partial(boundary.lower, x, x.shape)))
        yield Step("NHWC to NCHW", x, _timer(partial(boundary.unlower, lowered, x.shape)))
    if kernels_name() != REFERENCE:
        yield Step(claims.CONVERT, pixels, conversion(size, 0.03, 5, threads, folder))


def _timer(run: Callable[[], object]) -> Callable[[], float]:
    def seconds() -> float:
        start = time.perf_counter()
        run()
        return time.perf_counter() - start

    return seconds


def _block(seconds: Callable[[], float]) -> list[float]:
    """A few measurements in a row, after one that brings the data into the caches."""
    seconds()
    return [seconds() for _ in range(REPEATS)]


def measure(size: int, threads: int, rounds: int, folder: Path) -> list[dict[str, Any]]:
    """One row for every step."""
    os.environ["FURIOSA_SIM_THREADS"] = str(threads)
    pin(cores(threads))
    made = list(steps(size, threads, folder))
    turns = {f"{index}": partial(_block, step.seconds) for index, step in enumerate(made)}
    turns |= {f"copy {index}": partial(_block, _timer(step.peer.copy)) for index, step in enumerate(made)}
    times = alternate(turns, rounds)
    return [_row(step, threads, times[f"{index}"], times[f"copy {index}"]) for index, step in enumerate(made)]


def _row(step: Step, threads: int, times: Times, copy: Times) -> dict[str, Any]:
    return {
        "step": step.name,
        "tensor": f"{'x'.join(map(str, step.peer.shape))} {step.peer.dtype}",
        "threads": threads,
        **spread(times),
        "copy_ms": copy.median * 1e3,
        "ratio": times.median / copy.median,
    }


def main() -> int:
    parser = arguments("Measure the host's steps.", rounds=20)
    parser.add_argument("--size", type=int, default=640, help="rows and columns of the image; default: 640")
    parser.add_argument("--threads", type=numbers, default=list(claims.THREADS), help="default: 1,2")
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for threads in usable(options.threads):
            rows += measure(options.size, threads, options.rounds, Path(folder))
    ratios = {
        claims.host_step(row["step"], row["threads"]): row["ratio"] for row in rows if row["step"] in claims.HOST_STEPS
    }
    columns = [column("step"), column("tensor"), column("threads"), *spread_columns(3)]
    columns += [column("copy_ms", "copy ms", 3), column("ratio", "/ copy", 2)]
    return emit("host_steps", {"steps": (columns, rows)}, ratios, options)


if __name__ == "__main__":
    sys.exit(main())
