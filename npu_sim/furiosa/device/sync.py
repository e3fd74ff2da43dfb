"""The NPUs of this host, for synchronous programs.

>>> from furiosa.device.sync import list_devices
>>> for device in list_devices():  # doctest: +SKIP
...     print(device, device.get_status_all())
"""

from __future__ import annotations

from furiosa.device import cards, files
from furiosa.device.cards import CoreStatus, CoreStatusType, Device, PerformanceCounter
from furiosa.device.config import Arch, DeviceConfig, DeviceMode
from furiosa.device.files import CoreRange, CoreRangeType, DeviceFile
from furiosa.device.sensors import Fetcher, SensorValue
from furiosa.npu_sim.devices import host

__all__ = [
    "Arch",
    "CoreRange",
    "CoreRangeType",
    "CoreStatus",
    "CoreStatusType",
    "Device",
    "DeviceConfig",
    "DeviceFile",
    "DeviceMode",
    "Fetcher",
    "PerformanceCounter",
    "SensorValue",
    "find_device_files",
    "find_devices",
    "get_device",
    "get_device_file",
    "list_devices",
]


def list_devices() -> list[Device]:
    """The cards of this host. Raises OptionError when its description cannot be read."""
    return [Device(card) for card in host.cards()]


def get_device(index: int | str) -> Device:
    """The card with this number, or name such as ``npu0``. Raises DeviceError when there is none."""
    return Device(cards.card(index))


def find_device_files(config: DeviceConfig | str) -> list[DeviceFile]:
    """Free device files that serve a configuration, in the order in which a session would take them.

    Raises DeviceError when there are too few now, OptionError when a text is no device specification.
    """
    return files.free_files(config)


def get_device_file(name: str) -> DeviceFile:
    """The device file with this name, such as ``npu0pe0-1``. Raises DeviceError when there is none."""
    return files.device_file(name)


find_devices = find_device_files
