"""Cards: identity, state and counters of an NPU, as objects with the members that SDK programs call."""

from __future__ import annotations

import time
from dataclasses import dataclass
from enum import Enum

from furiosa.device.config import Arch
from furiosa.device.files import DeviceFile
from furiosa.device.sensors import AsyncFetcher, Fetcher
from furiosa.isa.errors import DeviceError, OptionError
from furiosa.isa.target import target
from furiosa.isa.version import VERSION
from furiosa.npu_sim.devices import host
from furiosa.npu_sim.devices.counters import Counters, Load
from furiosa.npu_sim.devices.device import read_counters
from furiosa.npu_sim.devices.usage import occupants


class CoreStatusType(Enum):
    """Whether a core can be opened."""

    Available = "available"
    Occupied = "occupied"
    Unavailable = "unavailable"


@dataclass(frozen=True, slots=True, repr=False)
class CoreStatus:
    """The state of one core; ``value`` is the device file through which an occupied core is used."""

    status_type: CoreStatusType
    value: str | None = None

    def __repr__(self) -> str:
        return self.status_type.name if self.value is None else f"{self.status_type.name} by {self.value}"


@dataclass(frozen=True, slots=True)
class Utilization:
    """How busy a device was between two readings, as shares from 0 to 1 of modelled time (see ``Load``)."""

    load: Load

    def npu_utilization(self) -> float:
        """Modelled time in which programs ran, over the time that passed."""
        return self.load.npu

    def computation_ratio(self) -> float:
        """The share of it in which the tensor unit worked."""
        return self.load.compute

    def io_ratio(self) -> float:
        """The share of it in which the tensor unit waited for data."""
        return self.load.io


@dataclass(frozen=True, slots=True)
class PerformanceCounter:
    """One reading of a device's counters."""

    reading: Counters
    clock_hz: int

    def calculate_utilization(self, previous: PerformanceCounter) -> Utilization:
        """The utilization since an earlier reading of the same device."""
        return Utilization(Load.between(previous.reading, self.reading, self.clock_hz))


class Card:
    """What ``Device`` and ``AsyncDevice`` have in common. Identity is that of the described host."""

    def __init__(self, card: host.Card) -> None:
        self._card = card

    def name(self) -> str:
        """Such as ``npu0``."""
        return self._card.name

    def device_index(self) -> int:
        """The number of the card."""
        return self._card.index

    def arch(self) -> Arch:
        """The architecture."""
        return Arch.Warboy

    def alive(self) -> bool:
        """Always true: a simulated card does not fail."""
        return True

    def atr_error(self) -> dict[str, int]:
        """Counts of hardware errors by name: a simulated card has none."""
        return {}

    def busname(self) -> str:
        """The PCI address."""
        return self._card.pci_bdf

    def pci_dev(self) -> str:
        """Major and minor number of the device."""
        return self._card.pci_dev

    def device_sn(self) -> str:
        """The serial number."""
        return self._card.serial

    def device_uuid(self) -> str:
        """The UUID."""
        return self._card.uuid

    def firmware_version(self) -> str:
        """Version and revision, such as ``1.6.0, 3c10fd3``."""
        return self._card.firmware

    def driver_version(self) -> str:
        """The version of the simulator, which stands in for the driver."""
        return f"{VERSION}, simulated"

    def heartbeat(self) -> int:
        """A number that grows by one a second."""
        return int(time.monotonic())

    def clock_frequency(self) -> dict[str, int]:
        """Clocks in MHz by name."""
        return {"ne tensor": target("warboy").clock_hz // 1_000_000}

    def ctrl_device_led(self, led: tuple[bool, bool, bool]) -> None:
        """Checks its argument, (red, green, blue), and does nothing: a simulated card has no LED."""
        if len(led) != 3:
            raise OptionError("`led` is three booleans: red, green, blue")

    def core_num(self) -> int:
        """How many cores (PEs) the card has."""
        return len(self.cores())

    def cores(self) -> list[int]:
        """The numbers of its cores."""
        return list(self._card.files[0].pes)

    def dev_files(self) -> list[DeviceFile]:
        """Its device files."""
        return [DeviceFile(file) for file in self._card.files]

    def performance_counters(self) -> list[tuple[DeviceFile, PerformanceCounter]]:
        """A reading of the counters of every device file of single or fused cores. Raises DeviceError."""
        files = [file for file in self.dev_files() if file.core_range().value is not None]
        return [(f, PerformanceCounter(read_counters(f.file), target(f.file.target).clock_hz)) for f in files]

    def _status(self) -> dict[int, CoreStatus]:
        used = occupants((self._card,))
        found = {}
        for core in self.cores():
            user = used.get((self._card.index, core))
            free = CoreStatus(CoreStatusType.Available)
            found[core] = free if user is None else CoreStatus(CoreStatusType.Occupied, user.file.name)
        return found

    def _core_status(self, core: int) -> CoreStatus:
        if core not in self.cores():
            raise DeviceError(f"`{self.name()}` has no core {core}", hint=f"its cores are {self.cores()}")
        return self._status()[core]

    def __str__(self) -> str:
        return self.name()

    __repr__ = __str__


class Device(Card):
    """A card, for synchronous programs."""

    def get_status_core(self, core: int) -> CoreStatus:
        """The state of one core now. Raises DeviceError for a core that the card does not have."""
        return self._core_status(core)

    def get_status_all(self) -> dict[int, CoreStatus]:
        """The state of every core now."""
        return self._status()

    def get_hwmon_fetcher(self) -> Fetcher:
        """Its sensors."""
        return Fetcher(self._card)


class AsyncDevice(Card):
    """A card, for asyncio programs."""

    async def get_status_core(self, core: int) -> CoreStatus:
        """The state of one core now. Raises DeviceError for a core that the card does not have."""
        return self._core_status(core)

    async def get_status_all(self) -> dict[int, CoreStatus]:
        """The state of every core now."""
        return self._status()

    def get_hwmon_fetcher(self) -> AsyncFetcher:
        """Its sensors."""
        return AsyncFetcher(self._card)


def card(index: int | str) -> host.Card:
    """The described card with this number or name. Raises DeviceError when there is none."""
    cards = host.cards()
    for one in cards:
        if index in (one.index, one.name):
            return one
    raise DeviceError(
        f"there is no device `{index}`", hint=f"there are {', '.join(one.name for one in cards) or 'none'}"
    )
