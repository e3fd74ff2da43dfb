"""Opening devices: from a specification to PEs that this process alone may use."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import final

from furiosa.isa import env
from furiosa.isa.errors import DeviceBusyError, DeviceError, OptionError
from furiosa.npu_sim.devices import counters, host, specification, state, usage
from furiosa.npu_sim.devices.host import Card, DeviceFile
from furiosa.npu_sim.devices.lock import Hold, LockFile, lock_file
from furiosa.npu_sim.devices.specification import AnyDevices, NamedDevice, Request
from furiosa.npu_sim.devices.usage import Occupants

DEFAULT_SPECIFICATION = "warboy(2)*1"


@final
class OpenDevice:
    """A device that this process has opened: one PE or two, exclusively, until ``close`` or the end of the process.

    A forked child does not own its parent's devices: there, ``charge`` raises DeviceError and ``close`` does nothing.
    """

    def __init__(self, file: DeviceFile, lock: LockFile) -> None:
        """Take the device; only within ``lock.allocation()``. Raises BlockingIOError or another OSError."""
        self.file = file
        self._lock = lock
        self._hold: Hold = lock.take(file.span)
        self._pages: list[counters.CounterPage] = []
        try:
            for name in _page_names(file):
                self._pages.append(counters.CounterPage(lock.path.with_name(name)))
        except BaseException:
            self.close()
            raise

    @property
    def name(self) -> str:
        """The device file's name, such as ``npu0pe0-1``."""
        return self.file.name

    @property
    def target(self) -> str:
        """The target whose programs it executes: ``warboy`` for one PE, ``warboy-2pe`` for two."""
        return self.file.target

    def charge(self, task_cycles: int, compute_cycles: int, io_cycles: int, executions: int = 1) -> None:
        """Count program executions, in modelled cycles of each, on every PE of the device. Any thread may call it.

        Raises DeviceError when the device is closed or belongs to the process that forked this one.
        """
        if not self._lock.owns(self._hold):
            raise DeviceError(
                f"device `{self.name}` is not open in this process",
                hint="a device is used by the process that opened it: open it after the fork, or keep it open",
            )
        for page in self._pages:
            page.add(task_cycles, compute_cycles, io_cycles, executions)

    def close(self) -> None:
        """Free the device; closing twice is harmless."""
        pages, self._pages = self._pages, []
        for page in pages:
            page.close()
        self._lock.release(self._hold)

    def __enter__(self) -> OpenDevice:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_devices(spec: str | None = None) -> list[OpenDevice]:
    """Open every device of a specification, or none of them.

    Without ``spec`` the environment decides (``FURIOSA_DEVICES``, then ``NPU_DEVNAME``), and else ``warboy(2)*1``.
    The parts of a list are served greedily from left to right. Raises OptionError when the text is not a specification
    or names a PE twice, DeviceError when a device is absent or in use or the state folder cannot be used.
    """
    text = default_specification() if spec is None else spec
    requests = specification.parse(text)
    cards = host.cards()
    lock = lock_file(state.create_folder() / usage.LOCK_FILE)
    opened: list[OpenDevice] = []
    try:
        with lock.allocation():
            for file in _plan(requests, cards, usage.look(lock, cards), text):
                opened.append(OpenDevice(file, lock))
    except BaseException as error:
        for device in opened:
            device.close()
        if isinstance(error, BlockingIOError):
            raise DeviceBusyError("another program has locked a device behind the allocation's back") from None
        if isinstance(error, OSError):
            raise state.unusable(lock.path.parent, error) from None
        raise
    return opened


def described_devices(spec: str | None = None) -> list[DeviceFile]:
    """The devices that ``open_devices`` would open if nobody used any, without a look at who does.

    Raises OptionError when the text is not a specification or names a PE twice, DeviceError when a device is absent.
    """
    text = default_specification() if spec is None else spec
    return _plan(specification.parse(text), host.cards(), {}, text)


def read_counters(file: DeviceFile) -> counters.Counters:
    """The counters of a device file, whoever uses it; of two PEs, those of the first.

    Raises DeviceError when they cannot be read.
    """
    path = state.folder() / _page_names(file)[0]
    try:
        return counters.read(path)
    except OSError as error:
        raise state.unusable(path, error) from None


def default_specification() -> str:
    """The specification that holds when a program names none."""
    if text := env.DEVICES.get():
        return text
    if text := env.DEVNAME.get():
        import logging  # costs furiosactl, which opens nothing, a tenth of its start

        message = "%s will be deprecated. Use %s instead."
        logging.getLogger("furiosa.npu_sim").warning(message, env.DEVNAME.name, env.DEVICES.name)
        return text
    return DEFAULT_SPECIFICATION


def _page_names(file: DeviceFile) -> list[str]:
    return [f"npu{file.card}pe{pe}.counters" for pe in file.pes]


def _plan(requests: Sequence[Request], cards: Sequence[Card], found: Occupants, text: str) -> list[DeviceFile]:
    """The device files that serve the requests. Raises DeviceError or OptionError when they cannot all be served."""
    files = {file.name: file for card in cards for file in card.files}
    planned: list[DeviceFile] = []
    for request in requests:
        if isinstance(request, NamedDevice):
            planned.append(_named(request, files, planned, found, text))
        else:
            planned += _any(request, files, planned, found)
    return planned


def _named(
    request: NamedDevice, files: dict[str, DeviceFile], planned: list[DeviceFile], found: Occupants, text: str
) -> DeviceFile:
    file = files.get(request.name)
    if file is None:
        there = f"the device files of this host are {', '.join(files)}" if files else "this host has no cards"
        raise DeviceError(f"there is no device `{request.text}` on this host", hint=there)
    if any(_share(file, other) for other in planned):
        raise OptionError(
            f"`{request.text}` is already taken by an earlier part of the device specification `{text}`",
            hint="every PE can be named once; put parts such as `warboy(1)*1` after those that name a device",
        )
    users = [found[file.card, pe] for pe in file.pes if (file.card, pe) in found]
    if users:
        raise _busy(f"device `{request.text}` is in use", users)
    return file


def _any(
    request: AnyDevices, files: dict[str, DeviceFile], planned: list[DeviceFile], found: Occupants
) -> list[DeviceFile]:
    # A bare card also has two PEs, but `warboy(2)` asks for fused ones.
    candidates = [file for file in files.values() if "pe" in file.name and len(file.pes) == request.pes]
    if request.count > len(candidates):
        raise DeviceError(
            f"`{request.text}` asks for more devices of {_pes(request.pes)} than this host has ({len(candidates)})",
            hint=f"{env.HOST_CONFIG.name} can describe a host with more cards",
        )
    unplanned = [file for file in candidates if not any(_share(file, other) for other in planned)]
    free = [file for file in unplanned if not any((file.card, pe) in found for pe in file.pes)]
    if request.count > len(free):
        message = f"`{request.text}` cannot be served now ({len(free)} of {len(candidates)} devices are free)"
        raise _busy(message, [found[key] for key in sorted(found)])
    return free[: request.count]


def _share(one: DeviceFile, other: DeviceFile) -> bool:
    return one.card == other.card and not set(one.pes).isdisjoint(other.pes)


def _pes(count: int) -> str:
    return "1 PE" if count == 1 else f"{count} PEs"


def _busy(message: str, users: Sequence[usage.Occupant]) -> DeviceBusyError:
    reasons = "; ".join(dict.fromkeys(str(user) for user in users))
    return DeviceBusyError(
        f"{message}: {reasons or 'an earlier part of the specification has taken the rest'}",
        hint="`furiosactl ps` lists the users of all devices; wait for them, or ask for another device",
    )
