"""The NPUs of this host, for asyncio programs; ``furiosa.device.sync`` has the same names for others.

Everything is simulated: cards, identity and sensors are those of the described host (FURIOSA_SIM_CONFIG), use and
counters are those of the programs that run on it now.
"""

from __future__ import annotations

from furiosa.device import cards, files
from furiosa.device import sync as furiosa_native_device_sync
from furiosa.device.cards import AsyncDevice as Device
from furiosa.device.cards import CoreStatus, CoreStatusType, PerformanceCounter
from furiosa.device.config import Arch, DeviceConfig, DeviceMode
from furiosa.device.files import CoreRange, CoreRangeType, DeviceFile
from furiosa.device.sensors import AsyncFetcher as Fetcher
from furiosa.device.sensors import SensorValue
from furiosa.isa.version import native_version, version_info
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
    "furiosa_native_device_sync",
    "get_device",
    "get_device_file",
    "list_devices",
]

__version__ = version_info()
__full_version__ = f"Furiosa SDK Device {__version__} (native {native_version()})"


async def list_devices() -> list[Device]:
    """The cards of this host. Raises OptionError when its description cannot be read."""
    return [Device(card) for card in host.cards()]


async def get_device(index: int | str) -> Device:
    """The card with this number, or name such as ``npu0``. Raises DeviceError when there is none."""
    return Device(cards.card(index))


async def find_device_files(config: DeviceConfig | str) -> list[DeviceFile]:
    """Free device files that serve a configuration, in the order in which a session would take them.

    Raises DeviceError when there are too few now, OptionError when a text is no device specification.
    """
    return files.free_files(config)


async def get_device_file(name: str) -> DeviceFile:
    """The device file with this name, such as ``npu0pe0-1``. Raises DeviceError when there is none."""
    return files.device_file(name)


find_devices = find_device_files
