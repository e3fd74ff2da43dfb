"""A simulated host for one test: its state folder, its description, and short questions about it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from furiosa.isa.errors import DeviceError, FuriosaError
from furiosa.npu_sim.devices import cards, occupants, open_devices


def isolate(state_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give this test, and the processes that it starts, a host of their own."""
    monkeypatch.setenv("FURIOSA_SIM_STATE_DIR", str(state_folder))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if path))
    for name in ("FURIOSA_SIM_CONFIG", "FURIOSA_DEVICES", "NPU_DEVNAME", "FURIOSA_DEBUG"):
        monkeypatch.delenv(name, raising=False)


def describe_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    path = tmp_path / "host.yaml"
    path.write_text(text)
    monkeypatch.setenv("FURIOSA_SIM_CONFIG", str(path))


def users() -> dict[tuple[int, int], tuple[str, int | None]]:
    return {key: (user.file.name, user.pid) for key, user in occupants(cards()).items()}


def opened(spec: str | None) -> list[str] | type[FuriosaError]:
    """The names that a specification opens, or the class of its error; closed again."""
    try:
        devices = open_devices(spec)
    except FuriosaError as error:
        return DeviceError if isinstance(error, DeviceError) else type(error)
    for device in devices:
        device.close()
    return [device.name for device in devices]
