"""Finding the files that an ONNX model names, without onnx: the same files that onnx finds."""

from __future__ import annotations

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, SparseTensorProto, TensorProto
from tests.compiler.quantized_nets import tiny

from furiosa.compiler.cache.external import external_files


def external(location: str) -> TensorProto:
    """A tensor whose data lies in a file."""
    tensor = TensorProto(name="location", dims=[2], data_type=TensorProto.FLOAT, data_location=TensorProto.EXTERNAL)
    for key, value in (("location", location), ("offset", "0"), ("length", "8")):
        tensor.external_data.add(key=key, value=value)
    return tensor


def holding(node: NodeProto) -> ModelProto:
    return ModelProto(ir_version=8, graph=GraphProto(node=[node]))


def with_attribute(attribute: AttributeProto) -> NodeProto:
    return NodeProto(op_type="If", attribute=[AttributeProto(name="n", i=2**63 - 1, f=1.5), attribute])


def branch(name: str) -> GraphProto:
    constant = with_attribute(AttributeProto(name="value", t=external(name)))
    return GraphProto(node=[with_attribute(AttributeProto(name="body", g=GraphProto(node=[constant])))])


SPARSE = SparseTensorProto(values=external("values"), indices=external("indices"), dims=[9])
MODELS = [
    (ModelProto(graph=GraphProto(initializer=[external("a.bin"), external("f/ä.bin")])), {"a.bin", "f/ä.bin"}),
    (ModelProto(graph=GraphProto(sparse_initializer=[SPARSE])), {"values", "indices"}),
    (holding(with_attribute(AttributeProto(tensors=[external("one"), external("two")]))), {"one", "two"}),
    (holding(with_attribute(AttributeProto(graphs=[branch("deep"), branch("deeper")]))), {"deep", "deeper"}),
    (holding(with_attribute(AttributeProto(sparse_tensor=SPARSE))), {"values", "indices"}),
    (holding(NodeProto(name="allocation", doc_string="location")), set()),
]  # fmt: skip


@pytest.mark.parametrize(("model", "expected"), MODELS, ids=range(len(MODELS)))
def test_every_place_of_a_tensor(model: ModelProto, expected: set[str]) -> None:
    assert external_files(model.SerializeToString()) == expected


def test_functions_and_training() -> None:
    model = onnx.load_from_string(tiny())
    model.functions.add(name="f", node=[with_attribute(AttributeProto(t=external("in a function")))])
    model.training_info.add(algorithm=branch("in training"))
    assert external_files(model.SerializeToString()) == {"in a function", "in training"}


def test_other_files_name_none() -> None:
    assert external_files(tiny()) == set()
    assert external_files(b"furiosa-ir dfg 1 0 location") == set()
    assert external_files(b"\x20\0\0\0TFL3 location") == set()


@given(at=st.integers(0, 2**16), new=st.binary(max_size=3))
def test_damaged_models(at: int, new: bytes) -> None:
    """Never another error than ValueError, and an end; what onnx reads is read with the same result."""
    model = MODELS[3][0].SerializeToString()
    at %= len(model)
    changed = model[:at] + new + model[at + len(new) :] + b"location"
    try:
        found = external_files(changed)
    except ValueError:
        return
    assert all(name.encode() in changed for name in found)
