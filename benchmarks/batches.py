"""What one image takes when several are computed at once.

python benchmarks/batches.py [--networks digits] [--batches 1,4,16] [--threads 1,2] [--rounds 4] [--json]
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from claims import THREADS
from engines import Inference, load
from furiosa.compiler import compile_model
from furiosa.npu_sim.kernels import kernels_name
from networks import NAMES, quantized, random_inputs
from report import arguments, column, emit, numbers, progress, spread, spread_columns
from subjects import TARGET
from timing import alternate, cores, pin, usable

BLOCK_SECONDS = 0.1
DEFAULT_NETWORKS = ("digits", "mobilenet_v2", "resnet50")
BATCHES = (1, 4, 16)


def measure(model: Path, batches: Sequence[int], threads: int, rounds: int, folder: Path) -> list[dict[str, Any]]:
    """One row for every batch, with the time of one image and its ratio to that of the first batch."""
    pin(cores(threads))
    turns = {batch: _load(model, batch, threads, folder) for batch in batches}
    times = alternate({f"{batch}": partial(_block, infer, batch) for batch, infer in turns.items()}, rounds)
    first = times[f"{batches[0]}"].median
    return [
        {
            "threads": threads,
            "batch": batch,
            **spread(times[f"{batch}"]),
            "images_per_second": 1 / times[f"{batch}"].median,
            "ratio": times[f"{batch}"].median / first,
        }
        for batch in batches
    ]


def _load(model: Path, batch: int, threads: int, folder: Path) -> Inference:
    enf = folder / f"batch-{batch}.enf"
    enf.write_bytes(compile_model(model, TARGET, batch_size=batch, cache_enabled=False).enf)
    inputs = [np.repeat(array, batch, axis=0) for array in random_inputs(model).values()]
    return load(kernels_name(), enf, threads, inputs)


def _block(infer: Inference, batch: int) -> list[float]:
    """Seconds for each image, of some inferences in a row."""
    infer()
    seconds: list[float] = []
    while not seconds or sum(seconds) * batch < BLOCK_SECONDS:
        start = time.perf_counter()
        infer()
        seconds.append((time.perf_counter() - start) / batch)
    return seconds


def main() -> int:
    parser = arguments("Measure batches.", NAMES, rounds=4)
    parser.set_defaults(networks=list(DEFAULT_NETWORKS))
    parser.add_argument("--batches", type=numbers, default=list(BATCHES), help="default: 1,4,16")
    parser.add_argument("--threads", type=numbers, default=list(THREADS), help="default: 1,2")
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        os.environ["FURIOSA_SIM_STATE_DIR"] = folder
        for name in options.networks:
            progress(name)
            for threads in usable(options.threads):
                found = measure(quantized(name, options.folder), options.batches, threads, options.rounds, Path(folder))
                rows += [{"network": name, **row} for row in found]
    columns = [column("network"), column("threads"), column("batch"), *spread_columns(3)]
    columns += [column("images_per_second", "images/s"), column("ratio", f"/ batch {options.batches[0]}", 2)]
    return emit("batches", {"images": (columns, rows)}, {}, options)


if __name__ == "__main__":
    sys.exit(main())
