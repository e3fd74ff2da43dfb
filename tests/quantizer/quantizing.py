"""Float models for the tests of the quantizer, their ranges, and what quantization makes of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import ModelProto, helper, numpy_helper
from tests.compiler.quantized import quiet, random_inputs
from tests.compiler.quantized import typed as with_types

from furiosa.quantizer.quantize import quantize_model

Array = NDArray[Any]
Ranges = dict[str, tuple[float, float]]
EVALUATED = 7
CALIBRATED = (1, EVALUATED)
"""Seeds of inputs: what is evaluated was seen, so that no range is too small."""


def model(
    graph: str, opset: int = 13, seed: int = 0, constants: Mapping[str, Any] | None = None, domains: str = "",
    **shapes: Sequence[int],
) -> ModelProto:  # fmt: skip
    """A graph in ONNX's text form; ``constants``: initializers by name; ``shapes``: those of random initializers.

    The types of outputs are found, whatever the text says. Random weights have the variance 1 / fan-in, so that values
    keep their size.
    """
    made = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : {opset}{domains}]> g {graph}')
    rng = np.random.default_rng(seed)
    values = {name: np.asarray(value) for name, value in (constants or {}).items()}
    for name, shape in shapes.items():
        fan_in = max(1, int(np.prod(shape[1:])))
        values[name] = (rng.standard_normal(shape) / np.sqrt(fan_in)).astype(np.float32)
    made.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in values.items())
    for value in made.graph.output:
        value.ClearField("type")
    return with_types(made)


def feeds(made: ModelProto, seed: int) -> dict[str, Array]:
    """Random values for the inputs that are not initializers; a symbolic size is 1."""
    constants = {tensor.name for tensor in made.graph.initializer}
    inputs = [value for value in made.graph.input if value.name not in constants]
    plain = []
    for value in inputs:
        copy = onnx.ValueInfoProto()
        copy.CopyFrom(value)
        for dim in copy.type.tensor_type.shape.dim:
            dim.dim_value = dim.dim_value or 1
        plain.append(copy)
    return random_inputs(plain, np.random.default_rng(seed))


def min_max(made: ModelProto) -> Ranges:
    """The range of every float tensor over a few random inputs, as ONNX Runtime computes them."""
    whole = onnx.ModelProto()
    whole.CopyFrom(made)
    given = {value.name for value in made.graph.output}
    names = {name for node in made.graph.node for name in node.output if name} - given
    whole.graph.output.extend(onnx.ValueInfoProto(name=name) for name in sorted(names))
    options = quiet()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(whole.SerializeToString(), options)
    found: Ranges = {}
    for seed in CALIBRATED:
        fed = feeds(made, seed)
        results = zip((value.name for value in session.get_outputs()), session.run(None, fed))
        for name, value in (*fed.items(), *results):
            if isinstance(value, np.ndarray) and value.dtype == np.float32:
                low, high = found.get(name, (np.inf, -np.inf))
                found[name] = min(low, float(value.min())), max(high, float(value.max()))
    return found


def quantized(made: ModelProto, **options: Any) -> ModelProto:
    """The int8 model of a float model, valid by ONNX's checker."""
    result = quantize_model(made, min_max(made), **options)
    onnx.checker.check_model(result, full_check=True)
    return result


def run(made: ModelProto, fed: Mapping[str, Array]) -> list[Array]:
    """The results of ONNX Runtime."""
    options = quiet()
    # Without it, sums of 8-bit products may saturate on x86 processors that have no VNNI.
    options.add_session_config_entry("session.x64quantprecision", "1")
    return list(ort.InferenceSession(made.SerializeToString(), options).run(None, dict(fed)))


def decibels(exact: Array, found: Array) -> float:
    """Signal to noise of ``found``; infinite when both are equal."""
    noise = float(np.square(exact.astype(np.float64) - found).sum())
    return float("inf") if noise == 0 else float(10 * np.log10(np.square(exact.astype(np.float64)).sum() / noise))


def skeleton(made: ModelProto) -> str:
    """The operators in order, Q for QuantizeLinear and D for DequantizeLinear; dequantized constants left out."""
    constants = {tensor.name for tensor in made.graph.initializer}
    short = {"QuantizeLinear": "Q", "DequantizeLinear": "D"}
    return " ".join(
        short.get(node.op_type, node.op_type) for node in made.graph.node
        if not (node.op_type == "DequantizeLinear" and node.input[0] in constants)
    )  # fmt: skip


def encoding(made: ModelProto, tensor: str) -> tuple[float, int]:
    """Scale and zero point of the tensor, as its QuantizeLinear has them."""
    nodes = [node for node in made.graph.node if f"{tensor}_quantized" in node.output]
    values = {each.name: numpy_helper.to_array(each) for each in made.graph.initializer}
    return float(values[nodes[0].input[1]]), int(values[nodes[0].input[2]])


def typed(values: Sequence[onnx.ValueInfoProto]) -> list[tuple[str, str]]:
    """Names and element types of inputs or outputs."""
    return [(value.name, helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type).name) for value in values]
