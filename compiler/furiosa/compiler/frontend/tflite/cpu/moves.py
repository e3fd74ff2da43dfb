"""Operators on the CPU that move elements; quantized ones are moved as they are stored."""

from __future__ import annotations

from math import prod

import numpy as np

from furiosa.compiler.frontend.tflite.cpu.nodes import Cpu, Handler
from furiosa.compiler.graph import Op, TensorType
from furiosa.isa.dtypes import DType


def _moved(cpu: Cpu, index: int = 0) -> Op:
    """An operand as it is stored when the result has its quantization, else as real numbers."""
    x, to = cpu.stored(index), cpu.site.result()
    return x if x.type.quant == to.quant and x.type.dtype is to.dtype else cpu.real(index)


def _reshape(cpu: Cpu) -> None:
    cpu.give(cpu.reshaped(_moved(cpu), cpu.shape()))


def _transpose(cpu: Cpu) -> None:
    x, perm = _moved(cpu), cpu.site.integers(1)
    if sorted(perm) != list(range(len(x.type.shape))):
        raise cpu.site.fault(f"{perm} is no permutation of {len(x.type.shape)} axes")
    cpu.give(_turned(cpu, x, perm))


def _concatenation(cpu: Cpu) -> None:
    parts = [_moved(cpu, index) for index in range(len(cpu.site.operator.inputs))]
    if len({part.type.dtype for part in parts}) > 1:
        parts = [cpu.real(index) for index in range(len(parts))]
    shape = cpu.shape()
    axis = cpu.site.axis(cpu.options["axis"], len(shape))
    cpu.give(cpu.activated(cpu.add("Concat", parts, shape, parts[0].type.dtype, axis=axis)))


def _pad(cpu: Cpu) -> None:
    x, pads = cpu.real(0), cpu.site.array(1)
    if pads.ndim != 2 or pads.shape != (len(x.type.shape), 2) or pads.dtype.kind not in "iu":
        raise cpu.site.fault(f"pads of shape {pads.shape}")
    operands = [x, cpu.integers([*pads[:, 0].tolist(), *pads[:, 1].tolist()])]
    mode = "constant"
    if cpu.site.operator.code == "MIRROR_PAD":
        mode = "edge" if cpu.options["mode"] else "reflect"
        if cpu.options["mode"] and pads.max(initial=0) > 1:
            raise cpu.site.fault("symmetric padding of more than one element is not supported")
    elif cpu.site.operator.code == "PADV2":
        value = cpu.real(2)
        operands.append(cpu.reshaped(value, ()))
    cpu.give(cpu.add("Pad", operands, cpu.shape(), x.type.dtype, mode=mode))


def _slice(cpu: Cpu) -> None:
    x, begin, size = _moved(cpu), cpu.site.integers(1), cpu.site.integers(2)
    if not len(begin) == len(size) == len(x.type.shape):
        raise cpu.site.fault(f"begin {begin} and size {size}")
    ends = [n if s == -1 else b + s for b, s, n in zip(begin, size, x.type.shape)]
    cpu.give(_sliced(cpu, x, [slice(b, e) for b, e in zip(begin, ends)]))


def _strided_slice(cpu: Cpu) -> None:
    x = _moved(cpu)
    begin, end, strides = (cpu.site.integers(index) for index in (1, 2, 3))
    options, rank = cpu.options, len(x.type.shape)
    if not len(begin) == len(end) == len(strides) or 0 in strides:
        raise cpu.site.fault(f"slice {begin} to {end} by {strides}")
    slices: list[slice] = []
    for index, step in enumerate(strides):
        if options["ellipsis_mask"] >> index & 1:
            new = bin(options["new_axis_mask"] >> (index + 1)).count("1")
            slices += [slice(None)] * (rank - len(slices) - (len(strides) - index - 1 - new))
        elif options["new_axis_mask"] >> index & 1:
            continue
        elif options["shrink_axis_mask"] >> index & 1:
            slices.append(slice(begin[index], begin[index] + 1 or None))
        else:
            first = None if options["begin_mask"] >> index & 1 else begin[index]
            last = None if options["end_mask"] >> index & 1 else end[index]
            slices.append(slice(first, last, step))
    if len(slices) > rank:
        raise cpu.site.fault(f"{len(slices)} slices of {rank} axes")
    cpu.give(cpu.reshaped(_sliced(cpu, x, slices), cpu.shape()))


