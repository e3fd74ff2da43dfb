"""How a tensor of the model lies on the NPU: four axes (N, H, W, C), channels last."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np

from furiosa.compiler.graph import Array, Attrs, Op, Quant, TensorType, const
from furiosa.compiler.lowlevel import Four, Transpose
from furiosa.isa import arithmetic
from furiosa.isa.dtypes import DType

TO_NHWC = (0, 2, 3, 1)
TO_NCHW = (0, 3, 1, 2)


def nchw(shape: tuple[int, ...]) -> Four:
    """The shape with four axes, channels second: (), (C,), (N, C), (N, C, W) and (N, C, H, W) get the missing ones.

    Of more axes, those between the second and the last become one.
    """
    if len(shape) > 4:
        return shape[0], shape[1], prod(shape[2:-1]), shape[-1]
    n, c, h, w = {
        0: (1, 1, 1, 1), 1: (1, *shape, 1, 1), 2: (*shape, 1, 1), 3: (*shape[:2], 1, *shape[2:]), 4: shape,
    }[len(shape)]  # fmt: skip
    return n, c, h, w


def nhwc(shape: tuple[int, ...]) -> Four:
    """The shape as it lies on the NPU."""
    n, c, h, w = nchw(shape)
    return n, h, w, c


def spatial_axis(axis: int, rank: int) -> int:
    """Where axis ``axis`` of a model's tensor with ``rank`` axes lies on the NPU: 0 N, 1 H, 2 W, 3 C."""
    axis %= rank
    return {1: (3,), 2: (0, 3), 3: (0, 3, 2), 4: (0, 3, 1, 2)}[rank][axis]


def low(kind: str, inputs: tuple[Op, ...], attrs: Attrs, shape: Four, like: Op, suffix: str = "") -> Op:
    """A low-level op named, placed and quantized like the op it stands for."""
    type_ = TensorType(shape, like.type.dtype, like.type.quant)
    return Op(f"npu.{kind}", inputs, attrs, type_, like.name + suffix, like.node, sources=like.sources)


def table(x: Op, values: Array, like: Op, suffix: str = "") -> Op:
    """Look every byte of ``x`` up; ``values`` is uint8 [256] or [C, 256]. The result is typed like ``like``."""
    data = const(f"{like.name}{suffix}:table", np.atleast_2d(values), node=like.node)
    return low("table", (x, data), Attrs(), _four(x), like, suffix)


FLIPPED = np.arange(256, dtype=np.uint8) ^ 0x80
"""The table between int8 and uint8 of the same values."""


def signed_type(type_: TensorType) -> TensorType:
    """The type of int8 that stands for the same real values."""
    if type_.dtype is DType.I8:
        return type_
    return replace(type_, dtype=DType.I8, quant=Quant((type_.scale,), (type_.zero - 128,)))


def flipped(x: Op, like: Op, suffix: str) -> Op:
    """The same real values in the other type: uint8 for int8, int8 for uint8."""
    type_ = signed_type(x.type)
    if x.type.dtype is DType.I8:
        type_ = replace(x.type, dtype=DType.U8, quant=Quant((x.type.scale,), (x.type.zero + 128,)))
    if x.kind == "const":
        return const(
            like.name + suffix, FLIPPED[x.value.view(np.uint8)].view(type_.dtype.numpy_name), type_.quant, x.node
        )
    return table(x, FLIPPED, replace(like, type=type_, sources=()), suffix)


def conform(x: Op, to: TensorType, like: Op) -> Op:
    """``x`` in the element type and quantization of ``to``: itself, or a requantizing table."""
    if (x.type.dtype, x.type.quant) == (to.dtype, to.quant):
        return x
    values = arithmetic.table("identity", *affine(x.type), *affine(to))
    target = replace(like, type=TensorType(like.type.shape, to.dtype, to.quant))
    return table(x, values, target, f":{x.name}")


def transpose(x: Op, perm: Four, like: Op, suffix: str) -> Op:
    """``x`` with its axes permuted; a view when no element moves."""
    shape = _four(x)
    new = tuple(shape[p] for p in perm)
    kept = [p for p in perm if shape[p] > 1]
    moved = kept != sorted(kept)
    like = replace(like, type=replace(like.type, dtype=x.type.dtype, quant=x.type.quant))
    if moved:
        return low("transpose", (x,), Transpose(perm), new, like, suffix)  # type: ignore[arg-type]  # four axes
    return view(x, new, like, suffix)  # type: ignore[arg-type]  # four axes


def view(x: Op, shape: Four, like: Op, suffix: str = "") -> Op:
    """The bytes of ``x`` with another shape; ``x`` itself when the shape is the same."""
    if shape == x.type.shape:
        return x
    like = replace(like, type=replace(like.type, dtype=x.type.dtype, quant=x.type.quant))
    return low("view", (x,), Attrs(), shape, like, suffix)


def reshape(x: Op, old: tuple[int, ...], new: tuple[int, ...], like: Op, suffix: str) -> Op:
    """``x``, a tensor of the model's shape ``old``, with the shape ``new``.

    Elements keep their order in channels-first form: undo channels-last, see the bytes anew, redo it.
    """
    if nchw(old)[:2] == nchw(new)[:2]:
        return view(x, nhwc(new), like, suffix)
    flat = transpose(x, TO_NCHW, like, f"{suffix}:flat")
    return transpose(view(flat, nchw(new), like, f"{suffix}:shape"), TO_NHWC, like, suffix)


def innermost(x: Op, shape: tuple[int, ...], axes: range, like: Op) -> tuple[Op, tuple[int, int, int]]:
    """``x``, a tensor of the model's ``shape``, with these axes as its channels; the extents before, of and after them.

    The result stands for a tensor of the model with the three extents as its shape.
    """
    extents = (prod(shape[: axes.start]), prod(shape[axes.start : axes.stop]), prod(shape[axes.stop :]))
    return reshape(x, shape, extents, like, ":rows"), extents


def _four(op: Op) -> Four:
    n, h, w, c = op.type.shape
    return n, h, w, c


def channel_scales(quant: Quant | None, channels: int) -> Array:
    """The weights' scale of each of ``channels`` as float32."""
    scales = np.asarray(quant.scale if quant else (1.0,), np.float32)
    return np.broadcast_to(scales, (channels,))


def affine(type_: TensorType) -> tuple[float, int, str]:
    """Scale, zero point and NumPy element type of an activation, as ``furiosa.isa.arithmetic`` takes them."""
    return type_.scale, type_.zero, type_.dtype.numpy_name
