"""The ops of a model as it was imported: the node as the model has it, and explicit quantization."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from furiosa.compiler.graph import Attrs, Op, Quant
from furiosa.isa.dtypes import DType

if TYPE_CHECKING:  # importing onnx takes longer than compiling a small TFLite model, which does not need it
    import onnx

ELEMENT = {
    DType.F32: 1, DType.U8: 2, DType.I8: 3, DType.U16: 4, DType.I16: 5, DType.I32: 6, DType.I64: 7, DType.STR: 8,
    DType.BOOL: 9, DType.F16: 10, DType.F64: 11, DType.U32: 12, DType.U64: 13, DType.BF16: 16,
}  # fmt: skip
"""The numbers of ``onnx.TensorProto.DataType``."""


@dataclass(frozen=True, slots=True)
class Affine(Attrs):
    """Of ``quantize`` and ``dequantize``: the parameters.

    ``by_product``: a real number is multiplied by float32(1 / scale), as LiteRT does, not divided by the scale.
    """

    quant: Quant
    by_product: bool = False


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
        import onnx

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
