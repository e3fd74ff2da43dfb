"""What a place for results has to do, and the choice of the place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from furiosa.compiler.cache.entry import Facts
from furiosa.isa.env import StoreUrl


class Trouble(Exception):
    """A store refuses something. The message is the reason, without secrets."""


class Unreachable(Trouble):
    """A store does not answer as it should: there is no use in asking again."""


@dataclass(frozen=True)
class Kept:
    """One entry of a store: its name there, its bytes, when it was used last, and its facts, None for a damaged one."""

    name: str
    size: int
    used: float
    facts: Facts | None


class Store(Protocol):
    """A place for results. Every method raises Trouble, ``get`` also Damaged."""

    def get(self, key: str) -> tuple[Facts, bytes] | None:
        """The result under a key, whole and of this key; None when there is none."""

    def put(self, facts: Facts, parts: Sequence[bytes]) -> None:
        """Keep an entry, all of it or nothing, in the place of what was there."""

    def entries(self) -> Iterator[Kept]:
        """All that is kept, without reading it through."""

    def remove(self, names: Iterable[str]) -> None:
        """Forget entries; those that are gone already do not matter."""


def open_store(url: StoreUrl, patience: float) -> Store:
    """The store at a place; a server gets ``patience`` seconds for each answer. Raises Trouble for an unknown kind."""
    scheme, separator, _ = url.text.partition("://")
    if not separator:
        from furiosa.compiler.cache.folder import Folder

        return Folder(url.text)
    if scheme in ("redis", "rediss"):
        from furiosa.compiler.cache.redis_store import RedisStore

        return RedisStore(url, patience)
    raise Trouble(f"`{scheme}` is no kind of store: name a folder, or a redis:// or rediss:// URL")
