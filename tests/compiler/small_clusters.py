"""Small NPU clusters made by hand, and how to run them: shared by the tests of the GIR and the LIR."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from furiosa.compiler import gir, lir
from furiosa.compiler.cluster import Cluster
from furiosa.compiler.graph import Attrs, Op, Quant, TensorType, const
from furiosa.compiler.lowlevel import (
    AddPool,
    Binary,
    Concat,
    Conv,
    GlobalPool,
    Interpolate,
    MatMul,
    Pad,
    Pool,
    Slice,
    Softmax,
    Sum,
    Transpose,
)
from furiosa.isa.dtypes import DType
from furiosa.isa.instructions import BinaryForm, Summation
from furiosa.isa.target import Target, target
from furiosa.npu_sim.machine import Machine

Four = tuple[int, int, int, int]
Bytes = NDArray[np.uint8]

BIG = target("warboy-2pe")


def shrunk(sram_bytes: int) -> Target:
    """A target with this little SRAM."""
    return replace(BIG, name="small", slices=1, slice_sram_bytes=sram_bytes)


class Net:
    """Builds a cluster op by op; ``rng`` makes its constants."""

    def __init__(self, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.inputs: list[Op] = []
        self.ops: list[Op] = []

    def _op(self, kind: str, inputs: Sequence[Op], attrs: object, shape: Four, dtype: DType = DType.U8) -> Op:
        quant = Quant((float(np.float32(0.05)),), (3 if dtype is DType.I8 else 117,))
        name = f"{kind.split('.')[-1]}{len(self.ops)}"
        op = Op(kind, tuple(inputs), attrs, TensorType(shape, dtype, quant), name, f"node_{name}")
        self.ops.append(op)
        return op

    def _const(self, data: NDArray[np.generic], quant: Quant | None = None) -> Op:
        op = const(f"const{len(self.ops)}", data, quant)
        self.ops.append(op)
        return op

    def input(self, *shape: int) -> Op:
        n, h, w, c = shape
        op = self._op("input", (), Attrs(), (n, h, w, c))
        self.ops.pop()
        op = replace(op, name=f"input{len(self.inputs)}")
        self.inputs.append(op)
        return op

    def constant(self, *shape: int) -> Op:
        data = self.rng.integers(0, 256, shape).astype(np.uint8)
        return self._const(data, Quant((float(np.float32(0.05)),), (117,)))

    def conv(
        self, x: Op, channels: int, kernel: int = 3, stride: int = 1, dilation: int = 1, pads: Four = (1, 1, 1, 1),
        groups: int = 1, dtype: DType = DType.U8,
    ) -> Op:  # fmt: skip
        n, h, w, c = x.type.shape
        depthwise = groups == c and groups > 1
        weights = (kernel, kernel, channels) if depthwise else (channels, kernel, kernel, c // groups)
        multipliers = self.rng.uniform(0.5, 1.5, channels) / (kernel * np.sqrt(c / groups) * 73)
        params = (
            self._const(self.rng.integers(-128, 128, weights).astype(np.int8)),
            self._const(self.rng.integers(-999, 999, channels).astype(np.int32)),
            self._const(multipliers.astype(np.float32)),
        )
        lo, hi = (-128, 127) if dtype is DType.I8 else (0, 255)
        attrs = Conv((kernel, kernel), (stride, stride), (dilation, dilation), pads, groups, lo, hi)
        shape = (n, *_pooled(h, w, kernel, stride, dilation, pads), channels)
        return self._op("npu.depthwise_conv2d" if depthwise else "npu.conv2d", (x, *params), attrs, shape, dtype)

    def pool(
        self, kind: str, x: Op, kernel: int = 3, stride: int = 2, pads: Four = (1, 1, 1, 1), include_pad: bool = False
    ) -> Op:
        n, h, w, c = x.type.shape
        attrs = Pool((kernel, kernel), (stride, stride), (1, 1), pads, include_pad)
        shape = (n, *_pooled(h, w, kernel, stride, 1, pads), c)
        return self._op(f"npu.{kind}_pool2d", (x,), attrs, shape, x.type.dtype)

    def add_pool(self, a: Op, b: Op, kernel: int = 3) -> Op:
        n, h, w, c = a.type.shape
        attrs = AddPool((kernel, kernel), (1, 1), (1, 1), (1, 1, 1, 1), False, float("-inf"))
        return self._op("npu.add_average_pool2d", (a, b), attrs, (n, *_pooled(h, w, kernel, 1, 1, (1, 1, 1, 1)), c))

    def interpolate(self, x: Op, rows: int, columns: int) -> Op:
        n, h, w, c = x.type.shape
        at = [(0.5, 1.0, float(np.float32(after / before)), -0.5) for before, after in ((h, rows), (w, columns))]
        return self._op("npu.interpolate", (x,), Interpolate(*at), (n, rows, columns, c))

    def mean(self, x: Op) -> Op:
        n, h, w, c = x.type.shape
        return self._op("npu.global_average_pool", (x,), GlobalPool(h * w, Summation.VECTORS), (n, 1, 1, c))

    def binary(self, kind: str, a: Op, b: Op) -> Op:
        n, h, w, c = (max(p, q) for p, q in zip(a.type.shape, b.type.shape))
        return self._op(f"npu.{kind}", (a, b), Binary(BinaryForm.REAL, 0, 255), (n, h, w, c))

    def table(self, x: Op, *, shared: bool = True) -> Op:
        n, h, w, c = x.type.shape
        table = self._const(self.rng.integers(0, 256, (1 if shared else c, 256)).astype(np.uint8))
        return self._op("npu.table", (x, table), Attrs(), (n, h, w, c))

    def softmax(self, x: Op) -> Op:
        n, h, w, c = x.type.shape
        return self._op("npu.softmax", (x,), Softmax(), (n, h, w, c))

    def matmul(self, a: Op, b: Op) -> Op:
        n, h = (max(a.type.shape[axis], b.type.shape[axis]) for axis in (0, 1))
        return self._op("npu.matmul", (a, b), MatMul(0.001, 3, 250), (n, h, a.type.shape[2], b.type.shape[3]))

    def norm(self, kind: str, x: Op, channels: int) -> Op:
        n, h, w, _ = x.type.shape
        return self._op(f"npu.{kind}", (x,), Attrs(), (n, h, w, channels))

    def concat(self, axis: int, *xs: Op) -> Op:
        n, h, w, c = (
            sum(x.type.shape[axis] for x in xs) if i == axis else xs[0].type.shape[i] for i in range(4)
        )  # fmt: skip
        return self._op("npu.concat", xs, Concat(axis), (n, h, w, c))

    def sum(self, *xs: Op) -> Op:
        scales = const("scales", np.linspace(0.1, 0.3, len(xs), dtype=np.float32))
        zeros = const("zeros", np.arange(len(xs), dtype=np.uint8))
        return self._op("npu.sum", (self.concat(0, *xs), scales, zeros), Sum(0.5, 3, 250), xs[0].type.shape)

    def pad(self, x: Op, before: Four, after: Four) -> Op:
        n, h, w, c = (a + b + d for a, b, d in zip(before, x.type.shape, after))
        return self._op("npu.pad", (x,), Pad(before, after, 200), (n, h, w, c))

    def slice(self, x: Op, start: Four, steps: Four, shape: Four) -> Op:
        return self._op("npu.slice", (x,), Slice(start, steps), shape)

    def transpose(self, x: Op, perm: Four) -> Op:
        n, h, w, c = (x.type.shape[i] for i in perm)
        return self._op("npu.transpose", (x,), Transpose(perm), (n, h, w, c))

    def expand(self, x: Op, shape: Four) -> Op:
        return self._op("npu.expand", (x,), Attrs(), shape)

    def view(self, x: Op, *shape: int) -> Op:
        n, h, w, c = shape
        return self._op("npu.view", (x,), Attrs(), (n, h, w, c))

    def cluster(self, *outputs: Op) -> Cluster:
        return Cluster("npu0", "npu", tuple(self.inputs), tuple(self.ops), outputs)


def _pooled(h: int, w: int, kernel: int, stride: int, dilation: int, pads: Four) -> tuple[int, int]:
    reach = (kernel - 1) * dilation + 1
    return (h + pads[0] + pads[2] - reach) // stride + 1, (w + pads[1] + pads[3] - reach) // stride + 1


def execute(program: gir.Gir, on: Target, seed: int = 0) -> list[Bytes]:
    """Run a GIR on the reference interpreter with random inputs; the program is verified before."""
    machine = Machine(lir.to_program(lir.linearize(program)), on, kernels="reference")
    rng = np.random.default_rng(seed)
    return machine.run([rng.integers(0, 256, port.size).astype(np.uint8) for port in program.inputs])


def same_at_any_size(cluster: Cluster, sizes: Sequence[int]) -> list[gir.Gir]:
    """Check that a cluster computes the same with little SRAM as with plenty; the GIRs at the sizes given."""
    want = execute(gir.build(cluster, BIG), BIG)
    found = []
    for size in sizes:
        small = shrunk(size)
        program = gir.build(cluster, small)
        check_slots(program, small)
        for have, expected in zip(execute(program, small), want):
            np.testing.assert_array_equal(have, expected)
        found.append(program)
    return found


def check_slots(program: gir.Gir, on: Target) -> None:
    """No two slots of one memory that live at one step share a byte; all are inside the memory and aligned."""
    assert program.sram_bytes <= on.sram_bytes
    events: list[tuple[int, int, gir.Slot]] = []
    for slot in program.slots:
        limit = program.dram_bytes if slot.memory else program.sram_bytes
        assert slot.address % 64 == 0
        assert slot.address + slot.size <= max(limit, -(-limit // 64) * 64)
        assert 0 <= slot.first <= slot.last < max(1, len(program.steps))
        events += [(slot.first, 1, slot), (slot.last + 1, 0, slot)]
    live: list[gir.Slot] = []
    for _, begins, slot in sorted(events, key=lambda event: event[:2]):
        if not begins:
            live.remove(slot)
            continue
        for other in live:
            apart = slot.address + slot.size <= other.address or other.address + other.size <= slot.address
            assert apart or slot.memory is not other.memory, (slot, other)
        live.append(slot)
