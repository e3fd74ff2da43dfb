"""LDFG pass: Lower and Unlower on the NPU, where the last axis of a tensor is its width and suits the NPU.

The NPU takes rows whose width is a multiple of 32 as they lie in memory and changes the layout itself. Other widths are
padded by the host before, and cut after, when the reference host takes longer for the change of layout.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod

from furiosa.compiler.graph import Attrs, Graph, Op, rebuild, with_inputs
from furiosa.compiler.lowlevel import Four, Pad, Slice
from furiosa.compiler.ops.layout import TO_NCHW, TO_NHWC, low, transpose, view
from furiosa.isa.cost import vector_cycles
from furiosa.isa.host import reference_host
from furiosa.isa.target import Target

WIDTH = 32
"""Rows are loaded in steps of this width."""


@dataclass(frozen=True, slots=True)
class Raw(Attrs):
    """Of ``lower`` and ``unlower`` that hand the bytes over as they lie: the NPU changes the layout."""


def layout_on_npu(graph: Graph, target: Target) -> Graph:
    """Every Lower and Unlower of an image where the NPU is faster; each input and output by itself."""

    def change(op: Op, inputs: tuple[Op, ...]) -> Op:
        op = with_inputs(op, inputs)
        if op.kind == "lower" and _image(op.inputs[0].type.shape, op.type.shape):
            wide = _wide(op.inputs[0].type.shape, target)
            return op if wide is None else _lower(op, wide)
        if op.kind == "unlower" and _image(op.type.shape, op.inputs[0].type.shape):
            wide = _wide(op.type.shape, target)
            return op if wide is None else _unlower(op, wide)
        return op

    return rebuild(graph, change)


def _image(outside: tuple[int, ...], inside: tuple[int, ...]) -> bool:
    """Whether a tensor has the axes (N, C, H, W) outside, and (N, H, W, C) inside."""
    return len(outside) == 4 and inside == tuple(outside[axis] for axis in TO_NHWC)


def _wide(shape: tuple[int, ...], target: Target) -> int | None:
    """The width with which the NPU takes the rows; None when the host is faster."""
    *rest, width = shape
    wide = -(-width // WIDTH) * WIDTH
    if wide == width:
        return width
    if rest[1] == 1:  # one channel: the bytes lie in the NPU's order already
        return None
    host, size, padded = reference_host(), prod(shape), prod(rest) * wide
    cycles = vector_cycles(2 * padded, target) + vector_cycles(2 * size, target)
    link = (padded - size) * 1_000_000_000 // target.host_bytes_per_second
    on_npu = host.copy_ns(size + padded) + link + cycles * 1_000_000_000 // target.clock_hz
    return wide if on_npu < host.layout_ns(2 * size) else None


def _lower(op: Op, wide: int) -> Op:
    """The rows padded by the host, then seen, turned and cut by the NPU."""
    source = op.inputs[0]
    n, c, h, width = source.type.shape
    if wide != width:
        type_ = replace(source.type, shape=(n, c, h, wide))
        source = Op("widen", (source,), Attrs(), type_, f"{op.name}:padded", op.node)
    like = replace(op, sources=((op.name, "Lower"),))
    raw = replace(op, inputs=(source,), attrs=Raw(), type=replace(op.type, shape=(1, 1, 1, source.type.size)),
                  name=f"{op.name}:raw")  # fmt: skip
    seen = view(raw, (n, c, h, wide), op, ":seen")
    suffix = ":turned" if wide != width else ""
    turned = transpose(seen, TO_NHWC, like, suffix)
    if wide == width:
        return turned
    return low("slice", (turned,), Slice((0, 0, 0, 0), (1, 1, 1, 1)), (n, h, width, c), replace(op, sources=()))


def _unlower(op: Op, wide: int) -> Op:
    """The rows padded and turned by the NPU, then cut by the host."""
    x = op.inputs[0]
    n, h, width, c = _four(x)
    bare = replace(op, sources=())
    raw_name = op.name if wide == width else f"{op.name}:rows"
    if wide != width:
        pad = Pad((0, 0, 0, 0), (0, 0, wide - width, 0), 0)
        x = low("pad", (x,), pad, (n, h, wide, c), bare, ":padded")
    turned = transpose(x, TO_NCHW, replace(op, sources=((raw_name, "Unlower"),)), ":turned")
    flat = view(turned, (1, 1, 1, n * c * h * wide), bare, ":flat")
    raw = replace(op, inputs=(flat,), attrs=Raw(), type=replace(op.type, shape=(n, c, h, wide)), name=raw_name)
    return raw if wide == width else replace(op, kind="narrow", inputs=(raw,))


def _four(op: Op) -> Four:
    n, h, w, c = op.type.shape
    return n, h, w, c
