"""Two workers against one on a device in real time, with a model whose CPU steps take as long as its NPU time.

    python benchmarks/pace.py [--requests 100] [--rounds 5] [--json]

The model is a chain of narrow convolutions, for which the device takes about as long as this computer takes to simulate
them, and a float32 tail, which runs on the CPU, of as many matrix products as take that long on one thread. While one
worker's request is on the device, the other's is on the CPU.
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from claims import PACE
from furiosa.compiler import compile_model
from furiosa.runtime.sync import Runner, Runtime
from report import arguments, column, emit, spread, spread_columns
from timing import alternate

SHAPE = (1, 4, 8, 8)
PROBE, MOST = 400, 2000


def model(convolutions: int, products: int) -> bytes:
    """Compiled: a chain of quantized convolutions, then of float32 products with a Tanh each."""
    generator = np.random.default_rng(0)
    constants: dict[str, Any] = {
        "scale": np.float32(0.05), "zero": np.uint8(128), "weight_scale": np.float32(0.01), "weight_zero": np.int8(0),
        "rows": np.array([-1, 64], np.int64),
        "weights": generator.integers(-9, 9, (4, 4, 3, 3), dtype=np.int8),
        "matrix": generator.standard_normal((64, 64)).astype(np.float32) / 8,
    }  # fmt: skip
    pair = ["scale", "zero"]
    nodes = [
        helper.make_node("DequantizeLinear", ["weights", "weight_scale", "weight_zero"], ["kernel"]),
        helper.make_node("QuantizeLinear", ["x", *pair], ["q0"]),
        helper.make_node("DequantizeLinear", ["q0", *pair], ["d0"]),
    ]
    for i in range(convolutions):
        nodes.append(helper.make_node("Conv", [f"d{i}", "kernel"], [f"c{i}"], pads=[1, 1, 1, 1]))
        nodes.append(helper.make_node("QuantizeLinear", [f"c{i}", *pair], [f"q{i + 1}"]))
        nodes.append(helper.make_node("DequantizeLinear", [f"q{i + 1}", *pair], [f"d{i + 1}"]))
    nodes.append(helper.make_node("Reshape", [f"d{convolutions}", "rows"], ["m0"]))
    for i in range(products):
        nodes.append(helper.make_node("MatMul", [f"m{i}", "matrix"], [f"p{i}"]))
        nodes.append(helper.make_node("Tanh", [f"p{i}"], [f"m{i + 1}"]))
    graph = helper.make_graph(
        nodes,
        "pace",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, SHAPE)],
        [helper.make_tensor_value_info(f"m{products}", TensorProto.FLOAT, (4, 64))],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(proto)
    return compile_model(proto.SerializeToString(), "warboy-2pe", cache_enabled=False).enf


def seconds(runner: Runner, requests: int, threads: int, x: NDArray[np.float32]) -> list[float]:
    """Seconds a request while so many threads ask, each for the next when it has one."""

    def ask() -> None:
        for _ in range(requests // threads):
            runner.run(x)

    users = [threading.Thread(target=ask) for _ in range(threads)]
    start = time.perf_counter()
    for user in users:
        user.start()
    for user in users:
        user.join()
    return [(time.perf_counter() - start) / (requests // threads * threads)]


def balanced(convolutions: int, x: NDArray[np.float32]) -> bytes:
    """The model whose tail takes as long as the rest of it."""

    def fastest(data: bytes) -> float:
        with Runtime("npu0pe0-1") as runtime, runtime.create_runner(data) as runner:
            return min(seconds(runner, 1, 1, x)[0] for _ in range(30))

    short, probe = fastest(model(convolutions, 1)), fastest(model(convolutions, PROBE))
    # Measured beside others, the tail may seem to take no time at all: the model stays within bounds.
    return model(convolutions, min(MOST, round(PROBE * short / max(probe - short, short / 5))))


def main() -> int:
    parser = arguments("Measure workers in real time.", rounds=5)
    parser.add_argument("--requests", type=int, default=100, help="of one turn; default: 100")
    parser.add_argument("--convolutions", type=int, default=1500, help="of the model; default: 1500")
    options = parser.parse_args()
    x = np.random.default_rng(1).standard_normal(SHAPE).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {
            "FURIOSA_SIM_STATE_DIR": folder, "FURIOSA_LOG_LEVEL": "WARN", "FURIOSA_SIM_PACE": "realtime",
            "FURIOSA_SIM_CONFIG": f"{folder}/host.yaml", "FURIOSA_SIM_THREADS": "1",
        }  # fmt: skip
        Path(folder, "host.yaml").write_text("cards: [{}, {}]\n", encoding="utf-8")
        data = balanced(options.convolutions, x)
        with Runtime("npu0pe0-1") as first, Runtime("npu1pe0-1") as second:
            runners = {1: first.create_runner(data), 2: second.create_runner(data, worker_num=2)}
            contenders = {
                f"{workers}": partial(seconds, runner, options.requests, workers, x)
                for workers, runner in runners.items()
            }
            alternate(contenders, 1)
            times = alternate(contenders, options.rounds)
    rows: list[dict[str, Any]] = [{"workers": name, **spread(each), "speed_up": times["1"].median / each.median}
            for name, each in times.items()]  # fmt: skip
    columns = [column("workers"), *spread_columns(3), column("speed_up", "speed-up", 2)]
    return emit("pace", {"requests": (columns, rows)}, {PACE: rows[1]["speed_up"]}, options)


if __name__ == "__main__":
    sys.exit(main())
