"""The networks that are measured, as QDQ ONNX files: int8 weights per channel, activations uint8 unless named int8.

    python benchmarks/networks.py [--json] [--folder build/bench] [--networks digits,resnet50]

ResNet50 and SqueezeNet are the graphs that the `onnx` package ships as test data, with seeded random weights. Files are
made once and found again by name: delete the folder to make them anew. The others are in `architectures.py`.
"""

from __future__ import annotations

import logging
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper, version_converter

from architectures import ARCHITECTURES, IR_VERSION, OPSET
from report import arguments, column, emit

ROOT = Path(__file__).resolve().parents[1]
NAMES = ("digits", "squeezenet", "mobilenet_v1", "mobilenet_v2", "resnet50", "resnet50-int8", "yolo")
CALIBRATION_INPUTS = 3
_DIGITS = ROOT / "examples" / "digits"
_LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"

Floats = NDArray[np.float32]


def quantized(name: str, folder: Path) -> Path:
    """The quantized network ``name`` of `NAMES`; made in ``folder`` when it is not there yet."""
    graph, _, activations = name.partition("-")
    path = folder / f"{graph}-{activations or 'uint8'}.onnx"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as temporary:
            made = Path(temporary, path.name)
            if name == "digits":
                _quantize_digits(made)
            else:
                _quantize_graph(prepared(graph, folder), made, activations)
            made.replace(path)
    return path


def prepared(name: str, folder: Path) -> Path:
    """The float network, BatchNormalization folded into the convolutions, as everybody does who measures ONNX Runtime.

    Made in ``folder`` when it is not there yet.
    """
    path = folder / f"{name}-float.onnx"
    if not path.exists():
        from onnxruntime.quantization.shape_inference import quant_pre_process

        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as temporary:
            floats, made = Path(temporary, "float.onnx"), Path(temporary, path.name)
            onnx.save(_float_network(name), floats)
            quant_pre_process(floats, made, skip_symbolic_shape=True)
            made.replace(path)
    return path


def chain(operators: int, folder: Path) -> Path:
    """A chain of ``operators`` quantized operators, Relu and Add in turn, on a tensor of 1x16x8x8 elements."""
    path = folder / f"chain-{operators}.onnx"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".partial")
        onnx.save(_chain(operators), temporary)
        temporary.replace(path)
    return path


def random_inputs(model: Path, seed: int = 0) -> dict[str, Floats]:
    """Standard normal values for every input of a model with float32 inputs, by name."""
    rng = np.random.default_rng(seed)
    inputs = onnx.load(model, load_external_data=False).graph.input
    return {value.name: rng.standard_normal(_shape(value)).astype(np.float32) for value in inputs}


def _shape(value: onnx.ValueInfoProto) -> tuple[int, ...]:
    return tuple(dim.dim_value or 1 for dim in value.type.tensor_type.shape.dim)


def _quantize_digits(output: Path) -> None:
    subprocess.run([sys.executable, _DIGITS / "quantize.py", output, "--activations", "uint8"], check=True)


def _float_network(name: str) -> onnx.ModelProto:
    if name == "digits":
        return onnx.load(_DIGITS / "digits.onnx")
    if name in ARCHITECTURES:
        return ARCHITECTURES[name]()
    return with_random_weights(onnx.load(_LIGHT / f"light_{name}.onnx"), np.random.default_rng(0))


def _quantize_graph(model: Path, output: Path, activations: str) -> None:
    import onnxruntime
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class RandomInputs(CalibrationDataReader):  # type: ignore[misc]  # the base is untyped
        def __init__(self, model: Path) -> None:
            self._inputs: Iterator[dict[str, Floats]] = iter(
                [random_inputs(model, seed) for seed in range(CALIBRATION_INPUTS)]
            )

        def get_next(self) -> dict[str, Floats] | None:
            return next(self._inputs, None)

    onnxruntime.set_default_logger_severity(3)
    logging.getLogger().setLevel(logging.ERROR)
    quantize_static(
        model,
        output,
        RandomInputs(model),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QInt8 if activations == "int8" else QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )


