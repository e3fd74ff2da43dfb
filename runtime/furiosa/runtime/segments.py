"""A compiled model cut into segments: runs of steps that the native module executes in one call, and CPU clusters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from time import perf_counter_ns
from typing import Any

import numpy as np
from numpy.typing import NDArray

from furiosa.isa.dtypes import DType
from furiosa.isa.enf import Dequantize, Enf, Lower, Pad, Port, Quantize, RunCpu, RunNpu, Slice, Step, Tensor, Unlower
from furiosa.npu_sim.kernels import native
from furiosa.npu_sim.machine import Machine
from furiosa.runtime.cpu import CpuModel
from furiosa.runtime.padding import shown, stored
from furiosa.runtime.wiring import reads, writes

Array = NDArray[Any]
Values = dict[str, Array]


class OtherShapeError(Exception):
    """A CPU cluster gave a tensor of another shape than the standard's inference says: native steps cannot go on."""


class CpuSegment:
    """One CPU cluster. It may hand an input on as an output: these are not ``fresh`` memory."""

    fresh = False
    programs: tuple[int, ...] = ()
    ends = (1,)
    marks = 2

    def __init__(self, step: RunCpu, model: CpuModel, tensors: Mapping[str, Tensor]) -> None:
        self.inputs = step.inputs
        self.outputs = step.outputs
        self._model = model
        known = {name for name in step.outputs if tensors[name].dtype is not DType.ANY}
        self._shapes = [tensors[name].shape if name in known else None for name in step.outputs]

    def run(self, requests: Sequence[Values], threads: int, marks: Array | None = None) -> None:
        """Add the outputs to the values of each request. ONNX Runtime has threads of its own.

        ``marks``: see ``NativeSegment``.

        Raises OtherShapeError for outputs of other shapes than the compiled model says.
        """
        for index, values in enumerate(requests):
            start = perf_counter_ns()
            outputs = self._model.run({name: values[name] for name in self.inputs}, self.outputs)
            if any(shape is not None and _differs(output, shape) for output, shape in zip(outputs, self._shapes)):
                raise OtherShapeError
            values.update(zip(self.outputs, outputs))
            if marks is not None:
                marks[index] = start, perf_counter_ns()


def _differs(output: Array, shape: tuple[int, ...]) -> bool:
    """Whether the output has another shape than was compiled for, axes of -1 apart."""
    return output.shape != shape and (
        output.ndim != len(shape) or any(size not in (-1, actual) for size, actual in zip(shape, output.shape))
    )


class NativeSegment:
    """Steps in a row without a CPU cluster; ``wanted`` names the values that are needed after them.

    A run can leave ``marks`` times for each request, ns of `time.perf_counter_ns`: its begin, and what ``ends`` says
    of each step: the mark that is its end. A step that does nothing shares the mark of the one before.
    """

    fresh = True

    def __init__(
        self, steps: Sequence[Step], wanted: set[str], tensors: Mapping[str, Tensor], machines: Sequence[Machine]
    ) -> None:
        written = [name for step in steps for name in writes(step)]
        self.programs = tuple(step.program for step in steps if isinstance(step, RunNpu))
        self.inputs = tuple(dict.fromkeys(name for step in steps for name in reads(step) if name not in written))
        self.outputs = tuple(name for name in written if name in wanted)
        self._given = [(name, tensors[name]) for name in self.inputs]
        made = [(name, tensors[name]) for name in self.outputs]
        self._made = [(name, tensor, tensor.storage, np.dtype(tensor.dtype.numpy_name)) for name, tensor in made]
        self._inference, self.ends = _inference(steps, self.inputs, self.outputs, tensors, machines)
        self.marks = self.ends[-1] + 1

    def run(self, requests: Sequence[Values], threads: int, marks: Array | None = None) -> None:
        """Add the outputs to the values of each request; no other thread of Python waits meanwhile.

        ``marks`` is an int64 array with a row for each request.
        """
        buffers = []
        for values in requests:
            arrays = [stored(values[name], tensor) for name, tensor in self._given]
            for name, tensor, shape, dtype in self._made:
                output = np.empty(shape, dtype)
                values[name] = shown(output, tensor)
                arrays.append(output)
            buffers.append(arrays)
        self._inference.run(buffers, len(self.inputs), threads, marks)


Segment = CpuSegment | NativeSegment


