"""Which version this is: of the distribution, and of the SDK surface it is compatible with."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache

DISTRIBUTION = "furiosa-sim"
VERSION = "0.10.0"


@dataclass(frozen=True)
class FuriosaVersionInfo:
    """A version as SDK scripts read it: ``version``, ``stage`` (``dev`` or ``release``) and ``hash``."""

    version: str
    stage: str
    hash: str

    def __str__(self) -> str:
        return f"{self.version}-{self.stage} (rev: {self.hash[:9]})"

    def __repr__(self) -> str:
        return f"FuriosaVersionInfo({(self.stage, self.version, self.hash)})"


@cache
def version_info() -> FuriosaVersionInfo:
    """The installed version; ``hash`` is the SHA-256 of the installed files' list, so it names exactly these files."""
    return FuriosaVersionInfo(VERSION, "release", hashlib.sha256(_record().encode()).hexdigest())


def native_version() -> str:
    """What full version strings say about the engine below: version, short hash and time of building."""
    info = version_info()
    return f"{info.version} {info.hash[:9]} {built() or 'unknown'}"


@cache
def built() -> str:
    """When the installed files were put in place, as UTC ``YYYY-MM-DDTHH:MM:SSZ``; empty when not installed."""
    import datetime
    from importlib import metadata

    try:
        record = metadata.distribution(DISTRIBUTION).locate_file(f"furiosa_sim-{VERSION}.dist-info/RECORD")
        seconds = record.stat().st_mtime  # type: ignore[attr-defined]  # a Path for installed files
    except (metadata.PackageNotFoundError, OSError):
        return ""
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _record() -> str:
    from importlib import metadata  # takes 10 ms, which every compilation would pay

    try:
        return metadata.distribution(DISTRIBUTION).read_text("RECORD") or ""
    except metadata.PackageNotFoundError:
        return ""
