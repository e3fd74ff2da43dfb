"""remove_lower, remove_unlower: tensors in the NPU's layout hold the same integers, and the host does nothing."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from tests.compiler.op_case import conv, of
from tests.compiler.quantized import Builder, random_inputs
from tests.compiler.quantized_nets import floats

from furiosa.compiler import compile_model, irfile
from furiosa.isa import enf
from furiosa.isa.errors import OptionError
from furiosa.runtime.interface import Axis, Model
from furiosa.runtime.sync import create_runner

Array = NDArray[Any]
BOTH: dict[str, object] = {"remove_lower": True, "remove_unlower": True}


def unlowered(kept: Array, shape: tuple[int, ...]) -> Array:
    """The integers of a kept tensor in the order of the model's shape, channels-first."""
    return kept[:, 0, 0].transpose(0, 2, 1, 3).reshape(shape)


def lowered(integers: Array) -> Array:
    """The inverse for an image."""
    return integers.transpose(0, 2, 1, 3)[:, None, None]


def quantization(model: bytes) -> tuple[tuple[float, int], tuple[float, int]]:
    """Scale and zero point of the input and of the result, as if they were int8."""
    graph = onnx.load_from_string(model).graph
    values = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    casts = [node for node in graph.node if node.op_type == "QuantizeLinear" and node.input[0] not in values]
    first, last = ((values[node.input[1]], values[node.input[2]]) for node in (casts[0], casts[-1]))
    points = [(float(scale), int(zero) - (128 if zero.dtype == np.uint8 else 0)) for scale, zero in (first, last)]
    return points[0], points[1]


CASES: dict[str, Callable[[Builder], str]] = {
    "a width of no multiple of 32": lambda b: b.q(conv(b, b.qinput(1, 3, 9, 10), (4, 3, 3, 3))),
    "a width of a multiple of 32": lambda b: b.q(conv(b, b.qinput(2, 3, 5, 32), (4, 3, 1, 1))),
    "a vector": lambda b: b.q(b.op("Flatten", b.q(b.op("GlobalAveragePool", b.qinput(1, 16, 7, 7))))),
    "a row of moves": lambda b: b.q(b.op("Transpose", b.qinput(1, 3, 4, 5), perm=[0, 2, 3, 1])),
}


@pytest.mark.parametrize("dtype", ["uint8", "int8"])
@pytest.mark.parametrize("name", CASES)
def test_the_same_integers(name: str, dtype: str) -> None:
    b = Builder(dtype)
    model = b.model(CASES[name](b))
    (x,) = random_inputs(b.inputs, np.random.default_rng(2)).values()
    (scale, zero), (to_scale, to_zero) = quantization(model)
    integers = np.clip(np.rint(x / np.float32(scale)) + zero, -128, 127).astype(np.int8)
    with create_runner(model, device="npu:0:0") as plain:
        (want,) = plain.run([x])
    with create_runner(model, device="npu:0:0", compiler_config=BOTH) as kept:
        (result,) = kept.run([lowered(integers)])
        (again,) = kept.run([np.asfortranarray(lowered(integers))])
    np.testing.assert_array_equal(result, again)
    real = (unlowered(result, want.shape).astype(np.int32) - to_zero).astype(np.float32) * np.float32(to_scale)
    np.testing.assert_array_equal(real, want)
    for layer in ("dfg", "ldfg", "cdfg", "gir", "lir"):
        ir = compile_model(model, "warboy", config=BOTH, target_ir=layer)
        assert compile_model(ir.data, target="warboy").enf == compile_model(model, "warboy", config=BOTH).enf


