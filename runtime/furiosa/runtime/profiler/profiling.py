"""The profiling context that programs use, and profiling switched on by the environment."""

from __future__ import annotations

import atexit
import io
import tempfile
import warnings
from contextlib import AbstractContextManager
from enum import Enum
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import TextIO, cast

from furiosa.isa import env
from furiosa.isa.errors import OptionError
from furiosa.isa.files import save
from furiosa.runtime.failures import FuriosaRuntimeError, FuriosaRuntimeWarning
from furiosa.runtime.profiler import chrome
from furiosa.runtime.profiler.recorder import Recorder, Resource, activate, deactivate


class RecordFormat(Enum):
    """What a profile leaves behind."""

    ChromeTrace = 0
    PandasDataFrame = 1


class profile:  # the SDK's name
    """Record what the runtime does inside a ``with`` block.

    ``file`` is a text file open for writing that gets the trace when the block ends; without it the trace goes to a
    temporary file, open in ``file``. Host spans are measured, NPU spans modelled. Raises FuriosaRuntimeError for a
    format that cannot be written.
    """

    def __init__(
        self,
        resource: Resource = Resource.All,
        format: RecordFormat = RecordFormat.ChromeTrace,
        file: TextIO | None = None,
    ) -> None:
        if format is not RecordFormat.ChromeTrace:
            raise FuriosaRuntimeError(f"the profiler cannot write `{format.name}`", hint="use RecordFormat.ChromeTrace")
        self.file = file if file is not None else cast(TextIO, tempfile.NamedTemporaryFile("w+", suffix=".json"))  # noqa: SIM115
        self._by_environment = trace_from_environment()
        self._recorder = self._by_environment or Recorder(resource)

    def __enter__(self) -> profile:
        if self._by_environment:
            warnings.warn(
                f"`{env.PROFILER_OUTPUT.name}` is set: it gets the trace, profile() writes none",
                FuriosaRuntimeWarning,
                stacklevel=2,
            )
        else:
            activate(self._recorder)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._by_environment:
            deactivate(self._recorder)
            chrome.write(self._recorder, self.file)

    def record(self, name: str = "", warm_up: bool = False) -> AbstractContextManager[None]:
        """A span of that name around a ``with`` block; with ``warm_up`` nothing inside is recorded."""
        return self._recorder.paused() if warm_up else self._recorder.span(name, "", {})

    def pause(self) -> None:
        """Record nothing until ``resume``."""
        self._recorder.recording = False

    def resume(self) -> None:
        """Record again after ``pause``."""
        self._recorder.recording = True


@cache
def trace_from_environment() -> Recorder | None:
    """Start the recording that FURIOSA_PROFILER_OUTPUT_PATH asks for, once a process; it is written at exit."""
    path = output_path()
    if path is None:
        return None
    recorder = Recorder()
    activate(recorder)
    atexit.register(_write_at_exit, recorder, path)
    return recorder


def output_path() -> Path | None:
    """Where the environment wants the trace of the whole process."""
    path = env.PROFILER_OUTPUT.get()
    if path is None and (path := env.NUX_PROFILER_PATH.get()) is not None:
        text = f"`{env.NUX_PROFILER_PATH.name}` is deprecated, use `{env.PROFILER_OUTPUT.name}`"
        warnings.warn(text, FutureWarning, stacklevel=2)
    return path


def _write_at_exit(recorder: Recorder, path: Path) -> None:
    text = io.StringIO()
    chrome.write(recorder, text)
    try:
        save(path, text.getvalue())
    except OptionError as error:
        warnings.warn(f"the trace is lost: {error}", FuriosaRuntimeWarning, stacklevel=1)
