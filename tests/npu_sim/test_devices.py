"""Devices: exclusive in every way that two users can meet, freed by every end, and listed as they are."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.npu_sim.simulated_host import isolate, opened, users

from furiosa.isa.errors import DeviceError
from furiosa.npu_sim.devices import cards, occupants, open_devices, read_counters
from furiosa.npu_sim.devices.lock import lock_file
from furiosa.npu_sim.devices.usage import Occupant

# The alarm ends a script, and each of its forks, that waits for what never comes.
PRELUDE = """
import os, signal, sys, time
from furiosa.npu_sim.devices import *
signal.alarm(60)
os.register_at_fork(after_in_child=lambda: signal.alarm(60))
"""


@pytest.fixture(autouse=True)
def state_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    isolate(tmp_path / "state", monkeypatch)
    return tmp_path / "state"


def script(text: str) -> subprocess.Popen[str]:
    program = PRELUDE + textwrap.dedent(text)
    return subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@contextmanager
def other_process(spec: str) -> Iterator[subprocess.Popen[str]]:
    """Another process that has opened ``spec``, until its stdin is closed or it is killed."""
    with script(f"devices = open_devices({spec!r})\nprint('open', flush=True)\nsys.stdin.read()") as process:
        try:
            assert line(process) == "open"
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("first", ["npu0", "npu0pe0", "npu0pe1", "npu0pe0-1"])
def test_devices_that_share_a_pe_exclude_each_other(first: str) -> None:
    free = {"npu0pe0": "npu0pe1", "npu0pe1": "npu0pe0"}.get(first)
    with open_devices(first)[0] as device:
        assert device.target == ("warboy" if first in ("npu0pe0", "npu0pe1") else "warboy-2pe")
        within = {file.name for file in cards()[0].files if opened(file.name) != DeviceError}
        with script(
            """
            for file in cards()[0].files:
                try:
                    open_devices(file.name)[0].close()
                    print(file.name)
                except Exception as error:
                    assert type(error).__name__ == "DeviceBusyError"
            """
        ) as process:
            elsewhere = set(process.communicate()[0].split())
    assert within == elsewhere == ({free} if free else set())
    assert opened("npu0pe0-1") == ["npu0pe0-1"]


def test_two_single_pes_of_one_process_are_not_a_fused_device() -> None:
    devices = open_devices("npu0pe0,npu0pe1")
    with script("print([user.file.name for user in occupants(cards()).values()])") as process:
        assert process.communicate()[0].strip() == "['npu0pe0', 'npu0pe1']"
    for device in devices:
        device.close()


def test_the_error_for_a_busy_device_names_its_user() -> None:
    with other_process("npu0pe0") as process, pytest.raises(DeviceError) as caught:
        open_devices("npu0pe0-1")
    message = caught.value.message
    assert message.startswith(f"device `npu0pe0-1` is in use: process {process.pid} (`{sys.executable} -c ")
    assert message.endswith("has opened `npu0pe0`")
    assert "furiosactl ps" in (caught.value.hint or "")


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, None])
def test_the_end_of_a_process_frees_its_device_however_it_ends(end: signal.Signals | None) -> None:
    with other_process("warboy(2)*1") as process:
        assert users() == {(0, pe): ("npu0pe0-1", process.pid) for pe in (0, 1)}
        assert opened("npu0pe0") is DeviceError
        if end is None:
            assert process.stdin is not None
            process.stdin.close()
        else:
            process.send_signal(end)
        process.wait()
        assert users() == {}
        assert opened("warboy(2)*1") == ["npu0pe0-1"]


def test_a_forked_child_neither_owns_nor_keeps_its_parents_device() -> None:
    parent = script(
        """
        from furiosa.isa.errors import DeviceError
        device = open_devices("npu0pe0")[0]
        if os.fork() == 0:
            try:
                device.charge(1, 1, 1)
            except DeviceError:
                print("not mine")
            device.close()
            try:
                open_devices("npu0pe0")
            except DeviceError:
                print("busy")
            print(os.getppid() == occupants(cards())[0, 0].pid, flush=True)
            while "npu0pe0" in sys.stdin.readline():
                device.close()
                print(open_devices("npu0pe0")[0].name, device.close(), flush=True)
            sys.exit()
        device.charge(5, 1, 1)
        os.wait()
        """
    )
    with parent:
        assert [line(parent) for _ in range(3)] == ["not mine", "busy", "True"]
        assert users() == {(0, 0): ("npu0pe0", parent.pid)}
        parent.kill()
        parent.wait()
        assert users() == {}
        assert parent.stdin is not None
        print("open npu0pe0", file=parent.stdin, flush=True)
        assert line(parent) == "npu0pe0 None"
        # The copy of the parent's OpenDevice must not free what the child has opened itself.
        assert [name for name, _ in users().values()] == ["npu0pe0"]
        parent.stdin.close()


def test_of_many_competing_processes_each_pe_has_one_user_at_a_time(tmp_path: Path) -> None:
    race = script(
        f"""
        from furiosa.isa.errors import DeviceError
        def compete():
            won = 0
            for _ in range(150):
                try:
                    device = open_devices("warboy(1)*1")[0]
                except DeviceError as error:
                    assert "cannot be served now" in error.message, error
                    continue
                path = os.path.join({str(tmp_path)!r}, device.name)
                os.close(os.open(path, os.O_CREAT | os.O_EXCL))  # fails when two are in here
                device.charge(2, 1, 1)
                time.sleep(0.0005)
                os.unlink(path)
                device.close()
                won += 1
            return won
        start = time.monotonic()
        pids = []
        for _ in range(6):
            if (pid := os.fork()) == 0:
                try:
                    os._exit(0 if compete() else 1)
                finally:
                    os._exit(2)
            pids.append(pid)
        print([os.waitpid(pid, 0)[1] for pid in pids], flush=True)
        """
    )
    seen = set()
    with race:
        while race.poll() is None:
            seen.add(len(users()))
        assert race.communicate()[0].strip() == "[0, 0, 0, 0, 0, 0]"
    assert max(seen) <= 2
    assert users() == {}
    counted = [read_counters(file) for file in cards()[0].files if len(file.pes) == 1]
    assert all(c.task_cycles == 2 * c.executions for c in counted)
    assert sum(c.executions for c in counted) > 0


def test_of_two_that_want_both_pes_one_always_gets_them() -> None:
    """Allocation is one step: they never take one PE each and both fail."""
    pair = script(
        """
        import threading
        from furiosa.isa.errors import DeviceError
        ours, theirs = os.pipe(), os.pipe()
        child = os.fork()
        read, write = (ours[0], theirs[1]) if child else (theirs[0], ours[1])
        def meet():
            os.write(write, b"x"); os.read(read, 1)
        wins = []
        for _ in range(200):
            meet()
            try:
                devices = open_devices("warboy(1)*2")
            except DeviceError:
                devices = []
            wins.append(len(devices))
            meet()
            [device.close() for device in devices]
            meet()
        if child == 0:
            os.write(write, bytes(wins)); os._exit(0)
        print({mine + other for mine, other in zip(wins, os.read(read, 1000))})
        """
    )
    out, error = pair.communicate()
    assert out.strip() == "{2}", error


def test_asking_who_uses_a_device_never_makes_an_open_fail() -> None:
    watch = script("print('up', flush=True)\nwhile True: occupants(cards())")
    with watch:
        assert line(watch) == "up"
        outcomes = [opened("warboy(2)*1") for _ in range(300)]
        watch.kill()
    assert outcomes == [["npu0pe0-1"]] * 300


def test_asking_within_the_owner_does_not_free_its_device() -> None:
    """Closing any descriptor of the lock file would drop the locks of the process."""
    with open_devices("npu0pe0")[0]:
        occupants(cards())
        assert opened("npu0pe0") is DeviceError
        assert opened("npu0pe1") == ["npu0pe1"]
        with script("print(list(occupants(cards())))") as process:
            assert process.communicate()[0].strip() == "[(0, 0)]"


def test_spans_of_a_lock_file_exclude_each_other_within_a_process(tmp_path: Path) -> None:
    lock = lock_file(tmp_path / "lock")
    with lock.allocation():
        hold = lock.take((8, 3))
        for overlapping in ((8, 1), (10, 1), (8, 4), (8, 3)):
            with pytest.raises(BlockingIOError):
                lock.take(overlapping)
        lock.release(hold)
        again = lock.take((8, 1))
        lock.release(hold)
        assert lock.owns(again)
        lock.release(again)


def test_threads_of_a_process_compete_like_processes() -> None:
    inside, errors = [0, 0], []

    def compete() -> None:
        for _ in range(100):
            try:
                device = open_devices("warboy(1)*1")[0]
            except DeviceError:
                continue
            pe = device.file.pes[0]
            inside[pe] += 1
            if inside[pe] != 1:
                errors.append(device.name)
            inside[pe] -= 1
            device.close()

    threads = [threading.Thread(target=compete) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert users() == {}


def test_counters_grow_across_users_and_count_every_pe_of_the_device() -> None:
    both, single = cards()[0].files[3], cards()[0].files[1]
    assert read_counters(single).executions == 0
    with open_devices("npu0pe0-1")[0] as device:
        device.charge(100, 60, 40)
        device.charge(100, 60, 40)
    with open_devices("npu0pe0")[0] as device:
        device.charge(1, 1, 0)
    last = read_counters(single)
    assert (last.executions, last.task_cycles, last.compute_cycles, last.io_cycles) == (3, 201, 121, 80)
    assert read_counters(both).time_ns > last.time_ns
    assert read_counters(cards()[0].files[2]).executions == 2
    device.close()
    with pytest.raises(DeviceError, match="`npu0pe0` is not open"):
        device.charge(1, 1, 0)


@pytest.mark.parametrize(
    "content",
    [b"", b"text", b"\xff" * 4096, b"\0" * 5000, b"NPUCNT01" + b"\7" * 4088, b"NPUCNT02" + b"\xff" * 4088],
)
def test_a_damaged_counter_page_counts_from_zero(content: bytes, state_folder: Path) -> None:
    state_folder.mkdir()
    (state_folder / "npu0pe0.counters").write_bytes(content)
    assert read_counters(cards()[0].files[1]).executions == 0
    with open_devices("npu0pe0")[0] as device:
        device.charge(7, 4, 3)
        assert read_counters(device.file).task_cycles == 7


def test_counts_are_whole_whenever_the_writer_is_killed(state_folder: Path) -> None:
    """The page after each single store of a word: what a process that was killed then leaves."""
    from furiosa.npu_sim.devices import counters

    state_folder.mkdir()
    path = state_folder / "npu0pe0.counters"
    page = counters.CounterPage(path)
    seen: list[tuple[int, ...]] = []

    class Words:
        """The mapped words; after each store the page is read as others read it."""

        def __init__(self, words: memoryview) -> None:
            self._words = words

        def __setitem__(self, index: int, value: int) -> None:
            self._words[index] = value
            found = counters.read(path)
            seen.append((found.executions, found.task_cycles, found.compute_cycles, found.io_cycles))

        def release(self) -> None:
            self._words.release()

    page._words = Words(page._words)  # type: ignore[assignment]  # stops between stores
    for _ in range(3):
        page.add(100, 60, 40)
    page.close()
    assert [entry for index, entry in enumerate(seen) if entry not in seen[:index]] == [
        (n, 100 * n, 60 * n, 40 * n) for n in range(4)
    ]
    again = counters.CounterPage(path)
    again.add(1, 1, 0)
    again.close()
    assert counters.read(path).task_cycles == 301


def test_asking_creates_nothing(state_folder: Path) -> None:
    assert users() == {}
    assert read_counters(cards()[0].files[1]).task_cycles == 0
    assert not state_folder.exists()


def test_a_holder_is_named_in_one_line() -> None:
    file = cards()[0].files[0]
    said = str(Occupant(file, 7, "python -c import time\ntime.sleep(9)" + " # long" * 30))
    assert said.startswith("process 7 (`python -c import time time.sleep(9) # long")
    assert said.endswith(f"...`) has opened `{file.name}`")
    assert "\n" not in said
