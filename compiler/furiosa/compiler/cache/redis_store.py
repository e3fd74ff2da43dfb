"""Results as values of a Redis server, which may be shared, far away, slow, full, or no Redis at all."""

from __future__ import annotations

import queue
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from itertools import chain
from typing import TypeVar
from urllib.parse import unquote

from hiredis import ProtocolError, ReplyError

from furiosa.compiler.cache.entry import HEAD_BYTES, KEY, PIECE_BYTES, Damaged, Facts, facts_of, unpack
from furiosa.compiler.cache.redis_protocol import Connection, parse
from furiosa.compiler.cache.store import Kept, Trouble, Unreachable
from furiosa.isa.env import StoreUrl

T = TypeVar("T")

_PREFIX = "furiosa:compiler:"
_MOST_TEXT = 200
_NOT_REDIS = "it does not speak the Redis protocol"

# The first words of errors that a server answers: what they mean, and whether to ask again.
_REFUSALS: dict[str, tuple[type[Exception], str]] = {
    "WRONGTYPE": (Damaged, "it is no string"),
    "NOAUTH": (Unreachable, "it refuses the login: its password is missing or wrong"),
    "WRONGPASS": (Unreachable, "it refuses the login: its password is missing or wrong"),
    "ERR invalid password": (Unreachable, "it refuses the login: its password is missing or wrong"),
    "MOVED": (Unreachable, "it is part of a cluster, which is not supported"),
    "DENIED": (Unreachable, "it takes only local connections"),
    "LOADING": (Unreachable, "it is starting"),
    "OOM": (Trouble, "it is full"),
}


class RedisStore:
    """One value an entry, under `furiosa:compiler:` and its key; the server forgets it when its time is over."""

    def __init__(self, url: StoreUrl, patience: float) -> None:
        """Name the server, which gets ``patience`` seconds for each answer."""
        self._url = url
        self._patience = patience
        self._connection: Connection | None = None

    def get(self, key: str) -> tuple[Facts, bytes] | None:
        """The result under a key."""
        return self._ask(partial(_entry, key=key))

    def put(self, facts: Facts, parts: Sequence[bytes]) -> None:
        """Keep an entry."""
        life = () if facts.kept_until is None else ("EX", round(facts.kept_until - facts.created))
        if self._ask(lambda redis: redis.ask("SET", _PREFIX + facts.key, b"".join(parts), *life)) != b"OK":
            raise Unreachable(_NOT_REDIS)

    def entries(self) -> Iterator[Kept]:
        """All keys of this cache. When an entry was used last is not known: it counts as used when it was made."""
        for name in self._ask(lambda redis: {*_scan(redis)}):
            key = name.decode(errors="replace").removeprefix(_PREFIX)
            if not KEY.fullmatch(key):
                continue
            size, facts = 0, None
            with suppress(Damaged):
                size, head = self._ask(partial(_head, name=name, most=HEAD_BYTES))
                facts, _ = facts_of(head, size)
            yield Kept(key, size, facts.created if facts else 0, facts)

    def remove(self, names: Iterable[str]) -> None:
        """Delete keys."""
        for name in names:
            self._ask(partial(_delete, name=_PREFIX + name))

    def _ask(self, question: Callable[[Connection], T]) -> T:
        """The answer to a question, within the time that is given for it.

        The question is put by a thread of its own, which is left behind when time is over: resolving a name, or a
        server that sends a byte now and then, has no other end.
        """
        answers: queue.SimpleQueue[tuple[T] | Exception] = queue.SimpleQueue()
        connection, self._connection = self._connection, None

        def ask() -> None:
            connected = connection
            try:
                connected = connected or Connection(parse(self._url.text), self._patience)
                answer = (question(connected),)
                self._connection = connected
                answers.put(answer)
            except Exception as error:  # a server may send whatever breaks the client
                if connected is not None:
                    connected.close()
                answers.put(self._trouble(error))

        threading.Thread(target=ask, daemon=True).start()
        try:
            answer = answers.get(timeout=self._patience)
        except queue.Empty:
            raise Unreachable(self._late()) from None
        if isinstance(answer, Exception):
            raise answer
        return answer[0]

    def _trouble(self, error: Exception) -> Exception:
        """What an error means for people."""
        if isinstance(error, Damaged):
            return error
        if isinstance(error, ReplyError):
            text = self._readable(str(error))
            known = next((value for start, value in _REFUSALS.items() if str(error).startswith(start)), None)
            kind, reason = known or (Trouble, text)
            return kind(reason)
        if isinstance(error, TimeoutError):
            return Unreachable(self._late())
        if isinstance(error, OSError):
            return Unreachable(self._readable(error.strerror or str(error) or type(error).__name__))
        if isinstance(error, ValueError) and not isinstance(error, UnicodeError):
            return Unreachable("its URL cannot be understood")  # the text may hold the password
        return Unreachable(_NOT_REDIS)

    def _late(self) -> str:
        return f"no answer within {self._patience:g} s"

    def _readable(self, text: str) -> str:
        """A text in one line, without the login, which a server may have sent back."""
        text = "".join(c if c.isprintable() else " " for c in text)
        for secret in _secrets(self._url.text):
            text = text.replace(secret, "***")
        return " ".join(text.split())[:_MOST_TEXT].rstrip(".")


