"""The deprecated modules: each of their names warns; errors and their codes, the environment."""

from __future__ import annotations

import importlib
import sys
import warnings
from pathlib import Path

import pytest

import furiosa.runtime as runtime
from furiosa.runtime import FuriosaRuntimeError

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
        DeviceBusy,
        InternalError,
        InvalidInput,
        NativeError,
        NativeException,
        SessionClosed,
        UnsupportedDataType,
        into_exception,
        is_err,
        is_ok,
    )


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
