"""Requests on their way through a queue, the places they take there, and those who wait for either."""

from __future__ import annotations

import itertools
import math
import threading
from collections import deque
from collections.abc import Iterator
from typing import Any, Protocol

from numpy.typing import NDArray

from furiosa.runtime.failures import FuriosaRuntimeError
from furiosa.runtime.profiler.recorder import origin

Array = NDArray[Any]


class Request:
    """One inference: its inputs, then its outputs or its error. ``number`` counts in the order of execution.

    ``origin`` is, for the profiler, who submitted it; ``given_up`` when that was cancelled.
    """

    __slots__ = ("context", "error", "given_up", "inputs", "number", "origin", "outputs")

    def __init__(self, inputs: list[Array], context: object) -> None:
        self.inputs = inputs
        self.context = context
        self.number = -1
        self.outputs: list[Array] = []
        self.error: Exception | None = None
        self.given_up = False
        self.origin = origin()

    @property
    def cancelled(self) -> bool:
        """Whether nobody wants the result any more."""
        return self.given_up


class Waiter(Protocol):
    """Somebody who waits: for a result, or for room for a request. ``given`` is that one when the waiting is over, None
    when it was in vain.
    """

    given: Request | None

    def wake(self) -> None:
        """Called once at most, by any thread."""


class ThreadWaiter:
    """A thread that waits."""

    __slots__ = ("_lock", "given")

    def __init__(self) -> None:
        self.given: Request | None = None
        self._lock = threading.Lock()
        self._lock.acquire()

    def wake(self) -> None:
        self._lock.release()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for ``wake``; False when that took longer than ``timeout`` seconds."""
        return self._lock.acquire(timeout=-1 if timeout is None else min(timeout, threading.TIMEOUT_MAX))


class Places:
    """So many places, taken and freed by any thread without a lock: each step is one call of C, which no other thread
    interrupts. A lock would do worse here: while a thread that holds it waits for the GIL, others queue up for it, and
    from then on every request costs a change of threads.
    """

    def __init__(self, number: float) -> None:
        self._fresh: Iterator[object] = itertools.repeat(0) if number == math.inf else iter(range(int(number)))
        self._freed: deque[object] = deque()

    def take(self) -> bool:
        """Take one; False when there is none."""
        try:
            self._freed.pop()
        except IndexError:
            return next(self._fresh, None) is not None
        return True

    def free(self) -> None:
        """Give one back."""
        self._freed.append(0)


def raise_failure(request: Request) -> None:
    """Raise what a request failed with, if it did; the error has the request's ``context``."""
    if (error := request.error) is not None:
        if isinstance(error, FuriosaRuntimeError):
            error.context = request.context
        raise error
