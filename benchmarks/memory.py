"""What a fresh process needs that loads a network and runs it: peak memory, and the time of its first load.

    python benchmarks/memory.py [--networks resnet50] [--threads 2] [--rounds 3] [--json]

One process for each engine and round; it imports its engine and nothing of the others. The peak is that of all resident
pages, as the kernel counts them for the process from its start, so Python and NumPy are in it.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import claims
from engines import ONNXRUNTIME, PEERS, able, installed
from furiosa.npu_sim.kernels import kernels_name
from networks import NAMES
from report import arguments, column, emit, progress, spread, spread_columns
from subjects import Subject, subject
from timing import Times, alternate, cores, pin, printed_seconds

RUNS = 10

# Prints the seconds of the engine's import and of the load, and the peak in KiB: VmHWM, because `ru_maxrss` of a new
# process begins with the peak of the one that started it.
PROCESS = """
import sys, time
from pathlib import Path
folder, engine, file, inputs, threads, runs = sys.argv[1:]
sys.path.insert(0, folder)
import numpy
from engines import load, ready
with numpy.load(inputs) as arrays:
    tensors = [arrays[name] for name in arrays.files]
start = time.perf_counter()
ready(engine)
imported = time.perf_counter()
infer = load(engine, Path(file), int(threads), tensors)
loaded = time.perf_counter()
for _ in range(int(runs)):
    infer()
status = Path("/proc/self/status").read_text()
print(imported - start, loaded - imported, status.partition("VmHWM:")[2].split()[0])
"""


def measure(network: Subject, engines: Sequence[str], threads: int, rounds: int, folder: Path) -> list[dict[str, Any]]:
    """One row for every engine: import and first load in milliseconds, peak memory in MiB, ratios to ONNX Runtime."""
    inputs = folder / f"{network.name}.npz"
    np.savez(inputs, *network.inputs)
    seen: dict[str, list[list[float]]] = {engine: [] for engine in engines}

    def run(engine: str) -> list[float]:
        words = (Path(__file__).parent, engine, network.file(engine), inputs, str(threads), str(RUNS))
        seen[engine].append(printed_seconds(PROCESS, *words))
        return seen[engine][-1][1:2]

    loads = alternate({engine: partial(run, engine) for engine in engines}, rounds)
    imports, peaks = ({engine: Times(tuple(values[part] for values in seen[engine])).median for engine in engines}
                      for part in (0, 2))  # fmt: skip
    return [
        {
            "network": network.name,
            "engine": engine,
            "import_ms": imports[engine] * 1e3,
            **spread(loads[engine]),
            "load_ratio": loads[engine].median / loads[ONNXRUNTIME].median,
            "peak_mib": peaks[engine] / 1024,
            "peak_ratio": peaks[engine] / peaks[ONNXRUNTIME],
        }
        for engine in engines
    ]


def main() -> int:
    parser = arguments("Measure memory and first loads.", NAMES, rounds=3)
    parser.add_argument("--threads", type=int, default=min(2, len(cores(2))), help="default: 2")
    options = parser.parse_args()
    pin(cores(options.threads))
    ours = kernels_name()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        os.environ["FURIOSA_SIM_STATE_DIR"] = folder
        for name in options.networks:
            progress(name)
            network = subject(name, options.folder, Path(folder))
            engines = able([*installed(), ours], network.model, options.threads, network.inputs)
            rows += measure(network, engines, options.threads, options.rounds, Path(folder))
    ratios = {}
    for row in rows:
        if row["engine"] not in PEERS:
            ratios[claims.first_load_time(row["network"], ours, ONNXRUNTIME)] = row["load_ratio"]
            ratios[claims.peak_memory(row["network"], ours, ONNXRUNTIME)] = row["peak_ratio"]
    columns = [column("network"), column("engine"), column("import_ms", "import ms")]
    columns += [*spread_columns(0), column("load_ratio", f"/ {ONNXRUNTIME}", 2)]
    columns += [column("peak_mib", "peak MiB"), column("peak_ratio", f"/ {ONNXRUNTIME}", 2)]
    return emit("memory", {"processes": (columns, rows)}, ratios, options)


if __name__ == "__main__":
    sys.exit(main())
