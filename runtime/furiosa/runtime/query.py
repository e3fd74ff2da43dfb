"""One query as the virtual clock sees it: the steps of a compiled model and what each costs where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

from furiosa.isa.dtypes import DType
from furiosa.isa.enf import Dequantize, Enf, Lower, Pad, Quantize, RunCpu, RunNpu, Slice, Step, Tensor, Unlower
from furiosa.isa.host import ReferenceHost
from furiosa.isa.target import Target
from furiosa.runtime.cluster_work import cluster_work
from furiosa.runtime.modelled import ModelledProgram
from furiosa.runtime.virtual import Resource, Work

_NAMES: dict[type[Step], str] = {
    Quantize: "Quantize", Lower: "Lower", RunCpu: "CpuCluster", Unlower: "Unlower", Dequantize: "Dequantize",
    Pad: "Pad", Slice: "Slice",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Stay:
    """A step of a query on a resource, and how long it takes there: device cycles."""

    name: str
    work: Work


def stays(
    enf: Enf,
    programs: Sequence[ModelledProgram],
    target: Target,
    host: ReferenceHost,
    measured: Mapping[int, int] | None = None,
) -> list[Stay]:
    """The steps of one query in order. ``measured`` has ns of host steps by their index, in place of the host's costs.

    An execution on the NPU is three: its inputs cross the link, it executes, its outputs cross back.
    """
    tensors = {tensor.name: tensor for tensor in enf.tensors}
    found: list[Stay] = []
    for index, step in enumerate(enf.steps):
        if isinstance(step, RunNpu):
            found += _execution(programs[step.program], target, host)
            continue
        nanoseconds = measured[index] if measured else _nanoseconds(enf, step, tensors, host)
        found.append(Stay(_NAMES[type(step)], Work(Resource.HOST, _cycles(nanoseconds, target))))
    return found


def grouped(stays: Sequence[Stay]) -> list[list[Stay]]:
    """The steps of a query as it asks for them: host steps in a row keep their thread."""
    groups: list[list[Stay]] = []
    for stay in stays:
        if groups and stay.work.resource is groups[-1][0].work.resource is Resource.HOST:
            groups[-1].append(stay)
        else:
            groups.append([stay])
    return groups


def works(stays: Sequence[Stay]) -> list[Work]:
    """What a query asks for, one after the other."""
    groups = grouped(stays)
    return [group[0].work._replace(cycles=sum(stay.work.cycles for stay in group)) for group in groups]


def _execution(program: ModelledProgram, target: Target, host: ReferenceHost) -> list[Stay]:
    start = _cycles(host.transfer_start_ns, target)
    return [
        Stay("Send", Work(Resource.SEND, program.link_cycles(program.input_bytes), start)),
        Stay("Execute", Work(Resource.EXECUTE, program.timeline.cycles)),
        Stay("Receive", Work(Resource.RECEIVE, program.link_cycles(program.output_bytes), start)),
    ]


def _nanoseconds(enf: Enf, step: Step, tensors: Mapping[str, Tensor], host: ReferenceHost) -> int:
    match step:
        case Quantize(x):
            elements = prod(tensors[x].shape)
            return host.quantize_ns(elements) if tensors[x].dtype is DType.F32 else host.copy_ns(2 * elements)
        case Dequantize(x):
            return host.dequantize_ns(prod(tensors[x].shape))
        case Lower(x) | Unlower(x):
            return host.layout_ns(2 * prod(tensors[x].shape) * tensors[x].dtype.itemsize)
        case Pad(x, y) | Slice(x, y):
            return host.copy_ns(sum(prod(tensors[name].shape) * tensors[name].dtype.itemsize for name in (x, y)))
        case RunCpu(model):
            return host.cluster_ns(*cluster_work(enf.cpu_models[model]))
        case RunNpu():
            raise AssertionError("an execution is no step of the host")


def _cycles(nanoseconds: int, target: Target) -> int:
    return -(-nanoseconds * target.clock_hz // 1_000_000_000)
