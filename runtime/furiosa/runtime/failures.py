"""Errors and warnings of the runtime, as SDK programs catch them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from furiosa.isa.errors import ExitStatus, FuriosaError


class FuriosaRuntimeError(FuriosaError, RuntimeError):
    """A session cannot be created or used: the model, an option or a device is at fault, or it is closed already."""

    def __init__(
        self,
        message: str,
        *,
        where: str | None = None,
        hint: str | None = None,
        exit_status: ExitStatus = ExitStatus.USAGE,
    ) -> None:
        super().__init__(message, where=where, hint=hint)
        self.exit_status = exit_status


class FuriosaRuntimeWarning(Warning):
    """Something works, but not as the caller may expect."""


@contextmanager
def runtime_errors() -> Iterator[None]:
    """Whatever the compiler, the files or the devices object to inside leaves as FuriosaRuntimeError."""
    try:
        yield
    except FuriosaRuntimeError:
        raise
    except FuriosaError as error:
        raise FuriosaRuntimeError(
            error.message, where=error.where, hint=error.hint, exit_status=error.exit_status
        ) from error
