"""Files by their location: a path, ``file://`` or ``http(s)://``.

>>> with supported("file://") as client:  # doctest: +SKIP
...     model = await client.read("mnist.onnx")
"""

from __future__ import annotations

import asyncio
import hashlib
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from furiosa.isa import env
from furiosa.isa.errors import FuriosaError, OptionError
from furiosa.isa.files import save

_TIMEOUT = 60.0


class TransportNotFound(FuriosaError):
    """No transport serves locations of this kind."""


class Transport:
    """Reads locations of some schemes."""

    def __init__(self, open_location: Callable[[str], BinaryIO]) -> None:
        self._open = open_location

    async def read(self, location: str) -> bytes:
        """The content. Raises OptionError when it cannot be read."""
        return await asyncio.to_thread(self._read, location)

    async def download(self, location: str) -> Path:
        """A local file with the content: the file itself, or a copy below FURIOSA_TRANSPORT_HOME that is made once.

        Raises OptionError when it cannot be read or written.
        """
        return await asyncio.to_thread(self._download, location)

    def _read(self, location: str) -> bytes:
        try:
            with self._open(location) as file:
                return file.read()
        except (OSError, ValueError) as error:
            raise _unreadable(location, error) from error

    def _download(self, location: str) -> Path:
        if self is _FILES:
            return _path(location)
        target = env.TRANSPORT_HOME.get() / hashlib.sha256(location.encode()).hexdigest()[:16] / _name(location)
        if not target.exists():
            content = self._read(location)
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise OptionError(
                    f"cannot make the folder `{target.parent}`: {error.strerror}",
                    hint=f"set {env.TRANSPORT_HOME.name} to a folder that you can write to",
                ) from None
            save(target, content)
        return target


def _open_path(location: str) -> BinaryIO:
    return _path(location).open("rb")


def _open_url(location: str) -> BinaryIO:
    try:
        response: BinaryIO = urllib.request.urlopen(location, timeout=_TIMEOUT)
    except urllib.error.HTTPError as error:
        error.close()  # the answer has a body, which holds the connection
        raise
    return response


_FILES, _URLS = Transport(_open_path), Transport(_open_url)
_TRANSPORTS = {"": _FILES, "file": _FILES, "http": _URLS, "https": _URLS}


@contextmanager
def supported(location: str) -> Iterator[Transport]:
    """The transport for a location, or for a scheme such as ``file://``. Raises TransportNotFound."""
    yield _transport(location)


async def read(location: str, path: str = "") -> bytes:
    """The content of a location, or of ``path`` below it. Raises TransportNotFound or OptionError."""
    whole = f"{location.rstrip('/')}/{path.lstrip('/')}" if path else location
    return await _transport(whole).read(whole)


async def download(location: str) -> Path:
    """A local file with the content of a location. Raises TransportNotFound or OptionError."""
    return await _transport(location).download(location)


def is_relative(location: str) -> bool:
    """Whether a location is a path that depends on the current folder."""
    return not _scheme(location) and not Path(location).is_absolute()


def _transport(location: str) -> Transport:
    scheme = _scheme(location)
    if scheme not in _TRANSPORTS:
        raise TransportNotFound(
            f"there is no transport for `{scheme}://`", where=location,
            hint=f"fetch the file yourself; there are transports for paths, {', '.join(list(_TRANSPORTS)[1:])}",
        )  # fmt: skip
    return _TRANSPORTS[scheme]


def _scheme(location: str) -> str:
    head, separator, _ = location.partition("://")
    return head if separator else ""


def _path(location: str) -> Path:
    return Path(urllib.parse.unquote(location.partition("://")[2]) if _scheme(location) else location)


def _name(location: str) -> str:
    return Path(urllib.parse.unquote(location.partition("?")[0])).name or "content"


def _unreadable(location: str, error: Exception) -> OptionError:
    reason = getattr(error, "strerror", None) or getattr(error, "reason", None) or error
    return OptionError(f"cannot read `{location}`: {reason}", hint="check the location and its permissions")