def segments(enf: Enf, machines: Sequence[Machine], cpu_models: Sequence[CpuModel]) -> list[Segment] | None:
    """The segments of a model that has passed ``check_wiring``; None where the reference executes its programs."""
    if native() is None or any(machine.native is None for machine in machines):
        return None
    tensors = {tensor.name: tensor for tensor in enf.tensors}
    result: list[Segment] = []
    wanted = set(enf.outputs)
    group: list[Step] = []
    for step in (*reversed(enf.steps), None):
        if (step is None or isinstance(step, RunCpu)) and group:
            segment = NativeSegment(group[::-1], wanted, tensors, machines)
            wanted.update(segment.inputs)
            result.append(segment)
            group = []
        if isinstance(step, RunCpu):
            wanted.update(step.inputs)
            result.append(CpuSegment(step, cpu_models[step.model], tensors))
        elif step is not None:
            group.append(step)
    return result[::-1]


def _inference(
    steps: Sequence[Step],
    inputs: Sequence[str],
    outputs: Sequence[str],
    tensors: Mapping[str, Tensor],
    machines: Sequence[Machine],
) -> tuple[Any, tuple[int, ...]]:
    """The native inference, and for each step the number of native steps up to it."""
    names = list(dict.fromkeys([*inputs, *(name for step in steps for name in writes(step))]))
    value = {name: index for index, name in enumerate(names)}
    sizes = [prod(tensors[name].storage) * tensors[name].dtype.itemsize for name in names]
    module: Any = native()
    inference = module.Inference(sizes, [value[name] for name in (*inputs, *outputs)])

    unsigned = _still_unsigned(steps, outputs, tensors)

    def given(ports: Sequence[Port], names: Sequence[str]) -> list[tuple[int, int, int]]:
        masks = [0x80 if name in unsigned else 0 for name in names]
        return [(port.address, value[name], mask) for port, name, mask in zip(ports, names, masks, strict=True)]

    def made(ports: Sequence[Port], names: Sequence[str]) -> list[tuple[int, int]]:
        return [(port.address, value[name]) for port, name in zip(ports, names, strict=True)]

    ends: list[int] = []
    native_steps = 0
    for step in steps:
        native_steps += 1
        match step:
            case Quantize(x, y) if y in unsigned:
                value[y] = value[x]
                native_steps -= 1
            case Quantize(x, y) if tensors[x].dtype is DType.U8:
                inference.to_signed(value[x], value[y])
            case Quantize(x, y, scale, zero_point, by_product):
                inference.quantize(value[x], value[y], scale, zero_point, tensors[y].dtype is DType.I8, by_product)
            case Dequantize(x, y, scale, zero_point):
                inference.dequantize(value[x], value[y], scale, zero_point, tensors[x].dtype is DType.I8)
            case Lower(x, y, (n, c, h, w)) | Unlower(x, y, (n, c, h, w)):
                rows, columns = (c, h * w) if isinstance(step, Lower) else (h * w, c)
                if 1 in (rows, columns) and y not in outputs:
                    value[y] = value[x]  # the same bytes in the same order
                    native_steps -= 1
                else:
                    inference.transpose(value[x], value[y], n, rows, columns, tensors[x].dtype.itemsize)
            case Pad(x, y) | Slice(x, y):
                rows, item = prod(tensors[x].shape[:-1]), tensors[x].dtype.itemsize
                inference.resize_rows(
                    value[x], value[y], rows, tensors[x].shape[-1] * item, tensors[y].shape[-1] * item
                )
            case RunNpu(program):
                machine = machines[program]
                inference.program(
                    machine.native,
                    given(machine.program.inputs, step.inputs),
                    made(machine.program.outputs, step.outputs),
                )
        ends.append(native_steps)
    return inference, tuple(ends)


def _still_unsigned(steps: Sequence[Step], outputs: Sequence[str], tensors: Mapping[str, Tensor]) -> set[str]:
    """What Quantize makes int8 of, and Lower and Pad move on to programs: it changes while it is copied to the NPU.

    Empty when others read it too.
    """
    found: set[str] = set()
    for step in steps:
        match step:
            case Quantize(x, y) if tensors[x].dtype is DType.U8:
                found.add(y)
            case Lower(x, y) | Pad(x, y) if x in found:
                found.add(y)
            case RunNpu():
                pass
            case _ if not found.isdisjoint(reads(step)):
                return set()
    return found if found.isdisjoint(outputs) else set()
