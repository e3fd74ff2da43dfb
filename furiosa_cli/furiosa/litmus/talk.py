"""What a litmus test says, on stdout and stderr."""

from __future__ import annotations

import sys

from furiosa.isa import env
from furiosa.isa.errors import FuriosaError


def explain(error: Exception) -> None:
    """Say on stderr what went wrong and what to do; with FURIOSA_DEBUG the traceback too."""
    if env.DEBUG.get():
        import traceback

        traceback.print_exception(error)
    say(error.render() if isinstance(error, FuriosaError) else f"unexpected {type(error).__name__}: {error}")


def show(line: str) -> None:
    """Write a line to stdout, at once: the steps are followed while they run."""
    print(line, flush=True)


def say(text: str, end: str = "\n") -> None:
    """Talk to the user on stderr, whatever characters it lacks."""
    if sys.stderr is not None:
        encoding = getattr(sys.stderr, "encoding", None) or "utf-8"
        print(text.encode(encoding, errors="replace").decode(encoding), end=end, file=sys.stderr, flush=True)
