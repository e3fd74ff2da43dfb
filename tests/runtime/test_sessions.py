"""The deprecated API: sessions and completion queues, as programs of that generation use them."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.runtime.test_queue import DATA, RESULTS, X, device_is_free, value
from tests.runtime.tiny_models import SHAPE, cpu_model

from furiosa.isa import enf
from furiosa.runtime import FuriosaRuntimeError

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from furiosa.runtime.errors import (
        CompilationFailed,
        DeviceBusy,
        IncompatibleModel,
        InvalidCompilerConfig,
        InvalidInput,
        InvalidSessionOption,
        QueueWaitTimeout,
        SessionClosed,
        SessionTerminated,
        TensorNameNotFound,
        UnsupportedTensorType,
    )
    from furiosa.runtime.session import Session, create, create_async
    from furiosa.runtime.tensor import Tensor, TensorArray


def test_run() -> None:
    with create(model=DATA) as opened:
        assert isinstance(opened, Session)
        for inputs in (value(3), [value(3)], (value(3),), TensorArray([Tensor.of(value(3))])):
            outputs = opened.run(inputs)
            assert np.array_equal(outputs[0].numpy(), RESULTS[3])
        assert np.array_equal(opened.run_with(["y"], {"x": value(3)}).numpy(), [RESULTS[3]])
        first, *rest = opened.run(X)
        assert not rest
        assert np.array_equal(first.view(), RESULTS[0])
        assert opened.input_num == opened.output_num == 1
        assert opened.summary() == opened.model.summary()
        assert opened.input(0).shape == SHAPE == opened.inputs()[0].shape
        assert opened.output(0).dtype == opened.outputs()[0].dtype == first.dtype
    with create(enf.dump(cpu_model())) as opened:
        a, b = np.ones(3, np.float32), np.full(3, 2, np.float32)
        same, total = opened.run_with(["same", "sum"], {"b": b, "a": a})
        assert (same.tolist(), total.tolist()) == ([1, 1, 1], [3, 3, 3])
        assert len(opened.run_with(["sum"], {"a": a, "b": b})) == 1


def test_the_summary_goes_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    with create(DATA) as opened:
        capsys.readouterr()
        opened.print_summary()
        assert capsys.readouterr() == ("", opened.summary() + "\n")
        opened.model.print_summary()
        assert capsys.readouterr() == (opened.summary() + "\n", "")


def test_wrong_inputs() -> None:
    with create(DATA) as opened:
        wrong: list[tuple[Any, type[Exception]]] = [
            (X.astype(np.float16), InvalidInput), (X[0], InvalidInput), ([X, X], InvalidInput), ([], InvalidInput),
            (None, UnsupportedTensorType), ("x", UnsupportedTensorType), ([None], UnsupportedTensorType),
            ({"x": X}, UnsupportedTensorType), ([[1.0]], UnsupportedTensorType),
        ]  # fmt: skip
        for inputs, kind in wrong:
            with pytest.raises(kind):
                opened.run(inputs)
        with pytest.raises(
            InvalidInput, match=r"^expected \(1, 2, 4, 8\) \(float32\) but got \(2, 4, 8\) \(float32\)$"
        ):
            opened.run(X[0])
        with pytest.raises(InvalidInput, match=r"^1 tensors are expected, but 2 tensors are given$"):
            opened.run([X, X])
        with pytest.raises(TypeError):
            opened.run_with(None, {"x": X})
        for names, tensors in ((["z"], {"x": X}), (["y"], {"z": X})):
            with pytest.raises(TensorNameNotFound, match="`z`"):
                opened.run_with(names, tensors)
        for tensors in ({}, {"x": X[0]}):
            with pytest.raises(InvalidInput):
                opened.run_with(["y"], tensors)


def _uses(each: Any) -> tuple[Callable[[], Any], ...]:
    """What the objects of a session have in common."""
    return (
        lambda: each.input_num, lambda: each.output_num, lambda: each.model, each.inputs, each.outputs,
        lambda: each.input(0), lambda: each.output(0), each.summary, each.print_summary, each.allocate_inputs,
        each.create_outputs, lambda: each.allocate_tensors(["x"]),
    )  # fmt: skip


def test_after_close_everything_says_so() -> None:
    opened = create(DATA)
    opened.close()
    opened.close()
    submitter, queue = create_async(DATA)
    submitter.close()
    queue.close()
    queue.close()
    for each in (opened, submitter, queue):
        for use in _uses(each):
            with pytest.raises(SessionClosed):
                use()
    for use in (lambda: opened.run(None), lambda: opened.run_with(None, None), lambda: submitter.submit(None),
                queue.recv, lambda: queue.recv(0)):  # fmt: skip
        with pytest.raises(SessionClosed):
            use()
    assert list(queue) == []


def test_a_queue() -> None:
    submitter, queue = create_async(DATA, worker_num=2, input_queue_size=100, output_queue_size=100)
    assert submitter.summary() == queue.summary()
    assert [desc.name for desc in (*submitter.inputs(), *queue.outputs())] == ["x", "y"]
    for number in range(40):
        submitter.submit(value(number), context=number)
    for _ in range(10):
        context, outputs = queue.recv(10_000)
        assert np.array_equal(outputs[0].numpy(), RESULTS[context])
    assert next(queue)[0] == 10
    for context, _ in queue:
        if context == 20:
            break
    submitter.close()
    assert [context for context, _ in queue] == list(range(21, 40))
    for timeout in (None, 0, 100):
        with pytest.raises(SessionTerminated):
            queue.recv(timeout)
    queue.close()
    assert device_is_free()


def test_timeouts_are_in_milliseconds() -> None:
    with pytest.warns(FutureWarning, match="keyword"):
        submitter, queue = create_async(DATA, None, "npu0pe0-1")
    with submitter, queue:
        for timeout in (0, 20):
            with pytest.raises(QueueWaitTimeout):
                queue.recv(timeout=timeout)
        with pytest.raises(RuntimeError, match=r"^the timeout duration must be a positive integer$"):
            queue.recv(timeout=-1)
        submitter.submit(X)
        assert queue.recv(60_000)[0] is None


def test_inputs_are_copied_unless_they_are_a_tensor_array() -> None:
    from tests.runtime.gate import Gate

    with pytest.MonkeyPatch.context() as patch:
        gate = Gate(patch)
        gate.close()
        submitter, queue = create_async(DATA)
        with submitter, queue:
            array, tensors = value(1), submitter.allocate_inputs()
            tensors[0] = value(1)
            for inputs in (array, [array], tensors):
                submitter.submit(inputs)
            array[...] = 2
            tensors[0] = value(2)
            gate.open()
            results = [queue.recv()[1][0].numpy() for _ in range(3)]
    assert [np.array_equal(y, RESULTS[1]) for y in results] == [True, True, False]


def test_forgotten_sessions_are_closed() -> None:
    opened = create(DATA)
    opened.run(X)
    del opened
    gc.collect()
    assert device_is_free()
    submitter, queue = create_async(DATA)
    del submitter, queue
    gc.collect()
    for _ in range(100):
        if device_is_free():
            return
        gc.collect()
    pytest.fail("the device is still in use")


def test_wrong_creations(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    damaged = bytearray(DATA)
    damaged[len(DATA) // 2] ^= 1
    wrong: list[tuple[Any, dict[str, Any], type[Exception]]] = [
        (DATA, {"worker_num": 0}, InvalidSessionOption),
        (DATA, {"batch_size": 2**31}, InvalidSessionOption),
        (DATA, {"batch_size": 2}, InvalidSessionOption),
        (DATA, {"device": "warboy"}, InvalidSessionOption),
        (DATA, {"compiler_config": {"split_unit": 0}}, InvalidCompilerConfig),
        (DATA, {"device": "npu0pe0"}, IncompatibleModel),
        (bytes(damaged), {}, IncompatibleModel),
        (tmp_path / "absent.onnx", {}, CompilationFailed),
        (17, {}, CompilationFailed),
        (DATA, {"device": "npu7pe0"}, FuriosaRuntimeError),
    ]
    for model, options, kind in wrong:
        for make in (create, create_async):
            with pytest.raises(kind):
                make(model, **options)
    for options in ({"input_queue_size": 0}, {"output_queue_size": 2**31}):
        with pytest.raises(InvalidSessionOption):
            create_async(DATA, **options)
    with create(DATA):
        for make in (create, create_async):
            with pytest.raises(DeviceBusy, match="has opened `npu0pe0-1`"):
                make(DATA)
    assert device_is_free()
    capsys.readouterr()
    with pytest.raises(CompilationFailed):
        create(b"no model")
    lines = capsys.readouterr().err.splitlines()
    dump = lines[lines.index("=" * 80) :]
    assert dump[1:3] == ["Information Dump", "=" * 80]
    assert [line.split(":")[0] for line in dump if line.startswith("- ")] == [
        "- Python version", "- furiosa-libnux path", "- furiosa-libnux version", "- furiosa-compiler version",
        "- furiosa-runtime version",
    ]  # fmt: skip
    assert dump[-1] == "=" * 80
