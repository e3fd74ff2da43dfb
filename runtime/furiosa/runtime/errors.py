"""Deprecated module ``furiosa.runtime.errors``: what the legacy API raises."""

from typing import TYPE_CHECKING

from furiosa.isa import errors as common
from furiosa.runtime import failures
from furiosa.runtime.deprecated import errors
from furiosa.runtime.deprecation import deprecated_names

if TYPE_CHECKING:
    from furiosa.isa.errors import FuriosaError as FuriosaError
    from furiosa.runtime.deprecated.errors import *  # noqa: F403
    from furiosa.runtime.failures import FuriosaRuntimeError as FuriosaRuntimeError

    NativeException = FuriosaRuntimeError

__getattr__ = deprecated_names(
    __name__,
    {
        **{name: value for name, value in vars(errors).items() if getattr(value, "__module__", "") == errors.__name__},
        "FuriosaError": common.FuriosaError,
        "FuriosaRuntimeError": failures.FuriosaRuntimeError,
        "NativeException": failures.FuriosaRuntimeError,
    },
)