def test_what_users_see_of_it() -> None:
    b = Builder("uint8")
    compiled = enf.load(compile_model(b.model(CASES["a width of no multiple of 32"](b)), config=BOTH).enf)
    assert [type(step) for step in compiled.steps] == [enf.RunNpu]
    x, y = Model.of(compiled).input(0), Model.of(compiled).output(0)
    assert repr(x).endswith("shape=(1, 1, 1, 9, 3, 10), dtype=INT8, format=NHoCoHCW, size=864, len=270)")
    assert [y.dim(i) for i in range(y.ndim)] == [1, 1, 1, 7, 4, 8]
    assert [y.stride(i) for i in range(y.ndim)] == [896, 896, 896, 128, 32, 1]
    outer = [Axis.BATCH, Axis.HEIGHT_OUTER, Axis.CHANNEL_OUTER]
    assert [y.axis(i) for i in range(y.ndim)] == [*outer, Axis.HEIGHT, Axis.CHANNEL, Axis.WIDTH]
    assert y.size == 7 * 4 * 32 > y.length == 7 * 4 * 8


def test_older_sessions() -> None:
    """Tensors keep their padding in ``view`` and lose it in ``numpy``."""
    b = Builder("int8")
    model = b.model(CASES["a width of no multiple of 32"](b))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from furiosa.runtime import session

        with session.create(model, device="npu:0:0", compiler_config={"remove_unlower": True}) as sess:
            (output,) = sess.run(np.zeros((1, 3, 9, 10), np.float32))
    assert output.view().strides == (896, 896, 896, 128, 32, 1)
    assert output.numpy().strides == (224, 224, 224, 32, 8, 1)
    np.testing.assert_array_equal(output.view(), output.numpy())


def test_each_option_by_itself() -> None:
    b = Builder("uint8")
    model = b.model(CASES["a width of no multiple of 32"](b))
    for option, kept in (("remove_lower", ["inputs"]), ("remove_unlower", ["outputs"])):
        interface = Model.of(enf.load(compile_model(model, config={option: True}).enf))
        assert [name for name in ("inputs", "outputs") if getattr(interface, name)()[0].width] == kept


def test_only_what_the_npu_takes_and_gives() -> None:
    """A float network has no such tensor; an input that the CPU reads too, and what it makes, stay as they are."""
    assert compile_model(floats(), config=BOTH).enf == compile_model(floats()).enf
    b = Builder("uint8")
    x = b.input(1, 3, 9, 10)
    y = b.q(conv(b, b.q(x), (4, 3, 3, 3)))
    z, own = b.op("Sin", x), b.op("Cos", y)
    interface = Model.of(enf.load(compile_model(b.model(z, own, y), config=BOTH).enf))
    assert [desc.ndim for desc in (*interface.inputs(), *interface.outputs())] == [4, 4, 4, 6]


def test_tflite_images() -> None:
    """Their axes are those of the image, too, though the model has them channels-last."""
    pytest.importorskip("ai_edge_litert")
    from tests.compiler import tflite_cases

    model = tflite_cases.model("CONV_2D", "int8", 0)
    shape = Model.of(enf.load(compile_model(model).enf)).input(0).shape
    x = np.random.default_rng(1).integers(-128, 128, shape).astype(np.int8)
    with create_runner(model, device="npu:0:0") as plain:
        (want,) = plain.run([x])
    with create_runner(model, device="npu:0:0", compiler_config=BOTH) as kept:
        (result,) = kept.run([lowered(x.transpose(0, 3, 1, 2))])
    np.testing.assert_array_equal(result[:, 0, 0].transpose(0, 1, 3, 2), want)


def test_what_excludes_each_other() -> None:
    b = Builder("uint8")
    model = b.model(b.q(of("Relu", (1, 3, 4, 5))(b)))
    with pytest.raises(OptionError, match="`remove_lower` and `permute_input` exclude each other"):
        compile_model(model, config=BOTH | {"permute_input": [[0, 2, 3, 1]]})
    with pytest.raises(OptionError, match="the interface of an IR file is settled already: `remove_lower`"):
        compile_model(compile_model(model, target_ir="dfg").data, config=BOTH)
    assert b"keep_lowered=True" in irfile.dump("dfg", compile_model(model, config=BOTH).layers["dfg"])
