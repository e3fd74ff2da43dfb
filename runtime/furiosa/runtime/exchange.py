"""The middle of a queue: requests in at one side, results out at the other, in the order of submission."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress

from furiosa.runtime.engine import Engine, check_size
from furiosa.runtime.failures import ClosedError, DrainedError, runtime_errors
from furiosa.runtime.requests import Request, Waiter
from furiosa.runtime.workers import W, Workers

DEFAULT_INPUT_SIZE = 1024


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
        self._results: deque[Request] = deque()  # any thread may take; empty while somebody waits
        self._early: dict[int, Request] = {}  # done before one that was submitted before
        self._next_result = 0
        self._receivers: deque[Waiter] = deque()

    def give_up_submitting(self, waiter: Waiter) -> None:
        """Somebody who waited for a place goes away: the request has no result, unless that was received already."""
        super().give_up_submitting(waiter)
        if (request := waiter.given) is not None:
            with self._lock, suppress(ValueError):
                request.given_up = True
                self._results.remove(request)
                self._call_worker()

    def check_receiving(self) -> None:
        """Raise FuriosaRuntimeError after ``close``, or in a forked child."""
        if self._closed:
            raise ClosedError("receiver")
        self.engine.devices.check_process("receiver")

    def receive(self, waiter: Callable[[], W]) -> Request | W:
        """The next result. When there is none yet, a new waiter instead, woken when it was given one or all is over.

        Raises as ``check_receiving``, DrainedError when there will be no more results.
        """
        self.check_receiving()
        result = self._ready()
        if result is None:
            try:
                return self._wait_for_result(waiter)
            except DrainedError:
                self._join()  # the device is free when the last result was received
                raise
        if self._waiting and self._idle:  # there was no room for more results
            with self._lock:
                self._call_worker()
        return result

    def _ready(self) -> Request | None:
        """The next result, if there is one; without a lock, as in ``Places``."""
        try:
            return self._results.popleft() if self._results else None
        except IndexError:  # another thread has taken the last
            return None

    def _wait_for_result(self, waiter: Callable[[], W]) -> Request | W:
        with self._lock:
            if (result := self._ready()) is not None:
                self._call_worker()
                return result
            self.check_receiving()  # somebody may have closed it meanwhile
            if self._drained():
                raise DrainedError
            waiting = waiter()
            self._receivers.append(waiting)
            return waiting

    def give_up_receiving(self, waiter: Waiter) -> bool:
        """Somebody who waited for a result goes away; False when one was given meanwhile: it is the next again."""
        with self._lock:
            if waiter in self._receivers:
                self._receivers.remove(waiter)
                return True
            if (result := waiter.given) is not None:
                waiter.given = None
                if self._receivers:
                    self._give(result).wake()
                else:
                    self._results.appendleft(result)
            return False

    def _kept(self) -> int:
        return len(self._results) + len(self._early)

    def _deliver(self, done: list[Request]) -> Iterable[Waiter]:
        if self._closed:
            return []
        woken = []
        for request in done:
            self._early[request.number] = request
        while (result := self._early.pop(self._next_result, None)) is not None:
            self._next_result += 1
            if result.cancelled:
                continue
            if self._receivers:
                woken.append(self._give(result))
            else:
                self._results.append(result)
        return woken

    def _give(self, result: Request) -> Waiter:
        """Hand a result to who has waited longest; the lock is held."""
        waiter = self._receivers.popleft()
        waiter.given = result
        return waiter

    def _drop(self, requests: list[Request]) -> None:
        pass  # nobody waits for one of them in particular

    def _ended(self) -> None:
        if self._closed:
            self._results.clear()
            self._early.clear()
        for waiter in self._receivers:
            waiter.wake()
        self._receivers.clear()
