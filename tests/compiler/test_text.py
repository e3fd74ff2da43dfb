"""Text of graphs and modules: names of any kind survive, and the text tells operators from constants."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper
from tests.compiler.quantized_nets import tiny

from furiosa.compiler import compile_model, irfile
from furiosa.compiler.dot import render as dot
from furiosa.compiler.text import parse_graph, print_graph

AWKWARD = ("a b", "a'b\"c", "back\\slash", "new\nline", "\u2028", "程序", "program 1", "# no", "%0 = x", "gr\x0baph ")


def renamed(prefix: str) -> bytes:
    """The smallest network with every name in it awkward."""
    model = onnx.load_from_string(tiny())
    graph = model.graph
    graph.name = prefix
    for node in graph.node:
        node.name = prefix + node.name
        node.input[:] = [prefix + name for name in node.input]
        node.output[:] = [prefix + name for name in node.output]
    for value in (*graph.input, *graph.output, *graph.initializer):
        value.name = prefix + value.name
    return bytes(model.SerializeToString())


@pytest.mark.parametrize("prefix", AWKWARD)
def test_awkward_names_survive_every_layer(prefix: str) -> None:
    model = renamed(prefix)
    compiled = compile_model(model)
    for layer in ("dfg", "ldfg", "cdfg", "gir", "lir"):
        assert compile_model(irfile.dump(layer, compiled.layers[layer])).enf == compiled.enf
    assert compiled.layers["enf"].inputs == (prefix + "x",)
    assert dot(compiled.layers["ldfg"]).count(" -> ") == dot(compile_model(tiny()).layers["ldfg"]).count(" -> ")


def test_special_numbers_survive() -> None:
    """Attributes and constants that Python writes in other ways: infinities, NaN, subnormals."""
    values = np.array([np.inf, -np.inf, np.nan, 1e-45, -0.0], np.float32)
    node = helper.make_node("Add", ["x", "c"], ["y"])
    info = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [5]) for name in ("x", "y")]
    graph = helper.make_graph([node], "g", info[:1], info[1:], [onnx.numpy_helper.from_array(values, "c")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    original = compile_model(model.SerializeToString(), target_ir="dfg").layers["dfg"]
    text, data = print_graph(original)
    again = parse_graph(text, data)
    assert print_graph(again) == (text, data)
    (constant,) = (op for op in again if op.kind == "const")
    assert constant.value.tobytes() == values.tobytes()


def test_inputs_that_nothing_reads_survive() -> None:
    node = helper.make_node("Identity", ["a"], ["y"])
    info = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [2]) for name in ("a", "unused", "y")]
    graph = helper.make_graph([node], "g", info[:2], info[2:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    compiled = compile_model(model.SerializeToString())
    assert compiled.layers["enf"].inputs == ("a", "unused")
    for layer in ("dfg", "ldfg", "cdfg", "gir", "lir"):
        assert compile_model(irfile.dump(layer, compiled.layers[layer])).enf == compiled.enf
