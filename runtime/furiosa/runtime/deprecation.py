"""Deprecated modules: every name read from one warns, also when the module was imported before."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping


def deprecated_names(module: str, names: Mapping[str, object]) -> Callable[[str], object]:
    """The ``__getattr__`` of the deprecated ``module``, which offers ``names``; each read is a FutureWarning."""

    def getter(name: str) -> object:
        if name not in names:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        warnings.warn(
            f"'{module}' module is deprecated and will be removed in a future release.", FutureWarning, stacklevel=2
        )
        return names[name]

    return getter
