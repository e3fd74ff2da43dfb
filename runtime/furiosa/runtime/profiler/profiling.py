"""The profiling context that programs use, and profiling switched on by the environment."""

from __future__ import annotations

import atexit
import io
import sys
import tempfile
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager
from enum import Enum
from functools import cache
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, TextIO, cast

from furiosa.isa import env
from furiosa.isa.errors import OptionError
from furiosa.isa.files import save
from furiosa.runtime.failures import FuriosaRuntimeError, FuriosaRuntimeWarning, runtime_errors
from furiosa.runtime.profiler import chrome
from furiosa.runtime.profiler.recorder import Recorder, Resource, activate, deactivate
from furiosa.runtime.profiler.recording import Recording

if TYPE_CHECKING:
    import pandas as pd


class RecordFormat(Enum):
    """What a profile leaves behind in its file: a Chrome trace, or the rows of its data frame as CSV."""

    ChromeTrace = 0
    PandasDataFrame = 1


class profile:  # the SDK's name
    """Record what the runtime does inside a ``with`` block.

    ``file`` is a text file open for writing that gets the recording when the block ends; without it that is a temporary
    file, open in ``file``. Host spans are measured, NPU spans modelled. After the block, the methods print and return
    what was recorded, in either format.
    """

    def __init__(
        self,
        resource: Resource = Resource.All,
        format: RecordFormat = RecordFormat.ChromeTrace,
        file: TextIO | None = None,
    ) -> None:
        """Raises FuriosaRuntimeError for what is no Resource or RecordFormat."""
        _check("resource", resource, Resource)
        _check("format", format, RecordFormat)
        suffix = ".json" if format is RecordFormat.ChromeTrace else ".csv"
        self.file = file if file is not None else cast(TextIO, tempfile.NamedTemporaryFile("w+", suffix=suffix))  # noqa: SIM115
        self._format = format
        self._by_environment = trace_from_environment()
        self._recorder = self._by_environment or Recorder(resource)
        self._ended = False
        self._kept: pd.DataFrame | None = None

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
        if self._by_environment:
            return
        deactivate(self._recorder)
        self._ended = True
        if self._format is RecordFormat.ChromeTrace:
            chrome.write(Recording.of(self._recorder), self.file)
        else:
            self._frame.to_csv(self.file, index=False)
            self.file.flush()

    def record(self, name: str = "", warm_up: bool = False) -> AbstractContextManager[None]:
        """A span of that name around a ``with`` block; with ``warm_up`` nothing inside is recorded."""
        return self._recorder.paused() if warm_up else self._recorder.span(name, "", {})

    def pause(self) -> None:
        """Record nothing until ``resume``."""
        self._recorder.recording = False

    def resume(self) -> None:
        """Record again after ``pause``."""
        self._recorder.recording = True

    @property
    def _frame(self) -> pd.DataFrame:
        from furiosa.runtime.profiler.frame import frame

        if self._kept is not None:
            return self._kept
        made = frame(Recording.of(self._recorder))
        if self._ended:
            self._kept = made
        return made

    def get_pandas_dataframe(self) -> pd.DataFrame:
        """All spans, one a row; the columns are those of ``frame.COLUMNS``, times in ns. The caller's own copy."""
        return self._frame.copy()

    def get_pandas_dataframe_with_filter(self, column: str, value: object) -> pd.DataFrame:
        """The rows whose ``column`` equals ``value``. Raises KeyError for a column that does not exist."""
        return self._frame[self._frame[column] == value].copy()

    def get_cpu_pandas_dataframe(self) -> pd.DataFrame:
        """The rows of the runtime on the host's CPU."""
        return self.get_pandas_dataframe_with_filter("cat", "Runtime")

    def get_npu_pandas_dataframe(self) -> pd.DataFrame:
        """The rows of the NPU: executions and their instructions, in modelled time."""
        return self.get_pandas_dataframe_with_filter("cat", "NPU")

    def print_summary(self) -> None:
        """Print the number of inferences, and the distribution of their latencies."""
        from furiosa.runtime.profiler.tables import summary

        self._print(summary)

    def print_inferences(self) -> None:
        """Print a table of the inferences."""
        from furiosa.runtime.profiler.tables import box, inferences

        self._print(lambda frame: box(inferences(frame)))

    def print_npu_executions(self) -> None:
        """Print a table of the NPU's executions: NPU Total = NPU Run + NPU IoWait, in modelled ns."""
        from furiosa.runtime.profiler.tables import box, npu_executions

        self._print(lambda frame: box(npu_executions(frame)))

    def print_npu_operators(self) -> None:
        """Print a table of the kinds of operators on the NPU, the slowest first."""
        from furiosa.runtime.profiler.tables import box, npu_operators

        self._print(lambda frame: box(npu_operators(frame)))

    def print_external_operators(self) -> None:
        """Print a table of the operators on the host's CPU."""
        from furiosa.runtime.profiler.tables import box, external_operators

        self._print(lambda frame: box(external_operators(frame)))

    def export_chrome_trace(self, filename: str | PathLike[str]) -> None:
        """Write the rows as a Chrome trace, and say so. Raises FuriosaRuntimeError when that cannot be written."""
        if self._frame.empty:
            self._print(lambda _: "")
            return
        text = io.StringIO()
        chrome.export(Recording.of(self._recorder), text)
        with runtime_errors():
            save(Path(filename), text.getvalue())
        self._print(lambda _: "Export trace event format completed.")

    def _print(self, text: Callable[[pd.DataFrame], str]) -> None:
        from furiosa.runtime.profiler.tables import EMPTY

        sys.stdout.write((EMPTY if self._frame.empty else text(self._frame)) + "\n")


def _check(name: str, value: object, kind: type[Enum]) -> None:
    if not isinstance(value, kind):
        names = ", ".join(f"{kind.__name__}.{member.name}" for member in kind)
        raise FuriosaRuntimeError(f"`{name}` of profile() is one of {names}, not `{value}`")


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
    chrome.write(Recording.of(recorder), text)
    try:
        save(path, text.getvalue())
    except OptionError as error:
        warnings.warn(f"the trace is lost: {error}", FuriosaRuntimeWarning, stacklevel=1)
