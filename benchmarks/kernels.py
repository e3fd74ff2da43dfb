"""How fast each kernel is on layers of real networks, and what share of this computer's peak that is.

    python benchmarks/kernels.py [--rows convolution,depthwise] [--kernels avx512] [--threads 1] [--rounds 5] [--json]

Everything is warm, as it is within a network: data comes from the caches as far as it fits. The peak is what a thread
multiplies and accumulates with the instructions of the same kernels when nothing holds it up; they take turns.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from furiosa.npu_sim.kernels import REFERENCE, available, native
from kernel_cases import Case
from kernel_table import KERNELS
from report import arguments, column, emit, names, progress, spread, spread_columns
from timing import Times, alternate, cores, pin

ROWS = {kernel.name: kernel for kernel in KERNELS}
SAMPLES = 5


def measure(case: Case, kernels: list[str], threads: int, rounds: int) -> dict[str, Times]:
    """Times of one execution by each of the kernels, and under ``peak ...`` those of one product."""
    contenders: dict[str, Callable[[], list[float]]] = {}
    for name in kernels:
        contenders[name] = partial(_samples, case.timer(name, threads))
        if case.macs:
            contenders[f"peak {name}"] = partial(_product, name)
    alternate(contenders, 1)  # makes ready what is made once
    return alternate(contenders, rounds)


def _samples(seconds: Callable[[], float]) -> list[float]:
    return [seconds() for _ in range(SAMPLES)]


def _product(kernels: str) -> list[float]:
    module = native()
    assert module is not None
    return [1 / module.peak(kernels)]


def figures(case: Case, name: str, threads: int, times: dict[str, Times]) -> dict[str, Any]:
    """Times and rates of one of the kernels; the share is that of the peak of as many threads."""
    rate = 1e-9 / times[name].median
    found: dict[str, Any] = {"kernels": name, **spread(times[name])}
    if not case.macs:
        return {**found, "gb_per_s": case.bytes * rate, "gmac_per_s": None, "peak_share": None}
    peak = threads * 1e-9 / times[f"peak {name}"].median
    return {**found, "gb_per_s": None, "gmac_per_s": case.macs * rate, "peak_share": case.macs * rate / peak}


def layers(name: str, kernels: list[str], threads: int, rounds: int) -> Iterator[dict[str, Any]]:
    """Rows for all layers of a kernel and each of the native kernels."""
    for layer, make in ROWS[name].layers.items():
        progress(f"{name}: {layer}")
        case = make()
        times = measure(case, kernels, threads, rounds)
        for each in kernels:
            yield {"kernel": name, "layer": layer, **figures(case, each, threads, times)}


def main() -> int:
    known = [name for name in available() if name != REFERENCE]
    parser = arguments("Measure kernels.", rounds=5)
    parser.add_argument("--rows", type=names(list(ROWS)), default=list(ROWS), help="kernels; default: all")
    parser.add_argument("--kernels", type=names(known), default=known[::-1], help=f"default: {','.join(known[::-1])}")
    parser.add_argument("--threads", type=int, default=1, help="default: 1")
    options = parser.parse_args()
    if not known:
        parser.error("the native kernels are not built")
    pin(cores(options.threads))
    rows = [row for name in options.rows for row in layers(name, options.kernels, options.threads, options.rounds)]
    columns = [column("kernel"), column("layer"), column("kernels"), *spread_columns(3)]
    columns += [column("gmac_per_s", "GMAC/s", 1), column("peak_share", "of peak", 2), column("gb_per_s", "GB/s", 1)]
    return emit("kernels", {"layers": (columns, rows)}, {}, options)


if __name__ == "__main__":
    sys.exit(main())
