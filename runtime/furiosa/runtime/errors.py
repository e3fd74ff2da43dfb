"""Deprecated module ``furiosa.runtime.errors``: what the legacy API raises."""

from typing import TYPE_CHECKING

from furiosa.common import error as common
from furiosa.runtime import failures
from furiosa.runtime.deprecated import errors
from furiosa.runtime.deprecation import deprecated_names

if TYPE_CHECKING:
    from furiosa.common.error import FuriosaError as FuriosaError
    from furiosa.common.error import is_err as is_err
    from furiosa.common.error import is_ok as is_ok
    from furiosa.runtime.deprecated.errors import *  # noqa: F403
    from furiosa.runtime.failures import FuriosaRuntimeError as FuriosaRuntimeError

    NativeException = FuriosaRuntimeError

__getattr__ = deprecated_names(
    __name__,
    {
        **{name: value for name, value in vars(errors).items() if getattr(value, "__module__", "") == errors.__name__},
        **{name: getattr(common, name) for name in common.__all__},
        "FuriosaRuntimeError": failures.FuriosaRuntimeError,
        "NativeException": failures.FuriosaRuntimeError,
    },
)
