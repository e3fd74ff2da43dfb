"""Every operator of the quantizer's table: where quantization stands, what it costs, and that the NPU computes it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from tests.compiler.quantized import on_cpu, run_both
from tests.parity import current_onnxruntime
from tests.quantizer.quantizing import EVALUATED, decibels, feeds, model, quantized, run, skeleton

from furiosa.quantizer.schemes import SCHEMES

IMAGE = "(float[1,4,8,8] x) =>"


@dataclass(frozen=True)
class Case:
    """``expected``: the skeleton of the quantized model. ``npu``: the compiler places all of it on the NPU.

    ``decibels``: the least signal to noise against the float model.
    """

    graph: str
    expected: str
    npu: bool = True
    decibels: float = 28.0
    opset: int = 13
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    constants: dict[str, Any] = field(default_factory=dict)
    domains: str = ""


def ints(*values: int) -> Any:
    return np.array(values, np.int64)


def floats(*values: float) -> Any:
    return np.array(values, np.float32)


def one(node: str, expected: str = "", shape: str = "1,4,8,8", **options: Any) -> Case:
    """A node between its input x and the result y."""
    name = re.split(r"[ (<]", node)[0]
    return Case(f"(float[{shape}] x) => (float[N] y) {{ y = {node} }}", expected or f"Q D {name} Q D", **options)


def gelu(body: str, skeleton: str = "Gelu", npu: bool = True) -> Case:
    """A Gelu of ``a``, ``g``, in parts."""
    values = {"root": 2**0.5, "inverse": 0.5**0.5, "half": 0.5, "one": 1}
    return Case(
        f"{IMAGE} (float[N] y) {{ a = Sigmoid(x) {body} y = Sigmoid(g) }}",
        f"Q D Sigmoid Q D {skeleton} Q D Sigmoid Q D", npu=npu,
        constants={name: np.float32(value) for name, value in values.items()})  # fmt: skip


CONV = {"w": (6, 4, 3, 3), "b": (6,)}
CASES = {
    # --- products ---
    "conv": one("Conv <pads = [1,1,1,1]> (x, w, b)", shapes=CONV),
    "conv without bias": one("Conv (x, w)", shapes={"w": (6, 4, 3, 3)}),
    "conv relu": Case(f"{IMAGE} (float[N] y) {{ c = Conv(x, w, b) y = Relu(c) }}", "Q D Conv Relu Q D", shapes=CONV),
    "conv clip": Case(f"{IMAGE} (float[N] y) {{ c = Conv(x, w, b) y = Clip(c, lo, hi) }}", "Q D Conv Clip Q D",
                      shapes=CONV, constants={"lo": np.float32(0), "hi": np.float32(0.7)}),
    "conv relu clip": Case(f"{IMAGE} (float[N] y) {{ c = Conv(x, w, b) r = Relu(c) y = Clip(r, , hi) }}",
                           "Q D Conv Relu Clip Q D", shapes=CONV, constants={"hi": np.float32(0.7)}),
    "conv with two readers": Case(
        f"{IMAGE} (float[N] y) {{ c = Conv(x, w, b) r = Relu(c) y = Add(c, r) }}", "Q D Conv Q D Relu Q D Add Q D",
        shapes=CONV),
    "conv that is a result": Case(f"{IMAGE} (float[N] c, float[N] r) {{ c = Conv(x, w, b) r = Relu(c) }}",
                                  "Q D Conv Q D Relu Q D", shapes=CONV),
    "conv sigmoid": Case(f"{IMAGE} (float[N] y) {{ c = Conv(x, w, b) y = Sigmoid(c) }}", "Q D Conv Q D Sigmoid Q D",
                         shapes=CONV),
    "conv silu": Case(f"{IMAGE} (float[N] y) {{ c = Conv(x, w, b) s = Sigmoid(c) y = Mul(c, s) }}",
                      "Q D Conv Q D Sigmoid Q D Mul Q D", shapes=CONV),
    "depthwise conv": one("Conv <group = 4> (x, w)", shapes={"w": (4, 1, 3, 3)}),
    "grouped conv": one("Conv <group = 2> (x, w)", shapes={"w": (6, 2, 3, 3)}),
    "conv of one spatial axis": one("Conv (x, w, b)", shape="1,4,20", shapes={"w": (6, 4, 3), "b": (6,)}),
    "conv of computed weights": Case(
        f"{IMAGE} (float[N] y) {{ v = ReduceMax<axes = [0], keepdims = 1>(x) y = Conv(x, v) }}",
        "Q D ReduceMax Q D Conv Q D", npu=False),
    "convtranspose": one("ConvTranspose <strides = [2,2]> (x, w, b)", npu=False,
                         shapes={"w": (4, 6, 3, 3), "b": (6,)}),
    "gemm": one("Gemm <transB = 1> (x, w, b)", shape="2,16", shapes={"w": (5, 16), "b": (5,)}),
    "gemm with factors": one("Gemm <alpha = 0.5, beta = 2.0> (x, w, b)", shape="2,16",
                             shapes={"w": (16, 5), "b": (5,)}),
    "gemm with a scalar bias": one("Gemm (x, w, b)", shape="2,16", shapes={"w": (16, 5), "b": ()}),
    "gemm with a bias a row": one("Gemm (x, w, b)", shape="2,16", shapes={"w": (16, 5), "b": (2, 5)}, npu=False),
    "gemm relu": Case("(float[2,16] x) => (float[N] y) { c = Gemm(x, w, b) y = Relu(c) }", "Q D Gemm Relu Q D",
                      shapes={"w": (16, 5), "b": (5,)}),
    "matmul": one("MatMul(x, w)", "Q D Gemm Q D", shape="3,16", shapes={"w": (16, 5)}),
    "matmul add": Case("(float[3,16] x) => (float[N] y) { m = MatMul(x, w) y = Add(m, b) }", "Q D Gemm Q D",
                       shapes={"w": (16, 5), "b": (5,)}),
    "matmul of three axes": one("MatMul(x, w)", "Q D MatMul Q D", shape="2,3,16", shapes={"w": (16, 5)}),
    "matmul add of three axes": Case("(float[2,3,16] x) => (float[N] y) { m = MatMul(x, w) y = Add(b, m) }",
                                     "Q D MatMul Add Q D", shapes={"w": (16, 5), "b": (5,)}),
    "matmul add relu": Case("(float[2,3,16] x) => (float[N] y) { m = MatMul(x, w) a = Add(m, b) y = Relu(a) }",
                            "Q D MatMul Add Relu Q D", shapes={"w": (16, 5), "b": (5,)}),
    "matmul with a vector": one("MatMul(x, w)", "Q D MatMul Q D", shape="3,16", shapes={"w": (16,)}, npu=False),
    "matmul with a batch of weights": one("MatMul(x, w)", "Q D MatMul Q D", shape="2,3,16", shapes={"w": (2, 16, 5)},
                                          npu=False),
    "matmul of a constant": one("MatMul(w, x)", "Q D MatMul Q D", shape="16,3", shapes={"w": (5, 16)}, npu=False),
    "matmul of activations": Case("(float[2,3,8] a, float[2,8,4] b) => (float[N] y) { y = MatMul(a, b) }",
                                  "Q D Q D MatMul Q D", npu=False),
    # --- folded ---
    "conv batchnormalization relu": Case(
        f"{IMAGE} (float[N] y) {{ c = Conv(x, w, b) n = BatchNormalization(c, g, o, m, v) y = Relu(n) }}",
        "Q D Conv Relu Q D", shapes=CONV, constants={
            "g": floats(1, 2, .5, 1, -1, .1), "o": floats(0, .1, .2, .3, .4, .5), "m": floats(.1, .1, 0, 0, 0, .2),
            "v": floats(1, 2, 3, .5, .25, 1)}),
    "conv without bias, batchnormalization": Case(
        f"{IMAGE} (float[N] y) {{ c = Conv(x, w) y = BatchNormalization(c, g, o, m, v) }}", "Q D Conv Q D",
        shapes={"w": (2, 4, 3, 3)}, constants={
            "g": floats(1, 2), "o": floats(0, .1), "m": floats(.1, .1), "v": floats(1, 2)}),
    "grouped convtranspose, batchnormalization": Case(
        f"{IMAGE} (float[N] y) {{ c = ConvTranspose<group = 2>(x, w) y = BatchNormalization(c, g, o, m, v) }}",
        "Q D ConvTranspose Q D", npu=False, shapes={"w": (4, 2, 3, 3)}, constants={
            "g": floats(1, 2, 3, 4), "o": floats(0, .1, 1, 2), "m": floats(.1, .1, 0, 0), "v": floats(1, 2, 3, 4)}),
    "gemm batchnormalization": Case(
        "(float[2,16] x) => (float[N] y) { c = Gemm(x, w) y = BatchNormalization(c, g, o, m, v) }", "Q D Gemm Q D",
        shapes={"w": (16, 2)}, constants={
            "g": floats(1, 2), "o": floats(0, .1), "m": floats(.1, .1), "v": floats(1, 2)}),
    "conv mul add": Case(
        f"{IMAGE} (float[N] y) {{ c = Conv(x, w, b) m = Mul(c, k) y = Add(m, o) }}", "Q D Conv Q D",
        shapes={**CONV, "k": (6, 1, 1), "o": (1, 6, 1, 1)}),
    "conv divided and subtracted": Case(
        f"{IMAGE} (float[N] y) {{ c = Conv(x, w, b) m = Div(c, k) y = Sub(o, m) }}", "Q D Conv Q D",
        shapes=CONV, constants={"k": np.float32(3), "o": np.float32(0.5)}),
    "mul add": Case(f"{IMAGE} (float[N] y) {{ m = Mul(x, k) y = Add(m, o) }}", "Q D BatchNormalization Q D",
                    shapes={"k": (4, 1, 1), "o": (4, 1, 1)}),
    # --- several tensors ---
    "add": Case("(float[1,4,8,8] a, float[1,4,8,8] b) => (float[N] y) { y = Add(a, b) }", "Q D Q D Add Q D"),
    "add relu": Case("(float[1,4,8,8] a, float[1,4,8,8] b) => (float[N] y) { s = Add(a, b) y = Relu(s) }",
                     "Q D Q D Add Relu Q D"),
    "add to itself": one("Add(x, x)"),
    "sub": Case("(float[1,4,8,8] a, float[1,4,1,1] b) => (float[N] y) { y = Sub(a, b) }", "Q D Q D Sub Q D"),
    "mul": Case("(float[1,4,8,8] a, float[1,4,1,1] b) => (float[N] y) { y = Mul(a, b) }", "Q D Q D Mul Q D"),
    "sum of two": Case("(float[1,4,8,8] a, float[1,4,8,8] b) => (float[N] y) { y = Sum(a, b) }", "Q D Q D Add Q D"),
    "sum of three": Case(
        "(float[1,4,8,8] a, float[1,4,8,8] b, float[1,4,8,8] c) => (float[N] y) { y = Sum(a, b, c) }",
        "Q D Q D Q D Sum Q D", npu=False),
    "mean of two": Case("(float[1,4,8,8] a, float[1,4,8,8] b) => (float[N] y) { y = Mean(a, b) }",
                        "Q D Q D Mean Q D", npu=False),
    "add of a scalar": one("Add(x, k)", constants={"k": np.float32(0.3)}),
    "mul of channels": one("Mul(k, x)", shapes={"k": (4, 1, 1)}),
    "add of an image": one("Add(x, k)", shapes={"k": (8, 8)}),
    "division by a constant": one("Div(x, k)", "Q D Mul Q D", constants={"k": np.float32(0.3)}),
    "mul of an expanded gate": Case(
        "(float[1,4,8,8] a, float[1,4,1,1] b) => (float[N] y) { e = Expand(b, s) y = Mul(a, e) }", "Q D Q D Mul Q D",
        constants={"s": ints(1, 4, 8, 8)}),
    "concat": Case("(float[1,4,8,8] a, float[1,2,8,8] b) => (float[N] y) { y = Concat<axis = 1>(a, b) }",
                   "Q D Q D Concat Q D"),
    "concat with a constant": one("Concat<axis = 1>(x, k)", npu=False, shapes={"k": (1, 4, 8, 8)}),
    # --- functions ---
    "relu": one("Relu(x)"),
    "clip": one("Clip(x, lo, hi)", constants={"lo": np.float32(-0.5), "hi": np.float32(0.7)}),
    "sigmoid": one("Sigmoid(x)"),
    "tanh": one("Tanh(x)"),
    "leakyrelu": one("LeakyRelu<alpha = 0.1>(x)"),
    "hardsigmoid": one("HardSigmoid(x)"),
    "hardswish": one("HardSwish(x)", opset=14),
    "prelu of one slope": one("PRelu(x, k)", "Q D LeakyRelu Q D", constants={"k": floats(0.2)}),
    "prelu": one("PRelu(x, k)", npu=False, shapes={"k": (4, 1, 1)}),
    "elu": one("Elu(x)", npu=False),
    "celu": one("Celu(x)", npu=False),
    "selu": one("Selu(x)", npu=False),
    "erf": one("Erf(x)", npu=False),
    "exp": one("Exp(x)", npu=False),
    "log": Case("(float[1,4,8,8] x) => (float[N] y) { e = Exp(x) y = Log(e) }", "Q D Exp Q D Log Q D", npu=False,
                decibels=5),
    "softplus": one("Softplus(x)", npu=False),
    "softsign": one("Softsign(x)", npu=False),
    "mish": one("Mish(x)", npu=False, opset=18),
    "gelu": one("Gelu(x)", npu=False, opset=20),
    "gelu of com.microsoft": Case(f"{IMAGE} (float[1,4,8,8] y) {{ y = com.microsoft.Gelu(x) }}", "Q D Gelu Q D",
                                  npu=False, domains=', "com.microsoft": 1'),
    "thresholdedrelu": one("ThresholdedRelu(x)", npu=False),
    "pow": one("Pow(x, k)", npu=False, constants={"k": np.float32(2)}),
    "sqrt": Case("(float[1,4,8,8] x) => (float[N] y) { e = Exp(x) y = Sqrt(e) }", "Q D Exp Q D Sqrt Q D", npu=False,
                 decibels=20),
    "batchnormalization": one("BatchNormalization(x, g, o, m, v)", constants={
        "g": floats(1, 2, 3, 4), "o": floats(0, .1, 1, 2), "m": floats(.1, .1, 0, 0), "v": floats(1, 2, 3, 4)}),
    "softmax": Case("(float[2,16] x) => (float[N] y) { m = Mul(x, k) y = Softmax<axis = 1>(m) }",
                    "Q D Mul Q D Softmax Q D", constants={"k": np.float32(6)}),
    "softmax of many alike": Case("(float[2,64] x) => (float[N] y) { t = Tanh(x) y = Softmax<axis = 1>(t) }",
                                  "Q D Tanh Q D Softmax", npu=False),
    "lpnormalization": one("LpNormalization<axis = 1>(x)", npu=False),
    "reducesum": one("ReduceSum(x, k)", npu=False, constants={"k": ints(1)}),
    "reducel2": one("ReduceL2<axes = [1]>(x)", npu=False),
    # --- pools ---
    "maxpool": one("MaxPool<kernel_shape = [2,2], strides = [2,2]>(x)"),
    "averagepool": one("AveragePool<kernel_shape = [2,2], strides = [2,2]>(x)"),
    "globalaveragepool": one("GlobalAveragePool(x)", decibels=15),
    "globalmaxpool": one("GlobalMaxPool(x)", npu=False),
    "mean of the image": one("ReduceMean<axes = [2,3]>(x)", "Q D GlobalAveragePool Q D", decibels=15),
    "mean of the image without its axes": one("ReduceMean<axes = [2,3], keepdims = 0>(x)",
                                              "Q D GlobalAveragePool Q D Flatten Q D", decibels=15),
    "mean of the image, opset 18": one("ReduceMean<keepdims = 0>(x, k)", "Q D GlobalAveragePool Q D Flatten Q D",
                                       constants={"k": ints(-1, -2)}, opset=18, decibels=15),
    # --- moves ---
    "reshape": one("Reshape(x, k)", constants={"k": ints(1, -1)}),
    "flatten": one("Flatten(x)"),
    "transpose": one("Transpose<perm = [0,2,3,1]>(x)"),
    "squeeze": one("Squeeze(x, k)", constants={"k": ints(0)}),
    "unsqueeze": one("Unsqueeze(x, k)", shape="4,8,8", constants={"k": ints(0)}),
    "pad": one("Pad(x, k)", constants={"k": ints(0, 0, 1, 1, 0, 0, 1, 1)}),
    "pad with a value": one("Pad(x, k, v)", constants={"k": ints(0, 0, 1, 1, 0, 0, 1, 1), "v": np.float32(0.5)}),
    "pad before a maximum": Case(
        f"{IMAGE} (float[N] y) {{ p = Pad(x, k, v) y = MaxPool<kernel_shape = [3,3]>(p) }}", "Q D Pad Q D MaxPool Q D",
        constants={"k": ints(0, 0, 1, 1, 0, 0, 1, 1), "v": np.float32(-np.inf)}),
    "pad by reflection": one('Pad<mode = "reflect">(x, k)', npu=False, constants={"k": ints(0, 0, 1, 1, 0, 0, 1, 1)}),
    "slice": one("Slice(x, k, l)", npu=False, constants={"k": ints(0, 1), "l": ints(1, 3)}),
    "split": Case(f"{IMAGE} (float[N] a, float[N] b) {{ a, b = Split<axis = 1>(x) }}", "Q D Split Q D Q D", npu=False),
    "expand": one("Expand(x, k)", shape="1,4,1,1", npu=False, constants={"k": ints(1, 4, 3, 3)}),
    "tile": one("Tile(x, k)", npu=False, constants={"k": ints(1, 1, 2, 2)}),
    "gather": one("Gather<axis = 1>(x, k)", npu=False, constants={"k": ints(2, 0)}),
    "depthtospace": one("DepthToSpace<blocksize = 2>(x)", npu=False),
    "spacetodepth": one("SpaceToDepth<blocksize = 2>(x)", npu=False),
    "resize to the nearest": one("Resize(x, , k)", npu=False, constants={"k": floats(1, 1, 2, 2)}),
    "resize linear": one('Resize<mode = "linear">(x, , k)', npu=False, constants={"k": floats(1, 1, 2, 2)}),
    "resize cubic": one('Resize<mode = "cubic">(x, , k)', npu=False, constants={"k": floats(1, 1, 2, 2)}),
    "identity at the end": Case(f"{IMAGE} (float[N] y) {{ r = Relu(x) y = Identity(r) }}", "Q D Relu Q D Identity Q D"),
    "identity inside": Case(f"{IMAGE} (float[N] y) {{ c = Conv(x, w, b) i = Identity(c) y = Relu(i) }}",
                            "Q D Conv Relu Q D", shapes=CONV),
    "dropout": Case(f"{IMAGE} (float[N] y) {{ d = Dropout(x) y = Relu(d) }}", "Q D Relu Q D"),
    "dropout at the end": Case(f"{IMAGE} (float[N] y) {{ r = Relu(x) y = Dropout(r) }}", "Q D Relu Q D Dropout Q D"),
    "moves that change nothing": Case(
        f"{IMAGE} (float[N] y) {{ a = Slice(x, k, e) b = Reshape(a, s) c = Pad(b, p) y = Relu(c) }}", "Q D Relu Q D",
        constants={"k": ints(0), "e": ints(9), "s": ints(1, 4, 8, 8), "p": ints(*[0] * 8)}),
    # --- float32 ---
    "layer normalization": one("LayerNormalization(x, k)", "LayerNormalization", shapes={"k": (8,)}, opset=17),
    "layer normalization between": Case(
        f"{IMAGE} (float[N] y) {{ a = Relu(x) n = LayerNormalization(a, k) y = Relu(n) }}",
        "Q D Relu Q D LayerNormalization Relu", shapes={"k": (8,)}, opset=17, npu=False),
    "layer normalization written out": Case(
        f"""{IMAGE} (float[N] y) {{ a = Sigmoid(x) m = ReduceMean<axes = [-1]>(a) d = Sub(a, m) p = Pow(d, two)
            v = ReduceMean<axes = [-1]>(p) e = Add(v, eps) s = Sqrt(e) q = Div(d, s) f = Mul(q, k) o = Add(f, b)
            y = Sigmoid(o) }}""",
        "Q D Sigmoid Q D ReduceMean Sub Pow ReduceMean Add Sqrt Div Mul Add Q D Sigmoid Q D", npu=False,
        shapes={"k": (8,), "b": (8,)}, constants={"two": np.float32(2), "eps": np.float32(1e-5)}),
    "layer normalization of tokens written out": Case(
        """(float[1,4,8] x) => (float[N] y) { a = Sigmoid(x) m = ReduceMean<axes = [-1]>(a) d = Sub(a, m)
            p = Pow(d, two) v = ReduceMean<axes = [-1]>(p) e = Add(v, eps) s = Sqrt(e) q = Div(d, s)
            y = Sigmoid(q) }""",
        "Q D Sigmoid Q D ReduceMean Sub Pow ReduceMean Add Sqrt Div Q D Sigmoid Q D", npu=False,
        constants={"two": np.float32(2), "eps": np.float32(1e-5)}),
    "gelu written out, halved at last": gelu(
        "d = Div(a, root) e = Erf(d) p = Add(e, one) m = Mul(a, p) g = Mul(m, half)"),
    "gelu written out, halved at first": gelu(
        "h = Mul(half, a) d = Mul(a, inverse) e = Erf(d) p = Add(one, e) g = Mul(p, h)"),
    "gelu written out, its factor halved": gelu(
        "d = Mul(inverse, a) e = Erf(d) p = Add(e, one) h = Mul(p, half) g = Mul(h, a)"),
    "gelu of another width": gelu("d = Mul(a, half) e = Erf(d) p = Add(e, one) m = Mul(a, p) g = Mul(m, half)",
                                  "Mul Erf Add Mul Mul", npu=False),
    "gelu whose parts are read": gelu(
        "d = Div(a, root) e = Erf(d) p = Add(e, one) m = Mul(a, p) k = Mul(m, half) g = Add(k, p)",
        "Mul Q D Erf Q D Add Q D Gelu Q D Add"),
    "normalization by a norm written out": Case(
        f"""{IMAGE} (float[N] y) {{ a = Relu(x) n = ReduceL2<axes = [1]>(a) c = Clip(n, eps) e = Expand(c, s)
            y = Div(a, e) }}""",
        "Q D Relu Q D LpNormalization Q D", constants={"eps": np.float32(1e-12), "s": ints(1, 4, 8, 8)}),
    "normalization by a root of squares written out": Case(
        f"""{IMAGE} (float[N] y) {{ a = Relu(x) m = Mul(a, a) n = ReduceSum(m, k) e = Add(n, eps) r = Sqrt(e)
            y = Div(a, r) }}""",
        "Q D Relu Q D LpNormalization Q D", constants={"eps": np.float32(1e-12), "k": ints(1)}),
    "normalization by a root of powers with a bound": Case(
        f"""{IMAGE} (float[N] y) {{ a = Relu(x) m = Pow(a, two) n = ReduceSum(m, k) e = Max(eps, n) r = Sqrt(e)
            y = Div(a, r) }}""",
        "Q D Relu Q D LpNormalization Q D",
        constants={"eps": np.float32(1e-12), "k": ints(-1), "two": np.float32(2)}),
    "normalization by a root of squares and one that matters": Case(
        f"""{IMAGE} (float[N] y) {{ a = Relu(x) m = Mul(a, a) n = ReduceSum(m, k) e = Add(n, eps) r = Sqrt(e)
            d = Div(a, r) y = Relu(d) }}""",
        "Q D Relu Q D Mul ReduceSum Add Sqrt Div Relu", npu=False, constants={"eps": np.float32(1e-3), "k": ints(1)}),
    "normalization by a norm with a bound that matters": Case(
        f"{IMAGE} (float[N] y) {{ a = Relu(x) n = ReduceL2<axes = [1]>(a) c = Max(n, eps) d = Div(a, c) y = Relu(d) }}",
        "Q D Relu Q D ReduceL2 Max Div Relu", npu=False, constants={"eps": np.float32(0.1)}),
    "what only divides": Case(
        f"""{IMAGE} (float[N] y) {{ a = Sigmoid(x) p = Mul(a, a) m = ReduceMean<axes = [1]>(p) e = Add(m, eps)
            s = Sqrt(e) r = Reciprocal(s) y = Mul(a, r) }}""",
        "Q D Sigmoid Q D Mul ReduceMean Add Sqrt Reciprocal Q D Mul Q D", npu=False,
        constants={"eps": np.float32(1e-6)}),
    "what divides and is divided": Case(
        f"{IMAGE} (float[N] y) {{ a = Sigmoid(x) b = Exp(x) c = Add(a, b) d = Div(b, c) y = Sigmoid(d) }}",
        "Q D Sigmoid Exp Q D Add Div Q D Sigmoid Q D", npu=False),
    "as many as were found": Case(
        """(float[1,4,8,8] x, int64[1,4,8,8] k) => (float[N] y) { a = Relu(x) n = NonZero(k) t = Transpose(n)
            g = GatherND(a, t) s = Sigmoid(g) y = Mul(s, two) }""",
        "Q D Relu Q D NonZero Transpose GatherND Sigmoid Mul", npu=False, constants={"two": np.float32(2)}),
    "between float operators": Case(
        f"{IMAGE} (float[N] y) {{ a = Sigmoid(x) b = Sin(a) c = Add(b, one) d = Mul(c, c) y = Sin(d) }}",
        "Q D Sigmoid Q D Sin Add Mul Sin", npu=False, constants={"one": np.float32(1)}),
    "moves of a float tensor": Case(f"{IMAGE} (float[N] y) {{ a = Sin(x) b = Transpose(a) y = Cos(b) r = Relu(x) }}",
                                    "Sin Transpose Cos"),
    "moves into an int8 operator": Case(f"{IMAGE} (float[N] y) {{ a = Sin(x) b = Transpose(a) y = Sigmoid(b) }}",
                                        "Sin Q D Transpose Q D Sigmoid Q D", npu=False),
    "scaled sizes of a shape": Case(
        f"""{IMAGE} (float[N] y) {{ s = Shape(x) f = Cast<to = 1>(s) g = Mul(f, k) t = Cast<to = 7>(g)
            r = Relu(x) y = Resize(r, , , t) }}""",
        "Q D Shape Cast Mul Cast Relu Q D Resize Q D", npu=False, constants={"k": floats(1, 1, 2, 2)}),
}  # fmt: skip
NOTHING = {"layer normalization", "moves of a float tensor"}


def build(case: Case) -> Any:
    return model(case.graph, case.opset, constants=case.constants, domains=case.domains, **case.shapes)


@pytest.mark.parametrize("name", [name for name in CASES if name not in NOTHING])
def test_operator(name: str) -> None:
    case = CASES[name]
    made = build(case)
    result = quantized(made)
    assert skeleton(result) == case.expected
    fed = feeds(made, EVALUATED)
    for exact, found in zip(run(made, fed), run(result, fed), strict=True):
        assert decibels(exact, found) >= case.decibels


@current_onnxruntime
@pytest.mark.parametrize("name", [name for name in CASES if CASES[name].npu and name not in NOTHING])
def test_npu_computes_what_onnxruntime_does(name: str) -> None:
    want, have, report = run_both(quantized(build(CASES[name])).SerializeToString())
    assert on_cpu(report) == {}
    assert report["npu_clusters"] <= 1  # a change of shape alone needs no instruction
    for ours, theirs in zip(have, want, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_every_operator_of_the_table_has_a_case() -> None:
    used = {node.op_type for name in CASES for node in build(CASES[name]).graph.node}
    assert set(SCHEMES) <= used


def test_what_is_zero_divided_by_its_norm_stays_zero() -> None:
    made = model(
        """(float[2,8] x) => (float[N] y)
           { a = Relu(x) n = ReduceL2<axes = [1]>(a) c = Clip(n, eps) e = Expand(c, s) y = Div(a, e) }""",
        constants={"eps": np.float32(1e-12), "s": ints(2, 8)},
    )
    x = np.concatenate([feeds(made, EVALUATED)["x"][:1], -np.ones((1, 8), np.float32)])
    for exclude in ((), ("Div",)):
        (found,) = run(quantized(made, exclude=exclude), {"x": x})
        assert np.isfinite(found).all()
        assert not found[1].any()


def test_a_gelu_with_an_excluded_part_stays_in_parts() -> None:
    made = build(CASES["gelu written out, halved at last"])
    assert skeleton(quantized(made, exclude=("Erf",))) == "Q D Sigmoid Q D Mul Erf Add Mul Mul Q D Sigmoid Q D"
