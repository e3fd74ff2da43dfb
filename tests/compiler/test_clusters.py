"""Clusters hand over what the others read: models whose operators take turns on the NPU, the CPU and the host."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.compiler.quantized import Builder, same
from tests.parity import current_onnxruntime

SHAPE = (1, 4, 6, 6)

STEPS: dict[str, Callable[[Builder, str, str], str]] = {
    "npu": lambda b, x, _: b.q(b.op("Relu", x)),
    "npu of two": lambda b, x, y: b.q(b.op("Add", x, y)),
    "cpu": lambda b, x, _: b.op("Atan", x),
    "cpu of two": lambda b, x, y: b.op("Max", x, y),
    "cpu, quantized": lambda b, x, _: b.q(b.op("Atan", x)),
    "cpu of two, quantized": lambda b, x, y: b.q(b.op("Max", x, y)),
    "quantized": lambda b, x, _: b.q(x),
}
"""What makes a tensor of two others."""


@current_onnxruntime
def test_a_quantized_result_of_the_cpu_is_read_in_its_own_cluster_and_in_a_later_one() -> None:
    b = Builder()
    first = b.q(b.op("Atan", b.qinput(*SHAPE)))
    beside = b.q(b.op("Sin", first))
    later = b.op("Max", first, b.q(b.op("Relu", beside)))
    report = same(b.model(later))
    assert (report["npu_clusters"], report["cpu_clusters"]) == (1, 2)


@current_onnxruntime
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_random_models_that_change_devices(data: st.DataObject) -> None:
    b = Builder()
    tensors = [b.qinput(*SHAPE), b.input(*SHAPE)]
    for _ in range(data.draw(st.integers(2, 9), "operators")):
        step = data.draw(st.sampled_from(sorted(STEPS)))
        # Mostly what was made last: long chains, with readers far behind.
        x, y = (tensors[-data.draw(st.integers(1, len(tensors)))] for _ in range(2))
        tensors.append(STEPS[step](b, x, y))
    others = data.draw(st.lists(st.sampled_from(tensors[2:]), unique=True, max_size=2))
    same(b.model(*dict.fromkeys((tensors[-1], *others))), step=1e-5)
