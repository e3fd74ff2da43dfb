"""Every environment variable of the toolchain, in one typed table."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from furiosa.isa.errors import OptionError

T = TypeVar("T")

VARIABLES: dict[str, Variable[object]] = {}


@dataclass(frozen=True)
class Variable(Generic[T]):
    """One environment variable: its name, the meaning of its text, its default, and a sentence for people."""

    name: str
    parse: Callable[[str], T]
    default: Callable[[], T]
    meaning: str

    def get(self) -> T:
        """The value now: parsed from the environment, or the default. An empty value counts as unset.

        Raises OptionError naming the variable when its text cannot be understood.
        """
        text = os.environ.get(self.name, "")
        if not text:
            return self.default()
        try:
            return self.parse(text)
        except ValueError as error:
            raise OptionError(
                f"environment variable `{self.name}` has an unusable value `{text}`: {error}", hint=self.meaning
            ) from None


def _define(name: str, parse: Callable[[str], T], default: Callable[[], T], meaning: str) -> Variable[T]:
    variable = Variable(name, parse, default, meaning)
    VARIABLES[name] = variable  # type: ignore[assignment]  # Variable is covariant in use: the table only reads
    return variable


def _choice(*values: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text.lower() not in values:
            raise ValueError(f"expected one of {', '.join(values)}")
        return text.lower()

    return parse


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise ValueError("expected a number of at least 1")
    return value


def _log_level(text: str) -> str:
    levels = ("OFF", "ERROR", "WARN", "INFO")
    if text.isdigit() and int(text) < len(levels):
        return levels[int(text)]
    if text.upper() not in levels:
        raise ValueError(f"expected one of {', '.join(levels)} or 0 to 3")
    return text.upper()


def _runtime_folder() -> Path:
    base = os.environ.get("XDG_RUNTIME_DIR", "")
    return Path(base) / "furiosa-sim" if base else Path("/tmp") / f"furiosa-sim-{os.getuid()}"


def _absent() -> None:
    return None


DEVICES = _define("FURIOSA_DEVICES", str, str, "default device specification, e.g. `warboy(2)*1` or `npu:0:0-1`")
DEVNAME = _define("NPU_DEVNAME", str, str, "deprecated name of FURIOSA_DEVICES, which wins over it")
LOG_LEVEL = _define("FURIOSA_LOG_LEVEL", _log_level, lambda: "INFO", "log level: INFO, WARN, ERROR or OFF")
PROFILER_OUTPUT: Variable[Path | None] = _define(
    "FURIOSA_PROFILER_OUTPUT_PATH", Path, _absent, "write a Chrome trace of the whole process to this file"
)
COMPILER_CONFIG: Variable[Path | None] = _define(
    "NPU_COMPILER_CONFIG_PATH", Path, _absent, "YAML file with the compiler_config of every compilation"
)
STATE_DIR = _define(
    "FURIOSA_SIM_STATE_DIR", Path, _runtime_folder, "folder of the simulated devices' lock files and counters"
)
HOST_CONFIG: Variable[Path | None] = _define(
    "FURIOSA_SIM_CONFIG", Path, _absent, "YAML file that describes the simulated host: its cards and their sensors"
)
KERNELS = _define(
    "FURIOSA_SIM_KERNELS",
    _choice("auto", "reference", "portable", "avx2", "avx512"),
    lambda: "auto",
    "kernels that execute NPU programs: auto, reference, portable, avx2 or avx512",
)
THREADS = _define("FURIOSA_SIM_THREADS", _positive, lambda: os.cpu_count() or 1, "threads that execute one NPU program")
PACE = _define(
    "FURIOSA_SIM_PACE", _choice("none", "realtime"), lambda: "none", "`realtime` keeps a PE busy its modelled time"
)
DUMP: Variable[Path | None] = _define(
    "FURIOSA_DUMP", Path, _absent, "folder for the printed graph after every compiler pass"
)
DEBUG = _define(
    "FURIOSA_DEBUG", lambda text: text != "0", lambda: False, "1 makes commands print the traceback of every error"
)
