"""What the environment says, for deprecated programs."""

from __future__ import annotations

from furiosa.isa import env
from furiosa.npu_sim.devices import default_specification
from furiosa.runtime.profiler.profiling import output_path


def current_npu_device() -> str:
    """The specification of the devices that sessions open when they are told none."""
    return default_specification()


def is_compile_log_enabled() -> bool:
    """Whether sessions of the legacy API write compile logs: not where FURIOSA_TEST_IS_RUNNING is set."""
    return not env.TEST_IS_RUNNING.get()


def xdg_state_home() -> str:
    """The folder above that of the logs."""
    return str(env.XDG_STATE_HOME.get())


def log_dir() -> str:
    """The folder of compile logs."""
    return str(env.LOG_DIR.get())


def profiler_output() -> str | None:
    """The file that gets a trace of the whole process, if any."""
    path = output_path()
    return None if path is None else str(path)
