"""The lock file of a host: a byte range per PE, locked in the kernel by the process that uses it.

The locks are POSIX record locks, for three properties that no other kind has together: the kernel frees them when their
process ends, however it ends; a forked child does not own them; and they can be asked about (F_GETLK) without being
taken, the answer naming the owner's PID and exact range. What they lack is added here: two opens within one process do
not exclude each other (so ``_held`` does), and closing *any* descriptor of the file drops all locks of the process (so
one descriptor is shared, and no other is open while a range is held).
"""

from __future__ import annotations

import fcntl
import os
import struct
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from furiosa.isa.errors import DeviceError
from furiosa.npu_sim.devices import state

Span = tuple[int, int]
_ALLOCATION: Span = (0, 1)
_FLOCK = "hhqqi0q"  # struct flock of Linux: l_type, l_whence, l_start, l_len, l_pid


class Hold:
    """The right to a span, until it is released or its process ends."""

    __slots__ = ("_tokens", "span")

    def __init__(self, span: Span) -> None:
        self.span = span
        self._tokens = [None]

    def claim(self) -> bool:
        """True for the one call that may release: ``list.pop`` is atomic, so two threads cannot both be told so."""
        try:
            self._tokens.pop()
        except IndexError:
            return False
        return True


@dataclass(frozen=True, slots=True)
class Holder:
    """Who has locked what: the whole span of the lock, and the owner's PID (0 when in a foreign PID namespace)."""

    span: Span
    pid: int


class LockFile:
    """One lock file. Use ``lock_file`` to get it: a process must have only one object per file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None
        self._held: dict[Span, Hold] = {}
        self._allocating = False

    @contextmanager
    def allocation(self) -> Iterator[None]:
        """Exclude every other allocation on this host meanwhile, in whichever process or thread.

        Spans can still be released meanwhile, but not taken. Raises OSError when the file cannot be used.
        """
        with _guard:
            descriptor = self._open_current()
            self._allocating = True
            try:
                yield
            finally:
                self._allocating = False
                _unlock(descriptor, _ALLOCATION)

    def take(self, span: Span) -> Hold:
        """Lock a span; only within ``allocation``. Raises BlockingIOError when somebody else holds a part of it."""
        if self._descriptor is None or self._own(span):
            raise BlockingIOError
        hold = Hold(span)
        try:
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, span[1], span[0])
        except PermissionError:  # what some systems say for "locked"
            raise BlockingIOError from None
        self._held[span] = hold
        return hold

    def owns(self, hold: Hold) -> bool:
        """Whether this process has the hold: false after release, and in a forked child."""
        return self._held.get(hold.span) is hold

    def release(self, hold: Hold) -> None:
        """Free a span. Does nothing the second time, and in a forked child. Never waits: a destructor may call it."""
        if self._descriptor is None or not self.owns(hold) or not hold.claim():
            return
        _unlock(self._descriptor, hold.span)
        # Only now may this process take the span anew: the unlock above would have freed the new lock too.
        del self._held[hold.span]

    def holders(self, spans: Iterable[Span]) -> list[Holder | None]:
        """Who holds a part of each span at this moment; takes nothing, so no concurrent open is disturbed."""
        with _guard:
            if not self._allocating:
                self._close_unused()
            if self._descriptor is not None:
                return [self._holder(self._descriptor, span) for span in spans]
            try:
                descriptor = state.open_existing(self.path, os.O_RDONLY)
            except FileNotFoundError:
                return [None for _ in spans]
            try:
                return [self._holder(descriptor, span) for span in spans]
            finally:
                os.close(descriptor)

    def forget(self) -> None:
        """In a forked child: the holds belong to the parent."""
        self._held.clear()
        self._allocating = False

    def _own(self, span: Span) -> Hold | None:
        start, length = span
        holds = list(self._held.values())
        return next((h for h in holds if h.span[0] < start + length and start < h.span[0] + h.span[1]), None)

    def _holder(self, descriptor: int, span: Span) -> Holder | None:
        if own := self._own(span):
            return Holder(own.span, os.getpid())
        question = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, *span, 0)
        kind, _, start, length, pid = struct.unpack(_FLOCK, fcntl.fcntl(descriptor, fcntl.F_GETLK, question))
        return None if kind == fcntl.F_UNLCK else Holder((start, length), max(pid, 0))

    def _open_current(self) -> int:
        """Open the file that the path names and lock the allocation, even if somebody replaces the file meanwhile."""
        while True:
            self._close_unused()
            if self._descriptor is None:
                self._descriptor = state.open_file(self.path, 1)
            try:
                fcntl.lockf(self._descriptor, fcntl.LOCK_EX, _ALLOCATION[1], _ALLOCATION[0])
                if _is_at(self._descriptor, self.path):
                    return self._descriptor
            except BaseException:
                _unlock(self._descriptor, _ALLOCATION)
                raise
            _unlock(self._descriptor, _ALLOCATION)
            if self._held:
                raise DeviceError(
                    f"the lock file `{self.path}` was removed or replaced while this process has devices open",
                    hint="close the devices first; never clean the state folder while devices are in use",
                )

    def _close_unused(self) -> None:
        if self._descriptor is not None and not self._held:
            os.close(self._descriptor)
            self._descriptor = None


def lock_file(path: Path) -> LockFile:
    """The one LockFile of this process for ``path``."""
    return _files.setdefault(path, LockFile(path))


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False


def _unlock(descriptor: int, span: Span) -> None:
    fcntl.lockf(descriptor, fcntl.LOCK_UN, span[1], span[0])


def _forget_after_fork() -> None:
    global _guard
    _guard = threading.RLock()  # another thread of the parent may have held it
    for file in _files.values():
        file.forget()


_files: dict[Path, LockFile] = {}
_guard = threading.RLock()
os.register_at_fork(after_in_child=_forget_after_fork)
