"""An ONNX graph while it is rewritten: nodes in order, constants and types by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, TypeProto, ValueInfoProto, helper, numpy_helper

from furiosa.optimizer.scopes import defined_in, read_by, subgraphs

Array = NDArray[Any]

_LIGHT_IR_VERSION = 10  # has every type of the opsets that ONNX Runtime knows


@dataclass
class Graph:
    """The graph, its constants kept apart: they are many times larger than all the rest."""

    nodes: list[NodeProto]
    inputs: list[ValueInfoProto]
    outputs: list[ValueInfoProto]
    constants: dict[str, TensorProto]
    opsets: dict[str, int]
    types: dict[str, TypeProto] = field(default_factory=dict)
    hints: dict[str, TypeProto] = field(default_factory=dict)
    """Types that ONNX cannot infer: of what operators outside the standard give."""
    _names: dict[str, int] = field(default_factory=dict)
    """All names, each with how often `fresh` had to add a number to it."""

    @property
    def opset(self) -> int:
        """The version of the standard's operators."""
        return self.opsets[""]

    def shape(self, name: str) -> tuple[int, ...] | None:
        """The static shape of a tensor; None when it is not known."""
        if name in self.constants:
            return tuple(self.constants[name].dims)
        return static_shape(self.types[name]) if name in self.types else None

    def type_of(self, name: str) -> TypeProto:
        """The type of a tensor that has one."""
        if name not in self.constants:
            return self.types[name]
        tensor = self.constants[name]
        return helper.make_tensor_type_proto(tensor.data_type, list(tensor.dims))

    def element(self, name: str) -> int:
        """The type of a tensor's elements, as `TensorProto` numbers them; 0 when it is not known."""
        if name in self.constants:
            return self.constants[name].data_type
        return self.types[name].tensor_type.elem_type if name in self.types else TensorProto.UNDEFINED

    def array(self, name: str) -> Array | None:
        """The value of a constant; None for any other tensor."""
        return numpy_helper.to_array(self.constants[name]) if name in self.constants else None

    def integers(self, name: str) -> list[int] | None:
        """The elements of a constant; None for any other tensor."""
        values = self.array(name)
        return None if values is None else [int(value) for value in values.ravel()]

    def add_constant(self, values: Array, hint: str) -> str:
        """The name of a new constant: ``hint``, or one that begins with it."""
        name = self.fresh(hint)
        self.constants[name] = numpy_helper.from_array(values, name)
        return name

    def fresh(self, hint: str) -> str:
        """A name that no tensor has yet, in subgraphs neither."""
        if not self._names:
            names = {*self.constants, *(value.name for value in self.inputs)}
            for node in self.nodes:
                names.update(read_by(node), node.output, *(defined_in(body) for body in subgraphs(node)))
            self._names = dict.fromkeys(names, 1)
        name = hint
        while name in self._names:
            self._names[hint] += 1
            name = f"{hint}_{self._names[hint]}"
        self._names[name] = 1
        return name

    def drop_constants(self) -> None:
        """Forget the constants that nobody reads."""
        read = {value.name for value in self.outputs}.union(*(read_by(node) for node in self.nodes))
        self.constants = {name: tensor for name, tensor in self.constants.items() if name in read}

    def light(self, outputs: Sequence[ValueInfoProto] | None = None) -> ModelProto:
        """The model without its large constants, which are inputs here: all that ONNX's tools need to see.

        The outputs have no shapes: these follow from the inputs.
        """
        results = [_without_shape(value) for value in self.outputs] if outputs is None else outputs
        graph = helper.make_graph(self.nodes, "graph", self.inputs, results)
        add_light(graph, self.constants)
        graph.value_info.extend(ValueInfoProto(name=name, type=hint) for name, hint in self.hints.items())
        return self.model(graph)

    def model(self, graph: GraphProto) -> ModelProto:
        """Nodes of this graph as a model of their own."""
        return helper.make_model(graph, opset_imports=self.opset_imports(), ir_version=_LIGHT_IR_VERSION)

    def opset_imports(self) -> list[Any]:
        """The operator sets as a model lists them."""
        return [helper.make_opsetid(domain, version) for domain, version in self.opsets.items()]

    def update(self, light: ModelProto) -> None:
        """Take over what one of ONNX's tools made of the `light` model."""
        self.nodes = list(light.graph.node)
        self.constants.update((tensor.name, tensor) for tensor in light.graph.initializer)
        self.opsets = {item.domain: item.version for item in light.opset_import}
        self._names.clear()


def is_light(tensor: TensorProto) -> bool:
    """Whether a constant is so small that types may follow from its values: shapes, axes, scales."""
    return bool(prod(tensor.dims) <= 256)


def add_light(graph: GraphProto, constants: Mapping[str, TensorProto]) -> None:
    """Give a graph these constants: small ones as they are, large ones as inputs."""
    for name, tensor in constants.items():
        if is_light(tensor):
            add_constant(graph, name, tensor)
        else:
            graph.input.append(helper.make_tensor_value_info(name, tensor.data_type, tensor.dims))


def add_constant(graph: GraphProto, name: str, tensor: TensorProto) -> None:
    """Give a graph a copy of a constant under this name."""
    new = graph.initializer.add()
    new.CopyFrom(tensor)  # 7 times as fast as `append`, which serializes
    new.name = name


def static_shape(kind: TypeProto) -> tuple[int, ...] | None:
    """The shape in a tensor's type; None when an axis is not known, or it is the type of something else."""
    tensor = kind.tensor_type
    if not tensor.HasField("shape") or not all(dim.HasField("dim_value") for dim in tensor.shape.dim):
        return None
    return tuple(dim.dim_value for dim in tensor.shape.dim)


def _without_shape(value: ValueInfoProto) -> ValueInfoProto:
    new = ValueInfoProto()
    new.CopyFrom(value)
    if new.type.HasField("tensor_type"):
        new.type.tensor_type.ClearField("shape")
    return new


def attribute(node: NodeProto, name: str, default: Any = None) -> Any:
    """The value of a node's attribute: a number, bytes, a list or a message."""
    return next((helper.get_attribute_value(item) for item in node.attribute if item.name == name), default)


def take(node: NodeProto, name: str, default: Any = None) -> Any:
    """The value of a node's attribute, which the node has no more."""
    for index, item in enumerate(node.attribute):
        if item.name == name:
            value = helper.get_attribute_value(item)
            del node.attribute[index]
            return value
    return default
