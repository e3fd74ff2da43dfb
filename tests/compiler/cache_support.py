"""What the tests of the cache share: what a compilation says about it, and servers of all kinds."""

from __future__ import annotations

import logging
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from furiosa.compiler import Compiled, compile_model

needs_redis = pytest.mark.skipif(shutil.which("redis-server") is None, reason="`redis-server` is not installed")


class Words:
    """What compilations say about the cache: the last one's words, and whether one of them is a warning."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        self._caplog = caplog
        caplog.set_level(logging.INFO, "furiosa.compiler.cache")

    def compile(self, model: Any, **options: Any) -> tuple[Compiled, str, int]:
        """The result, every word about the cache, and the number of warnings."""
        self._caplog.clear()
        result = compile_model(model, **options)
        records = [record for record in self._caplog.records if record.name == "furiosa.compiler.cache"]
        warnings = sum(record.levelno >= logging.WARNING for record in records)
        return result, "\n".join(record.getMessage() for record in records), warnings


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def redis_server(folder: Path, *options: str, tls: bool = False) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """A Redis server on a port of the loopback interface, and its process; gone afterwards."""
    port = free_port()
    ports = ["--tls-port", str(port), "--port", "0"] if tls else ["--port", str(port)]
    command = ["redis-server", "--bind", "127.0.0.1", "--save", "", "--dir", str(folder), *ports, *options]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            _await(port)
            yield port, process
        finally:
            process.kill()


def _await(port: int) -> None:
    for _ in range(500):
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.01)
    raise TimeoutError("the server does not listen")


@contextmanager
def tcp_server(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """A server on a port of the loopback interface that gives every connection to ``serve``."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.05)
        ended = False

        def accept() -> None:
            while not ended:
                with suppress(OSError):
                    connection, _ = listening.accept()
                    with connection:
                        connection.settimeout(30)
                        serve(connection)

        thread = Thread(target=accept)
        thread.start()
        try:
            yield int(listening.getsockname()[1])
        finally:
            ended = True
            thread.join()
