"""ONNX files as a graph: checked, with static shapes, QuantizeLinear and DequantizeLinear as ops of their own."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from furiosa.compiler.frontend.fold import fold
from furiosa.compiler.frontend.node import ELEMENT, Affine, OnnxNode, Project, named
from furiosa.compiler.graph import Attrs, Graph, Op, Quant, TensorType, const
from furiosa.isa.dtypes import DType
from furiosa.isa.errors import FuriosaError, ModelError, UnsupportedError

_STRIP_BYTES = 1024
_DTYPES = {number: dtype for dtype, number in ELEMENT.items()}
ABSENT = Op("absent", (), Attrs(), TensorType((0,), DType.F32), "")


def import_onnx(data: bytes, where: str, batch_size: int = 1, folder: Path | None = None) -> Graph:
    """The model's graph with every input's first axis multiplied by ``batch_size``.

    ``where`` names the file in errors; ``folder`` is where external weights lie. Raises ModelError for a damaged,
    inconsistent or dynamic model and UnsupportedError for a valid one that cannot be handled.
    """
    model = _parse(data, where)
    _load_external(model, where, folder)
    if model.functions:
        model = onnx.inliner.inline_local_functions(model)
    if batch_size > 1:
        _multiply_targets(model, batch_size)
    initializers = {t.name: t for t in model.graph.initializer}
    inputs = [_static_input(value, where, batch_size) for value in model.graph.input if value.name not in initializers]
    types = _infer(model, inputs, initializers, where, batch_size)
    return _Builder(model, types, inputs, initializers, batch_size).build()


def _parse(data: bytes, where: str) -> onnx.ModelProto:
    hint = "export the model again; a valid file passes `onnx.checker.check_model`"
    if not data:
        raise ModelError("the model file is empty", where=where, hint=hint)
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except Exception:  # protobuf has several classes for the same fact
        raise ModelError("not an ONNX model: the file is damaged or of another kind", where=where, hint=hint) from None
    if not model.graph.node and not model.graph.output:
        raise ModelError("not an ONNX model: there is no graph in it", where=where, hint=hint)
    return model


def _load_external(model: onnx.ModelProto, where: str, folder: Path | None) -> None:
    external = [t.name for t in model.graph.initializer if t.data_location == onnx.TensorProto.EXTERNAL]
    if not external:
        return
    if folder is None:
        raise ModelError(f"initializer `{external[0]}` lies outside the file", where=where,
                         hint="give the model as a path, so that the files beside it can be read")  # fmt: skip
    try:
        onnx.load_external_data_for_model(model, str(folder))
    except Exception as error:
        raise ModelError(f"cannot read the external data of the model: {error}", where=where,
                         hint="keep the data files beside the model file") from None  # fmt: skip


def _static_input(value: onnx.ValueInfoProto, where: str, batch_size: int) -> onnx.ValueInfoProto:
    """The graph input with the batch size applied."""
    if not value.type.HasField("tensor_type") or not value.type.tensor_type.HasField("shape"):
        raise ModelError(f"input `{value.name}` has no tensor type with a shape", where=where,
                         hint="give every input a static shape when exporting")  # fmt: skip
    new = onnx.ValueInfoProto()
    new.CopyFrom(value)
    for axis, dim in enumerate(new.type.tensor_type.shape.dim):
        if not dim.HasField("dim_value") or dim.dim_value < 1:
            found = f"`{dim.dim_param}`" if dim.dim_param else str(dim.dim_value if dim.HasField("dim_value") else "?")
            raise ModelError(
                f"the static shape of tensor `{value.name}` contains an unsupported dimension value: {found}",
                where=f"{where}, axis {axis} of input `{value.name}`",
                hint="fix the shape, e.g. with `python -m onnxruntime.tools.make_dynamic_shape_fixed`",
            )
        if axis == 0:
            dim.dim_value *= batch_size
    return new


def _infer(
    model: onnx.ModelProto,
    inputs: list[onnx.ValueInfoProto],
    initializers: dict[str, onnx.TensorProto],
    where: str,
    batch_size: int,
) -> dict[str, TensorType]:
    """The type of every tensor, from ONNX's checker and shape inference on the model without its large weights."""
    light = onnx.ModelProto(ir_version=max(model.ir_version, 4))
    light.opset_import.extend(model.opset_import)
    light.functions.extend(model.functions)
    graph = light.graph
    graph.name = model.graph.name or "graph"
    graph.node.extend(model.graph.node)
    graph.input.extend(inputs)
    graph.output.extend(model.graph.output)
    for name, tensor in initializers.items():
        if len(tensor.raw_data) > _STRIP_BYTES:
            graph.input.append(onnx.helper.make_tensor_value_info(name, tensor.data_type, tensor.dims))
        else:
            graph.initializer.append(tensor)
    try:
        onnx.checker.check_model(light)
        if batch_size > 1:
            _forget_batch(graph)
        typed = onnx.shape_inference.infer_shapes(light, strict_mode=True, data_prop=True).graph
    except Exception as error:
        raise ModelError(
            f"the model is not valid ONNX: {_first_line(error)}", where=where,
            hint="check it with `onnx.checker.check_model(path, full_check=True)`"
            if batch_size == 1 else f"a batch size of {batch_size} may not suit its fixed shapes; try 1",
        ) from None  # fmt: skip
    values: Iterable[onnx.ValueInfoProto] = [*typed.input, *typed.value_info, *typed.output]
    return {value.name: found for value in values if (found := _type(value)) is not None}


