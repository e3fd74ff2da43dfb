"""Deprecated modules: importing one warns, and so does every name read from it, also when it was imported before."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Mapping

_NOT_CALLERS = ("furiosa.runtime", "importlib")


def deprecated_names(module: str, names: Mapping[str, object]) -> Callable[[str], object]:
    """The ``__getattr__`` of the deprecated ``module``, which offers ``names``; called while it is imported."""
    _warn(module)

    def getter(name: str) -> object:
        if name not in names:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        _warn(module)
        return names[name]

    return getter


def _warn(module: str) -> None:
    """A FutureWarning at the line of the program that imports, whatever the import machinery does in between."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(_NOT_CALLERS):
        frame = frame.f_back
    warnings.warn_explicit(
        f"'{module}' module is deprecated and will be removed in a future release.", FutureWarning,
        frame.f_code.co_filename, frame.f_lineno, registry=frame.f_globals.setdefault("__warningregistry__", {}),
    )  # fmt: skip
