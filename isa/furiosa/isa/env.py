"""Every environment variable of the toolchain, in one typed table."""

from __future__ import annotations

import os
import re
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


def _transport_home() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME", "") or Path.home() / ".cache") / "furiosa"


def _absent() -> None:
    return None


_REDIS = r"(rediss?)://(?P<login>.*@)?([\w.-]+|\[[\da-fA-F:.]+\])(:\d+)?(/\d*)?(\?.*)?"


@dataclass(frozen=True, slots=True)
class StoreUrl:
    """Where compiled models are kept: a folder, or a ``redis://`` or ``rediss://`` URL.

    ``text`` may hold a password; what is shown, this object as a string, never does.
    """

    text: str

    def __str__(self) -> str:
        scheme, separator, _ = self.text.partition("://")
        if not separator:
            return self.text
        known = re.fullmatch(_REDIS, self.text, re.DOTALL)
        if known is None:
            return f"{scheme}://***"
        return f"{scheme}://{'***@' if known['login'] else ''}{known[3]}{known[4] or ''}{known[5] or ''}"

    __repr__ = __str__


def _on_or_off(text: str) -> bool:
    if text not in ("0", "1"):
        raise ValueError("expected 1 or 0")
    return text == "1"


def _cache_folder() -> StoreUrl:
    return StoreUrl("~/.cache/furiosa/compiler")


DEVICES = _define("FURIOSA_DEVICES", str, str, "default device specification, e.g. `warboy(2)*1` or `npu:0:0-1`")
DEVNAME = _define("NPU_DEVNAME", str, str, "deprecated name of FURIOSA_DEVICES, which wins over it")
LOG_LEVEL = _define("FURIOSA_LOG_LEVEL", _log_level, lambda: "INFO", "log level: INFO, WARN, ERROR or OFF")
XDG_STATE_HOME = _define(
    "XDG_STATE_HOME", Path, lambda: Path.home() / ".local/state/furiosa", "folder above the default of FURIOSA_LOG_DIR"
)
LOG_DIR = _define(
    "FURIOSA_LOG_DIR", Path, lambda: XDG_STATE_HOME.get() / "logs",
    "folder of compile logs (default: `$XDG_STATE_HOME/logs`, `~/.local/state/furiosa/logs`)",
)  # fmt: skip
TEST_IS_RUNNING = _define("FURIOSA_TEST_IS_RUNNING", str, str, "not empty: deprecated sessions write no compile log")
PROFILER_OUTPUT: Variable[Path | None] = _define(
    "FURIOSA_PROFILER_OUTPUT_PATH", Path, _absent, "write a Chrome trace of the whole process to this file"
)
NUX_PROFILER_PATH: Variable[Path | None] = _define(
    "NUX_PROFILER_PATH", Path, _absent, "deprecated name of FURIOSA_PROFILER_OUTPUT_PATH, which wins over it"
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
    _choice("auto", "reference", "portable", "avx2", "avx512", "amx"),
    lambda: "auto",
    "kernels that execute NPU programs: auto, reference, portable, avx2, avx512 or amx",
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
CACHE_ENABLED = _define(
    "FC_CACHE_ENABLED", _on_or_off, lambda: True, "1 or 0: whether compiled models are kept and used again"
)
CACHE_STORE = _define(
    "FC_CACHE_STORE_URL", StoreUrl, _cache_folder,
    "where compiled models are kept: a folder (default: `~/.cache/furiosa/compiler`), `redis://:PASSWORD@HOST:PORT` or "
    "`rediss://...`",
)  # fmt: skip
CACHE_LIFETIME = _define(
    "FC_CACHE_LIFETIME", int, lambda: 72 * 3600,
    "seconds for which a compiled model is used again (default: 259200); 0: compile anew; below 0: without end",
)  # fmt: skip
TRANSPORT_HOME = _define(
    "FURIOSA_TRANSPORT_HOME", Path, _transport_home,
    "folder of downloaded models (default: `$XDG_CACHE_HOME/furiosa`, `~/.cache/furiosa`)",
)  # fmt: skip
