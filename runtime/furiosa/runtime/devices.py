"""The NPUs that a session holds: opening by specification, and exclusive execution in modelled and real time."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from furiosa.isa import env
from furiosa.isa.errors import OptionError
from furiosa.isa.target import Target, target
from furiosa.npu_sim.devices import DeviceFile, OpenDevice, described_devices, open_devices
from furiosa.npu_sim.machine import Machine
from furiosa.runtime.modelled import ModelledProgram

Array = NDArray[Any]

_PES_OF_A_CARD = 2


class Npu:
    """One opened device. In modelled time it executes one program after the other.

    ``paced`` is whether it does so in real time too (FURIOSA_SIM_PACE). What this computer needs to find the results
    does not occupy the device: several workers may do so at once.
    """

    def __init__(self, device: OpenDevice | _Unopened) -> None:
        self._device = device
        self.target = target(device.target)
        self._lock = threading.Lock()
        self._free = 0  # when it will have done all that it was given, in ns of the performance counter
        self.paced = env.PACE.get() == "realtime"

    @property
    def name(self) -> str:
        """The name of the device file, such as ``npu0pe0-1``."""
        return self._device.name

    @property
    def trace_name(self) -> str:
        """The name that traces show, such as ``npu:0:0-1``."""
        file = self._device.file
        return f"npu:{file.card}:{'-'.join(map(str, file.pes))}"

    @property
    def pe_index(self) -> int:
        """The number of its first PE, counted over all cards."""
        file = self._device.file
        return file.card * _PES_OF_A_CARD + file.pes[0]

    def execute(self, machine: Machine, program: ModelledProgram, inputs: Sequence[Array]) -> list[Array]:
        """Run a loaded program; its modelled time is charged to the device's counters.

        With FURIOSA_SIM_PACE=realtime the device is busy that long, after what it was given before, and the results
        come no earlier than its end.
        """
        due = self._reserve(program) if self.paced else 0
        outputs = machine.run(inputs)
        if self.paced:
            time.sleep(max(0, due - time.perf_counter_ns()) / 1e9)
        self.charge(program)
        return outputs

    def _reserve(self, program: ModelledProgram) -> int:
        """When the program will be done, if it begins as soon as the device is free."""
        with self._lock:
            self._free = max(self._free, time.perf_counter_ns()) + program.nanoseconds(program.timeline.cycles)
            return self._free

    def charge(self, program: ModelledProgram, executions: int = 1) -> None:
        """Count executions. Raises DeviceError when the device is not open in this process."""
        timeline = program.timeline
        self._device.charge(timeline.cycles, timeline.compute_cycles, program.io_cycles, executions)

    def close(self) -> None:
        """Give the device back."""
        self._device.close()


def open_npus(spec: str | None) -> list[Npu]:
    """Open the devices of a specification; without ``spec`` those of the default. Raises DeviceError or OptionError."""
    return [Npu(device) for device in open_devices(spec)]


class _Unopened:
    """What ``Npu`` uses of an open device, of one that nobody opened: it counts nothing."""

    def __init__(self, file: DeviceFile) -> None:
        self.file = file
        self.name, self.target = file.name, file.target

    def charge(self, task_cycles: int, compute_cycles: int, io_cycles: int, executions: int = 1) -> None:
        pass

    def close(self) -> None:
        pass


def unopened_npus(spec: str | None) -> list[Npu]:
    """The devices of a specification for a simulation that needs none of them, in use or not.

    Raises DeviceError or OptionError.
    """
    return [Npu(_Unopened(file)) for file in described_devices(spec)]


def one_target(npus: Sequence[Npu]) -> Target:
    """The target that all these devices have in common."""
    targets = {npu.target.name: npu.target for npu in npus}
    if len(targets) != 1:
        raise OptionError(
            f"one session cannot use devices of {len(targets)} kinds: {', '.join(sorted(targets))}",
            hint="name devices with the same number of PEs",
        )
    return next(iter(targets.values()))
