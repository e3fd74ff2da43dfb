"""What callers pass to a model: tensors of many kinds to the arrays that the model takes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from furiosa.isa.errors import did_you_mean
from furiosa.runtime.interface import DataType, Model, TensorDesc

Array = NDArray[Any]

# Anything NumPy can see as an array: an ndarray, a NumPy scalar, or an object with its array interface.
Tensor: TypeAlias = "Array | np.generic | Any"
TensorArray: TypeAlias = "Iterable[Tensor] | Tensor"


def input_arrays(model: Model, inputs: TensorArray) -> list[Array]:
    """The model's inputs, not copied where they are arrays already.

    Raises, in this order: ValueError for a wrong number of tensors, TypeError for a wrong element type or for what is
    no tensor, ValueError for a wrong shape.
    """
    tensors = inputs if type(inputs) is list else _tensors(inputs)
    descs = model.inputs()
    if len(tensors) != len(descs):
        raise ValueError(f"{len(descs)} tensors are expected, but {len(tensors)} tensors are given")
    return [_array(tensor, desc, model) for tensor, desc in zip(tensors, descs)]


def named_arrays(model: Model, inputs: Mapping[str, Tensor]) -> list[Array]:
    """The model's inputs by name. Raises as ``input_arrays``, and ValueError for an unknown or missing name."""
    if not isinstance(inputs, Mapping):
        raise TypeError(f"inputs are given as a mapping of names to arrays, not as {type(inputs).__name__}")
    names = [desc.name for desc in model.inputs()]
    for name in inputs:
        if name not in names:
            raise ValueError(f"the model has no input `{name}`: {_known('inputs', name, names)}")
    if missing := [name for name in names if name not in inputs]:
        raise ValueError(f"no tensor is given for the inputs {_list(missing)}")
    return [_array(inputs[desc.name or ""], desc, model) for desc in model.inputs()]


def output_indices(model: Model, outputs: Sequence[str]) -> list[int]:
    """Where the named outputs stand in the model. Raises TypeError for no list of names, ValueError for a name."""
    if isinstance(outputs, str | bytes) or not isinstance(outputs, Iterable):
        raise TypeError(f"outputs are given as a list of names, not as {type(outputs).__name__}")
    names = [desc.name for desc in model.outputs()]
    for name in outputs:
        if name not in names:
            raise ValueError(f"the model has no output `{name}`: {_known('outputs', name, names)}")
    return [names.index(name) for name in outputs]


def _known(what: str, name: str, names: Sequence[str | None]) -> str:
    near = did_you_mean(name, [each for each in names if each])
    return near or f"its {what} are {_list(names)}"


def is_array(value: object) -> bool:
    """Whether NumPy sees an array in it without looking at elements: it is one, or has the array interface."""
    return hasattr(value, "__array__") or hasattr(value, "__array_interface__")


def _tensors(inputs: TensorArray) -> list[Tensor]:
    if is_array(inputs) or np.isscalar(inputs):
        return [inputs]
    if not isinstance(inputs, Iterable) or isinstance(inputs, Mapping):
        raise TypeError(f"inputs are given as arrays, not as {type(inputs).__name__}")
    return list(inputs)


def _array(tensor: Any, desc: TensorDesc, model: Model) -> Any:
    if desc.dtype is DataType.ANY:  # a sequence, an optional ...: ONNX Runtime checks it
        return tensor
    array = np.asarray(tensor)
    if array.dtype == desc.dtype.numpy_ and array.shape == desc.shape:
        return array
    dtype = desc.numpy_dtype
    name = f" for `{desc.name}`" if desc.name and model.input_num > 1 else ""
    message = f"expected {desc.shape} ({dtype}) but got {array.shape} ({array.dtype}){name}"
    raise (TypeError if array.dtype != dtype else ValueError)(message)


def _list(names: Sequence[str | None]) -> str:
    return ", ".join(f"`{name}`" for name in names)
