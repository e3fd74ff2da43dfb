"""TFLite operators as ONNX nodes for ONNX Runtime, on real numbers or on stored integers.

A quantized tensor is dequantized before such a node and its result quantized after it, except where the node only moves
elements. Nodes see TFLite's own order of axes; those of images are given channels-first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from onnx import helper

from furiosa.compiler.frontend.node import ELEMENT, Affine, OnnxNode, Project
from furiosa.compiler.frontend.tflite.model import Tensor
from furiosa.compiler.frontend.tflite.site import TO_FIRST, Site, ordered
from furiosa.compiler.graph import Attrs, Op, Quant, Reason, TensorType, const, real_values
from furiosa.isa.dtypes import DType
from furiosa.isa.errors import UnsupportedError

OPSET = 17
_INTEGERS = (DType.I8, DType.U8, DType.I16, DType.I32, DType.I64)
Attributes = Mapping[str, Any]


def transposed(op: Op, perm: tuple[int, ...], name: str) -> Op:
    """A tensor with its axes permuted, on the CPU."""
    type_ = replace(op.type, shape=tuple(op.type.shape[axis] for axis in perm))
    return _node("Transpose", (op,), {"perm": list(perm)}, type_, name, name)


def copy_of(op: Op, name: str) -> Op:
    """The same tensor under another name."""
    return _node("Identity", (op,), {}, TensorType(op.type.shape, op.type.dtype, op.type.quant), name, name)


_MOVED = Reason("not_quantized", "only int8 and uint8 tensors are moved on the NPU", "another type", "int8 or uint8",
                "quantize the whole model, so that the tensor is int8 here")  # fmt: skip


def _node(
    op_type: str, inputs: Sequence[Op], attributes: Attributes, type_: TensorType, name: str, node: str,
    reason: Reason = _MOVED, sources: tuple[tuple[str, str], ...] = (),
) -> Op:  # fmt: skip
    given = [x.name if x.kind != "absent" else "" for x in inputs]
    proto = helper.make_node(op_type, given, [name], name=node, **attributes)
    message = OnnxNode.of(proto, node, OPSET, 0)
    return Op("onnx", tuple(inputs), message, type_, name, node, cpu=reason, sources=sources)


ABSENT = Op("absent", (), Attrs(), TensorType((0,), DType.F32), "")


class Cpu:
    """An operator that becomes ONNX nodes. ``real`` gives operands, ``add`` makes nodes, ``give`` settles results."""

    def __init__(self, site: Site, reason: Reason) -> None:
        self.site, self.reason = site, reason
        self.options = site.options
        self._count = 0

    def _name(self, what: str) -> str:
        self._count += 1
        return f"{self.site.name()}:{what}{self._count}"

    def real(self, index: int, images: bool = False) -> Op:
        """An operand as real numbers, float32 of float16; as it is when it has no quantization."""
        op, tensor = self.site.operand(index, images), self.site.tensor(index)
        quant = None if tensor is None else tensor.quant
        if op.type.dtype is DType.F16:
            return self.cast(op, DType.F32)
        if quant is None or op.type.dtype not in _INTEGERS:
            return op
        if tensor is not None and tensor.data is not None:
            value = real_values(replace(op, data=tensor.data, type=TensorType(tensor.shape, op.type.dtype, quant)))
            return self.constant(value.transpose(TO_FIRST) if images and value.ndim == 4 else value)
        if quant.axis is not None:
            raise self.site.fault(f"`{op.name}` has a scale for each channel")
        if op.type.dtype.quantized:
            type_ = TensorType(op.type.shape, DType.F32)
            return Op("dequantize", (op,), Affine(quant), type_, self._name("real"), self.site.operator.name)
        scale, zero = (self.constant(np.float32(v)) for v in (quant.scale[0], quant.zero_point[0]))
        centred = self.add("Sub", [self.cast(op, DType.F32), zero], op.type.shape)
        return self.add("Mul", [centred, scale], op.type.shape)

    def stored(self, index: int, images: bool = False) -> Op:
        """An operand as it is stored."""
        return self.site.operand(index, images)

    def cast(self, op: Op, dtype: DType) -> Op:
        """The op in another element type."""
        if op.kind == "const":
            return self.constant(op.value.astype(dtype.numpy_name))
        return self.add("Cast", [op], op.type.shape, dtype, to=ELEMENT[dtype])

    def constant(self, value: ArrayLike) -> Op:
        """A constant."""
        return const(self._name("const"), np.array(value, order="C"), node=self.site.operator.name)

    def integers(self, values: Sequence[int]) -> Op:
        """A constant list of int64."""
        return self.constant(np.array(values, np.int64))

    def add(self, op_type: str, inputs: Sequence[Op], shape: tuple[int, ...], dtype: DType = DType.F32,
            **attributes: Any) -> Op:  # fmt: skip
        """A node and its result, of this shape and type."""
        name, node = self._name(op_type.lower()), self.site.operator
        return _node(op_type, inputs, attributes, TensorType(shape, dtype), name, name, self.reason,
                     ((node.name, node.code),))  # fmt: skip

    def results(self, op_type: str, inputs: Sequence[Op], types: Sequence[TensorType], **attributes: Any) -> list[Op]:
        """A node with several results."""
        names = [self._name("result") for _ in types]
        node = self._name(op_type.lower())
        given = [x.name if x.kind != "absent" else "" for x in inputs]
        proto = helper.make_node(op_type, given, names, name=node, **attributes)
        source = ((self.site.operator.name, self.site.operator.code),)
        op = Op("onnx", tuple(inputs), OnnxNode.of(proto, node, OPSET, 0), types[0], f"{node}:outputs", node,
                cpu=self.reason, sources=source)  # fmt: skip
        return [Op("project", (op,), Project(i), t, n, node) for i, (t, n) in enumerate(zip(types, names))]

    def activated(self, op: Op) -> Op:
        """The fused activation of the operator."""
        activation = self.options.get("fused_activation_function", 0)
        shape, number = op.type.shape, np.float32
        if activation == 1:
            return self.add("Relu", [op], shape)
        if activation in (2, 3):
            low, high = ((-1, 1), (0, 6))[activation - 2]
            return self.add("Clip", [op, self.constant(number(low)), self.constant(number(high))], shape)
        if activation == 4:
            return self.add("Tanh", [op], shape)
        if activation:
            raise UnsupportedError(f"operator `{self.site.operator.name}` has activation {activation}",
                                   where=self.site.importer.where, hint="replace the activation")  # fmt: skip
        return op

    def give(self, op: Op, index: int = 0, images: bool = False) -> None:
        """Settle a result: quantized as the file says, under the name that it has there."""
        to = self.site.result(index)
        if to.dtype.quantized and to.quant is not None and op.type.dtype is DType.F32:
            self.site.npu_result(index)
            type_ = replace(to, shape=op.type.shape)
            op = Op("quantize", (op,), Affine(to.per_tensor(), by_product=True), type_, "", self.site.operator.name)
        elif op.type.dtype is DType.F32 and to.dtype in _INTEGERS and self._tensor(index).quant is not None:
            op = self._integers_of(op, to.dtype, index)
        elif op.type.dtype is not to.dtype:
            op = self.cast(op, to.dtype)
        elif to.quant is not None:
            op = self.typed(op, to.quant)
        self.site.give(self._named(op, index), index, images)

    def _tensor(self, index: int) -> Tensor:
        return self.site.importer.model.tensors[self.site.output(index)]

    def _integers_of(self, op: Op, dtype: DType, index: int) -> Op:
        """Real numbers quantized to integers of more than 8 bits."""
        quant, limits = self._tensor(index).quant, np.iinfo(dtype.numpy_name)
        if quant is None or quant.axis is not None or not quant.scale[0] > 0:
            raise self.site.fault(f"result `{self.site.name(index)}` has no scale")
        steps = self.add("Div", [op, self.constant(np.float32(quant.scale[0]))], op.type.shape)
        whole = self.add("Round", [steps], op.type.shape)
        stored = self.add("Add", [whole, self.constant(np.float32(quant.zero_point[0]))], op.type.shape)
        bounds = [self.constant(np.float32(bound)) for bound in (limits.min, limits.max)]
        return self.cast(self.add("Clip", [stored, *bounds], op.type.shape), dtype)

    def _named(self, op: Op, index: int) -> Op:
        name = self.site.name(index)
        if op.kind in ("const", "input", "absent"):
            return copy_of(op, name)
        if op.kind == "project":
            return replace(op, name=name)
        node = self.site.operator.name
        sources = ((node, self.site.operator.code),)
        return replace(op, name=name, node=f"{node}:{index}" if index else node, sources=sources)

    def reshaped(self, op: Op, shape: tuple[int, ...]) -> Op:
        """The op with another shape."""
        if prod(shape) != prod(op.type.shape):
            raise self.site.fault(f"{op.type.shape} becomes {shape}")
        if op.type.shape == shape:
            return op
        reshaped = self.add("Reshape", [op, self.integers(shape)], shape, op.type.dtype)
        return replace(reshaped, type=replace(op.type, shape=shape))

    def typed(self, op: Op, quant: Quant | None) -> Op:
        """The op of stored integers with their quantization."""
        return replace(op, type=replace(op.type, quant=quant))

    def filled(self, op: Op, shape: tuple[int, ...]) -> Op:
        """The op repeated to another shape, as broadcasting does."""
        return self.add("Expand", [op, self.integers(shape)], shape, op.type.dtype)

    def shape(self, index: int = 0, images: bool = False) -> tuple[int, ...]:
        """The shape of a result."""
        shape = self.site.importer.shape(self.site.output(index))
        return ordered(shape, TO_FIRST) if images else shape


Handler = Callable[[Cpu], None]
"""Gives the results of one kind of operator."""
