"""CDFG: the graph cut into clusters, each of which runs as one step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from furiosa.compiler.cluster import Cluster
from furiosa.compiler.graph import Graph, Op, TensorType, consumers
from furiosa.compiler.lowlevel import KINDS

_SOURCES = ("input", "const", "absent")
_DEVICES = ("host", "npu", "cpu")


@dataclass(frozen=True, slots=True)
class Clusters:
    """A model in the CDFG: its graph and the clusters in the order of execution."""

    graph: Graph
    clusters: tuple[Cluster, ...]


def cluster(graph: Graph) -> Clusters:
    """Cut the graph into maximal regions of one device.

    Each op gets a level: at least that of its inputs, and of the residue (modulo 3) of its device. Ops of one level and
    device can run together, because no path leaves a level and comes back to it. A Dequantize in front of the CPU's
    operators belongs to each cluster that reads it.
    """
    readers = consumers(graph)
    device = {op: _device(op, readers[op]) for op in readers if op.kind not in _SOURCES}
    shared = {op for op in device if _shared(op, readers[op], graph)}
    level: dict[Op, int] = {}
    groups: dict[int, list[Op]] = {}
    for op, where in device.items():
        if op in shared:
            continue
        residue = _DEVICES.index(where)
        reads = (y for x in op.inputs for y in (x.inputs if x in shared else (x,)))
        least = max((level[x] + (where == "host") for x in reads if x in level), default=0)
        level[op] = least + (residue - least) % 3
        groups.setdefault(level[op], []).append(op)
    parts = [(where, _whole(ops, shared)) for where, ops in _parts(groups)]
    handed = {x for _, own in parts for op in own for x in op.inputs if x not in own}.union(graph.outputs)
    clusters = (_cluster(f"{where}{i}", where, own, handed) for i, (where, own) in enumerate(parts))
    return Clusters(graph, tuple(clusters))


def _parts(groups: dict[int, list[Op]]) -> Iterator[tuple[str, list[Op]]]:
    """What runs together, in the order of execution: all ops of a level, but the host's one by one."""
    for level in sorted(groups):
        where, ops = _DEVICES[level % 3], groups[level]
        yield from ((where, part) for part in ([[op] for op in ops] if where == "host" else [ops]))


def _whole(ops: list[Op], shared: set[Op]) -> dict[Op, None]:
    """The ops, with the shared ones that they read, in order."""
    return dict.fromkeys(y for op in ops for y in (*(x for x in op.inputs if x in shared), op))


def _shared(op: Op, readers: list[Op], graph: Graph) -> bool:
    return op.kind == "dequantize" and op not in graph.outputs and all(reader.kind == "onnx" for reader in readers)


def _device(op: Op, readers: list[Op]) -> str:
    """Quantize and Dequantize beside a CPU operator run with it, so that ONNX Runtime can fuse them."""
    if op.kind in KINDS:
        return "npu"
    if op.kind == "quantize":
        return "cpu" if op.inputs[0].kind in ("onnx", "project") or not _plain(op.type) else "host"
    if op.kind == "dequantize":
        return "cpu" if any(reader.kind == "onnx" for reader in readers) or not _plain(op.inputs[0].type) else "host"
    return "host" if op.kind in ("lower", "unlower", "widen", "narrow") else "cpu"


def _plain(type_: TensorType) -> bool:
    """Whether the host's layout operators handle the type: 8 bits, one scale, extents that are known."""
    return type_.static and type_.dtype.quantized and type_.quant is not None and type_.quant.axis is None


def _cluster(name: str, device: str, own: dict[Op, None], handed: set[Op]) -> Cluster:
    """``handed``: the ops of all clusters that others read, or that are results of the model."""
    read = dict.fromkeys(x for op in own for x in op.inputs if x not in own)
    constants = [x for x in read if x.kind in ("const", "absent")]
    inputs = tuple(x for x in read if x.kind not in ("const", "absent"))
    return Cluster(name, device, inputs, (*constants, *own), tuple(op for op in own if op in handed))
