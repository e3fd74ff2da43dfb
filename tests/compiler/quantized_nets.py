"""Small quantized networks in QDQ form, built by hand: the same bytes in every run, without a quantizer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import sqrt
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

_FLOAT = onnx.TensorProto.FLOAT


@dataclass
class Net:
    """A network under construction. Every method adds an operator with quantized result and returns its name."""

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(7))
    scale: float = 0.03

    def constant(self, value: Any, dtype: Any) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        name = f"{kind}{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name

    def quantized(self, x: str) -> str:
        """x through QuantizeLinear and DequantizeLinear (uint8)."""
        scale, zero = self.constant(self.scale, np.float32), self.constant(120, np.uint8)
        return self.op("DequantizeLinear", self.op("QuantizeLinear", x, scale, zero), scale, zero)

    def weight(self, shape: tuple[int, ...], fan_in: int) -> tuple[str, NDArray[np.float32]]:
        """A dequantized int8 constant with a scale for each index of axis 0, and the scales."""
        w = self.rng.integers(-127, 128, shape, np.int8)
        scales = (self.rng.uniform(0.8, 1.2, shape[0]) / 60 / sqrt(fan_in)).astype(np.float32)
        zeros = self.constant(np.zeros(shape[0]), np.int8)
        dequantized = self.op("DequantizeLinear", self.constant(w, np.int8), self.constant(scales, np.float32), zeros,
                              axis=0)  # fmt: skip
        return dequantized, scales

    def bias(self, scales: NDArray[np.float32]) -> str:
        values = self.rng.integers(-500, 500, len(scales), np.int32)
        zeros = self.constant(np.zeros(len(scales)), np.int32)
        scale = self.constant(scales * np.float32(self.scale), np.float32)
        return self.op("DequantizeLinear", self.constant(values, np.int32), scale, zeros, axis=0)

    def conv(self, x: str, channels: int, out: int, k: int = 3, relu: bool = True, **attributes: Any) -> str:
        """Conv with same padding, bias and Relu."""
        fan_in = channels // attributes.get("group", 1) * k * k
        w, scales = self.weight((out, channels // attributes.get("group", 1), k, k), fan_in)
        y = self.op("Conv", x, w, self.bias(scales), kernel_shape=[k, k], pads=[k // 2] * 4, **attributes)
        return self.quantized(self.op("Relu", y) if relu else y)

    def pool(self, kind: str, x: str, k: int = 3, stride: int = 2) -> str:
        return self.quantized(self.op(kind, x, kernel_shape=[k, k], strides=[stride, stride], pads=[k // 2] * 4))

    def add(self, a: str, b: str) -> str:
        return self.quantized(self.op("Relu", self.op("Add", a, b)))

    def concat(self, *x: str) -> str:
        return self.quantized(self.op("Concat", *x, axis=1))

    def head(self, x: str, channels: int, classes: int = 10) -> str:
        """Global average, flattened, and a fully connected layer."""
        flat = self.op("Flatten", self.quantized(self.op("GlobalAveragePool", x)))
        w, scales = self.weight((classes, channels), channels)
        return self.quantized(self.op("Gemm", flat, w, self.bias(scales), transB=1))

    def model(self, output: str, shape: tuple[int, ...], name: str, result: tuple[int, ...]) -> bytes:
        x = helper.make_tensor_value_info("x", _FLOAT, shape)
        y = helper.make_tensor_value_info(output, _FLOAT, result)
        graph = helper.make_graph(self.nodes, name, [x], [y], self.constants)
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        return bytes(made.SerializeToString(deterministic=True))


def resnet(size: int = 56, width: int = 32) -> bytes:
    """A stem, three bottleneck blocks with shortcuts (one strided), and a classifier."""
    net = Net()
    x = net.pool("MaxPool", net.conv(net.quantized("x"), 3, width, 7, strides=[2, 2]))
    channels = width
    for out, stride in ((width * 2, 1), (width * 2, 1), (width * 4, 2)):
        y = net.conv(x, channels, width, 1)
        y = net.conv(net.conv(y, width, width, strides=[stride, stride]), width, out, 1, relu=False)
        same = out == channels
        x = net.add(y, x if same else net.conv(x, channels, out, 1, relu=False, strides=[stride, stride]))
        channels = out
    return net.model(net.head(x, channels), (1, 3, size, size), "resnet", (1, 10))


def mobilenet(size: int = 64, width: int = 16) -> bytes:
    """A stem and four depthwise-separable blocks, and a classifier."""
    net = Net()
    x, channels = net.conv(net.quantized("x"), 3, width, strides=[2, 2]), width
    for out, stride in ((32, 1), (64, 2), (64, 1), (128, 2)):
        x = net.conv(x, channels, channels, group=channels, strides=[stride, stride])
        x = net.conv(x, channels, out, 1)
        channels = out
    return net.model(net.head(x, channels), (1, 3, size, size), "mobilenet", (1, 10))


def squeezenet(size: int = 56) -> bytes:
    """A stem, two fire modules (squeeze, two expansions, concat), and a classifier."""
    net = Net()
    x, channels = net.pool("MaxPool", net.conv(net.quantized("x"), 3, 32, strides=[2, 2])), 32
    for squeeze, expand in ((16, 32), (24, 48)):
        s = net.conv(x, channels, squeeze, 1)
        x = net.concat(net.conv(s, squeeze, expand, 1), net.conv(s, squeeze, expand))
        channels = 2 * expand
    return net.model(net.head(x, channels), (1, 3, size, size), "squeezenet", (1, 10))


def wide(size: int = 448, channels: int = 64) -> bytes:
    """Two convolutions whose tensors do not fit the SRAM: they run in tiles."""
    net = Net()
    x = net.conv(net.conv(net.quantized("x"), 3, channels), channels, channels)
    return net.model(net.head(x, channels), (1, 3, size, size), "wide", (1, 10))


def mixed(size: int = 12) -> bytes:
    """Convolutions on the NPU with a node between them that only the CPU runs."""
    net = Net()
    x = net.op("Sin", net.conv(net.quantized("x"), 3, 8))
    y = net.conv(net.quantized(x), 8, 4)
    return net.model(y, (1, 3, size, size), "mixed", (1, 4, size, size))


def tiny(size: int = 8) -> bytes:
    """One convolution and a classifier: the smallest network for tests of files and commands."""
    net = Net()
    return net.model(net.head(net.conv(net.quantized("x"), 3, 4), 4, 3), (1, 3, size, size), "tiny", (1, 3))


def floats(shape: tuple[int, ...] = (1, 3, 8, 8)) -> bytes:
    """A network in float32: all of it runs on the CPU."""
    node = helper.make_node("Sin", ["x"], ["y"], name="sine")
    info = (helper.make_tensor_value_info(name, _FLOAT, shape) for name in ("x", "y"))
    graph = helper.make_graph([node], "floats", [next(info)], [next(info)])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString(deterministic=True))


def chain(length: int) -> bytes:
    """``length`` operators in a row, all on the NPU: 1x1 convolutions with one Add in eight."""
    net = Net()
    x = net.quantized("x")
    w, scales = net.weight((4, 4, 1, 1), 4)
    bias = net.bias(scales)
    for index in range(length):
        y = net.op("Add", x, x) if index % 8 == 7 else net.op("Conv", x, w, bias, kernel_shape=[1, 1])
        x = net.quantized(y)
    return net.model(x, (1, 4, 4, 4), "chain", (1, 4, 4, 4))


NETS: dict[str, Callable[[], bytes]] = {
    "resnet": resnet, "mobilenet": mobilenet, "squeezenet": squeezenet, "wide": wide, "mixed": mixed, "tiny": tiny,
}  # fmt: skip
