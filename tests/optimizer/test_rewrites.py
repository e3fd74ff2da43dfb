"""Each rewrite: which operators are left of a small model, and that it computes the same."""

from __future__ import annotations

import pytest
from onnx import ModelProto, parser
from tests.optimizer.equivalence import assert_equivalent, kinds

IMAGE = "float[1,2,4,4] x"
WEIGHTS = "float[2,2,1,1] w = {0.5, -1, 2, 0.25}, float[1,2,1,1] narrow = {1, 2}"
CHANNELS = "float[2] b = {1, -1}, float[2] v = {0.5, 2}, float[1,2,1,1] c = {3, 4}, float[4,1] rows = {1, 2, 3, 4}"
SCALARS = "float zero = {0}, float one = {1}, float two = {2}, int64[1] axis = {0}, int64[1] wide = {9}"
OTHERS = "int64[4] half = {1, 2, 1, 1}, int64[4] twice = {1, 1, 2, 1}, int8[1,2,1,1] codes = {1, -2}"
GROUPS = "float[2,2,1,2] g = {1, 2, 3, 4, 5, 6, 7, 8}, float[4] b4 = {1, 2, 3, 4}"
MATRICES = "float[2,3] m = {1, 2, 3, 4, 5, 6}, float[3] b3 = {1, 2, 3}, float[3,1] column = {1, 2, 3}"
TABLES = "float[4,2] t = {1, 2, 3, 4, 5, 6, 7, 8}, float[3,4] l = {1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3}"
CONSTANTS = ", ".join((WEIGHTS, CHANNELS, SCALARS, GROUPS, MATRICES, TABLES, OTHERS))

