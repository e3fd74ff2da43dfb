"""One model loaded on opened devices: what runners, queues and sessions of every generation stand on."""

from __future__ import annotations

import atexit
import os
import queue
import time
import weakref
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from furiosa.isa import env
from furiosa.isa.enf import Enf
from furiosa.isa.errors import FuriosaError, OptionError
from furiosa.runtime import logs
from furiosa.runtime.compilation import ModelSource, load_or_compile
from furiosa.runtime.cpu import CpuModel
from furiosa.runtime.devices import Npu, one_target, open_npus, unopened_npus
from furiosa.runtime.executable import Executable
from furiosa.runtime.failures import ClosedError, FuriosaRuntimeError, runtime_error, runtime_errors
from furiosa.runtime.interface import Model
from furiosa.runtime.profiler.profiling import trace_from_environment
from furiosa.runtime.profiler.recorder import Origin, span
from furiosa.runtime.wiring import check_wiring

Array = NDArray[Any]

CLOSE_TIMEOUT = 30.0
_MOST = 2**31
_MOST_WORKERS = 1024  # more never help


class User(Protocol):
    """What works on the devices of a runtime and must stop before they are given back."""

    def close(self, timeout: float) -> bool:
        """Take no more work and wait for what runs; True when all of it ended within ``timeout`` seconds."""


class Devices:
    """The devices of a runtime, open until closed or forgotten. They belong to the process that opened them."""

    def __init__(self, spec: str | None, shared: bool = False, opened: bool = True) -> None:
        """Open them; ``shared`` ones outlive a session. Raises FuriosaRuntimeError when they are absent or in use.

        Those that are not to be ``opened`` only have to be there: for simulations.
        """
        trace_from_environment()
        with runtime_errors():
            logs.start()
            self.npus = open_npus(spec) if opened else unopened_npus(spec)
        logs.devices_opened(self.npus)
        self.shared = shared
        self.usable = True  # open, and not inherited
        self.inherited = False  # by a fork of the process that opened them: they are not its own to close
        self._process = os.getpid()
        self._users: weakref.WeakSet[User] = weakref.WeakSet()
        self._free = weakref.finalize(self, _close_all, self.npus)
        self._free.atexit = False
        _open.add(self)

    def add(self, user: User) -> None:
        """Have ``user`` closed before the devices are."""
        self._users.add(user)

    def close(self, timeout: float = CLOSE_TIMEOUT) -> bool:
        """Close the users, wait for them, and give the devices back; closing twice is harmless."""
        due = time.monotonic() + timeout
        in_time = [user.close(max(0.0, due - time.monotonic())) for user in list(self._users)]
        self.free()
        return all(in_time)

    def free(self) -> None:
        """Give the devices back at once."""
        self.usable = False
        self._free()

    def check_open(self, what: str) -> None:
        """Raise FuriosaRuntimeError when the devices are closed, or when this process is a fork of their owner."""
        if self.usable:
            return
        if not self._free.alive:
            raise ClosedError(what)
        self.check_process(what)

    def check_process(self, what: str) -> None:
        """Raise FuriosaRuntimeError when this process is a fork of the one that opened the devices."""
        if self.inherited:
            raise FuriosaRuntimeError(
                f"the {what} belongs to process {self._process}, which forked this one",
                hint="a device is used by the process that opened it: create it after the fork",
            )


_open: weakref.WeakSet[Devices] = weakref.WeakSet()


def _close_all(npus: Sequence[Npu]) -> None:
    for npu in npus:
        npu.close()


def _inherit_all() -> None:
    for devices in list(_open):
        devices.inherited, devices.usable = True, False


os.register_at_fork(after_in_child=_inherit_all)


@atexit.register
def _close_at_exit() -> None:
    """Workers must have ended when the interpreter does."""
    for devices in list(_open):
        devices.close()


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
        devices.check_open("runtime")
        with runtime_errors(), span("Register"):
            check_size("batch_size", batch_size)
            check_size("worker_num", worker_num)
            enf = load_or_compile(model, one_target(devices.npus).name, batch_size, compiler_config)
            check_wiring(enf)
            self.worker_num = min(worker_num or len(devices.npus), _MOST_WORKERS)
            self._processors = len(os.sched_getaffinity(0))
            self._threads = env.THREADS.get()
            # Workers that wait for a paced device leave the processors to the others.
            threads = self._threads if devices.npus[0].paced else self._share(self.worker_num)
            cpu_models = [CpuModel(data, threads) for data in enf.cpu_models]
            name = logs.next_model()
            self.executables = [Executable(enf, npu, cpu_models, name) for npu in devices.npus]
        logs.model_loaded(name, enf, devices.npus, self.worker_num)
        self.enf: Enf = enf
        self.devices = devices
        self.model = Model.of(enf)
        self._closed = False
        self._idle: queue.SimpleQueue[Executable] = queue.SimpleQueue()
        for worker in range(self.worker_num):
            self._idle.put(self.executable(worker))
        devices.add(self)

    @property
    def parallel(self) -> int:
        """How many workers may execute at a time: no more than there are processors, unless they wait for real time."""
        return self.worker_num if self.executables[0].paced else min(self.worker_num, self._processors)

    def executable(self, worker: int) -> Executable:
        """The model on the device of one worker."""
        return self.executables[worker % len(self.executables)]

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        """One inference on the calling thread, as the next idle worker. Raises FuriosaRuntimeError after close."""
        worker = self._idle.get()
        try:
            self.check_open()
            return self.run_batch(worker, [inputs], self.worker_num - self._idle.qsize())[0]
        finally:
            self._idle.put(worker)

    def run_batch(
        self,
        executable: Executable,
        requests: Sequence[Sequence[Array]],
        busy: int,
        origins: Sequence[Origin | None] = (),
    ) -> list[list[Array]]:
        """One inference for each request while ``busy`` workers share the threads. Raises FuriosaRuntimeError.

        ``origins``: see ``Executable.run_batch``.
        """
        try:
            return executable.run_batch(requests, self._share(busy), origins)
        except FuriosaError as error:
            raise runtime_error(error)  # noqa: B904  # it has its cause already

    def _share(self, busy: int) -> int:
        """The threads for one of ``busy`` workers."""
        return self._threads if busy < 2 else min(self._threads, max(1, self._processors // busy))

    def check_open(self) -> None:
        """Raise FuriosaRuntimeError when the engine is closed, or its devices are not this process's."""
        if self._closed:
            raise ClosedError
        self.devices.check_open("session")

    def close(self, timeout: float = CLOSE_TIMEOUT) -> bool:
        """Take no more work and wait for what runs; True when all of it ended within ``timeout`` seconds."""
        if self._closed or self.devices.inherited:
            return True
        self._closed = True
        due = time.monotonic() + timeout
        drained: list[Executable] = []
        try:
            for _ in range(self.worker_num):
                drained.append(self._idle.get(timeout=max(0.0, due - time.monotonic())))
        except queue.Empty:
            return False
        finally:
            for worker in drained:  # whoever still waits for a worker gets one, and then learns that this is closed
                self._idle.put(worker)
        self.finish()
        return True

    def finish(self) -> None:
        """All work has ended: give the devices back, if they are for this session alone."""
        if not self.devices.shared:
            self.devices.free()


def check_size(name: str, value: object) -> None:
    """Raise OptionError unless ``value`` is a size that the SDK accepts, or None."""
    if value is not None and not (isinstance(value, int | np.integer) and 0 < value < _MOST):
        raise OptionError(f"`{name}` must be an integer of at least 1 and below 2**31, not `{value}`")
