"""One model loaded on opened devices, with its workers: what runners and sessions of every generation stand on."""

from __future__ import annotations

import queue
import time
import weakref
from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from furiosa.isa.enf import Enf
from furiosa.isa.errors import OptionError
from furiosa.runtime.compilation import ModelSource, load_or_compile
from furiosa.runtime.cpu import CpuModel
from furiosa.runtime.devices import Npu, one_target, open_npus
from furiosa.runtime.executable import Executable
from furiosa.runtime.failures import FuriosaRuntimeError, runtime_errors
from furiosa.runtime.interface import Model
from furiosa.runtime.profiler.profiling import trace_from_environment
from furiosa.runtime.profiler.recorder import span
from furiosa.runtime.wiring import check_wiring

Array = NDArray[Any]

CLOSE_TIMEOUT = 30.0
_MOST = 2**31


class Devices:
    """The devices of a runtime, open until closed or forgotten."""

    def __init__(self, spec: str | None) -> None:
        """Open them. Raises FuriosaRuntimeError when they are absent or in use."""
        trace_from_environment()
        with runtime_errors():
            self.npus = open_npus(spec)
        self._close = weakref.finalize(self, _close_all, self.npus)

    def close(self) -> None:
        """Give them back; closing twice is harmless."""
        self._close()

    @property
    def closed(self) -> bool:
        return not self._close.alive


def _close_all(npus: Sequence[Npu]) -> None:
    for npu in npus:
        npu.close()


class Engine:
    """One loaded model. A worker runs one inference at a time; workers are spread over the devices in turn."""

    def __init__(
        self,
        model: ModelSource,
        devices: Devices,
        worker_num: int | None = None,
        batch_size: int | None = None,
        compiler_config: Mapping[str, object] | None = None,
    ) -> None:
        """Compile the model if it is not an ENF, and load it. Raises FuriosaRuntimeError."""
        with runtime_errors():
            _check_size("batch_size", batch_size)
            _check_size("worker_num", worker_num)
            enf = load_or_compile(model, one_target(devices.npus).name, batch_size, compiler_config)
            self.enf: Enf = enf
            check_wiring(enf)
            cpu_models = [CpuModel(data) for data in enf.cpu_models]
            self.executables = [Executable(enf, npu, cpu_models) for npu in devices.npus]
        self.devices = devices
        self.model = Model.of(enf)
        self.closed = False
        self._worker_num = worker_num or len(self.executables)
        self._idle: queue.SimpleQueue[Executable] = queue.SimpleQueue()
        for index in range(self._worker_num):
            self._idle.put(self.executables[index % len(self.executables)])

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        """One inference by the next idle worker. Raises FuriosaRuntimeError after close."""
        self.check_open()
        worker = self._idle.get()
        try:
            self.check_open()
            with runtime_errors(), span("Inference"):
                return worker.run(inputs)
        finally:
            self._idle.put(worker)

    def check_open(self) -> None:
        """Raise FuriosaRuntimeError when the engine is closed."""
        if self.closed or self.devices.closed:
            raise FuriosaRuntimeError("the session is closed already", hint="create a new one")

    def close(self, timeout: float = CLOSE_TIMEOUT) -> bool:
        """Take no more work and wait for what runs; True when all of it ended within ``timeout`` seconds."""
        if self.closed:
            return True
        self.closed = True
        due = time.monotonic() + timeout
        drained: list[Executable] = []
        try:
            for _ in range(self._worker_num):
                drained.append(self._idle.get(timeout=max(0.0, due - time.monotonic())))
        except queue.Empty:
            return False
        finally:
            for worker in drained:  # whoever still waits for a worker gets one, and then learns that this is closed
                self._idle.put(worker)
        return True


def _check_size(name: str, value: int | None) -> None:
    if value is not None and not 0 < value < _MOST:
        raise OptionError(f"`{name}` must be an integer of at least 1 and below 2**31, not `{value}`")
