"""Golden text of every layer, and the shape of performance of small networks as plain numbers.

Every model that has golden text is also run: device, lowered graph and ONNX Runtime agree bit for bit.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import onnx
import onnx.parser
import onnxruntime
import pytest
from numpy.typing import NDArray
from tests.compiler.evaluate import evaluate
from tests.compiler.quantized_nets import NETS

from furiosa.compiler import compile_model, irfile
from furiosa.compiler.compilation import Compiled
from furiosa.isa.enf import load
from furiosa.npu_sim.machine import Machine

Golden = Callable[[str, str], None]
LAYERS = ("dfg", "ldfg", "cdfg", "gir", "lir")

MODELS = {
    "conv_relu_pool": """
<ir_version: 8, opset_import: ["" : 17]>
conv_relu_pool (float[1,2,4,4] x) => (float[1,3,2,2] y)
<float sx = {0.05}, int8 zx = {-3}, float sy = {0.1}, int8 zy = {-128},
 float[3] sw = {0.02,0.03,0.04}, int8[3] zw = {0,0,0},
 int8[3,2,1,1] w = {10,-20,30,40,-50,60},
 float[3] sb = {0.001,0.0015,0.002}, int32[3] zb = {0,0,0}, int32[3] b = {5,-6,700}>
{
  xq = QuantizeLinear (x, sx, zx)
  xd = DequantizeLinear (xq, sx, zx)
  wd = DequantizeLinear <axis = 0> (w, sw, zw)
  bd = DequantizeLinear <axis = 0> (b, sb, zb)
  [conv] c = Conv <kernel_shape = [1, 1]> (xd, wd, bd)
  [relu] r = Relu (c)
  rq = QuantizeLinear (r, sy, zy)
  rd = DequantizeLinear (rq, sy, zy)
  [pool] p = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (rd)
  pq = QuantizeLinear (p, sy, zy)
  y = DequantizeLinear (pq, sy, zy)
}""",
    "residual": """
<ir_version: 8, opset_import: ["" : 17]>
residual (float[1,2,3,3] x) => (float[1,2,3,3] y)
<float sx = {0.05}, uint8 zx = {120}, float sy = {0.07}, uint8 zy = {10}, float sw = {0.02}, int8 zw = {0},
 int8[2,1,3,3] w = {1,2,3,4,50,6,7,8,9,-9,-8,-7,-6,50,-4,-3,-2,-1}>
{
  xq = QuantizeLinear (x, sx, zx)
  xd = DequantizeLinear (xq, sx, zx)
  wd = DequantizeLinear (w, sw, zw)
  [depthwise] c = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1], group = 2> (xd, wd)
  cq = QuantizeLinear (c, sx, zx)
  cd = DequantizeLinear (cq, sx, zx)
  [shortcut] s = Add (cd, xd)
  [relu] r = Relu (s)
  rq = QuantizeLinear (r, sy, zy)
  y = DequantizeLinear (rq, sy, zy)
}""",
    "cpu_between": """
<ir_version: 8, opset_import: ["" : 17]>
cpu_between (float[1,2,2,2] x) => (float[1,2,2,2] y, float[1,2,2,2] t)
<float sx = {0.05}, uint8 zx = {120}, float ss = {0.01}, uint8 zs = {128}, float sw = {0.02}, int8 zw = {0},
 int8[2,2,1,1] w = {10,-20,30,40}>
{
  xq = QuantizeLinear (x, sx, zx)
  xd = DequantizeLinear (xq, sx, zx)
  wd = DequantizeLinear (w, sw, zw)
  [conv] c = Conv <kernel_shape = [1, 1]> (xd, wd)
  cq = QuantizeLinear (c, sx, zx)
  cd = DequantizeLinear (cq, sx, zx)
  [sine] t = Sin (cd)
  tq = QuantizeLinear (t, ss, zs)
  td = DequantizeLinear (tq, ss, zs)
  [again] d = Conv <kernel_shape = [1, 1]> (td, wd)
  dq = QuantizeLinear (d, ss, zs)
  y = DequantizeLinear (dq, ss, zs)
}""",
}


@cache
def source(name: str) -> bytes:
    return bytes(onnx.parser.parse_model(MODELS[name]).SerializeToString())


@cache
def compiled(name: str) -> Compiled:
    return compile_model(source(name), target="warboy")


def readable(file: bytes) -> str:
    """An IR file's text: without the bytes of constants, without the lengths of ONNX nodes inside."""
    head, _, rest = file.partition(b"\n")
    size = int(head.split()[3])
    text = (head + b"\n" + rest[: len(rest) - size]).decode()
    return re.sub(r"proto=b(['\"]).*?(?<!\\)\1", "proto=...", text)


