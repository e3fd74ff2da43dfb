"""Who uses which PE, asked of the kernel at this moment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from furiosa.npu_sim.devices import state
from furiosa.npu_sim.devices.host import Card, DeviceFile
from furiosa.npu_sim.devices.lock import LockFile, lock_file

LOCK_FILE = "pe.lock"
_LOOKS = 8


@dataclass(frozen=True, slots=True)
class Occupant:
    """A process that has opened ``file``. ``pid`` is None and ``command`` empty when this process may not know them."""

    file: DeviceFile
    pid: int | None
    command: str

    def __str__(self) -> str:
        if self.pid is None:
            return f"a process outside this PID namespace has opened `{self.file.name}`"
        command = " ".join(self.command.split())
        command = command if len(command) <= 120 else f"{command[:117]}..."
        return f"process {self.pid} (`{command}`) has opened `{self.file.name}`"


Occupants = dict[tuple[int, int], Occupant]


def occupants(cards: Sequence[Card]) -> Occupants:
    """The users of the PEs in use, by (card, PE). Nothing is created, taken or disturbed by asking.

    Raises DeviceError when the state folder cannot be read.
    """
    path = state.folder() / LOCK_FILE
    try:
        return look(lock_file(path), cards)
    except OSError as error:
        raise state.unusable(path, error) from None


def look(lock: LockFile, cards: Sequence[Card]) -> Occupants:
    """The users as one picture: two looks in a row agree, so no device is seen half open. Raises OSError."""
    seen = _glance(lock, cards)
    for _ in range(_LOOKS):
        again = _glance(lock, cards)
        if again == seen:
            break
        seen = again
    return seen


def _glance(lock: LockFile, cards: Sequence[Card]) -> Occupants:
    singles = [file for card in cards for file in card.files if len(file.pes) == 1]
    by_span = {file.span: file for card in cards for file in card.files}
    found: Occupants = {}
    for single, holder in zip(singles, lock.holders([file.span for file in singles]), strict=True):
        if holder is not None:
            pid = holder.pid or None
            file = by_span.get(holder.span, single)
            found[single.card, single.pes[0]] = Occupant(file, pid, command_line(pid) if pid else "")
    return found


def command_line(pid: int) -> str:
    """The command line of a process, its arguments joined by spaces; empty when it cannot be read."""
    try:
        content = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return ""
    return content.rstrip(b"\0").replace(b"\0", b" ").decode(errors="replace")


def by_device(found: Occupants) -> list[Occupant]:
    """Each occupant once, in the order of cards and PEs."""
    return list(dict.fromkeys(found[key] for key in sorted(found)))
