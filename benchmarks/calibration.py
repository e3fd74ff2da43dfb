"""What calibration takes, time and peak memory, against `onnxruntime.quantization` on the same model and images.

    python benchmarks/calibration.py [--networks resnet50] [--methods min-max,entropy] [--images 32] [--rounds 3]

One process for each method, side and round: it imports, and calibrates, from the model's file to the ranges of all
tensors; images are made one by one. The time is without the imports; the peak is that of the process, as the kernel
counts it. Another process of ours calibrates with few images: memory must not grow with their number.
"""

from __future__ import annotations

import itertools
import json
import sys
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import claims
from networks import NAMES, prepared, random_inputs
from report import arguments, column, emit, names, progress, spread, spread_columns
from timing import Times, alternate, cores, pin, printed_seconds

METHODS = {"min-max": ("MIN_MAX_ASYM", "MinMax"), "entropy": ("ENTROPY_ASYM", "Entropy"),
           "percentile": ("PERCENTILE_ASYM", "Percentile")}  # fmt: skip
"""Each method as our `CalibrationMethod` and theirs call it."""
FEW = 4

# Prints the seconds by the clock and of the processors, and the peak in KiB.
_PROCESS = """
import json, os, sys, time
from pathlib import Path
import numpy
file, shapes, method, images, scratch = sys.argv[1:]
rng = numpy.random.default_rng(0)
samples = ({{name: rng.standard_normal(shape, numpy.float32) for name, shape in json.loads(shapes).items()}}
           for _ in range(int(images)))
{imports}
output, sys.stdout = sys.stdout, sys.stderr
clock, used = time.perf_counter(), sum(os.times()[:2])
{work}
clock, used = time.perf_counter() - clock, sum(os.times()[:2]) - used
print(clock, used, Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0], file=output)
"""
OURS = _PROCESS.format(
    imports="import onnxruntime; from furiosa.quantizer import CalibrationMethod, Calibrator",
    work="""
calibrator = Calibrator(Path(file).read_bytes(), CalibrationMethod[method])
calibrator.collect_data(list(sample.values()) for sample in samples)
calibrator.compute_range()
""",
)
PEER = _PROCESS.format(
    imports="""
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, create_calibrator
class Images(CalibrationDataReader):
    get_next = staticmethod(lambda: next(samples, None))
""",
    work="""
calibrator = create_calibrator(file, augmented_model_path=scratch, calibrate_method=CalibrationMethod[method])
calibrator.collect_data(Images())
calibrator.compute_data()
""",
)


@dataclass(frozen=True, slots=True)
class Cost:
    """What calibrations took, in the order of measurement: by the clock, of all processors, and KiB at the peak."""

    clock: Times
    used: Times
    peak: Times

    def row(self, network: str, method: str, side: str, images: int, base: Cost) -> dict[str, Any]:
        """A row of the table; ratios are to ``base``."""
        return {
            "network": network, "method": method, "side": side, "images": images, **spread(self.clock),
            "ratio": self.clock.median / base.clock.median, "used_ms": self.used.median * 1e3,
            "used_ratio": self.used.median / base.used.median, "peak_mib": self.peak.median / 1024,
            "peak_ratio": self.peak.median / base.peak.median,
        }  # fmt: skip


def measure(model: Path, method: str, images: int, rounds: int, folder: Path) -> tuple[Cost, Cost, Cost]:
    """Ours with few images, ours, and theirs."""
    mine, theirs = METHODS[method]
    shapes = json.dumps({name: value.shape for name, value in random_inputs(model).items()})
    contenders = {"few": (OURS, mine, FEW), "ours": (OURS, mine, images), "peer": (PEER, theirs, images)}
    seen: dict[str, list[list[float]]] = {name: [] for name in contenders}

    def run(name: str) -> list[float]:
        code, method, images = contenders[name]
        seen[name].append(printed_seconds(code, model, shapes, method, str(images), folder / "augmented.onnx"))
        return seen[name][-1][:1]

    clocks = alternate({name: partial(run, name) for name in contenders}, rounds)
    costs = (Cost(clocks[name], *(Times(tuple(values[part] for values in seen[name])) for part in (1, 2)))
             for name in contenders)  # fmt: skip
    few, ours, peer = costs
    return few, ours, peer


def main() -> int:
    parser = arguments("Measure calibration.", NAMES, rounds=3)
    parser.set_defaults(networks=["resnet50"])
    parser.add_argument(
        "--methods", type=names(list(METHODS)), default=list(METHODS), help=f"default: {','.join(METHODS)}"
    )
    parser.add_argument("--images", type=int, default=32, help="default: 32")
    options = parser.parse_args()
    pin(cores(2))
    rows, ratios = [], {}
    with tempfile.TemporaryDirectory() as folder:
        for network, method in itertools.product(options.networks, options.methods):
            progress(f"{network}, {method}")
            model = prepared(network, options.folder)
            few, ours, peer = measure(model, method, options.images, options.rounds, Path(folder))
            sides = (("ours", ours, options.images), ("ours", few, FEW), ("onnxruntime", peer, options.images))
            rows += [cost.row(network, method, side, images, peer) for side, cost, images in sides]
            ratios[claims.calibration_time(network, method)] = ours.clock.median / peer.clock.median
            ratios[claims.calibration_memory(network, method)] = ours.peak.median / peer.peak.median
            ratios[claims.calibration_growth(network, method)] = ours.peak.median / few.peak.median
    columns = [column(name) for name in ("network", "method", "side", "images")]
    columns += [*spread_columns(0), column("ratio", "/ onnxruntime", 2), column("used_ms", "processors ms")]
    columns += [column("used_ratio", "/ onnxruntime", 2), column("peak_mib", "peak MiB")]
    columns += [column("peak_ratio", "/ onnxruntime", 2)]
    return emit("calibration", {"calibrations": (columns, rows)}, ratios, options)


if __name__ == "__main__":
    sys.exit(main())
