"""Other versions of the standard's operators: what can be said in opset 12 or 13 is, the rest is refused by name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import ModelProto, parser, shape_inference, version_converter
from tests.optimizer.equivalence import assert_equivalent, kinds
from tests.optimizer.random_models import models

from furiosa.optimizer import optimize_model

IMAGE = "float[1,4,6,6] x"
CONSTANTS = """<
    float[4] s = {1, 2, -1, 0.5}, float[4] v = {1, 2, 3, 0.5}, float[6] t = {1, 2, 3, 4, 5, 6},
    float[4,4,1,1] w = {1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3, 4, 5, 6, 7},
    int64[1] last = {-1}, int64[2] ends = {2, 3}, int64[2] swapped = {3, 2}, int64[0] none = {}, int64[1] one = {1},
    int64[4] pads = {1, -1, 2, 0}, int64[4] target = {1, 4, 36, 1}, int64[2] parts = {2, 4},
    float[2] twice = {2, 2}, int64[2] sizes = {3, 8}, float[4] scale4 = {1, 1, 2, 2}, int64[4] size4 = {1, 4, 3, 8},
    float scale = {0.05}, uint8 zero = {128}, float[4] scales = {0.1, 0.2, 0.3, 0.4}, uint8[4] zeros = {1, 2, 3, 4},
    float[1,3,3,2] grid = {1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0}, float[1,4] boxes = {0, 0, 3, 3}
