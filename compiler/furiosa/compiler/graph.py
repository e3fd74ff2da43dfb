"""The immutable graph of the DFG, LDFG and CDFG layers: an operator is its result.

One ``Op`` is one tensor. What differs between the layers is which kinds may stand in a graph; the specs say so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from furiosa.isa.dtypes import DType

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Quant:
    """Affine quantization: real = scale * (q - zero_point).

    ``scale`` (float32 values) and ``zero_point`` have one item for a tensor, or one for each index of ``axis``.
    """

    scale: tuple[float, ...]
    zero_point: tuple[int, ...]
    axis: int | None = None


@dataclass(frozen=True, slots=True)
class TensorType:
    """Shape, element type and, for quantized tensors, the quantization.

    An axis is -1 when its extent depends on the data. A value of type ANY has no shape here; ``form`` is its ONNX type
    as text, like ``seq(float[])``.
    """

    shape: tuple[int, ...]
    dtype: DType
    quant: Quant | None = None
    form: str = ""

    @property
    def static(self) -> bool:
        """Whether it is a tensor all of whose extents are known."""
        return self.dtype is not DType.ANY and min(self.shape, default=0) >= 0

    @property
    def size(self) -> int:
        """Elements in the tensor."""
        return prod(self.shape)

    @property
    def scale(self) -> float:
        """The scale of a tensor that is quantized as a whole."""
        return self.per_tensor().scale[0]

    @property
    def zero(self) -> int:
        """The zero point of a tensor that is quantized as a whole."""
        return self.per_tensor().zero_point[0]

    def per_tensor(self) -> Quant:
        """The quantization of an activation. Raises ValueError when there is none or one per channel."""
        if self.quant is None or self.quant.axis is not None:
            raise ValueError("the tensor is not quantized as a whole")
        return self.quant


@dataclass(frozen=True, slots=True)
class Reason:
    """Why an operator is on the CPU: a stable code, the sentence, and what was found against what is allowed."""

    code: str
    sentence: str
    actual: str = ""
    limit: str = ""
    hint: str = ""

    def __str__(self) -> str:
        return f"{self.sentence}: {self.actual}" if self.actual else self.sentence


@dataclass(frozen=True, slots=True)
class Attrs:
    """Attributes of a kind that has none; the others have their own frozen dataclass."""


@dataclass(frozen=True, slots=True, eq=False)
class Op:
    """An operator and its result. Compared by identity.

    ``name`` is unique in its graph and keeps the name of the model's tensor; ``node`` is the model's node it comes from
    and ``sources`` all nodes it stands for, as (name, operator). ``data`` is the value of a ``const``. ``cpu`` says why
    the operator is not on the NPU, once placement is settled.
    """

    kind: str
    inputs: tuple[Op, ...]
    attrs: Any
    type: TensorType
    name: str
    node: str = ""
    data: Array | None = None
    cpu: Reason | None = None
    sources: tuple[tuple[str, str], ...] = ()

    @property
    def value(self) -> Array:
        """The value of a constant."""
        if self.data is None:
            raise ValueError(f"`{self.name}` is no constant")
        return self.data

    @property
    def maker(self) -> Op:
        """The node that gives this result: itself, or the one with several results that it is a part of."""
        return self.inputs[0] if self.kind == "project" else self

    def __repr__(self) -> str:
        return f"<{self.kind} {self.name}>"


@dataclass(frozen=True, slots=True)
class Graph:
    """A graph by its inputs and outputs; ``iter(graph)`` gives every op that an output needs, producers first.

    ``inputs`` keeps inputs that nothing reads. ``output_names`` are the model's names of the outputs, in order.
    ``framework`` is that of the model: ``onnx``, or ``tflite``, whose users see no names and images as NHWC.
    ``keep_lowered``, ``keep_unlowered``: users have inputs, and results, in the NPU's layout. ``keep_unsigned``: uint8
    inputs go to the NPU as they are.
    """

    name: str
    inputs: tuple[Op, ...]
    outputs: tuple[Op, ...]
    output_names: tuple[str, ...]
    batch_size: int = 1
    framework: str = "onnx"
    keep_lowered: bool = False
    keep_unlowered: bool = False
    keep_unsigned: bool = False

    def __iter__(self) -> Iterator[Op]:
        return iter(producers_first(self.outputs))


def producers_first(outputs: tuple[Op, ...]) -> list[Op]:
    """Every op that ``outputs`` need, each after its inputs; iterative, so that depth does not matter."""
    order: list[Op] = []
    done: set[Op] = set()
    stack = [(op, False) for op in reversed(outputs)]
    while stack:
        op, ready = stack.pop()
        if ready:
            order.append(op)
        elif op not in done:
            done.add(op)
            stack.append((op, True))
            stack.extend((x, False) for x in reversed(op.inputs) if x not in done)
    return order


def consumers(graph: Graph) -> dict[Op, list[Op]]:
    """The readers of each op, one entry for each use; graph outputs do not count."""
    readers: dict[Op, list[Op]] = {op: [] for op in graph}
    for op in readers:
        for x in op.inputs:
            readers[x].append(op)
    return readers


def real_values(constant: Op) -> Array:
    """The values of a constant, those of a quantized one as float32."""
    quant, value = constant.type.quant, constant.value
    if quant is None:
        return value
    shape = [-1 if axis == quant.axis else 1 for axis in range(value.ndim)]
    zero, scale = np.array(quant.zero_point, np.int64), np.array(quant.scale, np.float32)
    if quant.axis is None:
        zero, scale = zero[0], scale[0]
    else:
        zero, scale = zero.reshape(shape), scale.reshape(shape)
    return np.asarray((value.astype(np.int64) - zero).astype(np.float32) * scale)


def rebuild(graph: Graph, change: Callable[[Op, tuple[Op, ...]], Op]) -> Graph:
    """The graph with ``change(op, its new inputs)`` in place of every op, producers first.

    ``change`` may return the op itself when its inputs are the old ones; ``with_inputs`` does so.
    """
    new: dict[Op, Op] = {}
    for op in graph:
        new[op] = change(op, tuple(new[x] for x in op.inputs))
    return replace(
        graph,
        inputs=tuple(new.get(op, op) for op in graph.inputs),
        outputs=tuple(new[op] for op in graph.outputs),
    )


def with_inputs(op: Op, inputs: tuple[Op, ...]) -> Op:
    """The op reading ``inputs``; the same object when nothing changes."""
    return op if inputs == op.inputs else replace(op, inputs=inputs)


def rewrite(graph: Graph, *rules: Callable[[Op], Op | None]) -> Graph:
    """Apply rules once over the graph, producers first: the first rule that answers wins, and is asked again there.

    Ops that a rule creates below its answer are seen in the next run, not in this one.
    """

    def change(op: Op, inputs: tuple[Op, ...]) -> Op:
        op = with_inputs(op, inputs)
        while True:
            for rule in rules:
                answer = rule(op)
                if answer is not None:
                    op = answer
                    break
            else:
                return op

    return rebuild(graph, change)


def const(name: str, data: Array, quant: Quant | None = None, node: str = "") -> Op:
    """A constant with this value; its type is that of the array."""
    dtype = DType.of(data.dtype.name)
    return Op("const", (), Attrs(), TensorType(data.shape, dtype, quant), name, node, np.asarray(data, order="C"))
