"""Levels of native logs, and where shared libraries are."""

from __future__ import annotations

import ctypes.util
from enum import IntEnum


class LogLevel(IntEnum):
    """Log levels by their number in FURIOSA_LOG_LEVEL."""

    OFF = 0
    ERROR = 1
    WARN = 2
    INFO = 3


def find_native_libs(name: str) -> str | None:
    """The file of the shared library ``lib<name>`` as the dynamic linker finds it, or None.

    The simulated device needs none of the vendor's libraries: their absence means nothing.
    """
    return ctypes.util.find_library(name)
