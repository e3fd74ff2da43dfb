"""Results on their way from worker threads into event loops: one wake-up of a loop for all that have come."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from furiosa.runtime.requests import Request

Letter: TypeAlias = "tuple[asyncio.Future[Any], Any, BaseException | None]"


class Mailbox:
    """Settles futures of one event loop from any thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._letters: deque[Letter] = deque()
        self._called = False

    def post(self, future: asyncio.Future[Any], result: Any = None, error: BaseException | None = None) -> None:
        """Settle ``future`` in its loop. Futures that are done already, and loops that are closed, are left alone."""
        self._letters.append((future, result, error))
        if not self._called:
            self._called = True
            try:
                self.loop.call_soon_threadsafe(self._open)
            except RuntimeError:  # the loop is closed: nobody waits any more
                self._letters.clear()

    def _open(self) -> None:
        self._called = False  # before the letters are read: who posts from here on calls again
        while self._letters:
            future, result, error = self._letters.popleft()
            if future.done():
                continue
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error)


class Mailboxes:
    """The mailbox of the event loop that runs now: a session may be used in one loop after another."""

    def __init__(self) -> None:
        self._latest: Mailbox | None = None

    def here(self) -> Mailbox:
        """The mailbox of the running loop."""
        loop = asyncio.get_running_loop()
        latest = self._latest
        if latest is None or latest.loop is not loop:
            self._latest = latest = Mailbox(loop)
        return latest


class FutureWaiter:
    """A task that waits, with ``await waiter.future``."""

    __slots__ = ("_mailbox", "future", "given")

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox
        self.given: Request | None = None
        self.future: asyncio.Future[None] = mailbox.loop.create_future()

    def wake(self) -> None:
        self._mailbox.post(self.future)
