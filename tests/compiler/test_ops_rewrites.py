"""What ONNX Runtime rewrites before it computes is rewritten alike: pairs of quantization, types, transparent ops."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from tests.compiler.op_case import conv, reshape
from tests.compiler.quantized import Array, Builder, on_cpu, same
from tests.parity import current_onnxruntime

from furiosa.compiler import compile_model
from furiosa.isa import enf
from furiosa.isa.dtypes import DType
from furiosa.isa.encoding import decode
from furiosa.isa.instructions import Engine, Table

pytestmark = current_onnxruntime

Case = Callable[[Builder], tuple[str, ...]]
CASES: dict[str, Case] = {}


def case(name: str) -> Callable[[Case], Case]:
    def enter(build: Case) -> Case:
        CASES[name] = build
        return build

    return enter


def _zero(b: Builder, zero: int) -> int:
    return zero if b.dtype == "uint8" else zero - 128


@case("x * sigmoid(x)")
def _(b: Builder) -> tuple[str, ...]:
    x = b.qinput(1, 4, 6, 6)
    return (b.q(b.op("Mul", x, b.q(b.op("Sigmoid", x)))),)


@case("x * sigmoid(x) in float32")
def _(b: Builder) -> tuple[str, ...]:
    x = b.qinput(1, 4, 6, 6)
    return (b.q(b.op("Mul", x, b.op("Sigmoid", x))),)


@case("hard swish in float32, then a function")
def _(b: Builder) -> tuple[str, ...]:
    x = b.qinput(1, 4, 6, 6)
    clipped = b.op("Clip", b.op("Add", x, b.const(3.0)), b.const(0.0), b.const(6.0))
    return (b.q(b.op("LeakyRelu", b.op("Div", b.op("Mul", x, clipped), b.const(6.0)))),)


@case("tanh(x) - sigmoid(x), read twice")
def _(b: Builder) -> tuple[str, ...]:
    x = b.qinput(1, 4, 6, 6)
    bent = b.q(b.op("Tanh", x))
    return b.q(b.op("Sub", bent, b.q(b.op("Sigmoid", x)))), b.q(b.op("LeakyRelu", bent))


@case("x + x")
def _(b: Builder) -> tuple[str, ...]:
    x = b.qinput(1, 4, 6, 6)
    return (b.q(b.op("Add", x, x)),)


@case("two pairs of quantization")
def _(b: Builder) -> tuple[str, ...]:
    return (b.q(b.q(b.op("Relu", b.qinput(1, 4, 6, 6)), 0.013, 3), 0.02, 7),)


@case("three pairs of quantization")
def _(b: Builder) -> tuple[str, ...]:
    x = b.q(b.op("Relu", b.qinput(1, 4, 6, 6)), 0.02, _zero(b, 28))
    return (b.q(b.q(x, 0.013, _zero(b, 38)), 0.017, _zero(b, 18)),)


@case("two pairs, the second with two readers")
def _(b: Builder) -> tuple[str, ...]:
    x = b.q(b.q(b.op("Relu", b.qinput(1, 4, 6, 6)), 0.02, _zero(b, 28)), 0.013, _zero(b, 38))
    return b.q(b.op("Relu", x)), b.q(b.op("Sigmoid", x))


@case("two pairs, the first with two readers")
def _(b: Builder) -> tuple[str, ...]:
    x = b.q(b.op("Relu", b.qinput(1, 4, 6, 6)), 0.02, _zero(b, 28))
    return b.q(x, 0.013, _zero(b, 38)), b.q(b.op("Sigmoid", x))


@case("two pairs, the second is a result")
def _(b: Builder) -> tuple[str, ...]:
    return (b.quantize(b.q(b.op("Relu", b.qinput(1, 4, 6, 6)), 0.02, _zero(b, 28)), 0.013, _zero(b, 38)),)


def _quantized_weights(b: Builder, value: Array, axis: int | None) -> str:
    """A float32 constant, quantized by nodes, as after training that knows of the quantization."""
    over = None if axis is None else tuple(i for i in range(value.ndim) if i != axis)
    scale = np.asarray(np.abs(value).max(axis=over) / 63, np.float32)
    parameters = b.const(scale), b.const(np.zeros_like(scale), np.int8)
    along = {} if axis is None else {"axis": axis}
    stored = b.op("QuantizeLinear", b.const(value), *parameters, **along)
    return b.op("DequantizeLinear", stored, *parameters, **along)


@case("weights quantized by nodes")
def _(b: Builder) -> tuple[str, ...]:
    x = b.qinput(1, 4, 8, 8)
    a = b.op("Conv", x, _quantized_weights(b, b.normal(8, 4, 3, 3), 0))
    return b.q(a), b.q(b.op("Conv", x, _quantized_weights(b, b.normal(8, 4, 3, 3), None)))


@case("weights with a scale that nodes compute")
def _(b: Builder) -> tuple[str, ...]:
    weights = b.const(b.normal(8, 4, 3, 3))
    scale = b.op("Div", b.op("ReduceMax", b.op("Abs", weights), axes=[1, 2, 3], keepdims=0), b.const(63.0))
    parameters = scale, b.op("Cast", b.const(np.zeros(8)), to=onnx.TensorProto.INT8)
    stored = b.op("QuantizeLinear", weights, *parameters, axis=0)
    dequantized = b.op("DequantizeLinear", stored, *parameters, axis=0)
    return (b.q(b.op("Conv", b.qinput(1, 4, 8, 8), dequantized)),)


@case("weights transposed by a node, per channel")
def _(b: Builder) -> tuple[str, ...]:
    weights = b.op("Transpose", b.weight(b.normal(4, 6), 0), perm=[1, 0])
    return (b.q(b.op("Add", b.op("MatMul", b.qinput(2, 5, 6), weights), b.const(b.normal(4)))),)


@case("weights reshaped by nodes, per channel")
def _(b: Builder) -> tuple[str, ...]:
    x = b.qinput(1, 4, 8, 8)
    weights = b.op("Unsqueeze", reshape(b, b.weight(b.normal(8, 12), 0), 8, 4, 3), b.const([2], np.int64))
    return (b.q(b.op("Conv", x, weights)),)


@case("maxpool before conv unquantized")
def _(b: Builder) -> tuple[str, ...]:
    x = b.op("MaxPool", b.qinput(1, 4, 8, 8), kernel_shape=[2, 2])
    return (b.q(b.op("Conv", x, b.weight(b.normal(8, 4, 3, 3), 0))),)


@case("pad before conv unquantized")
def _(b: Builder) -> tuple[str, ...]:
    x = b.op("Pad", b.qinput(1, 4, 8, 8), b.const([0, 0, 1, 1, 0, 0, 1, 1], np.int64))
    return (b.q(b.op("Conv", x, b.weight(b.normal(8, 4, 3, 3), 0))),)


@case("transpose and reshape before matmul unquantized")
def _(b: Builder) -> tuple[str, ...]:
    x = reshape(b, b.op("Transpose", b.qinput(1, 4, 8, 8), perm=[0, 2, 3, 1]), 1, 8, 32)
    return (b.q(b.op("MatMul", x, b.weight(b.normal(32, 5)))),)


@case("flatten before gemm unquantized")
def _(b: Builder) -> tuple[str, ...]:
    return (b.q(b.op("Gemm", b.op("Flatten", b.qinput(1, 4, 8, 8)), b.weight(b.normal(256, 5)))),)


@case("a flattened tensor that is a result as well")
def _(b: Builder) -> tuple[str, ...]:
    x = b.q(b.op("Flatten", b.q(b.op("Relu", b.qinput(1, 4, 8, 8)))))
    return x, b.q(b.op("Gemm", x, b.weight(b.normal(256, 5))))


@case("conv quantized twice")
def _(b: Builder) -> tuple[str, ...]:
    x = conv(b, b.qinput(1, 4, 8, 8), (8, 4, 3, 3))
    return b.q(x), b.q(b.op("Relu", x))


@case("a result that is read as well")
def _(b: Builder) -> tuple[str, ...]:
    x = b.q(conv(b, b.qinput(1, 4, 8, 8), (8, 4, 3, 3)))
    return x, b.q(b.op("Relu", x))


@case("an integer result")
def _(b: Builder) -> tuple[str, ...]:
    return (b.quantize(conv(b, b.qinput(1, 4, 8, 8), (8, 4, 3, 3))),)


@case("an integer result that is read as well")
def _(b: Builder) -> tuple[str, ...]:
    q = b.quantize(conv(b, b.qinput(1, 4, 8, 8), (8, 4, 3, 3)))
    x = b.dequantize(q)
    return q, b.q(b.op("Add", x, x))


@case("the quantized input as a result")
def _(b: Builder) -> tuple[str, ...]:
    q = b.quantize(b.input(1, 4, 8, 8))
    return q, b.q(b.dequantize(q), 0.01, 3)


@case("two equal results")
def _(b: Builder) -> tuple[str, ...]:
    x = b.q(b.input(1, 4, 8, 8), 0.02, 5)
    return b.quantize(x, 0.02, 5), b.quantize(x, 0.02, 5)


@case("an integer input")
def _(b: Builder) -> tuple[str, ...]:
    x = b.input(1, 4, 8, 8, dtype=b.dtype)
    b.points[x] = (0.02, _zero(b, 131))
    return (b.q(conv(b, b.dequantize(x), (8, 4, 3, 3)), 0.05, _zero(b, 128)),)


@case("an integer input and an integer result")
def _(b: Builder) -> tuple[str, ...]:
    x = b.input(1, 4, 8, 8, dtype=b.dtype)
    b.points[x] = (0.02, _zero(b, 131))
    return (b.quantize(b.op("Sigmoid", b.dequantize(x)), 0.004, _zero(b, 0)),)


@case("weights that are quantized in the model")
def _(b: Builder) -> tuple[str, ...]:
    x, w = b.qinput(1, 3, 8, 8), b.q(b.const(b.normal(4, 3, 3, 3)), 0.02, _zero(b, 128))
    return (b.q(b.op("Conv", x, w)),)


@case("matmul of three axes with a bias")
def _(b: Builder) -> tuple[str, ...]:
    product = b.op("MatMul", b.qinput(2, 5, 6), b.weight(b.normal(6, 9)))
    return (b.q(b.op("Add", product, b.const(b.normal(9)))),)


@pytest.mark.parametrize("name", CASES)
def test_rewrite(name: str) -> None:
    for dtype in ("uint8", "int8"):
        b = Builder(dtype)
        assert on_cpu(same(b.model(*CASES[name](b)))) == {}


def _types(model: bytes) -> dict[str, DType]:
    graph = compile_model(model, target_ir="dfg").layers["dfg"]
    return {op.name: op.type.dtype for op in graph if op.kind not in ("const", "dequantize", "input")}


def test_int8_with_one_reader_is_stored_unsigned() -> None:
    b = Builder("int8")
    x = b.quantize(conv(b, b.qinput(1, 4, 8, 8), (8, 4, 3, 3)))
    once = b.quantize(b.op("Relu", b.dequantize(x)))
    assert _types(b.model(b.dequantize(once))) == {"q1": DType.U8, x: DType.U8, once: DType.U8}


def test_int8_with_two_readers_or_as_a_result_stays() -> None:
    b = Builder("int8")
    x = b.quantize(conv(b, b.qinput(1, 4, 8, 8), (8, 4, 3, 3)))
    real = b.dequantize(x)
    both = b.quantize(b.op("Add", real, real))
    assert _types(b.model(both)) == {"q1": DType.U8, x: DType.I8, both: DType.I8}


def test_integers_that_only_move_take_the_scale_of_their_neighbours() -> None:
    """MaxPool and Concat on integers between QLinear operators."""
    b = Builder(com_microsoft=1)
    s, z = b.const(0.02), b.const(100, np.uint8)
    x = b.op("MaxPool", b.quantize(b.input(1, 4, 8, 8), 0.02, 100), kernel_shape=[2, 2])
    x = b.op("Concat", x, b.op("Transpose", x, perm=[0, 1, 3, 2]), axis=1)
    y = b.op("QLinearGlobalAveragePool", x, s, z, s, z, domain="com.microsoft")
    assert on_cpu(same(b.model(b.op("DequantizeLinear", y, s, z)))) == {}


def test_integers_without_a_scale_stay_on_the_cpu() -> None:
    b = Builder()
    report = same(b.model(b.op("MaxPool", b.input(1, 4, 8, 8, dtype="uint8"), kernel_shape=[2, 2])))
    assert list(on_cpu(report).values()) == ["not_quantized"]


@pytest.mark.parametrize("name", ["x * sigmoid(x)", "x + x"])
def test_functions_of_one_tensor_are_one_look_up(name: str) -> None:
    builder = Builder()
    outputs = CASES[name](builder)
    (program,) = enf.load(compile_model(builder.model(*outputs)).enf).programs
    computing = [inst for inst in decode(program.code) if inst.engine is Engine.COMPUTE]
    assert [type(inst) for inst in computing] == [Table]
