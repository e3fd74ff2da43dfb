"""Random legal programs: small, over all opcodes, with SRAM reused and waits as a compiler would set them."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from furiosa.isa import instructions as lir
from furiosa.isa.arithmetic import Coordinates, neighbours
from furiosa.isa.encoding import encode
from furiosa.isa.enf import Port, Program
from furiosa.isa.hazards import required_waits
from furiosa.isa.instructions import Activation, Framework, Instruction, Summation, View

SRAM_BYTES = 64 * 1024
INPUT_SHAPE = (2, 6, 7, 8)


class Builder:
    """Appends random instructions. ``tensors`` are the views of SRAM that hold data now."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.constants = bytearray()
        self.instructions: list[Instruction] = []
        self.tensors: list[View] = []
        self.spilled: list[View] = []
        self.input_size = View.dense(0, INPUT_SHAPE).size

    def place(self, size: int, *pinned: View) -> int:
        """A random place in SRAM beside ``pinned``; tensors that lie there are forgotten."""
        while True:
            address = self.random.randrange(0, SRAM_BYTES - size, 64)
            if all(view.end <= address or view.address >= address + size for view in pinned):
                self.tensors = [v for v in self.tensors if v.end <= address or v.address >= address + size]
                return address

    def dense(self, shape: tuple[int, int, int, int], *pinned: View) -> View:
        size = shape[0] * shape[1] * shape[2] * shape[3]
        return View.dense(self.place(size, *pinned), shape)

    def constant(self, data: bytes, *pinned: View) -> View:
        """Constant data, loaded into SRAM."""
        self.constants += bytes(-len(self.constants) % 4)
        view = self.dense((1, 1, 1, len(data)), *pinned)
        self.instructions.append(lir.Load(dst=view, src=len(self.constants), src_strides=view.strides))
        self.constants += data
        return view

    def emit(self, inst: Instruction, y: View) -> None:
        self.instructions.append(inst)
        self.tensors.append(y)

    def kind(self) -> Activation:
        return self.random.choice(list(Activation))

    def quantization(self, *names: str) -> dict[str, Any]:
        """Type, scale and zero point of each operand."""
        chosen: dict[str, Any] = {}
        for name in names:
            kind = self.kind()
            scale = struct.unpack("f", struct.pack("f", self.random.uniform(0.01, 0.1)))[0]
            chosen |= {f"{name}_type": kind, f"{name}_scale": scale, f"{name}_zero": self.random.randint(*limits(kind))}
        return chosen

    def windows(self, x: View, dilations: int = 2) -> tuple[dict[str, Any], int, int]:
        """Window geometry in which every window has a tap inside, and the rows and columns it gives."""
        axes = []
        for extent in x.shape[1:3]:
            dilation = self.random.choice([1, 1, dilations])
            kernel = self.random.randint(1, max(1, min(3, (extent + dilation - 1) // dilation)))
            stride = self.random.randint(1, 2)
            pad = self.random.randint(0, (kernel - 1) * dilation // 2)
            axes.append((kernel, stride, dilation, pad, (extent + pad - ((kernel - 1) * dilation + 1)) // stride + 1))
        rows, columns = axes
        names = ("kernel", "strides", "dilations", "pads")
        return {name: (rows[i], columns[i]) for i, name in enumerate(names)}, rows[4], columns[4]

    def program(self, length: int) -> Program:
        """A program of at least ``length`` operations that stores what is left at its end."""
        self.load_input()
        while len(self.instructions) < length:
            if not self.tensors:
                self.load_input()
            self.random.choice(OPERATIONS)(self)
        if not self.tensors:
            self.load_input()
        for view in self.tensors[-3:]:
            spill(self, view)
        return self.finish()

    def load_input(self) -> None:
        dst = self.dense(INPUT_SHAPE)
        self.emit(lir.Load(dst=dst, src=0, src_strides=dst.strides), dst)

    def finish(self) -> Program:
        """Lay out DRAM as constants, input, spilled tensors; set the waits."""
        base = -(-len(self.constants) // 64) * 64
        addresses, top = [], base + self.input_size
        for view in self.spilled:
            addresses.append(top)
            top += view.size
        placed: list[Instruction] = []
        stores = 0
        for inst in self.instructions:
            if isinstance(inst, lir.Store):
                placed.append(replace(inst, dst=addresses[stores]))
                stores += 1
            elif isinstance(inst, lir.Load) and inst.src < 0:
                placed.append(replace(inst, src=addresses[-inst.src - 1]))
            elif isinstance(inst, lir.Load) and inst.dst.shape == INPUT_SHAPE:
                placed.append(replace(inst, src=base))
            else:
                placed.append(inst)
        code = encode(replace(inst, waits=waits) for inst, waits in zip(placed, required_waits(placed)))
        outputs = [Port(f"y{i}", at, view.size) for i, (at, view) in enumerate(zip(addresses, self.spilled))]
        return Program(code, bytes(self.constants), SRAM_BYTES, top, (Port("x", base, self.input_size),),
                       tuple(outputs), ())  # fmt: skip


def limits(kind: Activation) -> tuple[int, int]:
    return (-128, 127) if kind is Activation.I8 else (0, 255)


def convolution(b: Builder) -> None:
    x = b.random.choice(b.tensors)
    n, _, _, c = x.shape
    depthwise = b.random.random() < 0.4
    groups = c if depthwise else b.random.choice([g for g in (1, 1, 2) if c % g == 0])
    k = c * b.random.randint(1, 2) if depthwise else groups * b.random.randint(1, 5)
    geometry, p, q = b.windows(x)
    y = b.dense((n, p, q, k), x)
    weights = b.constant(b.random.randbytes(k * geometry["kernel"][0] * geometry["kernel"][1] * c // groups), x, y)
    bias = b.constant(struct.pack(f"<{k}i", *(b.random.randint(-5000, 5000) for _ in range(k))), x, y, weights)
    factors = struct.pack(f"<{k}f", *(b.random.uniform(1e-4, 1e-2) for _ in range(k)))
    multipliers = b.constant(factors, x, y, weights, bias)
    x_type, y_type = b.kind(), b.kind()
    lo, hi = limits(y_type)
    cls = lir.DepthwiseConv2d if depthwise else lir.Conv2d
    b.emit(cls(x=x, y=y, weights=weights.address, bias=bias.address, multipliers=multipliers.address, groups=groups,
               x_type=x_type, y_type=y_type, x_zero=b.random.randint(*limits(x_type)),
               y_zero=b.random.randint(*limits(y_type)), lo=lo + b.random.randint(0, 20),
               hi=hi - b.random.randint(0, 20), **geometry), y)  # fmt: skip


def max_pool(b: Builder) -> None:
    x = b.random.choice(b.tensors)
    geometry, p, q = b.windows(x)
    y = b.dense((x.shape[0], p, q, x.shape[3]), x)
    b.emit(lir.MaxPool2d(x=x, y=y, type=b.kind(), **geometry), y)


def average_pool(b: Builder) -> None:
    x = b.random.choice(b.tensors)
    geometry, p, q = b.windows(x, dilations=1)
    y = b.dense((x.shape[0], p, q, x.shape[3]), x)
    counted = (-b.random.randint(0, 1), 0, x.shape[1], x.shape[2] + b.random.randint(0, 1))
    b.emit(lir.AveragePool2d(x=x, y=y, counted=counted, **geometry, **b.quantization("x", "y")), y)


def global_average(b: Builder) -> None:
    x = b.random.choice(b.tensors)
    y = b.dense((x.shape[0], 1, 1, x.shape[3]), x)
    divisor, summation = x.shape[1] * x.shape[2], b.random.choice(list(Summation))
    rows = (b.random.randint(0, 3), x.shape[3] % 4) if summation is Summation.VECTORS else (0, 0)
    fields = {"divisor": divisor, "summation": summation, "rows": rows, **b.quantization("x", "y")}
    b.emit(lir.GlobalAveragePool(x=x, y=y, **fields), y)


def binary(b: Builder) -> None:
    x = b.random.choice(b.tensors)
    other = View(x.address, x.shape, (x.strides[0], 0, 0, x.strides[3]))
    y = b.dense(x.shape, x)
    cls = b.random.choice([lir.Add, lir.Sub, lir.Mul])
    form = b.random.choice([form for form in lir.BinaryForm if cls is not lir.Sub or form is not form.SCALED])
    quantization = b.quantization("a", "b", "y")
    if form is lir.BinaryForm.SCALED:
        quantization |= {f"{name}_type": Activation.U8 for name in "aby"} | {f"{name}_zero": 100 for name in "aby"}
    lo, hi = limits(quantization["y_type"])
    b.emit(cls(a=x, b=b.random.choice([x, other]), y=y, form=form, lo=lo + 3, hi=hi - 3, **quantization), y)


def add_average(b: Builder) -> None:
    x = b.random.choice(b.tensors)
    geometry, p, q = b.windows(x, dilations=1)
    y = b.dense((x.shape[0], p, q, x.shape[3]), x)
    floor = b.random.choice([0.0, float("-inf")])
    b.emit(lir.AddAveragePool2d(a=x, b=x, y=y, counted=(0, 0, *x.shape[1:3]), floor=floor, **geometry,
                                **b.quantization("a", "b", "y")), y)  # fmt: skip


def interpolate(b: Builder) -> None:
    """The last rows and columns of a resize, from as much of the image as they need."""
    x = b.random.choice(b.tensors)
    fields: dict[str, Any] = {}
    places = []
    for axis, side in enumerate(("row", "column"), 1):
        at = Coordinates(0.5, 1.0, b.random.choice([1.0, 1.5, 2.0]), -0.5)
        before = b.random.choice([0, 0, 3])
        extent = before + x.shape[axis]
        after = int(extent * at.divisor)
        start = next(i for i in range(after) if neighbours(at, i, 1, extent).first[0] >= before)
        places.append((extent, before, start, min(6, after - start)))
        fields |= {f"{side}_{name}": value for name, value in at._asdict().items()}
    extents, x_start, y_start, (p, q) = zip(*places)
    y = b.dense((x.shape[0], p, q, x.shape[3]), x)
    fields |= b.quantization("x", "y")
    framework = b.random.choice(list(Framework))
    if framework is Framework.TFLITE:
        fields |= {f"y_{name}": fields[f"x_{name}"] for name in ("type", "scale", "zero")}
    b.emit(lir.Interpolate(x=x, y=y, extents=extents, x_start=x_start, y_start=y_start, framework=framework,
                           **fields), y)  # fmt: skip


def total(b: Builder) -> None:
    """The sum of three tensors: one image, repeated."""
    x = b.random.choice(b.tensors)
    (n, h, w, c), (_, sh, sw, sc) = x.shape, x.strides
    scales = b.constant(struct.pack("<3f", 0.1, 0.02, 0.7), x)
    zeros = b.constant(b.random.randbytes(3), x, scales)
    y = b.dense(x.shape, x, scales, zeros)
    fields = b.quantization("x", "y")
    del fields["x_scale"], fields["x_zero"]
    lo, hi = limits(fields["y_type"])
    b.emit(lir.Sum(x=View(x.address, (3 * n, h, w, c), (0, sh, sw, sc)), y=y, count=3, scales=scales.address,
                   zeros=zeros.address, factor=0.5, lo=lo + 3, hi=hi - 3, **fields), y)  # fmt: skip


def table(b: Builder) -> None:
    x = b.random.choice(b.tensors)
    tables = b.random.choice([1, x.shape[3]])
    entries = b.constant(b.random.randbytes(256 * tables), x)
    y = b.random.choice([x, b.dense(x.shape, x, entries)])
    b.emit(lir.Table(x=x, y=y, table=entries.address, tables=tables), y)


def softmax(b: Builder) -> None:
    x = b.random.choice(b.tensors)
    y = b.dense(x.shape, x)
    framework = b.random.choice(list(lir.Framework))
    b.emit(lir.Softmax(x=x, y=y, framework=framework, **b.quantization("x", "y")), y)


def norm(b: Builder) -> None:
    x = b.random.choice(b.tensors)
    cls = b.random.choice([lir.ReduceL2, lir.L2Normalize])
    y = b.dense((*x.shape[:3], 1) if cls is lir.ReduceL2 else x.shape, x)
    b.emit(cls(x=x, y=y, **b.quantization("x", "y")), y)


def matmul(b: Builder) -> None:
    """The product of a tensor and its transpose, or its own broadcast first matrix."""
    x = b.random.choice(b.tensors)
    (n, h, w, k), (sn, sh, sw, sc) = x.shape, x.strides
    other = View(x.address, (n, h, k, w), b.random.choice([(sn, sh, sc, sw), (0, 0, sc, sw)]))
    y = b.dense((n, h, w, w), x)
    quantization = b.quantization("a", "b", "y")
    fields = {name: value for name, value in quantization.items() if not name.endswith("scale")}
    lo, hi = limits(quantization["y_type"])
    b.emit(lir.MatMul(a=x, b=other, y=y, multiplier=quantization["a_scale"], lo=lo + 3, hi=hi - 3, **fields), y)


def transpose(b: Builder) -> None:
    x = b.random.choice(b.tensors)
    n, h, w, c = x.shape
    y = b.dense((n, w, h, c), x)
    sn, sh, sw, sc = y.strides
    b.emit(lir.Copy(dst=y.address, dst_strides=(0, 0, sn, sw, sh, sc), src=x.address,
                    src_strides=(0, 0, *x.strides), shape=(1, 1, *x.shape),
                    kind=lir.CopyKind.TRANSPOSE), y)  # fmt: skip


def concatenate(b: Builder) -> None:
    x = b.random.choice(b.tensors)
    n, h, w, c = x.shape
    y = b.dense((n, h, w, 2 * c), x)
    for half in range(2):
        dst = y.address + half * c
        b.instructions.append(
            lir.Copy(dst=dst, dst_strides=(0, 0, *y.strides), src=x.address, src_strides=(0, 0, *x.strides),
                     shape=(1, 1, *x.shape), kind=lir.CopyKind.CONCAT))  # fmt: skip
    b.tensors.append(View(y.address + c, x.shape, y.strides))


def fill(b: Builder) -> None:
    y = b.dense((1, b.random.randint(1, 9), b.random.randint(1, 9), 8))
    b.emit(lir.Fill(y=y, value=b.random.randint(0, 255)), y)


def spill(b: Builder, view: View | None = None) -> None:
    src = view or b.random.choice(b.tensors)
    b.spilled.append(src)
    b.instructions.append(lir.Store(src=src, dst=0, dst_strides=View.dense(0, src.shape).strides))


def reload(b: Builder) -> None:
    """Load a spilled tensor again; its address is not known yet, so the source names it as -1 - index."""
    if b.spilled:
        index = b.random.randrange(len(b.spilled))
        dst = b.dense(b.spilled[index].shape)
        b.emit(lir.Load(dst=dst, src=-1 - index, src_strides=dst.strides), dst)


OPERATIONS: list[Callable[[Builder], None]] = [
    convolution, convolution, max_pool, average_pool, add_average, global_average, binary, interpolate, total, table,
    softmax, norm, matmul, transpose, concatenate, fill, spill, reload, Builder.load_input,
]  # fmt: skip


@pytest.fixture(scope="session")
def random_program() -> Callable[..., Program]:
    """``random_program(seed, length)``: the same legal program for the same arguments."""

    def build(seed: int, length: int = 25) -> Program:
        return Builder(seed).program(length)

    return build
