"""Queues: every result once, with its own context and value; bounds, order, ends and errors."""

from __future__ import annotations

import contextlib
import gc
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.runtime.gate import Gate, eventually, lastingly
from tests.runtime.tiny_models import SHAPE, cpu_model, npu_model, npu_reference

from furiosa.isa import enf
from furiosa.runtime import FuriosaRuntimeError, FuriosaRuntimeWarning, sync
from furiosa.runtime.engine import Engine

DATA = enf.dump(npu_model())
SINGLE = enf.dump(npu_model("warboy"))
X = np.zeros(SHAPE, np.float32)


def value(number: int) -> Any:
    """An input that tells its number."""
    return np.full(SHAPE, number % 100, np.float32)


RESULTS = [npu_reference(value(number)) for number in range(100)]


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    gate = Gate(monkeypatch)
    yield gate
    gate.open()


def device_is_free() -> bool:
    try:
        return sync.Runtime().close()
    except FuriosaRuntimeError:
        return False


@pytest.mark.parametrize(
    ("submitters", "receivers", "options"),
    [
        (1, 1, {}),
        (1, 1, {"worker_num": 1, "input_queue_size": 1, "output_queue_size": 1}),
        (3, 1, {"worker_num": 4, "input_queue_size": 3, "output_queue_size": 2}),
        (16, 4, {"worker_num": 4}),
        (4, 16, {"worker_num": 2, "input_queue_size": 100, "output_queue_size": 100}),
    ],
)
def test_every_result_once(submitters: int, receivers: int, options: dict[str, int]) -> None:
    count = 800
    received: list[Any] = []

    def submit(first: int) -> None:
        for number in range(first, count, submitters):
            submitter.submit([value(number)], number)

    def receive() -> None:
        for number, (y,) in receiver:
            assert np.array_equal(y, RESULTS[number % 100])
            received.append(number)

    with sync.create_queue(DATA, **options) as (submitter, receiver):
        sending = [threading.Thread(target=submit, args=(first,)) for first in range(submitters)]
        receiving = [threading.Thread(target=receive) for _ in range(receivers)]
        for thread in (*sending, *receiving):
            thread.start()
        for thread in sending:
            thread.join()
        assert submitter.close()
        for thread in receiving:
            thread.join()
    assert sorted(received) == list(range(count))


def test_results_come_in_the_order_of_submission() -> None:
    with sync.create_queue(SINGLE, device="warboy(1)*2", worker_num=5) as (submitter, receiver):
        for number in range(500):
            submitter.submit(value(number), context=number)
        submitter.close()
        assert [number for number, _ in receiver] == list(range(500))


def test_full_queues_stop_the_submitter(gate: Gate) -> None:
    accepted: list[Any] = []

    def submit() -> None:
        for number in range(7):
            submitter.submit(X, number)
            accepted.append(number)

    gate.close()
    options = {"worker_num": 1, "input_queue_size": 2, "output_queue_size": 1}
    with sync.create_queue(DATA, **options) as (submitter, receiver):
        thread = threading.Thread(target=submit)
        thread.start()
        eventually(lambda: len(accepted) == 3)  # one is being executed, two wait
        lastingly(lambda: len(accepted) == 3)
        gate.open()
        eventually(lambda: len(accepted) == 4)  # one fits into the output queue, the worker holds one, two wait
        lastingly(lambda: len(accepted) == 4)
        assert gate.executed == 2
        assert receiver.recv()[0] == 0
        eventually(lambda: len(accepted) == 5)
        lastingly(lambda: len(accepted) == 5)
        assert [receiver.recv()[0] for _ in range(6)] == [1, 2, 3, 4, 5, 6]
        thread.join()


def test_many_submitters_fill_a_queue_to_its_size_and_no_further(gate: Gate) -> None:
    accepted: list[Any] = []

    def submit(number: int) -> None:
        submitter.submit(value(number), number)
        accepted.append(number)

    gate.close()
    with sync.create_queue(DATA, worker_num=1, input_queue_size=5) as (submitter, receiver):
        threads = [threading.Thread(target=submit, args=(number,)) for number in range(16)]
        for thread in threads:
            thread.start()
        eventually(lambda: len(accepted) == 6)  # one is being executed
        lastingly(lambda: len(accepted) == 6)
        gate.open()
        received = [receiver.recv() for _ in threads]
        for thread in threads:
            thread.join()
    assert sorted(number for number, _ in received) == list(range(16))
    assert all(np.array_equal(y, RESULTS[number]) for number, (y,) in received)


