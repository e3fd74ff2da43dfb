"""Clusters: what the CDFG is made of, in the order of execution."""

from __future__ import annotations

from dataclasses import dataclass

from furiosa.compiler.graph import Op


@dataclass(frozen=True, slots=True)
class Cluster:
    """Ops that run as one step. ``device`` is ``npu`` (low-level ops), ``cpu`` (ONNX ops) or ``host`` (one layout op).

    ``inputs`` are the ops outside the cluster that it reads (never constants), ``ops`` its own in execution order,
    constants included, and ``outputs`` those of its ops that are read outside or are results of the model.
    """

    name: str
    device: str
    inputs: tuple[Op, ...]
    ops: tuple[Op, ...]
    outputs: tuple[Op, ...]
