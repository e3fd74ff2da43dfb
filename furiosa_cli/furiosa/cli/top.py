"""The stream of ``furiosactl top``: what each device in use did in the last interval."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timezone

from furiosa.isa.target import target
from furiosa.npu_sim.devices.counters import Counters, Load
from furiosa.npu_sim.devices.device import read_counters
from furiosa.npu_sim.devices.host import cards
from furiosa.npu_sim.devices.usage import by_device, occupants

STYLES = ("table", "json", "csv")
_HEAD = (
    "NOTE: furiosa top is under development. Usage and output formats may change.\n"
    "Please enter Ctrl+C to stop.\n"
    "Datetime                        PID       Device        NPU(%)   Comp(%)   I/O(%)   Command"
)
_KEYS = ("datetime", "pid", "device", "npu_percent", "comp_percent", "io_percent", "command")


def stream(style: str, interval_ms: int, count: int | None, emit: Callable[[str], None]) -> None:
    """Emit the heading, then after every interval a line for each device in use; ``count`` intervals, or for ever.

    JSON is one object a line. Raises DeviceError when the state folder cannot be read.
    """
    head = {"table": _HEAD, "csv": ",".join(_KEYS)}.get(style)
    if head is not None:
        emit(head)
    before = _readings()
    due = time.monotonic()
    for _ in _counted(count):
        due += interval_ms / 1e3
        time.sleep(max(0.0, due - time.monotonic()))
        after = _readings()
        moment = stamp(time.time_ns())
        for user in by_device(occupants(cards())):
            load = Load.between(before[user.file.name], after[user.file.name], target(user.file.target).clock_hz)
            percent = tuple(round(100 * share, 2) for share in (load.npu, load.compute, load.io))
            emit(_line(style, (moment, user.pid, user.file.name, *percent, user.command)))
        before = after


def stamp(nanoseconds: int) -> str:
    """A moment, in ns since the epoch, as RFC 3339 in UTC; trailing zeros of the fraction are dropped."""
    seconds, fraction = divmod(nanoseconds, 1_000_000_000)
    text = datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{fraction:09d}".rstrip("0").rstrip(".") + "Z"


def _counted(count: int | None) -> Iterator[int]:
    done = 0
    while count is None or done < count:
        yield done
        done += 1


def _readings() -> dict[str, Counters]:
    return {file.name: read_counters(file) for card in cards() for file in card.files}


def _line(style: str, values: Sequence[object]) -> str:
    if style == "json":
        import json

        return json.dumps(dict(zip(_KEYS, values, strict=True)), ensure_ascii=False, separators=(",", ":"))
    moment, pid, device, npu, compute, io, command = values
    if style == "csv":
        import csv
        import io as text

        buffer = text.StringIO()
        csv.writer(buffer, lineterminator="").writerow(values)
        return buffer.getvalue()
    who = "-" if pid is None else pid
    return f"{moment:<32}{who:<10}{device:<10}{npu:>10.2f}{compute:>10.2f}{io:>9.2f}   {command or '-'}"
