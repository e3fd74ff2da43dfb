"""The state folder: where the lock file and the counter pages of a host lie, and how a file in it comes to be.

It belongs to one user, and so does all in it: what another user has put there is refused, and links are not followed.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path

from furiosa.isa import env
from furiosa.isa.errors import DeviceError


def folder() -> Path:
    """The state folder's path; it may not exist yet.

    Raises DeviceError when it is no folder, cannot be seen, or is not this user's.
    """
    path = env.STATE_DIR.get()
    try:
        link, place = path.lstat(), path.stat()
    except FileNotFoundError:
        return path
    except OSError as error:
        raise unusable(path, error) from None
    if {link.st_uid, place.st_uid} != {os.geteuid()}:
        raise unusable(path, PermissionError(errno.EPERM, _FOREIGN))
    if not stat.S_ISDIR(place.st_mode):
        raise unusable(path, NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR)))
    return path


def create_folder() -> Path:
    """The state folder, made when it is missing. Raises DeviceError as ``folder``, and when it cannot be made."""
    path = env.STATE_DIR.get()
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise unusable(path, error) from None
    return folder()


def open_file(path: Path, size: int) -> int:
    """A descriptor, for reading and writing, of a file in the state folder; a missing one gets ``size`` zero bytes.

    Raises OSError.
    """
    for _ in range(_ATTEMPTS):
        with suppress(FileNotFoundError):
            return open_existing(path, os.O_RDWR)
        _create_file(path, size)
    raise FileNotFoundError(errno.ENOENT, "it vanishes whenever it is made", str(path))


def open_existing(path: Path, access: int) -> int:
    """A descriptor of a file in the state folder. Raises OSError, also for links and for what is not this user's."""
    try:
        descriptor = os.open(path, access | os.O_NOFOLLOW | os.O_NONBLOCK)  # a pipe must not make anybody wait
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise PermissionError(errno.EPERM, "it is a symbolic link", str(path)) from None
        raise
    found = os.fstat(descriptor)
    if stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid():
        return descriptor
    os.close(descriptor)
    problem = _FOREIGN if stat.S_ISREG(found.st_mode) else "it is not a regular file"
    raise PermissionError(errno.EPERM, problem, str(path))


def _create_file(path: Path, size: int) -> None:
    """Make ``path`` with ``size`` zero bytes unless it exists; it appears complete or not at all.

    The bytes are really allocated, so that a full disk is an error here and not a fault while the file is mapped.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    try:
        descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.fchmod(descriptor, 0o600)  # whatever the umask
            if os.write(descriptor, bytes(size)) < size:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        finally:
            os.close(descriptor)
        # A link never replaces: of two creators one wins and the other uses the winner's file.
        with suppress(FileExistsError):
            os.link(temporary, path)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None  # nobody knows the temporary name
    finally:
        with suppress(OSError):
            temporary.unlink()


def unusable(path: Path, error: OSError) -> DeviceError:
    """The error for a state folder or file that the operating system refuses."""
    where = error.filename if isinstance(error.filename, str) else path
    return DeviceError(f"the simulated devices' state `{where}` cannot be used: {error.strerror or error}", hint=_HINT)


_ATTEMPTS = 16
_FOREIGN = "it belongs to another user"
_HINT = f"set {env.STATE_DIR.name} to a folder of your own that you can write to"
