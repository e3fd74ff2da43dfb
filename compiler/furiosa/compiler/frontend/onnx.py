"""ONNX files as a graph: checked, with static shapes, QuantizeLinear and DequantizeLinear as ops of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from furiosa.compiler.frontend.fold import fold, quantized
from furiosa.compiler.frontend.integers import Range, ranges, real_numbers
from furiosa.compiler.frontend.modelfile import first_line, read
from furiosa.compiler.frontend.node import Affine, OnnxNode, Project, named
from furiosa.compiler.frontend.permutation import Axes, given_input, in_order, permutations
from furiosa.compiler.frontend.session import LIGHT_BYTES
from furiosa.compiler.frontend.types import DTYPES, infer, multiply_targets, onnx_type, static_input, value_type
from furiosa.compiler.graph import Attrs, Graph, Op, Quant, TensorType, const
from furiosa.isa.dtypes import DType
from furiosa.isa.errors import FuriosaError, ModelError, OptionError, UnsupportedError

ABSENT = Op("absent", (), Attrs(), TensorType((0,), DType.F32), "")


def import_onnx(
    data: bytes,
    where: str,
    batch_size: int = 1,
    folder: Path | None = None,
    permute: Sequence[object] | None = None,
    without_quantize: object = None,
) -> Graph:
    """The model's graph with every input's first axis multiplied by ``batch_size``.

    ``where`` names the file in errors; ``folder`` is where external weights lie; ``permute`` is the compiler option
    ``permute_input``, ``without_quantize`` the one of that name. Raises ModelError for a damaged, inconsistent or
    dynamic model, UnsupportedError for a valid one that cannot be handled, and OptionError for the options.
    """
    model = read(data, where, folder)
    if batch_size > 1:
        multiply_targets(model, batch_size)
    initializers = {t.name: t for t in model.graph.initializer}
    inputs = [static_input(value, where, batch_size) for value in model.graph.input if value.name not in initializers]
    types = infer(model, inputs, where, batch_size)
    found, permuted_too = ranges(without_quantize, {value.name: types[value.name] for value in inputs})
    if permute is not None and permuted_too is not None:
        raise OptionError("compiler options `permute_input` and `without_quantize` both permute the inputs",
                          hint="leave one of them out")  # fmt: skip
    permuted = permutations(
        permute if permuted_too is None else permuted_too,
        {value.name: len(types[value.name].shape) for value in inputs},
    )
    return _Builder(model, types, inputs, initializers, where, batch_size, permuted, found).build()


@dataclass
class _Builder:
    """Turns nodes into ops, in the file's order (which the checker has found topological)."""

    model: onnx.ModelProto
    types: dict[str, TensorType]
    inputs: list[onnx.ValueInfoProto]
    initializers: dict[str, onnx.TensorProto]
    where: str
    batch_size: int
    permuted: dict[str, Axes]
    ranges: dict[str, Range]

    def build(self) -> Graph:
        self.ops: dict[str, Op] = {"": ABSENT}
        self.node_names: set[str] = set()
        self.opsets = {item.domain: item.version for item in self.model.opset_import}
        self.used = {name for proto in self.model.graph.node for name in [*proto.input, *_captured(proto)]}
        self.results = {value.name for value in self.model.graph.output}
        self.used |= self.results
        inputs = tuple(self._input(value.name) for value in self.inputs)
        for index, proto in enumerate(self.model.graph.node):
            try:
                self.add(proto, f"{proto.op_type}_{index}")
            except FuriosaError:
                raise
            except Exception as error:
                raise UnsupportedError(f"operator `{proto.op_type}` cannot be imported: {first_line(error)}",
                                       where=f"{self.where}, node `{proto.name or proto.op_type}`",
                                       hint="replace the operator") from error  # fmt: skip
        names = tuple(value.name for value in self.model.graph.output)
        self._name_outputs(names)
        return Graph(self.model.graph.name or "main", inputs, tuple(self.find(name) for name in names), names,
                     self.batch_size)  # fmt: skip

    def _input(self, name: str) -> Op:
        """The graph's input; nodes read it, or what makes the model's order of its axes."""
        axes, type_ = self.permuted.get(name, ()), self.types[name]
        ordered = axes == tuple(range(len(axes)))
        if (not ordered or name in self.ranges) and name in self.results:
            raise OptionError(f"compiler options cannot change `{name}`: it is an output too", where=self.where,
                              hint="leave `permute_input` and `without_quantize` out")  # fmt: skip
        given = Op("input", (), Attrs(), type_, name) if ordered else given_input(name, type_, axes)
        opset, op = self.opsets.get("", 1), given
        if name in self.ranges:
            op = given = replace(given, type=replace(given.type, dtype=DType.U8))
            op = real_numbers(given, self.ranges[name], opset)
        self.ops[name] = op if ordered else in_order(op, name, type_, axes, opset)
        return given

    def _name_outputs(self, names: tuple[str, ...]) -> None:
        """An output that is a constant or another tensor under a new name becomes an op of its own."""
        for name in names:
            op = self.find(name)
            if op.name != name:
                proto = onnx.helper.make_node("Identity", [op.name], [name], name=f"{name}:output")
                node = OnnxNode.of(proto, proto.name, self.opsets.get("", 1), 0)
                self.ops[name] = Op("onnx", (op,), node, op.type, name, node.name,
                                    sources=((node.name, "Identity"),))  # fmt: skip

    def find(self, name: str) -> Op:
        """The op that gives this tensor; initializers become constants when they are first needed."""
        if name not in self.ops:
            tensor = self.initializers[name]
            if tensor.data_type not in DTYPES:
                return self._foreign(name, tensor)
            try:
                self._settle(name, const(name, numpy_helper.to_array(tensor)))
            except ValueError as error:
                raise ModelError(f"initializer `{name}` is damaged: {first_line(error)}", where=self.where,
                                 hint="export the model again") from None  # fmt: skip
        return self.ops[name]

    def _foreign(self, name: str, tensor: onnx.TensorProto) -> Op:
        """An initializer of a type that only ONNX Runtime knows (int4, float8 ...) is its constant."""
        proto = onnx.helper.make_node("Constant", [], [name], name=f"{name}:constant", value=tensor)
        node = OnnxNode.of(proto, proto.name, self.opsets.get("", 1), 0)
        type_ = onnx.helper.make_tensor_type_proto(tensor.data_type, tensor.dims)
        kind = value_type(onnx.ValueInfoProto(type=type_))
        if kind is None:
            raise ModelError(f"initializer `{name}` has no element type", where=self.where,
                             hint="export the model again")  # fmt: skip
        self.ops[name] = Op("onnx", (), node, kind, name, node.name, sources=((node.name, "Constant"),))
        return self.ops[name]

    def _settle(self, name: str, op: Op) -> None:
        """The op of a tensor; a constant that is a result gets another name, because it stays no result itself."""
        self.ops[name] = named(op, f"{name}:value") if op.kind == "const" and name in self.results else op

    def add(self, proto: onnx.NodeProto, default_name: str) -> None:
        inputs = tuple(self.find(name) for name in proto.input)
        captured = tuple(self.find(name) for name in _captured(proto) if name in self.ops or name in self.initializers)
        node_name = proto.name if proto.name and proto.name not in self.node_names else default_name
        self.node_names.add(node_name)
        node = OnnxNode.of(proto, node_name, self.opsets.get(proto.domain, 1), len(captured))
        outputs = [name for name in proto.output if name in self.used]
        if not outputs:
            return
        folded = fold(node, outputs, inputs, self.types)
        if folded is not None:
            for name, op in folded.items():
                self._settle(name, op)
            return
        self._complete(proto, node, inputs)
        op = self._affine(node, inputs, outputs[0]) or Op(
            "onnx", inputs + captured, node, self.type_of(outputs[0], node), outputs[0], node.name,
            sources=((node.name, node.op_type),),
        )  # fmt: skip
        if outputs == [proto.output[0]]:
            self._settle(outputs[0], op)
            return
        op = named(op, f"{node.name}:outputs")
        for index, name in enumerate(proto.output):
            if name in self.used:
                self.ops[name] = Op("project", (op,), Project(index), self.type_of(name, node), name, node.name)

    def _complete(self, proto: onnx.NodeProto, node: OnnxNode, inputs: tuple[Op, ...]) -> None:
        """Infer the outputs of a node anew when the model's inference lost a shape that folding has found."""
        known = [self.types.get(name) for name in proto.output if name]
        if all(t is not None and t.static for t in known) or node.captured:
            return
        given = [(name, op) for name, op in zip(proto.input, inputs) if op.kind != "absent"]
        if not all(op.type.static for _, op in given):
            return
        types = {name: onnx_type(op.type) for name, op in given}
        data = {name: numpy_helper.from_array(op.value, name) for name, op in given
                if op.kind == "const" and op.type.size < LIGHT_BYTES}  # fmt: skip
        try:
            schema = onnx.defs.get_schema(proto.op_type, node.opset, proto.domain)
            found = onnx.shape_inference.infer_node_outputs(schema, proto, types, data)
        except Exception:  # no schema or no inference for it: the types stay as they are
            return
        for name, type_ in found.items():
            complete = value_type(onnx.ValueInfoProto(name=name, type=type_))
            if complete is not None:
                self.types[name] = complete

    def type_of(self, name: str, node: OnnxNode) -> TensorType:
        if name not in self.types:
            raise UnsupportedError(
                f"the type of `{name}` cannot be inferred",
                where=f"{self.where}, node `{node.name}` ({node.op_type})",
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
        if DType.ANY in (x.type.dtype, self.type_of(name, node).dtype):
            return None
        if not (np.isfinite(scale.value).all() and (scale.value > 0).all()):
            raise ModelError(f"scale `{scale.name}` is {np.ravel(scale.value).min()}, it must be finite and above 0",
                             where=f"{self.where}, node `{node.name}` ({node.op_type})",
                             hint="quantize the model again")  # fmt: skip
        self._check_length(node, x, scale, zero)
        quant = _quant(scale.value, None if zero is ABSENT else zero.value, node.int("axis", 1), len(x.type.shape))
        source = ((node.name, node.op_type),)
        if node.op_type == "DequantizeLinear":
            return Op("dequantize", (x,), Affine(quant), replace(self.type_of(name, node), shape=x.type.shape), name,
                      node.name, sources=source)  # fmt: skip
        if x.type.dtype is not DType.F32:
            return None
        result = TensorType(x.type.shape, self.type_of(name, node).dtype, quant)
        if x.kind == "const" and result.dtype.quantized:
            return const(name, quantized(x.value, quant, result.dtype), node=node.name)
        return Op("quantize", (x,), Affine(quant), result, name, node.name, sources=source)

    def _check_length(self, node: OnnxNode, x: Op, scale: Op, zero: Op) -> None:
        """A scale for the tensor or for each index of the axis; as many zero points."""
        axis, length, rank = node.int("axis", 1), scale.type.size, len(x.type.shape)
        fits = length == 1 or (-rank <= axis < rank and x.type.shape[axis] in (-1, length))
        zeros = zero.type.size if zero.kind == "const" else length
        if not fits or zeros != length:
            raise ModelError(f"`{scale.name}` has {length} scales and there are {zeros} zero points for a tensor of "
                             f"shape {x.type.shape}", where=f"{self.where}, node `{node.name}` ({node.op_type})",
                             hint="quantize the model again")  # fmt: skip


def _quant(scale: Any, zero: Any, axis: int, rank: int) -> Quant:
    scales = tuple(np.ravel(scale).tolist())
    zeros = (0,) * len(scales) if zero is None else tuple(np.ravel(zero).tolist())
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
