"""A TFLite file as plain data: tensors, and operators in their order, everything checked against each other."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from furiosa.compiler.frontend.tflite.flatbuffer import Damaged, File, Table
from furiosa.compiler.frontend.tflite.schema import CUSTOM, OPERATORS, OPTION_TYPES, OPTIONS, TYPES, Field
from furiosa.compiler.graph import Array, Quant
from furiosa.isa.errors import ModelError, UnsupportedError

_EXPORT = "convert the model again; a valid file opens in LiteRT's `Interpreter`"
_MOST_AXES = 8
MOST_ELEMENTS = 2**31
UNKNOWN_AXIS = "convert the model with a static input shape, batch included"


def is_tflite(data: bytes) -> bool:
    """Whether these bytes claim to be a TFLite file (they may still be damaged)."""
    return data[4:8] == b"TFL3"


@dataclass(frozen=True, slots=True)
class Tensor:
    """A value of the model. ``dtype`` is NumPy's name of the elements, or the schema's where NumPy has none.

    ``shape`` is that of batch size 1. ``data`` is the value of a constant, a view of the file. A ``variable`` keeps its
    value from one inference to the next.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    quant: Quant | None
    data: Array | None
    variable: bool = False


@dataclass(frozen=True, slots=True)
class Operator:
    """``code`` is the builtin operator's name, or that of a custom one; tensors are numbers, -1 for one left out."""

    name: str
    code: str
    custom: bytes | None
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Model:
    """The first subgraph of a file.

    ``open``: some tensor has an axis of any extent, as in a model of any batch; its shape may be no shape.
    """

    name: str
    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    open: bool = False


def read(data: bytes, where: str) -> Model:
    """The model in a file. Raises ModelError for a damaged one, UnsupportedError for what cannot be represented."""
    try:
        return _Reader(File(data), where).model()
    except Damaged as error:
        raise ModelError(f"the TFLite model is damaged: {error}", where=where, hint=_EXPORT) from None


