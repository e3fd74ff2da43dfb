"""The deprecated API: sessions, completion queues, tensors and errors, as programs of that generation use them."""

from __future__ import annotations

import gc
import importlib
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.runtime.test_queue import DATA, RESULTS, X, device_is_free, value
from tests.runtime.tiny_models import SHAPE, cpu_model

import furiosa.runtime as runtime
from furiosa.isa import enf
from furiosa.runtime import Axis, DataType, FuriosaRuntimeError, TensorDesc

NAMES = {
    "session": "AsyncSession CompletionQueue Session create create_async",
    "errors": "ApiClientInitFailed CompilationFailed DeviceBusy FuriosaError IncompatibleApiClientError "
    "IncompatibleModel InternalError InvalidCompilerConfig InvalidInput InvalidSessionOption InvalidYamlException "
    "NativeError NativeException NoApiKeyException QueueWaitTimeout SessionClosed SessionTerminated "
    "TensorNameNotFound UnsupportedDataType UnsupportedFeature UnsupportedTensorType into_exception is_err is_ok",
    "envs": "current_npu_device is_compile_log_enabled log_dir profiler_output xdg_state_home",
    "tensor": "Axis DataType Tensor TensorArray TensorDesc numpy_dtype rand zeros",
    "model": "Model",
    "compiler": "generate_compiler_log_path",
}

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from furiosa.runtime.errors import (
        CompilationFailed,
        DeviceBusy,
        IncompatibleModel,
        InternalError,
        InvalidCompilerConfig,
        InvalidInput,
        InvalidSessionOption,
        NativeError,
        NativeException,
        QueueWaitTimeout,
        SessionClosed,
        SessionTerminated,
        TensorNameNotFound,
        UnsupportedDataType,
        UnsupportedTensorType,
        into_exception,
        is_err,
        is_ok,
    )
    from furiosa.runtime.session import Session, create, create_async
    from furiosa.runtime.tensor import Tensor, TensorArray, numpy_dtype, rand, zeros


@pytest.mark.parametrize("module", NAMES)
def test_every_name_warns_each_time(module: str) -> None:
    text = f"'furiosa.runtime.{module}' module is deprecated and will be removed in a future release."
    for _ in range(2):
        for name in NAMES[module].split():
            with pytest.warns(FutureWarning) as caught:
                exec(f"from furiosa.runtime.{module} import {name}", {"__name__": "a program"})
            assert {str(warning.message) for warning in caught} == {text}
    with pytest.raises(AttributeError):
        getattr(importlib.import_module(f"furiosa.runtime.{module}"), "nothing")  # noqa: B009


