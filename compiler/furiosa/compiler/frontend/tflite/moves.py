"""Operators that only move elements, and the changes between real numbers and integers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import prod

import numpy as np

from furiosa.compiler.frontend.node import Affine
from furiosa.compiler.frontend.tflite.elementwise import lookup, requantize, same_quantization
from furiosa.compiler.frontend.tflite.site import TO_FIRST, Site
from furiosa.compiler.graph import Attrs, Op, TensorType
from furiosa.compiler.ops.layout import affine
from furiosa.compiler.ops.movement import Concat, Pad, Transpose
from furiosa.compiler.ops.selection import Slice
from furiosa.compiler.ops.table import refuse
from furiosa.isa.arithmetic import lite_tables
from furiosa.isa.dtypes import DType


def quantize(site: Site) -> None:
    """QUANTIZE, of real numbers on the host or of integers on the NPU."""
    images = site.operator.inputs[0] not in site.importer.given
    x = site.operand(0, images)
    if x.type.dtype is not DType.F32:
        return requantize(site)
    to = site.npu_result()
    type_ = replace(to, shape=x.type.shape)
    return site.give(_cast(site, "quantize", x, Affine(to.per_tensor(), by_product=True), type_), images=images)


def dequantize(site: Site) -> None:
    """DEQUANTIZE of an int8 or uint8 tensor."""
    x, to = site.x(0, images=False), site.result()
    if to.dtype is not DType.F32 or x.kind == "const":
        raise refuse("dequantized_type", "only computed tensors become float32 on the host", to.dtype.numpy_name,
                     "float32", "dequantize computed tensors only, to float32: store constants as float32")  # fmt: skip
    type_ = replace(to, shape=x.type.shape, quant=None)
    site.give(_cast(site, "dequantize", x, Affine(x.type.per_tensor()), type_), images=False)


def _cast(site: Site, kind: str, x: Op, attrs: Affine, type_: TensorType) -> Op:
    node = site.operator
    return Op(kind, (x,), attrs, type_, site.name(), node.name, sources=((node.name, node.code),))


def reshape(site: Site) -> None:
    """RESHAPE, SQUEEZE and EXPAND_DIMS: the shape that the file says."""
    x, to = site.x(0, images=False), site.npu_result()
    same_quantization(site, x.type, to)
    if prod(x.type.shape) != prod(to.shape):
        raise site.fault(f"{x.type.shape} becomes {to.shape}")
    site.give(site.op("reshape", (x,), Attrs(), to), images=False)


def transpose(site: Site) -> None:
    """TRANSPOSE."""
    x, perm = site.x(0, images=False), site.integers(1)
    same_quantization(site, x.type, site.npu_result())
    if sorted(perm) != list(range(len(x.type.shape))):
        raise site.fault(f"{perm} is no permutation of {len(x.type.shape)} axes")
    shape = tuple(x.type.shape[axis] for axis in perm)
    site.give(site.op("transpose", (x,), Transpose(perm), replace(x.type, shape=shape)), images=False)


def concatenation(site: Site) -> None:
    """CONCATENATION; operands of another quantization are brought to that of the result."""
    to = site.npu_result()
    rank = len(to.shape)
    axis = site.axis(site.options["axis"], rank)
    parts = [_conformed(site, index) for index in range(len(site.operator.inputs))]
    if any(part.kind == "const" for part in parts):
        raise refuse("constant_operands", "all operands of a concatenation must be computed", "a constant", "none",
                     "add the constant's part with a PAD")  # fmt: skip
    inside = TO_FIRST.index(axis) if rank == 4 else axis
    shape = list(parts[0].type.shape)
    if any(len(part.type.shape) != rank for part in parts):
        raise site.fault("its operands differ in the number of axes")
    shape[inside] = sum(part.type.shape[inside] for part in parts)
    if any(
        size != whole for part in parts for k, (size, whole) in enumerate(zip(part.type.shape, shape)) if k != inside
    ):
        raise site.fault(f"operands of shapes {[part.type.shape for part in parts]}")
    joined = site.op("concat", tuple(parts), Concat(inside), replace(to, shape=tuple(shape)))
    if site.clamp() != (np.iinfo(to.dtype.numpy_name).min, np.iinfo(to.dtype.numpy_name).max):
        raise refuse("activation", "a concatenation must have no activation", "RELU", "none",
                     "give the activation to the operators before it")  # fmt: skip
    site.give(joined)


def _conformed(site: Site, index: int) -> Op:
    """An operand of a concatenation in the quantization of the result: round(x * s / s_y - z * s / s_y) + z_y."""
    x, to = site.x(index), site.npu_result()
    if (x.type.dtype, x.type.quant) == (to.dtype, to.quant):
        return x
    if x.type.dtype != to.dtype:
        same_quantization(site, x.type, to)
    return lookup(site, x, lite_tables.concatenated(*affine(x.type), *affine(to)), to, f":operand{index}")


def pad(site: Site) -> None:
    """PAD with zero, PADV2 with a constant."""
    x, to = site.x(), site.npu_result()
    same_quantization(site, x.type, to)
    rank, pads = len(x.type.shape), site.array(1)
    if pads.dtype.kind not in "iu" or pads.shape != (rank, 2) or rank == 0:
        raise site.fault(f"pads of shape {pads.shape} for {rank} axes")
    rows = [(int(before), int(after)) for before, after in pads]
    if min(min(row) for row in rows) < 0 or max(max(row) for row in rows) > 1 << 30:
        raise site.fault(f"pads of {rows}")
    if rank == 4:
        rows = [rows[axis] for axis in TO_FIRST]
    value = 0.0
    if site.operator.code == "PADV2":
        stored = site.array(2)
        if stored.size != 1 or stored.dtype.kind not in "iu":
            raise site.fault(f"a value of shape {stored.shape}")
        value = float(np.float32(int(stored.reshape(())) - to.zero) * np.float32(to.scale))
    attrs = Pad(tuple(before for before, _ in rows), tuple(after for _, after in rows), value)
    shape = tuple(size + before + after for size, (before, after) in zip(x.type.shape, rows))
    site.give(site.op("pad", (x,), attrs, replace(to, shape=shape)))


def _taken(site: Site, x: Op, ranges: Sequence[range], index: int = 0) -> Op:
    """The elements of ``x`` at these positions of each axis, in TFLite's order of axes."""
    if min(len(r) for r in ranges) < 1:
        raise refuse("not_empty", "tensors on the NPU have at least one element", "none", "1 element",
                     "leave the operator out")  # fmt: skip
    ranges = [r if len(r) > 1 else range(r.start, r.start + 1) for r in ranges]
    if min(r.step for r in ranges) < 1:
        raise refuse("negative_steps", "a slice must go forward", min(r.step for r in ranges), 1,
                     "slice with positive strides")  # fmt: skip
    axes = [ranges[axis] for axis in TO_FIRST] if len(ranges) == 4 else list(ranges)
    attrs = Slice(tuple(r.start for r in axes), tuple(r.step for r in axes))
    node = site.operator
    type_ = replace(x.type, shape=tuple(len(r) for r in axes))
    suffix = "" if index == 0 else f":{index}"
    op = site.op("slice", (x,), attrs, type_, suffix)
    return replace(op, name=site.name(index), sources=((node.name, node.code),))


