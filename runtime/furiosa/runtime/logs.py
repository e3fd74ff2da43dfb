"""The log of the runtime: what is opened and loaded, at the level of FURIOSA_LOG_LEVEL, on standard error.

Messages go through the standard logger ``furiosa``. Where the program has configured logging, its handlers get them;
elsewhere they are written to standard error in the form of the SDK.
"""

from __future__ import annotations

import itertools
import logging
import sys
import time
from collections.abc import Sequence

from furiosa.isa import env
from furiosa.isa.enf import Enf
from furiosa.isa.target import Target
from furiosa.runtime.devices import Npu

LEVELS = {"INFO": logging.INFO, "WARN": logging.WARNING, "ERROR": logging.ERROR, "OFF": logging.CRITICAL + 1}
_NAMES = {logging.WARNING: "WARN"}
_UNITS = ("B", "kiB", "MiB", "GiB")
_DPES_A_PE = 64

_root = logging.getLogger("furiosa")
_log = logging.getLogger("furiosa.runtime")
_numbers = itertools.count(1)


class Formatter(logging.Formatter):
    """``2022-05-24T02:44:11.399402Z  WARN furiosa.runtime: message``, in UTC."""

    def format(self, record: logging.LogRecord) -> str:
        """One record as a line."""
        seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        level = _NAMES.get(record.levelno, record.levelname)
        microseconds = int(record.created * 1_000_000) % 1_000_000
        return f"{seconds}.{microseconds:06}Z {level:>5} {record.name}: {record.getMessage()}"


class _Handler(logging.Handler):
    """Writes to what is standard error at that moment."""

    def emit(self, record: logging.LogRecord) -> None:
        sys.stderr.write(self.format(record) + "\n")


def start(least: int = logging.INFO) -> None:
    """Set the level, ``least`` or above, and write to standard error unless the program has handlers.

    Only the first call of a process has an effect. Raises OptionError for a level that does not exist.
    """
    level = max(LEVELS[env.LOG_LEVEL.get()], least)
    if _root.level == logging.NOTSET:
        _root.setLevel(level)
    if not _root.hasHandlers():
        handler = _Handler()
        handler.setFormatter(Formatter())
        _root.addHandler(handler)
        _root.propagate = False  # else a later basicConfig would write everything twice


def devices_opened(npus: Sequence[Npu]) -> None:
    """Say which devices were opened."""
    for index, npu in enumerate(npus, 1):
        _log.info("[%d] %s (%s)", index, npu.trace_name, _geometry(npu.target))


def next_model() -> str:
    """What to call a model that is loaded: ``Model#0001`` for the first one of the process."""
    return f"Model#{next(_numbers):04d}"


def model_loaded(name: str, enf: Enf, npus: Sequence[Npu], workers: int) -> None:
    """Say what was loaded, for how many workers, and the memory that its programs use."""
    target = npus[0].target
    dram = sum(program.dram_bytes for program in enf.programs)
    sram = max((program.sram_bytes for program in enf.programs), default=0)
    _log.info(
        "%s (%d inputs, %d outputs) is loaded to %s: %d contexts (DRAM usage: %s / %s, SRAM usage: %s / %s)",
        name, len(enf.inputs), len(enf.outputs), ", ".join(npu.trace_name for npu in npus), workers,
        size(dram), size(target.dram_bytes), size(sram), size(target.sram_bytes),
    )  # fmt: skip


def size(count: float) -> str:
    """A number of bytes as the SDK writes it: ``18.2 kiB``."""
    unit = 0
    while count >= 1024 and unit < len(_UNITS) - 1:
        count /= 1024
        unit += 1
    return f"{count:.1f} {_UNITS[unit]}"


def _geometry(target: Target) -> str:
    return f"{target.name}, {target.pes * _DPES_A_PE}dpes"
