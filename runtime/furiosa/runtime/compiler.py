"""Deprecated module ``furiosa.runtime.compiler``: where compile logs go."""

from typing import TYPE_CHECKING

from furiosa.runtime.deprecated import compile_log
from furiosa.runtime.deprecation import deprecated_names

if TYPE_CHECKING:
    from furiosa.runtime.deprecated.compile_log import generate_compiler_log_path as generate_compiler_log_path

__all__ = ["generate_compiler_log_path"]

__getattr__ = deprecated_names(__name__, {name: getattr(compile_log, name) for name in __all__})
