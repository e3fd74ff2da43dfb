"""Deprecated module ``furiosa.runtime.errors``: what the runtime raises."""

from typing import TYPE_CHECKING

from furiosa.runtime import failures
from furiosa.runtime.deprecation import deprecated_names

if TYPE_CHECKING:
    from furiosa.runtime.failures import FuriosaRuntimeError as FuriosaRuntimeError
    from furiosa.runtime.failures import FuriosaRuntimeError as NativeException  # noqa: F401

__getattr__ = deprecated_names(
    __name__,
    {"FuriosaRuntimeError": failures.FuriosaRuntimeError, "NativeException": failures.FuriosaRuntimeError},
)
