"""Synchronous API: ``with create_runner(model) as runner: outputs = runner.run(inputs)``."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from furiosa.runtime.arguments import Tensor, TensorArray, input_arrays, named_arrays, output_indices
from furiosa.runtime.compilation import ModelSource
from furiosa.runtime.engine import Devices, Engine
from furiosa.runtime.exchange import Exchange
from furiosa.runtime.failures import ClosedError, DrainedError, FuriosaRuntimeError, FuriosaRuntimeWarning
from furiosa.runtime.interface import Model
from furiosa.runtime.profiler.recorder import span
from furiosa.runtime.requests import Request, ThreadWaiter, raise_failure

__all__ = ["FuriosaRuntimeError", "Receiver", "Runner", "Runtime", "Submitter", "create_queue", "create_runner"]


class _Closing:
    """The context manager of what has ``close``: a warning when that was not in time."""

    def close(self) -> bool:
        raise NotImplementedError

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        warn_unless_closed(self.close())


class Runner(_Closing):
    """A loaded model; ``run`` may be called by several threads at once."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @property
    def model(self) -> Model:
        """The model's interface. Raises FuriosaRuntimeError after close."""
        self._engine.check_open()
        return self._engine.model

    def run(self, inputs: TensorArray) -> list[NDArray[Any]]:
        """One inference. Inputs are not copied.

        Raises ValueError for a wrong number or shape of tensors, TypeError for a wrong element type (checked before
        the shape), FuriosaRuntimeError after close.
        """
        self._engine.check_open()
        return self._engine.run(input_arrays(self._engine.model, inputs))

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
        return self._engine.close()

    def __enter__(self) -> Runner:
        return self


class Submitter(_Closing):
    """The end of a queue where inferences are submitted; any thread may do so."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        exchange.close_with(self, input_only=True)

    @property
    def model(self) -> Model:
        """The model's interface. Raises FuriosaRuntimeError after close."""
        self._exchange.check_open()
        return self._exchange.engine.model

    def allocate(self) -> list[NDArray[Any]]:
        """Fresh input tensors, all zero."""
        return [np.zeros(desc.shape, desc.numpy_dtype) for desc in self.model.inputs()]

    def submit(self, inputs: TensorArray, context: object = None) -> None:
        """Submit one inference; ``context`` comes back with its result. Inputs are not copied.

        Returns at once unless the input queue is full. Raises as ``Runner.run``.
        """
        with span("Submit"):
            request = Request(input_arrays(self.model, inputs), context)
            if (waiter := self._exchange.offer(request, ThreadWaiter)) is not None:
                try:
                    waiter.wait()
                except BaseException:
                    self._exchange.give_up_submitting(waiter)
                    raise
                if waiter.given is None:
                    raise ClosedError

    def close(self) -> bool:
        """Submit no more; what was submitted is still executed and can be received. True when closed in time."""
        self._exchange.close_input()
        return True

    def __enter__(self) -> Submitter:
        return self


class Receiver(_Closing):
    """The end of a queue where results are received, in the order of submission; iterable."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        exchange.close_with(self)

    @property
    def model(self) -> Model:
        """The model's interface. Raises FuriosaRuntimeError after close."""
        self._exchange.check_receiving()
        return self._exchange.engine.model

    def recv(self, timeout: float | None = None) -> tuple[Any, list[NDArray[Any]]]:
        """The context and the outputs of the next inference that has not been received.

        Raises TimeoutError when there is none within ``timeout`` seconds, FuriosaRuntimeError when the inference
        failed (its ``context`` says which), when there will be no more results, or after ``close``.
        """
        due = None if timeout is None else time.monotonic() + timeout
        result = self._exchange.receive(ThreadWaiter)
        while not isinstance(result, Request):
            left = None if due is None else max(0.0, due - time.monotonic())
            try:
                woken = result.wait(left)
            except BaseException:
                self._exchange.give_up_receiving(result)
                raise
            if not woken and self._exchange.give_up_receiving(result):
                raise TimeoutError(f"no result came within {timeout} seconds")
            result = result.given or self._exchange.receive(ThreadWaiter)
        raise_failure(result)
        return result.context, result.outputs

    def close(self) -> bool:
        """Receive no more: the submitter is closed too, requests that wait are dropped, running ones are waited for.

        True when closed in time.
        """
        return self._exchange.close()

    def __iter__(self) -> Receiver:
        return self

    def __next__(self) -> tuple[Any, list[NDArray[Any]]]:
        try:
            return self.recv()
        except (ClosedError, DrainedError):
            raise StopIteration from None

    def __enter__(self) -> Receiver:
        return self


