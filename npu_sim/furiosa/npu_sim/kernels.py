"""The kernels that can execute programs on this computer: those of the native module, and the NumPy reference."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from types import ModuleType

from furiosa.isa.env import KERNELS
from furiosa.isa.errors import OptionError

REFERENCE = "reference"


@cache
def native() -> ModuleType | None:
    """The native module; None where it was not built."""
    try:
        return import_module("furiosa.npu_sim._native")
    except ImportError:
        return None


def available() -> tuple[str, ...]:
    """The names of all kernels, slowest first: the reference, then the native ones that this CPU can execute."""
    module = native()
    return (REFERENCE, *(module.available() if module else ()))


def kernels_name() -> str:
    """What ``auto`` chooses: the fastest kernels available."""
    return available()[-1]


def choose(name: str | None = None) -> str:
    """The kernels with this name, or those that FURIOSA_SIM_KERNELS names, or the fastest.

    Raises OptionError when they are not available here.
    """
    name = name or KERNELS.get()
    if name == "auto":
        return kernels_name()
    if name not in available():
        raise OptionError(f"the kernels `{name}` are not available on this computer",
                          hint=f"available are auto, {', '.join(available())}")  # fmt: skip
    return name
