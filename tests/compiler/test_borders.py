"""The steps at the borders of the NPU are those of the SDK's performance guide, each border by itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import parser
from tests.compiler.op_case import conv
from tests.compiler.quantized import Builder, quiet, run_both

from furiosa.compiler import compile_model, irfile
from furiosa.isa import enf
from furiosa.runtime.profiler import profile
from furiosa.runtime.sync import create_runner


def network(*shape: int, image: bool, nhwc: bool = False) -> bytes:
    """A Conv of an input of this shape; its result is an image, or one value a channel."""
    b = Builder()
    x = b.qinput(*shape)
    x = b.q(b.op("Transpose", x, perm=[0, 3, 1, 2])) if nhwc else x
    y = b.q(conv(b, x, (8, 3, 3, 3), pads=[1, 1, 1, 1]))
    return b.model(y if image else b.q(b.op("GlobalAveragePool", y)))


def steps(report: dict[str, Any]) -> list[str]:
    """The layout steps with their devices, in order."""
    return [f"{row['op']} {row['device']}" for row in report["placement"] if row["reason_code"] == "boundary_layout"]


TAIL = ["Unlower cpu", "Dequantize cpu"]
SHOWN = ["Quantize", "Pad", "Slice", "Dequantize"]


NHWC, NCHW = [[0, 2, 3, 1]], [[0, 3, 1, 2]]


@pytest.mark.parametrize(("shape", "permute", "lower"), [
    ((1, 3, 224, 224), None, ["Lower npu"]),
    ((1, 3, 300, 300), None, ["Pad cpu", "Lower npu"]),
    ((1, 224, 224, 3), None, ["Lower cpu"]),
    ((1, 3, 224, 224), NHWC, ["Lower cpu"]),
    ((1, 224, 224, 3), NCHW, ["Lower npu"]),
    ((1, 300, 300, 3), NCHW, ["Pad cpu", "Lower npu"]),
    ((1, 3, 8, 9), None, ["Lower cpu"]),
])  # fmt: skip
def test_inputs_of_the_guide(shape: tuple[int, ...], permute: list[list[int]] | None, lower: list[str]) -> None:
    """Real numbers are quantized first, and uint8 becomes int8 in a step of the same name."""
    config: dict[str, object] = {} if permute is None else {"permute_input": permute}
    model = network(*shape, image=False, nhwc=shape[3] == 3)
    assert steps(compile_model(model, config=config).report) == ["Quantize cpu", *lower, *TAIL]
    bytes_ = of_bytes(model)
    assert steps(compile_model(bytes_, config=config).report) == ["Quantize cpu", *lower, *TAIL]
    unsigned = config | {"keep_unsignedness": True}
    assert steps(compile_model(bytes_, config=unsigned).report) == [*lower, *TAIL]


def test_uint8_costs_the_npu_nothing() -> None:
    """A convolution reads the int8 image: no instruction makes uint8 of it."""
    model = of_bytes(network(1, 3, 40, 64, image=True))
    signed, unsigned = (compile_model(model, config={"keep_unsignedness": keep}) for keep in (False, True))
    assert "npu.table" not in str(irfile.printed(signed.layers["ldfg"])[0])
    assert signed.report["npu_cycles"] == unsigned.report["npu_cycles"]


def mean(b: Builder, x: str) -> str:
    return b.op("AveragePool", x, kernel_shape=[3, 3], pads=[1, 1, 1, 1])


def square(b: Builder, x: str) -> str:
    return b.op("Mul", x, x)


def padded(b: Builder, x: str) -> str:
    return conv(b, b.q(b.op("Pad", x, b.const([0, 0, 1, 2, 0, 0, 2, 1], np.int64))), (4, 3, 3, 3))


def largest(b: Builder, x: str) -> str:
    return b.op("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])


def with_itself_turned(b: Builder, x: str) -> str:
    return b.op("Add", x, b.q(b.op("Transpose", x, perm=[0, 1, 3, 2])))


@pytest.mark.parametrize("body", [mean, square, padded, largest, with_itself_turned])
@pytest.mark.parametrize("kernels", ["reference", "best"])
@pytest.mark.parametrize("keep", [False, True])
def test_uint8_images(body: Any, kernels: str, keep: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Results are ONNX Runtime's, also where rounding depends on the integers that are stored."""
    if kernels == "reference":
        monkeypatch.setenv("FURIOSA_SIM_KERNELS", kernels)
    b = Builder()
    model = of_bytes(b.model(b.q(body(b, b.qinput(1, 3, 32, 32)))))
    x = np.random.default_rng(3).integers(0, 256, (1, 3, 32, 32), np.uint8)
    session = onnxruntime.InferenceSession(model, quiet())
    with create_runner(model, compiler_config={"keep_unsignedness": keep}) as runner:
        ours = runner.run(x)[0]
    np.testing.assert_array_equal(ours, session.run(None, {session.get_inputs()[0].name: x})[0])


