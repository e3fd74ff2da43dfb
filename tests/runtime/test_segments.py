"""Models in native segments give what their steps give one by one, and what the reference gives."""

from __future__ import annotations

import io
import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from tests.runtime.tiny_models import SHAPE, cpu_model, mixed_model, npu_model, npu_reference

from furiosa.isa import enf
from furiosa.npu_sim.kernels import native
from furiosa.runtime import sync
from furiosa.runtime.profiler import profile

X = np.random.default_rng(5).normal(0, 40, SHAPE).astype(np.float32)


def results(model: enf.Enf, inputs: list[Any], how: str = "") -> list[Any]:
    """A device that keeps a pace executes one step at a time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FURIOSA_SIM_PACE", "realtime" if how == "one by one" else "none")
        runner = sync.create_runner(enf.dump(model))
    with runner:
        if how != "profiled":
            return runner.run(inputs)
        with profile(file=io.StringIO()):
            return runner.run(inputs)


def variants() -> list[tuple[enf.Enf, list[Any]]]:
    model = npu_model()
    names = [tensor.name for tensor in model.tensors]
    chosen = [(name,) for name in names] + [tuple(names), tuple(names[::-1])]
    some = [replace(model, outputs=outputs) for outputs in chosen]
    mixed = mixed_model()
    few = [replace(mixed, outputs=outputs) for outputs in itertools.combinations(("same", "y2", "x", "flat2"), 2)]
    three = np.arange(3, dtype=np.float32)
    return [*((each, [X]) for each in (*some, mixed, *few)), (cpu_model(), [three, three + 1])]


@pytest.mark.parametrize("index", range(len(variants())))
def test_segments_equal_single_steps(index: int, monkeypatch: pytest.MonkeyPatch) -> None:
    model, inputs = variants()[index]
    fast = results(model, inputs)
    steps, profiled = (results(model, inputs, how) for how in ("one by one", "profiled"))
    monkeypatch.setenv("FURIOSA_SIM_KERNELS", "reference")
    for expected in (steps, profiled, results(model, inputs)):
        for y, right in zip(fast, expected, strict=True):
            assert (y.dtype, y.shape) == (right.dtype, right.shape)
            np.testing.assert_array_equal(y, right)


def test_the_caller_owns_all_outputs() -> None:
    with sync.create_runner(enf.dump(mixed_model())) as runner:
        x = X.copy()
        outputs = runner.run([x])
        for output in outputs:
            assert not np.shares_memory(output, x)
            output[...] = 7
        assert np.array_equal(x, X)
        again = dict(zip((desc.name for desc in runner.model.outputs()), runner.run([x])))
    np.testing.assert_array_equal(again["y"], npu_reference(X))
    np.testing.assert_array_equal(again["y2"], npu_reference(npu_reference(X) + np.float32(1)))


def test_strided_inputs() -> None:
    wide = np.random.default_rng(6).normal(0, 40, (1, 4, 8, 8)).astype(np.float32)
    for view in (wide[:, ::2, ::2], wide[:, 1:3, 3:7], np.asfortranarray(wide[:, :2, :4]), wide[:, :2, :4, ::-1]):
        np.testing.assert_array_equal(results(npu_model(), [view])[0], npu_reference(view))


@pytest.mark.skipif(native() is None, reason="the native module is not built")
def test_values_that_do_not_fit_are_refused() -> None:
    module: Any = native()
    inference = module.Inference([16, 4, 8], [0, 1])
    wrong = [
        lambda: inference.quantize(0, 2, 1.0, 0, True), lambda: inference.dequantize(0, 2, 1.0, 0, True),
        lambda: inference.transpose(0, 1, 1, 4, 4, 1), lambda: inference.transpose(0, 0, 1, 4, 2, 1),
        lambda: inference.quantize(0, 3, 1.0, 0, True), lambda: module.Inference([1], [1]),
        lambda: module.Inference([-1], []), lambda: inference.run([[bytes(16), bytearray(3)]], 1, 1),
        lambda: inference.run([[bytes(16)]], 1, 1), lambda: inference.run([[bytes(16), bytearray(4)]], 1, 0),
    ]  # fmt: skip
    for use in wrong:
        with pytest.raises(ValueError, match=r"fit|bytes|interface|threads"):
            use()  # type: ignore[no-untyped-call]  # a lambda
    with pytest.raises(BufferError):
        inference.run([[bytes(16), bytes(4)]], 1, 1)
    inference.quantize(0, 1, 0.5, 1, True)
    y = [bytearray(4), bytearray(4)]
    inference.run([[np.full(4, value, np.float32), out] for value, out in zip((1, 2), y)], 1, 1)
    assert [list(out) for out in y] == [[3] * 4, [5] * 4]


@pytest.mark.skipif(native() is None, reason="the native module is not built")
def test_steps_may_be_added_after_a_run() -> None:
    module: Any = native()
    inference, y = module.Inference([4, 4], [0, 1]), bytearray(4)
    inference.to_signed(0, 1)
    inference.run([[bytes(4), y]], 1, 2)
    assert list(y) == [128] * 4
    inference.transpose(0, 1, 1, 2, 2, 1)
    inference.run([[bytes(4), y]], 1, 2)
    assert list(y) == [0] * 4