def test_what_was_accepted_before_the_end_is_received() -> None:
    """Submitters that race with ``close``: each request is either refused or received."""

    def submit(accepted: list[int], number: int) -> None:
        with contextlib.suppress(FuriosaRuntimeError):
            while True:
                submitter.submit(X, number)
                accepted.append(number)

    with sync.Runtime() as runtime:
        for size in (1, 3, 1000) * 4:
            submitter, receiver = runtime.create_queue(DATA, worker_num=2, input_queue_size=size)
            accepted: list[list[int]] = [[] for _ in range(4)]
            threads = [threading.Thread(target=submit, args=each) for each in zip(accepted, range(4))]
            for thread in threads:
                thread.start()
            received = [receiver.recv()[0] for _ in range(5)]
            submitter.close()
            received += [number for number, _ in receiver]
            for thread in threads:
                thread.join()
            assert [received.count(number) for number in range(4)] == [len(each) for each in accepted]


def test_timeouts_are_in_seconds_and_lose_nothing(gate: Gate) -> None:
    with sync.create_queue(DATA) as (submitter, receiver):
        for timeout in (0, 0.01):
            with pytest.raises(TimeoutError):
                receiver.recv(timeout)
        gate.close()
        submitter.submit(X, "late")
        with pytest.raises(TimeoutError):
            receiver.recv(timeout=0.01)
        gate.open()
        assert receiver.recv(timeout=1e9)[0] == "late"


def test_the_submitter_may_be_closed_first() -> None:
    submitter, receiver = sync.create_queue(DATA)
    for number in range(3):
        submitter.submit(X, number)
    assert submitter.close()
    assert submitter.close()
    for use in (lambda: submitter.submit(X), lambda: submitter.model, submitter.allocate):
        with pytest.raises(FuriosaRuntimeError, match="closed"):
            use()
    assert receiver.model.input_num == 1
    assert [number for number, _ in receiver] == [0, 1, 2]
    assert list(receiver) == []
    for timeout in (None, 0, 0.1):
        with pytest.raises(FuriosaRuntimeError, match="no more results"):
            receiver.recv(timeout)
    eventually(device_is_free)
    assert receiver.close()
    with pytest.raises(FuriosaRuntimeError, match="receiver is closed"):
        receiver.recv()


def test_the_receiver_may_be_closed_first() -> None:
    submitter, receiver = sync.create_queue(DATA)
    submitter.submit(X)
    assert receiver.close()
    assert receiver.close()
    for use in (lambda: submitter.submit(X), receiver.recv, lambda: receiver.model):
        with pytest.raises(FuriosaRuntimeError, match="closed"):
            use()
    assert list(receiver) == []
    assert submitter.close()
    assert device_is_free()


def test_closing_wakes_all_who_wait_and_drops_what_waits(gate: Gate) -> None:
    gate.close()
    submitter, receiver = sync.create_queue(DATA, worker_num=1, input_queue_size=1)
    errors: list[BaseException] = []

    def use(action: Any) -> None:
        try:
            while True:
                action()
        except FuriosaRuntimeError as error:
            errors.append(error)

    users = [threading.Thread(target=use, args=(action,)) for action in (lambda: submitter.submit(X), receiver.recv)]
    for user in users:
        user.start()
    eventually(lambda: gate.entered == 1)
    closing = threading.Thread(target=receiver.close)
    closing.start()
    for user in users:
        user.join()
    assert len(errors) == 2
    assert not device_is_free()  # the running one is waited for
    gate.open()
    closing.join()
    assert gate.executed == 1
    assert device_is_free()


def test_a_failure_goes_to_the_request_that_caused_it(gate: Gate) -> None:
    with sync.create_queue(DATA) as (submitter, receiver):
        submitter.submit(X)
        receiver.recv()  # from here on the worker knows that several fit into one go
        gate.close()
        submitter.submit(X, "first")
        eventually(lambda: gate.entered == 2)
        for number in range(20):
            submitter.submit(value(number), number)
        gate.worst = 12
        gate.open()
        assert receiver.recv()[0] == "first"
        for number in range(20):
            if number <= 12:
                assert receiver.recv()[0] == number
            else:
                with pytest.raises(FuriosaRuntimeError, match="does not please") as caught:
                    receiver.recv()
                assert caught.value.context == number


