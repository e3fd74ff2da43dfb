"""The static shapes of a model's inputs: what the file says, what the caller says, and a batch of one."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from operator import index

from onnx import TensorShapeProto, ValueInfoProto

from furiosa.isa.errors import did_you_mean
from furiosa.optimizer.failures import ArgumentError, ArgumentTypeError, DynamicShapeError

Shapes = Mapping[str, Sequence[int | None]]

_logger = logging.getLogger(__name__)


def static_inputs(inputs: Sequence[ValueInfoProto], shapes: Shapes | None) -> list[ValueInfoProto]:
    """The inputs with all axes known. ``shapes`` gives axes by input; None there leaves an axis to the model.

    A symbol that the caller gives a value for in one input has it in all. A first axis that is still symbolic is taken
    for the batch and becomes 1.

    Raises ArgumentError for shapes that do not fit the model, DynamicShapeError when an axis remains unknown.
    """
    given = _checked(shapes or {}, {value.name for value in inputs})
    made = [_with_shape(value, given.get(value.name)) for value in inputs]
    symbols = symbol_values(inputs, made)
    for value in made:
        _settle(value, symbols)
    return made


def symbol_values(inputs: Sequence[ValueInfoProto], fixed: Sequence[ValueInfoProto]) -> dict[str, int]:
    """The values that ``fixed`` gives to the symbols in the shapes of ``inputs``."""
    axes = [pair for before, after in zip(inputs, fixed) for pair in zip(_axes(before), _axes(after))]
    return {before.dim_param: after.dim_value for before, after in axes if before.dim_param and after.dim_value > 0}


def _checked(shapes: Shapes, names: set[str]) -> Shapes:
    if not isinstance(shapes, Mapping):
        raise ArgumentTypeError(
            f"input_shapes must map names of inputs to shapes, not be a `{type(shapes).__name__}`",
            hint='write input_shapes={"images": [1, 3, 640, 640]}',
        )
    for name, shape in shapes.items():
        if name not in names:
            known = ", ".join(f"`{name}`" for name in sorted(names)) or "none"
            raise ArgumentError(f"input_shapes names `{name}`, which is no input of the model",
                                hint=did_you_mean(name, names) or f"its inputs: {known}")  # fmt: skip
        if not _is_shape(shape):
            raise ArgumentError(f"input_shapes gives {shape!r} for input `{name}`",
                                hint="give a list with a positive integer, or None, for each axis")  # fmt: skip
    return shapes


def _is_shape(shape: object) -> bool:
    if isinstance(shape, str) or not isinstance(shape, Sequence):
        return False
    return all(axis is None or (hasattr(axis, "__index__") and index(axis) > 0) for axis in shape)


def _axes(value: ValueInfoProto) -> list[TensorShapeProto.Dimension]:
    return list(value.type.tensor_type.shape.dim)


def _text(value: ValueInfoProto) -> str:
    axes = [str(axis.dim_value) if axis.dim_value > 0 else axis.dim_param or "?" for axis in _axes(value)]
    return f"[{', '.join(axes)}]"


def _with_shape(value: ValueInfoProto, shape: Sequence[int | None] | None) -> ValueInfoProto:
    new = ValueInfoProto()
    new.CopyFrom(value)
    if shape is None or not new.type.HasField("tensor_type"):
        return new
    if not new.type.tensor_type.HasField("shape"):
        new.type.tensor_type.shape.dim.extend(TensorShapeProto.Dimension() for _ in shape)
    axes = _axes(new)
    fixed = [(axis.dim_value, size) for axis, size in zip(axes, shape) if axis.dim_value > 0]
    if len(axes) != len(shape) or any(size not in (None, known) for known, size in fixed):
        raise ArgumentError(
            f"input_shapes gives {list(shape)} for input `{value.name}`, which is {_text(value)} in the model",
            hint="only symbolic axes can be chosen; export the model again for another shape",
        )
    for axis, size in zip(axes, shape):
        if size is not None:
            axis.dim_value = size
    return new


def _settle(value: ValueInfoProto, symbols: Mapping[str, int]) -> None:
    """Give a value to every axis that has none yet."""
    tensor = value.type.tensor_type
    unknown = [(place, axis) for place, axis in enumerate(_axes(value)) if axis.dim_value <= 0]
    shapeless = value.type.HasField("tensor_type") and not tensor.HasField("shape")
    if shapeless or any(place > 0 and axis.dim_param not in symbols for place, axis in unknown):
        raise DynamicShapeError(
            f'the static shape of input "{value.name}" must be given',
            where=f"input `{value.name}`" + ("" if shapeless else f", of shape {_text(value)}"),
            hint=f'call optimize_model(model, input_shapes={{"{value.name}": [...]}}) with a number for every axis',
        )
    for place, axis in unknown:
        axis.dim_value = symbols.get(axis.dim_param, 1)
        _logger.info("axis %d of input `%s` is dynamic: it is set to %d", place, value.name, axis.dim_value)
