"""Executions that a test holds up, counts, and lets fail."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from furiosa.isa.errors import EnfError
from furiosa.runtime.executable import Executable


class Gate:
    """While closed, executions wait. Values above ``worst`` make an execution fail."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.executed = 0
        self.entered = 0
        self.worst = float("inf")
        self._open = threading.Event()
        real = Executable.run_batch

        def run_batch(executable: Executable, requests: Sequence[Sequence[Any]], *options: Any) -> Any:
            self.entered += len(requests)
            assert self._open.wait(30)
            if any(inputs[0].max() > self.worst for inputs in requests):
                raise EnfError("this value does not please the test")
            self.executed += len(requests)
            return real(executable, requests, *options)

        monkeypatch.setattr(Executable, "run_batch", run_batch)
        self.open()

    def open(self) -> None:
        self._open.set()

    def close(self) -> None:
        self._open.clear()


def eventually(condition: Callable[[], bool]) -> None:
    """Wait until something holds; fail when it does not in a long time."""
    for _ in range(3000):
        if condition():
            return
        time.sleep(0.01)
    pytest.fail("it did not happen")


def lastingly(condition: Callable[[], bool]) -> None:
    """Fail unless something holds, and still does when everybody had the time to change it."""
    for _ in range(10):
        assert condition()
        time.sleep(0.01)
