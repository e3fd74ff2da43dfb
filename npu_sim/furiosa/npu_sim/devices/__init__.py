"""Simulated devices: which cards a host has, who uses which PE, and the opening of PEs. There is no daemon."""

from furiosa.npu_sim.devices.counters import Counters, Load
from furiosa.npu_sim.devices.device import (
    DEFAULT_SPECIFICATION,
    OpenDevice,
    default_specification,
    described_devices,
    open_devices,
    read_counters,
)
from furiosa.npu_sim.devices.host import Card, DeviceFile, cards
from furiosa.npu_sim.devices.usage import Occupant, occupants

__all__ = [
    "DEFAULT_SPECIFICATION",
    "Card",
    "Counters",
    "DeviceFile",
    "Load",
    "Occupant",
    "OpenDevice",
    "cards",
    "default_specification",
    "described_devices",
    "occupants",
    "open_devices",
    "read_counters",
]
