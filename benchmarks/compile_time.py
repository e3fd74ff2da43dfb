"""How long the compiler takes, against `import onnx` and an ONNX Runtime session, OpenVINO, and on ever longer chains.

    python benchmarks/compile_time.py [--networks resnet50] [--operators 1000,10000] [--json] [--max-ratio 3]

Each measurement is a fresh process that imports and works; the start of the interpreter itself is not counted. Where
`openvino` is missing, its row is left out.
"""

from __future__ import annotations

import sys
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from networks import NAMES, chain, quantized
from report import arguments, column, emit, spread, spread_columns
from timing import Times, alternate, printed_seconds

DEFAULT_NETWORKS = ("resnet50",)
CHAINS = ("1000", "2000", "5000", "10000")

# All print the seconds of their imports and of their work.
OURS = """
import sys, time
start = time.perf_counter()
from furiosa.compiler import compile_model
ready = time.perf_counter()
compile_model(sys.argv[1], cache_enabled=False)
print(ready - start, time.perf_counter() - ready)
"""
PEER = """
import sys, time
start = time.perf_counter()
import onnx
from onnxruntime import InferenceSession
ready = time.perf_counter()
InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
print(ready - start, time.perf_counter() - ready)
"""
OPENVINO = """
import sys, time
start = time.perf_counter()
from openvino import Core
ready = time.perf_counter()
Core().compile_model(sys.argv[1], "CPU")
print(ready - start, time.perf_counter() - ready)
"""
CONTENDERS = {
    "ours": ("furiosa.compiler, compile_model", OURS),
    "peer": ("onnx and onnxruntime, InferenceSession", PEER),
    "openvino": ("openvino, compile_model", OPENVINO),
}
_PARTS = ("import", "work")


def side_by_side(model: Path, rounds: int) -> dict[str, dict[str, Times]]:
    """Times of imports, of work, and of both, of each contender that is installed."""
    codes = {name: code for name, (_, code) in CONTENDERS.items() if name != "openvino" or find_spec(name)}
    parts: dict[str, list[list[float]]] = {name: [] for name in codes}

    def measure(name: str, code: str) -> list[float]:
        parts[name].append(printed_seconds(code, model))
        return [sum(parts[name][-1])]

    totals = alternate({name: partial(measure, name, code) for name, code in codes.items()}, rounds)
    return {
        name: {**{part: Times(values) for part, values in zip(_PARTS, zip(*parts[name]))}, "both": totals[name]}
        for name in parts
    }


def network_rows(name: str, times: dict[str, dict[str, Times]]) -> list[dict[str, Any]]:
    return [
        {
            "network": name,
            "what": CONTENDERS[contender][0],
            "import_ms": parts["import"].median * 1e3,
            "work_ms": parts["work"].median * 1e3,
            **spread(parts["both"]),
        }
        for contender, parts in times.items()
    ]


def chain_rows(operators: list[int], folder: Path, rounds: int) -> list[dict[str, Any]]:
    """The compiler's work alone: imports do not grow with a model."""

    def measure(model: Path) -> list[float]:
        return [printed_seconds(OURS, model)[1]]

    times = alternate({str(count): partial(measure, chain(count, folder)) for count in operators}, rounds)
    seconds = {count: times[str(count)].median for count in operators}
    shortest = min(operators)
    return [
        {
            "operators": count,
            "seconds": seconds[count],
            "us_per_operator": seconds[count] / count * 1e6,
            "ratio": seconds[count] / count / (seconds[shortest] / shortest),
        }
        for count in operators
    ]


def main() -> int:
    parser = arguments("Measure the compiler.", NAMES, rounds=7, ratio="the compiler's time over ONNX Runtime's")
    parser.set_defaults(networks=list(DEFAULT_NETWORKS))
    parser.add_argument("--operators", default=",".join(CHAINS), help=f"lengths of chains; default: {','.join(CHAINS)}")
    parser.add_argument("--chain-rounds", type=int, default=2, help="default: 2")
    options = parser.parse_args()
    operators = [int(word) for word in options.operators.split(",")]
    rows, ratios = [], {}
    for name in options.networks:
        times = side_by_side(quantized(name, options.folder), options.rounds)
        rows += network_rows(name, times)
        ratios[f"{name}: compiler / ONNX Runtime"] = times["ours"]["both"].median / times["peer"]["both"].median
        if "openvino" in times:
            ratios[f"{name}: compiler / OpenVINO"] = times["ours"]["both"].median / times["openvino"]["both"].median
    chains = chain_rows(operators, options.folder, options.chain_rounds)
    parts = [column("import_ms", "import ms"), column("work_ms", "work ms")]
    tables = {
        "networks": ([column("network"), column("what"), *parts, *spread_columns(0)], rows),
        "chains": (
            [
                *(column("operators"), column("seconds", digits=2), column("us_per_operator", "us per operator")),
                column("ratio", "/ shortest", 2),
            ],
            chains,
        ),
    }
    return emit("compile_time", tables, ratios, options)


if __name__ == "__main__":
    sys.exit(main())
