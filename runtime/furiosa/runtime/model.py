"""Deprecated module ``furiosa.runtime.model``: ``Model``."""

from typing import TYPE_CHECKING

from furiosa.runtime import interface
from furiosa.runtime.deprecation import deprecated_names

if TYPE_CHECKING:
    from furiosa.runtime.interface import Model as Model

__all__ = ["Model"]

__getattr__ = deprecated_names(__name__, {name: getattr(interface, name) for name in __all__})
