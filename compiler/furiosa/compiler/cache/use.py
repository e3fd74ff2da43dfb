"""The cache as a compilation uses it: it says what it did, and whatever goes wrong with it, compilation goes on."""

from __future__ import annotations

import logging
import time

from furiosa.compiler.cache.entry import Damaged, Facts, pack
from furiosa.compiler.cache.place import open_store
from furiosa.compiler.cache.question import Question
from furiosa.compiler.cache.store import Store, Trouble, Unreachable
from furiosa.isa import env

PATIENCE = 0.8
"""Seconds for an answer of a server. A compilation asks twice, so it is never two seconds late."""

KEPT_SECONDS = 72 * 3600
"""How long a store keeps a result at least: the lifetime of who reads it may be longer than that of who made it."""

_LONGEST = 2**31  # seconds, which every server accepts
_NAME_CHARACTERS = 200
_LOG = logging.getLogger("furiosa.compiler.cache")

# Of this process: one warning for each store is enough, and one that does not answer is not waited for again.
_warned: set[str] = set()
_unreachable: set[str] = set()


class Cache:
    """The cache for one compilation; every word about it goes to the log ``furiosa.compiler.cache``."""

    def __init__(self) -> None:
        """Read the environment. Raises OptionError for an unusable variable."""
        self._url = env.CACHE_STORE.get()
        self._lifetime = env.CACHE_LIFETIME.get()
        self._store: Store | None = None
        self._key = ""

    def find(self, question: Question) -> bytes | None:
        """The result of an earlier compilation, None when it has to be made."""
        try:
            self._key = question.key()
        except (ValueError, OSError):
            _miss("the model, or a file that it names, cannot be read")
            return None
        try:
            return self._valid()
        except Damaged as damage:
            self._warn(f"miss: the entry in `{self._url}` is damaged: {damage}")
        except Trouble as trouble:
            self._give_up(trouble)
            self._warn(f"miss: `{self._url}` cannot be used: {trouble}")
        return None

    def _valid(self) -> bytes | None:
        if self._url.text in _unreachable:
            _miss(f"`{self._url}` failed before")
            return None
        self._store = open_store(self._url, PATIENCE)
        if self._lifetime == 0:
            _miss(f"{env.CACHE_LIFETIME.name} is 0")
            return None
        found = self._store.get(self._key)
        if found is None:
            _miss("this compiler has no result of this model with these options")
            return None
        facts, result = found
        age = abs(_now() - facts.created)  # clocks differ
        if 0 <= self._lifetime <= age:
            _miss(f"the result is {_span(age)} old, and the lifetime is {self._lifetime} s")
            return None
        _LOG.info("compiler cache: hit: compiled %s ago, in %s", _span(age), _span(facts.seconds))
        return result

    def keep(self, question: Question, result: bytes, seconds: float) -> None:
        """Keep what compiling gave, which took ``seconds``; ``question`` has the bytes that were compiled."""
        if self._store is None or _changed(question, self._key):
            return
        now = _now()
        kept_until = None if self._lifetime < 0 else now + min(max(self._lifetime, KEPT_SECONDS), _LONGEST)
        facts = Facts(self._key, now, kept_until, len(result), seconds, question.name[:_NAME_CHARACTERS],
                      question.target, question.batch_size, question.target_ir)  # fmt: skip
        try:
            self._store.put(facts, pack(facts, result))
        except Trouble as trouble:
            self._give_up(trouble)
            self._warn(f"the result is not kept: `{self._url}`: {trouble}")

    def _give_up(self, trouble: Trouble) -> None:
        self._store = None
        if isinstance(trouble, Unreachable):
            _unreachable.add(self._url.text)

    def _warn(self, message: str) -> None:
        level = logging.INFO if self._url.text in _warned else logging.WARNING
        _warned.add(self._url.text)
        _LOG.log(level, "compiler cache: %s", message)


def _changed(question: Question, key: str) -> bool:
    """Whether a file was written to while it was compiled."""
    try:
        return question.key() != key
    except (ValueError, OSError):
        return True


def _miss(why: str) -> None:
    _LOG.info("compiler cache: miss: %s", why)


def _now() -> float:
    return time.time_ns() / 1e9  # the wall clock: ages count across processes and computers


def _span(seconds: float) -> str:
    """A span of time in a unit that leaves a number of a few digits, such as `3 min`."""
    for unit, size, least in (("days", 86400, 5), ("h", 3600, 2), ("min", 60, 2)):
        if seconds >= least * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
