"""What turns a uint8 image into int8 for a network that computes in int8: instructions that the compiler adds."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper, parser

from furiosa.compiler import compile_model
from furiosa.isa import enf
from furiosa.isa.encoding import decode, encode
from furiosa.isa.instructions import Instruction, Load, Table
from furiosa.npu_sim.kernels import kernels_name, native
from subjects import TARGET

REPEATS = 10
CHANNELS = 8

_NETWORK = """
<ir_version: 8, opset_import: ["" : 13]>
network (uint8[1,3,{size},{size}] image) => (int8[1,{channels},{half},{half}] y)
<float s = {{0.02}}, uint8 z = {{128}}, float s_x = {{{scale}}}, int8 z_x = {{{zero_point}}},
 float s_w = {{0.01}}, float s_y = {{0.05}}, int8 z_y = {{0}}>
{{
  real = DequantizeLinear(image, s, z)
  quantized = QuantizeLinear(real, s_x, z_x)
  x = DequantizeLinear(quantized, s_x, z_x)
  w = DequantizeLinear(weights, s_w)
  maps = Conv<kernel_shape=[3,3], strides=[2,2], pads=[1,1,1,1]>(x, w)
  y = QuantizeLinear(maps, s_y, z_y)
}}
"""


def conversion(size: int, scale: float, zero_point: int, threads: int, folder: Path) -> Callable[[], float]:
    """A function that measures the seconds of converting one image of ``size`` x ``size``, by the native kernels.

    The image has the scale 0.02 and the zero point 128; the first convolution reads int8 with the given ones. Taken out
    of the compiled network and executed `REPEATS` times is the table between the two.
    """
    program = _program(size, scale, zero_point, folder)
    kept = [replace(each, waits=()) for each in decode(program.code)]
    loads: list[Instruction] = [each for each in kept if isinstance(each, Load) and each.src < len(program.constants)]
    tables = [each for each in kept if isinstance(each, Table)]
    module = native()
    assert module is not None
    code = encode([*loads, *tables * REPEATS])
    made = module.Program(code, program.constants, program.sram_bytes, program.dram_bytes, kernels_name())

    def seconds() -> float:
        start = time.perf_counter()
        made.run([], [], threads)
        return (time.perf_counter() - start) / REPEATS

    return seconds


def _program(size: int, scale: float, zero_point: int, folder: Path) -> enf.Program:
    text = _NETWORK.format(size=size, half=size // 2, channels=CHANNELS, scale=scale, zero_point=zero_point)
    model = parser.parse_model(text)
    weights = np.random.default_rng(0).integers(-127, 128, (CHANNELS, 3, 3, 3), np.int8)
    model.graph.initializer.append(numpy_helper.from_array(weights, "weights"))
    onnx.save(model, folder / "network.onnx")
    compiled = compile_model(folder / "network.onnx", TARGET, cache_enabled=False)
    return enf.load(compiled.enf).programs[0]
