"""Results as files of a folder: written beside their place and renamed, readable by their owner only."""

from __future__ import annotations

import io
import os
import re
import stat
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from furiosa.compiler.cache.entry import HEAD_BYTES, KEY, PIECE_BYTES, Damaged, Facts, facts_of, unpack
from furiosa.compiler.cache.store import Kept, Trouble

_UNFINISHED = re.compile(r"\.furiosa-[0-9a-f]{16}")
_UNFINISHED_SECONDS = 3600  # after which nobody writes it any more
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK  # neither another place nor a pipe without a writer
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW


class Folder:
    """A folder with one file an entry, named by its key. Only files of this user, or of root, are believed.

    So it does not matter who else may write to the folder.
    """

    def __init__(self, path: str) -> None:
        """Name the folder, which is made when something is kept; `~` is the home folder."""
        self._path = Path(os.path.expanduser(path))
        if str(self._path).startswith("~"):
            raise Trouble("there is no home folder")

    def get(self, key: str) -> tuple[Facts, bytes] | None:
        """The result under a key. Using it counts for ``entries``."""
        with _trouble(), suppress(FileNotFoundError), self._opened() as folder, _open_entry(key, folder) as file:
            found = unpack(iter(lambda: file.read(PIECE_BYTES), b""), _size(file), key)
            with suppress(OSError):  # a folder that is only read
                os.utime(file.fileno())
            return found
        return None

    def put(self, facts: Facts, parts: Sequence[bytes]) -> None:
        """Keep an entry. What nobody needs any more is removed on the occasion."""
        with _trouble():
            _make(self._path)
            with self._opened() as folder:
                temporary = f".furiosa-{os.urandom(8).hex()}"
                try:
                    with open(os.open(temporary, _WRITE, 0o600, dir_fd=folder), "wb") as file:
                        file.writelines(parts)
                    os.rename(temporary, facts.key, src_dir_fd=folder, dst_dir_fd=folder)
                except BaseException:
                    with suppress(OSError):
                        os.unlink(temporary, dir_fd=folder)
                    raise
                _sweep(folder)

    def entries(self) -> Iterator[Kept]:
        """All files that are named like an entry."""
        with _trouble(), suppress(FileNotFoundError), self._opened() as folder:
            yield from _entries(folder)

    def remove(self, names: Iterable[str]) -> None:
        """Delete entries."""
        with _trouble(), suppress(FileNotFoundError), self._opened() as folder:
            for name in names:
                with suppress(FileNotFoundError):
                    os.unlink(name, dir_fd=folder)

    @contextmanager
    def _opened(self) -> Iterator[int]:
        """A descriptor of the folder."""
        for part in (*self._path.parents, self._path):
            if part.is_symlink() and not _ours(part.lstat()):
                raise Trouble(f"`{part}` is a link of another user")
        folder = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            yield folder
        finally:
            os.close(folder)


@contextmanager
def _trouble() -> Iterator[None]:
    """What the system refuses inside leaves as Trouble."""
    try:
        yield
    except OSError as error:
        raise Trouble(error.strerror or type(error).__name__) from None
    except ValueError as error:  # a path with a zero byte
        raise Trouble(str(error)) from None


def _ours(status: os.stat_result) -> bool:
    return status.st_uid in (os.geteuid(), 0)


def _make(path: Path) -> None:
    """Make a folder and those above it, for this user only."""
    for part in (*reversed(path.parents), path):
        with suppress(FileExistsError):
            part.mkdir(0o700)


def _open_entry(name: str, folder: int) -> io.FileIO:
    """An entry that is there, not buffered. Raises Damaged for what other users can put in its place."""
    try:
        descriptor = os.open(name, _READ, dir_fd=folder)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise Damaged(f"it cannot be opened: {error.strerror}") from None
    status = os.fstat(descriptor)
    if stat.S_ISREG(status.st_mode) and _ours(status):
        return io.FileIO(descriptor)
    os.close(descriptor)
    raise Damaged("it is another user's file" if stat.S_ISREG(status.st_mode) else "it is no regular file")


def _size(file: io.FileIO) -> int:
    return os.fstat(file.fileno()).st_size


def _entries(folder: int) -> Iterator[Kept]:
    for name in filter(KEY.fullmatch, os.listdir(folder)):
        with suppress(FileNotFoundError):
            status = os.stat(name, dir_fd=folder, follow_symlinks=False)
            yield Kept(name, status.st_size, status.st_mtime, _facts(name, folder))


def _facts(name: str, folder: int) -> Facts | None:
    """The facts of an entry; None for a damaged one."""
    try:
        with _open_entry(name, folder) as file:
            facts, _ = facts_of(file.read(HEAD_BYTES), _size(file))
            return facts if facts.key == name else None
    except Damaged:
        return None


def _sweep(folder: int) -> None:
    """Remove entries past their time, and what killed processes left unfinished."""
    now = time.time_ns() / 1e9
    with suppress(OSError):
        old = [kept.name for kept in _entries(folder) if kept.facts and (kept.facts.kept_until or now) < now]
        for name in filter(_UNFINISHED.fullmatch, os.listdir(folder)):
            if os.stat(name, dir_fd=folder, follow_symlinks=False).st_mtime < now - _UNFINISHED_SECONDS:
                old.append(name)
        for name in old:
            os.unlink(name, dir_fd=folder)