@pytest.mark.parametrize("shape", [(1, 3, 40, 64), (1, 3, 40, 300), (1, 40, 64, 3), (2, 3, 8, 9)])
def test_uint8_on_every_way_to_the_npu(shape: tuple[int, ...]) -> None:
    ours, right, report = run_both(of_bytes(network(*shape, image=True, nhwc=shape[3] == 3)))
    assert steps(report)[0] == "Quantize cpu"
    assert all(np.array_equal(a, b) for a, b in zip(ours, right))


def test_profiles_show_the_steps_in_order() -> None:
    """Also the Quantize of uint8, which is done while the image is copied to the NPU."""
    model = of_bytes(network(1, 3, 40, 300, image=True))
    with profile() as profiler, create_runner(model) as runner:
        runner.run(np.zeros((1, 3, 40, 300), np.uint8))
    names = list(profiler.get_pandas_dataframe()["name"])
    assert [name for name in names if name in SHOWN] == SHOWN


def test_a_uint8_image_that_waits_for_the_cpu() -> None:
    """The NPU reads it behind a CPU cluster, together with what that gives."""
    b = Builder()
    image, other = b.qinput(1, 3, 32, 32), b.input(1, 4, 32, 32)
    both = b.op("Add", b.q(conv(b, image, (4, 3, 1, 1))), b.q(b.op("Sin", other)))
    ours, right, report = run_both(of_bytes(b.model(b.q(both))))
    assert report["cpu_clusters"] == 1
    assert all(np.array_equal(a, b) for a, b in zip(ours, right))


def of_bytes(model: bytes) -> bytes:
    """The same network of uint8, without the first QuantizeLinear."""
    proto = onnx.load_from_string(model)
    first = next(node for node in proto.graph.node if node.op_type == "QuantizeLinear")
    proto.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.UINT8
    proto.graph.input[0].name = first.output[0]
    proto.graph.node.remove(first)
    return bytes(proto.SerializeToString())


@pytest.mark.parametrize(("width", "expected"), [
    (64, ["Unlower npu", "Dequantize cpu"]), (300, ["Unlower npu", "Slice cpu", "Dequantize cpu"]), (9, TAIL)
])  # fmt: skip
def test_outputs(width: int, expected: list[str]) -> None:
    """The result equals ONNX Runtime's, whoever changes the layout."""
    ours, right, report = run_both(network(1, 3, 60, width, image=True))
    assert steps(report)[-len(expected) :] == expected
    assert all(np.array_equal(a, b) for a, b in zip(ours, right))


@pytest.mark.parametrize("shape", [(2, 3, 40, 200), (1, 1, 64, 96), (3, 3, 33, 64)])
def test_batches_and_odd_shapes(shape: tuple[int, ...]) -> None:
    b = Builder("int8")
    ours, right, report = run_both(b.model(b.q(conv(b, b.qinput(*shape), (5, shape[1], 3, 3), pads=[1] * 4))))
    assert "Lower npu" in steps(report)
    assert all(np.array_equal(a, b) for a, b in zip(ours, right))


def test_integers_need_no_step_of_the_host() -> None:
    """With uint8 on both sides, kept as it is, and widths of a multiple of 32, the host has nothing to do."""
    graph = parser.parse_model("""<ir_version: 8, opset_import: ["": 13]> g (uint8[1,3,32,64] x) => (uint8[1,3,32,64] y)
        <float s = {0.05}, uint8 z = {128}>
        { f = DequantizeLinear(x, s, z) p = MaxPool <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (f)
          y = QuantizeLinear(p, s, z) }""")
    kept, signed = (
        compile_model(graph.SerializeToString(), config={"keep_unsignedness": kept}) for kept in (True, False)
    )
    assert [type(step).__name__ for step in enf.load(kept.enf).steps] == ["RunNpu"]
    assert [type(step).__name__ for step in enf.load(signed.enf).steps] == ["Quantize", "RunNpu"]
    ours, right, _ = run_both(graph.SerializeToString())
    assert np.array_equal(ours[0], right[0])


def test_a_border_between_the_npu_and_the_cpu() -> None:
    b = Builder()
    x = b.q(b.op("Sin", b.q(b.op("Relu", b.qinput(1, 4, 20, 64)))))
    ours, right, report = run_both(b.model(b.q(b.op("MaxPool", x, kernel_shape=[2, 2]))))
    assert steps(report).count("Lower npu") == 2
    assert "Unlower npu" in steps(report)
    assert all(np.array_equal(a, b) for a, b in zip(ours, right))
