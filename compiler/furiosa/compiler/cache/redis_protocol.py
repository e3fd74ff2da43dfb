"""As much of a Redis client as a cache needs: RESP 2 over TCP or TLS, and commands sent ahead of their answers.

The package `redis` takes 60 ms to import and copies a value three times: with it, to fetch a result of 26 MB took half
as long as to compile it.
"""

from __future__ import annotations

import socket
from contextlib import suppress
from dataclasses import dataclass
from typing import BinaryIO, TypeAlias
from urllib.parse import parse_qsl, unquote, urlsplit

Answer: TypeAlias = "bytes | str | int | list[Answer] | None"

_PORT = 6379
_LINE = 65536
_MOST = 2**31  # bytes of a value, and elements of an array
_DEEPEST = 3  # arrays in arrays
_OPTIONS = {
    "db", "username", "password", "ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_cert_reqs", "ssl_check_hostname",
}  # fmt: skip
_NO = ("none", "false", "no", "0")


class Refused(Exception):
    """The server answers with an error: its text, which begins with the kind of error in capitals."""


class NoRedis(Exception):
    """What the server answers is not of the protocol."""


@dataclass(frozen=True, slots=True, repr=False)
class Server:
    """Where a server is and how to log in. ``options`` are those of the URL, as the package `redis` names them."""

    host: str
    port: int
    tls: bool
    login: tuple[str, ...]
    database: int
    options: dict[str, str]


def parse(url: str) -> Server:
    """The server that a `redis://` or `rediss://` URL names. Raises ValueError, whose text may hold the password."""
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
    if unknown := options.keys() - _OPTIONS:
        raise ValueError(f"unknown options: {', '.join(sorted(unknown))}")
    user, password = (unquote(text or "") or options.get(name, "")
                      for text, name in ((parts.username, "username"), (parts.password, "password")))  # fmt: skip
    login = tuple(text for text in (user, password) if text) if password else ()
    database = int(parts.path.strip("/") or options.get("db", "0"))
    return Server(
        parts.hostname or "localhost", parts.port or _PORT, parts.scheme == "rediss", login, database, options
    )


class Connection:
    """A connection to a server. Every method raises OSError, Refused or NoRedis; after that it is of no more use."""

    def __init__(self, server: Server, patience: float) -> None:
        """Connect and log in. ``patience``: seconds for each part of an answer."""
        self._socket = socket.create_connection((server.host, server.port), patience)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if server.tls:
            self._socket = _secured(self._socket, server)
        self._unanswered = 0
        self._file: BinaryIO = self._socket.makefile("rb")
        if server.login:
            self.ask("AUTH", *server.login)
        if server.database:
            self.ask("SELECT", server.database)

    def close(self) -> None:
        """End it."""
        with suppress(OSError, AttributeError):  # the file of one that never was connected
            self._file.close()
        with suppress(OSError, AttributeError):
            self._socket.close()

    __del__ = close

    def ask(self, *words: str | bytes | int) -> Answer:
        """The answer to a command; those to earlier ones that nobody took are passed over."""
        while self._unanswered:
            self.answer()
        self.send(*words)
        return self.answer()

    def send(self, *words: str | bytes | int) -> None:
        """Put a command; ``answer`` has the answers in the order of the commands."""
        self._unanswered += 1
        parts = [word if isinstance(word, bytes) else str(word).encode() for word in words]
        message = [b"*%d\r\n" % len(parts)]
        for part in parts:
            message += [b"$%d\r\n" % len(part), part, b"\r\n"]
        if sum(map(len, message)) > _LINE:
            for piece in message:
                self._socket.sendall(piece)
        else:
            self._socket.sendall(b"".join(message))

    def _line(self) -> bytes:
        line = self._file.readline(_LINE)
        if not line:
            raise ConnectionError("it ends the connection")
        if not line.endswith(b"\r\n"):
            raise NoRedis
        if line.startswith(b"-"):
            raise Refused(line[1:-2].decode(errors="replace"))
        return line[:-2]

    def answer(self) -> Answer:
        """The answer to the first command that has none yet."""
        self._unanswered -= 1
        return self._element(0)

    def _element(self, depth: int) -> Answer:
        """An answer, or what lies ``depth`` arrays deep in one."""
        line = self._line()
        kind = line[:1]
        if kind == b"$":
            return self._value(_number(line))
        if kind == b"*" and depth < _DEEPEST:
            return [self._element(depth + 1) for _ in range(max(0, _number(line)))]
        if kind == b":":
            return _number(line)
        if kind == b"+":
            return line[1:].decode(errors="replace")
        raise NoRedis

    def _value(self, size: int) -> bytes | None:
        if size == -1:
            return None
        value = self._file.read(size) if size >= 0 else b""
        if len(value) != size or self._file.read(2) != b"\r\n":
            raise NoRedis
        return value


def _number(line: bytes) -> int:
    """The number behind the first byte."""
    try:
        number = int(line[1:])
    except ValueError:
        raise NoRedis from None
    if number > _MOST and line[:1] != b":":
        raise NoRedis
    return number


def _secured(plain: socket.socket, server: Server) -> socket.socket:
    import ssl

    options = server.options
    context = ssl.create_default_context(cafile=options.get("ssl_ca_certs"))
    context.check_hostname = options.get("ssl_check_hostname", "yes").lower() not in _NO
    if options.get("ssl_cert_reqs", "required").lower() in _NO:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if "ssl_certfile" in options:
        context.load_cert_chain(options["ssl_certfile"], options.get("ssl_keyfile"))
    return context.wrap_socket(plain, server_hostname=server.host)
