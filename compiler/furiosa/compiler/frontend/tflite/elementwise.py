"""Sums, products, pools, means, Softmax, and the functions of one tensor that are tables."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import prod

import numpy as np

from furiosa.compiler.frontend.tflite.site import TO_FIRST, Site, clamped, ordered
from furiosa.compiler.graph import Array, Attrs, Op, TensorType
from furiosa.compiler.ops.axes_mean import Mean
from furiosa.compiler.ops.elementwise import Binary
from furiosa.compiler.ops.layout import affine
from furiosa.compiler.ops.normalization import Softmax
from furiosa.compiler.ops.pool import Pool
from furiosa.compiler.ops.table import FOLD, refuse
from furiosa.isa import arithmetic
from furiosa.isa.arithmetic import Scaling, lite_tables
from furiosa.isa.dtypes import DType
from furiosa.isa.instructions import Framework

_KIND = {"ADD": "add", "SUB": "sub", "MUL": "mul"}


def binary(site: Site) -> None:
    """ADD, SUB and MUL; a tensor of fewer axes counts from the last, as broadcasting does."""
    to, kind = site.npu_result(), _KIND[site.operator.code]
    a, b = (_broadcast(site, index, len(to.shape)) for index in (0, 1))
    if a.kind == "const" and b.kind == "const":
        raise refuse("constant_operands", "at least one operand must be computed", "two constants", "one constant",
                     FOLD)  # fmt: skip
    if np.broadcast_shapes(a.type.shape, b.type.shape) != ordered(to.shape, TO_FIRST):
        raise site.fault(f"operands of shapes {a.type.shape} and {b.type.shape}, a result of {to.shape}")
    lite = kind == "mul" or _in_fixed_point(a.type, b.type, to)
    attrs = Binary(False, *site.clamp(), lite=lite)
    site.give(site.op(kind, (a, b), attrs, replace(to, shape=ordered(to.shape, TO_FIRST))))


def _broadcast(site: Site, index: int, rank: int) -> Op:
    x = site.x(index)
    if len(x.type.shape) > rank:
        raise site.fault(f"an operand of shape {x.type.shape}, a result of {rank} axes")
    if len(x.type.shape) in (0, rank) or rank != 4:
        return x
    shape = (1,) * (rank - len(x.type.shape)) + x.type.shape
    type_, name = replace(x.type, shape=ordered(shape, TO_FIRST)), f":operand{index}"
    if x.kind == "const":
        data = x.value.reshape(shape).transpose(TO_FIRST)
        return replace(x, data=data, type=type_, name=f"{site.name()}{name}")
    wide = site.op("reshape", (x,), Attrs(), replace(x.type, shape=shape), name)
    return site.importer.transposed(wide, TO_FIRST, f"{site.name()}{name}:nchw")


def _in_fixed_point(a: TensorType, b: TensorType, to: TensorType) -> bool:
    """Whether the scales suit LiteRT's sum; XNNPACK leaves others to a kernel that rounds real numbers."""
    try:
        arithmetic.fixed_sum(Scaling(a.scale, 0), Scaling(b.scale, 0), Scaling(to.scale, 0))
    except ValueError:
        return False
    return True


def pool(site: Site) -> None:
    """MAX_POOL_2D and AVERAGE_POOL_2D, with an activation behind."""
    x, to = site.x(), site.npu_result()
    same_quantization(site, x.type, to)
    if len(x.type.shape) != 4:
        raise site.fault(f"an operand of shape {x.type.shape}")
    kernel = (site.options["filter_height"], site.options["filter_width"])
    if min(kernel) < 1:
        raise site.fault(f"a window of {kernel}")
    strides = site.pair("stride")
    pads, size = site.padding(x.type.shape[2:], kernel, strides, (1, 1))
    kind = "max_pool2d" if site.operator.code == "MAX_POOL_2D" else "average_pool2d"
    attrs = Pool(kernel, strides, (1, 1), pads, framework=Framework.TFLITE)
    type_ = replace(to, shape=(*x.type.shape[:2], *size))
    bounds = site.clamp()
    if bounds == clamped(0, to):
        site.give(site.op(kind, (x,), attrs, type_))
    else:
        pooled = site.op(kind, (x,), attrs, type_, ":pool")
        site.give(lookup(site, pooled, np.clip(stored_bytes(to.dtype), *bounds), type_))


def same_quantization(site: Site, x: TensorType, to: TensorType) -> None:
    """Refuse an operator that would have to change scales on the way."""
    if (x.dtype, x.quant) != (to.dtype, to.quant):
        raise refuse("mixed_quantization", "operand and result must have one quantization", x.quant, to.quant,
                     "quantize the model again")  # fmt: skip


def mean(site: Site) -> None:
    """MEAN and SUM over any axes but the first."""
    x, to = site.x(), site.npu_result()
    rank = len(x.type.shape)
    axes = {site.axis(axis, rank) for axis in site.integers(1)}
    if 0 in axes or not axes or rank > 4:
        raise refuse("mean_axes", "a mean must be over axes behind the first", f"{sorted(axes)}", "1 to 3",
                     "transpose the tensor first")  # fmt: skip
    given = site.importer.shape(site.operator.inputs[0])
    kept = tuple(1 if axis in axes else size for axis, size in enumerate(given))
    elements = prod(given[axis] for axis in axes)
    if elements > 1 << 16:
        raise refuse("mean_elements", "a mean must be over at most 65536 elements", elements, 1 << 16,
                     "take the mean in two steps")  # fmt: skip
    inside = tuple(sorted(TO_FIRST.index(axis) for axis in axes)) if rank == 4 else tuple(sorted(axes))
    whole = to.shape == kept
    if not whole and to.shape != tuple(size for axis, size in enumerate(given) if axis not in axes):
        raise site.fault(f"a result of shape {to.shape}")
    type_, suffix = replace(to, shape=ordered(kept, TO_FIRST)), "" if whole else ":mean"
    averaged = site.op("axes_mean", (x,), Mean(inside, total=site.operator.code == "SUM"), type_, suffix)
    if whole:
        return site.give(averaged)
    if rank == 4:
        averaged = site.importer.transposed(averaged, (0, 2, 3, 1), f"{site.name()}:nhwc")
    return site.give(site.op("reshape", (averaged,), Attrs(), to), images=False)