def with_random_weights(model: onnx.ModelProto, rng: np.random.Generator) -> onnx.ModelProto:
    """The model with random initializers for its ConstantOfShape nodes, whose output is all zeros, in opset `OPSET`.

    Convolutions and matrices have the variance 2 / fan-in, so that values neither vanish nor explode with depth.
    """
    graph = model.graph
    shapes = {tensor.name: tensor for tensor in graph.initializer}
    constants = {node.output[0]: node.input[0] for node in graph.node if node.op_type == "ConstantOfShape"}
    nodes = [node for node in graph.node if node.op_type != "ConstantOfShape"]
    used = {name: (node.op_type, index) for node in nodes for index, name in enumerate(node.input)}
    weights = [
        numpy_helper.from_array(_weights(*used[name], numpy_helper.to_array(shapes[shape]).tolist(), rng), name)
        for name, shape in constants.items()
    ]
    needed = [tensor for tensor in graph.initializer if tensor.name in used]
    given = {tensor.name for tensor in graph.initializer}
    made = helper.make_graph(
        nodes, graph.name, [value for value in graph.input if value.name not in given], graph.output, needed + weights
    )
    plain = helper.make_model(made, opset_imports=model.opset_import, ir_version=IR_VERSION)
    converted = version_converter.convert_version(plain, OPSET)
    converted.ir_version = IR_VERSION
    return converted


def _weights(kind: str, index: int, shape: Sequence[int], rng: np.random.Generator) -> Floats:
    """Weights for input ``index`` of an operator."""
    values = rng.standard_normal(shape)
    if kind in ("Conv", "Gemm") and index == 1:
        values *= np.sqrt(2 / np.prod(shape[1:]))
    elif kind == "BatchNormalization" and index in (1, 4):  # scale and variance
        values = rng.uniform(0.5, 1.5, shape)
    else:
        values *= 0.1
    return values.astype(np.float32)


def _chain(operators: int) -> onnx.ModelProto:
    """Relu(x), then Add(x, constant), each between DequantizeLinear and QuantizeLinear with one scale for all."""
    constant = np.random.default_rng(0).integers(0, 3, (1, 16, 1, 1), np.uint8)
    initializers = [("scale", np.float32(0.05)), ("zero", np.uint8(128)), ("bias", constant), ("low", np.uint8(1))]
    nodes = [helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["q0"])]
    for index in range(operators):
        kind, dequantized = "Add" if index % 2 else "Relu", [f"d{index}"]
        nodes.append(helper.make_node("DequantizeLinear", [f"q{index}", "scale", "zero"], dequantized))
        if kind == "Add":
            nodes.append(helper.make_node("DequantizeLinear", ["bias", "scale", "low"], [f"b{index}"]))
            dequantized = [f"d{index}", f"b{index}"]
        nodes.append(helper.make_node(kind, dequantized, [f"f{index}"], name=f"{kind.lower()}{index}"))
        nodes.append(helper.make_node("QuantizeLinear", [f"f{index}", "scale", "zero"], [f"q{index + 1}"]))
    nodes.append(helper.make_node("DequantizeLinear", [f"q{operators}", "scale", "zero"], ["y"]))
    shape = [1, 16, 8, 8]
    graph = helper.make_graph(
        nodes,
        "chain",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in initializers],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)


def _row(name: str, path: Path) -> dict[str, Any]:
    model = onnx.load(path)
    operators = [node for node in model.graph.node if node.op_type not in ("QuantizeLinear", "DequantizeLinear")]
    return {"network": name, "file": str(path), "operators": len(operators), "bytes": path.stat().st_size}


def main() -> None:
    options = arguments("Make the networks that the benchmarks measure.", networks=NAMES).parse_args()
    rows = [_row(name, quantized(name, options.folder)) for name in options.networks]
    columns = [column("network"), column("file"), column("operators"), column("bytes")]
    emit("networks", {"networks": (columns, rows)}, {}, options)


if __name__ == "__main__":
    main()
