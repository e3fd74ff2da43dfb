"""Targets and their names."""

from __future__ import annotations

import pytest

from furiosa.isa.errors import OptionError
from furiosa.isa.target import DEFAULT, names, target


def test_the_two_targets_have_the_documented_geometry() -> None:
    one, fused = target("warboy"), target("warboy-2pe")
    assert (one.macs_per_cycle, one.sram_bytes, one.pes) == (8192, 16 << 20, 1)
    assert (fused.macs_per_cycle, fused.sram_bytes, fused.pes) == (16384, 32 << 20, 2)
    assert one.microseconds(2_000_000) == 1000


def test_names_and_aliases() -> None:
    assert set(names()) == {"warboy", "warboy-2pe"}
    assert DEFAULT in names()
    for alias, name in (("warboy-a0", "warboy"), ("warboy-b0", "warboy"), ("warboy-b0-2pe", "warboy-2pe")):
        assert target(alias) is not None and target(alias).name == name


@pytest.mark.parametrize("name", ["", "common", "warboy-3pe", "WARBOY"])
def test_an_unknown_name_is_refused_with_the_known_ones(name: str) -> None:
    with pytest.raises(OptionError, match="unknown target NPU") as caught:
        target(name)
    assert caught.value.hint is not None and "warboy" in caught.value.hint
