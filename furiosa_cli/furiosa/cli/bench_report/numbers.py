"""The report of a benchmark for programs: the SDK's JSON, and our own with numbers that have their unit in the key."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from furiosa.cli.bench_report.text import ordinal, whole
from furiosa.isa.errors import OptionError

if TYPE_CHECKING:
    from furiosa.runtime.latencies import BenchResult

SCHEMA_VERSION = 1
KEY = "furiosa_sim"
"""Under which our own report stands in the SDK's."""
_MODES = {"L": "Latency", "T": "Throughput"}
_PERCENTILES = tuple(map(Fraction, ("50", "95", "99", "99.9")))


def report(path: str, result: BenchResult, chosen: Sequence[Fraction] = ()) -> dict[str, Any]:
    """What ``-o`` writes: the SDK's keys in their order, then ours."""
    from furiosa.isa.version import built, version_info

    version = version_info()
    latencies = result.latencies
    percentiles = {
        f"{ordinal(percent)} percentile": latencies.percentile(percent) for percent in chosen or _PERCENTILES
    }
    stats = {"min": latencies.least, "max": latencies.most, "mean": latencies.mean, **percentiles}
    return {
        "model_data": {"path": path, "md5": f"{hashlib.md5(Path(path).read_bytes()).hexdigest()}  {path}"},
        "compiler_version": f"{version.version}-{version.stage} (rev: {version.hash[:9]} built_at: {built()})",
        "hal_version": f"Version: {version.version}",
        "git_revision": version.hash[:7],
        "result": {
            "mode": _MODES[result.workload],
            "total run time": f"{whole(result.total)} us",
            "total num queries": len(latencies),
            "batch size": result.batch_size,
            "qps": f"{result.queries_per_second:.2f}/s",
            "latency stats": {label: f"{whole(value)} us" for label, value in stats.items()},
        },
        KEY: {"schema_version": SCHEMA_VERSION, **setting(result), **figures(result, chosen), **parts(result)},
    }


def figures(result: BenchResult, chosen: Sequence[Fraction] = ()) -> dict[str, float]:
    """The figures that runs are compared by."""
    latencies = result.latencies
    percentiles = dict.fromkeys((*_PERCENTILES, *chosen))
    return {
        "queries_per_second": round(result.queries_per_second, 3),
        "samples_per_second": round(result.queries_per_second * result.batch_size, 3),
        "latency_min_us": round(latencies.least, 3),
        "latency_max_us": round(latencies.most, 3),
        "latency_mean_us": round(latencies.mean, 3),
        **{f"latency_p{float(percent):g}_us": round(latencies.percentile(percent), 3) for percent in percentiles},
        "npu_us": round(result.npu_us, 3),
    }


def setting(result: BenchResult) -> dict[str, Any]:
    """What was run."""
    return {
        "clock": "virtual",
        "host": result.host,
        "workload": _MODES[result.workload].lower(),
        "target": result.target,
        "devices": list(result.devices),
        "workers": result.workers,
        "io_threads": result.io_threads,
        "batch_size": result.batch_size,
        "warm_up_queries": result.warm_up,
        "queries": len(result.latencies),
        "total_us": round(result.total, 3),
    }


def parts(result: BenchResult) -> dict[str, Any]:
    """What was busy, and the parts of a query; the simulator's own speed only where it was measured."""
    found: dict[str, Any] = {
        "bottleneck": result.bottleneck,
        "usage": [{"resource": each.resource, "number": each.number, "share": round(each.share, 6)}
                  for each in result.usage],
        "query": [{"step": part.name, "us": round(part.us, 3)} for part in result.query],
    }  # fmt: skip
    if result.speed is not None:
        speed = result.speed
        found["simulator"] = {"kernels": speed.kernels, "queries": speed.queries, "query_us": round(speed.query_us, 3)}
    return found


def read(path: Path) -> dict[str, float]:
    """The figures of a report that was written before, by us or by the SDK. Raises OptionError."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if KEY in content:
            known = content[KEY].items()
            return {key: float(value) for key, value in known if key.endswith(("_us", "_second")) and key != "total_us"}
        result = content["result"]
        latencies = result["latency stats"].items()
        return {"queries_per_second": _number(result["qps"])} | {
            _key(label): _number(value) for label, value in latencies
        }
    except OSError as error:
        raise OptionError(f"cannot read the report `{path}`: {error.strerror}", hint="check the path") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise OptionError(
            f"`{path}` is no report of furiosa-bench", hint="compare with a file that `furiosa-bench -o` wrote"
        ) from None


def _number(text: str) -> float:
    found = re.match(r"[\d.]+", text)
    if found is None:
        raise ValueError(text)
    return float(found[0])


def _key(label: str) -> str:
    """Our key for a latency of the SDK's."""
    percentile = re.fullmatch(r"([\d.]+)th percentile", label)
    return f"latency_p{percentile[1]}_us" if percentile else f"latency_{label}_us"


def comparison(old: dict[str, float], new: dict[str, float]) -> str:
    """A table of the figures that both reports have, and by how much they changed."""
    rows = [("", "old", "new", "change")]
    rows += [
        (key, f"{old[key]:.3f}", f"{value:.3f}", _change(old[key], value)) for key, value in new.items() if key in old
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return "\n".join(
        "  ".join([row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:]))])
        for row in rows
    )


def _change(old: float, new: float) -> str:
    if old == new:
        return "same"
    return f"{(new - old) / old:+.1%}" if old else "new"
