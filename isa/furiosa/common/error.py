"""The error above all others, and codes of native engines."""

from furiosa.isa.errors import FuriosaError

__all__ = ["FuriosaError", "is_err", "is_ok"]


def is_ok(code: int) -> bool:
    """Whether a code is that of success."""
    return code == 0


def is_err(code: int) -> bool:
    """Whether a code is that of an error."""
    return not is_ok(code)
