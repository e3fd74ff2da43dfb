"""Targets: the geometry and performance constants of each NPU that programs are compiled for."""

from __future__ import annotations

import sys
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

from furiosa.isa.errors import OptionError, did_you_mean

_FILE = Path(__file__).parent / "targets" / "warboy.toml"
_ALIASES = {
    "warboy-a0": "warboy", "warboy-b0": "warboy", "warboy-a0-2pe": "warboy-2pe", "warboy-b0-2pe": "warboy-2pe",
}  # fmt: skip
DEFAULT = "warboy-2pe"


@dataclass(frozen=True, slots=True)
class Target:
    """One NPU as seen by a program. Meanings, units and sources of the figures stand in ``targets/warboy.toml``."""

    name: str
    slices: int
    pes: int
    clock_hz: int
    dram_bytes_per_second: int
    dram_bytes: int
    dma_setup_cycles: int
    host_bytes_per_second: int
    slice_sram_bytes: int
    mac_rows: int
    mac_columns: int
    vector_bytes_per_slice: int
    broadcast_bytes_per_cycle: int
    broadcast_strips: int
    exchange_bytes_per_cycle: int
    spread_bytes_per_cycle: int
    gather_cycles: int
    issue_cycles: int
    window_start_cycles: int
    conv_start_cycles: int

    @property
    def sram_bytes(self) -> int:
        """Bytes of SRAM of all slices: 16 MiB for one PE, 32 MiB fused."""
        return self.slices * self.slice_sram_bytes

    @property
    def macs_per_cycle(self) -> int:
        """Multiply-accumulate operations a cycle at best."""
        return self.slices * self.mac_rows * self.mac_columns

    def microseconds(self, cycles: int) -> float:
        """The time that ``cycles`` take."""
        return cycles * 1e6 / self.clock_hz


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a file of constants."""
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib

    return tomllib.loads(path.read_text())


@cache
def _table() -> dict[str, dict[str, int]]:
    return read_toml(_FILE)


def names() -> tuple[str, ...]:
    """The targets a user may name."""
    return tuple(name for name in _table() if name != "common")


@cache
def target(name: str) -> Target:
    """The target with this name or alias. Raises OptionError for another name."""
    known = _ALIASES.get(name, name)
    if known not in names():
        hint = did_you_mean(name, names()) or f"the targets are {', '.join(names())}"
        raise OptionError(f"unknown target NPU `{name}`", hint=hint)
    values = _table()["common"] | _table()[known]
    return Target(name=known, **{f.name: values[f.name] for f in fields(Target) if f.name != "name"})
