"""Operators of images on the CPU: convolutions, pools. Nodes see channels-first."""

from __future__ import annotations

from math import prod
from typing import Any

from furiosa.compiler.frontend.tflite.cpu.nodes import Cpu, Handler
from furiosa.compiler.frontend.tflite.window import SAME
from furiosa.compiler.graph import Op


def _conv_2d(cpu: Cpu) -> None:
    x, weights = _image(cpu, 0), cpu.real(1, images=True)
    _convolution(cpu, x, weights, x.type.shape[1] // max(1, weights.type.shape[1]))


def _depthwise_conv_2d(cpu: Cpu) -> None:
    x, weights = _image(cpu, 0), _image(cpu, 1)
    _, outputs, *kernel = weights.type.shape
    perm = [1, 0, 2, 3]
    turned = cpu.add("Transpose", [weights], (outputs, 1, *kernel), perm=perm)
    _convolution(cpu, x, turned, x.type.shape[1])


def _convolution(cpu: Cpu, x: Op, weights: Op, groups: int) -> None:
    kernel = (weights.type.shape[2], weights.type.shape[3])
    strides, dilations = cpu.site.pair("stride"), cpu.site.pair("dilation")
    pads, size = cpu.site.padding(x.type.shape[2:], kernel, strides, dilations)
    bias = [] if cpu.site.tensor(2) is None else [cpu.real(2)]
    shape = (x.type.shape[0], weights.type.shape[0], *size)
    attributes: dict[str, Any] = {
        "kernel_shape": kernel,
        "strides": strides,
        "dilations": dilations,
        "pads": pads,
        "group": groups,
    }
    cpu.give(cpu.activated(cpu.add("Conv", [x, weights, *bias], shape, **attributes)), images=True)


def _image(cpu: Cpu, index: int) -> Op:
    x = cpu.real(index, images=True)
    if len(x.type.shape) != 4:
        raise cpu.site.fault(f"an operand of shape {x.type.shape}")
    return x


def _transpose_conv(cpu: Cpu) -> None:
    """TRANSPOSE_CONV of (shape, weights [O, kh, kw, I], x, bias)."""
    x, weights = _image(cpu, 2), _image(cpu, 1)
    outputs, inputs, *kernel = weights.type.shape
    turned = cpu.add("Transpose", [weights], (inputs, outputs, *kernel), perm=[1, 0, 2, 3])
    strides = cpu.site.pair("stride")
    shape = cpu.shape(images=True)
    bias = [] if cpu.site.tensor(3) is None else [cpu.real(3)]
    same = cpu.options["padding"] == SAME
    total = [max(0, (n - 1) * s + k - out) if same else 0
             for n, s, k, out in zip(x.type.shape[2:], strides, kernel, shape[2:])]  # fmt: skip
    before = [t // 2 for t in total]
    extra = [max(0, out - ((n - 1) * s + k)) for n, s, k, out in zip(x.type.shape[2:], strides, kernel, shape[2:])]
    pads = [*before, *(t - b for t, b in zip(total, before))]
    result = cpu.add("ConvTranspose", [x, turned, *bias], shape, kernel_shape=kernel, strides=strides, pads=pads,
                     output_padding=extra)  # fmt: skip
    cpu.give(cpu.activated(result), images=True)


def _pooled(cpu: Cpu, op_type: str, x: Op) -> Op:
    kernel = (cpu.options["filter_height"], cpu.options["filter_width"])
    if min(kernel) < 1:
        raise cpu.site.fault(f"a window of {kernel}")
    strides = cpu.site.pair("stride")
    pads, size = cpu.site.padding(x.type.shape[2:], kernel, strides, (1, 1))
    return cpu.add(op_type, [x], (*x.type.shape[:2], *size), kernel_shape=kernel, strides=strides, pads=pads)


def _pool(op_type: str) -> Handler:
    def handler(cpu: Cpu) -> None:
        cpu.give(cpu.activated(_pooled(cpu, op_type, _image(cpu, 0))), images=True)

    return handler


def _l2_pool_2d(cpu: Cpu) -> None:
    """The square root of the mean of squares; what is outside the image does not count."""
    x = _image(cpu, 0)
    mean = _pooled(cpu, "AveragePool", cpu.add("Mul", [x, x], x.type.shape))
    cpu.give(cpu.activated(cpu.add("Sqrt", [mean], mean.type.shape)), images=True)


def _local_response_normalization(cpu: Cpu) -> None:
    x = _image(cpu, 0)
    size = 2 * cpu.options["radius"] + 1
    if not 1 <= size <= prod(x.type.shape[1:]) * 2 + 1:
        raise cpu.site.fault(f"a radius of {cpu.options['radius']}")
    attributes = {"alpha": cpu.options["alpha"] * size, "beta": cpu.options["beta"], "bias": cpu.options["bias"]}
    cpu.give(cpu.add("LRN", [x], x.type.shape, size=size, **attributes), images=True)


IMAGES: dict[str, Handler] = {
    "AVERAGE_POOL_2D": _pool("AveragePool"), "CONV_2D": _conv_2d, "DEPTHWISE_CONV_2D": _depthwise_conv_2d,
    "L2_POOL_2D": _l2_pool_2d,
    "LOCAL_RESPONSE_NORMALIZATION": _local_response_normalization, "MAX_POOL_2D": _pool("MaxPool"),
    "TRANSPOSE_CONV": _transpose_conv,
}  # fmt: skip
