"""A whole model from the GIR on: the steps of one inference, and the programs and CPU models that they run."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from furiosa.compiler import gir, lir
from furiosa.compiler.borders import Raw
from furiosa.compiler.cdfg import Clusters
from furiosa.compiler.cluster import Cluster
from furiosa.compiler.effort import DEFAULT_EFFORT, Effort
from furiosa.compiler.frontend.node import Permuted
from furiosa.compiler.gir.program import Gir
from furiosa.compiler.graph import Op, with_inputs
from furiosa.compiler.kept_layout import FORMAT, Kept
from furiosa.compiler.limits import check_program
from furiosa.compiler.lir.program import Lir
from furiosa.compiler.lowlevel import KINDS
from furiosa.compiler.placement import placement
from furiosa.isa import enf
from furiosa.isa.dtypes import DType
from furiosa.isa.target import Target

P = TypeVar("P", Gir, Lir)


@dataclass(frozen=True, slots=True)
class Module(Generic[P]):
    """What an ENF holds, with the programs in GIR or LIR form. ``placement`` is JSON text, see ``placement.py``.

    ``effort`` is what the schedules were made with.
    """

    target: str
    batch_size: int
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    tensors: tuple[enf.Tensor, ...]
    steps: tuple[enf.Step, ...]
    programs: tuple[P, ...]
    cpu_models: tuple[bytes, ...]
    placement: str
    effort: Effort = DEFAULT_EFFORT


def build(model: Clusters, target: Target, effort: Effort) -> Module[Gir]:
    """Every NPU cluster tiled and allocated; every other cluster as a step of the host."""
    names = dict(zip(model.graph.outputs, model.graph.output_names))
    given = {op.inputs[0]: op for op in model.graph if op.kind == "unlower" and isinstance(op.attrs, Raw)}
    tensors: dict[str, enf.Tensor] = {}
    steps: list[enf.Step] = []
    programs: list[Gir] = []
    cpu_models: list[bytes] = []
    named = model.graph.framework != "tflite"
    images = "NCHW" if named else "NHWC"

    def name(op: Op) -> str:
        op = op.inputs[0] if op.kind == "lower" and isinstance(op.attrs, Raw) else given.get(op, op)
        own = names.get(op) or (f"{op.name}:lowered" if op.kind in KINDS else op.name)
        width = op.attrs.width if isinstance(op.attrs, Kept) else 0
        tensors[own] = enf.Tensor(own, op.type.shape, op.type.dtype, _format(op, images), named, width)
        return own

    inputs = tuple(name(op) for op in model.graph.inputs)
    for cluster in model.clusters:
        reads, writes = tuple(map(name, cluster.inputs)), tuple(map(name, cluster.outputs))
        if cluster.device == "npu":
            steps.append(enf.RunNpu(len(programs), reads, writes))
            programs.append(check_program(gir.build(cluster, target, effort), target))
        elif cluster.device == "cpu":
            from furiosa.compiler.cpu_model import to_onnx

            steps.append(enf.RunCpu(len(cpu_models), reads, writes))
            cpu_models.append(to_onnx(_renamed(cluster, names)))
        elif not isinstance(cluster.ops[-1].attrs, Raw):
            steps.append(_host_step(cluster.ops[-1], reads[0], writes[0]))
    outputs = tuple(name(op) for op in model.graph.outputs)
    return Module(target.name, model.graph.batch_size, inputs, outputs, tuple(tensors.values()), tuple(steps),
                  tuple(programs), tuple(cpu_models), json.dumps(placement(model.graph)), effort)  # fmt: skip


def _format(op: Op, images: str) -> str:
    """A letter for each axis; what an axis means is known of images only. What is no tensor has its ONNX type."""
    if op.type.dtype is DType.ANY:
        return op.type.form
    if isinstance(op.attrs, Kept):
        return FORMAT
    if len(op.type.shape) != 4:
        return "?" * len(op.type.shape)
    if op.kind in KINDS or op.kind == "lower":
        return "NHWC"
    source = op.inputs[0] if op.kind == "quantize" else op
    return "".join(images[axis] for axis in source.attrs.axes) if isinstance(source.attrs, Permuted) else images


def _renamed(cluster: Cluster, names: dict[Op, str]) -> Cluster:
    """The cluster with the names of the model's results for those of its inputs that are results."""
    wrong = [op for op in cluster.outputs if names.get(op, op.name) != op.name]
    if wrong:
        raise ValueError(f"`{wrong[0].name}` is also called `{names[wrong[0]]}`")
    new = {op: replace(op, name=names[op]) for op in cluster.inputs if names.get(op, op.name) != op.name}
    if not new:
        return cluster
    for op in cluster.ops:
        new[op] = with_inputs(op, tuple(new.get(x, x) for x in op.inputs))
    inputs, ops, outputs = (tuple(new.get(op, op) for op in group)
                            for group in (cluster.inputs, cluster.ops, cluster.outputs))  # fmt: skip
    return replace(cluster, inputs=inputs, ops=ops, outputs=outputs)


def _host_step(op: Op, x: str, y: str) -> enf.Step:
    match op.kind:
        case "quantize":
            return enf.Quantize(x, y, op.type.scale, op.type.zero, op.attrs.by_product)
        case "dequantize":
            return enf.Dequantize(x, y, op.inputs[0].type.scale, op.inputs[0].type.zero)
        case "lower":
            n, h, w, c = op.type.shape
            return enf.Lower(x, y, (n, c, h, w))
        case "widen":
            return enf.Pad(x, y)
        case "narrow":
            return enf.Slice(x, y)
        case _:
            n, h, w, c = op.inputs[0].type.shape
            return enf.Unlower(x, y, (n, c, h, w))


def linearize(module: Module[Gir]) -> Module[Lir]:
    """Every program as one stream of instructions with tokens."""
    return Module(
        module.target, module.batch_size, module.inputs, module.outputs, module.tensors, module.steps,
        tuple(lir.linearize(program) for program in module.programs), module.cpu_models, module.placement,
        module.effort,
    )  # fmt: skip
