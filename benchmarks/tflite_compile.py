"""How long TFLite models take to compile, as whole processes, against Arm's Vela on the same files.

    python benchmarks/tflite_compile.py [--rounds 7] [--json] [--max-ratio 0.6]

Where `ethos-u-vela` is missing, its row and the ratios are left out.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from report import arguments, column, emit, spread, spread_columns
from start_up import process
from tflite_networks import mobilenet_v1, mobilenet_v2
from timing import alternate, process_seconds

NETWORKS: dict[str, Callable[[], bytes]] = {
    "mobilenet_v2": mobilenet_v2,
    "mobilenet_v1_small": partial(mobilenet_v1, 0.125, 96, 10),
}
LARGE = "mobilenet_v2"


def main() -> int:
    parser = arguments("Measure the compiler on TFLite models.", list(NETWORKS), rounds=7, ratio="our time over Vela's")
    options = parser.parse_args()
    vela = Path(sys.executable).with_name("vela")
    options.folder.mkdir(parents=True, exist_ok=True)
    rows, ratios = [], {}
    for name in options.networks:
        model = options.folder / f"{name}.tflite"
        model.write_bytes(NETWORKS[name]())
        ours = process(("furiosa-compiler", str(model), "-o", str(model.with_suffix(".enf")), "--no-cache", "-q"))
        processes: dict[str, list[str | Path]] = {"furiosa-compiler": ours}
        if vela.exists():
            processes["vela"] = [vela, str(model), "--output-dir", str(options.folder / "vela")]
        measured = {what: partial(process_seconds, words) for what, words in processes.items()}
        alternate(measured, 1)  # brings files into the computer's memory
        times = alternate(measured, options.rounds)
        rows += [{"network": name, "process": what, **spread(each)} for what, each in times.items()]
        if name == LARGE and vela.exists():
            ratios[f"{name}: furiosa-compiler / vela"] = times["furiosa-compiler"].median / times["vela"].median
    columns = [column("network"), column("process"), *spread_columns()]
    return emit("tflite_compile", {"networks": (columns, rows)}, ratios, options)


if __name__ == "__main__":
    sys.exit(main())
