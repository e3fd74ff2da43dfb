"""Values that are no plain tensors of a known shape pass through compiled models, also beside an NPU cluster."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper, numpy_helper, parser

from furiosa.compiler import compile_model
from furiosa.compiler.irfile import dump, load
from furiosa.runtime.sync import create_runner

QUANTIZED = """<ir_version: 10, opset_import: ["" : 21]> g (float[1,2,2,4] x) => (TYPE y)
<float s = {0.05}, uint8 z = {128}> {
  q = QuantizeLinear(x, s, z)
  d = DequantizeLinear(q, s, z)
  r = Sigmoid(d)
  rq = QuantizeLinear(r, s, z)
  f = DequantizeLinear(rq, s, z)
  BODY
}"""
"""A Sigmoid on the NPU, and a body on the CPU that reads `x`, `d` and `f`."""

BODIES = {
    "data-dependent shape": ("int64[4,N]", "y = NonZero(f)"),
    "data-dependent, then quantized": ("float[N]", """
        ones = Constant <value = bool[16] {1,0,1,0,1,0,1,0,1,1,1,1,0,0,0,0}> ()
        some = Compress (f, ones) sq = QuantizeLinear(some, s, z) sd = DequantizeLinear(sq, s, z) t = Relu(sd)
        tq = QuantizeLinear(t, s, z) y = DequantizeLinear(tq, s, z)"""),
    "sequence result": ("seq(float[])", "y = SplitToSequence <axis = 3> (f)"),
    "sequence beside the NPU": ("float[1,2,2,8]", """
        parts = SplitToSequence <axis = 3> (x) more = SequenceInsert (parts, f)
        y = ConcatFromSequence <axis = 3> (more)"""),
    "empty": ("float[1,0,2,4]", """
        at = Constant <value_ints = [1]> () e = Slice (f, at, at, at)
        eq = QuantizeLinear(e, s, z) y = DequantizeLinear(eq, s, z)"""),
    "strings": ("string[2]", 'a = Constant <value_strings = ["a", "b"]> () y = Identity(a)'),
}  # fmt: skip


def model(case: str) -> onnx.ModelProto:
    kind, body = BODIES[case]
    return parser.parse_model(QUANTIZED.replace("TYPE", kind).replace("BODY", body))


def equal(compiled: onnx.ModelProto, *inputs: Any) -> None:
    """What the compiled model gives is what ONNX Runtime gives."""
    session = onnxruntime.InferenceSession(compiled.SerializeToString(), providers=["CPUExecutionProvider"])
    expected = session.run(None, dict(zip((x.name for x in session.get_inputs()), inputs)))
    with create_runner(compiled.SerializeToString()) as runner:
        outputs = runner.run(list(inputs))
        assert "None" not in runner.model.summary()
    assert len(outputs) == len(expected)
    for output, right in zip(outputs, expected):
        pairs = zip(output, right) if isinstance(right, list) else [(output, right)]
        for one, other in pairs:
            np.testing.assert_array_equal(one, other, strict=True)


@pytest.mark.parametrize("case", BODIES)
def test_beside_an_npu_cluster(case: str) -> None:
    compiled = model(case)
    equal(compiled, np.linspace(-4, 4, 16, dtype=np.float32).reshape(1, 2, 2, 4))
    assert compile_model(compiled.SerializeToString()).report["npu_clusters"] >= (case != "strings")


@pytest.mark.parametrize("layer", ["dfg", "ldfg", "cdfg", "gir", "lir"])
def test_written_and_read(layer: str) -> None:
    data = compile_model(model("sequence beside the NPU").SerializeToString(), target_ir=layer).data
    assert dump(layer, load(data, "test")) == data


def test_sequences_and_optionals_as_inputs() -> None:
    given = parser.parse_model("""<ir_version: 10, opset_import: ["" : 21]>
        g (seq(float[2]) xs, optional(float[2]) maybe, int64 i) => (float[2] y, bool has)
        { y = SequenceAt(xs, i) has = OptionalHasElement(maybe) }""")
    arrays = [np.array([1, 2], np.float32), np.array([3, 4], np.float32)]
    equal(given, arrays, None, np.array(1))
    equal(given, arrays, arrays[0], np.array(0))


def test_weights_of_types_that_numpy_lacks() -> None:
    """Int4 weights become constants of the CPU's model."""
    w = helper.make_tensor("w", onnx.TensorProto.INT4, [2, 2], [1, -2, 3, 7])
    s = numpy_helper.from_array(np.array(0.5, np.float32), "s")
    x, y = (helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 2]) for name in "xy")
    nodes = [helper.make_node("DequantizeLinear", ["w", "s"], ["f"]), helper.make_node("MatMul", ["x", "f"], ["y"])]
    graph = helper.make_graph(nodes, "g", [x], [y], [w, s])
    equal(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10),
          np.array([[1, 10]], np.float32))  # fmt: skip


def test_sparse_weights() -> None:
    values, indices = np.array([2.0], np.float32), np.array([1], np.int64)
    given = parser.parse_model('<ir_version: 8, opset_import: ["": 13]> g (float[4] x) => (float[4] y) {y = Add(x, c)}')
    given.graph.sparse_initializer.append(helper.make_sparse_tensor(
        numpy_helper.from_array(values, "c"), numpy_helper.from_array(indices, "indices"), [4]
    ))  # fmt: skip
    equal(given, np.arange(4, dtype=np.float32))
