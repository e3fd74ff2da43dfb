"""Worker threads: they take requests from a bounded line, in order, and execute several small ones in one go."""

from __future__ import annotations

import math
import threading
import time
import weakref
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable
from typing import TypeVar

from furiosa.runtime.engine import CLOSE_TIMEOUT, Engine
from furiosa.runtime.executable import Executable
from furiosa.runtime.failures import ClosedError
from furiosa.runtime.requests import Places, Request, ThreadWaiter, Waiter

# What a worker executes in one go. Waking a thread and handing over the GIL take as long as a small inference, and
# Python lets a busy thread keep the GIL for 5 ms; the first results of a batch wait for the last.
_BATCH_SECONDS = 0.008
# What is executed at once on the thread that asks for it: less than waking a worker and being woken by it takes.
_HERE_SECONDS = 0.0001

W = TypeVar("W", bound=Waiter)


class Workers(ABC):
    """The workers of an engine and the requests that wait for them. A worker's thread starts when it is needed.

    ``input_size`` is how many requests may wait, ``limit`` how many may be taken and not yet be given away.
    """

    def __init__(self, engine: Engine, input_size: float, limit: float) -> None:
        self.engine = engine
        self._limit = limit
        self._input_size = input_size
        self._parallel = engine.parallel
        self._places = Places(input_size)
        self._waiting: deque[Request] = deque()  # any thread may append
        self._idle: list[ThreadWaiter] = []  # any thread may look whether there are some
        self._lock = threading.Lock()  # guards all that follows, and what else is done with the two above
        self._input_closed = False
        self._closed = False
        self._submitters: deque[tuple[Request, Waiter]] = deque()  # they wait for a place
        self._taken = 0
        self._executing = 0  # taken and not delivered
        self._running = 0  # workers that have taken something and not delivered it
        self._left = 0  # workers that have ended
        self._seconds = math.inf  # of the processor for one request, when last measured
        self._threads: list[threading.Thread] = []
        engine.devices.add(self)

    @abstractmethod
    def _deliver(self, done: list[Request]) -> Iterable[Waiter]:
        """Give executed requests away; the lock is held. Returns who is to be woken."""

    @abstractmethod
    def _kept(self) -> int:
        """How many requests have been delivered and not given away."""

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
        """Put a request into the line. When that is full, a new waiter instead, woken when the request is in the line.

        To be called after ``check_open``. Raises FuriosaRuntimeError when it was closed meanwhile.
        """
        if not self._places.take():
            with self._lock:
                if self._input_closed:
                    raise ClosedError
                if not self._places.take():
                    waiting = waiter()
                    self._submitters.append((request, waiting))
                    return waiting
        self._waiting.append(request)
        if self._input_closed and self._withdraw(request):
            raise ClosedError
        if self._idle or len(self._threads) < self._parallel:
            with self._lock:
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
        """Somebody who waited for a place goes away, and the request leaves the line if it is there already."""
        with self._lock:
            if waiter.given is None:
                self._submitters = deque(entry for entry in self._submitters if entry[1] is not waiter)
                return
        self._withdraw(waiter.given)

    def _withdraw(self, request: Request) -> bool:
        """Take a request out of the line; whether it was still there."""
        woken: list[Waiter] = []
        with self._lock:
            there = request in self._waiting
            if there:
                self._waiting.remove(request)
                self._places.free()
                self._admit(woken, 1)
                if self._drained():
                    self._ended()
        for waiter in woken:
            waiter.wake()
        return there

    def close_input(self) -> None:
        """Take no more requests; those in the line are executed."""
        if not self.engine.devices.inherited:
            self._close_now(self._close_input)

    def close(self, timeout: float = CLOSE_TIMEOUT) -> bool:
        """Take and execute no more requests; True when all workers ended within ``timeout`` seconds."""
        if self.engine.devices.inherited:
            return True
        self._close_now(self._close)
        self._join(timeout)
        return self._finish()

    def _join(self, timeout: float = CLOSE_TIMEOUT) -> None:
        """Wait for the workers that are about to end."""
        due = time.monotonic() + timeout
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(max(0.0, due - time.monotonic()))

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
        self._closed = self._input_closed = True
        dropped = list(self._waiting)
        self._waiting.clear()
        self._drop(dropped)
        self._close_input()
        self._ended()

    def _close_input(self) -> None:
        self._input_closed = True
        for waiter in (*self._idle, *(waiter for _, waiter in self._submitters)):
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

    def _room(self) -> float:
        """How many more requests may be taken."""
        return self._limit - self._executing - self._kept()

    def _call_worker(self) -> None:
        """Have one more worker look at the line if there is something to take for it; the lock is held."""
        if not self._waiting or self._room() <= 0:
            return
        if self._idle:
            self._idle.pop().wake()
        elif (index := len(self._threads)) < self._parallel:
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
        while True:
            idle = None
            woken: list[Waiter] = []
            with self._lock:
                if done:
                    self._executing -= len(done)
                    self._running -= 1
                    woken += self._deliver(done)
                    done = []
                    if self._drained():
                        self._ended()
                batch = self._take(woken)
                if batch:
                    self._running += 1
                elif not self._input_closed or self._waiting:
                    idle = ThreadWaiter()
                    self._idle.append(idle)
                self._call_worker()  # maybe this one: a request may have come before it was seen to be idle
            for waiter in woken:
                waiter.wake()
            if idle is None:
                return batch
            idle.wait()

    def _take(self, woken: list[Waiter]) -> list[Request]:
        """One worker's share of the line, as many requests as are worth executing in one go; the lock is held.

        ``woken`` is extended by those whose requests came into the line.
        """
        batch: list[Request] = []
        demand = len(self._waiting)
        if demand >= self._input_size:
            demand += len(self._submitters)
        share = math.ceil(demand / self._parallel)
        most = min(share, max(1, _BATCH_SECONDS // self._seconds), self._room())
        while len(batch) < most and (self._waiting or self._admit(woken, 1)):
            request = self._waiting.popleft()
            self._places.free()
            if not request.cancelled:
                request.number = self._taken
                self._taken += 1
                batch.append(request)
        self._executing += len(batch)
        # One who waits for a place is enough to fill the line: each that is woken costs a change of threads.
        self._admit(woken, 1 if batch else len(self._submitters))
        return batch

    def _admit(self, woken: list[Waiter], most: int) -> bool:
        """Let requests that wait for a place into the line, ``most`` at most; the lock is held. Whether one came."""
        before = len(woken)
        while len(woken) < before + most and self._submitters and self._places.take():
            request, waiter = self._submitters.popleft()
            waiter.given = request
            self._waiting.append(request)
            woken.append(waiter)
        return len(woken) > before

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
