"""The asynchronous API: runs and queues from many tasks, cancellation, timeouts, and one event loop after another."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest
from tests.runtime.gate import Gate, eventually
from tests.runtime.test_queue import DATA, RESULTS, SINGLE, X, device_is_free, value

import furiosa.runtime as runtime
from furiosa.runtime import FuriosaRuntimeError, Receiver, Runner, Submitter


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    gate = Gate(monkeypatch)
    yield gate
    gate.open()


def in_loop(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """An asynchronous test."""

    def run(**fixtures: Any) -> None:
        asyncio.run(asyncio.wait_for(test(**fixtures), 60))

    run.__name__ = test.__name__
    return run if not test.__code__.co_argcount else (lambda gate: run(gate=gate))


@in_loop
async def test_runs_of_many_tasks() -> None:
    async with runtime.create_runner(DATA, worker_num=4) as runner:
        for _ in range(2):
            results = await asyncio.gather(*(runner.run(value(number)) for number in range(300)))
            assert all(np.array_equal(y, RESULTS[number % 100]) for number, (y,) in enumerate(results))
        for number in range(50):
            (y,) = await runner.run_with(["y"], {"x": value(number)})
            assert np.array_equal(y, RESULTS[number])


@in_loop
async def test_runs_in_a_row_leave_the_others_their_turns() -> None:
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async with runtime.create_runner(DATA) as runner:
        task = asyncio.create_task(other())
        for _ in range(100):
            await runner.run(X)
        task.cancel()
    assert turns >= 100


@in_loop
async def test_errors_of_runs(gate: Gate) -> None:
    gate.worst = 5
    async with runtime.create_runner(DATA) as runner:
        wrong: list[tuple[Any, type[Exception]]] = [
            ([X, X], ValueError), (X[0], ValueError), (X.astype(np.float16), TypeError), (None, TypeError),
            (value(6), FuriosaRuntimeError),
        ]  # fmt: skip
        for _ in range(3):
            for inputs, kind in wrong:
                with pytest.raises(kind):
                    await runner.run(inputs)
            assert len(await runner.run(X)) == 1
        for outputs, inputs in (("y", {"x": X}), (None, {"x": X})):
            with pytest.raises(TypeError):
                await runner.run_with(outputs, inputs)
        for names, tensors in ((["z"], {"x": X}), (["y"], {"z": X})):
            with pytest.raises(ValueError, match="`z`"):
                await runner.run_with(names, tensors)
        done = await asyncio.gather(*(runner.run(value(number)) for number in range(12)), return_exceptions=True)
    assert [isinstance(result, FuriosaRuntimeError) for result in done] == [number > 5 for number in range(12)]
    for use in (lambda: runner.run(X), lambda: runner.run_with(["y"], {"x": X})):
        with pytest.raises(FuriosaRuntimeError, match="closed"):
            await use()  # type: ignore[no-untyped-call]  # a lambda
    with pytest.raises(FuriosaRuntimeError, match="closed"):
        _ = runner.model


@in_loop
async def test_a_cancelled_run_is_not_begun(gate: Gate) -> None:
    gate.close()
    async with runtime.create_runner(DATA) as runner:
        first = asyncio.create_task(runner.run(X))
        await asyncio.to_thread(eventually, lambda: gate.entered == 1)
        others = [asyncio.create_task(runner.run(X)) for _ in range(10)]
        await asyncio.sleep(0)
        for task in others[::2]:
            task.cancel()
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(runner.run(X), 0.01)
        gate.open()
        results = await asyncio.gather(first, *others, return_exceptions=True)
    assert [isinstance(result, asyncio.CancelledError) for result in results] == [False] + [True, False] * 5
    assert gate.executed == 6


@in_loop
async def test_closing_a_runner_ends_what_runs_and_refuses_what_waits(gate: Gate) -> None:
    gate.close()
    runner = await runtime.create_runner(DATA)
    first = asyncio.create_task(runner.run(X))
    await asyncio.to_thread(eventually, lambda: gate.entered == 1)
    second = asyncio.create_task(runner.run(X))
    await asyncio.sleep(0)
    closing = asyncio.create_task(runner.close())
    with pytest.raises(FuriosaRuntimeError, match="closed"):
        await second
    assert not closing.done()
    gate.open()
    assert len(await first) == 1
    assert await closing
    assert await runner.close()
    assert device_is_free()


def test_a_runner_and_a_queue_survive_their_event_loop() -> None:
    async def create() -> tuple[Runner, Submitter, Receiver]:
        shared = runtime.Runtime("warboy(1)*2")
        submitter, receiver = await shared.create_queue(SINGLE)
        return await shared.create_runner(SINGLE), submitter, receiver

    async def use() -> None:
        results = await asyncio.gather(*(runner.run(value(number)) for number in range(20)))
        assert all(np.array_equal(y, RESULTS[number]) for number, (y,) in enumerate(results))
        receiving = asyncio.gather(*(receiver.recv() for _ in range(20)))
        for number in range(20):
            await submitter.submit(value(number), number)
        assert {number for number, _ in await receiving} == set(range(20))

    async def leave() -> None:
        for _ in range(20):
            asyncio.create_task(runner.run(X))  # noqa: RUF006  # their loop ends before they do
        await asyncio.sleep(0)

    runner, submitter, receiver = asyncio.run(create())
    for _ in range(3):
        asyncio.run(use())
        asyncio.run(leave())
    assert asyncio.run(runner.close())
    assert asyncio.run(receiver.close())


@asynccontextmanager
async def receiving(receiver: Receiver, into: list[Any]) -> AsyncIterator[None]:
    async def receive() -> None:
        async for number, (y,) in receiver:
            assert np.array_equal(y, RESULTS[number % 100])
            into.append(number)

    task = asyncio.create_task(receive())
    yield
    await task


@in_loop
async def test_a_queue_of_many_tasks() -> None:
    received: list[int] = []

    async def submit(first: int) -> None:
        for number in range(first, 2000, 1000):
            await submitter.submit([value(number)], context=number)

    async with (
        runtime.create_queue(DATA, worker_num=4, input_queue_size=10) as (submitter, receiver),
        receiving(receiver, received),
    ):
        await asyncio.gather(*(submit(first) for first in range(1000)))
        assert await submitter.close()
    assert sorted(received) == list(range(2000))


@in_loop
async def test_every_task_gets_one_result() -> None:
    async def exchange(number: int) -> Any:
        await submitter.submit(value(number), number)
        context, (y,) = await receiver.recv()
        assert np.array_equal(y, RESULTS[context % 100])
        return context

    async with runtime.create_queue(model=DATA, worker_num=2, output_queue_size=5) as (submitter, receiver):
        contexts = await asyncio.gather(*(exchange(number) for number in range(500)))
    assert sorted(contexts) == list(range(500))


@in_loop
async def test_a_result_given_to_a_task_that_is_cancelled_goes_to_the_next() -> None:
    async with runtime.create_queue(DATA, worker_num=1) as (submitter, receiver):
        first, second = (asyncio.create_task(receiver.recv()) for _ in range(2))
        await asyncio.sleep(0)  # both wait, the first at the front
        for number in range(3):
            await submitter.submit(value(number), number)
        time.sleep(0.1)  # all are executed and given while this loop stands still
        first.cancel()
        contexts = [(await second)[0], (await receiver.recv())[0], (await receiver.recv())[0]]
        assert first.cancelled()
        assert sorted(contexts) == [0, 1, 2]


@in_loop
async def test_timeouts_and_cancellation_lose_no_result(gate: Gate) -> None:
    async with runtime.create_queue(DATA) as (submitter, receiver):
        gate.close()
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(receiver.recv(), 0.01)
        waiting = [asyncio.create_task(receiver.recv()) for _ in range(20)]
        await asyncio.sleep(0)
        for number in range(10):
            await submitter.submit(X, number)
        gate.open()
        for task in waiting[::2]:
            await asyncio.sleep(0.001)
            task.cancel()
        for number in range(10, 20):  # enough for all who still wait
            await submitter.submit(X, number)
        results = await asyncio.gather(*waiting, return_exceptions=True)
        received = [result[0] for result in results if isinstance(result, tuple)]
        while len(received) < 20:
            received.append((await receiver.recv())[0])
        assert sorted(received) == list(range(20))


@in_loop
async def test_a_full_queue_suspends_the_task_that_submits(gate: Gate) -> None:
    gate.close()
    accepted = 0

    async def submit() -> None:
        nonlocal accepted
        for number in range(8):
            await submitter.submit(X, number)
            accepted += 1

    options = {"worker_num": 1, "input_queue_size": 2, "output_queue_size": 1}
    async with runtime.create_queue(DATA, **options) as (submitter, receiver):
        task = asyncio.create_task(submit())
        await asyncio.to_thread(eventually, lambda: gate.entered == 1)
        await asyncio.sleep(0.05)
        assert accepted == 3
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(submitter.submit(X, "not wanted any more"), 0.01)
        gate.open()
        assert [(await receiver.recv())[0] for _ in range(8)] == list(range(8))
        await task


@in_loop
async def test_a_submission_that_is_cancelled_is_taken_back() -> None:
    options = {"worker_num": 1, "input_queue_size": 1, "output_queue_size": 1}
    for room in (1, 2):  # the request comes into the line, or is executed, while this loop stands still
        async with runtime.create_queue(DATA, **options) as (submitter, receiver):
            for number in range(3):  # two results fill the output queue and the worker's hand, one request waits
                await submitter.submit(X, number)
            task = asyncio.create_task(submitter.submit(X, "not wanted any more"))
            await asyncio.sleep(0.05)
            assert not task.done()
            received = [(await receiver.recv())[0] for _ in range(room)]
            time.sleep(0.1)
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled()
            await submitter.submit(X, 3)
            received += [(await receiver.recv())[0] for _ in range(4 - room)]
            assert received == [0, 1, 2, 3]


@in_loop
async def test_ends_of_a_queue(gate: Gate) -> None:
    submitter, receiver = await runtime.create_queue(DATA)
    async with submitter:
        await submitter.submit(submitter.allocate())
    async with receiver:
        assert receiver.model.output_num == 1
        context, (y,) = await receiver.recv()
        assert context is None
        assert np.array_equal(y, RESULTS[0])
        with pytest.raises(FuriosaRuntimeError, match="no more results"):
            await receiver.recv()
        assert [item async for item in receiver] == []
    for use in (lambda: submitter.submit(X), receiver.recv):
        with pytest.raises(FuriosaRuntimeError, match="closed"):
            await use()
    gate.close()
    submitter, receiver = await runtime.create_queue(DATA, worker_num=1, input_queue_size=1)
    for _ in range(2):
        await submitter.submit(X)
        await asyncio.to_thread(eventually, lambda: gate.entered == 2)
    waiting = [asyncio.create_task(use) for use in (submitter.submit(X), receiver.recv())]
    await asyncio.sleep(0)
    closing = asyncio.create_task(receiver.close())
    for error in await asyncio.gather(*waiting, return_exceptions=True):
        assert isinstance(error, FuriosaRuntimeError)
    gate.open()
    assert await closing
    assert device_is_free()


@in_loop
async def test_a_failure_goes_to_the_request_that_caused_it(gate: Gate) -> None:
    gate.worst = 3
    async with runtime.create_queue(DATA) as (submitter, receiver):
        for number in range(6):
            await submitter.submit(value(number), number)
        for number in range(6):
            if number <= 3:
                assert (await receiver.recv())[0] == number
            else:
                with pytest.raises(FuriosaRuntimeError, match="does not please") as caught:
                    await receiver.recv()
                assert caught.value.context == number


@in_loop
async def test_failed_creations() -> None:
    for create in (runtime.create_runner, runtime.create_queue):
        with pytest.raises(FuriosaRuntimeError):
            await create("absent.enf")
        with pytest.raises(FuriosaRuntimeError, match="worker_num"):
            async with create(DATA, worker_num=0):
                pass
    with pytest.raises(FuriosaRuntimeError, match="output_queue_size"):
        await runtime.create_queue(DATA, output_queue_size=0)
    async with runtime.Runtime() as shared:
        with pytest.raises(FuriosaRuntimeError, match="cannot be served now"):
            await runtime.create_runner(DATA)
        runner = await shared.create_runner(DATA)
    for use in (lambda: runner.run(X), lambda: shared.create_runner(DATA), lambda: shared.create_queue(DATA)):
        with pytest.raises(FuriosaRuntimeError):
            await use()
    assert device_is_free()
