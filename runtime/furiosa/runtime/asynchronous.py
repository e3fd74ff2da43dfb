"""Asynchronous API: ``async with create_runner(model) as runner: outputs = await runner.run(inputs)``."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from furiosa.runtime.arguments import Tensor, TensorArray, input_arrays, named_arrays, output_indices
from furiosa.runtime.compilation import ModelSource
from furiosa.runtime.engine import Devices, Engine
from furiosa.runtime.exchange import Exchange
from furiosa.runtime.failures import ClosedError, DrainedError
from furiosa.runtime.interface import Model
from furiosa.runtime.mailbox import FutureWaiter, Mailbox, Mailboxes
from furiosa.runtime.profiler.recorder import span
from furiosa.runtime.requests import Request, Waiter, raise_failure
from furiosa.runtime.sync import open_engine, open_exchange, warn_unless_closed
from furiosa.runtime.workers import Workers


class _Closable(Protocol):
    async def close(self) -> bool: ...


class _Closing:
    """The asynchronous context manager of what has ``close``: a warning when that was not in time."""

    async def __aexit__(
        self: _Closable, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        warn_unless_closed(await self.close())


class _Run(Request):
    """A request whose result goes to a future."""

    __slots__ = ("future", "mailbox")

    def __init__(self, inputs: list[NDArray[Any]], mailbox: Mailbox) -> None:
        super().__init__(inputs, None)
        self.mailbox = mailbox
        self.future: asyncio.Future[list[NDArray[Any]]] = mailbox.loop.create_future()

    @property
    def cancelled(self) -> bool:
        return self.future.cancelled()


class _Runs(Workers):
    """Workers that settle futures."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine, math.inf, math.inf)
        self._mailboxes = Mailboxes()
        self._executed_here = False

    async def run(self, inputs: list[NDArray[Any]]) -> list[NDArray[Any]]:
        """One inference: the first small one of an iteration of the loop at once, the others by the workers."""
        mailbox = self._mailboxes.here()
        if not self._executed_here:
            request = Request(inputs, None)
            if self.execute_here(request):
                self._executed_here = True
                mailbox.loop.call_soon(self._next_iteration)
                await asyncio.sleep(0)  # other tasks have their turn
                raise_failure(request)
                return request.outputs
        run = _Run(inputs, mailbox)
        self.offer(run, lambda: FutureWaiter(mailbox))
        return await run.future

    def _next_iteration(self) -> None:
        self._executed_here = False

    def _kept(self) -> int:
        return 0

    def _deliver(self, done: list[Request]) -> Iterable[Waiter]:
        for request in done:
            assert isinstance(request, _Run)
            request.mailbox.post(request.future, request.outputs, request.error)
        return []

    def _drop(self, requests: list[Request]) -> None:
        for request in requests:
            request.error = ClosedError()
        self._deliver(requests)

    def _ended(self) -> None:
        pass  # every future has been settled


class Runner(_Closing):
    """A loaded model; several runs may be awaited at once, in one event loop after another."""

    def __init__(self, engine: Engine) -> None:
        self._runs = _Runs(engine)
        self._runs.close_with(self)

    @property
    def model(self) -> Model:
        """The model's interface. Raises FuriosaRuntimeError after close."""
        self._runs.check_open()
        return self._runs.engine.model

    async def run(self, inputs: TensorArray) -> list[NDArray[Any]]:
        """One inference; a cancelled one is not begun any more. Inputs are not copied. Errors: see ``sync.Runner``."""
        self._runs.check_open()
        return await self._runs.run(input_arrays(self._runs.engine.model, inputs))

    async def run_with(self, outputs: Sequence[str], inputs: Mapping[str, Tensor]) -> list[NDArray[Any]]:
        """One inference with tensors by name. Errors: see ``sync.Runner``."""
        model = self.model
        indices = output_indices(model, outputs)
        results = await self._runs.run(named_arrays(model, inputs))
        return [results[index] for index in indices]

    async def close(self) -> bool:
        """Wait for running inferences and give the devices back; True when closed in time."""
        return await asyncio.to_thread(self._runs.close)

    async def __aenter__(self) -> Runner:
        return self


class Submitter(_Closing):
    """The end of a queue where inferences are submitted; any task may do so."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._mailboxes = Mailboxes()
        exchange.close_with(self, input_only=True)

    @property
    def model(self) -> Model:
        """The model's interface. Raises FuriosaRuntimeError after close."""
        self._exchange.check_open()
        return self._exchange.engine.model

    def allocate(self) -> list[NDArray[Any]]:
        """Fresh input tensors, all zero."""
        return [np.zeros(desc.shape, desc.numpy_dtype) for desc in self.model.inputs()]

    async def submit(self, inputs: TensorArray, context: object = None) -> None:
        """Submit one inference; ``context`` comes back with its result. Inputs are not copied.

        Returns at once unless the input queue is full. Errors: see ``sync.Runner``.
        """
        with span("Submit"):
            request = Request(input_arrays(self.model, inputs), context)
            if (waiter := self._exchange.offer(request, self._waiter)) is not None:
                try:
                    await waiter.future
                except BaseException:
                    self._exchange.give_up_submitting(waiter)
                    raise
                if waiter.given is None:
                    raise ClosedError

    async def close(self) -> bool:
        """Submit no more; what was submitted is still executed and can be received. True when closed in time."""
        self._exchange.close_input()
        return True

    async def __aenter__(self) -> Submitter:
        return self

    def _waiter(self) -> FutureWaiter:
        return FutureWaiter(self._mailboxes.here())


