"""Files that users ask for: written beside their place and renamed, so that a failed run leaves the old one."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from furiosa.isa.errors import OptionError

_MODE = 0o666


def save(path: Path, content: str | bytes) -> None:
    """Write a whole file, text as UTF-8. Raises OptionError when it cannot be written."""
    data = content.encode() if isinstance(content, str) else content
    try:
        if path.exists() and not path.is_file():
            path.write_bytes(data)  # a device or pipe: nothing to rename onto
        else:
            _replace(path, data)
    except OSError as error:
        raise OptionError(
            f"cannot write `{path}`: {error.strerror}", hint="check the path and its permissions"
        ) from None


def check_writable(path: Path) -> None:
    """Raise OptionError when ``save`` could not write the file; to be asked before long work."""
    if path.is_dir() or not path.parent.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK):
        raise OptionError(f"cannot write `{path}`", hint="check that its folder exists and may be written to")


def _replace(path: Path, data: bytes) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with open(handle, "wb") as file:
            file.write(data)
            mask = os.umask(0)
            os.umask(mask)
            os.chmod(name, _MODE & ~mask)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
