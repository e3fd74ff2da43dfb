"""Deprecated module ``furiosa.runtime.session``: ``create`` and ``Session``."""

from typing import TYPE_CHECKING

from furiosa.runtime import legacy
from furiosa.runtime.deprecation import deprecated_names

if TYPE_CHECKING:
    from furiosa.runtime.legacy import Session as Session
    from furiosa.runtime.legacy import create as create

__getattr__ = deprecated_names(__name__, {"Session": legacy.Session, "create": legacy.create})
