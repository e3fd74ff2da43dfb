"""A compiled model made executable on one NPU: its steps in order, values freed after their last use."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from time import perf_counter_ns
from typing import Any

import numpy as np
from numpy.typing import NDArray

from furiosa.isa import env
from furiosa.isa.enf import Dequantize, Enf, Lower, Pad, Quantize, RunCpu, RunNpu, Slice, Step, Unlower
from furiosa.npu_sim.machine import Machine
from furiosa.runtime.boundary import Boundary
from furiosa.runtime.cpu import CpuModel
from furiosa.runtime.devices import Npu
from furiosa.runtime.modelled import ModelledProgram
from furiosa.runtime.padding import shown, stored
from furiosa.runtime.profiler.recorder import Layout, MarkedStep, Origin, recording, span
from furiosa.runtime.segments import OtherShapeError, Segment, Values, segments
from furiosa.runtime.wiring import reads, writes

Array = NDArray[Any]

_SPANS: dict[type[Step], str] = {
    Quantize: "Quantize", Dequantize: "Dequantize", Lower: "Lower", Unlower: "Unlower", RunCpu: "CpuCluster",
    RunNpu: "Enqueue", Pad: "Pad", Slice: "Slice",
}  # fmt: skip


class Executable:
    """A compiled model loaded on one device; may be run by several threads at once."""

    def __init__(self, enf: Enf, npu: Npu, cpu_models: Sequence[CpuModel], name: str = "Model") -> None:
        """Load the programs; ``enf`` has passed ``check_wiring``, traces call it ``name``.

        Raises EnfError for an illegal program.
        """
        self._enf = enf
        self._npu = npu
        self._name = name
        self._cpu_models = cpu_models
        self._boundary = Boundary()
        self._types = {tensor.name: tensor for tensor in enf.tensors}
        self._dead = _last_uses([(reads(step), writes(step)) for step in enf.steps], enf.outputs)
        self._threads = env.THREADS.get()
        with span("ProgramBinary", device=npu.name):
            self._machines = [Machine(program, npu.target) for program in enf.programs]
            self.modelled = [
                ModelledProgram.of(machine.program, machine.instructions, npu.target) for machine in self._machines
            ]
            self._segments = segments(enf, self._machines, cpu_models)
        if self._segments is not None:
            uses = [(segment.inputs, segment.outputs) for segment in self._segments]
            self._dead_after_segment = _last_uses(uses, enf.outputs)
            made = [name for segment in self._segments if segment.fresh for name in segment.outputs]
            self._fresh = set(made).issuperset(enf.outputs)
            self._layout = self._marked(_bounds(self._segments))
        self._step_layout = self._marked([(index, index + 1) for index in range(len(enf.steps))])

    def _marked(self, bounds: Sequence[tuple[int, int]]) -> Layout:
        """What marks mean when each step lies between the two of ``bounds``."""
        steps = [
            MarkedStep(
                _SPANS[type(step)], index, first, last,
                self.modelled[step.program] if isinstance(step, RunNpu) else None,
            )
            for index, (step, (first, last)) in enumerate(zip(self._enf.steps, bounds))
        ]  # fmt: skip
        return Layout(self._name, self._npu.trace_name, self._npu.pe_index, tuple(steps))

    @property
    def kernels(self) -> str:
        """The kernels that execute the NPU programs, or `none` when there is no program."""
        return ", ".join(sorted({machine.kernels for machine in self._machines})) or "none"

    @property
    def paced(self) -> bool:
        """Whether an execution takes at least its modelled time."""
        return self._npu.paced

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        """One inference; ``inputs`` have the shapes and types of the interface. Outputs are the caller's own."""
        return self.run_batch([inputs])[0]

    def run_batch(
        self, requests: Sequence[Sequence[Array]], threads: int | None = None, origins: Sequence[Origin | None] = ()
    ) -> list[list[Array]]:
        """One inference for each request. Native code uses ``threads`` threads (default: FURIOSA_SIM_THREADS).

        ``origins`` says for the profiler who asked for each; without them it is the caller.
        """
        if self._segments is None or self._npu.paced:
            return self._run_steps(requests, origins)
        recorder = recording()
        marks: list[Array] = []
        batch: list[Values] = [dict(zip(self._enf.inputs, inputs)) for inputs in requests]
        for segment, dead in zip(self._segments, self._dead_after_segment):
            times = np.empty((len(batch), segment.marks), np.int64) if recorder else None
            try:
                segment.run(batch, threads or self._threads, times)
            except OtherShapeError:
                return self._run_steps(requests, origins)
            if times is not None:
                marks.append(times)
            for program in segment.programs:
                self._npu.charge(self.modelled[program], len(batch))
            for name in dead:
                for values in batch:
                    del values[name]
        if recorder:
            recorder.inferences(self._layout, marks, origins)
        outputs = [[values[name] for name in self._enf.outputs] for values in batch]
        if self._fresh:
            return outputs
        return [[_own(array, inputs) for array in arrays] for arrays, inputs in zip(outputs, requests)]

    def _run_steps(self, requests: Sequence[Sequence[Array]], origins: Sequence[Origin | None]) -> list[list[Array]]:
        """Step by step; values are freed after their last use."""
        results = []
        for index, inputs in enumerate(requests):
            marks = np.empty((1, len(self._enf.steps) + 1), np.int64)
            results.append(self._inference(inputs, marks[0]))
            if recorder := recording():
                recorder.inferences(self._step_layout, [marks], origins[index : index + 1])
        return results

    def _inference(self, inputs: Sequence[Array], marks: Array) -> list[Array]:
        values = dict(zip(self._enf.inputs, inputs, strict=True))
        marks[0] = perf_counter_ns()
        for index, (step, dead) in enumerate(zip(self._enf.steps, self._dead, strict=True), 1):
            values.update(zip(writes(step), self._step(step, values), strict=True))
            for name in dead:
                del values[name]
            marks[index] = perf_counter_ns()
        return [_own(values[name], inputs) for name in self._enf.outputs]

    def _step(self, step: Step, values: Mapping[str, Array]) -> Sequence[Array]:
        match step:
            case RunNpu(program, inputs, outputs):
                arrays = [stored(values[name], self._types[name]) for name in inputs]
                results = self._npu.execute(self._machines[program], self.modelled[program], arrays)
                return [self._typed(name, result) for name, result in zip(outputs, results, strict=True)]
            case RunCpu(model, inputs, outputs):
                return self._cpu_models[model].run({name: values[name] for name in inputs}, outputs)
            case Quantize(x, y, scale, zero_point, by_product):
                return [self._boundary.quantize(values[x], scale, zero_point, self._types[y].dtype, by_product)]
            case Dequantize(x, _, scale, zero_point):
                return [self._boundary.dequantize(values[x], scale, zero_point)]
            case Pad(x, y) | Slice(x, y):
                return [self._boundary.resize_rows(values[x], self._types[y].shape[-1])]
            case Lower(x, _, nchw):
                return [self._boundary.lower(values[x], nchw)]
            case Unlower(x, y, nchw):
                return [self._boundary.unlower(values[x], nchw).reshape(self._types[y].shape)]

    def _typed(self, name: str, data: Array) -> Array:
        tensor = self._types[name]
        return shown(data.reshape(-1).view(tensor.dtype.numpy_name).reshape(tensor.storage), tensor)


def _own(output: Any, inputs: Sequence[Any]) -> Any:
    """An output that the caller may overwrite: a copy when it is an input, or a step passed it on as it was."""
    if not isinstance(output, np.ndarray):  # a sequence: ONNX Runtime makes a new one
        return output
    arrays = (array for array in inputs if isinstance(array, np.ndarray))
    return output.copy() if any(np.may_share_memory(output, array) for array in arrays) else output


def _bounds(segments: Sequence[Segment]) -> list[tuple[int, int]]:
    """The marks between which each step lies when those of all segments are joined."""
    bounds: list[tuple[int, int]] = []
    before = 0
    for segment in segments:
        ends = [before + end for end in segment.ends]
        bounds += zip((before, *ends), ends)
        before += segment.marks
    return bounds


def _last_uses(
    uses: Sequence[tuple[tuple[str, ...], tuple[str, ...]]], outputs: Iterable[str]
) -> list[tuple[str, ...]]:
    """For each step, given by what it reads and what it writes, the values that nobody needs after it."""
    needed = set(outputs)
    dead: list[tuple[str, ...]] = []
    for read, written in reversed(uses):
        names = {*read, *written}
        dead.append(tuple(sorted(names - needed)))
        needed |= names
    return dead[::-1]
