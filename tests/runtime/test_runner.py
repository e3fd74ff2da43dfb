"""Runners and sessions: results, the model's interface, and every kind of error."""

from __future__ import annotations

import gc
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from tests.runtime.tiny_models import LOOKUP, SCALE, SHAPE, ZERO_POINT, cpu_model, npu_model, npu_reference

import furiosa.runtime as runtime
from furiosa.isa import enf
from furiosa.npu_sim.devices import cards, read_counters
from furiosa.runtime import Axis, DataType, FuriosaRuntimeError, TensorDesc, sync

DATA = enf.dump(npu_model())
X = np.random.default_rng(1).normal(0, 40, SHAPE).astype(np.float32)


@pytest.fixture
def runner() -> Iterator[sync.Runner]:
    with sync.create_runner(DATA) as runner:
        yield runner


def test_npu_results_are_exact(runner: sync.Runner) -> None:
    (y,) = runner.run([X])
    np.testing.assert_array_equal(y, npu_reference(X))
    assert y.dtype == np.float32
    assert y.shape == SHAPE
    np.testing.assert_array_equal(runner.run(X)[0], y)
    np.testing.assert_array_equal(runner.run([X[..., ::-1]])[0], npu_reference(X[..., ::-1]))


def test_extreme_values_are_no_warnings(runner: sync.Runner) -> None:
    x = np.zeros(SHAPE, np.float32)
    x.flat[:5] = np.inf, -np.inf, 3e38, -3e38, np.nan
    looked_up = LOOKUP[[255, 0, 255, 0, 0]].view(np.int8)
    expected = (looked_up.astype(np.float32) - ZERO_POINT) * np.float32(SCALE)
    assert runner.run(x)[0].flat[:5].tolist() == expected.tolist()


def test_cpu_cluster_and_names() -> None:
    a, b = np.array([1, 2, 3], "float32"), np.array([10, 20, 30], "float32")
    with sync.create_runner(enf.dump(cpu_model())) as runner:
        total, same = runner.run([a, b])
        assert total.tolist() == [11, 22, 33]
        assert same.tolist() == [1, 2, 3]
        assert [y.tolist() for y in runner.run_with(["same", "sum"], {"b": b, "a": a})] == [[1, 2, 3], [11, 22, 33]]
        assert len(runner.run_with(["same"], {"a": a, "b": b})) == 1
        for inputs in ({"a": a}, {"a": a, "b": b, "c": b}):
            with pytest.raises(ValueError, match="input"):
                runner.run_with(["sum"], inputs)
        with pytest.raises(ValueError, match="no output `nothing`"):
            runner.run_with(["nothing"], {"a": a, "b": b})
        for outputs in (None, "sum"):
            with pytest.raises(TypeError):
                runner.run_with(outputs, {"a": a, "b": b})


def test_every_wrong_input_has_its_kind(runner: sync.Runner) -> None:
    wrong: list[tuple[Any, type[Exception]]] = [
        ([X.astype(np.float16)], TypeError),
        ([np.zeros(3, np.float16)], TypeError),  # the type is looked at before the shape
        ([X[0]], ValueError),
        ([X, X], ValueError),
        ([], ValueError),
        ([np.zeros(3, np.int8), np.zeros(3, np.int8)], ValueError),  # the number before the type
        (None, TypeError),
        ([None], TypeError),
        ({"x": X}, TypeError),
    ]
    for inputs, kind in wrong:
        with pytest.raises(kind):
            runner.run(inputs)


def test_arrays_of_other_libraries(runner: sync.Runner) -> None:
    class Foreign:
        __array_interface__ = X.__array_interface__

    np.testing.assert_array_equal(runner.run(Foreign())[0], npu_reference(X))


def test_inputs_are_not_returned_as_outputs() -> None:
    model = replace(npu_model(), outputs=("x", "y"))
    with sync.create_runner(enf.dump(model)) as runner:
        same, _ = runner.run([X])
        assert not np.shares_memory(same, X)
        assert np.array_equal(same, X)


def test_use_after_close() -> None:
    runner = sync.create_runner(DATA)
    assert runner.close()
    assert runner.close()
    uses: list[Callable[[], object]] = [
        lambda: runner.run([X]), lambda: runner.run(None), lambda: runner.run_with(["y"], {"x": X}),
        lambda: runner.model,
    ]  # fmt: skip
    for use in uses:
        with pytest.raises(FuriosaRuntimeError):
            use()


