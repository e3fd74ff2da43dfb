"""Worker threads: they take requests from a bounded line, in order, and execute several small ones in one go."""

from __future__ import annotations

import math
import threading
import time
import weakref
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from numpy.typing import NDArray

from furiosa.runtime.engine import CLOSE_TIMEOUT, Engine
from furiosa.runtime.executable import Executable
from furiosa.runtime.failures import ClosedError, FuriosaRuntimeError
from furiosa.runtime.profiler.recorder import origin

Array = NDArray[Any]

# What a worker executes in one go. Waking a thread and handing over the GIL take as long as a small inference, and
# Python lets a busy thread keep the GIL for 5 ms; the first results of a batch wait for the last.
_BATCH_SECONDS = 0.004
# What is executed at once on the thread that asks for it: less than waking a worker and being woken by it takes.
_HERE_SECONDS = 0.0001


class Request:
    """One inference: its inputs, then its outputs or its error. ``number`` counts in the order of execution.

    ``origin`` is, for the profiler, who submitted it.
    """

    __slots__ = ("context", "error", "inputs", "number", "origin", "outputs")

    def __init__(self, inputs: list[Array], context: object) -> None:
        self.inputs = inputs
        self.context = context
        self.number = -1
        self.outputs: list[Array] = []
        self.error: Exception | None = None
        self.origin = origin()

    @property
    def cancelled(self) -> bool:
        """Whether nobody wants the result any more."""
        return False


class Waiter(Protocol):
    """Somebody who waits for a change."""

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


W = TypeVar("W", bound=Waiter)