def _forget_batch(graph: onnx.GraphProto) -> None:
    """Let shapes follow from the inputs: those of the batch size 1 that the file records are dropped."""
    for value in graph.output:
        value.type.tensor_type.ClearField("shape")
    del graph.value_info[:]


def _multiply_targets(model: onnx.ModelProto, batch_size: int) -> None:
    """Fixed first dimensions in the targets of Reshape nodes grow with the batch."""
    graph = model.graph
    values = {t.name: t for t in graph.initializer}
    values |= {n.output[0]: n.attribute[0].t for n in graph.node if n.op_type == "Constant" and n.attribute[0].HasField("t")}
    for index, node in enumerate(graph.node):
        if node.op_type != "Reshape" or node.input[1] not in values or node.input[0] in values:
            continue
        target = numpy_helper.to_array(values[node.input[1]]).copy()
        if target.size and target[0] > 0:
            target[0] *= batch_size
            node.input[1] = f"{node.input[1]}:batch{index}"
            graph.initializer.append(numpy_helper.from_array(target, node.input[1]))


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


def _type(value: onnx.ValueInfoProto) -> TensorType | None:
    tensor = value.type.tensor_type
    if tensor.elem_type not in _DTYPES:
        return None
    shape = tuple(d.dim_value if d.HasField("dim_value") else -1 for d in tensor.shape.dim)
    return TensorType(shape if tensor.HasField("shape") else (-1,), _DTYPES[tensor.elem_type])


