"""Looking after a store: what is in it, and what to remove."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Literal

from furiosa.compiler.cache.store import Kept, Store

State = Literal["valid", "expired", "damaged"]


def age(kept: Kept) -> float:
    """Seconds since a result was made; of a damaged one, since its file was written."""
    return abs(time.time_ns() / 1e9 - (kept.facts.created if kept.facts else kept.used))


def state(kept: Kept, lifetime: int) -> State:
    """Whether a compilation would take an entry, as far as can be told without reading it through."""
    if kept.facts is None:
        return "damaged"
    return "expired" if 0 <= lifetime <= age(kept) else "valid"


def clear(store: Store) -> Sequence[Kept]:
    """Remove everything, and say what that was. Raises Trouble."""
    return _removed(store, [*store.entries()])


def prune(store: Store, most: int | None) -> Sequence[Kept]:
    """Remove what is damaged or past its time, then what was used longest ago until ``most`` bytes are left.

    Returns what was removed. Raises Trouble.
    """
    now = time.time_ns() / 1e9
    kept = sorted(store.entries(), key=lambda each: each.used)
    useless = [each for each in kept if each.facts is None or (each.facts.kept_until or now) < now]
    left = [each for each in kept if each not in useless]
    size = sum(each.size for each in left)
    while left and most is not None and size > most:
        useless.append(left.pop(0))
        size -= useless[-1].size
    return _removed(store, useless)


def _removed(store: Store, entries: Sequence[Kept]) -> Sequence[Kept]:
    store.remove(each.name for each in entries)
    return entries
