"""The described host: its cards, their identity and sensors, and the device files of each card."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from furiosa.isa import env
from furiosa.isa.errors import OptionError

MAX_CARDS = 64


@dataclass(frozen=True, slots=True)
class DeviceFile:
    """One way to use a card: all its PEs (``npu0``), one PE (``npu0pe0``), or both fused (``npu0pe0-1``).

    ``span`` is (first byte, length) in the lock file. The spans of two device files overlap exactly when the files
    share a PE, and every span is unique. Spans that do not overlap have a gap between them, because the kernel joins
    adjacent ranges of one process and would then report two single PEs as a fused one.
    """

    name: str
    card: int
    pes: tuple[int, ...]
    span: tuple[int, int]

    @property
    def target(self) -> str:
        """The name of the target whose programs this device executes."""
        return "warboy" if len(self.pes) == 1 else "warboy-2pe"


@dataclass(frozen=True, slots=True)
class Card:
    """One Warboy card: what ``furiosactl info`` tells about it. The sensors are constants of the description."""

    index: int
    uuid: str
    serial: str
    firmware: str
    temperature_celsius: int
    power_watts: float
    pci_bdf: str
    pci_dev: str

    @property
    def name(self) -> str:
        """``npu0`` for card 0."""
        return f"npu{self.index}"

    @property
    def files(self) -> tuple[DeviceFile, ...]:
        """The device files in the order of listings: the card, its PEs one by one, fused."""
        start = 8 * (self.index + 1)  # byte 0 of the lock file is the allocation lock
        return (
            DeviceFile(self.name, self.index, (0, 1), (start, 4)),
            DeviceFile(f"{self.name}pe0", self.index, (0,), (start, 1)),
            DeviceFile(f"{self.name}pe1", self.index, (1,), (start + 2, 1)),
            DeviceFile(f"{self.name}pe0-1", self.index, (0, 1), (start, 3)),
        )


def cards() -> tuple[Card, ...]:
    """The cards of this host by index: npu0 alone, or those of the YAML file that ``FURIOSA_SIM_CONFIG`` names.

    The file is a mapping ``cards:`` with a list of mappings. Every key of Card may be given and none must:
    ``index`` defaults to the position, the others to the values of a healthy card.
    Raises OptionError for a file that cannot be read or understood.
    """
    path = env.HOST_CONFIG.get()
    return (_card(0),) if path is None else _described(path)


def _card(index: int) -> Card:
    return Card(
        index=index,
        uuid=f"00000000-0000-0000-0000-{index:012d}",
        serial=f"WBYB{index:013d}",
        firmware="1.7.3, 3c10fd3",
        temperature_celsius=54,
        power_watts=0.99,
        pci_bdf=f"0000:{0x44 + index:02x}:00.0",
        pci_dev=f"{511 - index}:0",
    )


def _index(text: str) -> int:
    if not text.isdigit() or int(text) >= MAX_CARDS:
        raise ValueError(f"expected a number from 0 to {MAX_CARDS - 1}")
    return int(text)


def _temperature(text: str) -> int:
    if not re.fullmatch("-?[0-9]{1,3}", text):
        raise ValueError("expected whole degrees Celsius")
    return int(text)


def _watts(text: str) -> float:
    if not re.fullmatch(r"[0-9]{1,4}(\.[0-9]+)?", text):
        raise ValueError("expected watts, such as 0.99")
    return float(text)


def _line(text: str) -> str:
    if not text.isprintable() or not text:
        raise ValueError("expected one line of printable text")
    return text


_KEYS: dict[str, Callable[[str], object]] = {
    "index": _index,
    "uuid": _line,
    "serial": _line,
    "firmware": _line,
    "temperature_celsius": _temperature,
    "power_watts": _watts,
    "pci_bdf": _line,
    "pci_dev": _line,
}


def _described(path: Path) -> tuple[Card, ...]:
    import yaml  # only hosts that are described in a file pay for it

    try:
        # The base loader keeps every scalar as text: YAML would read the PCI address 0000:44:00.0 as a number.
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(getattr(error, "strerror", None) or error).split())
        raise _unusable(path, reason) from None
    if not isinstance(content, dict) or set(content) != {"cards"} or not isinstance(content["cards"], list):
        raise _unusable(path, "expected one key `cards` with a list")
    found = [_card_of(path, position, entry) for position, entry in enumerate(content["cards"])]
    if len({card.index for card in found}) < len(found):
        raise _unusable(path, "two cards have the same `index`")
    return tuple(sorted(found, key=lambda card: card.index))


def _card_of(path: Path, position: int, entry: object) -> Card:
    where = f"card {position + 1} of the list"
    if entry == "":
        entry = {}
    if not isinstance(entry, dict):
        raise _unusable(path, f"{where} is not a mapping")
    values: dict[str, object] = {}
    for key, text in entry.items():
        if key not in _KEYS:
            raise _unusable(path, f"{where} has the unknown key `{key}`; the keys are {', '.join(_KEYS)}")
        try:
            values[key] = _KEYS[key](text if isinstance(text, str) else "")
        except ValueError as error:
            raise _unusable(path, f"`{key}` of {where}: {error}") from None
    index = values.get("index", position)
    if not isinstance(index, int) or index >= MAX_CARDS:
        raise _unusable(path, f"a host has at most {MAX_CARDS} cards")
    return replace(_card(index), **values)  # type: ignore[arg-type]  # _KEYS gives every key the type of its field


def _unusable(path: Path, reason: str) -> OptionError:
    return OptionError(
        f"the host description `{path}` cannot be used: {reason}",
        where=f"environment variable `{env.HOST_CONFIG.name}`",
        hint="a host with two cards is described by\n  cards:\n    - temperature_celsius: 47\n    - {}",
    )