def test_devices_are_exclusive_and_given_back() -> None:
    first = sync.create_runner(DATA)
    with pytest.raises(FuriosaRuntimeError, match=r"in use|free"):
        sync.create_runner(DATA)
    first.close()
    second = sync.create_runner(DATA)
    del second
    gc.collect()
    with pytest.raises(FuriosaRuntimeError):
        sync.create_runner(b"this is no model")
    sync.create_runner(DATA).close()


def test_runtime_shares_its_devices() -> None:
    with sync.Runtime("npu0pe0-1") as shared:
        one, two = shared.create_runner(DATA), shared.create_runner(model=DATA, worker_num=3)
        np.testing.assert_array_equal(one.run(X)[0], two.run(X)[0])
        assert one.close()
        two.run(X)
    uses: list[Callable[[], object]] = [lambda: two.run(X), lambda: shared.create_runner(DATA)]
    for use in uses:
        with pytest.raises(FuriosaRuntimeError):
            use()


def test_several_devices_and_threads() -> None:
    model = enf.dump(npu_model("warboy"))
    results: list[bool] = []
    with sync.create_runner(model, device="warboy(1)*2", worker_num=3) as runner:

        def work(seed: int) -> None:
            x = np.random.default_rng(seed).normal(0, 40, SHAPE).astype(np.float32)
            results.extend(np.array_equal(runner.run(x)[0], npu_reference(x)) for _ in range(5))

        threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert results == [True] * 20


