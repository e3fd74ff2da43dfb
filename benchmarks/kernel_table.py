"""The table of kernels, one row each: how tests draw small instances, and the layers of networks that are timed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Any

import numpy as np

import kernel_draws as draws
import kernel_host as host
import kernel_instances as make
from furiosa.isa import instructions as lir
from furiosa.isa.instructions import BinaryForm, CopyKind, Framework, Instruction, Summation
from kernel_cases import Case
from kernel_maker import Maker
from kernel_windows import Windows, convolving, plain, pooling

Make = Callable[[], Case]


@dataclass(frozen=True, slots=True)
class Kernel:
    """A row: the instruction, None for a step of the host; ``draw`` gives a small instance; ``layers`` by name."""

    name: str
    instruction: type[Instruction] | None
    draw: Callable[[Random], Case]
    layers: Mapping[str, Make]


def layer(build: Callable[..., Case], *arguments: Any, **named: Any) -> Make:
    """A case as a compiler would lay it out, always the same."""
    return lambda: build(Maker(Random(0), loose=False), *arguments, **named)


def host_layer(build: Callable[..., Case], *arguments: Any) -> Make:
    return lambda: build(Random(0), *arguments)


square = Windows.square
conv = partial(layer, make.convolution)


def _pairs(cls: make.Binary, form: BinaryForm, layers: Mapping[str, tuple[int, int, int, int]]) -> Kernel:
    name = f"{cls.__name__.lower()} {form.name.lower()}"
    cases = {text: layer(make.binary, cls, form, shape) for text, shape in layers.items()}
    return Kernel(name, cls, partial(draws.pairs, cls, form), cases)


def _transposed(height: int, width: int, channels: int) -> Make:
    shape = (1, 1, 1, height, width, channels)
    to = (*[channels * height * width] * 3, width, 1, height * width)
    return layer(make.copy, shape, to, make.dense(shape), CopyKind.TRANSPOSE)


def _placed(height: int, width: int, channels: int, row: int, pixel: int, kind: CopyKind) -> Make:
    """Pixels of ``channels`` bytes to rows and pixels that are so many bytes apart."""
    shape = (1, 1, 1, height, width, channels)
    return layer(make.copy, shape, (*[row * height] * 3, row, pixel, 1), make.dense(shape), kind)


def _enlarged(size: int, channels: int) -> Make:
    """Each pixel twice in both directions: a Resize to the nearest."""
    shape = (1, size, 2, size, 2, channels)
    return layer(make.copy, shape, make.dense(shape), (0, size * channels, 0, channels, 0, 1), CopyKind.EXPAND)


KERNELS: tuple[Kernel, ...] = (
    Kernel("convolution", lir.Conv2d, partial(draws.convolution, convolving), {
        "resnet50 3x3, 56x56, 64 to 64": conv(square(56, 3), 64, 64),
        "resnet50 3x3, 28x28, 128 to 128": conv(square(28, 3), 128, 128),
        "resnet50 3x3 / 2, 28x28, 256 to 256": conv(square(28, 3, 2), 256, 256),
        "resnet50 3x3, 14x14, 256 to 256": conv(square(14, 3), 256, 256),
        "resnet50 3x3, 7x7, 512 to 512": conv(square(7, 3), 512, 512),
        "yolo 3x3, 160x160, 32 to 32": conv(square(160, 3), 32, 32),
    }),
    Kernel("convolution in fixed point", lir.Conv2d, partial(draws.convolution, convolving, fixed=True), {
        "u-net 2x2, 64x64, 64 to 128": conv(square(64, 2), 64, 128, fixed=True),
    }),
    Kernel("pointwise", lir.Conv2d, partial(draws.convolution, plain), {
        "resnet50, 56x56, 64 to 256": conv(square(56), 64, 256),
        "resnet50, 56x56, 256 to 64": conv(square(56), 256, 64),
        "resnet50 / 2, 56x56, 256 to 512": conv(square(56, 1, 2), 256, 512),
        "resnet50, 14x14, 1024 to 256": conv(square(14), 1024, 256),
        "resnet50, 7x7, 512 to 2048": conv(square(7), 512, 2048),
        "mobilenet_v1, 112x112, 32 to 64": conv(square(112), 32, 64),
        "mobilenet_v1 of uint8, 112x112, 32 to 64": conv(square(112), 32, 64, w_zero=17),
        "mobilenet_v2, 56x56, 144 to 24": conv(square(56), 144, 24),
        "yolo, 80x80, 128 to 255": conv(square(80), 128, 255),
    }),
    Kernel("depthwise", lir.DepthwiseConv2d, draws.depthwise, {
        "mobilenet_v1 3x3, 112x112, 32": conv(square(112, 3), 32, 32, 32, depthwise=True),
        "mobilenet_v1 3x3 / 2, 56x56, 128": conv(square(56, 3, 2), 128, 128, 128, depthwise=True),
        "mobilenet_v1 3x3, 14x14, 512": conv(square(14, 3), 512, 512, 512, depthwise=True),
        "mobilenet_v1 3x3 of uint8, 14x14, 512": conv(square(14, 3), 512, 512, 512, depthwise=True, w_zero=17),
        "mobilenet_v2 3x3, 7x7, 960": conv(square(7, 3), 960, 960, 960, depthwise=True),
    }),
    Kernel("grouped", lir.Conv2d, draws.grouped, {
        "resnext50 3x3, 56x56, 128 to 128 in 32": conv(square(56, 3), 128, 128, 32),
        "resnext50 3x3, 14x14, 512 to 512 in 32": conv(square(14, 3), 512, 512, 32),
    }),
    Kernel("first layer", lir.Conv2d, partial(draws.convolution, convolving, inputs=(3, 1, 4)), {
        "resnet50 7x7 / 2, 224x224, 3 to 64": conv(square(224, 7, 2), 3, 64),
        "mobilenet_v1 3x3 / 2, 224x224, 3 to 32": conv(square(224, 3, 2), 3, 32),
        "yolo 5x5 / 2, 640x640, 3 to 32": conv(square(640, 5, 2), 3, 32),
    }),
    Kernel("matrix product", lir.Conv2d, draws.product, {
        "resnet50, 1 row, 2048 to 1000": conv(square(1), 2048, 1000),
        "resnet50, 16 rows, 2048 to 1000": conv(square(1), 2048, 1000, batch=16),
        "bert, 128 rows, 768 to 3072": conv(square(1), 768, 3072, batch=128),
    }),
    Kernel("product of two", lir.MatMul, draws.matmul, {
        "vit_b, 12 heads, 197x64 by 64x197": layer(make.matmul, (1, 12), 197, 64, 197),
        "vit_b, 12 heads, 197x197 by 197x64": layer(make.matmul, (1, 12), 197, 197, 64),
    }),
    Kernel("max pool", lir.MaxPool2d, partial(draws.pool, make.max_pool, partial(pooling, dilated=True)), {
        "resnet50 3x3 / 2, 112x112, 64": layer(make.max_pool, square(112, 3, 2), 64),
        "yolo 5x5, 20x20, 256": layer(make.max_pool, square(20, 5), 256),
    }),
    Kernel("average pool", lir.AveragePool2d, partial(draws.pool, make.average_pool, partial(pooling, dilated=False)), {
        "inception 3x3, 35x35, 192": layer(make.average_pool, square(35, 3), 192),
        "mobilenet_v1 7x7, 7x7, 1024": layer(make.average_pool, square(7, 7, 7, 0), 1024),
    }),
    Kernel("average pool lite", lir.AveragePool2d,
           partial(draws.pool, make.lite_average_pool, partial(pooling, dilated=False)), {
        "mobilenet_v1 7x7, 7x7, 1024": layer(make.lite_average_pool, square(7, 7, 7, 0), 1024),
    }),
    Kernel("add and average pool", lir.AddAveragePool2d,
           partial(draws.pool, make.add_average_pool, partial(pooling, dilated=False)), {
        "resnet50 7x7, 7x7, 2048": layer(make.add_average_pool, square(7, 7, 7, 0), 2048),
    }),
    Kernel("interpolate", lir.Interpolate, draws.interpolate, {
        "u-net, 64x64, 64 to 128x128": layer(make.interpolate, (64, 64), (128, 128), 64),
        "deeplab, 65x65, 21 to 513x513": layer(make.interpolate, (65, 65), (513, 513), 21),
        "1 channel, 80x80 to 640x640": layer(make.interpolate, (80, 80), (640, 640), 1),
    }),
    Kernel("interpolate lite", lir.Interpolate, partial(draws.interpolate, lite=True), {
        "deeplab, 33x33, 256 to 65x65": layer(make.interpolate, (33, 33), (65, 65), 256, 1, True),
    }),
    Kernel("global average", lir.GlobalAveragePool, draws.global_average, {
        "resnet50, 7x7, 2048": layer(make.global_average, (7, 7), 2048),
        "squeezenet, 13x13, 1000": layer(make.global_average, (13, 13), 1000),
    }),
    Kernel("mean in vectors", lir.GlobalAveragePool, partial(draws.global_average, summation=Summation.VECTORS), {
        "efficientnet, 7x7, 1280": layer(partial(make.global_average, summation=Summation.VECTORS), (7, 7), 1280),
        "efficientnet, 56x56, 144": layer(partial(make.global_average, summation=Summation.VECTORS), (56, 56), 144),
    }),
    Kernel("mean pixel by pixel", lir.GlobalAveragePool, partial(draws.global_average, summation=Summation.FORWARD), {
        "vit, 197, 768": layer(partial(make.global_average, summation=Summation.FORWARD), (197, 1), 768),
    }),
    _pairs(lir.Add, BinaryForm.SCALED, {
        "resnet50, 56x56, 256": (1, 56, 56, 256),
        "resnet50, 7x7, 2048": (1, 7, 7, 2048),
    }),
    _pairs(lir.Add, BinaryForm.REAL, {"resnet50, 56x56, 256": (1, 56, 56, 256)}),
    _pairs(lir.Sub, BinaryForm.REAL, {"56x56, 256": (1, 56, 56, 256)}),
    _pairs(lir.Mul, BinaryForm.SCALED, {"yolo, 160x160, 64": (1, 160, 160, 64)}),
    _pairs(lir.Mul, BinaryForm.REAL, {"yolo, 160x160, 64": (1, 160, 160, 64)}),
    _pairs(lir.Add, BinaryForm.LITE, {"mobilenet_v2, 56x56, 24": (1, 56, 56, 24)}),
    _pairs(lir.Sub, BinaryForm.LITE, {"56x56, 24": (1, 56, 56, 24)}),
    _pairs(lir.Mul, BinaryForm.LITE, {"mobilenet_v3, 28x28, 240": (1, 28, 28, 240)}),
    Kernel("sum", lir.Sum, draws.total, {"three, 56x56, 64": layer(make.total, (1, 56, 56, 64), 3)}),
    Kernel("table", lir.Table, partial(draws.table, shared=True), {
        "yolo, 160x160, 64": layer(make.table, (1, 160, 160, 64), True),
    }),
    Kernel("table of each channel", lir.Table, partial(draws.table, shared=False), {
        "resnet50, 56x56, 64": layer(make.table, (1, 56, 56, 64), False),
    }),
    Kernel("softmax", lir.Softmax, draws.softmax, {
        "resnet50, 1 row, 1000": layer(make.softmax, (1, 1, 1, 1000)),
        "segmentation, 128x128, 21": layer(make.softmax, (1, 128, 128, 21)),
    }),
    Kernel("softmax lite", lir.Softmax, partial(draws.softmax, framework=Framework.TFLITE), {
        "mobilenet_v2, 1 row, 1001": layer(make.softmax, (1, 1, 1, 1001), Framework.TFLITE),
    }),
    Kernel("norm", lir.ReduceL2, partial(draws.box, make.reduce_l2), {
        "80x80, 256": layer(make.reduce_l2, (1, 80, 80, 256)),
    }),
    Kernel("normalize", lir.L2Normalize, partial(draws.box, make.l2_normalize), {
        "superpoint, 60x80, 256": layer(make.l2_normalize, (1, 60, 80, 256)),
    }),
    Kernel("copy", lir.Copy, draws.copy, {
        "pad 56x56, 64 by 1": _placed(56, 56, 64, 58 * 64, 64, CopyKind.PAD),
        "concat 80x80, 128 into 256": _placed(80, 80, 128, 80 * 256, 256, CopyKind.CONCAT),
        "transpose 80x80, 255 to the front": _transposed(80, 80, 255),
        "expand 20x20, 256 to 40x40": _enlarged(20, 256),
    }),
    Kernel("fill", lir.Fill, partial(draws.box, make.fill), {"80x80, 256": layer(make.fill, (1, 80, 80, 256))}),
    Kernel("load", lir.Load, partial(draws.box, make.load), {"56x56, 256": layer(make.load, (1, 56, 56, 256))}),
    Kernel("store", lir.Store, partial(draws.box, make.store), {"56x56, 256": layer(make.store, (1, 56, 56, 256))}),
    Kernel("quantize", None, draws.quantize, {
        "3x640x640 to int8": host_layer(host.quantize, 3 * 640 * 640, np.int8, 1 / 64, 3),
    }),
    Kernel("quantize by product", None, draws.quantize_product, {
        "3x224x224 to int8": host_layer(host.quantize, 3 * 224 * 224, np.int8, 1 / 64, 3, True),
    }),
    Kernel("dequantize", None, draws.dequantize, {
        "255x80x80 from uint8": host_layer(host.dequantize, 255 * 80 * 80, np.uint8, 1 / 64, 131),
    }),
    Kernel("channels last", None, partial(draws.layout, host.channels_last), {
        "3x640x640": host_layer(host.channels_last, (1, 3, 640, 640), np.int8),
        "3x224x224": host_layer(host.channels_last, (1, 3, 224, 224), np.int8),
    }),
    Kernel("channels first", None, partial(draws.layout, host.channels_first), {
        "255x80x80": host_layer(host.channels_first, (1, 255, 80, 80), np.int8),
    }),
)  # fmt: skip