@pytest.mark.parametrize("module", NAMES)
def test_import_warns_at_the_line_that_imports(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for form in ("import furiosa.runtime.{0}", "from furiosa.runtime import {0}", "import furiosa.runtime as r; r.{0}"):
        monkeypatch.delitem(sys.modules, f"furiosa.runtime.{module}", raising=False)
        if module in vars(runtime):  # to ask it for the attribute would import the module
            monkeypatch.delattr(runtime, module)
        with pytest.warns(FutureWarning, match=module) as caught:
            exec(compile(form.format(module), "program.py", "exec"), {"__name__": "a program"})
        assert {warning.filename for warning in caught} == {"program.py"}


def test_modules_that_do_not_warn() -> None:
    for module in ("sync", "bench", "profiler", "consts"):
        importlib.import_module(f"furiosa.runtime.{module}")
    assert runtime.utils.default_device() == runtime._utils.default_device() == "warboy(2)*1"
    assert [name for name in vars(runtime.consts) if not name.startswith("__")] == []
    with pytest.raises(AttributeError, match="nothing"):
        _ = runtime.nothing


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


def test_errors_and_codes() -> None:
    assert len(NativeError) == 27
    assert NativeException is FuriosaRuntimeError
    assert type(into_exception(16)).__name__ == "InvalidYamlException"
    assert type(into_exception(NativeError.MODEL_DEPLOY_FAILED)) is InternalError
    for code in NativeError:
        error = into_exception(code)
        assert error.native_error() == (code if type(error) is not InternalError else NativeError.INTERNAL_ERROR)
        assert str(error) == repr(error) == f"{error.message} (native error code: {error.native_error()})"
    named = [name for name in NAMES["errors"].split() if name[0].isupper() and "Furiosa" not in name]
    raised = {type(into_exception(code)).__name__ for code in NativeError}
    assert set(named) - raised == {
        "InvalidInput", "NativeError", "NativeException", "SessionClosed", "UnsupportedDataType"
    }  # fmt: skip
    assert str(DeviceBusy()) == "NPU device busy (native error code: 23)"
    assert str(InternalError()) == "unknown (native error code: 15)"
    assert str(into_exception(77)) == "error code 77 (native error code: 15)"
    assert str(InvalidInput()) == "Invalid input tensors"
    assert str(UnsupportedDataType("int3")) == "unknown data type: int3"
    assert str(SessionClosed()) == "Session or AsyncSession is already closed. Please create a new session."
    assert InvalidInput().native_error() is SessionClosed().native_error() is None
    assert is_ok(0)
    assert is_err(NativeError.DEVICE_BUSY)


def test_tensors() -> None:
    with create(DATA) as opened:
        tensors, others = opened.allocate_inputs(), opened.create_inputs()
        assert len(opened.allocate_outputs()) == len(opened.create_outputs()) == 1
        assert [tensor.name for tensor in opened.allocate_tensors(["y", "x"])] == ["y", "x"]
        with pytest.raises(TensorNameNotFound):
            opened.create_tensors(["z"])
    tensor = tensors[0]
    tensors[0] = value(4)
    assert tensors[0] is tensor
    assert np.array_equal(tensor.numpy(), value(4))
    assert not np.shares_memory(tensor.numpy(), tensor)
    assert np.shares_memory(tensor.view(), tensor)
    assert type(tensor.view()) is type(tensor.numpy()) is type(tensors.view()[0]) is np.ndarray
    others[-1] = value(4)
    assert (tensors[0] == others[0]) is (tensors[0] == tensors[0]) is True
    assert (tensors[0] != others[0]) is False
    others[0].copy_from(value(5))
    assert (tensors[0] != others[0]) is True
    assert (tensor == value(4)).all()
    assert (value(4) == tensor).shape == SHAPE
    np.testing.assert_array_equal(tensor, Tensor.of(value(4)))
    others[0:1] = [value(6)]
    assert others.numpy()[0].max() == 6
    assert type(tensors[0:1]) is list
    assert not tensors.is_empty()
    assert TensorArray().is_empty()
    for wrong in (X[0], X.astype(np.int8)):
        with pytest.raises(InvalidInput):
            tensors[0] = wrong
    with pytest.raises(IndexError):
        tensors[1] = X
    assert repr(tensors) == '{0: Tensor(name="x", shape=(1, 2, 4, 8), dtype=FLOAT32)}'
    assert repr(Tensor.of(np.zeros((1, 10), np.uint8))) == "Tensor(shape=(1, 10), dtype=UINT8)"
    transposed = Tensor.of(np.zeros((2, 3), np.int8).T)
    assert transposed.view().strides == (1, 3)
    assert transposed.numpy().strides == (2, 1)
    assert (tensor.numpy_dtype, tensor.quantization_parameter) == (np.float32, None)


def test_functions_of_descriptions() -> None:
    desc = TensorDesc("t", (3, 4), DataType.INT8, "??")
    for thing in (desc, desc.dtype, zeros(desc), np.int8(1), Tensor.of(zeros(desc))):
        assert numpy_dtype(thing) == np.int8
    with pytest.raises(TypeError):
        numpy_dtype("int8")
    assert zeros(desc).tolist() == [[0] * 4] * 3
    real = rand(TensorDesc("t", (100,), DataType.FLOAT32, "?"))
    assert real.dtype == np.float32
    assert 0 <= real.min() < real.max() < 1
    assert rand(desc).shape == (3, 4)
    assert create.__name__ == "create"
    assert Axis("N") is Axis.BATCH


def test_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from furiosa.runtime.compiler import generate_compiler_log_path
        from furiosa.runtime.envs import (
            current_npu_device,
            is_compile_log_enabled,
            log_dir,
            profiler_output,
            xdg_state_home,
        )
    assert current_npu_device() == "warboy(2)*1"
    monkeypatch.setenv("FURIOSA_DEVICES", "npu0pe1")
    assert current_npu_device() == "npu0pe1"
    assert profiler_output() is None
    monkeypatch.setenv("NUX_PROFILER_PATH", "old.json")
    with pytest.warns(FutureWarning, match="NUX_PROFILER_PATH"):
        assert profiler_output() == "old.json"
    monkeypatch.setenv("FURIOSA_PROFILER_OUTPUT_PATH", "new.json")
    assert profiler_output() == "new.json"
    path = generate_compiler_log_path()
    assert path is not None
    assert path.parent == tmp_path / "logs"
    assert path.stat().st_mode & 0o777 == 0o644
    assert path.parent.stat().st_mode & 0o777 == 0o755
    monkeypatch.setenv("FURIOSA_TEST_IS_RUNNING", "1")
    assert not is_compile_log_enabled()
    assert generate_compiler_log_path() is None
    monkeypatch.delenv("FURIOSA_LOG_DIR")
    monkeypatch.setenv("HOME", "/home/somebody")
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    assert (xdg_state_home(), log_dir()) == (
        "/home/somebody/.local/state/furiosa", "/home/somebody/.local/state/furiosa/logs",
    )  # fmt: skip
    monkeypatch.setenv("XDG_STATE_HOME", "/state")
    assert (xdg_state_home(), log_dir()) == ("/state", "/state/logs")
