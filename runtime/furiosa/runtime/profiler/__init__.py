"""Profiling of a program: ``with profile(file=f) as profiler: ...`` writes a trace of what the runtime did inside."""

from furiosa.runtime.profiler.profiling import RecordFormat, profile
from furiosa.runtime.profiler.recorder import Resource

__all__ = ["RecordFormat", "Resource", "profile"]
