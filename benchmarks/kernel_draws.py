"""Small random instances of the kernels, for tests: a draw is a function from a `Random` to a case.

Most are so small that failures are easy to read; some are large enough for threads to share the work.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from random import Random

import numpy as np

import kernel_host as host
import kernel_instances as make
from furiosa.isa.instructions import BinaryForm, CopyKind, Framework, Summation
from kernel_cases import HostCase, InstructionCase
from kernel_maker import Maker, Shape, fitting
from kernel_windows import Windows, convolving

Geometry = Callable[[Random], Windows]

CHANNELS = (1, 2, 3, 4, 5, 8, 15, 16, 17, 31, 32, 33, 48, 49, 63, 64, 65, 80, 96, 112, 127, 128, 129, 160)
LINES = (*CHANNELS, 256, 1000, 1024, 1025, 2050)
"""Channels of kernels that handle up to 1024 elements at a time."""

EXTENTS = (1, 2, 3, 7, 20)
"""Rows and columns of images that are resized."""

BUDGETS = (1_000, 2_000, 6_000, 100_000)
PRODUCTS = (20_000, 20_000, 100_000, 2_500_000)


def convolution(
    geometry: Geometry, random: Random, inputs: tuple[int, ...] = CHANNELS, fixed: bool = False
) -> InstructionCase:
    windows, batch, budget, products = _images(random, geometry)
    channels = fitting(random, inputs, min(budget // windows.image_pixels, products // windows.taps), batch)
    outputs = fitting(random, CHANNELS, min(budget, products // (windows.taps * channels)), batch, windows.pixels)
    return make.convolution(Maker(random, loose=True), windows, channels, outputs, batch=batch, fixed=fixed)


def grouped(random: Random) -> InstructionCase:
    windows, batch, budget, products = _images(random, convolving)
    groups, most = random.choice((2, 3, 4, 7, 32)), random.choice((1, 3, 4, 17, 70))
    group = fitting(random, range(1, most + 1), budget, batch, windows.image_pixels, groups)
    outputs = fitting(random, CHANNELS, min(budget, products // (windows.taps * group)), batch, windows.pixels, groups)
    return make.convolution(Maker(random, loose=True), windows, groups * group, groups * outputs, groups, batch)


def depthwise(random: Random) -> InstructionCase:
    windows, batch, budget, _ = _images(random, convolving)
    factor = random.choice((1, 1, 2, 3))
    channels = fitting(random, CHANNELS, budget // (batch * max(windows.image_pixels, factor * windows.pixels)))
    maker = Maker(random, loose=True)
    return make.convolution(maker, windows, channels, factor * channels, channels, batch, depthwise=True)


def product(random: Random) -> InstructionCase:
    """Rows are images of one pixel."""
    channels, rows = random.choice(CHANNELS), random.choice((1, 2, 3, 6, 7, 13, 72, 75))
    outputs = fitting(random, CHANNELS, random.choice(PRODUCTS), channels, rows)
    return make.convolution(Maker(random, loose=True), Windows.square(1), channels, outputs, batch=rows)


def matmul(random: Random) -> InstructionCase:
    batch, rows = random.choice(((1, 1), (1, 3), (2, 2))), random.choice((1, 2, 3, 7, 33, 70))
    depth = random.choice(LINES)
    columns = fitting(random, CHANNELS, random.choice(PRODUCTS), depth, rows, *batch)
    return make.matmul(Maker(random, loose=True), batch, rows, depth, columns)


def pool(build: Callable[..., InstructionCase], geometry: Geometry, random: Random) -> InstructionCase:
    windows, batch, budget, products = _images(random, geometry)
    most = min(budget // max(windows.image_pixels, windows.pixels), products // (windows.pixels * windows.taps))
    return build(Maker(random, loose=True), windows, fitting(random, LINES, most, batch), batch)


def _images(random: Random, geometry: Geometry) -> tuple[Windows, int, int, int]:
    """Windows, how many images, and the most elements and products."""
    index = random.randrange(len(BUDGETS))
    return geometry(random), random.choice((1, 1, 2, 3)), BUDGETS[index], PRODUCTS[index]


def _shape(random: Random) -> Shape:
    budget = random.choice(BUDGETS)
    n, h, w = random.choice((1, 1, 2, 3)), random.choice((1, 2, 3, 7, 20)), random.choice((1, 2, 3, 9, 40))
    return n, h, w, fitting(random, LINES, budget, n, h, w)


def box(build: Callable[[Maker, Shape], InstructionCase], random: Random) -> InstructionCase:
    return build(Maker(random, loose=True), _shape(random))


def softmax(random: Random, framework: Framework = Framework.ONNX) -> InstructionCase:
    return box(partial(make.softmax, framework=framework), random)


def global_average(random: Random, summation: Summation = Summation.EXACT) -> InstructionCase:
    n, h, w, c = _shape(random)
    return make.global_average(Maker(random, loose=True), (h, w), c, n, summation)


def pairs(cls: make.Binary, form: BinaryForm, random: Random) -> InstructionCase:
    maker = Maker(random, loose=True)
    if random.randrange(6) == 0:
        return make.all_pairs(maker, cls, form)
    return make.binary(maker, cls, form, _shape(random))


def interpolate(random: Random, lite: bool = False) -> InstructionCase:
    size, to = ((random.choice(EXTENTS), random.choice(EXTENTS)) for _ in range(2))
    most = max(size[0] * size[1], to[0] * to[1])
    channels = fitting(random, LINES, random.choice(BUDGETS), most)
    maker = Maker(random, loose=True)
    return make.interpolate(maker, size, to, channels, random.choice((1, 1, 2)), lite)


def total(random: Random) -> InstructionCase:
    return make.total(Maker(random, loose=True), _shape(random), random.choice((1, 2, 3, 5)))


def table(random: Random, shared: bool) -> InstructionCase:
    return make.table(Maker(random, loose=True), _shape(random), shared)


def copy(random: Random) -> InstructionCase:
    """Elements in any order with gaps to any other order; some of the source are repeated."""
    extents = [random.choice((1, 1, 2, 3, 5)) for _ in range(5)]
    extents.insert(random.randrange(6), random.choice((1, 4, 16, 300)))
    shape = tuple(extents)
    dst, src = _strides(random, shape), _strides(random, shape)
    if random.randrange(3) == 0:
        axis = random.randrange(6)
        src = (*src[:axis], 0, *src[axis + 1 :])
    return make.copy(Maker(random, loose=True), shape, dst, src, CopyKind.TRANSPOSE)


def _strides(random: Random, shape: make.Six) -> make.Six:
    strides, reach = [0] * 6, random.choice((1, 1, 2))
    order = list(range(6))
    random.shuffle(order)
    for axis in random.choice((order, list(range(5, -1, -1)))):
        strides[axis] = reach
        reach = reach * shape[axis] + random.choice((0, 0, 0, 3))
    return tuple(strides)


def quantize(random: Random) -> HostCase:
    return _anywhere(random, host.quantize(random, _count(random), *_casting(random)))


def quantize_product(random: Random) -> HostCase:
    return _anywhere(random, host.quantize(random, _count(random), *_casting(random), by_product=True))


def dequantize(random: Random) -> HostCase:
    return _anywhere(random, host.dequantize(random, _count(random), *_casting(random)))


def _count(random: Random) -> int:
    return random.choice((1, 15, 16, 63, 64, 65, 1000, 40_001))


def _casting(random: Random) -> tuple[type, float, int]:
    dtype = random.choice((np.uint8, np.int8))
    low = -128 if dtype is np.int8 else 0
    scale = float(np.float32(random.choice((1.0, 0.05, 0.031, 1e-6, 300.0))))
    return dtype, scale, low + random.choice((0, 3, 128, 255))


def layout(build: Callable[[Random, Shape, type], HostCase], random: Random) -> HostCase:
    dtype = random.choice((np.uint8, np.int8, np.int16, np.float32))
    n, c = random.choice((1, 1, 2, 3)), random.choice((1, 2, 3, 4, 5, 15, 16, 17, 33, 64))
    h, w = random.choice((1, 2, 7, 33)), random.choice((1, 3, 16, 31, 64))
    return _anywhere(random, build(random, (n, c, h, w), dtype))


def _anywhere(random: Random, case: HostCase) -> HostCase:
    return replace(case, offset=random.choice((0, 0, 1, 2)))
