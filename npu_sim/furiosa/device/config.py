"""Which devices a program asks for: architectures, modes, and configurations as objects."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from furiosa.isa import env
from furiosa.isa.errors import OptionError
from furiosa.npu_sim.devices.specification import AnyDevices, NamedDevice, Request, parse


class Arch(Enum):
    """Architectures of NPUs by name. Simulated cards are ``Warboy``; no card of another architecture is ever found."""

    Warboy = "warboy"
    WarboyA0 = "warboy-a0"
    WarboyB0 = "warboy-b0"
    Renegade = "renegade"
    U250 = "u250"


class DeviceMode(Enum):
    """How the PEs behind a device file work: one alone, several fused to one, or several side by side."""

    Single = "single"
    Fusion = "fusion"
    MultiCore = "multicore"


_PES = {DeviceMode.Single: 1, DeviceMode.Fusion: 2}


@dataclass(frozen=True)
class DeviceConfig:
    """A wish for devices: ``count`` free ones of an architecture and mode, or those that ``from_str`` names."""

    arch: Arch = Arch.Warboy
    mode: DeviceMode = DeviceMode.Fusion
    count: int = 1
    requests: tuple[Request, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        if self.count < 1:
            raise OptionError(f"`count` must be at least 1, not {self.count}")
        if not self.requests and self.mode not in _PES:
            raise OptionError("devices in mode `MultiCore` can only be asked for by name", hint="such as `npu0`")

    @classmethod
    def from_str(cls, text: str) -> DeviceConfig:
        """The configuration of a device specification, such as ``warboy(2)*1`` or ``npu:0:0-1``.

        Raises OptionError for any other text.
        """
        requests = parse(text)
        first = requests[0]
        if isinstance(first, AnyDevices):
            mode = DeviceMode.Single if first.pes == 1 else DeviceMode.Fusion
            return cls(mode=mode, count=first.count, requests=requests)
        return cls(mode=mode_of(first.name), count=len(requests), requests=requests)

    @classmethod
    def from_env(cls, key: str = env.DEVICES.name) -> DeviceConfig:
        """The configuration that an environment variable holds. Raises OptionError when it is unset or no such text."""
        text = env.Variable(key, str, str, "a device specification").get()
        if not text:
            raise OptionError(f"the environment variable `{key}` is not set", hint=f"such as {key}='warboy(2)*1'")
        return cls.from_str(text)

    def parts(self) -> tuple[Request, ...]:
        """The requests of the configuration, from left to right."""
        if self.requests:
            return self.requests
        return (AnyDevices(str(self), _PES[self.mode], self.count),)

    def __str__(self) -> str:
        if self.requests:
            return ",".join(_plain(request) for request in self.requests)
        return f"{self.arch.value}({_PES[self.mode]})*{self.count}"


def mode_of(name: str) -> DeviceMode:
    """The mode of a device file by its name."""
    if "pe" not in name:
        return DeviceMode.MultiCore
    return DeviceMode.Fusion if "-" in name else DeviceMode.Single


def _plain(request: Request) -> str:
    if isinstance(request, NamedDevice):
        return request.name.removeprefix("npu").replace("pe", ":")
    return f"warboy({request.pes})*{request.count}"
