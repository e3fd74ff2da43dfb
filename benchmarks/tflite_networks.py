"""MobileNets as int8 TFLite files, with random weights: real shapes, per-channel scales, about the usual sizes."""

from __future__ import annotations

from typing import Any

import numpy as np

from tflite_writer import Writer

_SCALE = 0.0235  # of ReLU6


class _Net:
    """A chain of int8 convolutions."""

    def __init__(self, size: int) -> None:
        self.w, self.rng = Writer(), np.random.default_rng(0)
        self.last, self.size, self.channels, self.scale = (
            self.w.input((1, size, size, 3), "int8", 1 / 128, 0),
            size,
            3,
            1 / 128,
        )

    def conv(
        self, outputs: int, kernel: int = 1, stride: int = 1, depthwise: bool = False, linear: bool = False
    ) -> int:
        """A convolution, with ReLU6 unless it is ``linear``. Its result's number."""
        inputs = 1 if depthwise else self.channels
        shape = (1, kernel, kernel, outputs) if depthwise else (outputs, kernel, kernel, inputs)
        values = np.clip(self.rng.normal(0, 35, shape), -127, 127).astype(np.int8)
        scales = (0.9 / 35 / np.sqrt(kernel * kernel * inputs) * self.rng.uniform(0.7, 1.4, outputs)).astype(np.float32)
        bias = self.rng.integers(-500, 500, outputs).astype(np.int32)
        weights = self.w.tensor(shape, "int8", scales, 0, 3 if depthwise else 0, values)
        added = self.w.tensor((outputs,), "int32", scales * np.float32(self.scale), 0, 0, bias)
        size, scale, zero = -(-self.size // stride), 0.05 if linear else _SCALE, 2 if linear else -128
        y = self.w.tensor((1, size, size, outputs), "int8", scale, zero)
        options: dict[str, Any] = {"depthMultiplier": 1} if depthwise else {}
        self.w.op("DEPTHWISE_CONV_2D" if depthwise else "CONV_2D", [self.last, weights, added], [y], padding=0,
                  strideW=stride, strideH=stride, fusedActivationFunction=0 if linear else 3, **options)  # fmt: skip
        self.last, self.size, self.channels, self.scale = y, size, outputs, scale
        return y

    def head(self, classes: int) -> bytes:
        """The mean of the image, a product and a Softmax: the file."""
        w, channels = self.w, self.channels
        mean = w.tensor((1, channels), "int8", _SCALE, -128)
        w.op("MEAN", [self.last, w.ints(1, 2)], [mean], keepDims=False)
        values = np.clip(self.rng.normal(0, 35, (classes, channels)), -127, 127).astype(np.int8)
        weights = w.tensor((classes, channels), "int8", 0.002, 0, 0, values)
        bias = w.tensor((classes,), "int32", 0.002 * _SCALE, 0, 0, np.zeros(classes, np.int32))
        logits = w.tensor((1, classes), "int8", 0.1, 0)
        w.op("FULLY_CONNECTED", [mean, weights, bias], [logits])
        w.outputs = [w.tensor((1, classes), "int8", 1 / 256, -128)]
        w.op("SOFTMAX", [logits], w.outputs, beta=1.0)
        return w.bytes()


def mobilenet_v2(size: int = 224, classes: int = 1000) -> bytes:
    """MobileNetV2 1.0: 3.5 million weights."""
    net = _Net(size)
    net.conv(32, 3, 2)
    for expansion, outputs, count, stride in ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1),
                                              (6, 160, 3, 2), (6, 320, 1, 1)):  # fmt: skip
        for index in range(count):
            before, inputs, step = net.last, net.channels, stride if index == 0 else 1
            if expansion > 1:
                net.conv(inputs * expansion)
            net.conv(net.channels, 3, step, depthwise=True)
            y = net.conv(outputs, linear=True)
            if step == 1 and inputs == outputs:
                net.last = net.w.tensor((1, net.size, net.size, outputs), "int8", 0.05, 2)
                net.w.op("ADD", [before, y], [net.last])
    net.conv(1280)
    return net.head(classes)


def mobilenet_v1(alpha: float = 1.0, size: int = 224, classes: int = 1001) -> bytes:
    """MobileNetV1: 4.2 million weights with ``alpha`` 1; 0.125 at 96 pixels and 10 classes is a file of 100 kB."""
    net = _Net(size)
    net.conv(int(32 * alpha), 3, 2)
    for outputs, stride in ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1), (512, 1), (512, 1),
                            (512, 1), (512, 1), (1024, 2), (1024, 1)):  # fmt: skip
        net.conv(net.channels, 3, stride, depthwise=True)
        net.conv(int(outputs * alpha))
    return net.head(classes)