>"""


def model_of(opset: int, inputs: str, nodes: str) -> ModelProto:
    header = f'<ir_version: 8, opset_import: ["": {opset}]>'
    return parser.parse_model(f"{header} g({inputs}) => (float[] y) {CONSTANTS} {{ {nodes} }}")


DOWN = [
    (14, IMAGE, "a = HardSwish(x) y = Relu(a)", "HardSigmoid Mul Relu"),
    (14, IMAGE, "a = Reshape<allowzero=1>(x, target) y = Add(a, a)", "Reshape Add"),
    (15, IMAGE, "a = BatchNormalization(x, s, s, s, v) y = Relu(a)", "Mul Add Relu"),
    (15, IMAGE, "a = Shape<start=1, end=3>(x) f = Cast<to=1>(a) m = ReduceProd<keepdims=0>(f) y = Mul(x, m)", "Mul"),
    (17, IMAGE, "y = LayerNormalization(x, t, t)", "ReduceMean Sub Mul ReduceMean Add Sqrt Div Mul Add"),
    (17, IMAGE, "y = LayerNormalization<axis=3, epsilon=0.1>(x, t)", "ReduceMean Sub Mul ReduceMean Add Sqrt Div Mul"),
    (17, IMAGE, "a, m, d = LayerNormalization(x, t, t) n = Mul(m, d) y = Add(a, n)",
     "ReduceMean Sub Mul ReduceMean Add Sqrt Div Mul Add Reciprocal Mul Add"),
    (18, IMAGE, "y = ReduceMean(x, last)", "ReduceMean"),
    (18, IMAGE, "y = ReduceMax<noop_with_empty_axes=1>(x, none)", "Identity"),
    (18, IMAGE, "y = ReduceL2<keepdims=0>(x)", "ReduceL2"),
    (18, IMAGE, "a, b = Split<axis=1, num_outputs=2>(x) y = Mul(a, b)", "Split Mul"),
    (18, "float[1,5] x", "a, b, c = Split<axis=1, num_outputs=3>(x) y = Concat<axis=1>(c, a)", "Split Concat"),
    (18, IMAGE, "y = Pad(x, pads, , ends)", "Slice Pad"),
    (18, IMAGE, "y = Pad(x, pads, scale, swapped)", "Slice Pad"),
    (18, IMAGE, 'y = Resize<axes=[2, 3], mode="linear">(x, , twice)', "Resize"),
    (18, IMAGE, 'y = Resize<axes=[3, 2], mode="nearest">(x, , , sizes)', "Resize"),
    (18, IMAGE, "y = Mish(x)", "Softplus Tanh Mul"),
    (19, IMAGE, "y = AveragePool<kernel_shape=[2, 2], dilations=[1, 1]>(x)", "AveragePool"),
    (19, IMAGE, "a = Cast<to=7, saturate=1>(x) y = Cast<to=1>(a)", "Cast Cast"),
    (20, IMAGE, "y = Gelu(x)", "Mul Erf Sum Mul Mul"),
    (20, IMAGE, 'y = Gelu<approximate="tanh">(x)', "Pow Mul Sum Mul Tanh Sum Mul Mul"),
    (21, IMAGE, "y = GroupNormalization<num_groups=2>(x, s, s)",
     "Reshape ReduceMean Mul ReduceMean Mul Sub Add Sqrt Sub Div Reshape Mul Add Reshape"),
    (21, IMAGE, "q = QuantizeLinear(x, scale, zero) y = DequantizeLinear(q, scale, zero)",
     "QuantizeLinear DequantizeLinear"),
    (22, IMAGE, "a = Conv(x, w, s) b = HardSigmoid(a) c = GlobalAveragePool(b) y = Dropout(c)",
     "Conv HardSigmoid GlobalAveragePool"),
]  # fmt: skip

DOWN_TO_12 = [
    (IMAGE, "y = Softmax(x)", "Softmax"),
    (IMAGE, "y = Softmax<axis=1>(x)", "Transpose Softmax Transpose"),
    (IMAGE, "y = LogSoftmax<axis=-2>(x)", "Transpose LogSoftmax Transpose"),
    (IMAGE, "y = ReduceSum(x, last)", "ReduceSum"),
    (IMAGE, "a = ReduceSum<noop_with_empty_axes=1>(x) y = Relu(a)", "Relu"),
    (IMAGE, "a, b = Split<axis=3>(x, parts) y = Concat<axis=3>(b, a)", "Split Concat"),
    (IMAGE, "a, b = Split<axis=1>(x) y = Add(a, b)", "Split Add"),
    (IMAGE, 'y = Resize<mode="linear">(x, , scale4)', "Resize"),
    (IMAGE, 'y = Resize<mode="nearest">(x, , , size4)', "Resize"),
    ("float[2,1,3] x", "y = Squeeze(x)", "Squeeze"),
    ("float[2,1,3] x", "a = Squeeze(x, one) e = Exp(a) y = Unsqueeze(e, last)", "Squeeze Exp Unsqueeze"),
    (IMAGE, "q = QuantizeLinear(x, scale, zero) y = DequantizeLinear(q, scale, zero)",
     "QuantizeLinear DequantizeLinear"),
    (IMAGE, "a = Relu(x) y = Add(a, x)", "Relu Add"),
]  # fmt: skip
UP = [
    (7, IMAGE, "a = Conv(x, w) y = Dropout(a)", "Conv"),
    (7, IMAGE, "y = Upsample<mode=\"linear\", scales=[1.0, 1.0, 2.0, 1.5]>(x)", "Resize"),
    (8, IMAGE, "a = BatchNormalization(x, s, s, s, v) y = MaxPool<kernel_shape=[2, 2]>(a)", "Mul Add MaxPool"),
    (9, IMAGE, "y = Upsample<mode=\"nearest\">(x, scale4)", "Resize"),
    (10, IMAGE, "y = Resize<mode=\"linear\">(x, scale4)", "Resize"),
    (10, IMAGE, "a = Clip<min=-1.0, max=1.0>(x) y = Pad<pads=[0, 0, 1, 1, 0, 0, 0, 0]>(a)", "Clip Pad"),
    (11, IMAGE, "y = Softmax<axis=1>(x)", "Flatten Softmax Reshape"),
    (12, "float[2,1,3] x", "a = Squeeze<axes=[1]>(x) b = Softmax<axis=1>(a) y = ReduceSum<axes=[0]>(b)",
     "Squeeze Softmax ReduceSum"),
]  # fmt: skip
REFUSED = [
    (14, 13, IMAGE, "y = Trilu(x)", "`Trilu` cannot be expressed in opset 13: it does not exist there"),
    (14, 13, "int32[3] x", "a = Relu(x) y = Cast<to=1>(a)", "op_type:Relu"),
    (15, 13, IMAGE, "y, m, u = BatchNormalization<training_mode=1>(x, s, s, s, v)", "its attribute `training_mode`"),
    (16, 13, IMAGE, "y = GridSample(x, grid)", "`GridSample` cannot be expressed in opset 13"),
    (16, 13, IMAGE, "y = RoiAlign(x, boxes, last)", "`RoiAlign` cannot be expressed in opset 13"),
    (18, 13, "float[2,3] x, int64[1] i", "y = ReduceSumSquare(x, i)", "`ReduceSumSquare` cannot"),
    (18, 13, IMAGE, 'y = Resize<antialias=1, mode="linear">(x, , scale4)', "its attribute `antialias`"),
    (19, 13, IMAGE, 'y = Resize<coordinate_transformation_mode="half_pixel_symmetric">(x, , scale4)', "its mode"),
    (19, 13, IMAGE, 'y = Pad<mode="wrap">(x, pads, , ends)', "its mode `wrap`"),
    (19, 13, IMAGE, "y = AveragePool<kernel_shape=[2, 2], dilations=[2, 2]>(x)", "its attribute `dilations`"),
    (13, 12, IMAGE, "q = QuantizeLinear(x, scales, zeros) y = DequantizeLinear(q, scales, zeros)", "for each channel"),
    (6, 13, IMAGE, "a = Greater(x, x) y = Cast<to=1>(a)", "Greater"),
]  # fmt: skip


@pytest.mark.parametrize(("opset", "inputs", "nodes", "left"), DOWN)
def test_down_to_13(opset: int, inputs: str, nodes: str, left: str) -> None:
    assert kinds(assert_equivalent(model_of(opset, inputs, nodes))) == left.split()


@pytest.mark.parametrize(("inputs", "nodes", "left"), DOWN_TO_12)
def test_down_to_12(inputs: str, nodes: str, left: str) -> None:
    assert kinds(assert_equivalent(model_of(13, inputs, nodes), opset_version=12)) == left.split()


@pytest.mark.parametrize(("opset", "inputs", "nodes", "left"), UP)
def test_up_to_13(opset: int, inputs: str, nodes: str, left: str) -> None:
    assert kinds(assert_equivalent(model_of(opset, inputs, nodes))) == left.split()


@pytest.mark.parametrize(("before", "after", "inputs", "nodes", "message"), REFUSED)
def test_refused(before: int, after: int, inputs: str, nodes: str, message: str) -> None:
    with pytest.raises(NotImplementedError) as caught:
        optimize_model(model_of(before, inputs, nodes), opset_version=after)
    assert message in str(caught.value)
    assert f"opset_version={after}" in str(getattr(caught.value, "hint", ""))


@given(model=models(), before=st.integers(13, 21), after=st.sampled_from((12, 13)))
def test_random_models_down(model: ModelProto, before: int, after: int) -> None:
    typed = shape_inference.infer_shapes(model, data_prop=True)
    assert_equivalent(version_converter.convert_version(typed, before), opset_version=after)
