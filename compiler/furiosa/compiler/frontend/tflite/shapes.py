"""Shapes of a model of any batch that its operators compute: in the file, extents that it does not know are 1.

Converters write a product on the last axis of a sequence as a RESHAPE to rows, FULLY_CONNECTED, and a RESHAPE back. How
many rows there are follows from the batch, so the model computes it. A dilated convolution of a sequence has more
batches inside, one for each place in a block.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import prod

import numpy as np

from furiosa.compiler.frontend.tflite.model import MOST_ELEMENTS, Model, Operator
from furiosa.compiler.graph import Array

Shape = tuple[int, ...]
Shapes = dict[int, Shape]
Values = dict[int, Array]
"""Of tensors by number; values are those of short lists of integers."""
_MOST = 64
_INCONSISTENT = (ValueError, TypeError, LookupError, ArithmeticError)


def settled(model: Model) -> Model:
    """The model with the shapes that its operators compute of those of its inputs, where it is of any batch."""
    if not model.open:
        return model
    shapes = {index: tensor.shape for index, tensor in enumerate(model.tensors)}
    values = {index: data for index, tensor in enumerate(model.tensors) if (data := _list(tensor.data)) is not None}
    for operator in model.operators:
        try:
            _settle(operator, shapes, values)
        except _INCONSISTENT:  # of a damaged file; whoever imports the operator says so
            continue
    tensors = (replace(tensor, shape=shapes[index]) for index, tensor in enumerate(model.tensors))
    return replace(model, tensors=tuple(tensors))


def _list(data: Array | None) -> Array | None:
    suits = data is not None and data.dtype in (np.int32, np.int64) and data.size <= _MOST
    return data.astype(np.int64) if data is not None and suits else None


def _settle(operator: Operator, shapes: Shapes, values: Values) -> None:
    """The value of an operator's result when it is computed of shapes, or the result's shape."""
    result = operator.outputs[0]
    if operator.code == "SHAPE":
        values[result] = np.array(shapes[operator.inputs[0]], np.int64)
    elif operator.code in _LISTS:
        values[result] = _LISTS[operator.code](operator, [values[index] for index in operator.inputs])
    elif operator.code in _SHAPES:
        shape = _SHAPES[operator.code](operator, shapes, values)
        if min(shape, default=1) > 0 and prod(shape) < MOST_ELEMENTS:
            shapes[result] = shape


def _reshaped(operator: Operator, shapes: Shapes, values: Values) -> Shape:
    """The wanted shape, in which -1 stands for what is left."""
    size, wanted = prod(shapes[operator.inputs[0]]), values[operator.inputs[1]].reshape(-1).tolist()
    rest = prod(extent for extent in wanted if extent != -1)
    found = tuple(size // rest if extent == -1 else extent for extent in wanted)
    return found if prod(found) == size else shapes[operator.outputs[0]]


def _expanded(operator: Operator, shapes: Shapes, values: Values) -> Shape:
    shape = shapes[operator.inputs[0]]
    axis = int(values[operator.inputs[1]].reshape(-1)[0]) % (len(shape) + 1)
    return (*shape[:axis], 1, *shape[axis:])


def _rows(operator: Operator, shapes: Shapes, values: Values) -> Shape:
    """Of FULLY_CONNECTED."""
    outputs, inputs = shapes[operator.inputs[1]]
    kept = operator.options["keep_num_dims"]
    return shapes[operator.outputs[0]] if kept else (prod(shapes[operator.inputs[0]]) // inputs, outputs)


def _in_blocks(operator: Operator, shapes: Shapes, values: Values) -> Shape:
    images = shapes[operator.inputs[0]][0] * int(values[operator.inputs[1]].prod())
    return (images, *shapes[operator.outputs[0]][1:])


def _from_blocks(operator: Operator, shapes: Shapes, values: Values) -> Shape:
    images = shapes[operator.inputs[0]][0] // int(values[operator.inputs[1]].prod())
    return (images, *shapes[operator.outputs[0]][1:])


def _convolved(operator: Operator, shapes: Shapes, values: Values) -> Shape:
    return (shapes[operator.inputs[0]][0], *shapes[operator.outputs[0]][1:])


def _gathered(operator: Operator, operands: list[Array]) -> Array:
    x, where = operands
    return np.asarray(x[where])


def _product(operator: Operator, operands: list[Array]) -> Array:
    return np.asarray(operands[0].prod(keepdims=bool(operator.options["keep_dims"])))


def _joined(operator: Operator, operands: list[Array]) -> Array:
    return np.concatenate(operands)


def _packed(operator: Operator, operands: list[Array]) -> Array:
    return np.stack(operands)


def _sliced(operator: Operator, operands: list[Array]) -> Array:
    """Of a list, from the begin to the end; a mask says that one of them is left out, or that one element is taken."""
    x, (begin,), (end,), (step,) = operands
    if operator.options["shrink_axis_mask"]:
        return np.asarray(x[begin])
    start = None if operator.options["begin_mask"] else begin
    return np.asarray(x[start : None if operator.options["end_mask"] else end : step])


def _multiplied(operator: Operator, operands: list[Array]) -> Array:
    return np.asarray(operands[0] * operands[1])


_SHAPES: dict[str, Callable[[Operator, Shapes, Values], Shape]] = {
    "BATCH_TO_SPACE_ND": _from_blocks, "CONV_2D": _convolved, "DEPTHWISE_CONV_2D": _convolved,
    "EXPAND_DIMS": _expanded, "FULLY_CONNECTED": _rows, "RESHAPE": _reshaped, "SPACE_TO_BATCH_ND": _in_blocks,
}  # fmt: skip
"""The shape of an operator's result. Raises KeyError where it takes a value that is not known."""
_LISTS: dict[str, Callable[[Operator, list[Array]], Array]] = {
    "CONCATENATION": _joined, "GATHER": _gathered, "MUL": _multiplied, "PACK": _packed, "REDUCE_PROD": _product,
    "STRIDED_SLICE": _sliced,
}  # fmt: skip
"""Operators on lists of integers, by what they give."""
