"""A model being imported: the op of each tensor in both orders of its axes, and one operator with what it needs.

An image of four axes is channels-first in a graph, and channels-last in TFLite. So a tensor of four axes has up to two
ops: ``first`` for operators that work on images, ``given`` with TFLite's own order. They are transpositions of each
other and made when they are asked for; the NPU's layout makes nearly all of them views.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from furiosa.compiler.frontend.tflite import window
from furiosa.compiler.frontend.tflite.model import UNKNOWN_AXIS, Model, Operator, Tensor
from furiosa.compiler.frontend.tflite.window import Pads, Two
from furiosa.compiler.graph import Array, Attrs, Op, Quant, TensorType
from furiosa.compiler.ops import OPS
from furiosa.compiler.ops.movement import Transpose
from furiosa.compiler.ops.table import Refusal, integer_range, refuse
from furiosa.isa.dtypes import DType
from furiosa.isa.errors import ModelError, UnsupportedError

TO_FIRST = (0, 3, 1, 2)
TO_GIVEN = (0, 2, 3, 1)
_NAMES = {dtype.numpy_name: dtype for dtype in DType}
QUANTIZE = "quantize the whole model to int8"

MoveFloat = Callable[[Op, tuple[int, ...], str], Op]
"""Transposes a tensor that the NPU does not hold."""


def ordered(shape: tuple[int, ...], perm: tuple[int, ...]) -> tuple[int, ...]:
    """A shape in another order of its axes; only those of four axes have one."""
    return tuple(shape[axis] for axis in perm) if len(shape) == 4 else shape


@dataclass
class Importer:
    """The ops of the tensors so far; ``batch_size`` multiplies the first axis of every tensor that is computed.

    ``completed`` are the shapes of tensors to which the file gives none, though they are no scalars.
    """

    model: Model
    where: str
    batch_size: int
    move_float: MoveFloat
    first: dict[int, Op] = field(default_factory=dict)
    given: dict[int, Op] = field(default_factory=dict)
    completed: dict[int, tuple[int, ...]] = field(default_factory=dict)

    def shape(self, index: int) -> tuple[int, ...]:
        """A tensor's shape in TFLite's order."""
        tensor = self.model.tensors[index]
        if index in self.completed:
            return self.completed[index]
        if tensor.data is not None or not tensor.shape:
            return tensor.shape
        return (tensor.shape[0] * self.batch_size, *tensor.shape[1:])

    def type_of(self, index: int) -> TensorType:
        """A tensor's type in TFLite's order. Raises UnsupportedError for elements that no ENF holds."""
        tensor = self.model.tensors[index]
        if tensor.dtype not in _NAMES or tensor.dtype == "str":
            raise UnsupportedError(f"tensor `{tensor.name}` has elements of type {tensor.dtype}", where=self.where,
                                   hint="convert the model to int8 or float32")  # fmt: skip
        dtype = _NAMES[tensor.dtype]
        return TensorType(self.shape(index), dtype, tensor.quant if dtype.quantized else None)

    def value(self, index: int, images: bool) -> Op:
        """The op of a tensor, channels-first with ``images`` when it has four axes."""
        wanted, other = (self.first, self.given) if images else (self.given, self.first)
        if index not in wanted:
            if index not in other:
                self.given[index] = self._constant(index)
                return self.value(index, images)
            op = other[index]
            if len(op.type.shape) != 4:
                wanted[index] = op
            elif op.kind == "const":
                wanted[index] = self._turned_constant(op, TO_FIRST if images else TO_GIVEN)
            else:
                suffix, perm = ("nchw", TO_FIRST) if images else ("nhwc", TO_GIVEN)
                wanted[index] = self.transposed(op, perm, f"{self.model.tensors[index].name}:{suffix}")
        return wanted[index]

    def _constant(self, index: int) -> Op:
        tensor = self.model.tensors[index]
        if tensor.data is None:
            raise ModelError(f"tensor `{tensor.name}` has no value", where=self.where,
                             hint="convert the model again")  # fmt: skip
        return Op("const", (), Attrs(), self.type_of(index), tensor.name, data=tensor.data)

    def _turned_constant(self, op: Op, perm: tuple[int, ...]) -> Op:
        data = op.value.transpose(perm)
        return replace(op, data=data, type=replace(op.type, shape=data.shape), name=f"{op.name}:turned")

    def transposed(self, op: Op, perm: tuple[int, ...], name: str) -> Op:
        """The op with its axes permuted."""
        if not op.type.dtype.quantized or op.type.quant is None:
            return self.move_float(op, perm, name)
        type_ = replace(op.type, shape=tuple(op.type.shape[axis] for axis in perm))
        return Op("transpose", (op,), Transpose(perm), type_, name, op.node, sources=((name, "TRANSPOSE"),))


@dataclass
class Site:
    """One operator of the model. Methods raise Refusal where the NPU cannot do it, ModelError where nobody can."""

    importer: Importer
    operator: Operator

    @property
    def options(self) -> dict[str, Any]:
        return self.operator.options

    def tensor(self, index: int) -> Tensor | None:
        """An operand as the file has it; None when it is left out."""
        number = self.operator.inputs[index] if index < len(self.operator.inputs) else -1
        return None if number == -1 else self.importer.model.tensors[number]

    def operand(self, index: int, images: bool = True) -> Op:
        """The op of an operand. Raises ModelError when it is left out."""
        if index >= len(self.operator.inputs) or self.operator.inputs[index] == -1:
            raise self.fault(f"operand {index} is missing")
        return self.importer.value(self.operator.inputs[index], images)

    def x(self, index: int = 0, images: bool = True) -> Op:
        """An operand on the NPU: int8 or uint8 with one scale."""
        op = self.operand(index, images)
        self._quantized(op.type)
        return op

    def array(self, index: int) -> Array:
        """The value of a constant operand."""
        tensor = self.tensor(index)
        if tensor is None:
            raise self.fault(f"operand {index} is missing")
        if tensor.data is None:
            raise refuse("computed_operand", "this operand must be a constant", f"`{tensor.name}` is computed",
                         "a constant", "store the operand in the model")  # fmt: skip
        return tensor.data

    def integers(self, index: int) -> tuple[int, ...]:
        """The value of a constant operand that is a list of integers."""
        value = self.array(index)
        if value.dtype.kind not in "iu" or value.size > 1 << 16:
            raise self.fault(f"operand {index} is no list of integers")
        return tuple(int(v) for v in value.reshape(-1))

    def axis(self, axis: int, rank: int) -> int:
        """An axis counted from the first. Raises ModelError when there is none."""
        if not -rank <= axis < rank:
            raise self.fault(f"axis {axis} of {rank} axes")
        return axis % rank

    def output(self, index: int = 0) -> int:
        """The number of a result's tensor."""
        if index >= len(self.operator.outputs):
            raise self.fault(f"result {index} is missing")
        return self.operator.outputs[index]

    def result(self, index: int = 0) -> TensorType:
        """The type of a result in TFLite's order."""
        return self.importer.type_of(self.output(index))

    def npu_result(self, index: int = 0) -> TensorType:
        """The type of a result on the NPU, in TFLite's order."""
        type_ = self.result(index)
        self._quantized(type_)
        return type_

    def _quantized(self, type_: TensorType) -> None:
        quant = type_.quant
        if not type_.dtype.quantized or quant is None or quant.axis is not None:
            raise refuse("not_quantized", "tensors must be int8 or uint8 with one scale", type_.dtype.numpy_name,
                         "int8 or uint8", QUANTIZE)  # fmt: skip
        low, high = integer_range(type_.dtype)
        if not quant.scale[0] > 0 or not low <= quant.zero_point[0] <= high:
            raise self.fault(f"a tensor has scale {quant.scale[0]} and zero point {quant.zero_point[0]}")

    def name(self, index: int = 0) -> str:
        """The name of a result."""
        return self.importer.model.tensors[self.output(index)].name

    def clamp(self, index: int = 0) -> tuple[int, int]:
        """The integers that the operator's activation allows in its result."""
        return clamped(self.options.get("fused_activation_function", 0), self.npu_result(index))

    def op(self, kind: str, inputs: tuple[Op, ...], attrs: Attrs, type_: TensorType, suffix: str = "") -> Op:
        """An op of the operator table. Raises Refusal when it breaks a rule of its row."""
        node = self.operator
        op = Op(kind, inputs, attrs, type_, self.name() + suffix, node.name, sources=((node.name, node.code),))
        reason = OPS[kind].why_not(op)
        if reason is not None:
            raise Refusal(reason)
        return op

    def give(self, op: Op, index: int = 0, images: bool = True) -> None:
        """Settle a result. Raises ModelError when the op has another shape than the file says."""
        number = self.output(index)
        given = self.importer.shape(number)
        shape = ordered(given, TO_FIRST) if images else given
        if op.type.shape != shape:
            raise self.fault(f"result `{self.name(index)}` has shape {op.type.shape}, the file says {shape}")
        (self.importer.first if images else self.importer.given)[number] = op

    def complete(self, index: int, shape: tuple[int, ...]) -> None:
        """Say the shape of a result to which the file gives none."""
        number = self.output(index)
        if not self.importer.model.tensors[number].shape:
            self.importer.completed[number] = shape

    def pair(self, name: str) -> Two:
        """An option for rows and columns, at least 1 each."""
        try:
            return window.pair(self.options, name)
        except window.WindowError as error:
            raise self.fault(str(error)) from None

    def padding(self, size: tuple[int, ...], kernel: Two, strides: Two, dilations: Two) -> tuple[Pads, Two]:
        """The pads of an image of ``size``, and the size of the result."""
        try:
            return window.padding(self.options, size, kernel, strides, dilations)
        except window.WindowError as error:
            raise self.fault(str(error)) from None

    def fault(self, why: str) -> ModelError:
        """The error for an operator that is not consistent."""
        batch, hint = self.importer.batch_size, "convert the model again"
        if batch != 1:
            hint = f"a batch size of {batch} may not suit it; try 1"
        elif self.importer.model.open:
            hint = UNKNOWN_AXIS
        return ModelError(f"operator `{self.operator.name}` is not consistent: {why}", where=self.importer.where,
                          hint=hint)  # fmt: skip


