"""The ops of a model as it was imported: the node as the model has it, and explicit quantization."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import onnx
from onnx import TensorProto

from furiosa.compiler.graph import Attrs, Op, Quant
from furiosa.isa.dtypes import DType

ELEMENT = {
    DType.F32: TensorProto.FLOAT, DType.U8: TensorProto.UINT8, DType.I8: TensorProto.INT8,
    DType.U16: TensorProto.UINT16, DType.I16: TensorProto.INT16, DType.I32: TensorProto.INT32,
    DType.I64: TensorProto.INT64, DType.STR: TensorProto.STRING, DType.BOOL: TensorProto.BOOL,
    DType.F16: TensorProto.FLOAT16, DType.F64: TensorProto.DOUBLE, DType.U32: TensorProto.UINT32,
    DType.U64: TensorProto.UINT64, DType.BF16: TensorProto.BFLOAT16,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Affine(Attrs):
    """Of ``quantize`` and ``dequantize``: the parameters."""

    quant: Quant


@dataclass(frozen=True, slots=True)
class Permuted(Attrs):
    """Of an ``input`` that is given in another order than the model has: the model's axes in the order given."""

    axes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Project(Attrs):
    """Of ``project``: which output of a node with several."""

    index: int


@dataclass(frozen=True)
class OnnxNode(Attrs):
    """Of ``onnx``: a node that ONNX Runtime runs.

    The last ``captured`` inputs are what its subgraphs read from outside.
    """

    name: str
    op_type: str
    domain: str
    opset: int
    proto: bytes
    captured: int = 0

    @classmethod
    def of(cls, proto: onnx.NodeProto, name: str, opset: int, captured: int) -> OnnxNode:
        node = cls(name, proto.op_type, proto.domain, opset, proto.SerializeToString(deterministic=True), captured)
        return node

    @cached_property
    def message(self) -> onnx.NodeProto:
        """The node itself."""
        node = onnx.NodeProto()
        node.ParseFromString(self.proto)
        return node

    @cached_property
    def _attributes(self) -> dict[str, onnx.AttributeProto]:
        return {a.name: a for a in self.message.attribute}

    def _get(self, name: str, field: str, default: Any) -> Any:
        attribute = self._attributes.get(name)
        return default if attribute is None else getattr(attribute, field)

    def ints(self, name: str, default: tuple[int, ...] = ()) -> tuple[int, ...]:
        return tuple(self._get(name, "ints", default))

    def int(self, name: str, default: int) -> int:
        return int(self._get(name, "i", default))

    def float(self, name: str, default: float) -> float:
        return float(self._get(name, "f", default))

    def str(self, name: str, default: str) -> str:
        value = self._get(name, "s", default)
        return value.decode() if isinstance(value, bytes) else str(value)


def named(op: Op, name: str) -> Op:
    """The op under another name."""
    return replace(op, name=name)
