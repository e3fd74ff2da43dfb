"""permute_input: an input in another order of its axes gives the same bits, and NHWC leaves the host nothing to do."""

from __future__ import annotations

import re
from itertools import permutations
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from tests.compiler.quantized import random_inputs
from tests.compiler.quantized_nets import Net, floats, mixed, resnet, tiny

from furiosa.compiler import compile_model
from furiosa.isa import enf
from furiosa.isa.errors import OptionError
from furiosa.runtime.interface import Model
from furiosa.runtime.sync import create_runner

NHWC, NCHW = [0, 2, 3, 1], [0, 3, 1, 2]


def transposing() -> bytes:
    """A network that takes NHWC in uint8 and begins with a Transpose, as exporters of channels-last models write it."""
    net = Net()
    scale, zero = net.constant(net.scale, np.float32), net.constant(120, np.uint8)
    x = net.op("Transpose", net.op("DequantizeLinear", "x", scale, zero), perm=NCHW)
    model = onnx.load_from_string(net.model(net.head(net.conv(x, 3, 4), 4, 3), (1, 6, 10, 3), "nhwc", (1, 3)))
    model.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.UINT8
    return bytes(model.SerializeToString())


def integer(element: int) -> bytes:
    """A network that takes uint8 or int8 in NCHW."""
    net = Net()
    zero = net.constant(10, onnx.helper.tensor_dtype_to_np_dtype(element))
    x = net.op("DequantizeLinear", "x", net.constant(net.scale, np.float32), zero)
    model = onnx.load_from_string(net.model(net.conv(x, 3, 4), (1, 3, 6, 10), "integer", (1, 4, 6, 10)))
    model.graph.input[0].type.tensor_type.elem_type = element
    return bytes(model.SerializeToString())


def pair() -> bytes:
    """Two inputs of different rank, one of them read by the CPU and by the NPU."""
    text = """<ir_version: 8, opset_import: ["": 17]> pair (float[2, 3, 4] a, float[2, 6] b) => (float[2, 3, 4] y,
        float[3, 2, 4] z, float[2, 6] u) { y = Sin(a)  z = Transpose<perm = [1, 0, 2]>(a)  u = Exp(b) }"""
    return bytes(onnx.parser.parse_model(text).SerializeToString())


def outputs(compiled: bytes, inputs: list[NDArray[Any]]) -> list[NDArray[Any]]:
    with create_runner(compiled, device="npu:0:0") as runner:
        return runner.run(inputs)


def check(model: bytes, axes: list[list[int]], batch_size: int = 1) -> enf.Enf:
    """Feed the permuted inputs to the permuted model, and the same inputs to the model itself; the permuted ENF."""
    feeds = list(random_inputs(list(onnx.load_from_string(model).graph.input), np.random.default_rng(3)).values())
    feeds = [np.concatenate([feed] * batch_size) for feed in feeds]
    plain = compile_model(model, target="warboy", batch_size=batch_size)
    permuted = compile_model(model, target="warboy", batch_size=batch_size, config={"permute_input": axes})
    given = [np.ascontiguousarray(feed.transpose(order)) for feed, order in zip(feeds, axes)]
    loaded = enf.load(permuted.enf)
    assert [desc.shape for desc in Model.of(loaded).inputs()] == [array.shape for array in given]
    for want, have in zip(outputs(plain.enf, feeds), outputs(permuted.enf, given), strict=True):
        assert want.dtype == have.dtype
        np.testing.assert_array_equal(have, want)
    for layer in ("dfg", "ldfg", "gir"):
        ir = compile_model(model, "warboy", batch_size, {"permute_input": axes}, target_ir=layer)
        assert compile_model(ir.data, target="warboy").enf == permuted.enf
    return loaded


def moved(compiled: enf.Enf) -> list[tuple[int, ...]]:
    """The shapes for which Lower moves bytes."""
    return [s.nchw for s in compiled.steps if isinstance(s, enf.Lower) and s.nchw[1] > 1 and s.nchw[2] * s.nchw[3] > 1]