class Receiver(_Closing):
    """The end of a queue where results are received, in the order of submission; iterable with ``async for``."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._mailboxes = Mailboxes()
        exchange.close_with(self)

    @property
    def model(self) -> Model:
        """The model's interface. Raises FuriosaRuntimeError after close."""
        self._exchange.check_receiving()
        return self._exchange.engine.model

    async def recv(self) -> tuple[Any, list[NDArray[Any]]]:
        """The context and the outputs of the next inference that has not been received.

        Raises FuriosaRuntimeError when the inference failed (its ``context`` says which), when there will be no more
        results, or after ``close``. For a timeout, use `asyncio.timeout` or `asyncio.wait_for`: no result is lost.
        """
        result = self._exchange.receive(self._waiter)
        while not isinstance(result, Request):
            try:
                await result.future
            except BaseException:
                self._exchange.give_up_receiving(result)
                raise
            result = result.given or self._exchange.receive(self._waiter)
        raise_failure(result)
        return result.context, result.outputs

    async def close(self) -> bool:
        """Receive no more: the submitter is closed too, requests that wait are dropped, running ones are waited for.

        True when closed in time.
        """
        return await asyncio.to_thread(self._exchange.close)

    def __aiter__(self) -> Receiver:
        return self

    async def __anext__(self) -> tuple[Any, list[NDArray[Any]]]:
        try:
            return await self.recv()
        except (ClosedError, DrainedError):
            raise StopAsyncIteration from None

    async def __aenter__(self) -> Receiver:
        return self

    def _waiter(self) -> FutureWaiter:
        return FutureWaiter(self._mailboxes.here())


class QueuePair(tuple[Submitter, Receiver]):
    """Both ends of a queue."""

    async def close(self) -> bool:
        """Close the submitter and the receiver; True when closed in time."""
        submitter, receiver = self
        return await submitter.close() and await receiver.close()


T = TypeVar("T", bound=_Closable)


class Creation(Generic[T]):
    """Something being created: ``await`` it, or use it in ``async with``. Work happens off the event loop."""

    def __init__(self, create: Callable[[], T]) -> None:
        self._create = create
        self._created: T | None = None

    def __await__(self) -> Generator[Any, None, T]:
        return asyncio.to_thread(self._create).__await__()

    async def __aenter__(self) -> T:
        self._created = await self
        return self._created

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._created is not None:
            warn_unless_closed(await self._created.close())


class Runtime(_Closing):
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
    ) -> Creation[Runner]:
        """Load a model; to be awaited. Raises FuriosaRuntimeError."""
        return Creation(lambda: Runner(Engine(model, self.devices, worker_num, batch_size, compiler_config)))

    def create_queue(
        self,
        model: ModelSource,
        *,
        worker_num: int | None = None,
        batch_size: int | None = None,
        input_queue_size: int | None = None,
        output_queue_size: int | None = None,
        compiler_config: Mapping[str, object] | None = None,
    ) -> Creation[QueuePair]:
        """Load a model behind a queue, whose ends are returned; to be awaited. Raises FuriosaRuntimeError."""

        def create() -> QueuePair:
            engine = Engine(model, self.devices, worker_num, batch_size, compiler_config)
            return _queue_pair(engine, input_queue_size, output_queue_size)

        return Creation(create)

    async def close(self) -> bool:
        """Close its runners and queues, and give the devices back; True when closed in time."""
        return await asyncio.to_thread(self.devices.close)

    async def __aenter__(self) -> Runtime:
        return self


def create_runner(
    model: ModelSource,
    *,
    device: str | None = None,
    worker_num: int | None = None,
    batch_size: int | None = None,
    compiler_config: Mapping[str, object] | None = None,
) -> Creation[Runner]:
    """Open devices and load a model on them; to be awaited. Raises FuriosaRuntimeError."""
    return Creation(lambda: Runner(open_engine(model, device, worker_num, batch_size, compiler_config)))


def create_queue(
    model: ModelSource,
    *,
    device: str | None = None,
    worker_num: int | None = None,
    batch_size: int | None = None,
    input_queue_size: int | None = None,
    output_queue_size: int | None = None,
    compiler_config: Mapping[str, object] | None = None,
) -> Creation[QueuePair]:
    """Open devices and load a model behind a queue, whose receiver closes them; to be awaited.

    Raises FuriosaRuntimeError.
    """

    def create() -> QueuePair:
        engine = open_engine(model, device, worker_num, batch_size, compiler_config)
        return _queue_pair(engine, input_queue_size, output_queue_size)

    return Creation(create)


def _queue_pair(engine: Engine, input_size: int | None, output_size: int | None) -> QueuePair:
    exchange = open_exchange(engine, input_size, output_size)
    return QueuePair((Submitter(exchange), Receiver(exchange)))
