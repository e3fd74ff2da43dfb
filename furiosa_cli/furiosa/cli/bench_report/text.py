"""The report of a benchmark as the SDK prints it, and the notes that a reader of its figures needs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from furiosa.runtime.latencies import BenchResult

_RULE = "=" * 70
_SENTENCES = {
    "L": "This benchmark was executed with latency-workload which prioritizes latency of individual queries over "
    "throughput.",
    "T": "This benchmark was executed with throughput-workload which prioritizes throughput over latency of individual "
    "queries.",
}
# The last label repeats the one before it although it is the 99.9th: scripts parse the report as the SDK prints it.
PERCENTILES = tuple(
    (Fraction(percent), label)
    for percent, label in (("50", "50th"), ("95", "95th"), ("99", "99th"), ("99.9", "99th"))
)  # fmt: skip


def ordinal(percent: Fraction) -> str:
    """``99.9th``; the number as short as it can be."""
    return f"{float(percent):g}th"


def report(result: BenchResult, chosen: Sequence[Fraction] = ()) -> str:
    """The report. ``chosen`` percentiles stand in place of the SDK's."""
    latencies = result.latencies
    rows = [("Min latency", latencies.least), ("Max latency", latencies.most), ("Mean latency", latencies.mean)]
    labels = [(percent, ordinal(percent)) for percent in chosen] or PERCENTILES
    rows += [(f"{label} percentile", latencies.percentile(percent)) for percent, label in labels]
    return "\n".join(
        [
            _RULE,
            _SENTENCES[result.workload],
            f"{len(latencies)} queries executed with batch size {result.batch_size}",
            "Latency stats are as follows",
            f"QPS(Throughput): {result.queries_per_second:.2f}/s",
            "",
            "Per-query latency:",
            *(f"{label + ' (us)':20}: {whole(value)}" for label, value in rows),
        ]
    )


def notes(result: BenchResult) -> Iterator[str]:
    """What the figures are, and what bounds them; for stderr."""
    npu = "the NPU and the host link" if result.programs else "no NPU part"
    if result.host == "reference":
        yield f"note: the figures are modelled time, equal on every computer: {npu}, and host steps on a reference host"
    else:
        yield f"note: the figures are modelled time ({npu}), with host steps as measured on this computer"
    yield f"note: {_bottleneck(result)}"
    if 0 < result.traced < len(result.latencies):
        yield f"note: the trace shows {result.traced} of {len(result.latencies)} queries"
    if result.speed is not None:
        yield (
            f"note: the simulator itself takes {whole(result.speed.query_us)} us a query on this computer "
            f"(measured over {result.speed.queries}; kernels: {result.speed.kernels})"
        )


def _bottleneck(result: BenchResult) -> str:
    usage = {each.resource: each for each in result.usage}
    if result.bottleneck in usage:
        return f"bottleneck: {result.bottleneck}, at work {usage[result.bottleneck].share:.0%} of the time"
    longest = max(result.query, key=lambda part: part.us, default=None)
    alone = sum(part.us for part in result.query)
    if longest is None or not alone:
        return "bottleneck: none, a query takes no time"
    share = f"{longest.name} is {longest.us / alone:.0%} of a query's {alone:,.1f} us"
    return f"bottleneck: workers, nothing is at work all of the time; {share}"


def whole(microseconds: float) -> int:
    """Rounded to the nearest microsecond."""
    return math.floor(microseconds + 0.5)
