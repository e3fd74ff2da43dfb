"""What one request takes through queues and runners, against one loop that runs the same model synchronously.

    python benchmarks/queues.py [--folder build/bench] [--requests 10000] [--rounds 6] [--json]

The model is the digit network, so small that what surrounds an inference counts. All contenders live in one process and
take turns; the workers of those that wait sleep. Each checks that every result came once, with its own value.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import furiosa.runtime as asynchronous
from claims import ASYNC_OVERHEAD, ASYNC_QUEUE, QUEUE, throughput
from furiosa.compiler import compile_model
from furiosa.runtime import sync
from networks import quantized, random_inputs
from report import arguments, column, emit, spread, spread_columns
from timing import alternate

WORKERS = 4
THREADS = 16
TASKS = 1000
INPUTS = 64
MOST_OVERHEAD = 100e-6
LOOP = "synchronous loop"
SHARED, ALONE = f"runner, {THREADS} threads", "asynchronous runner, one task"

Array = NDArray[Any]
Run = Callable[[Sequence[Array]], list[Array]]


class Requests:
    """What is asked for, again and again: inputs with the outputs that belong to them."""

    def __init__(self, model: Path, run: Run, count: int) -> None:
        generator = np.random.default_rng(0)
        (sample,) = random_inputs(model).values()
        self.inputs = [generator.random(sample.shape).astype(sample.dtype) for _ in range(INPUTS)]
        self._outputs = [run([array])[0].tobytes() for array in self.inputs]
        self.count = count

    def input(self, number: int) -> list[Array]:
        return [self.inputs[number % INPUTS]]

    def timed(self, start: float, results: Sequence[tuple[int, list[Array]]]) -> list[float]:
        """Seconds a request since ``start``. Raises AssertionError unless every request has its own result, once."""
        seconds = (time.perf_counter() - start) / self.count
        assert sorted(number for number, _ in results) == list(range(self.count))
        assert all(outputs[0].tobytes() == self._outputs[number % INPUTS] for number, outputs in results)
        return [seconds]


def in_a_loop(requests: Requests, runner: sync.Runner) -> list[float]:
    start = time.perf_counter()
    return requests.timed(start, [(number, runner.run(requests.input(number))) for number in range(requests.count)])


def in_threads(
    requests: Requests, body: Callable[[int], None], results: list[Any], receive: Callable[[], None]
) -> list[float]:
    start = time.perf_counter()
    threads = [threading.Thread(target=body, args=(first,)) for first in range(THREADS)]
    for thread in threads:
        thread.start()
    receive()
    for thread in threads:
        thread.join()
    return requests.timed(start, results)


def through_a_queue(requests: Requests, ends: tuple[sync.Submitter, sync.Receiver]) -> list[float]:
    """Threads submit, this one receives."""
    submitter, receiver = ends
    results: list[tuple[int, list[Array]]] = []

    def submit(first: int) -> None:
        for number in range(first, requests.count, THREADS):
            submitter.submit(requests.input(number), number)

    return in_threads(requests, submit, results, lambda: results.extend(receiver.recv() for _ in range(requests.count)))


def with_a_shared_runner(requests: Requests, runner: sync.Runner) -> list[float]:
    results: list[tuple[int, list[Array]]] = []

    def run(first: int) -> None:
        for number in range(first, requests.count, THREADS):
            results.append((number, runner.run(requests.input(number))))

    return in_threads(requests, run, results, lambda: None)


async def by_many_tasks(requests: Requests, ends: tuple[asynchronous.Submitter, asynchronous.Receiver]) -> list[float]:
    """Each task submits a request and waits for a result before the next."""
    submitter, receiver = ends
    results: list[tuple[int, list[Array]]] = []

    async def exchange(first: int) -> None:
        for number in range(first, requests.count, TASKS):
            await submitter.submit(requests.input(number), number)
            results.append(await receiver.recv())

    start = time.perf_counter()
    await asyncio.gather(*(exchange(first) for first in range(TASKS)))
    return requests.timed(start, results)


async def by_one_task(requests: Requests, runner: asynchronous.Runner) -> list[float]:
    start = time.perf_counter()
    results = [(number, await runner.run(requests.input(number))) for number in range(requests.count)]
    return requests.timed(start, results)


def measure(model: Path, enf: Path, count: int, rounds: int) -> list[dict[str, Any]]:
    """One row for every contender, with the time of one request and what it is more than in the loop."""

    async def created(creation: Awaitable[Any]) -> Any:
        return await creation

    with sync.Runtime("npu0pe0-1") as runtime, sync.Runtime("npu1pe0-1") as other:
        runner = runtime.create_runner(enf)
        requests = Requests(model, runner.run, count)
        shared = asynchronous.Runtime("npu2pe0-1")
        tasked = asyncio.run(created(shared.create_queue(enf, worker_num=WORKERS)))
        alone = asyncio.run(created(shared.create_runner(enf, worker_num=WORKERS)))
        contenders: dict[str, Callable[[], list[float]]] = {
            LOOP: partial(in_a_loop, requests, runner),
            QUEUE: partial(through_a_queue, requests, other.create_queue(enf, worker_num=WORKERS)),
            SHARED: partial(with_a_shared_runner, requests, other.create_runner(enf, worker_num=WORKERS)),
            ASYNC_QUEUE: lambda: asyncio.run(by_many_tasks(requests, tasked)),
            ALONE: lambda: asyncio.run(by_one_task(requests, alone)),
        }
        alternate(contenders, 1)
        times = alternate(contenders, rounds)
        asyncio.run(created(shared.close()))
    loop = times[LOOP].median
    return [
        {
            "contender": name,
            **spread(each),
            "throughput_ratio": loop / each.median,
            "overhead_us": (each.median - loop) * 1e6,
        }
        for name, each in times.items()
    ]


def main() -> int:
    parser = arguments("Measure queues.", ["digits"], rounds=6, ratio="the asynchronous runner's overhead over 100 us")
    parser.add_argument("--requests", type=int, default=10_000, help="of one turn; default: 10,000")
    options = parser.parse_args()
    model = quantized("digits", options.folder)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["FURIOSA_SIM_STATE_DIR"] = folder
        os.environ["FURIOSA_LOG_LEVEL"] = "WARN"
        os.environ["FURIOSA_SIM_CONFIG"] = f"{folder}/host.yaml"
        Path(folder, "host.yaml").write_text("cards: [{}, {}, {}]\n", encoding="utf-8")
        enf = Path(folder, "digits.enf")
        enf.write_bytes(compile_model(model, "warboy-2pe", cache_enabled=False).enf)
        rows = {row["contender"]: row for row in measure(model, enf, options.requests, options.rounds)}
    ratios = {throughput(name): rows[name]["throughput_ratio"] for name in (QUEUE, SHARED, ASYNC_QUEUE)}
    ratios[ASYNC_OVERHEAD] = max(0.0, rows[ALONE]["overhead_us"]) * 1e-6 / MOST_OVERHEAD
    columns = [column("contender"), *spread_columns(4), column("throughput_ratio", "throughput", 2)]
    columns += [column("overhead_us", "overhead us", 1)]
    return emit("queues", {"requests": (columns, list(rows.values()))}, ratios, options)


if __name__ == "__main__":
    sys.exit(main())
