"""Run an LDFG op by op, untiled, with the normative arithmetic: what every later layer must reproduce."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from furiosa.compiler.borders import Raw
from furiosa.compiler.cdfg import cluster
from furiosa.compiler.cpu_model import to_onnx
from furiosa.compiler.graph import Graph, Op
from furiosa.compiler.ops.layout import affine, nchw
from furiosa.isa import arithmetic
from furiosa.isa.arithmetic import Coordinates, Scaling
from furiosa.isa.instructions import BinaryForm, Framework

Array = NDArray[Any]


def evaluate(graph: Graph, inputs: dict[str, Array]) -> list[Array]:
    """The outputs of a lowered graph."""
    values: dict[Op, Array] = {}
    for part in cluster(graph).clusters:
        for op in part.inputs:
            if op.kind == "input":
                values[op] = inputs[op.name]
        if part.device == "cpu":
            values.update(_cpu(part, values))
        else:
            for op in part.ops:
                values[op] = _op(op, [values[x] for x in op.inputs if x.kind != "absent"])
    return [values[op] if op in values else inputs[op.name] for op in graph.outputs]


def _cpu(part: Any, values: dict[Op, Array]) -> dict[Op, Array]:
    import onnxruntime as ort

    session = ort.InferenceSession(to_onnx(part), providers=["CPUExecutionProvider"])
    feeds = {op.name: values[op] for op in part.inputs}
    return dict(zip(part.outputs, session.run([op.name for op in part.outputs], feeds)))


def _scaling(op: Op) -> Scaling:
    return Scaling(op.type.scale, op.type.zero)


def _op(op: Op, x: list[Array]) -> Array:
    a = op.attrs
    match op.kind:
        case "const":
            return op.value
        case "quantize":
            return arithmetic.quantize(x[0], *affine(op.type))
        case "dequantize":
            return arithmetic.dequantize(x[0], op.inputs[0].type.scale, op.inputs[0].type.zero)
        case "lower" | "unlower" if isinstance(a, Raw):
            return x[0].reshape(op.type.shape)
        case "widen":
            return np.pad(x[0], [(0, 0)] * 3 + [(0, op.type.shape[3] - x[0].shape[3])])
        case "narrow":
            return x[0][..., : op.type.shape[3]]
        case "lower":
            return x[0].reshape(nchw(x[0].shape)).transpose(0, 2, 3, 1)
        case "unlower":
            return x[0].transpose(0, 3, 1, 2).reshape(op.type.shape)
        case "npu.conv2d" | "npu.depthwise_conv2d":
            w = x[1] if op.kind == "npu.conv2d" else x[1].transpose(2, 0, 1)[..., None]
            return arithmetic.conv2d(
                x[0],
                w,
                x[2],
                x[3],
                op.inputs[0].type.zero,
                op.type.zero,
                op.type.dtype.numpy_name,
                a.strides,
                a.dilations,
                a.pads,
                a.groups,
                a.lo,
                a.hi,
            )
        case "npu.max_pool2d":
            return arithmetic.max_pool(x[0], a.kernel, strides=a.strides, pads=a.pads, dilations=a.dilations)
        case "npu.table":
            return arithmetic.lookup(x[0], x[1] if len(x[1]) > 1 else x[1][0], op.type.dtype.numpy_name)
        case "npu.concat":
            return np.concatenate(x, a.axis)
        case "npu.transpose":
            return x[0].transpose(a.perm)
        case "npu.view":
            return np.ascontiguousarray(x[0]).reshape(op.type.shape)
        case "npu.softmax":
            return arithmetic.softmax(x[0], op.inputs[0].type.scale, *affine(op.type)[:2])
        case "npu.matmul":
            to = op.type.dtype.numpy_name
            zeros = (op.inputs[0].type.zero, op.inputs[1].type.zero, op.type.zero)
            return arithmetic.product(x[0], x[1], a.multiplier, *zeros, to, a.lo, a.hi)
        case "npu.reduce_l2" | "npu.l2_normalize":
            formula = getattr(arithmetic, op.kind.removeprefix("npu."))
            return formula(x[0], _scaling(op.inputs[0]), _scaling(op), op.type.dtype.numpy_name)
        case "npu.global_average_pool":
            return arithmetic.global_average_pool(x[0], _scaling(op.inputs[0]), _scaling(op))
        case "npu.interpolate":
            return _interpolate(op, x[0])
        case "npu.average_pool2d" if x[0].dtype != op.type.dtype.numpy_name:
            real = arithmetic.dequantize(x[0], op.inputs[0].type.scale, op.inputs[0].type.zero)
            mean = arithmetic.float_average_pool(
                real, a.kernel, strides=a.strides, pads=a.pads, count_include_pad=a.include_pad
            )
            return arithmetic.quantize(mean, *affine(op.type))
        case "npu.average_pool2d":
            return arithmetic.average_pool(
                x[0],
                _scaling(op.inputs[0]),
                _scaling(op),
                a.kernel,
                strides=a.strides,
                pads=a.pads,
                count_include_pad=a.include_pad,
            )
        case "npu.pad":
            fill = np.uint8(a.value).view(x[0].dtype)
            return np.pad(x[0], list(zip(a.before, a.after)), constant_values=fill)
        case "npu.expand":
            return np.broadcast_to(x[0], op.type.shape)
        case "npu.slice":
            return x[0][tuple(slice(s, None, t) for s, t in zip(a.start, a.steps))][tuple(map(slice, op.type.shape))]
        case "npu.add" | "npu.sub" | "npu.mul":
            return _binary(op, x)
        case "npu.add_average_pool2d":
            p, q = (arithmetic.dequantize(v, i.type.scale, i.type.zero) for v, i in zip(x, op.inputs))
            mean = arithmetic.float_average_pool(
                np.maximum(p + q, np.float32(a.floor)),
                a.kernel,
                strides=a.strides,
                pads=a.pads,
                count_include_pad=a.include_pad,
            )
            return arithmetic.quantize(mean, *affine(op.type))
    raise AssertionError(op.kind)


def _interpolate(op: Op, x: Array) -> Array:
    rows, columns = (
        arithmetic.neighbours(Coordinates(*at), 0, op.type.shape[i], x.shape[i])
        for i, at in ((1, op.attrs.rows), (2, op.attrs.columns))
    )
    if op.attrs.framework is Framework.TFLITE:
        return arithmetic.lite_interpolate(x, rows, columns)
    return arithmetic.interpolate(x, rows, columns, _scaling(op.inputs[0]), _scaling(op), op.type.dtype.numpy_name)


def _binary(op: Op, x: list[Array]) -> Array:
    name = op.kind.removeprefix("npu.")
    scalings = [_scaling(v) for v in (*op.inputs, op)]
    if op.attrs.form is BinaryForm.SCALED:
        return getattr(arithmetic, name)(*x, *scalings, lo=op.attrs.lo, hi=op.attrs.hi)
    dtype = op.type.dtype.numpy_name
    return getattr(arithmetic, f"float_{name}")(*x, *scalings, dtype, lo=op.attrs.lo, hi=op.attrs.hi)
