"""Errors and warnings of the runtime, as SDK programs catch them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from furiosa.isa.errors import ExitStatus, FuriosaError


class FuriosaRuntimeError(FuriosaError, RuntimeError):
    """A session cannot be created or used: the model, an option or a device is at fault, or it is closed already.

    ``context`` is that of the submission that failed, when a receiver raises the error.
    """

    context: object = None

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

    def native_error(self) -> int | None:
        """The code of the legacy engine; None for errors that it did not have."""
        return None


class ClosedError(FuriosaRuntimeError):
    """A session, queue or runtime was used after it was closed."""

    def __init__(self, what: str = "session") -> None:
        super().__init__(f"the {what} is closed already", hint="create a new one")


class DrainedError(FuriosaRuntimeError):
    """No result will come any more: the submitter is closed, and all results have been received."""

    def __init__(self) -> None:
        super().__init__("there are no more results: the submitter is closed", hint="receive once for each submission")


class FuriosaRuntimeWarning(Warning):
    """Something works, but not as the caller may expect."""


def runtime_error(error: FuriosaError) -> FuriosaRuntimeError:
    """What the compiler, the files or the devices object to, as users of sessions catch it."""
    if isinstance(error, FuriosaRuntimeError):
        return error
    new = FuriosaRuntimeError(error.message, where=error.where, hint=error.hint, exit_status=error.exit_status)
    new.__cause__ = error
    return new


@contextmanager
def runtime_errors() -> Iterator[None]:
    """Whatever the compiler, the files or the devices object to inside leaves as FuriosaRuntimeError."""
    try:
        yield
    except FuriosaError as error:
        raise runtime_error(error)  # noqa: B904  # it has its cause already