def device(file: bytes, target: str, x: NDArray[Any]) -> list[NDArray[Any]]:
    """Run an ENF without the runtime's devices: the steps in order, programs on the machine."""
    from furiosa.isa import target as targets
    from furiosa.runtime.cpu import CpuModel
    from furiosa.runtime.executable import Executable

    class Npu:
        name, execute, paced = "test", staticmethod(lambda machine, _, arrays: machine.run(arrays)), False
        charge = staticmethod(lambda program, count: None)
        trace_name, pe_index = "test", 0

    Npu.target = targets.target(target)  # type: ignore[attr-defined]  # a stub for the test
    enf = load(file)
    return Executable(enf, Npu(), [CpuModel(model) for model in enf.cpu_models]).run([x])


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("name", MODELS)
def test_text_of_layer(name: str, layer: str, golden: Golden) -> None:
    golden(f"golden/{name}.{layer}", readable(irfile.dump(layer, compiled(name).layers[layer])))


@pytest.mark.parametrize("name", MODELS)
def test_golden_models_compute_what_onnx_runtime_does(name: str) -> None:
    session = onnxruntime.InferenceSession(source(name), providers=["CPUExecutionProvider"])
    for seed in range(3):
        x = np.random.default_rng(seed).normal(0, 3, session.get_inputs()[0].shape).astype(np.float32)
        expected = session.run(None, {"x": x})
        lowered = evaluate(compiled(name).layers["ldfg"], {"x": x})
        executed = device(compiled(name).enf, "warboy", x)
        for want, low, result in zip(expected, lowered, executed):
            np.testing.assert_array_equal(low, want)
            np.testing.assert_array_equal(result, want)


@cache
def shape_of_performance(name: str, target: str, batch: int) -> str:
    report = compile_model(NETS[name](), target=target, batch_size=batch).report
    keys = ("npu_clusters", "cpu_clusters", "npu_instructions", "macs", "dram_bytes", "sram_peak_bytes", "npu_cycles")
    return f"{name:11} {target:10} {batch:5} " + " ".join(f"{report[key]:>16,}" for key in keys)


def test_shape_of_performance(golden: Golden) -> None:
    """Clusters, instructions, transfers, memory and modelled cycles: a regression is a line of a diff."""
    head = ("npu_clusters", "cpu_clusters", "npu_instructions", "macs", "dram_bytes", "sram_peak_bytes", "npu_cycles")
    lines = [f"{'net':11} {'target':10} batch " + " ".join(f"{key:>16}" for key in head)]
    for name in NETS:
        lines += [shape_of_performance(name, target, 1) for target in ("warboy", "warboy-2pe")]
    lines += [shape_of_performance(name, "warboy", 4) for name in ("resnet", "tiny")]
    golden("golden/performance.txt", "\n".join(lines) + "\n")


@pytest.mark.parametrize("name", NETS)
def test_networks_compute_what_onnx_runtime_does(name: str) -> None:
    model = NETS[name]()
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    shape = session.get_inputs()[0].shape
    x = np.random.default_rng(1).normal(0, 1, shape).astype(np.float32)
    (expected,) = session.run(None, {"x": x})
    for target in ("warboy", "warboy-2pe"):
        (result,) = device(compile_model(model, target=target).enf, target, x)
        np.testing.assert_array_equal(result, expected)


def test_batches_compute_the_same_item_by_item() -> None:
    model = NETS["resnet"]()
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    x = np.random.default_rng(1).normal(0, 1, (4, *session.get_inputs()[0].shape[1:])).astype(np.float32)
    (result,) = device(compile_model(model, target="warboy", batch_size=4).enf, "warboy", x)
    for index in range(4):
        np.testing.assert_array_equal(result[index : index + 1], session.run(None, {"x": x[index : index + 1]})[0])


def test_machines_refuse_nothing_that_the_compiler_makes() -> None:
    from furiosa.isa import target as targets

    for name in MODELS:
        for program in load(compiled(name).enf).programs:
            Machine(program, targets.target("warboy"))


PASSED_ON = """
<ir_version: 8, opset_import: ["" : 17]>
passed_on (float[1,4] x) => (float[1,4] y, float[1,4] x, float[1,4] c, float[1,4] z)
<float[1,4] c = {1,2,3,4}>
{
  y = Sin (x)
  z = Identity (c)
}"""


def test_outputs_that_are_inputs_or_constants() -> None:
    """The model's names are kept, and the caller's array is not given back."""
    model = bytes(onnx.parser.parse_model(PASSED_ON).SerializeToString())
    x = np.arange(4, dtype=np.float32).reshape(1, 4)
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    results = device(compile_model(model).enf, "warboy-2pe", x)
    for result, expected in zip(results, session.run(None, {"x": x}), strict=True):
        np.testing.assert_array_equal(result, expected)
    assert not np.shares_memory(results[1], x)
    assert compile_model(model).layers["enf"].outputs == ("y", "x", "c", "z")
