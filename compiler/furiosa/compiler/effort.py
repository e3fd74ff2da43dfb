"""How much work the compiler puts into a schedule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

LEVELS = (0, 1, 2)
BUDGET = 100


@dataclass(frozen=True, slots=True)
class Effort:
    """The optimization ``level``: 0 takes the first schedule, 1 the fastest of a few, 2 searches from there.

    The search of level 2 tries ``budget`` schedules of each NPU program. That is a number and no time, so that the
    result is the same on every computer; it depends on ``seed``.
    """

    level: int = 1
    budget: int = BUDGET
    seed: int = 0


DEFAULT_EFFORT = Effort()


def effort_of(config: Mapping[str, Any]) -> Effort:
    """What a checked compiler_config says."""
    names = {"optimization_level": "level", "search_budget": "budget", "search_seed": "seed"}
    return Effort(**{field: config[name] for name, field in names.items() if name in config})