class _Reader:
    def __init__(self, file: File, where: str) -> None:
        self.file, self.where = file, where
        self.root = file.root()

    def model(self) -> Model:
        self.buffers = list(self.root.tables(4))
        self.codes = [self._code(table) for table in self.root.tables(1)]
        graph = next(self.root.tables(2), None)
        if graph is None:
            raise Damaged("there is no graph in it")
        self.names: set[str] = set()
        self.open: dict[int, int] = {}  # axes of any extent other than a first one for the batch, by tensor
        self.any_extent = False
        tensors = tuple(self._tensor(index, table) for index, table in enumerate(graph.tables(0)))
        operators = tuple(self._operator(index, table) for index, table in enumerate(graph.tables(3)))
        model = Model(
            graph.text(4) or "main", tensors, operators, graph.integers(1), graph.integers(2), self.any_extent
        )
        _check_order(model)
        for index in self.open.keys() & set(model.inputs):
            name = tensors[index].name
            raise ModelError(f"the static shape of tensor `{name}` contains an unsupported dimension value: -1",
                             where=f"{self.where}, axis {self.open[index]} of tensor `{name}`",
                             hint=UNKNOWN_AXIS)  # fmt: skip
        return model

    def _code(self, table: Table) -> tuple[str, bool]:
        """The operator's name, and whether it is a custom one."""
        number = max(table.integer(0, "b"), table.integer(3))
        if number == CUSTOM:
            return table.text(1), True
        if not 0 <= number < len(OPERATORS):
            return f"builtin operator {number}", False
        return OPERATORS[number], False

    def _unique(self, name: str, default: str) -> str:
        name = name if name and name not in self.names else default
        while name in self.names:
            name += "'"
        self.names.add(name)
        return name

    def _tensor(self, index: int, table: Table) -> Tensor:
        name = self._unique(table.text(3), f"tensor{index}")
        shape, signature = table.integers(0), table.integers(7)
        if len(shape) > _MOST_AXES or min(shape, default=1) < 0 or prod(n or 1 for n in shape) >= MOST_ELEMENTS:
            raise Damaged(f"tensor `{name}` has shape {shape}")
        self.any_extent = self.any_extent or -1 in signature
        if -1 in signature and (-1 in signature[1:] or not shape or shape[0] != 1):
            self.open[index] = signature.index(-1, 1) if -1 in signature[1:] else 0
        dtype = TYPES.get(table.integer(1, "b"), "unknown")
        if table.table(6) is not None:
            raise UnsupportedError(f"tensor `{name}` is sparse", where=self.where, hint="store the weights densely")
        quant, data = self._quant(name, shape, table.table(4)), self._data(name, shape, dtype, table)
        return Tensor(name, shape, dtype, quant, data, variable=bool(table.integer(5, "?")))

    def _quant(self, name: str, shape: tuple[int, ...], table: Table | None) -> Quant | None:
        scale = None if table is None else table.array(2, "f4")
        if table is None or scale is None or not scale.size:
            return None
        zero, axis = table.array(3, "i8"), table.integer(6)
        zeros = np.zeros(1, np.int64) if zero is None or not zero.size else zero
        if not (np.isfinite(scale).all() and (scale >= 0).all()):
            raise Damaged(f"a scale of tensor `{name}` is {scale.min()}")
        if np.abs(zeros).max() > 1 << 31:
            raise Damaged(f"a zero point of tensor `{name}` is {zeros.max()}")
        if scale.size == 1:
            return Quant((float(scale[0]),), (int(zeros[0]),))
        if not 0 <= axis < len(shape) or shape[axis] != scale.size or zeros.size not in (1, scale.size):
            raise Damaged(f"tensor `{name}` of shape {shape} has {scale.size} scales along axis {axis}")
        return Quant(tuple(scale.tolist()), tuple(np.broadcast_to(zeros, scale.shape).tolist()), axis)

    def _data(self, name: str, shape: tuple[int, ...], dtype: str, table: Table) -> Array | None:
        index = table.integer(2, "I")
        if index == 0:
            return None
        if index >= len(self.buffers):
            raise Damaged(f"tensor `{name}` is in buffer {index} of {len(self.buffers)}")
        buffer = self.buffers[index]
        raw = buffer.array(0, "u1")
        if raw is None or not raw.size:
            raw = self._outside(buffer)
        if raw is None:
            return np.zeros(shape, dtype) if 0 in shape and dtype in _PLAIN else None
        if dtype not in _PLAIN:
            return raw
        size = prod(shape) * np.dtype(dtype).itemsize
        if raw.size < size or (raw.size > size and not shape):
            raise Damaged(f"tensor `{name}` of shape {shape} and type {dtype} has {raw.size} bytes")
        return np.frombuffer(raw[:size], np.dtype(dtype).newbyteorder("<")).reshape(shape)

    def _outside(self, buffer: Table) -> Array | None:
        """A buffer that lies behind the tables, as in files above 2 GB."""
        offset, size = buffer.integer(1, "Q"), buffer.integer(2, "Q")
        if offset <= 1 or not size:
            return None
        if offset + size > len(self.file.data):
            raise Damaged("a buffer ends beyond the end")
        return np.frombuffer(self.file.data, np.uint8, size, offset)

    def _operator(self, index: int, table: Table) -> Operator:
        number = table.integer(0, "I")
        if number >= len(self.codes):
            raise Damaged(f"operator {index} has code {number} of {len(self.codes)}")
        code, is_custom = self.codes[number]
        custom = None
        if is_custom:
            payload = table.array(5, "u1")
            custom = b"" if payload is None else payload.tobytes()
        options = {} if is_custom else _options(code, table)
        return Operator(f"{code}_{index}", code, custom, table.integers(1), table.integers(2), options)


_PLAIN = frozenset((
    "float32", "float16", "float64", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "bool",
))  # fmt: skip


def _options(code: str, table: Table) -> dict[str, Any]:
    """The options by name; those of an operator that has none in the file have their defaults."""
    if code not in OPTIONS:
        return {}
    kind, fields = OPTIONS[code]
    given = table.table(4) if table.integer(3, "B") == OPTION_TYPES[kind] else None
    return {field[0]: _option(given, slot, field) for slot, field in enumerate(fields)}


def _option(table: Table | None, slot: int, field: Field) -> Any:
    _, code, default = field
    if code == "v":
        return () if table is None else table.integers(slot)
    value = default if table is None else table.number(slot, code, default)
    return float(value) if code == "f" else int(value)


def _check_order(model: Model) -> None:
    """Every tensor is a constant, an input, or written once before it is read."""
    count = len(model.tensors)
    known = {index for index, tensor in enumerate(model.tensors) if tensor.data is not None or tensor.variable}
    if len(set(model.inputs)) != len(model.inputs):
        raise Damaged("a tensor is an input twice")
    for index in (*model.inputs, *model.outputs):
        if not 0 <= index < count:
            raise Damaged(f"tensor {index} of {count} belongs to its interface")
    if not model.outputs:
        raise Damaged("it has no output")
    written = set(model.inputs)
    for operator in model.operators:
        for index in operator.inputs:
            if index != -1 and (not 0 <= index < count or not (index in known or index in written)):
                raise Damaged(f"operator `{operator.name}` reads tensor {index} before it has a value")
        for index in operator.outputs:
            if not 0 <= index < count or index in written or index in known:
                raise Damaged(f"operator `{operator.name}` writes tensor {index}, which cannot be written")
            written.add(index)
    missing = [index for index in model.outputs if index not in written and index not in known]
    if missing:
        raise Damaged(f"nothing writes output tensor {missing[0]}")
