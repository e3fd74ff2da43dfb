"""The state folder: where the lock file and the counter pages of a host lie, and how a file in it comes to be."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path

from furiosa.isa import env
from furiosa.isa.errors import DeviceError


def folder() -> Path:
    """The state folder's path; it may not exist yet."""
    return env.STATE_DIR.get()


def create_folder() -> Path:
    """The state folder, made when it is missing.

    Raises DeviceError when it cannot be made, is not a folder, or is a predictable folder under /tmp that another user
    has put there.
    """
    path = folder()
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        owner = path.lstat().st_uid
    except OSError as error:
        raise unusable(path, error) from None
    # A folder that the user named may belong to a group; the default name in /tmp can be taken by anybody.
    if path == env.STATE_DIR.default() and owner != os.getuid():
        raise DeviceError(f"the state folder `{path}` belongs to another user", hint=_HINT)
    return path


def open_file(path: Path, size: int) -> int:
    """A descriptor, for reading and writing, of a file in the state folder; a missing one gets ``size`` zero bytes.

    Raises OSError. It never opens with O_CREAT, which the kernel refuses for others' files in sticky folders.
    """
    for _ in range(_ATTEMPTS):
        with suppress(FileNotFoundError):
            return os.open(path, os.O_RDWR)
        _create_file(path, size)
    raise FileNotFoundError(errno.ENOENT, "it vanishes whenever it is made", str(path))


def _create_file(path: Path, size: int) -> None:
    """Make ``path`` with ``size`` zero bytes unless it exists; it appears complete or not at all.

    Everybody who may create files in the folder may use the file: its permissions are the folder's. The bytes are
    really allocated, so that a full disk is an error here and not a fault while the file is mapped.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    try:
        descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.fchmod(descriptor, stat.S_IMODE(path.parent.stat().st_mode) & 0o666)
            os.write(descriptor, bytes(size))
        finally:
            os.close(descriptor)
        # A link never replaces: of two creators one wins and the other uses the winner's file.
        with suppress(FileExistsError):
            os.link(temporary, path)
    finally:
        with suppress(OSError):
            temporary.unlink()


def unusable(path: Path, error: OSError) -> DeviceError:
    """The error for a state folder or file that the operating system refuses."""
    return DeviceError(f"the simulated devices' state `{path}` cannot be used: {error.strerror or error}", hint=_HINT)


_ATTEMPTS = 16
_HINT = f"set {env.STATE_DIR.name} to a folder that you can write to"