def slice_(site: Site) -> None:
    """SLICE with constant begin and size; -1 is up to the end."""
    x, begin, size = site.x(), site.integers(1), site.integers(2)
    same_quantization(site, x.type, site.npu_result())
    given = site.importer.shape(site.operator.inputs[0])
    if not len(begin) == len(size) == len(given) or not given:
        raise site.fault(f"begin {begin} and size {size} of a tensor of shape {given}")
    ends = [n if s == -1 else b + s for b, s, n in zip(begin, size, given)]
    if site.importer.batch_size > 1 and (begin[0], ends[0]) == (0, given[0] // site.importer.batch_size):
        ends[0] = given[0]
    if any(not 0 <= b <= e <= n for b, e, n in zip(begin, ends, given)):
        raise site.fault(f"begin {begin} and size {size} of a tensor of shape {given}")
    site.give(_taken(site, x, [range(b, e) for b, e in zip(begin, ends)]))


def strided_slice(site: Site) -> None:
    """STRIDED_SLICE with constant operands and forward strides; axes may be dropped."""
    x = site.x()
    same_quantization(site, x.type, site.npu_result())
    given = site.importer.shape(site.operator.inputs[0])
    begin, end, strides = (site.integers(index) for index in (1, 2, 3))
    options = site.options
    if options["ellipsis_mask"] or options["new_axis_mask"] or options["offset"]:
        raise refuse("slice_masks", "a slice must have no ellipsis and no new axes", "a mask", "none",
                     "write it with a RESHAPE")  # fmt: skip
    if not len(begin) == len(end) == len(strides) <= len(given) or 0 in strides:
        raise site.fault(f"slice {begin} to {end} by {strides} of a tensor of shape {given}")
    ranges, dropped = [], []
    for axis, size in enumerate(given):
        if axis >= len(begin):
            ranges.append(range(size))
            continue
        if options["shrink_axis_mask"] >> axis & 1:
            at = begin[axis] + (size if begin[axis] < 0 else 0)
            if not 0 <= at < size:
                raise site.fault(f"index {begin[axis]} of {size}")
            ranges.append(range(at, at + 1))
            dropped.append(axis)
            continue
        first = None if options["begin_mask"] >> axis & 1 else begin[axis]
        last = None if options["end_mask"] >> axis & 1 or _whole_batch(site, axis, end) else end[axis]
        ranges.append(range(*slice(first, last, strides[axis]).indices(size)))
    taken = _taken(site, x, ranges)
    if not dropped:
        return site.give(taken)
    taken = replace(taken, name=f"{taken.name}:taken")
    if len(given) == 4:
        taken = site.importer.transposed(taken, (0, 2, 3, 1), f"{taken.name}:nhwc")
    to = site.npu_result()
    if to.shape != tuple(len(r) for axis, r in enumerate(ranges) if axis not in dropped):
        raise site.fault(f"a result of shape {to.shape}")
    return site.give(site.op("reshape", (taken,), Attrs(), to), images=False)


def _whole_batch(site: Site, axis: int, end: tuple[int, ...]) -> bool:
    """Whether a slice went to the end of the axis that the batch size has multiplied."""
    tensor = site.tensor(0)
    return site.importer.batch_size > 1 and axis == 0 and tensor is not None and end[0] == tensor.shape[0]


def split(site: Site) -> None:
    """SPLIT into equal parts, SPLIT_V into parts of given sizes."""
    even = site.operator.code == "SPLIT"
    x = site.x(1 if even else 0)
    given = site.importer.shape(site.operator.inputs[1 if even else 0])
    (axis,) = site.integers(0 if even else 2) or (0,)
    axis, count = site.axis(axis, len(given)), len(site.operator.outputs)
    sizes = (given[axis] // max(1, count),) * count if even else site.integers(1)
    if -1 in sizes:
        sizes = tuple(given[axis] - sum(sizes) - 1 if size == -1 else size for size in sizes)
    if sum(sizes) != given[axis] or len(sizes) != count or min(sizes) < 1:
        raise site.fault(f"{given[axis]} elements in parts of {sizes}")
    at = 0
    for index, size in enumerate(sizes):
        same_quantization(site, x.type, site.npu_result(index))
        ranges = [range(n) for n in given]
        ranges[axis] = range(at, at + size)
        site.give(_taken(site, x, ranges, index), index)
        at += size


def space_to_depth(site: Site) -> None:
    """SPACE_TO_DEPTH: blocks of pixels become channels, the column within a block before the channel."""
    x, block = _image(site)
    n, h, w, c = x.type.shape
    if h % block or w % block:
        raise site.fault(f"blocks of {block} in {h} x {w}")
    _rearranged(site, x, (n, h // block, block, w // block, block, c), (n, h // block, w // block, block * block * c))


def depth_to_space(site: Site) -> None:
    """DEPTH_TO_SPACE, which undoes SPACE_TO_DEPTH."""
    x, block = _image(site)
    n, h, w, c = x.type.shape
    if c % (block * block):
        raise site.fault(f"blocks of {block} in {c} channels")
    _rearranged(site, x, (n, h, w, block, block, c // block**2), (n, h * block, w * block, c // block**2))


def _image(site: Site) -> tuple[Op, int]:
    x, block = site.x(0, images=False), site.options["block_size"]
    same_quantization(site, x.type, site.npu_result())
    if len(x.type.shape) != 4 or block < 1:
        raise site.fault(f"blocks of {block} in a tensor of shape {x.type.shape}")
    return x, block


def _rearranged(site: Site, x: Op, apart: tuple[int, ...], shape: tuple[int, ...]) -> None:
    """Seen with six axes, the third and fourth exchanged, seen as an image again."""
    perm = (0, 1, 3, 2, 4, 5)
    seen = site.op("reshape", (x,), Attrs(), replace(x.type, shape=apart), ":apart")
    turned = replace(x.type, shape=tuple(apart[axis] for axis in perm))
    moved = site.op("transpose", (seen,), Transpose(perm), turned, ":moved")
    site.give(site.op("reshape", (moved,), Attrs(), replace(x.type, shape=shape)), images=False)


def pack(site: Site) -> None:
    """PACK: operands get a new axis and are joined along it."""
    to = site.npu_result()
    axis = site.axis(site.options["axis"], len(to.shape))
    shape = (*to.shape[:axis], 1, *to.shape[axis + 1 :])
    parts = []
    for index in range(len(site.operator.inputs)):
        x = site.x(index, images=False)
        same_quantization(site, x.type, to)
        if prod(x.type.shape) != prod(shape) or x.kind == "const":
            raise refuse("pack", "all operands of PACK must be computed and of one shape", f"{x.type.shape}",
                         f"{shape}", "write it with RESHAPE and CONCATENATION, and store no operand")  # fmt: skip
        parts.append(site.op("reshape", (x,), Attrs(), replace(to, shape=shape), f":operand{index}"))
    site.give(site.op("concat", tuple(parts), Concat(axis), to), images=False)


def unpack(site: Site) -> None:
    """UNPACK: slices along an axis that is dropped."""
    x = site.x()
    given = site.importer.shape(site.operator.inputs[0])
    axis = site.axis(site.options["axis"], len(given))
    if given[axis] != len(site.operator.outputs):
        raise site.fault(f"{given[axis]} elements and {len(site.operator.outputs)} results")
    for index in range(given[axis]):
        ranges = [range(n) for n in given]
        ranges[axis] = range(index, index + 1)
        taken = replace(_taken(site, x, ranges, index), name=f"{site.name(index)}:taken")
        if len(given) == 4:
            taken = site.importer.transposed(taken, (0, 2, 3, 1), f"{taken.name}:nhwc")
        to = site.npu_result(index)
        same_quantization(site, x.type, to)
        op = site.op("reshape", (taken,), Attrs(), to)
        site.give(replace(op, name=site.name(index)), index, images=False)


MOVES: dict[str, Callable[[Site], None]] = {
    "CONCATENATION": concatenation, "DEPTH_TO_SPACE": depth_to_space, "EXPAND_DIMS": reshape, "PACK": pack, "PAD": pad,
    "PADV2": pad, "RESHAPE": reshape, "SLICE": slice_,
    "SPACE_TO_DEPTH": space_to_depth, "SPLIT": split, "SPLIT_V": split, "SQUEEZE": reshape,
    "STRIDED_SLICE": strided_slice, "TRANSPOSE": transpose, "UNPACK": unpack,
}  # fmt: skip
