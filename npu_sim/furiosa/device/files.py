"""Device files: the ways to use a card, as objects with the members that SDK programs call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from furiosa.device.config import DeviceConfig, DeviceMode, mode_of
from furiosa.isa.errors import DeviceError
from furiosa.npu_sim.devices import host
from furiosa.npu_sim.devices.specification import NamedDevice
from furiosa.npu_sim.devices.usage import Occupants, occupants


class CoreRangeType(Enum):
    """Whether a device file covers all cores of its card, or the cores of a range."""

    All = "all"
    Range = "range"


@dataclass(frozen=True, slots=True)
class CoreRange:
    """The cores behind a device file; ``value`` is (first, last) of a range, None for all cores."""

    range_type: CoreRangeType
    value: tuple[int, int] | None = None

    def contains(self, core: int) -> bool:
        """Whether the core belongs to the range."""
        return self.value is None or self.value[0] <= core <= self.value[1]


@dataclass(frozen=True, slots=True, repr=False)
class DeviceFile:
    """One way to use a card, such as ``npu0pe0-1``. Two are equal when they have the same name."""

    file: host.DeviceFile

    def path(self) -> str:
        """Where a driver would put the file. The simulated host has no such file: open devices by their name."""
        return f"/dev/{self.file.name}"

    def filename(self) -> str:
        """The name by which sessions open the device."""
        return self.file.name

    def device_index(self) -> int:
        """The number of the card."""
        return self.file.card

    def core_range(self) -> CoreRange:
        """Its cores."""
        if self.mode() is DeviceMode.MultiCore:
            return CoreRange(CoreRangeType.All)
        return CoreRange(CoreRangeType.Range, (self.file.pes[0], self.file.pes[-1]))

    def mode(self) -> DeviceMode:
        """How its cores work."""
        return mode_of(self.file.name)

    def __str__(self) -> str:
        return self.file.name

    def __repr__(self) -> str:
        return self.file.name


def device_file(name: str) -> DeviceFile:
    """The device file with this name. Raises DeviceError when the host has none."""
    files = [file for card in host.cards() for file in card.files]
    for file in files:
        if file.name == name:
            return DeviceFile(file)
    raise DeviceError(f"there is no device file `{name}`", hint=f"there are {', '.join(f.name for f in files)}")


def free_files(config: DeviceConfig | str) -> list[DeviceFile]:
    """Device files that serve a configuration now, from left to right; nothing is opened.

    Raises DeviceError when there are too few, OptionError when a text is no device specification.
    """
    if isinstance(config, str):
        config = DeviceConfig.from_str(config)
    cards = host.cards()
    used = occupants(cards)
    found: list[DeviceFile] = []
    for request in config.parts():
        if isinstance(request, NamedDevice):
            chosen = [device_file(request.name)]
            if not _free(chosen[0], used, found):
                raise DeviceError(f"device `{request.name}` is in use", hint="`furiosactl ps` shows by whom")
        else:
            files = [DeviceFile(file) for card in cards for file in card.files]
            fitting = [f for f in files if len(f.file.pes) == request.pes and f.mode() is not DeviceMode.MultiCore]
            chosen = [f for f in fitting if _free(f, used, found)][: request.count]
            if len(chosen) < request.count:
                raise DeviceError(f"`{request.text}` cannot be served now: {len(chosen)} of {len(fitting)} are "
                                  "free", hint="`furiosactl list` shows what is free")  # fmt: skip
        found += chosen
    return found


def _free(file: DeviceFile, used: Occupants, taken: Sequence[DeviceFile]) -> bool:
    mine = {(file.file.card, pe) for pe in file.file.pes}
    others = {(other.file.card, pe) for other in taken for pe in other.file.pes}
    return not mine & (others | set(used))
