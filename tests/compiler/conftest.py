"""Every test of the compiler that runs a model has a simulated host of its own."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def own_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FURIOSA_SIM_STATE_DIR", str(tmp_path / "state"))
