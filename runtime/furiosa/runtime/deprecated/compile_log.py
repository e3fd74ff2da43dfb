"""The log of one compilation, as sessions of the legacy API leave it: which operators are on the CPU, and why."""

from __future__ import annotations

import datetime
import json
import logging
import os
import secrets
import string
import sys
from pathlib import Path

from furiosa.isa import env
from furiosa.isa.enf import Enf
from furiosa.isa.version import built, native_version, version_info
from furiosa.npu_sim.kernels import native
from furiosa.runtime.deprecated.environment import is_compile_log_enabled
from furiosa.runtime.logs import Formatter

_log = logging.getLogger("furiosa.runtime")
_RULE = "=" * 80


def generate_compiler_log_path() -> Path | None:
    """A new empty file for a compile log; None where logs are disabled. Raises OSError when it cannot be made."""
    if not is_compile_log_enabled():
        return None
    folder = env.LOG_DIR.get()
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    time = datetime.datetime.now().strftime("%Y%m%d%H%M%S")
    name = "".join(secrets.choice(string.ascii_lowercase + string.digits) for _ in range(6))
    path = folder / f"compile-{time}-{name}.log"
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644))
    return path


def start() -> Path | None:
    """Begin a log and say so on standard error; without a file where none can be written."""
    try:
        path = generate_compiler_log_path()
    except OSError as error:
        _log.warning("there is no compilation log: %s", error)
        return None
    if path is not None:
        sys.stderr.write(f"Saving the compilation log into {path}\nUsing furiosa-compiler {_compiler()}\n")
    return path


def finish(enf: Enf, path: Path | None, show: bool) -> None:
    """Write why operators are on the CPU into the log, and with ``show`` on standard error too."""
    records = [
        logging.LogRecord(_log.name, logging.WARNING, "", 0, hint, None, None)
        for hint in json.loads(enf.report).get("hints", ())
    ]
    if path is not None:
        try:
            path.write_text("".join(f"{Formatter().format(record)}\n" for record in records), encoding="utf-8")
        except OSError as error:
            _log.warning("the compilation log is not complete: %s", error)
    for record in records if show and _log.isEnabledFor(logging.WARNING) else ():
        _log.handle(record)


def fail(path: Path | None) -> None:
    """Write what a report of a failed compilation needs to standard error."""
    module = native()
    lines = [
        "Information Dump", _RULE,
        f"- Python version: {' '.join(sys.version.split())}",
        f"- furiosa-libnux path: {module.__file__ if module else 'not built'}",
        f"- furiosa-libnux version: {native_version()}",
        f"- furiosa-compiler version: {_compiler()}",
        f"- furiosa-runtime version: {version_info()}",
        "",
        f"The compilation log is {path}" if path else "There is no compilation log",
    ]  # fmt: skip
    sys.stderr.write("\n".join([_RULE, *lines, _RULE, ""]))


def _compiler() -> str:
    info = version_info()
    return f"{info.version} (rev: {info.hash[:9]} built at {built() or 'unknown'})"
