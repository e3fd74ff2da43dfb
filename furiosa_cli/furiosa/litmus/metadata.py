"""meta.yaml of a bug report: versions, environment, computer, model file and devices."""

from __future__ import annotations

import datetime
import hashlib
import os
import platform
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any


def metadata(model: Path) -> dict[str, Any]:
    """Everything in the order of the file. Values of environment variables and paths are not in it."""
    return {
        "sdk": _sdk(),
        "environment": _environment(),
        "os": _os(),
        "cpu": {"cores": os.cpu_count(), "memory": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")},
        "model": _model(model),
        "devices": _devices(),
        "compiler_config": {},
    }


def _sdk() -> dict[str, Any]:
    from furiosa.isa.version import built, version_info

    version = version_info()
    python = {"version": version.version, "stage": version.stage, "hash": version.hash}
    return {
        "compiler": {"version": version.version, "rev": version.hash[:9], "built": built()},
        "runtime": dict(python),
        "quantizer": dict(python),
    }


def _environment() -> dict[str, Any]:
    import onnx

    return {
        "python": " ".join(sys.version.split()),
        "glibc": platform.libc_ver()[1],
        "libonnxruntime": onnx.__version__,
        "datetime": datetime.datetime.now(),
        "timezone": str(time.tzname),
    }


def _os() -> dict[str, Any]:
    release: dict[str, str] = {}
    with suppress(OSError):
        release = platform.freedesktop_os_release()
    return {
        "platform": platform.system(),
        "distrib": release.get("ID", ""),
        "distrib_release": release.get("VERSION_ID", ""),
        "kernel": f"{platform.release()} / {platform.version()}",
    }


def _model(path: Path) -> dict[str, Any]:
    state = path.stat()
    with path.open("rb") as file:
        digest = hashlib.md5(usedforsecurity=False)
        while block := file.read(1 << 20):
            digest.update(block)
    return {
        "filename": path.name,
        "size": state.st_size,
        "md5": digest.hexdigest(),
        "created_at": {
            "datetime": datetime.datetime.fromtimestamp(state.st_mtime),
            "timezone": str(time.tzname),
        },
    }


def _devices() -> dict[str, Any]:
    from furiosa.npu_sim.devices import cards

    found = {}
    for card in cards():
        version, _, revision = card.firmware.partition(", ")
        found[card.name] = {
            "serial_number": card.serial,
            "uuid": card.uuid,
            "pci_dev": card.pci_dev,
            "firmware": {"version": version, "rev": revision},
        }
    return found