def _sliced(cpu: Cpu, x: Op, slices: list[slice]) -> Op:
    """The parts of an op along its first axes."""
    ranges = [range(*part.indices(n)) for part, n in zip(slices, x.type.shape)]
    shape = (*map(len, ranges), *x.type.shape[len(ranges) :])
    ends = [r.stop if r.stop >= 0 else -(1 << 62) for r in ranges]
    operands = [[r.start for r in ranges], ends, range(len(ranges)), [r.step for r in ranges]]
    op = cpu.add("Slice", [x, *(cpu.integers(list(values)) for values in operands)], shape, x.type.dtype)
    return Op(op.kind, op.inputs, op.attrs, TensorType(shape, x.type.dtype, x.type.quant), op.name, op.node, cpu=op.cpu,
              sources=op.sources)  # fmt: skip


def _split(cpu: Cpu) -> None:
    even = cpu.site.operator.code == "SPLIT"
    index = 1 if even else 0
    x, count = _moved(cpu, index), len(cpu.site.operator.outputs)
    axis = cpu.site.axis(cpu.site.integers(0 if even else 2)[0], len(x.type.shape))
    at = 0
    for number in range(count):
        size = cpu.shape(number)[axis] if len(cpu.shape(number)) == len(x.type.shape) else 0
        parts = [slice(None)] * axis + [slice(at, at + size)]
        cpu.give(_sliced(cpu, x, parts), number)
        at += size


def _pack(cpu: Cpu) -> None:
    shape = cpu.shape()
    axis = cpu.site.axis(cpu.options["axis"], len(shape))
    thin = (*shape[:axis], 1, *shape[axis + 1 :])
    parts = [cpu.reshaped(_moved(cpu, index), thin) for index in range(len(cpu.site.operator.inputs))]
    cpu.give(cpu.add("Concat", parts, shape, parts[0].type.dtype, axis=axis))


def _unpack(cpu: Cpu) -> None:
    x = _moved(cpu)
    axis = cpu.site.axis(cpu.options["axis"], len(x.type.shape))
    for number in range(len(cpu.site.operator.outputs)):
        part = _sliced(cpu, x, [slice(None)] * axis + [slice(number, number + 1)])
        cpu.give(cpu.reshaped(part, cpu.shape(number)), number)


def _gather(cpu: Cpu) -> None:
    x, where = _moved(cpu), cpu.stored(1)
    if cpu.options["batch_dims"]:
        raise cpu.site.fault("batch axes of GATHER are not supported")
    axis = cpu.site.axis(cpu.options["axis"], len(x.type.shape))
    shape = (*x.type.shape[:axis], *where.type.shape, *x.type.shape[axis + 1 :])
    cpu.give(cpu.add("Gather", [x, where], shape, x.type.dtype, axis=axis))


def _gather_nd(cpu: Cpu) -> None:
    x, where = _moved(cpu), cpu.cast(cpu.stored(1), DType.I64)
    cpu.give(cpu.add("GatherND", [x, where], cpu.shape(), x.type.dtype))


def _tile(cpu: Cpu) -> None:
    x, repeats = _moved(cpu), cpu.site.integers(1)
    cpu.give(cpu.add("Tile", [x, cpu.integers(repeats)], cpu.shape(), x.type.dtype))


def _broadcast_to(cpu: Cpu) -> None:
    cpu.give(cpu.filled(_moved(cpu), cpu.shape()))


