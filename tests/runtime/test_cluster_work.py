"""The work of CPU clusters, and what the reference host charges."""

from __future__ import annotations

import onnx.parser
import pytest

from furiosa.isa.host import reference_host
from furiosa.runtime.cluster_work import ClusterWork, cluster_work

HEAD = '<ir_version: 8, opset_import: ["" : 13]> '


@pytest.mark.parametrize(
    ("graph", "work"),
    [
        ("g (float[1,3] a, float[3] b) => (float[1,3] y) {y = Add(a, b)}", ClusterWork(1, 4 * 9, 0, 3)),
        ("g (float[1,4,8,8] x, float[6,4,3,3] w) => (float[1,6,8,8] y) {y = Conv<pads=[1,1,1,1]>(x, w)}",
         ClusterWork(1, 4 * (256 + 216 + 384), 384 * 36, 0)),
        ("g (float[1,4,8,8] x, float[4,1,3,3] w) => (float[1,4,6,6] y) {y = Conv<group=4>(x, w)}",
         ClusterWork(1, 4 * (256 + 36 + 144), 144 * 9, 0)),
        ("g (float[2,5] a, float[5,7] b) => (float[2,7] y) {y = MatMul(a, b)}",
         ClusterWork(1, 4 * (10 + 35 + 14), 70, 0)),
        ("g (float[5,2] a, float[5,7] b, float[7] c) => (float[2,7] y) {y = Gemm<transA=1>(a, b, c)}",
         ClusterWork(1, 4 * (10 + 35 + 7 + 14), 70, 0)),
        ("g (float[1,4,8,8] x, float[4,6,2,2] w) => (float[1,6,9,9] y) {y = ConvTranspose(x, w)}",
         ClusterWork(1, 4 * (256 + 96 + 486), 256 * 24, 0)),
        ("g (uint8[2,3] x) => (int64[2,3] y) {z = Cast<to=6>(x) i = Identity(z) y = Cast<to=7>(i)}",
         ClusterWork(2, 6 * (1 + 4 + 4 + 8), 0, 12)),
        ("g (float[4] x) => (int64[1,N] y) {y = NonZero(x)}", ClusterWork(1, 16, 0, 0)),
    ],
)  # fmt: skip
def test_work(graph: str, work: ClusterWork) -> None:
    model = onnx.parser.parse_model(HEAD + graph)
    assert cluster_work(model.SerializeToString()) == work


def test_the_published_figures_of_yolox_l() -> None:
    """Quantize of 1x3x640x640 takes 60.639 ms, a conversion between integers 0.277 ms."""
    elements = 3 * 640 * 640
    host = reference_host()
    assert host.quantize_ns(elements) == pytest.approx(60.639e6, rel=0.001)
    assert host.copy_ns(2 * elements) == pytest.approx(0.277e6, rel=0.001)


def test_more_work_never_takes_less_time() -> None:
    host = reference_host()
    for cost in (host.copy_ns, host.layout_ns, host.quantize_ns, host.dequantize_ns):
        times = [cost(count) for count in (0, 1, 10, 1000, 10**6)]
        assert times == sorted(times)
        assert times[0] == host.step_start_ns