def clamped(activation: int, type_: TensorType) -> tuple[int, int]:
    """The integers in the bounds of a fused activation. Raises Refusal for one that has no bounds."""
    low, high = integer_range(type_.dtype)
    if activation not in _BOUNDS:
        raise refuse("activation", "the fused activation must be a ReLU", activation, "RELU, RELU_N1_TO_1, RELU6",
                     "train with a ReLU, or keep the activation an operator of its own")  # fmt: skip
    least, most = (None if bound is None else _stored(bound, type_) for bound in _BOUNDS[activation])
    lo = low if least is None else min(max(low, least), high)
    return lo, high if most is None else max(min(high, most), lo)


_BOUNDS: dict[int, tuple[float | None, float | None]] = {
    0: (None, None), 1: (0.0, None), 2: (-1.0, 1.0), 3: (0.0, 6.0),
}  # fmt: skip
"""By number of the activation."""


def _stored(bound: float, type_: TensorType) -> int:
    with np.errstate(all="ignore"):
        steps = np.rint(np.float32(bound) / np.float32(type_.scale))
    return int(np.clip(steps, -1024, 1024)) + type_.zero


def scaled(quant: Quant, zero: int = 0) -> Quant:
    """The same scales with the zero point 0 everywhere."""
    return replace(quant, zero_point=(zero,) * len(quant.scale))