def _top_k(cpu: Cpu) -> None:
    x = cpu.stored(0)
    (k,) = cpu.site.integers(1)
    shape = (*x.type.shape[:-1], k)
    types = [TensorType(shape, x.type.dtype, x.type.quant), TensorType(shape, DType.I64)]
    values, where = cpu.results("TopK", [x, cpu.integers([k])], types)
    cpu.give(values, 0)
    cpu.give(where, 1)


def _one_hot(cpu: Cpu) -> None:
    depth = cpu.site.integers(1)
    values = cpu.constant(np.stack([cpu.site.array(3).reshape(()), cpu.site.array(2).reshape(())]))
    cpu.give(cpu.add("OneHot", [cpu.stored(0), cpu.integers(depth), values], cpu.shape(), values.type.dtype,
                     axis=cpu.options["axis"]))  # fmt: skip


def _reverse(cpu: Cpu) -> None:
    x = _moved(cpu)
    axes = {cpu.site.axis(axis, len(x.type.shape)) for axis in cpu.site.integers(1)}
    cpu.give(_sliced(cpu, x, [slice(None, None, -1 if axis in axes else 1) for axis in range(len(x.type.shape))]))


def _space_to_depth(cpu: Cpu) -> None:
    _rearranged(cpu, forward=True)


def _depth_to_space(cpu: Cpu) -> None:
    _rearranged(cpu, forward=False)