class QueuePair(tuple[Submitter, Receiver], _Closing):
    """Both ends of a queue: unpack them, or ``with create_queue(model) as (submitter, receiver)``."""

    def close(self) -> bool:
        """Close the submitter and the receiver; True when closed in time."""
        submitter, receiver = self
        return submitter.close() and receiver.close()

    def __enter__(self) -> tuple[Submitter, Receiver]:
        return self


class Runtime:
    """A set of opened devices on which runners and queues are created."""

    def __init__(self, device: str | None = None) -> None:
        """Open the devices. Raises FuriosaRuntimeError when they are absent or in use."""
        self.devices = Devices(device, shared=True)

    def create_runner(
        self,
        model: ModelSource,
        *,
        worker_num: int | None = None,
        batch_size: int | None = None,
        compiler_config: Mapping[str, object] | None = None,
    ) -> Runner:
        """Load a model (a path or bytes: ENF, ONNX or TFLite). Raises FuriosaRuntimeError."""
        return Runner(Engine(model, self.devices, worker_num, batch_size, compiler_config))

    def create_queue(
        self,
        model: ModelSource,
        *,
        worker_num: int | None = None,
        batch_size: int | None = None,
        input_queue_size: int | None = None,
        output_queue_size: int | None = None,
        compiler_config: Mapping[str, object] | None = None,
    ) -> QueuePair:
        """Load a model behind a queue, whose ends are returned. Raises FuriosaRuntimeError."""
        engine = Engine(model, self.devices, worker_num, batch_size, compiler_config)
        return queue_pair(engine, input_queue_size, output_queue_size)

    def close(self) -> bool:
        """Close its runners and queues, and give the devices back; True when closed in time."""
        return self.devices.close()

    def __enter__(self) -> Runtime:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        warn_unless_closed(self.close())


def create_runner(
    model: ModelSource,
    *,
    device: str | None = None,
    worker_num: int | None = None,
    batch_size: int | None = None,
    compiler_config: Mapping[str, object] | None = None,
) -> Runner:
    """Open devices and load a model on them; the runner closes them. Raises FuriosaRuntimeError."""
    return Runner(open_engine(model, device, worker_num, batch_size, compiler_config))


def create_queue(
    model: ModelSource,
    *,
    device: str | None = None,
    worker_num: int | None = None,
    batch_size: int | None = None,
    input_queue_size: int | None = None,
    output_queue_size: int | None = None,
    compiler_config: Mapping[str, object] | None = None,
) -> QueuePair:
    """Open devices and load a model behind a queue, whose receiver closes them. Raises FuriosaRuntimeError."""
    engine = open_engine(model, device, worker_num, batch_size, compiler_config)
    return queue_pair(engine, input_queue_size, output_queue_size)


def queue_pair(engine: Engine, input_size: int | None, output_size: int | None) -> QueuePair:
    """Both ends of a queue at an engine, which is closed when the sizes are none. Raises FuriosaRuntimeError."""
    exchange = open_exchange(engine, input_size, output_size)
    return QueuePair((Submitter(exchange), Receiver(exchange)))


def open_exchange(engine: Engine, input_size: int | None, output_size: int | None) -> Exchange:
    """A queue at an engine, which is closed when the sizes are none. Raises FuriosaRuntimeError."""
    try:
        return Exchange(engine, input_size, output_size)
    except BaseException:
        engine.close()
        raise


def open_engine(
    model: ModelSource,
    device: str | None,
    worker_num: int | None,
    batch_size: int | None,
    compiler_config: Mapping[str, object] | None,
    opened: bool = True,
) -> Engine:
    """An engine on devices of its own, which are given back when the model cannot be loaded.

    ``opened``: see ``Devices``.
    """
    devices = Devices(device, opened=opened)
    try:
        return Engine(model, devices, worker_num, batch_size, compiler_config)
    except BaseException:
        devices.free()
        raise


def warn_unless_closed(in_time: bool) -> None:
    """Tell the user of a context manager that running inferences were left behind."""
    if not in_time:
        warnings.warn("inferences were still running when the session was closed", FuriosaRuntimeWarning, stacklevel=3)
