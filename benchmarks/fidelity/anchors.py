"""Published times of real devices, and the programs that our compiler makes of the same networks.

A folder holds ``anchors.json`` and the networks it names. Floating-point networks are quantized with a range of -1 to 1
for every tensor: what they compute is of no use, and does not matter, since time does not depend on data.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from furiosa.compiler import gir, lir
from furiosa.compiler.cluster import Cluster
from furiosa.compiler.pipeline import Run, Source
from furiosa.isa import cost
from furiosa.isa.instructions import Engine, Instruction
from furiosa.isa.target import Target, target
from furiosa.isa.timeline import schedule
from furiosa.quantizer import ModelEditor, TensorType, get_pure_input_names, quantize

Program = tuple[Instruction, ...]
Programs = Mapping[tuple[str, str], tuple[Program, ...]]
"""The programs of each network on each NPU."""

_MICROSECONDS = {"ns": 1e-3, "us": 1.0, "ms": 1e3}
_NEGLIGIBLE_NS = 500
# The device runs an average over windows as a depthwise convolution.
_CLASSES = {"LowLevelAveragePool2d": "LowLevelDepthwiseConv2d", "LowLevelGlobalAveragePool": "LowLevelDepthwiseConv2d"}


@dataclass(frozen=True, slots=True)
class Figure:
    """One published time of a network. ``run`` says that it is the sum of the operators, without waiting for I/O."""

    network: str
    npu: str
    metric: str
    published_us: float

    @property
    def run(self) -> bool:
        return self.metric == "npu_run"


@dataclass(frozen=True, slots=True)
class Breakdown:
    """Published times of a network's operators, by class, in microseconds; without those that take next to none."""

    network: str
    npu: str
    classes: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Anchors:
    """What was published, and where the networks lie."""

    figures: tuple[Figure, ...]
    breakdowns: tuple[Breakdown, ...]
    paths: Mapping[str, Path]

    @classmethod
    def read(cls, folder: Path) -> Anchors:
        """The figures of ``anchors.json``."""
        data = json.loads((folder / "anchors.json").read_text())
        figures = tuple(
            Figure(Path(row["model"]).stem, row["npu"], row["metric"], row["value"] * _MICROSECONDS[row["unit"]])
            for row in data["rows"] if row["batch"] == 1
        )  # fmt: skip
        breakdowns = tuple(
            Breakdown(Path(item["model"]).stem, item["npu"],
                      {c["op"]: c["total_ns"] / 1e3 for c in item["classes"] if c["total_ns"] > _NEGLIGIBLE_NS})
            for item in data["operator_breakdowns"]
        )  # fmt: skip
        return cls(figures, breakdowns, {Path(row["model"]).stem: folder / row["model"] for row in data["rows"]})


def clusters(path: Path) -> tuple[Cluster, ...]:
    """The NPU clusters of a network. Raises FuriosaError for one that the compiler does not read."""
    data = _quantized(onnx.load(path) if path.suffix == ".onnx" else _WRITTEN[path.stem]())
    run = Run(target("warboy"), lambda text: None)
    found = run.compile(Source(data, str(path), 1, path.parent), "onnx", "cdfg").clusters
    return tuple(cluster for cluster in found if cluster.device == "npu")


def compiled(parts: tuple[Cluster, ...], npu: Target) -> tuple[Program, ...]:
    """The programs of a network on an NPU."""
    return tuple(lir.linearize(gir.build(cluster, npu)).instructions for cluster in parts)


def modelled_us(programs: tuple[Program, ...], npu: Target, run: bool) -> float:
    """The modelled time of a network's programs, one after the other."""
    timelines = [schedule(program, npu) for program in programs]
    return npu.microseconds(sum(t.compute_cycles if run else t.cycles for t in timelines))


def modelled_classes_us(programs: tuple[Program, ...], npu: Target) -> dict[str, float]:
    """Modelled time of the tensor unit by class of operator."""
    found: defaultdict[str, float] = defaultdict(float)
    for program in programs:
        for inst, cycles in zip(program, cost.program_cycles(program, npu)):
            if inst.engine is Engine.COMPUTE:
                for part in cost.operators(inst, (0, cycles), npu):
                    found[_CLASSES.get(part.label, part.label)] += npu.microseconds(part.end - part.start)
    return found


def mnistnet() -> onnx.ModelProto:
    """The network of ``MNISTnet_uint8_quant_without_softmax.tflite``, layer by layer, without its weights."""
    nodes: list[onnx.NodeProto] = []
    constants: list[onnx.TensorProto] = []

    def layer(x: str, y: str, weights: tuple[int, ...], **attributes: Any) -> None:
        values = np.full(weights, 1 / np.prod(weights[1:]), np.float32)
        constants.append(onnx.numpy_helper.from_array(values, f"{y}_weights"))
        nodes.append(onnx.helper.make_node("Conv", [x, f"{y}_weights"], [f"{y}_sum"], f"{y}_conv", **attributes))
        nodes.append(onnx.helper.make_node("Relu", [f"{y}_sum"], [y], f"{y}_relu"))

    layer("images", "a", (32, 1, 3, 3), strides=[2, 2], pads=[0, 0, 1, 1])
    layer("a", "b", (32, 1, 3, 3), group=32, pads=[1, 1, 1, 1])
    layer("b", "c", (64, 32, 1, 1))
    layer("c", "d", (64, 1, 3, 3), group=64, strides=[2, 2], pads=[0, 0, 1, 1])
    layer("d", "e", (128, 64, 1, 1))
    nodes.append(onnx.helper.make_node("AveragePool", ["e"], ["f"], "f_pool", kernel_shape=[7, 7]))
    layer("f", "g", (10, 128, 1, 1))
    ends = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
            for name, shape in (("images", [1, 1, 28, 28]), ("g", [1, 10, 1, 1]))]  # fmt: skip
    graph = onnx.helper.make_graph(nodes, "mnistnet", ends[:1], ends[1:], constants)
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)], ir_version=8)


# Networks that are published as TFLite files.
_WRITTEN = {"mnistnet_uint8": mnistnet}


def _quantized(model: onnx.ModelProto) -> bytes:
    """The network in int8, with a uint8 image as input."""
    editor = ModelEditor(model)
    for name in get_pure_input_names(model):
        editor.convert_input_type(name, TensorType.UINT8)
    tensors = {value.name for value in model.graph.input} | {name for node in model.graph.node for name in node.output}
    return quantize(model, dict.fromkeys(tensors, (-1.0, 1.0)))
