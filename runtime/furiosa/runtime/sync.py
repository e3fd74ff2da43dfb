"""Synchronous API: ``with create_runner(model) as runner: outputs = runner.run(inputs)``."""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

from numpy.typing import NDArray

from furiosa.runtime.arguments import Tensor, TensorArray, input_arrays, named_arrays, output_indices
from furiosa.runtime.compilation import ModelSource
from furiosa.runtime.engine import Devices, Engine
from furiosa.runtime.failures import FuriosaRuntimeError, FuriosaRuntimeWarning
from furiosa.runtime.interface import Model

__all__ = ["FuriosaRuntimeError", "Runner", "Runtime", "create_runner"]


class Runner:
    """A loaded model; ``run`` may be called by several threads at once."""

    def __init__(self, engine: Engine, owns_devices: bool) -> None:
        self._engine = engine
        self._open = weakref.finalize(self, _close, engine, owns_devices)

    @property
    def model(self) -> Model:
        """The model's interface."""
        return self._engine.model

    def run(self, inputs: TensorArray) -> list[NDArray[Any]]:
        """One inference. Inputs are not copied.

        Raises ValueError for a wrong number or shape of tensors, TypeError for a wrong element type (checked before
        the shape), FuriosaRuntimeError after close.
        """
        self._engine.check_open()
        return self._engine.run(input_arrays(self.model, inputs))

    def run_with(self, outputs: Sequence[str], inputs: Mapping[str, Tensor]) -> list[NDArray[Any]]:
        """One inference with tensors by name: all inputs, and those outputs that are wanted, in that order.

        Raises as ``run``, ValueError for an unknown or missing name, TypeError when ``outputs`` is no list of names.
        """
        self._engine.check_open()
        indices = output_indices(self.model, outputs)
        results = self._engine.run(named_arrays(self.model, inputs))
        return [results[index] for index in indices]

    def close(self) -> bool:
        """Wait for running inferences and give the devices back; True when closed in time."""
        return bool(self._open()) if self._open.alive else True

    def __enter__(self) -> Runner:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        warn_unless_closed(self.close())


class Runtime:
    """A set of opened devices on which runners are created."""

    def __init__(self, device: str | None = None) -> None:
        """Open the devices. Raises FuriosaRuntimeError when they are absent or in use."""
        self._devices = Devices(device)

    def create_runner(
        self,
        model: ModelSource,
        *,
        worker_num: int | None = None,
        batch_size: int | None = None,
        compiler_config: Mapping[str, object] | None = None,
    ) -> Runner:
        """Load a model (a path or bytes: ENF, ONNX or TFLite). Raises FuriosaRuntimeError."""
        if self._devices.closed:
            raise FuriosaRuntimeError("the runtime is closed already", hint="create a new one")
        return Runner(Engine(model, self._devices, worker_num, batch_size, compiler_config), owns_devices=False)

    def close(self) -> bool:
        """Give the devices back; its runners fail from now on. True when closed in time."""
        self._devices.close()
        return True

    def __enter__(self) -> Runtime:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def create_runner(
    model: ModelSource,
    *,
    device: str | None = None,
    worker_num: int | None = None,
    batch_size: int | None = None,
    compiler_config: Mapping[str, object] | None = None,
) -> Runner:
    """Open devices and load a model on them; the runner closes them. Raises FuriosaRuntimeError."""
    return Runner(open_engine(model, device, worker_num, batch_size, compiler_config), owns_devices=True)


def open_engine(
    model: ModelSource,
    device: str | None,
    worker_num: int | None,
    batch_size: int | None,
    compiler_config: Mapping[str, object] | None,
) -> Engine:
    """An engine on devices of its own, which are given back when the model cannot be loaded."""
    devices = Devices(device)
    try:
        return Engine(model, devices, worker_num, batch_size, compiler_config)
    except BaseException:
        devices.close()
        raise


def warn_unless_closed(in_time: bool) -> None:
    """Tell the user of a context manager that running inferences were left behind."""
    if not in_time:
        warnings.warn("inferences were still running when the session was closed", FuriosaRuntimeWarning, stacklevel=3)


def _close(engine: Engine, owns_devices: bool) -> bool:
    in_time = engine.close()
    if owns_devices:
        engine.devices.close()
    return in_time