CASES = [
    # batch normalization, into a convolution or apart
    (IMAGE, "a = Conv(x, w, b) y = BatchNormalization(a, v, b, b, v)", "Conv"),
    (IMAGE, "a = Conv(x, w) y = BatchNormalization(a, v, b, b, v)", "Conv"),
    (IMAGE, "a = ConvTranspose(x, w) y = BatchNormalization(a, v, b, b, v)", "ConvTranspose"),
    (IMAGE, "a = ConvTranspose<group=2>(x, g) y = BatchNormalization(a, b4, b4, b4, b4)", "ConvTranspose"),
    (IMAGE, "a = Conv(x, w) q = Identity(a) n = BatchNormalization(q, v, b, b, v) y = Relu(n)", "Conv Relu"),
    (IMAGE, "a = Conv(x, w) n = BatchNormalization(a, v, b, b, v) y = Add(n, a)", "Conv Mul Add Add"),
    (IMAGE, "n = BatchNormalization(x, v, b, b, v) y = Conv(n, w)", "Mul Add Conv"),
    (IMAGE, "h = GlobalAveragePool(x) u = Mul(w, h) a = Conv(x, u) y = BatchNormalization(a, v, b, b, v)",
     "GlobalAveragePool Mul Conv Mul Add"),
    (IMAGE, "h = ReduceMax<axes=[0, 2, 3], keepdims=0>(x) y = BatchNormalization(x, h, b, b, v)",
     "ReduceMax BatchNormalization"),
    ("float[3,2] x", "y = BatchNormalization(x, v, b, b, v)", "Mul Add"),
    ("float[5,2] x", "a = Gemm<alpha=0.5, beta=2.0>(x, m, b3) y = BatchNormalization(a, b3, b3, b3, b3)", "Gemm"),
    # arithmetic by channel
    (IMAGE, "a = Conv(x, w, v) p = Mul(a, c) y = Add(c, p)", "Conv"),
    (IMAGE, "a = Conv(x, w) p = Sub(c, a) q = Sub(p, two) y = Div(q, c)", "Conv"),
    (IMAGE, "a = Conv(x, w) p = Mul(a, c) y = Add(p, x)", "Conv Add"),
    (IMAGE, "a = Conv(x, w) y = Mul(a, rows)", "Conv Mul"),
    (IMAGE, "a = Conv(x, narrow) y = Mul(a, c)", "Conv Mul"),
    (IMAGE, "a = Div(x, rows) e = Div(a, zero) y = Relu(e)", "Mul Div Relu"),
    (IMAGE, "a = Conv(x, w) e = Exp(a) f = Conv(e, w) h = Abs(f) y = Div(two, h)", "Conv Exp Conv Abs Div"),
    ("float[5,2] x", "p = MatMul(x, m) y = Add(b3, p)", "Gemm"),
    ("float[5,2] x", "p = MatMul(x, m) a = Add(p, b3) y = Mul(a, b3)", "Gemm"),
    ("float[1,5,2] x", "p = MatMul(x, m) y = Add(p, b3)", "MatMul Add"),
    ("float[1,2] x", "p = MatMul(x, m) y = Add(p, column)", "MatMul Add"),
    # pads
    (IMAGE, "p = Constant<value_ints=[0,0,-1,0,0,0,0,-2]>() y = Pad(x, p)", "Slice"),
    (IMAGE, "p = Constant<value_ints=[0,0,-1,2,0,0,3,-2]>() y = Pad(x, p, two)", "Slice Pad"),
    (IMAGE, 'p = Constant<value_ints=[0,0,-1,2,0,0,1,-1]>() y = Pad<mode="reflect">(x, p)', "Slice Pad"),
    (IMAGE, 'p = Constant<value_ints=[0,0,-1,2,0,0,3,-1]>() y = Pad<mode="edge">(x, p)', "Slice Pad"),
    (IMAGE, "p = Constant<value_ints=[0,0,5,0,0,0,-4,0]>() y = Pad(x, p)", "Pad"),
    (IMAGE, "p = Constant<value_ints=[0,0,0,0,0,0,0,0]>() a = Pad(x, p) y = Relu(a)", "Relu"),
    (IMAGE, "p = Constant<value_ints=[0,0,1,0,0,0,2,3]>() a = Pad(x, p, zero) y = Conv<pads=[1,1,0,0]>(a, w)", "Conv"),
    (IMAGE, "p = Constant<value_ints=[0,0,1,0,0,0,2,-3]>() a = Pad(x, p) y = Conv(a, w)", "Slice Conv"),
    (IMAGE, "p = Constant<value_ints=[0,0,1,0,0,0,2,3]>() a = Pad(x, p, two) y = Conv(a, w)", "Pad Conv"),
    (IMAGE, 'p = Constant<value_ints=[0,0,1,0,0,0,2,3]>() a = Pad<mode="edge">(x, p) y = Conv(a, w)', "Pad Conv"),
    (IMAGE, 'p = Constant<value_ints=[0,0,1,0,0,0,2,3]>() a = Pad(x, p) y = Conv<auto_pad="SAME_UPPER">(a, w)',
     "Pad Conv"),
    (IMAGE, "p = Constant<value_ints=[1,0,1,0,0,0,2,3]>() a = Pad(x, p) y = Conv(a, w)", "Pad Conv"),
    # the slope of PRelu, constant or computed
    (IMAGE, "y = PRelu(x, c)", "Relu Mul Mul Add"),
    (IMAGE, "h = GlobalMaxPool(x) y = PRelu(x, h)", "GlobalMaxPool Relu Sub Mul Mul Add"),
    # a mean over all of an image
    (IMAGE, "y = ReduceMean<axes=[3, 2]>(x)", "GlobalAveragePool"),
    (IMAGE, "y = ReduceMean<axes=[-1, -2], keepdims=0>(x)", "GlobalAveragePool Flatten"),
    (IMAGE, "y = ReduceMean<axes=[3]>(x)", "ReduceMean"),
    ("float[2,3,4] x", "y = ReduceMean<axes=[2]>(x)", "ReduceMean"),
    # tables times matrices
    ("int64[3,2] x", "h = Gather(t, x) y = MatMul(h, m)", "Gather"),
    ("int64 x", "h = Gather<axis=-2>(t, x) y = MatMul(h, m)", "Gather"),
    ("int64[3] x", "h = Gather<axis=1>(t, x) y = MatMul(l, h)", "Gather"),
    ("int64[2,2] x", "h = Gather<axis=1>(m, x) y = MatMul(t, h)", "Gather MatMul"),
    ("int64[2] x", "h = Gather<axis=1>(t, x) y = MatMul(h, m)", "Gather MatMul"),
    ("int64[3] x", "h = Gather(t, x) p = MatMul(h, m) y = Concat<axis=1>(h, p)", "Gather Gather Concat"),
    # what does nothing
    (IMAGE, "a = Identity(x) b2 = Dropout(a) e = Cast<to=1>(b2) f = Sum(e) h = Concat<axis=1>(f) y = Relu(h)", "Relu"),
    (IMAGE, "a = Add(zero, x) e = Mul(a, one) f = Div(e, one) h = Sub(f, zero) i = Pow(h, two) y = Pow(i, one)", "Pow"),
    (IMAGE, "a = Sub(zero, x) y = Div(one, a)", "Sub Div"),
    (IMAGE, "a = Transpose<perm=[0,2,3,1]>(x) e = Transpose<perm=[0,3,1,2]>(a) y = Relu(e)", "Relu"),
    (IMAGE, "a = Transpose<perm=[0,2,3,1]>(x) y = Transpose<perm=[0,2,3,1]>(a)", "Transpose"),
    (IMAGE, "a = Transpose<perm=[0,2,3,1]>(x) y = Transpose<perm=[0,1,3,2]>(a)", "Transpose"),
    ("float[4] x", "k = Neg(axis) e = Sub(k, wide) d = Sub(e, wide) h = Constant<value_ints=[-1]>() "
     "y = Slice(x, wide, d, axis, h)", "Slice"),
    ("float[4] x", "a = Slice(x, axis, wide) y = Neg(a)", "Neg"),
    (IMAGE, "a = Flatten(x) e = Unsqueeze(a, axis) y = Squeeze(e)", "Reshape"),
    (IMAGE, "a = Relu(x) y, i = MaxPool<kernel_shape=[2,2]>(a)", "Relu MaxPool"),
    (IMAGE, "a = AveragePool<kernel_shape=[1,1]>(x) e = MaxPool<kernel_shape=[1,1]>(a) y = Relu(e)", "Relu"),
    (IMAGE, "y = MaxPool<kernel_shape=[1,1], strides=[2,2]>(x)", "MaxPool"),
    (IMAGE, "y, mask = Dropout(x) e = Not(mask) f = Cast<to=1>(e) z = Abs(f)", "Identity"),
    # what depends on no values
    (IMAGE, "s = Shape(x) a = Reshape(x, s) y = Relu(a)", "Relu"),
    (IMAGE, "s = Shape(x) f = Cast<to=1>(s) e = ReduceProd<keepdims=0>(f) y = Div(x, e)", "Mul"),
    (IMAGE, "s = Shape(x) d = Div(s, half) e = Mul(d, twice) a = Reshape(x, e) f = Abs(a) y = Reshape(f, s)",
     "Reshape Abs Reshape"),
    (IMAGE, "d = DequantizeLinear(codes, two) y = Add(x, d)", "DequantizeLinear Add"),
    (IMAGE, "r = RandomNormal<shape=[1]>() e = Mul(r, zero) y = Add(x, e)", "RandomNormal Mul Add"),
    (IMAGE, "unread = Mul(x, two) y = Abs(x)", "Abs"),
]  # fmt: skip


def model_of(inputs: str, nodes: str, opset: int = 13) -> ModelProto:
    return parser.parse_model(
        f'<ir_version: 8, opset_import: ["": {opset}]> g({inputs}) => (float[] y) <{CONSTANTS}> {{ {nodes} }}'
    )


@pytest.mark.parametrize(("inputs", "nodes", "left"), CASES)
def test_rewrite(inputs: str, nodes: str, left: str) -> None:
    assert kinds(assert_equivalent(model_of(inputs, nodes))) == left.split()
