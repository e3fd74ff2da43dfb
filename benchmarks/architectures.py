"""Float networks with random weights, written as ONNX graphs: MobileNetV1, MobileNetV2 and a YOLO-like detector."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

OPSET = 13
IR_VERSION = 8


class Graph:
    """A graph under construction; methods append operators and give the name of the result."""

    def __init__(self, seed: int = 0) -> None:
        self._rng = np.random.default_rng(seed)
        self._nodes: list[onnx.NodeProto] = []
        self._weights: list[onnx.TensorProto] = []

    def node(self, operator: str, *inputs: str, **attributes: Any) -> str:
        output = f"{operator.lower()}{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output

    def constant(self, value: object) -> str:
        name = f"constant{len(self._weights)}"
        self._weights.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def conv(self, x: str, inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> str:
        """A convolution that keeps the size of the image but for its stride, with the variance of its input."""
        shape = (outputs, inputs // groups, kernel, kernel)
        weights = self._rng.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:]))
        bias = self._rng.standard_normal(outputs) * 0.1
        operands = (self.constant(weights.astype(np.float32)), self.constant(bias.astype(np.float32)))
        size = [kernel, kernel]
        return self.node("Conv", x, *operands, kernel_shape=size, strides=[stride] * 2, pads=[kernel // 2] * 4,
                         group=groups)  # fmt: skip

    def gemm(self, x: str, inputs: int, outputs: int) -> str:
        weights = self._rng.standard_normal((inputs, outputs)) / np.sqrt(inputs)
        return self.node("Gemm", x, self.constant(weights.astype(np.float32)))

    def relu6(self, x: str) -> str:
        return self.node("Clip", x, self.constant(np.float32(0)), self.constant(np.float32(6)))

    def silu(self, x: str) -> str:
        return self.node("Mul", x, self.node("Sigmoid", x))

    def model(self, size: int, outputs: dict[str, list[int]]) -> onnx.ModelProto:
        """The model with one image of ``size`` x ``size`` as its input and these outputs, by name and shape."""
        value = helper.make_tensor_value_info
        graph = helper.make_graph(
            self._nodes,
            "network",
            [value("image", onnx.TensorProto.FLOAT, [1, 3, size, size])],
            [value(name, onnx.TensorProto.FLOAT, shape) for name, shape in outputs.items()],
            self._weights,
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)


def _classifier(graph: Graph, x: str, channels: int) -> onnx.ModelProto:
    flat = graph.node("Flatten", graph.node("GlobalAveragePool", x))
    return graph.model(224, {graph.gemm(flat, channels, 1000): [1, 1000]})


def mobilenet_v1() -> onnx.ModelProto:
    """MobileNetV1 1.0 at 224 x 224, 0.57 GMAC (Howard et al., 2017, table 1)."""
    graph = Graph()
    x, channels = graph.node("Relu", graph.conv("image", 3, 32, 3, 2)), 32
    plan = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1)]
    for outputs, stride in plan:
        x = graph.node("Relu", graph.conv(x, channels, channels, 3, stride, groups=channels))
        x, channels = graph.node("Relu", graph.conv(x, channels, outputs)), outputs
    return _classifier(graph, x, channels)


def mobilenet_v2() -> onnx.ModelProto:
    """MobileNetV2 1.0 at 224 x 224, 0.30 GMAC (Sandler et al., 2018, table 2)."""
    graph = Graph()
    x, channels = graph.relu6(graph.conv("image", 3, 32, 3, 2)), 32
    plan = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]
    for factor, outputs, repeats, first in plan:
        for index in range(repeats):
            stride, wide = first if index == 0 else 1, channels * factor
            y = x if factor == 1 else graph.relu6(graph.conv(x, channels, wide))
            y = graph.relu6(graph.conv(y, wide, wide, 3, stride, groups=wide))
            y = graph.conv(y, wide, outputs)
            x, channels = (graph.node("Add", x, y) if stride == 1 and channels == outputs else y), outputs
    return _classifier(graph, graph.relu6(graph.conv(x, channels, 1280)), 1280)


class _Yolo(Graph):
    """The blocks of YOLOv5: a convolution with SiLU, and a cross-stage partial block of bottlenecks."""

    def block(self, x: str, inputs: int, outputs: int, kernel: int = 1, stride: int = 1) -> str:
        return self.silu(self.conv(x, inputs, outputs, kernel, stride))

    def stage(self, x: str, inputs: int, outputs: int, repeats: int, residual: bool) -> str:
        half = outputs // 2
        y = self.block(x, inputs, half)
        for _ in range(repeats):
            z = self.block(self.block(y, half, half), half, half, 3)
            y = self.node("Add", y, z) if residual else z
        return self.block(self.node("Concat", y, self.block(x, inputs, half), axis=1), outputs, outputs)

    def pyramid(self, x: str, channels: int) -> str:
        y = self.block(x, channels, channels // 2)
        parts = [y]
        for _ in range(3):
            parts.append(self.node("MaxPool", parts[-1], kernel_shape=[5, 5], pads=[2] * 4, strides=[1, 1]))
        return self.block(self.node("Concat", *parts, axis=1), 2 * channels, channels)

    def upsample(self, x: str) -> str:
        scales = self.constant(np.array([1, 1, 2, 2], np.float32))
        return self.node("Resize", x, "", scales, mode="nearest", nearest_mode="floor",
                         coordinate_transformation_mode="asymmetric")  # fmt: skip


def yolo() -> onnx.ModelProto:
    """A detector with the layers of YOLOv5s at 640 x 640, three raw maps of 255 channels as outputs, 8.2 GMAC."""
    graph = _Yolo()
    x = graph.block(graph.block("image", 3, 32, 5, 2), 32, 64, 3, 2)
    x = graph.stage(x, 64, 64, 1, residual=True)
    c3 = graph.stage(graph.block(x, 64, 128, 3, 2), 128, 128, 2, residual=True)
    c4 = graph.stage(graph.block(c3, 128, 256, 3, 2), 256, 256, 3, residual=True)
    c5 = graph.stage(graph.block(c4, 256, 512, 3, 2), 512, 512, 1, residual=True)
    p5 = graph.block(graph.pyramid(c5, 512), 512, 256)
    x = graph.stage(graph.node("Concat", graph.upsample(p5), c4, axis=1), 512, 256, 1, residual=False)
    p4 = graph.block(x, 256, 128)
    small = graph.stage(graph.node("Concat", graph.upsample(p4), c3, axis=1), 256, 128, 1, residual=False)
    x = graph.node("Concat", graph.block(small, 128, 128, 3, 2), p4, axis=1)
    middle = graph.stage(x, 256, 256, 1, residual=False)
    x = graph.node("Concat", graph.block(middle, 256, 256, 3, 2), p5, axis=1)
    large = graph.stage(x, 512, 512, 1, residual=False)
    heads = {graph.conv(y, channels, 255): [1, 255, size, size]
             for y, channels, size in ((small, 128, 80), (middle, 256, 40), (large, 512, 20))}  # fmt: skip
    return graph.model(640, heads)


ARCHITECTURES: dict[str, Callable[[], onnx.ModelProto]] = {
    "mobilenet_v1": mobilenet_v1,
    "mobilenet_v2": mobilenet_v2,
    "yolo": yolo,
}
