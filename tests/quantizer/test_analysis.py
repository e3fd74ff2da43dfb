"""The analysis of losses: its figures on models where they are known, and what excluding operators brings."""

from __future__ import annotations

import json
import math

import numpy as np
import onnx
import pytest
from onnx import ModelProto, helper, numpy_helper

from furiosa.isa.errors import ModelError, OptionError
from furiosa.quantizer import CalibrationMethod, Calibrator, quantize
from furiosa.quantizer.analysis import Analysis, analyze
from furiosa.quantizer.exclusion import explore
from furiosa.quantizer.report import to_html, to_json

Samples = list[list[np.ndarray]]


def network(factor: float = 1000) -> ModelProto:
    """A convolution, a Relu, and a convolution of which one channel is ``factor`` times as large as the others."""
    rng = np.random.default_rng(0)
    first = rng.standard_normal((8, 3, 3, 3)).astype(np.float32)
    second = rng.standard_normal((8, 8, 1, 1)).astype(np.float32)
    second[0] *= factor
    nodes = [
        helper.make_node("Conv", ["x", "w1"], ["a"], name="first", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["b"], name="bend"),
        helper.make_node("Conv", ["b", "w2"], ["c"], name="uneven"),
        helper.make_node("Sigmoid", ["c"], ["y"], name="end"),
    ]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes, "g", [value("x", 1, [1, 3, 8, 8])], [value("y", 1, [1, 8, 8, 8])],
        [numpy_helper.from_array(first, "w1"), numpy_helper.from_array(second, "w2")],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def samples(count: int = 4) -> Samples:
    rng = np.random.default_rng(1)
    return [[rng.standard_normal((1, 3, 8, 8)).astype(np.float32)] for _ in range(count)]


def ranges(model: ModelProto, data: Samples) -> dict[str, tuple[float, float]]:
    calibrator = Calibrator(model, CalibrationMethod.MIN_MAX_ASYM)
    calibrator.collect_data(data)
    return calibrator.compute_range()


@pytest.fixture(scope="module")
def analysis() -> Analysis:
    model = network()
    return analyze(model, quantize(model, ranges(model, samples())), samples())


def test_tensors_come_in_the_order_of_the_graph_with_their_nodes(analysis: Analysis) -> None:
    found = [(loss.tensor, loss.node, loss.operator) for loss in analysis.losses]
    assert found == [("x", "", ""), ("b", "bend", "Relu"), ("c", "uneven", "Conv"), ("y", "end", "Sigmoid")]
    assert analysis.samples == 4


def test_the_loss_of_an_input_is_that_of_its_rounding(analysis: Analysis) -> None:
    model, data = network(), samples()
    low, high = ranges(model, data)["x"]
    scale = np.float32((high - low) / 255)
    x = np.concatenate([sample[0].reshape(-1) for sample in data])
    zero = np.rint(-low / scale)
    near = (np.clip(np.rint(x / scale) + zero, 0, 255) - zero) * scale
    expected = 10 * np.log10(np.sum(np.square(x, dtype=np.float64)) / np.sum(np.square(x - near, dtype=np.float64)))
    loss = analysis.losses[0]
    assert loss.sqnr_db == pytest.approx(expected, abs=0.01)
    assert loss.alone_sqnr_db == pytest.approx(expected, abs=0.01)
    assert loss.cosine == pytest.approx(1, abs=1e-3)


def test_an_operator_alone_loses_no_more_than_behind_others(analysis: Analysis) -> None:
    for loss in analysis.losses[1:]:
        assert loss.alone_sqnr_db >= loss.sqnr_db - 0.1, loss


def test_codes_are_counted(analysis: Analysis) -> None:
    for loss in analysis.losses:
        codes = analysis.codes[loss.tensor]
        assert codes.sum() == 4 * {"x": 192}.get(loss.tensor, 512)
        assert loss.unused_codes == pytest.approx(np.mean(codes == 0))
    # Seven of eight channels lie within a thousandth of the range.
    assert next(loss for loss in analysis.losses if loss.tensor == "c").unused_codes > 0.4