class Workers(ABC):
    """The workers of an engine and the requests that wait for them. A worker's thread starts when it is needed.

    ``input_size`` is how many requests may wait, ``limit`` how many may be taken and not yet be given away.
    """

    def __init__(self, engine: Engine, input_size: float, limit: float) -> None:
        self.engine = engine
        self._input_size = input_size
        self._limit = limit
        self._lock = threading.Lock()  # guards all that follows
        self._input_closed = False
        self._closed = False
        self._waiting: deque[Request] = deque()
        self._taken = 0
        self._held = 0  # taken and not yet given away
        self._running = 0  # workers that have taken something and not delivered it
        self._returning = 0  # workers that deliver, and will look at the line without being called
        self._left = 0  # workers that have ended
        self._seconds = math.inf  # of the processor for one request, when last measured
        self._threads: list[threading.Thread] = []
        self._idle: list[ThreadWaiter] = []
        self._submitters: deque[Waiter] = deque()
        engine.devices.add(self)

    @abstractmethod
    def _deliver(self, done: list[Request]) -> None:
        """Give executed requests away."""

    @abstractmethod
    def _drop(self, requests: list[Request]) -> None:
        """Requests that will not be executed; the lock is held."""

    @abstractmethod
    def _ended(self) -> None:
        """Nothing will be delivered any more; the lock is held."""

    def check_open(self) -> None:
        """Raise FuriosaRuntimeError when nothing can be submitted any more, or in a forked child."""
        if self._input_closed:
            raise ClosedError
        self.engine.devices.check_open("session")

    def offer(self, request: Request, waiter: Callable[[], W]) -> W | None:
        """Put a request into the line. When that is full, a new waiter instead, woken when it may be tried again.

        To be called after ``check_open``. Raises FuriosaRuntimeError when it was closed meanwhile.
        """
        with self._lock:
            if self._input_closed:
                raise ClosedError
            if len(self._waiting) >= self._input_size:
                waiting = waiter()
                self._submitters.append(waiting)
                return waiting
            self._waiting.append(request)
            self._call_worker()
            return None

    def execute_here(self, request: Request) -> bool:
        """Execute a small request on the calling thread, unless a worker is at work; whether that was done."""
        if self._seconds > _HERE_SECONDS:
            return False
        with self._lock:
            if self._input_closed or self._waiting or self._running:
                return False
            self._running += 1
        try:
            self._execute(self.engine.executable(0), [request])
        finally:
            with self._lock:
                self._running -= 1
                self._call_worker()
                if self._drained():
                    self._ended()
            self._finish()
        return True

    def give_up_submitting(self, waiter: Waiter) -> None:
        """Somebody who waited for room in the line goes away; if woken already, the next one is woken instead."""
        with self._lock:
            if waiter in self._submitters:
                self._submitters.remove(waiter)
            elif self._submitters:
                self._submitters.popleft().wake()

    def close_input(self) -> None:
        """Take no more requests; those in the line are executed."""
        if not self.engine.devices.inherited:
            self._close_now(self._close_input)

    def close(self, timeout: float = CLOSE_TIMEOUT) -> bool:
        """Take and execute no more requests; True when all workers ended within ``timeout`` seconds."""
        if self.engine.devices.inherited:
            return True
        self._close_now(self._close)
        due = time.monotonic() + timeout
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(max(0.0, due - time.monotonic()))
        return self._finish()

    def close_with(self, owner: object, input_only: bool = False) -> None:
        """Close when ``owner`` is forgotten, without waiting for what runs."""
        close = self._close_input if input_only else self._close
        weakref.finalize(owner, self._abandon, close).atexit = False

    def _abandon(self, close: Callable[[], None]) -> None:
        """Called by a destructor, on whatever thread: this very one may hold the lock."""
        if self.engine.devices.inherited:
            return
        if self._lock.locked():
            threading.Thread(target=self._close_now, args=(close,), daemon=True).start()
        else:
            self._close_now(close)

    def _close_now(self, close: Callable[[], None]) -> None:
        with self._lock:
            close()
        self._finish()

    def _close(self) -> None:
        self._closed = True
        dropped = list(self._waiting)
        self._waiting.clear()
        self._drop(dropped)
        self._close_input()
        self._ended()

    def _close_input(self) -> None:
        self._input_closed = True
        for waiter in (*self._idle, *self._submitters):
            waiter.wake()
        self._idle.clear()
        self._submitters.clear()
        if self._drained():
            self._ended()

    def _drained(self) -> bool:
        """Whether nothing is left to execute, and nothing can come."""
        return self._input_closed and not self._waiting and not self._running

    def _finish(self) -> bool:
        """Whether all workers have ended; then the engine has nothing to do any more."""
        finished = self._input_closed and self._left == len(self._threads) and not self._running
        if finished:
            self.engine.finish()
        return finished

    def _call_worker(self) -> None:
        """Have one more worker look at the line if there is something to take for it; the lock is held."""
        if self._held >= self._limit or len(self._waiting) <= self._returning:
            return
        if self._idle:
            self._idle.pop().wake()
        elif (index := len(self._threads)) < self.engine.parallel:
            work = threading.Thread(
                target=self._work, args=(self.engine.executable(index),), name=f"furiosa-worker-{index}", daemon=True
            )
            work.start()
            self._threads.append(work)

    def _work(self, executable: Executable) -> None:
        batch: list[Request] = []
        while batch := self._next(batch):
            self._execute(executable, batch)
        with self._lock:
            self._left += 1
        self._finish()

    def _next(self, done: list[Request]) -> list[Request]:
        """Deliver what is done and take what comes next, waiting for it; nothing when there is no more."""
        if done:
            with self._lock:
                self._returning += 1
            self._deliver(done)
        while True:
            with self._lock:
                if done:
                    done.clear()
                    self._returning -= 1
                    self._running -= 1
                    if self._drained():
                        self._ended()
                if batch := self._take():
                    self._running += 1
                    room = self._input_size - len(self._waiting)
                    woken = [self._submitters.popleft() for _ in range(int(min(room, len(self._submitters))))]
                    self._call_worker()
                    break
                if self._input_closed and not self._waiting:
                    return []
                idle = ThreadWaiter()
                self._idle.append(idle)
            idle.wait()
        for waiter in woken:
            waiter.wake()
        return batch

    def _take(self) -> list[Request]:
        """One worker's share of the line, as many requests as are worth executing in one go; the lock is held."""
        batch: list[Request] = []
        share = math.ceil(len(self._waiting) / self.engine.parallel)
        most = min(share, max(1, _BATCH_SECONDS // self._seconds), self._limit - self._held)
        while self._waiting and len(batch) < most:
            request = self._waiting.popleft()
            if not request.cancelled:
                request.number = self._taken
                self._taken += 1
                batch.append(request)
        self._held += len(batch)
        return batch

    def _execute(self, executable: Executable, batch: list[Request]) -> None:
        started = time.thread_time()
        try:
            inputs, origins = [request.inputs for request in batch], [request.origin for request in batch]
            results = self.engine.run_batch(executable, inputs, self._running, origins)
        except Exception as error:
            if len(batch) > 1:  # one of them failed: each for itself
                for request in batch:
                    self._execute(executable, [request])
                return
            batch[0].error = error
        else:
            for request, outputs in zip(batch, results):
                request.outputs = outputs
        for request in batch:
            request.inputs = []
        if not executable.paced:
            self._seconds = max(1e-6, time.thread_time() - started) / len(batch)


def raise_failure(request: Request) -> None:
    """Raise what a request failed with, if it did; the error has the request's ``context``."""
    if (error := request.error) is not None:
        if isinstance(error, FuriosaRuntimeError):
            error.context = request.context
        raise error
