"""The deprecated API: tensors and arrays of them."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from tests.runtime.test_queue import DATA, X, value
from tests.runtime.tiny_models import SHAPE

from furiosa.runtime import Axis, DataType, TensorDesc

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from furiosa.runtime.errors import InvalidInput, TensorNameNotFound
    from furiosa.runtime.session import create
    from furiosa.runtime.tensor import Tensor, TensorArray, numpy_dtype, rand, zeros


def test_tensors() -> None:
    with create(DATA) as opened:
        tensors, others = opened.allocate_inputs(), opened.create_inputs()
        assert len(opened.allocate_outputs()) == len(opened.create_outputs()) == 1
        assert [tensor.name for tensor in opened.allocate_tensors(["y", "x"])] == ["y", "x"]
        with pytest.raises(TensorNameNotFound):
            opened.create_tensors(["z"])
    tensor = tensors[0]
    tensors[0] = value(4)
    assert tensors[0] is tensor
    assert np.array_equal(tensor.numpy(), value(4))
    assert not np.shares_memory(tensor.numpy(), tensor)
    assert np.shares_memory(tensor.view(), tensor)
    assert type(tensor.view()) is type(tensor.numpy()) is type(tensors.view()[0]) is np.ndarray
    others[-1] = value(4)
    assert (tensors[0] == others[0]) is (tensors[0] == tensors[0]) is True
    assert (tensors[0] != others[0]) is False
    others[0].copy_from(value(5))
    assert (tensors[0] != others[0]) is True
    assert (tensor == value(4)).all()
    assert (value(4) == tensor).shape == SHAPE
    np.testing.assert_array_equal(tensor, Tensor.of(value(4)))
    others[0:1] = [value(6)]
    assert others.numpy()[0].max() == 6
    assert type(tensors[0:1]) is list
    assert not tensors.is_empty()
    assert TensorArray().is_empty()
    for wrong in (X[0], X.astype(np.int8)):
        with pytest.raises(InvalidInput):
            tensors[0] = wrong
    with pytest.raises(IndexError):
        tensors[1] = X
    assert repr(tensors) == '{0: Tensor(name="x", shape=(1, 2, 4, 8), dtype=FLOAT32)}'
    assert repr(Tensor.of(np.zeros((1, 10), np.uint8))) == "Tensor(shape=(1, 10), dtype=UINT8)"
    transposed = Tensor.of(np.zeros((2, 3), np.int8).T)
    assert transposed.view().strides == (1, 3)
    assert transposed.numpy().strides == (2, 1)
    assert (tensor.numpy_dtype, tensor.quantization_parameter) == (np.float32, None)


def test_functions_of_descriptions() -> None:
    desc = TensorDesc("t", (3, 4), DataType.INT8, "??")
    for thing in (desc, desc.dtype, zeros(desc), np.int8(1), Tensor.of(zeros(desc))):
        assert numpy_dtype(thing) == np.int8
    with pytest.raises(TypeError):
        numpy_dtype("int8")
    assert zeros(desc).tolist() == [[0] * 4] * 3
    real = rand(TensorDesc("t", (100,), DataType.FLOAT32, "?"))
    assert real.dtype == np.float32
    assert 0 <= real.min() < real.max() < 1
    assert rand(desc).shape == (3, 4)
    assert create.__name__ == "create"
    assert Axis("N") is Axis.BATCH
