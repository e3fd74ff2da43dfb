"""A connection to a Redis server: commands that are sent ahead of their answers, over TCP or TLS.

The protocol is in the hands of `hiredis`. The package `redis` around it takes 60 to 90 ms to import: with it, to fetch
a result of 26 MB took half as long as to compile it.
"""

from __future__ import annotations

import socket
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import hiredis

_PORT = 6379
_PIECE = 1 << 20  # bytes that are received at a time
_MOST = 2**31  # bytes of an answer
_OPTIONS = {
    "db", "username", "password", "ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_cert_reqs", "ssl_check_hostname",
}  # fmt: skip
_NO = ("none", "false", "no", "0")


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
    """A connection to a server, of no more use once a method has raised.

    Methods raise OSError, hiredis.ReplyError when the server answers with an error, and hiredis.ProtocolError when what
    it answers is not of the protocol.
    """

    def __init__(self, server: Server, patience: float) -> None:
        """Connect and log in. ``patience``: seconds for each part of an answer."""
        self._socket = socket.create_connection((server.host, server.port), patience)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if server.tls:
            self._socket = _secured(self._socket, server)
        self._unanswered = 0
        self._reader = hiredis.Reader()
        if server.login:
            self.ask("AUTH", *server.login)
        if server.database:
            self.ask("SELECT", server.database)

    def close(self) -> None:
        """End it."""
        with suppress(OSError, AttributeError):  # an attribute that one lacks which never was connected
            self._socket.close()

    __del__ = close

    def ask(self, *words: str | bytes | int) -> Any:
        """The answer to a command; those to earlier ones that nobody took are passed over."""
        while self._unanswered:
            self.answer()
        self.send(*words)
        return self.answer()

    def send(self, *words: str | bytes | int) -> None:
        """Put a command; ``answer`` has the answers in the order of the commands."""
        self._unanswered += 1
        self._socket.sendall(hiredis.pack_command(words))  # type: ignore[arg-type]  # its stub: a tuple of one

    def answer(self) -> Any:
        """The answer to the first command that has none yet: bytes, an int, None, or a list of these."""
        self._unanswered -= 1
        received = 0
        while (answer := self._reader.gets()) is False:
            piece = self._socket.recv(_PIECE)
            received += len(piece)
            if not piece:
                raise ConnectionError("it ends the connection")
            if received > _MOST:
                raise hiredis.ProtocolError
            self._reader.feed(piece)
        if isinstance(answer, hiredis.ReplyError):
            raise answer
        return answer


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
