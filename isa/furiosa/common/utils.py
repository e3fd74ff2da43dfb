"""Versions, and small functions that SDK programs import from here."""

from __future__ import annotations

import sys

from furiosa.isa.version import FuriosaVersionInfo, version_info

__all__ = ["FuriosaVersionInfo", "eprint", "get_sdk_version", "removeprefix"]


def get_sdk_version(package: str) -> FuriosaVersionInfo:
    """The version of a package such as ``furiosa.runtime``: all belong to one distribution and have the same."""
    return version_info()


def eprint(*values: object, sep: str = " ", end: str = "\n", flush: bool = False) -> None:
    """``print`` to standard error."""
    print(*values, sep=sep, end=end, flush=flush, file=sys.stderr)  # noqa: T201  # the caller's words, not ours


def removeprefix(text: str, prefix: str) -> str:
    """``text`` without ``prefix``, if it begins with it."""
    return text.removeprefix(prefix)