def test_values_outside_of_the_range_are_clipped() -> None:
    model, data = network(), samples()
    narrow = ranges(model, data) | {"x": (-1.0, 1.0)}
    loss = analyze(model, quantize(model, narrow), data).losses[0]
    x = np.concatenate([sample[0].reshape(-1) for sample in data])
    assert loss.clipped == pytest.approx(np.mean(np.abs(x) > 1), abs=0.01)
    assert [loss.low, loss.high] == pytest.approx([-1, 1], abs=0.01)


def test_the_result_does_not_depend_on_the_order_of_samples(analysis: Analysis) -> None:
    model = network()
    again = analyze(model, quantize(model, ranges(model, samples())), samples()[::-1])
    for one, other in zip(analysis.losses, again.losses, strict=True):
        assert one.sqnr_db == pytest.approx(other.sqnr_db)
        assert np.array_equal(analysis.codes[one.tensor], again.codes[one.tensor])


def test_a_dataframe_has_a_row_for_each_tensor(analysis: Analysis) -> None:
    pytest.importorskip("pandas")
    frame = analysis.to_dataframe()
    assert list(frame["tensor"]) == ["x", "b", "c", "y"]
    assert frame["sqnr_db"].min() == min(loss.sqnr_db for loss in analysis.losses)


def test_leaving_the_worst_tensor_out_helps_and_costs() -> None:
    model, data = network(factor=1), samples()
    clipped = ranges(model, data) | {"b": (0.0, 0.5)}
    analysis = analyze(model, quantize(model, clipped), data)
    whole, *others = explore(model, clipped, data, analysis)
    assert (whole.nodes, whole.npu_clusters, whole.cpu_operators) == ((), 1, 0)
    assert len(others) == 3
    freed = next(each for each in others if each.nodes == ("bend", "uneven"))
    assert freed.cpu_operators >= 2
    assert freed.output_sqnr_db > whole.output_sqnr_db + 3


def test_reports(analysis: Analysis) -> None:
    content = json.loads(to_json(analysis, []))
    assert content["schema_version"] == 1
    assert [row["alone_sqnr_db"] for row in content["tensors"]] == sorted(
        loss.alone_sqnr_db for loss in analysis.losses
    )
    page = to_html(analysis, [], "a <b> & c")
    assert "<title>a &lt;b&gt; &amp; c</title>" in page
    assert "http" not in page
    assert page.count("<svg") == 2 * len(analysis.losses)


def test_what_is_exact_is_said_so() -> None:
    model = helper.make_model(
        helper.make_graph(
            [helper.make_node("MaxPool", ["x"], ["y"], kernel_shape=[2, 2], name="pool")], "g",
            [helper.make_tensor_value_info("x", 1, [1, 1, 4, 4])],
            [helper.make_tensor_value_info("y", 1, [1, 1, 3, 3])],
        ), opset_imports=[helper.make_opsetid("", 13)], ir_version=8,
    )  # fmt: skip
    x = np.arange(16, dtype=np.float32).reshape(1, 1, 4, 4)
    exact = analyze(model, quantize(model, {"x": (0, 255), "y": (0, 255)}), [[x]])
    assert {loss.sqnr_db for loss in exact.losses} == {math.inf}
    assert '"sqnr_db": null' in to_json(exact, [])
    assert "exact" in to_html(exact, [], "t")


def test_wrong_operands_are_named() -> None:
    model = network()
    quantized = quantize(model, ranges(model, samples()))
    with pytest.raises(OptionError, match="empty"):
        analyze(model, quantized, [])
    with pytest.raises(OptionError, match="input `x`"):
        analyze(model, quantized, [[np.zeros((1, 3, 8, 8))]])
    other = onnx.ModelProto()
    other.CopyFrom(model)
    for node in other.graph.node:
        for index, name in enumerate(node.output):
            node.output[index] = f"{name}:other"
        for index, name in enumerate(node.input):
            node.input[index] = f"{name}:other" if name in ("a", "b", "c", "x") else name
    for value in (*other.graph.input, *other.graph.output):
        value.name = f"{value.name}:other"
    for second in (quantized, model):
        with pytest.raises(ModelError, match="the second model is not the first one in int8"):
            analyze(other, second, [])
    with pytest.raises(ModelError, match="not an ONNX model") as caught:
        analyze(model, quantized[:-9], [])
    assert caught.value.where == "the quantized model"
