"""The one family of errors: what went wrong, where, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum


class ExitStatus(IntEnum):
    """What a command tells the shell; scripts and CI may rely on these."""

    OK = 0
    NO = 1
    USAGE = 2
    DEVICE = 3
    INTERNAL = 70
    INTERRUPTED = 130


class FuriosaError(Exception):
    """An error a person can act on.

    ``message`` is one lower-case sentence without a full stop, names in backticks; ``where`` names the place (node,
    file, byte offset); ``hint`` says what to do: a traceback shows both below the message (from Python 3.11 on). The
    class says who acts: see the children.
    """

    exit_status = ExitStatus.INTERNAL

    def __init__(self, message: str, *, where: str | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.hint = hint
        self.__notes__ = [*([f"  at {where}"] if where else []), *([f"hint: {hint}"] if hint else [])]

    def __str__(self) -> str:
        return self.message

    def render(self) -> str:
        """The full text for a terminal: ``error: message``, then ``where``, then a blank line and ``hint: ...``."""
        lines = [f"error: {self.message}"]
        if self.where:
            lines.append(f"  at {self.where}")
        if self.hint:
            lines += ["", f"hint: {self.hint}"]
        return "\n".join(lines)


class ModelError(FuriosaError):
    """The model file is damaged or says something impossible: its author acts."""

    exit_status = ExitStatus.USAGE


class UnsupportedError(FuriosaError):
    """The model is valid but neither the NPU nor the CPU can run it here."""

    exit_status = ExitStatus.USAGE


class OptionError(FuriosaError):
    """An option, argument, path or environment variable is wrong: the caller acts."""

    exit_status = ExitStatus.USAGE


class EnfError(FuriosaError):
    """A compiled file is damaged, of another version, or not a legal program."""

    exit_status = ExitStatus.USAGE


class DeviceError(FuriosaError):
    """A device is absent, busy, or its state folder cannot be used."""

    exit_status = ExitStatus.DEVICE


class DeviceBusyError(DeviceError):
    """A device is in use: its user has to end first."""


class InternalError(FuriosaError):
    """A fault of this software, to be reported together with the named pass or instruction."""

    exit_status = ExitStatus.INTERNAL


def did_you_mean(name: object, known: Iterable[str]) -> str | None:
    """The hint for a misspelt name: the nearest of the known ones, whatever their case; None when none is near.

    ``name`` is whatever a caller gave as one.
    """
    from difflib import get_close_matches

    lower = {each.lower(): each for each in known}
    near = get_close_matches(str(name).lower(), lower, 1)
    return f"did you mean `{lower[near[0]]}`?" if near else None
