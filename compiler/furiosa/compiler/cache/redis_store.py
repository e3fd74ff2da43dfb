"""Results as values of a Redis server, which may be shared, far away, slow, full, or no Redis at all."""

from __future__ import annotations

import queue
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar
from urllib.parse import unquote

from furiosa.compiler.cache.entry import HEAD_BYTES, KEY, Damaged, Facts, check, facts_of
from furiosa.compiler.cache.store import Kept, Trouble, Unreachable
from furiosa.isa.env import StoreUrl

T = TypeVar("T")

_PREFIX = "furiosa:compiler:"
_MOST_TEXT = 200
_BAD_URL = "its URL cannot be understood"


class RedisStore:
    """One value an entry, under `furiosa:compiler:` and its key; the server forgets it when its time is over."""

    def __init__(self, url: StoreUrl, patience: float) -> None:
        """Name the server, which gets ``patience`` seconds for each answer."""
        self._url = url
        self._patience = patience
        self._client: Any = None

    def get(self, key: str) -> tuple[Facts, bytes] | None:
        """The result under a key."""
        value = self._ask(lambda client: client.get(_PREFIX + key))
        if value is None:
            return None
        if not isinstance(value, bytes):
            raise Unreachable("it answers what no Redis does")
        facts, begin = facts_of(value[:HEAD_BYTES], len(value))
        result = value[begin:]
        check(value[:begin], result, key, facts)
        return facts, result

    def put(self, facts: Facts, parts: Sequence[bytes]) -> None:
        """Keep an entry."""
        seconds = None if facts.kept_until is None else round(facts.kept_until - facts.created)
        if not self._ask(lambda client: client.set(_PREFIX + facts.key, b"".join(parts), ex=seconds)):
            raise Unreachable("it answers what no Redis does")

    def entries(self) -> Iterator[Kept]:
        """All keys of this cache. When an entry was used last is not known: it counts as used when it was made."""
        for name in self._ask(lambda client: [*client.scan_iter(match=_PREFIX + "*", count=1000)]):
            key = bytes(name).decode(errors="replace").removeprefix(_PREFIX)
            if not KEY.fullmatch(key):
                continue
            size, facts = 0, None
            with suppress(Damaged):
                size, head = self._ask(partial(_head, name=name))
                facts, _ = facts_of(head, size)
            yield Kept(key, size, facts.created if facts else 0, facts)

    def remove(self, names: Iterable[str]) -> None:
        """Delete keys."""
        for name in names:
            self._ask(partial(_delete, name=_PREFIX + name))

    def _ask(self, question: Callable[[Any], T]) -> T:
        """The answer to a question, within the time that is given for it.

        The question is put by a thread of its own, which is left behind when time is over: resolving a name, or a
        server that sends a byte now and then, has no other end. Importing the client does not count.
        """
        client = self._connected()
        answers: queue.SimpleQueue[tuple[Any, Trouble | Damaged | None]] = queue.SimpleQueue()

        def ask() -> None:
            try:
                answers.put((question(client), None))
            except Exception as error:  # a server may send whatever breaks the client
                answers.put((None, self._trouble(error)))

        threading.Thread(target=ask, daemon=True).start()
        try:
            answer, trouble = answers.get(timeout=self._patience)
        except queue.Empty:
            raise Unreachable(self._late()) from None
        if trouble is not None:
            raise trouble
        result: T = answer
        return result

    def _connected(self) -> Any:
        """The client, which connects when it is used."""
        if self._client is None:
            try:
                from redis import Redis
                from redis.backoff import NoBackoff
                from redis.retry import Retry

                self._client = Redis.from_url(
                    self._url.text, protocol=2, retry=Retry(NoBackoff(), 0), socket_timeout=self._patience,
                    socket_connect_timeout=self._patience,
                )  # fmt: skip
            except ImportError:
                raise Unreachable("the package `redis` is not installed") from None
            except ValueError:  # its message may hold the password
                raise Unreachable(_BAD_URL) from None
        return self._client

    def _trouble(self, error: Exception) -> Trouble | Damaged:
        """What an error of the client means for people."""
        from redis import exceptions

        text = self._readable(error)
        if text.startswith("WRONGTYPE"):
            return Damaged("it is no string")
        rows: tuple[tuple[type[Exception], type[Trouble], str], ...] = (
            (exceptions.TimeoutError, Unreachable, self._late()),
            (exceptions.AuthenticationError, Unreachable, "it refuses the login: its password is missing or wrong"),
            (exceptions.ConnectionError, Unreachable, text),
            (exceptions.MovedError, Unreachable, "it is part of a cluster, which is not supported"),
            (exceptions.OutOfMemoryError, Trouble, "it is full"),
            (exceptions.ResponseError, Trouble, text),
            (TypeError, Unreachable, _BAD_URL),  # of an unknown option
            (Exception, Unreachable, "it does not speak the Redis protocol"),
        )
        return next(kind(reason) for known, kind, reason in rows if isinstance(error, known))

    def _late(self) -> str:
        return f"no answer within {self._patience:g} s"

    def _readable(self, error: Exception) -> str:
        """The text of an error in one line, without the login, which a server may have sent back."""
        text = "".join(c if c.isprintable() else " " for c in str(error))
        for secret in _secrets(self._url.text):
            text = text.replace(secret, "***")
        return " ".join(text.split())[:_MOST_TEXT].rstrip(".") or type(error).__name__


def _head(client: Any, name: bytes) -> tuple[int, bytes]:
    return client.strlen(name), client.getrange(name, 0, HEAD_BYTES - 1)


def _delete(client: Any, name: str) -> None:
    client.delete(name)


def _secrets(url: str) -> set[str]:
    """Every part of a URL that may be a login, also decoded."""
    found = re.findall(r"://(.*)@|[?&]\w*pass\w*=([^&]*)", url)
    parts = {part for pair in found for text in pair for part in (text, *text.split(":", 1))}
    return {part for each in parts for part in (each, unquote(each)) if part}
