"""Sessions and processes: forks do not own what their parents opened, children of their own may be many, exits are
clean with sessions open and requests in flight.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.runtime.tiny_models import SHAPE, npu_model

from furiosa.isa import enf

PRELUDE = f"""
import asyncio, gc, multiprocessing, os, sys, threading, time
import numpy as np
import furiosa.runtime as runtime
from furiosa.runtime import FuriosaRuntimeError, sync
X = np.zeros({SHAPE}, np.float32)
FUSED, SINGLE = "fused.enf", "single.enf"
async def wait(awaitable):
    return await awaitable
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FURIOSA_LOG_LEVEL", "WARN")
    Path("fused.enf").write_bytes(enf.dump(npu_model()))
    Path("single.enf").write_bytes(enf.dump(npu_model("warboy")))


def run(script: str) -> str:
    """What a program prints; fails when it fails, writes to standard error or does not end."""
    Path("program.py").write_text(PRELUDE + script)
    words = [sys.executable, "-W", "ignore::DeprecationWarning", "program.py"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_a_fork_does_not_own_the_devices_of_its_parent() -> None:
    assert run("""
parent = sync.Runtime("npu0pe0")
runner = parent.create_runner(SINGLE)
submitter, receiver = parent.create_queue(SINGLE)
waiting = threading.Thread(target=receiver.recv)  # holds on to the queue while this process forks
waiting.start()
loop_runner = asyncio.run(wait(runtime.create_runner(SINGLE, device="npu0pe1")))
asyncio.run(loop_runner.run(X))
runner.run(X)
def refused(use):
    try:
        use()
    except FuriosaRuntimeError as error:
        return "belongs to process" in str(error)
child = os.fork()
if child == 0:
    uses = [lambda: runner.run(X), lambda: submitter.submit(X), receiver.recv, lambda: parent.create_runner(SINGLE),
            lambda: asyncio.run(loop_runner.run(X)), lambda: sync.create_runner(SINGLE, device="npu0pe0")]
    print([refused(use) for use in uses[:-1]], flush=True)
    try:
        uses[-1]()
    except FuriosaRuntimeError as error:
        print("has opened `npu0pe0`" in str(error), flush=True)
    closed = [runner.close(), submitter.close(), receiver.close(), asyncio.run(loop_runner.close()), parent.close()]
    print(closed, flush=True)
    sys.exit()
assert os.waitpid(child, 0)[1] == 0
submitter.submit(X)
waiting.join()
assert runner.run(X) and asyncio.run(loop_runner.run(X))
assert parent.close() and asyncio.run(loop_runner.close())
print("the parent goes on")
""").splitlines() == [str([True] * 5), "True", str([True] * 5), "the parent goes on"]  # fmt: skip


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_children_with_devices_of_their_own(method: str) -> None:
    assert run(f"""
def work(device, results):
    with sync.create_queue(SINGLE, device=device, worker_num=2) as (submitter, receiver):
        for number in range(20):
            submitter.submit(X, number)
        results.put((device, [number for number, _ in (receiver.recv() for _ in range(20))]))
if __name__ == "__main__":
    context = multiprocessing.get_context("{method}")
    results = context.Queue()
    with sync.create_runner(FUSED) as runner:
        runner.run(X)
    children = [context.Process(target=work, args=(device, results)) for device in ("npu0pe0", "npu0pe1")]
    for child in children:
        child.start()
    print(sorted(results.get() for _ in children) == [(f"npu0pe{{pe}}", list(range(20))) for pe in (0, 1)])
    for child in children:
        child.join()
        print(child.exitcode)
""").split() == ["True", "0", "0"]


def test_a_process_that_is_killed_leaves_nothing_locked_or_torn() -> None:
    assert (
        run("""
import random, signal
from furiosa.npu_sim.devices import cards, occupants, open_devices, read_counters
generator = random.Random(0)
files = {file.name: file for file in cards()[0].files}
with sync.create_runner(SINGLE, device="npu0pe0") as runner:
    runner.run(X)
cycles = read_counters(files["npu0pe0"]).task_cycles
last = {"npu0pe0": 1, "npu0pe1": 0}
for round in range(40):
    ready, started = os.pipe()
    child = os.fork()
    if child == 0:
        if round % 2:  # else it is killed when it is at work
            os.write(started, b"x")
        while True:
            with sync.create_queue(SINGLE, device="warboy(1)*2", worker_num=4) as (submitter, receiver):
                for number in range(30):
                    submitter.submit(X, number)
                for number in range(20):
                    receiver.recv()
                    os.write(started, b"x")
    os.read(ready, 1)
    os.close(ready), os.close(started)
    time.sleep(generator.random() * 0.02)
    os.kill(child, signal.SIGKILL)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
    assert occupants(cards()) == {}
    open_devices("npu0pe0-1")[0].close()
    for name in last:
        found = read_counters(files[name])
        assert found.executions >= last[name] and found.task_cycles == cycles * found.executions
        last[name] = found.executions
print(sum(last.values()) > 1)
""")
        == "True\n"
    )


def test_of_many_who_race_for_a_card_one_wins() -> None:
    assert (
        run("""
results, starts, ends = os.pipe(), [os.pipe() for _ in range(20)], [os.pipe() for _ in range(20)]
for start, end in zip(starts, ends):
    if os.fork() == 0:
        for round in range(3):
            os.read(start[0], 1)
            try:
                runner = sync.create_runner(FUSED)
                os.write(results[1], b"w")
            except FuriosaRuntimeError as error:
                runner = None
                os.write(results[1], b"b" if "cannot be served now" in str(error) else b"?")
            os.read(end[0], 1)
            if runner:
                runner.close()
            os.write(results[1], b".")
        os._exit(0)
for round in range(3):
    for pipes in (starts, ends):
        for pipe in pipes:
            os.write(pipe[1], b"x")
        answers = b"".join(os.read(results[0], 1) for _ in starts)
        print(answers.count(b"w"), answers.count(b"b"), answers.count(b"."))
for _ in starts:
    os.wait()
""").splitlines()
        == ["1 19 0", "0 0 20"] * 3
    )


def test_exits_with_open_sessions_and_requests_in_flight() -> None:
    for script in (
        "runner = sync.create_runner(FUSED); runner.run(X)",
        "submitter, receiver = sync.create_queue(FUSED, worker_num=4)\nfor i in range(500): submitter.submit(X)",
        "queue = sync.create_queue(FUSED, output_queue_size=1)\nfor i in range(3): queue[0].submit(X)",
        "runner = asyncio.run(wait(runtime.create_runner(FUSED))); asyncio.run(runner.run(X))",
        """
async def main():
    runner = await runtime.create_runner(FUSED, worker_num=4)
    for i in range(500):
        asyncio.ensure_future(runner.run(X))
    await asyncio.sleep(0)
    return runner
runner = asyncio.run(main())
""",
        """
runner = sync.create_runner(FUSED, worker_num=2)
def use():
    try:
        while True:
            runner.run(X)
    except FuriosaRuntimeError:
        pass
for _ in range(4):
    threading.Thread(target=use, daemon=True).start()
time.sleep(0.05)
""",
        """
queue = sync.create_queue(FUSED)
queue[1].__dict__["self"] = queue  # a cycle that only the end of the process breaks
queue[0].submit(X)
gc.disable()
""",
    ):
        assert run(script + "\nprint('done')") == "done\n", script
    assert run("sync.Runtime().close(); print('free')") == "free\n"
