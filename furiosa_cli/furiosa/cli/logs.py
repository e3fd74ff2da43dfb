"""What the library has to say while a command works: on stderr, as far as FURIOSA_LOG_LEVEL allows."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from furiosa.isa import env

_LEVELS = {"OFF": logging.CRITICAL + 1, "ERROR": logging.ERROR, "WARN": logging.WARNING, "INFO": logging.INFO}


class _Formatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        message = record.getMessage()
        return message if record.levelno < logging.WARNING else f"{record.levelname.lower()}: {message}"


@contextmanager
def shown_log(quiet: bool = False) -> Iterator[None]:
    """Show the log of everything inside; with ``quiet`` only from warnings on."""
    level = max(_LEVELS[env.LOG_LEVEL.get()], logging.WARNING if quiet else logging.NOTSET)
    logger, handler = logging.getLogger("furiosa"), logging.StreamHandler()
    handler.setFormatter(_Formatter())
    before = logger.level
    logger.setLevel(level)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)
