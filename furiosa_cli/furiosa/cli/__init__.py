"""The executables of the toolchain. A command imports only what it needs, so this package imports next to nothing."""

from __future__ import annotations

from furiosa.cli.main import main

__all__ = ["main"]


def __getattr__(name: str) -> object:
    if name == "__version__":
        from furiosa.isa.version import version_info

        return version_info()
    raise AttributeError(f"module `{__name__}` has no attribute `{name}`")
