"""A model seen from outside: its input and output tensors, their shapes, element types and axes."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from math import prod
from typing import ClassVar

import numpy as np

from furiosa.isa.dtypes import DType
from furiosa.isa.enf import Enf, Tensor

_AXIS = r"[A-Z?][a-z]?"
"""The letters of one axis in a format."""


class DataType:
    """An element type; equal to the NumPy dtype of the same meaning. ``DataType(x)`` takes a dtype, type or array."""

    FLOAT16: ClassVar[DataType]
    FLOAT32: ClassVar[DataType]
    FLOAT64: ClassVar[DataType]
    BFLOAT16: ClassVar[DataType]
    INT8: ClassVar[DataType]
    INT16: ClassVar[DataType]
    INT32: ClassVar[DataType]
    INT64: ClassVar[DataType]
    UINT8: ClassVar[DataType]
    UINT16: ClassVar[DataType]
    UINT32: ClassVar[DataType]
    UINT64: ClassVar[DataType]
    BOOL: ClassVar[DataType]
    STRING: ClassVar[DataType]
    ANY: ClassVar[DataType]  # a sequence, an optional, or a tensor that NumPy does not know

    __slots__ = ("dtype_", "name", "numpy_")
    name: str
    dtype_: DType
    numpy_: np.dtype[np.generic] | None

    def __new__(cls, value: object) -> DataType:
        """The member for a NumPy dtype, type or array, or another DataType. Raises ValueError when there is none."""
        if isinstance(value, DataType):
            return value
        if isinstance(value, DType):
            return _MEMBERS[value]
        if isinstance(value, np.ndarray | np.generic):
            value = value.dtype
        try:
            return _MEMBERS[DType.of(np.dtype(value).name)]  # type: ignore[call-overload]  # checked by NumPy itself
        except (TypeError, KeyError):
            raise ValueError(f"no data type corresponds to {value!r}") from None

    @property
    def numpy(self) -> np.dtype[np.generic]:
        """The NumPy dtype. Raises ValueError when NumPy has none (BFLOAT16)."""
        if self.numpy_ is None:
            raise ValueError("NumPy has no data type for BFLOAT16")
        return self.numpy_

    @property
    def numpy_dtype(self) -> type[np.generic]:
        """Deprecated form of ``numpy``: the NumPy scalar type."""
        return self.numpy.type

    @property
    def itemsize(self) -> int:
        """Bytes an element."""
        return self.dtype_.itemsize

    def __repr__(self) -> str:
        return self.name

    def __reduce__(self) -> tuple[type[DataType], tuple[DType]]:
        return (DataType, (self.dtype_,))

    def __eq__(self, other: object) -> bool:
        if isinstance(other, DataType):
            return self is other
        if isinstance(other, np.dtype | type):
            return self.dtype_.numpy_name == _dtype_name(other)
        return NotImplemented

    def __hash__(self) -> int:
        return hash(self.dtype_ if self.dtype_ is DType.BF16 else self.numpy)


def _dtype_name(value: np.dtype[np.generic] | type) -> str | None:
    try:
        return str(np.dtype(value).name)
    except TypeError:
        return None


def _member(dtype: DType, name: str) -> DataType:
    member = object.__new__(DataType)
    member.dtype_, member.name = dtype, name
    member.numpy_ = None if dtype is DType.BF16 else np.dtype(dtype.numpy_name)
    setattr(DataType, name, member)
    return member


_MEMBERS = {
    dtype: _member(dtype, name)
    for dtype, name in (
        (DType.F16, "FLOAT16"), (DType.F32, "FLOAT32"), (DType.F64, "FLOAT64"), (DType.BF16, "BFLOAT16"),
        (DType.I8, "INT8"), (DType.I16, "INT16"), (DType.I32, "INT32"), (DType.I64, "INT64"),
        (DType.U8, "UINT8"), (DType.U16, "UINT16"), (DType.U32, "UINT32"), (DType.U64, "UINT64"),
        (DType.BOOL, "BOOL"), (DType.STR, "STRING"), (DType.ANY, "ANY"),
    )
}  # fmt: skip


class Axis(Enum):
    """What an axis of a tensor means; diagnostic only."""

    WIDTH = "W"
    HEIGHT = "H"
    CHANNEL = "C"
    BATCH = "N"
    WIDTH_OUTER = "Wo"
    HEIGHT_OUTER = "Ho"
    CHANNEL_OUTER = "Co"
    BATCH_OUTER = "No"
    UNKNOWN = "?"

    def __repr__(self) -> str:
        return self.name

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True)
class TensorDesc:
    """One input or output tensor, row-major; ``width`` as in ``furiosa.isa.enf.Tensor``.

    An axis whose extent depends on the data is -1; there are no sizes then. A value of type ANY has its ONNX type
    (``seq(float[])``) as format.
    """

    name: str | None
    shape: tuple[int, ...]
    dtype: DataType
    format: str
    width: int = 0

    @classmethod
    def of(cls, tensor: Tensor) -> TensorDesc:
        name = tensor.name if tensor.named and tensor.name else None
        return cls(name, tensor.shape, DataType(tensor.dtype), tensor.format, tensor.width)

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return len(self.shape)

    @property
    def length(self) -> int:
        """Number of elements. Raises ValueError when it depends on the data."""
        if -1 in self.shape:
            raise ValueError(f"the shape {self.shape} of `{self.name}` depends on the data")
        return prod(self.shape)

    @property
    def size(self) -> int:
        """Size in bytes, with padding. Raises ValueError when it depends on the data."""
        return (prod(self._storage) if self.width else self.length) * self.dtype.itemsize

    @property
    def numpy_dtype(self) -> np.dtype[np.generic]:
        """The NumPy dtype of the elements."""
        return self.dtype.numpy

    def dim(self, index: int) -> int:
        """Size of one axis. Raises IndexError when there is no such axis."""
        return self.shape[self._axis(index)]

    def stride(self, index: int) -> int:
        """Elements (not bytes) from one position of an axis to the next."""
        return prod(self._storage[self._axis(index) + 1 :])

    def axis(self, index: int) -> Axis:
        """The meaning of one axis."""
        return Axis(re.findall(_AXIS, self.format)[self._axis(index)])

    @property
    def _storage(self) -> tuple[int, ...]:
        return (*self.shape[:-1], self.width) if self.width else self.shape

    def _axis(self, index: int) -> int:
        if not 0 <= index < self.ndim:
            raise IndexError(f"axis {index} of a tensor with {self.ndim} axes")
        return index

    def __repr__(self) -> str:
        name = f'name="{self.name}", ' if self.name else ""
        size, length = ("?", "?") if -1 in self.shape else (self.size, self.length)
        return (
            f"TensorDesc({name}shape={self.shape}, dtype={self.dtype!r}, format={self.format}, "
            f"size={size}, len={length})"
        )


class Model:
    """The inputs and outputs of a loaded model, in the model's own order."""

    def __init__(self, inputs: Sequence[TensorDesc], outputs: Sequence[TensorDesc]) -> None:
        self._inputs = tuple(inputs)
        self._outputs = tuple(outputs)

    @classmethod
    def of(cls, enf: Enf) -> Model:
        """The interface of a compiled model."""
        tensors = {tensor.name: TensorDesc.of(tensor) for tensor in enf.tensors}
        return cls([tensors[name] for name in enf.inputs], [tensors[name] for name in enf.outputs])

    @property
    def input_num(self) -> int:
        return len(self._inputs)

    @property
    def output_num(self) -> int:
        return len(self._outputs)

    def inputs(self) -> list[TensorDesc]:
        return list(self._inputs)

    def outputs(self) -> list[TensorDesc]:
        return list(self._outputs)

    def input(self, index: int) -> TensorDesc:
        """The description of one input. Raises IndexError when there is none, also for a negative index."""
        return _at(self._inputs, index, "input")

    def output(self, index: int) -> TensorDesc:
        """The description of one output. Raises IndexError when there is none, also for a negative index."""
        return _at(self._outputs, index, "output")

    def summary(self) -> str:
        """All inputs and outputs as text."""
        return f"Inputs:\n{dict(enumerate(self._inputs))}\nOutputs:\n{dict(enumerate(self._outputs))}"

    def print_summary(self) -> None:
        """Write ``summary()`` to standard output."""
        sys.stdout.write(self.summary() + "\n")


def _at(tensors: tuple[TensorDesc, ...], index: int, kind: str) -> TensorDesc:
    if not 0 <= index < len(tensors):
        raise IndexError(f"{kind} {index} of a model with {len(tensors)}")
    return tensors[index]
