"""Every test of the runtime has a simulated host of its own: one card, nobody uses it; logs go to its folder."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def own_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FURIOSA_SIM_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("FURIOSA_LOG_DIR", str(tmp_path / "logs"))
    for name in ("FURIOSA_DEVICES", "NPU_DEVNAME", "FURIOSA_PROFILER_OUTPUT_PATH", "NUX_PROFILER_PATH",
                 "FURIOSA_SIM_CONFIG", "FURIOSA_SIM_PACE", "FURIOSA_LOG_LEVEL", "FURIOSA_TEST_IS_RUNNING"):  # fmt: skip
        monkeypatch.delenv(name, raising=False)
