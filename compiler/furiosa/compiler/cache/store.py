"""What a place for results has to do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from furiosa.compiler.cache.entry import Facts


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