@pytest.mark.parametrize("model", [tiny(), resnet(16, 8), mixed(), integer(2), integer(3)])
def test_nhwc_leaves_nothing_to_move(model: bytes) -> None:
    plain = compile_model(model, target="warboy")
    turned = [row["device"] for row in plain.report["placement"] if row["op"] == "Lower"]
    assert moved(enf.load(plain.enf)) or "npu" in turned
    compiled = check(model, [NHWC])
    assert all(nchw[1] != 3 for nchw in moved(compiled))
    assert Model.of(compiled).input(0).format == "NHWC"
    assert [step for step in compiled.steps if isinstance(step, enf.RunCpu)] == [] or b"Sin" in compiled.cpu_models[0]


@pytest.mark.parametrize("axes", [list(axes) for axes in permutations(range(4))])
def test_every_order(axes: list[int]) -> None:
    compiled = check(integer(2), [axes])
    assert Model.of(compiled).input(0).format == "".join("NCHW"[axis] for axis in axes)
    assert not any(isinstance(step, enf.RunCpu) for step in compiled.steps)


def test_batches() -> None:
    assert enf.load(compile_model(tiny(), batch_size=3, config={"permute_input": [NHWC]}).enf).tensors[0].shape == (
        3, 8, 8, 3,
    )  # fmt: skip
    check(tiny(), [NHWC], batch_size=3)


def test_a_model_that_takes_nhwc_can_take_nchw() -> None:
    assert moved(check(transposing(), [[0, 1, 2, 3]])) == []  # its own Transpose costs nothing either
    compiled = check(transposing(), [NCHW])
    assert moved(compiled) == [(1, 3, 6, 10)]
    assert not any(isinstance(step, enf.RunCpu) for step in compiled.steps)


def test_what_the_cpu_runs() -> None:
    check(floats(), [NHWC])
    check(pair(), [[2, 0, 1], [1, 0]])


def test_nothing_permuted_is_the_same_program() -> None:
    config: dict[str, object] = {"permute_input": [[0, 1, 2, 3]]}
    assert compile_model(tiny(), config=config).enf == compile_model(tiny()).enf


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "compiler option `permute_input` has 0 lists of axes, the model 1 inputs"),
        ([NHWC, NHWC], "compiler option `permute_input` has 2 lists of axes, the model 1 inputs"),
        ([0, 2, 3, 1], "compiler option `permute_input` has 4 lists of axes, the model 1 inputs"),
        (NHWC[:1], "gives 0 for input `x`, which is no permutation of [0, 1, 2, 3]"),
        ([[0, 2, 1]], "gives [0, 2, 1] for input `x`, which is no permutation of [0, 1, 2, 3]"),
        ([[0, 2, 3, 4]], "gives [0, 2, 3, 4] for input `x`, which is no permutation of"),
        ([[0, 2, 3, 3]], "gives [0, 2, 3, 3] for input `x`, which is no permutation of"),
        ([[0, 2, 3, -3]], "gives [0, 2, 3, -3] for input `x`, which is no permutation of"),
        ([[0, 2, 3, True]], "gives [0, 2, 3, True] for input `x`, which is no permutation of"),
        ([["0", 2, 3, 1]], "gives ['0', 2, 3, 1] for input `x`, which is no permutation of"),
        ([None], "gives None for input `x`, which is no permutation of"),
        ("0231", "compiler option `permute_input` must be list, not str"),
    ],
)
def test_faults(given: object, message: str) -> None:
    with pytest.raises(OptionError, match=re.escape(message)) as caught:
        compile_model(tiny(), config={"permute_input": given})
    assert caught.value.hint is None or "`x` (4 axes)" in caught.value.hint or "every axis" in caught.value.hint


def test_what_cannot_be_permuted() -> None:
    text = '<ir_version: 8, opset_import: ["": 17]> g (float[2, 3] x) => (float[2, 3] x, float[2, 3] y) { y = Sin(x) }'
    model = bytes(onnx.parser.parse_model(text).SerializeToString())
    with pytest.raises(OptionError, match="options cannot change `x`: it is an output too"):
        compile_model(model, config={"permute_input": [[1, 0]]})
    with pytest.raises(OptionError, match="the interface of an IR file is settled already"):
        compile_model(compile_model(tiny(), target_ir="dfg").data, config={"permute_input": [NHWC]})
