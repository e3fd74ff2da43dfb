"""The middle of a queue: requests in at one side, results out at the other, in the order of submission."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from typing import Protocol, TypeVar

from furiosa.runtime.engine import Engine, check_size
from furiosa.runtime.failures import ClosedError, DrainedError, runtime_errors
from furiosa.runtime.workers import Request, Waiter, Workers

DEFAULT_INPUT_SIZE = 1024


class Taker(Waiter, Protocol):
    """Somebody who waits for a result."""

    given: Request | None


T = TypeVar("T", bound=Taker)


class Exchange(Workers):
    """Bounded input and output queues around the workers of an engine.

    A full output queue stops the workers: each may hold one result more than fits. Without ``input_size`` 1024
    requests may wait, without ``output_size`` results are kept without limit, so that a program may submit everything
    before it receives.
    """

    def __init__(self, engine: Engine, input_size: int | None, output_size: int | None) -> None:
        """Raises FuriosaRuntimeError for what is no size."""
        with runtime_errors():
            check_size("input_queue_size", input_size)
            check_size("output_queue_size", output_size)
        limit = math.inf if output_size is None else output_size + engine.worker_num
        super().__init__(engine, input_size or DEFAULT_INPUT_SIZE, limit)
        self._results: deque[Request] = deque()
        self._early: dict[int, Request] = {}  # done before one that was submitted before
        self._next_result = 0
        self._receivers: deque[Taker] = deque()

    def check_receiving(self) -> None:
        """Raise FuriosaRuntimeError after ``close``, or in a forked child."""
        if self._closed:
            raise ClosedError("receiver")
        self.engine.devices.check_process("receiver")

    def receive(self, waiter: Callable[[], T]) -> Request | T:
        """The next result. When there is none yet, a new waiter instead, woken when it was given one or all is over.

        Raises as ``check_receiving``, DrainedError when there will be no more results.
        """
        self.check_receiving()
        with self._lock:
            if self._results:
                self._held -= 1
                self._call_worker()
                return self._results.popleft()
            self.check_receiving()  # somebody may have closed it meanwhile
            if self._drained():
                raise DrainedError
            waiting = waiter()
            self._receivers.append(waiting)
            return waiting

    def give_up_receiving(self, waiter: Taker) -> bool:
        """Somebody who waited for a result goes away; False when one was given meanwhile: it is the next again."""
        with self._lock:
            if waiter in self._receivers:
                self._receivers.remove(waiter)
                return True
            if (result := waiter.given) is not None:
                waiter.given = None
                self._held += 1
                self._results.appendleft(result)
                self._give()
            return False

    def _deliver(self, done: list[Request]) -> None:
        with self._lock:
            if self._closed:
                return
            for request in done:
                self._early[request.number] = request
            while (result := self._early.pop(self._next_result, None)) is not None:
                self._results.append(result)
                self._next_result += 1
            self._give()

    def _give(self) -> None:
        """Hand results to those who wait, who have waited longest first; the lock is held."""
        while self._results and self._receivers:
            waiter = self._receivers.popleft()
            waiter.given = self._results.popleft()
            self._held -= 1
            waiter.wake()
        self._call_worker()

    def _drop(self, requests: list[Request]) -> None:
        pass  # nobody waits for one of them in particular

    def _ended(self) -> None:
        if self._closed:
            self._results.clear()
            self._early.clear()
        for waiter in self._receivers:
            waiter.wake()
        self._receivers.clear()
