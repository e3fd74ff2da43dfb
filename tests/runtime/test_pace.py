"""FURIOSA_SIM_PACE=realtime: a device is busy its modelled time, one execution after the other; workers overlap."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
from tests.runtime.test_queue import DATA, RESULTS, SINGLE, X, value

from furiosa.device.sync import get_device
from furiosa.runtime import devices, sync
from furiosa.runtime.modelled import ModelledProgram

MODELLED = 5_000_000  # ns of one execution, for these tests


class Clock:
    """A clock that only sleeping moves: each thread sees its own time, from the same start."""

    def __init__(self) -> None:
        self._local = threading.local()
        self.ends: list[int] = []

    def perf_counter_ns(self) -> int:
        return getattr(self._local, "now", 0)

    def sleep(self, seconds: float) -> None:
        self._local.now = self.perf_counter_ns() + round(seconds * 1e9)
        self.ends.append(self.perf_counter_ns())


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setenv("FURIOSA_SIM_PACE", "realtime")
    monkeypatch.setattr(devices, "time", clock)
    monkeypatch.setattr(ModelledProgram, "nanoseconds", lambda program, cycles: MODELLED)
    return clock


def test_a_device_executes_one_after_the_other(clock: Clock) -> None:
    with sync.create_queue(DATA, worker_num=3) as (submitter, receiver):
        for number in range(12):
            submitter.submit(value(number), number)
        for number, (y,) in (receiver.recv() for _ in range(12)):
            assert np.array_equal(y, RESULTS[number])
    assert sorted(clock.ends) == [MODELLED * (number + 1) for number in range(12)]


def test_devices_do_not_wait_for_each_other(clock: Clock) -> None:
    with sync.Runtime("warboy(1)*2") as runtime, runtime.create_runner(SINGLE, worker_num=2) as runner:
        for _ in range(6):
            thread = threading.Thread(target=runner.run, args=(X,))
            thread.start()
            thread.join()
    assert sorted(clock.ends) == [MODELLED * (number // 2 + 1) for number in range(6)]


def test_what_the_computer_does_meanwhile_does_not_occupy_the_device(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two workers are in the functional simulation at the same time: each waits there for the other."""
    both = threading.Barrier(2)
    with sync.create_queue(DATA, worker_num=2) as (submitter, receiver):
        machine = submitter._exchange.engine.executables[0]._machines[0]
        run = machine.run

        def together(*arguments: object) -> object:
            both.wait(30)
            return run(*arguments)

        monkeypatch.setattr(machine, "run", together)
        for _ in range(2):
            submitter.submit(X)
        for _ in range(2):
            receiver.recv()


def test_utilisation_is_the_modelled_share_of_the_time() -> None:
    device = get_device(0)
    before = dict(device.performance_counters())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FURIOSA_SIM_PACE", "realtime")
        patch.setattr(ModelledProgram, "nanoseconds", lambda program, cycles: cycles)
        with sync.create_runner(DATA) as runner:
            for _ in range(3):
                runner.run(X)
            (program,) = runner._engine.executables[0].modelled
    time.sleep(0.001)
    for file, counter in device.performance_counters():
        previous = before[file]
        elapsed = (counter.reading.time_ns - previous.reading.time_ns) * counter.clock_hz / 1e9
        share = counter.calculate_utilization(previous).npu_utilization()
        assert share == pytest.approx(min(1.0, 3 * program.timeline.cycles / elapsed))
