"""How every command ends: the one place that turns exceptions into messages on stderr and exit statuses."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Callable
from contextlib import suppress

from furiosa.isa import env
from furiosa.isa.errors import ExitStatus, FuriosaError, OptionError, did_you_mean

BROKEN_PIPE = 128 + signal.SIGPIPE  # what a shell reports for programs that die of it


def run(work: Callable[[], int | None]) -> int:
    """Run a command and return its exit status: that of ``work`` (None means 0), or of the error that ended it.

    The message of an error goes to stderr; its traceback too when ``FURIOSA_DEBUG`` is set. A reader of stdout that
    went away ends the command quietly. ``work`` may be a click command's ``main`` with ``standalone_mode=False``.
    """
    try:
        status = work()
        if sys.stdout is not None:
            _flush()
        return int(status or ExitStatus.OK)
    except BrokenPipeError:
        _discard_stdout()
        return BROKEN_PIPE
    except SystemExit as ending:
        if ending.code != ExitStatus.NO or "click" not in sys.modules:
            raise  # click keeps a broken pipe to itself and ends with 1, which no command of ours does
        _discard_stdout()
        return BROKEN_PIPE
    except KeyboardInterrupt:
        return _report(None, "interrupted", ExitStatus.INTERRUPTED)
    except FuriosaError as error:
        return _report(error, error.render(), error.exit_status)
    except Exception as error:
        known = _of_click(error)
        if known is None:
            return _report(error, _unexpected(error), ExitStatus.INTERNAL)
        return _report(error, *known)


def emit(text: str) -> None:
    """Write the result of a command to stdout, with a line end.

    Characters that the terminal's encoding lacks become ``?``. Raises OptionError when stdout cannot be written to.
    """
    if sys.stdout is None:
        return
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    try:
        sys.stdout.write(text.encode(encoding, errors="replace").decode(encoding) + "\n")
    except BrokenPipeError:
        raise
    except OSError as error:
        raise _unwritable(error) from None
    _flush()


def _flush() -> None:
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        _discard_stdout()
        raise _unwritable(error) from None


def _unwritable(error: OSError) -> OptionError:
    return OptionError(f"cannot write to the standard output: {error.strerror}", hint="redirect it to another place")


def _discard_stdout() -> None:
    """Let the interpreter's flush at exit succeed: it would print a second message."""
    try:
        descriptor = sys.stdout.fileno()
    except (OSError, ValueError, AttributeError):
        return
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, descriptor)
    os.close(null)


def _of_click(error: Exception) -> tuple[str, int] | None:
    """The message and status of an exception of click's, without importing click for commands that do not use it."""
    click = sys.modules.get("click")
    if click is None:
        return None
    if isinstance(error, click.Abort):
        return "interrupted", ExitStatus.INTERRUPTED
    if not isinstance(error, click.ClickException):
        return None
    message = getattr(error, "message", "") if isinstance(error, click.NoSuchOption) else error.format_message()
    message = message.rstrip(".")
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else os.path.basename(sys.argv[0])
    hint = _suggestion(error) or f"`{command} --help` shows what it accepts"
    rendered = FuriosaError(message[:1].lower() + message[1:], hint=hint).render()
    return rendered, ExitStatus.USAGE


def _suggestion(error: Exception) -> str | None:
    """What may be meant, for a misspelt option or a misspelt value of a choice."""
    import click

    if isinstance(error, click.NoSuchOption):
        return did_you_mean(error.option_name, error.possibilities or ())
    kind = getattr(getattr(error, "param", None), "type", None)
    given = re.search("'([^']*)' is not one of", str(error))
    return did_you_mean(given[1], map(str, kind.choices)) if given and isinstance(kind, click.Choice) else None


def _unexpected(error: Exception) -> str:
    reason = " ".join(str(error).split())
    hint = f"this is a fault of furiosa-sim: please report it with the traceback that {env.DEBUG.name}=1 shows"
    return FuriosaError(f"unexpected {type(error).__name__}: {reason}", hint=hint).render()


def _report(error: Exception | None, message: str, status: int) -> int:
    if sys.stderr is None:
        return int(status)
    with suppress(OSError, ValueError):  # nobody hears it: the status says it
        if error is not None and env.DEBUG.get():
            import traceback

            traceback.print_exception(error)
        print(message, file=sys.stderr)
    return int(status)
