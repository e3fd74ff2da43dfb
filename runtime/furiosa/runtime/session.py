"""Deprecated module ``furiosa.runtime.session``: synchronous sessions and queues."""

from typing import TYPE_CHECKING

from furiosa.runtime.deprecated import sessions
from furiosa.runtime.deprecation import deprecated_names

if TYPE_CHECKING:
    from furiosa.runtime.deprecated.sessions import AsyncSession as AsyncSession
    from furiosa.runtime.deprecated.sessions import CompletionQueue as CompletionQueue
    from furiosa.runtime.deprecated.sessions import Session as Session
    from furiosa.runtime.deprecated.sessions import create as create
    from furiosa.runtime.deprecated.sessions import create_async as create_async

__all__ = ["AsyncSession", "CompletionQueue", "Session", "create", "create_async"]

__getattr__ = deprecated_names(__name__, {name: getattr(sessions, name) for name in __all__})