def test_wrong_creations_say_what_to_do(tmp_path: Path) -> None:
    damaged = bytearray(DATA)
    damaged[len(DATA) // 2] ^= 1
    wrong: list[tuple[Any, dict[str, Any], str]] = [
        (DATA, {"device": "npu0pe0"}, "compiled for `warboy-2pe`, the opened device is a `warboy`"),
        (enf.dump(npu_model("warboy")), {}, "compiled for `warboy`, the opened device is a `warboy-2pe`"),
        (DATA, {"batch_size": 4}, "batch size 1, not 4"),
        (DATA, {"batch_size": 0}, "`batch_size` must be"),
        (DATA, {"worker_num": -1}, "`worker_num` must be"),
        (DATA, {"compiler_config": {"split_unit": 0}}, "compiler config"),
        (DATA, {"device": "warboy"}, "warboy"),
        (bytes(damaged), {}, "damaged"),
        (DATA[:-9], {}, "ENF"),
        (tmp_path / "absent.enf", {}, "absent.enf"),
        (tmp_path, {}, "directory"),
        (17, {}, "path or as bytes"),
    ]
    for model, options, text in wrong:
        with pytest.raises(FuriosaRuntimeError, match=re.escape(text)):
            sync.create_runner(model, **options)


def test_malformed_wiring_is_refused() -> None:
    model = npu_model()
    run = model.steps[2]
    assert isinstance(run, enf.RunNpu)
    port = replace(model.programs[0].inputs[0], size=63)
    wrong = [
        replace(model, outputs=("nothing",)),
        replace(model, inputs=("x", "x")),
        replace(model, steps=model.steps[1:]),
        replace(model, steps=(*model.steps[:2], replace(run, program=1), *model.steps[3:])),
        replace(model, steps=(*model.steps[:2], replace(run, inputs=("x",)), *model.steps[3:])),
        replace(model, steps=(enf.Quantize("x", "quantized", 0.0, 0), *model.steps[1:])),
        replace(model, steps=(enf.Quantize("x", "quantized", 0.5, 256), *model.steps[1:])),
        replace(model, steps=(model.steps[0], enf.Lower("quantized", "lowered", (1, 4, 2, 8)), *model.steps[2:])),
        replace(model, steps=(enf.RunCpu(0, ("x",), ("quantized",)), *model.steps[1:])),
        replace(model, steps=(enf.Quantize("lowered", "quantized", 0.5, 0), *model.steps[1:])),
        replace(model, programs=(replace(model.programs[0], inputs=(port,)),)),
        replace(model, tensors=(*model.tensors, model.tensors[0])),
    ]
    for malformed in wrong:
        with pytest.raises(FuriosaRuntimeError):
            sync.create_runner(enf.dump(malformed))


def test_batch_and_path(tmp_path: Path) -> None:
    path = tmp_path / "model.enf"
    path.write_bytes(enf.dump(npu_model(batch=4)))
    x = np.concatenate([X + i for i in range(4)])
    for source in (path, str(path), bytearray(path.read_bytes())):
        with sync.create_runner(source, batch_size=4) as runner:
            assert runner.model.input(0).shape == (4, 2, 4, 8)
            np.testing.assert_array_equal(runner.run(x)[0], npu_reference(x))


def test_other_formats_go_to_the_compiler(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    calls: list[tuple[object, dict[str, object]]] = []

    def compile_model(model: object, **options: object) -> SimpleNamespace:
        calls.append((model, options))
        return SimpleNamespace(enf=enf.dump(npu_model("warboy", batch=2)))

    monkeypatch.setitem(sys.modules, "furiosa.compiler", SimpleNamespace(compile_model=compile_model))
    path = tmp_path / "model.onnx"
    path.write_bytes(b"not looked at here")
    config = {"split_unit": 0}
    for model in (path, b"not looked at here"):
        with sync.create_runner(model, device="npu0pe1", batch_size=2, compiler_config=config) as runner:
            assert runner.model.input(0).shape[0] == 2
    options = {"target": "warboy", "batch_size": 2, "config": config}
    assert calls == [(path, options), (b"not looked at here", options)]


def test_executions_are_charged_to_the_device(runner: sync.Runner) -> None:
    runner.run(X)
    file = next(file for file in cards()[0].files if file.name == "npu0pe0-1")
    once = read_counters(file)
    runner.run(X)
    twice = read_counters(file)
    assert once.task_cycles > once.compute_cycles > 0
    assert (twice.executions, twice.task_cycles) == (2 * once.executions, 2 * once.task_cycles)


def test_model_interface(runner: sync.Runner) -> None:
    model = runner.model
    desc = model.input(0)
    assert (desc.name, desc.ndim, desc.shape, desc.length, desc.size) == ("x", 4, SHAPE, 64, 256)
    assert [desc.stride(i) for i in range(4)] == [64, 32, 8, 1]
    assert [desc.axis(i) for i in range(4)] == [Axis.BATCH, Axis.CHANNEL, Axis.HEIGHT, Axis.WIDTH]
    assert desc.dim(1) == 2
    assert desc.dtype == DataType.FLOAT32 == np.float32
    assert desc.numpy_dtype == np.float32
    line = '0: TensorDesc(name="{}", shape=(1, 2, 4, 8), dtype=FLOAT32, format=NCHW, size=256, len=64)'
    assert model.summary() == f"Inputs:\n{{{line.format('x')}}}\nOutputs:\n{{{line.format('y')}}}"
    for index in (-1, 1):
        for look in (model.input, model.output):
            with pytest.raises(IndexError):
                look(index)


def test_nameless_tensor() -> None:
    desc = TensorDesc(None, (1, 10), DataType(np.uint8), "??")
    assert repr(desc) == "TensorDesc(shape=(1, 10), dtype=UINT8, format=??, size=10, len=10)"
    assert desc.axis(1) is Axis.UNKNOWN


def test_data_types() -> None:
    for value in (np.int8, np.dtype("int8"), np.zeros((2, 2), np.int8), np.int8(3), DataType.INT8):
        assert DataType(value) is DataType.INT8
    assert np.dtype("int8") == DataType.INT8
    assert np.dtype("uint8") != DataType.INT8
    assert DataType.INT8.numpy_dtype is np.int8
    assert repr(DataType.UINT8) == "UINT8"
    assert len({DataType.INT8, DataType.UINT8, DataType.INT8}) == 2
    with pytest.raises(ValueError, match="complex64"):
        DataType(np.complex64)
    with pytest.raises(ValueError, match="BFLOAT16"):
        _ = DataType.BFLOAT16.numpy


def test_versions() -> None:
    assert re.fullmatch(r"Furiosa SDK Runtime (\S+) \(rev: (\S+)\) \((\S+ \S+ \S+ \S+)\)", runtime.__full_version__)
    assert runtime.full_version() == runtime.__full_version__
    assert not runtime.is_legacy


def test_enf_needs_neither_onnx_nor_onnxruntime(tmp_path: Path) -> None:
    path = tmp_path / "model.enf"
    path.write_bytes(DATA)
    script = f"""
import sys
import furiosa.runtime
from furiosa.runtime import sync
import numpy as np
with sync.create_runner({str(path)!r}) as runner:
    runner.run(np.zeros({SHAPE}, np.float32))
print(sorted(name for name in ("onnx", "onnxruntime", "furiosa.compiler", "pandas") if name in sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