def test_wrong_inputs_are_refused_at_once() -> None:
    with sync.create_queue(DATA) as (submitter, receiver):
        for inputs, kind in (([X, X], ValueError), (X[0], ValueError), (X.astype(np.int8), TypeError)):
            with pytest.raises(kind):
                submitter.submit(inputs)
        submitter.submit(submitter.allocate(), (1, "any", {"object": None}))
        context, (y,) = next(receiver)
        assert context == (1, "any", {"object": None})
        assert np.array_equal(y, RESULTS[0])


def test_models_with_cpu_clusters_have_queues_too() -> None:
    with sync.create_queue(enf.dump(cpu_model()), worker_num=3) as (submitter, receiver):
        for number in range(50):
            submitter.submit([np.full(3, number, np.float32), np.ones(3, np.float32)], number)
        for number, (total, same) in (receiver.recv() for _ in range(50)):
            assert total.tolist() == [number + 1] * 3
            assert same.tolist() == [number] * 3


def test_forms_of_creation() -> None:
    with sync.create_queue(DATA) as (submitter, receiver), submitter, receiver:
        submitter.submit(X)
        assert len(receiver.recv()) == 2
    with sync.Runtime() as runtime:
        with runtime.create_queue(model=DATA, batch_size=1, compiler_config=None) as (submitter, receiver):
            submitter.submit(X)
            receiver.recv()
        submitter, receiver = runtime.create_queue(DATA)
        runner = runtime.create_runner(DATA)
    for use in (lambda: submitter.submit(X), receiver.recv, lambda: runner.run(X), lambda: runtime.create_queue(DATA)):
        with pytest.raises(FuriosaRuntimeError):
            use()
    assert device_is_free()


def test_wrong_sizes_leave_the_device_free() -> None:
    for name in ("worker_num", "input_queue_size", "output_queue_size", "batch_size"):
        for size in (0, -1, 2**31, 1.5, "2"):
            options: dict[str, Any] = {name: size}
            with pytest.raises(FuriosaRuntimeError, match=name):
                sync.create_queue(DATA, **options)
    assert device_is_free()


def test_forgotten_ends_are_closed() -> None:
    submitter, receiver = sync.create_queue(DATA)
    submitter.submit(X, 1)
    del submitter
    gc.collect()
    assert [number for number, _ in receiver] == [1]
    submitter, receiver = sync.create_queue(DATA)
    submitter.submit(X)
    del receiver
    gc.collect()
    eventually(device_is_free)
    with pytest.raises(FuriosaRuntimeError):
        submitter.submit(X)


def test_who_closes_too_early_is_warned(monkeypatch: pytest.MonkeyPatch) -> None:
    runner = sync.create_runner(DATA)
    real = Engine.close
    monkeypatch.setattr(Engine, "close", lambda engine: real(engine) and False)
    with pytest.warns(FuriosaRuntimeWarning, match="still running"), runner:
        pass


def test_closing_takes_no_longer_than_it_may(gate: Gate) -> None:
    gate.close()
    runtime = sync.Runtime()
    submitter, _ = runtime.create_queue(DATA)
    submitter.submit(X)
    eventually(lambda: gate.entered == 1)
    engine = Engine(DATA, runtime.devices)
    assert engine.close(timeout=0)
    assert not runtime.devices.close(timeout=0.01)
    gate.open()


def test_many_sessions_in_one_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host = tmp_path / "host.yaml"
    host.write_text(f"cards: [{', '.join(['{}'] * 8)}]\n")
    monkeypatch.setenv("FURIOSA_SIM_CONFIG", str(host))
    queues = [sync.create_queue(SINGLE, device="warboy(1)*1", worker_num=2) for _ in range(16)]
    for round in range(5):
        for index, (submitter, _) in enumerate(queues):
            submitter.submit(value(index), (index, round))
    for index, (_, receiver) in enumerate(queues):
        for round in range(5):
            context, (y,) = receiver.recv()
            assert context == (index, round)
            assert np.array_equal(y, RESULTS[index])
    with pytest.raises(FuriosaRuntimeError, match="cannot be served"):
        sync.create_runner(SINGLE, device="warboy(1)*1")
    for queue in queues:
        assert queue.close()
