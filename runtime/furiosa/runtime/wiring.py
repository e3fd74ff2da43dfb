"""Structural check of a compiled file before it runs: every name, index and shape that a step refers to."""

from __future__ import annotations

from math import prod

from furiosa.isa.dtypes import DType
from furiosa.isa.enf import Dequantize, Enf, Lower, Pad, Port, Quantize, RunCpu, RunNpu, Slice, Step, Tensor, Unlower
from furiosa.isa.errors import EnfError

Tensors = dict[str, Tensor]


def reads(step: Step) -> tuple[str, ...]:
    """The tensors that a step reads."""
    return step.inputs if isinstance(step, RunNpu | RunCpu) else (step.x,)


def writes(step: Step) -> tuple[str, ...]:
    """The tensors that a step gives their values."""
    return step.outputs if isinstance(step, RunNpu | RunCpu) else (step.y,)


def check_wiring(enf: Enf) -> None:
    """Raise EnfError unless every step reads what exists by then, and all shapes and types fit their step.

    The programs themselves are verified by the device that loads them.
    """
    tensors = {tensor.name: tensor for tensor in enf.tensors}
    if len(tensors) != len(enf.tensors):
        raise EnfError("two tensors of the ENF file have the same name")
    known: set[str] = set()
    _define(enf.inputs, known, tensors, "the interface")
    for index, step in enumerate(enf.steps):
        where = f"step {index} ({type(step).__name__})"
        _require(reads(step), known, where)
        _define(writes(step), known, tensors, where)
        if (problem := _problem(enf, step, tensors)) is not None:
            raise EnfError(f"the ENF file is malformed: {problem}", where=where)
    _require(enf.outputs, known, "the interface")


def _require(names: tuple[str, ...], known: set[str], where: str) -> None:
    for name in names:
        if name not in known:
            raise EnfError(f"the ENF file is malformed: `{name}` is read before it has a value", where=where)


def _define(names: tuple[str, ...], known: set[str], tensors: Tensors, where: str) -> None:
    for name in names:
        if name not in tensors or name in known:
            raise EnfError(f"the ENF file is malformed: `{name}` is not a tensor without a value yet", where=where)
        if any(size < -1 for size in tensors[name].shape):
            raise EnfError(f"the ENF file is malformed: `{name}` has a negative size", where=where)
        if (width := tensors[name].width) and not (0,) < tensors[name].shape[-1:] <= (width,):
            raise EnfError(f"the ENF file is malformed: rows of `{name}` do not fit into their memory", where=where)
        known.add(name)


def _problem(enf: Enf, step: Step, tensors: Tensors) -> str | None:
    for name in () if isinstance(step, RunCpu) else (*reads(step), *writes(step)):
        if -1 in tensors[name].shape:
            return f"the size of `{name}` is not known"
    if not isinstance(step, RunNpu) and any(tensors[name].width for name in (*reads(step), *writes(step))):
        return "only the NPU has tensors with padding"
    match step:
        case Quantize(x, y, scale, zero_point):
            if tensors[x].dtype is DType.U8 and tensors[y].dtype is DType.I8:
                return _sign_problem(tensors[x], tensors[y])
            return _cast_problem(tensors[x], tensors[y], scale, zero_point)
        case Dequantize(x, y, scale, zero_point):
            return _cast_problem(tensors[y], tensors[x], scale, zero_point)
        case Lower(x, y, nchw):
            return _layout_problem(tensors[x], tensors[y], nchw)
        case Unlower(x, y, nchw):
            return _layout_problem(tensors[y], tensors[x], nchw)
        case Pad(x, y):
            return _width_problem(tensors[x], tensors[y])
        case Slice(x, y):
            return _width_problem(tensors[y], tensors[x])
        case RunNpu(program):
            if not 0 <= program < len(enf.programs):
                return f"there is no program {program}"
            ports = enf.programs[program]
            return _port_problem(ports.inputs, step.inputs, tensors) or _port_problem(
                ports.outputs, step.outputs, tensors
            )
        case RunCpu(model):
            return None if 0 <= model < len(enf.cpu_models) else f"there is no CPU model {model}"


def _cast_problem(real: Tensor, quantized: Tensor, scale: float, zero_point: int) -> str | None:
    if real.dtype is not DType.F32 or not quantized.dtype.quantized:
        return f"no step casts between {real.dtype.value} and {quantized.dtype.value}"
    if real.shape != quantized.shape:
        return f"`{real.name}` has shape {real.shape}, `{quantized.name}` {quantized.shape}"
    lowest = -128 if quantized.dtype is DType.I8 else 0
    if not lowest <= zero_point <= lowest + 255:
        return f"{zero_point} is not a zero point of {quantized.dtype.value}"
    return None if 0 < scale < float("inf") else f"{scale} is not a scale"


def _sign_problem(unsigned: Tensor, signed: Tensor) -> str | None:
    same = unsigned.shape == signed.shape
    return None if same else f"`{unsigned.name}` has shape {unsigned.shape}, `{signed.name}` {signed.shape}"


def _layout_problem(outside: Tensor, inside: Tensor, nchw: tuple[int, int, int, int]) -> str | None:
    n, c, h, w = nchw
    if prod(outside.shape) != prod(nchw) or inside.shape != (n, h, w, c):
        return f"`{outside.name}` and `{inside.name}` are not the two layouts of {nchw}"
    return None if outside.dtype is inside.dtype else f"`{outside.name}` and `{inside.name}` differ in type"


def _width_problem(narrow: Tensor, wide: Tensor) -> str | None:
    rows = narrow.shape[:-1] == wide.shape[:-1] and narrow.shape != () != wide.shape
    fits = rows and narrow.shape[-1] <= wide.shape[-1] and narrow.dtype is wide.dtype
    return None if fits and narrow.dtype.itemsize else f"`{narrow.name}` is not the front of the rows of `{wide.name}`"


def _port_problem(ports: tuple[Port, ...], names: tuple[str, ...], tensors: Tensors) -> str | None:
    if len(ports) != len(names):
        return f"the program has {len(ports)} ports where {len(names)} tensors are given"
    for port, name in zip(ports, names, strict=True):
        tensor = tensors[name]
        if not tensor.dtype.quantized or prod(tensor.storage) != port.size:
            return f"`{name}` does not fit its port of {port.size} bytes"
    return None
