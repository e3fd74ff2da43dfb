"""A float model as the quantizer's passes see it: who makes and who reads each tensor, constants, types."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from math import prod
from typing import Any

import onnx
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, numpy_helper

from furiosa.compiler.frontend.modelfile import first_line
from furiosa.isa.errors import ModelError
from furiosa.quantizer.names import captured

Array = NDArray[Any]
_SHAPES = ("Shape", "Size")
_FEW = 256  # elements of a constant that inference may need: shapes, axes, scales
_HINT = "check it with `onnx.checker.check_model(model, full_check=True)`"


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """Element type as in TensorProto, and shape; -1 stands for a size that is not known."""

    element: int
    shape: tuple[int, ...] | None


class FloatGraph:
    """An index of a model, which must not be edited as long as the index is used; nodes have unique names."""

    def __init__(self, model: ModelProto) -> None:
        graph = model.graph
        self.model = model
        self.nodes: list[NodeProto] = list(graph.node)
        self.constants: dict[str, TensorProto] = {tensor.name: tensor for tensor in graph.initializer}
        self.inputs = [value.name for value in graph.input]
        self.outputs = [value.name for value in graph.output]
        self.producers: dict[str, NodeProto] = {}
        self.readers: dict[str, list[NodeProto]] = defaultdict(list)
        self.captured: set[str] = set()
        for node in self.nodes:
            self.producers.update((name, node) for name in node.output if name)
            for name in filter(None, node.input):
                self.readers[name].append(node)
            self.captured.update(captured(node))
        self.infos = _infer(model)
        self.data = self._data()

    def _data(self) -> set[str]:
        """The tensors whose values follow from the inputs' values, not only from their shapes."""
        found = set(self.inputs)
        for node in self.nodes:
            if node.op_type not in _SHAPES and found.intersection((*node.input, *captured(node))):
                found.update(node.output)
        return found

    def array(self, name: str) -> Array | None:
        """The value of a constant; None for a computed tensor. Raises ModelError for one that is damaged."""
        if name not in self.constants:
            return None
        try:
            return numpy_helper.to_array(self.constants[name])
        except ValueError as error:
            raise ModelError(f"initializer `{name}` is damaged: {first_line(error)}",
                             hint="export the model again") from None  # fmt: skip

    def only_reader(self, name: str) -> NodeProto | None:
        """The node that alone reads a tensor, once; None when others do, or when it is a result of the model."""
        readers = self.readers.get(name, [])
        alone = len(readers) == 1 and name not in self.outputs and name not in self.captured
        return readers[0] if alone else None

    def shape(self, name: str) -> tuple[int, ...] | None:
        """The tensor's shape, -1 for axes of unknown size; None when nothing is known."""
        if name in self.constants:
            return tuple(self.constants[name].dims)
        return self.infos[name].shape if name in self.infos else None

    def is_float(self, name: str) -> bool | None:
        """Whether the tensor is float32; None when its type cannot be inferred."""
        if name in self.constants:
            return self.constants[name].data_type == TensorProto.FLOAT
        return self.infos[name].element == TensorProto.FLOAT if name in self.infos else None

    def opset(self) -> int:
        """The version of the standard's operator set."""
        return int(next(item.version for item in self.model.opset_import if item.domain == ""))


def attribute(node: NodeProto, name: str, default: Any = None) -> Any:
    """The value of a node's attribute."""
    found = next((item for item in node.attribute if item.name == name), None)
    return default if found is None else onnx.helper.get_attribute_value(found)


def _infer(model: ModelProto) -> dict[str, TensorInfo]:
    """Types from ONNX's own inference, on the model without its large constants."""
    light = ModelProto(ir_version=model.ir_version)
    light.opset_import.extend(model.opset_import)
    graph = light.graph
    graph.name = "types"
    for field in ("node", "input", "output", "value_info"):
        getattr(graph, field).extend(getattr(model.graph, field))
    for tensor in model.graph.initializer:
        if prod(tensor.dims) <= _FEW:
            graph.initializer.append(tensor)
        else:
            graph.input.append(onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    try:
        typed = onnx.shape_inference.infer_shapes(light, data_prop=True).graph
    except Exception as error:  # its exceptions have no common base
        raise ModelError(f"the model is not valid ONNX: {first_line(error)}", hint=_HINT) from None
    infos = {}
    for value in (*typed.input, *typed.value_info, *typed.output):
        tensor = value.type.tensor_type
        if tensor.elem_type:
            known = tensor.HasField("shape")
            shape = tuple(d.dim_value if d.HasField("dim_value") else -1 for d in tensor.shape.dim) if known else None
            infos[value.name] = TensorInfo(tensor.elem_type, shape)
    return infos