def _entry(redis: Connection, key: str) -> tuple[Facts, bytes] | None:
    """The entry of a key, taken in pieces: as one value it would take twice as long, see ``unpack``."""
    name = _PREFIX + key
    size, head = _head(redis, name, PIECE_BYTES)
    if not size:
        return None
    try:
        return unpack(chain([head], _pieces(redis, name, len(head), size)), size, key)
    except Damaged:  # or written anew meanwhile
        whole = _bytes(redis.ask("GET", name))
        return unpack([whole], len(whole), key)


def _pieces(redis: Connection, name: str, start: int, size: int) -> Iterator[bytes]:
    """What of a value lies behind ``start``; while one piece is worked on, the server makes ready the next."""
    starts = range(start, size, PIECE_BYTES)
    for at in starts[:1]:
        redis.send("GETRANGE", name, at, at + PIECE_BYTES - 1)
    for at in starts:
        if (following := at + PIECE_BYTES) < size:
            redis.send("GETRANGE", name, following, following + PIECE_BYTES - 1)
        yield _bytes(redis.answer())


def _scan(redis: Connection) -> Iterator[bytes]:
    """The names of all keys under the prefix; some perhaps twice."""
    cursor: object = b"0"
    while isinstance(cursor, bytes):
        answer = redis.ask("SCAN", cursor, "MATCH", _PREFIX + "*", "COUNT", 1000)
        if not isinstance(answer, list) or len(answer) != 2 or not isinstance(answer[1], list):
            raise ProtocolError
        yield from map(_bytes, answer[1])
        cursor = None if answer[0] == b"0" else answer[0]


def _head(redis: Connection, name: str | bytes, most: int) -> tuple[int, bytes]:
    """The size of a value, and its first bytes."""
    redis.send("STRLEN", name)
    redis.send("GETRANGE", name, 0, most - 1)
    size, head = redis.answer(), _bytes(redis.answer())
    if not isinstance(size, int):
        raise ProtocolError
    return size, head


def _bytes(answer: object) -> bytes:
    if not isinstance(answer, bytes):
        raise ProtocolError
    return answer


def _delete(redis: Connection, name: str) -> None:
    redis.ask("DEL", name)


def _secrets(url: str) -> set[str]:
    """Every part of a URL that may be a login, also decoded."""
    found = re.findall(r"://(.*)@|[?&]\w*pass\w*=([^&]*)", url)
    parts = {part for pair in found for text in pair for part in (text, *text.split(":", 1))}
    return {part for each in parts for part in (each, unquote(each)) if part}
