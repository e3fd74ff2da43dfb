"""What it would bring, and cost, to leave the most lossy operators in float32."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from onnx import ModelProto

from furiosa.compiler import compile_model
from furiosa.compiler.frontend.session import plain_session
from furiosa.isa import enf
from furiosa.isa.target import DEFAULT
from furiosa.isa.target import target as find_target
from furiosa.quantizer.analysis import Analysis, Sums, TensorLoss
from furiosa.quantizer.encodings import Ranges
from furiosa.quantizer.names import get_output_names, get_pure_input_names
from furiosa.quantizer.quantize import quantize_model
from furiosa.quantizer.samples import Array


@dataclass(frozen=True, slots=True)
class Exclusion:
    """A quantized model that leaves ``nodes`` in float32: how near its outputs are, and what it costs.

    ``output_sqnr_db``: power of the float model's outputs over that of the error. ``npu_latency_us`` and ``link_us``
    are modelled: the NPU's time, and that of the host link for what its clusters read and write. The time of the parts
    on the CPU is that of the user's computer and not in it.
    """

    nodes: tuple[str, ...]
    output_sqnr_db: float
    npu_latency_us: float
    link_us: float
    npu_clusters: int
    cpu_operators: int


def explore(
    model: ModelProto, ranges: Ranges, samples: Sequence[Sequence[Array]], analysis: Analysis, count: int = 3,
    target: str = DEFAULT,
) -> list[Exclusion]:  # fmt: skip
    """The fully quantized model, then it with each of the ``count`` most lossy tensors in float32.

    A tensor is in float32 when neither the operator that makes it nor one that reads it is quantized.
    """
    candidates = dict.fromkeys(_around(model, loss) for loss in analysis.worst(len(analysis.losses)))
    feeds = [dict(zip(get_pure_input_names(model), sample)) for sample in samples]
    names = get_output_names(model)
    session = plain_session(model.SerializeToString())
    expected = [session.run(names, feed) for feed in feeds]
    found = []
    for excluded in [(), *list(candidates)[:count]]:
        quantized = quantize_model(model, ranges, exclude=excluded)
        session = plain_session(quantized.SerializeToString())
        sums = Sums()
        for feed, outputs in zip(feeds, expected):
            for real, near in zip(outputs, session.run(names, feed)):
                sums.add(real, near)
        found.append(_cost(excluded, quantized, sums.sqnr_db, target))
    return found


def _around(model: ModelProto, loss: TensorLoss) -> tuple[str, ...]:
    """The nodes that make and read a tensor, in the order of the graph."""
    return tuple(node.name for node in model.graph.node if loss.tensor in (*node.input, *node.output))


def _cost(nodes: tuple[str, ...], quantized: ModelProto, sqnr_db: float, target: str) -> Exclusion:
    compiled = compile_model(quantized.SerializeToString(), target)
    programs = enf.load(compiled.enf).programs
    moved = sum(port.size for program in programs for port in (*program.inputs, *program.outputs))
    on_cpu = [row for row in compiled.report["placement"]
              if row["device"] == "cpu" and row["reason_code"] != "boundary_layout"]  # fmt: skip
    link_us = moved / find_target(target).host_bytes_per_second * 1e6
    return Exclusion(nodes, sqnr_db, compiled.report["npu_latency_us"], round(link_us, 3),
                     compiled.report["npu_clusters"], len(on_cpu))  # fmt: skip
