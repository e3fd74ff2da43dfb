"""Tensors of the legacy API: arrays with the members that its programs call."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, SupportsIndex

import numpy as np
from numpy.typing import NDArray

from furiosa.runtime.deprecated.errors import InvalidInput
from furiosa.runtime.interface import DataType, TensorDesc


class Tensor(np.ndarray[Any, np.dtype[Any]]):
    """An ndarray that also answers ``numpy()``, ``view()`` and ``copy_from()``; ``==`` of two tensors is one bool."""

    name: str | None = None

    @classmethod
    def of(cls, array: NDArray[Any], name: str | None = None) -> Tensor:
        """``array`` as a tensor, in the same memory."""
        tensor = array.view(cls)
        tensor.name = name
        return tensor

    @property
    def numpy_dtype(self) -> type[np.generic]:
        """The NumPy scalar type of the elements."""
        return self.dtype.type

    @property
    def quantization_parameter(self) -> tuple[float, int] | None:
        """Scale and zero point; None, because compiled models do not keep those of their interface."""
        return None

    def copy_from(self, data: NDArray[Any] | np.generic) -> None:
        """Take the values of ``data``. Raises InvalidInput unless it has the shape and the type of this tensor."""
        if data.shape != self.shape or data.dtype != self.dtype:
            raise InvalidInput(f"expected {self.shape} ({self.dtype}) but got {data.shape} ({data.dtype})")
        self[...] = data

    def numpy(self) -> NDArray[Any]:
        """The values as a contiguous copy."""
        return np.array(self, order="C", subok=False)

    def view(self, *args: Any, **kwargs: Any) -> Any:
        """Without arguments: the same memory as a plain ndarray; otherwise as ``ndarray.view``."""
        return super().view(*args, **kwargs) if args or kwargs else super().view(np.ndarray)

    def __eq__(self, other: object) -> Any:
        return np.array_equal(self, other) if isinstance(other, Tensor) else super().__eq__(other)

    def __ne__(self, other: object) -> Any:
        return not np.array_equal(self, other) if isinstance(other, Tensor) else super().__ne__(other)

    __hash__ = None  # as of any array

    def __repr__(self) -> str:
        name = f'name="{self.name}", ' if self.name else ""
        return f"Tensor({name}shape={self.shape}, dtype={DataType(self.dtype)!r})"


class TensorArray(list[Tensor]):
    """The tensors of one inference; ``array[i] = data`` copies into tensor i."""

    @classmethod
    def of(cls, arrays: Iterable[NDArray[Any]], descs: Iterable[TensorDesc]) -> TensorArray:
        """Arrays as tensors, in the same memory, with the names of their descriptions."""
        return cls(Tensor.of(array, desc.name) for array, desc in zip(arrays, descs))

    @classmethod
    def zeros(cls, descs: Sequence[TensorDesc]) -> TensorArray:
        """Fresh tensors."""
        return cls.of([zeros(desc) for desc in descs], descs)

    def is_empty(self) -> bool:
        """Whether there are no tensors."""
        return not self

    def numpy(self) -> list[NDArray[Any]]:
        """Contiguous copies of all values."""
        return [tensor.numpy() for tensor in self]

    def view(self) -> list[NDArray[Any]]:
        """The same memory as plain ndarrays."""
        return [tensor.view() for tensor in self]

    def __setitem__(self, index: SupportsIndex | slice, data: Any) -> None:
        if isinstance(index, slice):
            for tensor, values in zip(self[index], data, strict=True):
                tensor.copy_from(values)
        else:
            self[index].copy_from(data)

    def __repr__(self) -> str:
        return repr(dict(enumerate(self)))


def numpy_dtype(value: object) -> np.dtype[Any]:
    """The NumPy dtype of an array, a NumPy scalar, a description or a DataType. Raises TypeError for anything else."""
    match value:
        case np.ndarray() | np.generic():
            return value.dtype
        case TensorDesc():
            return value.numpy_dtype
        case DataType():
            return value.numpy
    raise TypeError(f"{type(value).__name__} has no data type")


def zeros(desc: TensorDesc) -> NDArray[Any]:
    """A tensor of zeros that fits ``desc``."""
    return np.zeros(desc.shape, desc.numpy_dtype)


def rand(desc: TensorDesc) -> NDArray[Any]:
    """A tensor that fits ``desc``, of random numbers from [0, 1) cast to its type: zeros for integers."""
    return np.random.default_rng().random(desc.shape).astype(desc.numpy_dtype)
