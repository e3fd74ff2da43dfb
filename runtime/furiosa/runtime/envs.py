"""Deprecated module ``furiosa.runtime.envs``: what the environment says."""

from typing import TYPE_CHECKING

from furiosa.runtime.deprecated import environment
from furiosa.runtime.deprecation import deprecated_names

if TYPE_CHECKING:
    from furiosa.runtime.deprecated.environment import current_npu_device as current_npu_device
    from furiosa.runtime.deprecated.environment import is_compile_log_enabled as is_compile_log_enabled
    from furiosa.runtime.deprecated.environment import log_dir as log_dir
    from furiosa.runtime.deprecated.environment import profiler_output as profiler_output
    from furiosa.runtime.deprecated.environment import xdg_state_home as xdg_state_home

__all__ = ["current_npu_device", "is_compile_log_enabled", "log_dir", "profiler_output", "xdg_state_home"]

__getattr__ = deprecated_names(__name__, {name: getattr(environment, name) for name in __all__})