def _rearranged(cpu: Cpu, forward: bool) -> None:
    """Seen with six axes, the third and fourth exchanged, seen as an image again."""
    x, b = _moved(cpu), cpu.options["block_size"]
    if len(x.type.shape) != 4 or b < 1 or prod(x.type.shape) != prod(cpu.shape()):
        raise cpu.site.fault(f"blocks of {b} in a tensor of shape {x.type.shape}")
    n, h, w, c = x.type.shape
    apart = cpu.reshaped(x, (n, h // b, b, w // b, b, c) if forward else (n, h, w, b, b, c // b**2))
    cpu.give(cpu.reshaped(_turned(cpu, apart, (0, 1, 3, 2, 4, 5)), cpu.shape()))


def _space_to_batch(cpu: Cpu) -> None:
    """SPACE_TO_BATCH_ND of (x, blocks, pads): places within a block become the outer part of the batch."""
    x, blocks, pads = _moved(cpu), cpu.site.integers(1), cpu.site.array(2)
    axes, shape = len(blocks), x.type.shape
    if not 1 <= axes < len(shape) or min(blocks) < 1 or pads.shape != (axes, 2) or pads.min() < 0:
        raise cpu.site.fault(f"blocks {blocks} and pads of shape {pads.shape} for {shape}")
    around = [[0, 0], *pads.tolist(), *([[0, 0]] * (len(shape) - 1 - axes))]
    wide = tuple(size + before + after for size, (before, after) in zip(shape, around))
    if wide != shape:
        ends = cpu.integers([pad[side] for side in (0, 1) for pad in around])
        zero = cpu.constant(np.array(x.type.zero if x.type.quant is not None else 0, x.type.dtype.numpy_name))
        x = cpu.add("Pad", [x, ends, zero], wide, x.type.dtype, mode="constant")
    if any(size % block for size, block in zip(wide[1:], blocks)):
        raise cpu.site.fault(f"blocks {blocks} in {wide}")
    halves = [part for size, block in zip(wide[1:], blocks) for part in (size // block, block)]
    inner, outer = range(2, 2 * axes + 1, 2), range(1, 2 * axes, 2)
    rest = range(2 * axes + 1, axes + len(shape))
    apart = cpu.reshaped(x, (wide[0], *halves, *wide[1 + axes :]))
    cpu.give(cpu.reshaped(_turned(cpu, apart, (*inner, 0, *outer, *rest)), cpu.shape()))


def _batch_to_space(cpu: Cpu) -> None:
    """BATCH_TO_SPACE_ND of (x, blocks, crops), which undoes SPACE_TO_BATCH_ND."""
    x, blocks, crops = _moved(cpu), cpu.site.integers(1), cpu.site.array(2)
    axes, shape = len(blocks), x.type.shape
    if not 1 <= axes < len(shape) or min(blocks) < 1 or crops.shape != (axes, 2) or shape[0] % prod(blocks):
        raise cpu.site.fault(f"blocks {blocks} and crops of shape {crops.shape} for {shape}")
    batch = shape[0] // prod(blocks)
    apart = cpu.reshaped(x, (*blocks, batch, *shape[1:]))
    pairs = [axis for number in range(axes) for axis in (axes + 1 + number, number)]
    turned = _turned(cpu, apart, (axes, *pairs, *range(2 * axes + 1, axes + len(shape))))
    wide = [size * block for size, block in zip(shape[1:], blocks)]
    whole = cpu.reshaped(turned, (batch, *wide, *shape[1 + axes :]))
    parts = [slice(before, size - after) for size, (before, after) in zip(wide, crops.tolist())]
    cpu.give(_sliced(cpu, whole, [slice(None), *parts]))


def _turned(cpu: Cpu, x: Op, perm: tuple[int, ...]) -> Op:
    turned = tuple(x.type.shape[axis] for axis in perm)
    return cpu.add("Transpose", [x], turned, x.type.dtype, perm=list(perm))


def _embedding_lookup(cpu: Cpu) -> None:
    """EMBEDDING_LOOKUP of (rows, table)."""
    where, x = cpu.stored(0), _moved(cpu, 1)
    cpu.give(cpu.add("Gather", [x, where], (*where.type.shape, *x.type.shape[1:]), x.type.dtype, axis=0))


def _reverse_sequence(cpu: Cpu) -> None:
    x, lengths = _moved(cpu), cpu.cast(cpu.stored(1), DType.I64)
    axes = {"time_axis": cpu.options["seq_dim"], "batch_axis": cpu.options["batch_dim"]}
    if sorted(axes.values()) != [0, 1]:
        raise cpu.site.fault(f"axes {sorted(axes.values())}; ONNX has 0 and 1")
    cpu.give(cpu.add("ReverseSequence", [x, lengths], x.type.shape, x.type.dtype, **axes))


def _scatter_nd(cpu: Cpu) -> None:
    """SCATTER_ND of (places, values, shape): sums where a place comes twice."""
    where, values = cpu.cast(cpu.stored(0), DType.I64), _moved(cpu, 1)
    zeros = cpu.filled(cpu.constant(np.zeros((), values.type.dtype.numpy_name)), cpu.shape())
    cpu.give(cpu.add("ScatterND", [zeros, where, values], cpu.shape(), values.type.dtype, reduction="add"))


def _dequantize(cpu: Cpu) -> None:
    cpu.give(cpu.real(0))


def _quantize(cpu: Cpu) -> None:
    cpu.give(cpu.real(0))


MOVES: dict[str, Handler] = {
    "BATCH_TO_SPACE_ND": _batch_to_space, "BROADCAST_TO": _broadcast_to, "CONCATENATION": _concatenation,
    "DEPTH_TO_SPACE": _depth_to_space, "DEQUANTIZE": _dequantize, "EMBEDDING_LOOKUP": _embedding_lookup,
    "EXPAND_DIMS": _reshape, "GATHER": _gather, "GATHER_ND": _gather_nd, "MIRROR_PAD": _pad, "ONE_HOT": _one_hot,
    "PACK": _pack, "PAD": _pad, "PADV2": _pad, "QUANTIZE": _quantize, "RESHAPE": _reshape,
    "REVERSE_SEQUENCE": _reverse_sequence, "REVERSE_V2": _reverse, "SCATTER_ND": _scatter_nd, "SLICE": _slice,
    "SPACE_TO_BATCH_ND": _space_to_batch, "SPACE_TO_DEPTH": _space_to_depth, "SPLIT": _split, "SPLIT_V": _split,
    "SQUEEZE": _reshape, "STRIDED_SLICE": _strided_slice, "TILE": _tile, "TOPK_V2": _top_k, "TRANSPOSE": _transpose,
    "UNPACK": _unpack,
}  # fmt: skip
