"""How long `furiosa-compiler` takes when the result is in the cache, against compiling, as whole processes.

    python benchmarks/cache_hits.py [--networks resnet50] [--rounds 9] [--json] [--max-ratio 0.3]

The cache is a folder, and a Redis server on this computer where `redis-server` is installed.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from claims import CACHE_STORES, cache_hit
from networks import NAMES, quantized
from report import Row, arguments, column, emit, spread, spread_columns
from start_up import process
from timing import alternate, process_seconds

COMPILE = "compile"


@contextmanager
def stores(folder: Path) -> Iterator[dict[str, str]]:
    """URLs of empty stores by what they are."""
    found = {"a folder": str(folder / "cache")}
    if shutil.which("redis-server") is None:
        print("left out: Redis, as `redis-server` is not installed", file=sys.stderr)
        yield found
        return
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = ["redis-server", "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--dir", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
        try:
            _await(port)
            yield {**found, "Redis": f"redis://127.0.0.1:{port}"}
        finally:
            server.terminate()


def _await(port: int) -> None:
    for _ in range(500):
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.01)
    raise TimeoutError("the Redis server does not listen")


def seconds(model: Path, output: Path, store: str | None) -> list[float]:
    """The time of one process; the cache is left out when ``store`` is None."""
    if store is not None:
        os.environ["FC_CACHE_STORE_URL"] = store
    options = ["-q"] if store is not None else ["-q", "--no-cache"]
    return process_seconds([*process(["furiosa-compiler", *options, "-o"]), output, model])


def main() -> int:
    parser = arguments("Measure hits of the compiler's cache.", NAMES, rounds=9, ratio="a hit over compiling")
    parser.set_defaults(networks=["resnet50"])
    options = parser.parse_args()
    os.environ["FC_CACHE_ENABLED"] = "1"
    rows: list[Row] = []
    ratios: dict[str, float] = {}
    for name in options.networks:
        model = quantized(name, options.folder)
        with tempfile.TemporaryDirectory(dir=options.folder) as temporary, stores(Path(temporary)) as found:
            output = Path(temporary, "output.enf")
            contenders = {COMPILE: partial(seconds, model, output, None)}
            for store, url in found.items():
                seconds(model, output, url)  # puts the result there
                contenders[store] = partial(seconds, model, output, url)
            times = alternate(contenders, options.rounds)
        cold = times[COMPILE].median
        rows += [
            {"network": name, "process": what, **spread(each), "ratio": each.median / cold}
            for what, each in times.items()
        ]
        ratios |= {cache_hit(name, store): times[store].median / cold for store in CACHE_STORES if store in times}
    columns = [column("network"), column("process", "result from"), *spread_columns(0)]
    columns.append(column("ratio", "/ compile", 2))
    return emit("cache_hits", {"processes": (columns, rows)}, ratios, options)


if __name__ == "__main__":
    sys.exit(main())