def softmax(site: Site) -> None:
    """SOFTMAX over the last axis."""
    x, to = site.x(), site.npu_result()
    if x.type.dtype != to.dtype or x.type.shape == ():
        raise refuse("mixed_types", "operand and result of Softmax must have one type", x.type.dtype.numpy_name,
                     to.dtype.numpy_name, "quantize the model again")  # fmt: skip
    axis = 1 if len(x.type.shape) == 4 else len(x.type.shape) - 1
    attrs = Softmax(axis, False, Framework.TFLITE, site.options["beta"])
    site.give(site.op("softmax", (x,), attrs, replace(to, shape=x.type.shape)))


def stored_bytes(dtype: DType) -> Array:
    """All values of i8 or u8, in the order of their bytes."""
    return np.arange(256, dtype=np.uint8).view(dtype.numpy_name)


def lookup(site: Site, x: Op, values: Array, to: TensorType, suffix: str = "") -> Op:
    """The op that gives for each byte of ``x`` the value of its index."""
    entries = values.astype(to.dtype.numpy_name).view(np.uint8)
    table = Op("const", (), Attrs(), TensorType((256,), DType.U8), f"{site.name()}{suffix}:entries", data=entries)
    return site.op("lookup", (x, table), Attrs(), replace(to, shape=x.type.shape), suffix)


def prelu(site: Site) -> None:
    """PRELU with a constant slope for each channel: a table for each."""
    x, to, slopes, tensor = site.x(), site.npu_result(), site.array(1), site.tensor(1)
    quant = None if tensor is None else tensor.quant
    channels = x.type.shape[1] if len(x.type.shape) in (2, 4) else 0
    if (
        quant is None
        or quant.axis is not None
        or slopes.size not in (1, channels)
        or slopes.shape[-1:] != (slopes.size,)
    ):
        raise refuse("slope_per_channel", "PRELU must have one slope, or one for each channel",
                     f"slopes of shape {slopes.shape}", f"{channels} channels",
                     "use a slope for each channel")  # fmt: skip
    whole = [int(slope) - quant.zero_point[0] for slope in slopes.reshape(-1)]
    rows = [lite_tables.prelu(*affine(x.type), *affine(to), slope, quant.scale[0]) for slope in whole]
    entries = np.stack(rows).view(np.uint8)
    table = Op("const", (), Attrs(), TensorType(entries.shape, DType.U8), f"{site.name()}:entries", data=entries)
    site.give(site.op("lookup", (x, table), Attrs(), replace(to, shape=x.type.shape)))


Values = Callable[[Site, TensorType, TensorType], Array]


def function(values: Values) -> Callable[[Site], None]:
    """The importer of a function of one tensor, from what it computes of all 256 values."""

    def importer(site: Site) -> None:
        x, to = site.x(), site.npu_result()
        with np.errstate(all="ignore"):  # absurd scales saturate
            entries = values(site, x.type, to)
        site.give(lookup(site, x, entries, to))

    return importer


def _named(name: str) -> Values:
    return lambda site, x, to: lite_tables.function(name, *affine(x), *affine(to))


def _leaky_relu(site: Site, x: TensorType, to: TensorType) -> Array:
    return lite_tables.leaky_relu(*affine(x), *affine(to), alpha=site.options["alpha"])


def _relu(activation: int) -> Values:
    def values(_: Site, x: TensorType, to: TensorType) -> Array:
        return lite_tables.relu(*affine(x), *affine(to), activation)

    return values


def _requantize(_: Site, x: TensorType, to: TensorType) -> Array:
    return lite_tables.requantize(*affine(x), *affine(to))


def _hard_swish(_: Site, x: TensorType, to: TensorType) -> Array:
    return lite_tables.hard_swish(*affine(x), *affine(to))


def _sqrt(_: Site, x: TensorType, to: TensorType) -> Array:
    return lite_tables.sqrt(*affine(x), *affine(to))


def _gelu(site: Site, x: TensorType, to: TensorType) -> Array:
    return lite_tables.function("gelu_tanh" if site.options["approximate"] else "gelu", *affine(x), *affine(to))


FUNCTIONS: dict[str, Callable[[Site], None]] = {
    "ABS": function(_named("abs")),
    "ELU": function(_named("elu")),
    "EXP": function(_named("exp")),
    "GELU": function(_gelu),
    "HARD_SWISH": function(_hard_swish),
    "LEAKY_RELU": function(_leaky_relu),
    "LOG": function(_named("log")),
    "LOGISTIC": function(_named("logistic")),
    "RELU": function(_relu(1)),
    "RELU6": function(_relu(3)),
    "RELU_N1_TO_1": function(_relu(2)),
    "RSQRT": function(_named("rsqrt")),
    "SQRT": function(_sqrt),
    "TANH": function(_named("tanh")),
}
requantize = function(_requantize)
