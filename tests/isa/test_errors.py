"""Errors say what to do, in commands and in tracebacks."""

from __future__ import annotations

import sys
import traceback

import pytest

from furiosa.isa.errors import FuriosaError, OptionError

ERROR = OptionError("no such thing `x`", where="file `y`", hint="name another")


def test_rendered_for_a_terminal() -> None:
    assert str(ERROR) == "no such thing `x`"
    assert ERROR.render() == "error: no such thing `x`\n  at file `y`\n\nhint: name another"
    assert FuriosaError("no").render() == "error: no"


@pytest.mark.skipif(sys.version_info < (3, 11), reason="tracebacks have no notes before Python 3.11")
def test_a_traceback_says_where_and_what_to_do() -> None:
    shown = "".join(traceback.format_exception_only(ERROR))
    assert shown == "furiosa.isa.errors.OptionError: no such thing `x`\n  at file `y`\nhint: name another\n"
