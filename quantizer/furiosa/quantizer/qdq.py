"""The model with QuantizeLinear and DequantizeLinear: the placed float model, written anew.

A tensor keeps its name where it is float32: `t` is what `t_quantized`, its uint8 form, stands for. The result of an
operator before quantization is `t_float`. A tensor that float32 operators make, or the user feeds, is still `t`, and
what int8 operators read of it is `t_dequantized`.
"""

from __future__ import annotations

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from furiosa.quantizer.canonical import rename_inputs
from furiosa.quantizer.editor import Border, TensorType
from furiosa.quantizer.encodings import Encodings
from furiosa.quantizer.graph import Array
from furiosa.quantizer.names import Names
from furiosa.quantizer.placement import Placement
from furiosa.quantizer.preparing import needed, replace_nodes
from furiosa.quantizer.products import BIAS, WEIGHTS
from furiosa.quantizer.weights import IntegerProduct, quantize_constant, quantize_product

_ELEMENT = {TensorType.UINT8: TensorProto.UINT8, TensorType.INT8: TensorProto.INT8}
_DTYPE = {TensorType.UINT8: np.uint8, TensorType.INT8: np.int8}


class QdqWriter:
    """Writes one model; ``border`` tells which inputs and results are integers."""

    def __init__(self, placement: Placement, encodings: Encodings, border: Border) -> None:
        self.placement, self.graph, self.encodings, self.border = placement, placement.graph, encodings, border
        self.names = Names(self.graph.model.graph)
        self.constants: list[TensorProto] = []
        self.nodes: list[NodeProto] = []
        self.real: dict[str, str] = {}
        self.dequantized: dict[str, str] = {}
        self.integers: dict[str, IntegerProduct] = {}
        self.stored: dict[tuple[str, str, bytes], str] = {}
        self.read = {node.input[i] for node in self.graph.nodes for i in placement.operands(node)}

    def write(self) -> ModelProto:
        """The quantized model."""
        for name in self.graph.inputs:
            self._input(name)
        for node in self.graph.nodes:
            self._node(node)
        return self._model()

    # --- Tensors ---

    def _input(self, name: str) -> None:
        wish = self.border.inputs.get(name)
        if wish is None:
            if name in self.read:
                self._pair(name, name, f"{name}_dequantized")
            return
        whole = self._dequantize(name, name, wish, f"{name}_dequantized")
        if wish is TensorType.INT8 and name in self.read:
            self._pair(name, whole, f"{name}_stored")
        else:
            self.dequantized[name] = whole
        self.real[name] = self.dequantized[name]

    def _result(self, name: str, raw: str, quantized: bool) -> None:
        """What follows an operator's result ``name``, which the operator gives as ``raw``."""
        wish = self.border.outputs.get(name)
        if wish is None:
            if quantized:
                self._pair(name, raw, name)
            elif name in self.read:
                self._pair(name, raw, f"{name}_dequantized")
            return
        if wish is TensorType.UINT8:
            self._quantize(name, raw, wish, name)
            self.dequantized[name] = self._dequantize(name, name, wish, f"{name}_dequantized")
        else:
            if quantized or name in self.read:
                self._pair(name, raw, f"{name}_dequantized")
            self._quantize(name, self.dequantized[name] if quantized else raw, wish, name)
        self.real[name] = self.dequantized[name] if quantized else raw

    def _pair(self, name: str, raw: str, result: str) -> None:
        """Quantize and dequantize a tensor."""
        result = result if result == name else self.names.fresh(result)
        stored = self.names.fresh(f"{name}_quantized")
        self._quantize(name, raw, TensorType.UINT8, stored)
        self.nodes.append(self._affine("DequantizeLinear", name, stored, TensorType.UINT8, result))
        self.dequantized[name] = result

    def _quantize(self, name: str, raw: str, kind: TensorType, result: str) -> None:
        self.nodes.append(self._affine("QuantizeLinear", name, raw, kind, result))

    def _dequantize(self, name: str, stored: str, kind: TensorType, result: str) -> str:
        result = self.names.fresh(result)
        self.nodes.append(self._affine("DequantizeLinear", name, stored, kind, result))
        return result

    def _affine(self, op: str, name: str, given: str, kind: TensorType, result: str) -> NodeProto:
        """A node that changes between ``name``'s real values and its integers of this type."""
        encoding, root = self.encodings[name], self.encodings.root(name)
        zero = encoding.zero_point - (128 if kind is TensorType.INT8 else 0)
        inputs = [given, self._constant(np.asarray(encoding.scale), f"{root}_scale"),
                  self._constant(np.asarray(zero, _DTYPE[kind]), f"{root}_zero_point")]  # fmt: skip
        return helper.make_node(op, inputs, [result], name=self.names.fresh(f"{result}_{op}"))

    # --- Nodes ---

    def _node(self, node: NodeProto) -> None:
        quantized = set(self.placement.results(node))
        new = NodeProto()
        new.CopyFrom(node)
        operands = {index: self._operand(node, index) for index in self.placement.operands(node)}
        if node.name in self.placement.products and node.name in self.placement.schemes:
            operands |= self._product(node)
        if node.name in self.placement.biases:
            operands |= self._added_bias(node)
        rename_inputs(new, self.real)
        for index, name in operands.items():
            del new.input[len(new.input) : index]
            if index == len(new.input):
                new.input.append(name)
            new.input[index] = name
        later = []
        for index, name in enumerate(node.output):
            if name in quantized or name in self.border.outputs:
                new.output[index] = self.names.fresh(f"{name}_float")
            later.append((name, new.output[index]))
        self.nodes.append(new)
        for name, raw in later:
            self._result(name, raw, name in quantized)

    def _operand(self, node: NodeProto, index: int) -> str:
        name = node.input[index]
        value = self.graph.array(name)
        if value is None:
            return self.dequantized[name]
        codes, encoding = quantize_constant(value, name, f"node `{node.name}`")
        return self._stored(name, codes, np.asarray(encoding.scale), np.asarray(encoding.zero_point, np.uint8), None)

    def _product(self, node: NodeProto) -> dict[int, str]:
        """The weights and the bias of a product."""
        product = self.placement.products[node.name]
        integers = quantize_product(product, self.encodings[node.input[0]])
        self.integers[node.name] = integers
        zeros = np.zeros(integers.scales.shape, np.int8)
        operands = {WEIGHTS: self._stored(node.input[WEIGHTS], integers.weights, integers.scales, zeros, product.axis)}
        if product.takes_bias and integers.bias is not None:
            operands[BIAS] = self._bias(node.input[BIAS], integers)
        return operands

    def _added_bias(self, add: NodeProto) -> dict[int, str]:
        """The bias of a product, added by a node of its own."""
        integers = self.integers[self.placement.biases[add.name]]
        index = next(i for i, name in enumerate(add.input) if name in self.graph.constants)
        return {index: self._bias(add.input[index], integers)}

    def _bias(self, name: str, integers: IntegerProduct) -> str:
        assert integers.bias is not None
        zeros = np.zeros(integers.bias_scales.shape, np.int32)
        return self._stored(name, integers.bias, integers.bias_scales, zeros, 0)

    def _stored(self, name: str, codes: Array, scale: Array, zero: Array, axis: int | None) -> str:
        """A dequantized constant."""
        inputs = [self._constant(codes, f"{name}_quantized"), self._constant(scale, f"{name}_scale"),
                  self._constant(zero, f"{name}_zero_point")]  # fmt: skip
        result = self.names.fresh(f"{name}_dequantized")
        node = helper.make_node("DequantizeLinear", inputs, [result], name=f"{result}_DequantizeLinear")
        if axis is not None:
            node.attribute.append(helper.make_attribute("axis", axis))
        self.nodes.append(node)
        return result

    def _constant(self, value: Array, name: str) -> str:
        """An initializer; the same one for the same value of the same name."""
        key = (name, value.dtype.str, value.tobytes())
        if key not in self.stored:
            self.stored[key] = self.names.fresh(name)
            self.constants.append(numpy_helper.from_array(value, self.stored[key]))
        return self.stored[key]

    # --- The model ---

    def _model(self) -> ModelProto:
        """The nodes and what they need; declared types are those of the tensors that have the names now."""
        old = self.graph.model
        model = ModelProto(ir_version=old.ir_version)
        model.opset_import.extend(old.opset_import)
        graph = model.graph
        graph.name = old.graph.name
        graph.node.extend(self.nodes)
        graph.input.extend(old.graph.input)
        graph.output.extend(old.graph.output)
        for values, wishes in ((graph.input, self.border.inputs), (graph.output, self.border.outputs)):
            for value in values:
                if value.name in wishes:
                    value.type.tensor_type.elem_type = _ELEMENT[wishes[value.name]]
        used = needed(graph)
        replace_nodes(graph, (node for node in self.nodes if used.intersection(node.output)))
        kept = (*self.graph.constants.values(), *self.constants)
        graph.initializer.extend(tensor for tensor in kept if tensor.name in used)
        computed = {name for node in graph.node for name in node.output} - {value.name for value in graph.output}
        graph.value_info.extend(value for value in old.graph.value_info if value.name in computed)
        return model