@dataclass
class _Builder:
    """Turns nodes into ops, in the file's order (which the checker has found topological)."""

    model: onnx.ModelProto
    types: dict[str, TensorType]
    inputs: list[onnx.ValueInfoProto]
    initializers: dict[str, onnx.TensorProto]
    batch_size: int

    def build(self) -> Graph:
        self.ops: dict[str, Op] = {"": ABSENT}
        self.opsets = {item.domain: item.version for item in self.model.opset_import}
        for value in self.inputs:
            self.ops[value.name] = Op("input", (), Attrs(), self.types[value.name], value.name)
        self.used = {name for proto in self.model.graph.node for name in [*proto.input, *_captured(proto)]}
        self.used |= {value.name for value in self.model.graph.output}
        for index, proto in enumerate(self.model.graph.node):
            try:
                self.add(proto, f"{proto.op_type}_{index}")
            except FuriosaError:
                raise
            except Exception as error:
                raise UnsupportedError(f"operator `{proto.op_type}` cannot be imported: {_first_line(error)}",
                                       where=f"node `{proto.name or proto.op_type}`") from error  # fmt: skip
        names = tuple(value.name for value in self.model.graph.output)
        self._name_outputs(names)
        inputs = tuple(self.ops[value.name] for value in self.inputs)
        return Graph(self.model.graph.name or "main", inputs, tuple(self.find(name) for name in names), names,
                     self.batch_size)  # fmt: skip

    def _name_outputs(self, names: tuple[str, ...]) -> None:
        """An output that is an input, a constant, or the same as another output becomes an op of its own."""
        for name in names:
            op = self.find(name)
            if op.name != name or op.kind in ("input", "const"):
                proto = onnx.helper.make_node("Identity", [op.name], [name], name=f"{name}:output")
                node = OnnxNode.of(proto, proto.name, self.opsets.get("", 1), 0)
                self.ops[name] = Op("onnx", (op,), node, op.type, name, node.name,
                                    sources=((node.name, "Identity"),))  # fmt: skip

    def find(self, name: str) -> Op:
        """The op that gives this tensor; initializers become constants when they are first needed."""
        if name not in self.ops:
            tensor = self.initializers[name]
            if tensor.data_type not in _DTYPES:
                raise UnsupportedError(f"initializer `{name}` has an element type that is not supported")
            self.ops[name] = const(name, numpy_helper.to_array(tensor))
        return self.ops[name]

    def add(self, proto: onnx.NodeProto, default_name: str) -> None:
        inputs = tuple(self.find(name) for name in proto.input)
        captured = tuple(self.find(name) for name in _captured(proto) if name in self.ops or name in self.initializers)
        node = OnnxNode.of(proto, proto.name or default_name, self.opsets.get(proto.domain, 1), len(captured))
        outputs = [name for name in proto.output if name in self.used]
        if not outputs:
            return
        folded = fold(node, outputs, inputs, self.types)
        if folded is not None:
            self.ops.update(folded)
            return
        self._complete(proto, node, inputs)
        op = self._affine(node, inputs, outputs[0]) or Op(
            "onnx", inputs + captured, node, self.type_of(outputs[0], node), outputs[0], node.name,
            sources=((node.name, node.op_type),),
        )  # fmt: skip
        if outputs == [proto.output[0]]:
            self.ops[outputs[0]] = op
            return
        op = named(op, f"{node.name}:outputs")
        for index, name in enumerate(proto.output):
            if name in self.used:
                self.ops[name] = Op("project", (op,), Project(index), self.type_of(name, node), name, node.name)

    def _complete(self, proto: onnx.NodeProto, node: OnnxNode, inputs: tuple[Op, ...]) -> None:
        """Infer the outputs of a node anew when the model's inference lost a shape that folding has found."""
        known = [self.types.get(name) for name in proto.output if name]
        if all(t is not None and -1 not in t.shape for t in known) or node.captured:
            return
        given = [(name, op) for name, op in zip(proto.input, inputs) if op.kind != "absent"]
        if any(-1 in op.type.shape for _, op in given):
            return
        types = {name: onnx.helper.make_tensor_type_proto(ELEMENT[op.type.dtype], op.type.shape) for name, op in given}
        data = {name: numpy_helper.from_array(op.value, name) for name, op in given
                if op.kind == "const" and op.type.size < _STRIP_BYTES}  # fmt: skip
        try:
            schema = onnx.defs.get_schema(proto.op_type, node.opset, proto.domain)
            found = onnx.shape_inference.infer_node_outputs(schema, proto, types, data)
        except Exception:  # no schema or no inference for it: the types stay as they are
            return
        for name, type_ in found.items():
            complete = _type(onnx.ValueInfoProto(name=name, type=type_))
            if complete is not None:
                self.types[name] = complete

    def type_of(self, name: str, node: OnnxNode) -> TensorType:
        if name not in self.types:
            raise UnsupportedError(
                f"the type of tensor `{name}` cannot be inferred", where=f"node `{node.name}` ({node.op_type})",
                hint="run `onnx.shape_inference` when exporting, or replace the operator",
            )  # fmt: skip
        return self.types[name]

    def _affine(self, node: OnnxNode, inputs: tuple[Op, ...], name: str) -> Op | None:
        """A QuantizeLinear or DequantizeLinear with constant parameters as an op that carries them."""
        if node.op_type not in ("QuantizeLinear", "DequantizeLinear") or node.int("block_size", 0):
            return None
        x, scale, zero = (*inputs, ABSENT)[:3]
        if scale.kind != "const" or zero.kind not in ("const", "absent") or scale.type.dtype is not DType.F32:
            return None
        quant = _quant(scale.value, None if zero is ABSENT else zero.value, node.int("axis", 1), len(x.type.shape))
        source = ((node.name, node.op_type),)
        if node.op_type == "DequantizeLinear":
            return Op("dequantize", (x,), Affine(quant), self.type_of(name, node), name, node.name, sources=source)
        if x.type.dtype is not DType.F32:
            return None
        result = self.type_of(name, node)
        return Op("quantize", (x,), Affine(quant), TensorType(result.shape, result.dtype, quant), name, node.name,
                  sources=source)  # fmt: skip


def _quant(scale: Any, zero: Any, axis: int, rank: int) -> Quant:
    scales = tuple(float(s) for s in np.ravel(scale))
    zeros = (0,) * len(scales) if zero is None else tuple(int(z) for z in np.ravel(zero))
    if len(scales) == 1:
        return Quant(scales, zeros[:1])
    return Quant(scales, zeros, axis % rank)


def _captured(proto: onnx.NodeProto) -> list[str]:
    """Names that the node's subgraphs use from outside, in order of appearance."""
    names: dict[str, None] = {}
    for attribute in proto.attribute:
        for graph in [attribute.g] if attribute.HasField("g") else attribute.graphs:
            own = {v.name for v in graph.input} | {t.name for t in graph.initializer}
            for node in graph.node:
                for name in [*node.input, *_captured(node)]:
                    if name and name not in own:
                        names[name] = None
                own.update(node.output)
            names.update((v.name, None) for v in graph.output if v.name not in own)
    return list(names)
