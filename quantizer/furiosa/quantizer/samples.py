"""Samples of calibration data, checked against the inputs of a model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ValueInfoProto

from furiosa.isa.errors import OptionError, UnsupportedError

Array = NDArray[Any]
Feed = dict[str, Array]

_NESTING = "a dataset holds samples, and a sample holds one array for each input: `collect_data([[x]])`"


@dataclass(frozen=True, slots=True)
class Input:
    """An input of the model; None stands for a size, or a shape, that the data decide."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int | None, ...] | None

    @classmethod
    def of(cls, value: ValueInfoProto) -> Input:
        """Raises UnsupportedError for an input that is no tensor."""
        tensor = value.type.tensor_type
        if not value.type.HasField("tensor_type"):
            raise UnsupportedError(f"input `{value.name}` is no tensor", hint="give every input a tensor type")
        shape = tuple(d.dim_value if d.dim_value > 0 else None for d in tensor.shape.dim)
        dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)
        return cls(value.name, np.dtype(dtype), shape if tensor.HasField("shape") else None)

    def checked(self, given: Array, where: str) -> Array:
        """The array. Raises OptionError when it does not fit the input, or holds values that no range can."""
        if not hasattr(given, "__array__"):
            raise OptionError(f"input `{self.name}` takes an array, and it is given a `{type(given).__name__}`",
                              where=where, hint=_NESTING)  # fmt: skip
        array = np.asarray(given, order="C")
        if array.dtype != self.dtype:
            raise OptionError(f"input `{self.name}` takes {self.dtype}, and its array is {array.dtype}", where=where,
                              hint=f"convert it: `x.astype(np.{self.dtype})`")  # fmt: skip
        if self.shape is not None and not _fits(array.shape, self.shape):
            wanted = ", ".join("?" if size is None else str(size) for size in self.shape)
            raise OptionError(f"input `{self.name}` has the shape ({wanted}), and its array {array.shape}", where=where,
                              hint="an array is a whole input, batch axis included: `x[None]` adds one")  # fmt: skip
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            found = "NaN" if np.isnan(array).any() else "Inf"
            raise OptionError(f"the array of input `{self.name}` has {found} in it", where=where,
                              hint="leave this sample out, or repair the preprocessing")  # fmt: skip
        return array


def _fits(shape: tuple[int, ...], wanted: tuple[int | None, ...]) -> bool:
    return len(shape) == len(wanted) and all(w in (None, s) for s, w in zip(shape, wanted))


def checked(dataset: Iterable[Sequence[Array]], inputs: Sequence[Input]) -> Iterator[Feed]:
    """The samples one by one, as arrays by input. Raises OptionError at the first that does not fit the inputs."""
    if hasattr(dataset, "shape") or isinstance(dataset, Mapping) or not isinstance(dataset, Iterable):
        raise OptionError(f"a dataset is an iterable of samples, not `{type(dataset).__name__}`", hint=_NESTING)
    index = -1
    for index, sample in enumerate(dataset):
        yield _feed(sample, inputs, f"sample {index} of the dataset")
    if index < 0:
        raise OptionError("the dataset is empty", hint="calibrate with at least one sample, some hundred are usual")


def _feed(sample: Sequence[Array], inputs: Sequence[Input], where: str) -> Feed:
    if hasattr(sample, "shape") or not isinstance(sample, Sequence):
        raise OptionError(f"a sample is a sequence of arrays, not `{type(sample).__name__}`", where=where,
                          hint=_NESTING)  # fmt: skip
    if len(sample) != len(inputs):
        names = ", ".join(f"`{x.name}`" for x in inputs)
        raise OptionError(f"a sample has {len(inputs)} arrays, for {names}, and this one {len(sample)}", where=where,
                          hint=_NESTING)  # fmt: skip
    return {x.name: x.checked(array, where) for x, array in zip(inputs, sample)}
