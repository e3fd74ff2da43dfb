"""furiosa-bench: latency and throughput of a model on modelled devices."""

from __future__ import annotations

import hashlib
import json
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from furiosa.cli.errors import emit, run

if TYPE_CHECKING:
    from furiosa.runtime.bench import BenchResult, Workload

_RULE = "=" * 70
_SENTENCES: dict[Workload, str] = {
    "L": "This benchmark was executed with latency-workload which prioritizes latency of individual queries over "
    "throughput.",
    "T": "This benchmark was executed with throughput-workload which prioritizes throughput over latency of individual "
    "queries.",
}
_MODES: dict[Workload, str] = {"L": "Latency", "T": "Throughput"}
_WORKLOADS: dict[str, Workload] = {"L": "L", "T": "T", "latency": "L", "throughput": "T"}
# The last label repeats the one before it although it is the 99.9th: scripts parse the report as the SDK prints it.
_PERCENTILES = ((500, "50th percentile"), (950, "95th percentile"), (990, "99th percentile"), (999, "99th percentile"))


def _show_version(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        from furiosa.isa.version import version_info
        from furiosa.npu_sim.kernels import choose

        click.echo(f"furiosa-bench {version_info()}\nkernels: {choose()}")
        context.exit()


@click.command(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="""\b
Examples:
  furiosa-bench model.onnx -n 1000 -w 4 --workload T
  furiosa-bench model.enf -d npu0pe0 -n 100 -o report.json -T trace.json""",
)
@click.argument("model-path", type=click.Path(), metavar="<model-path>")
@click.option("-b", "--batch", type=int, metavar="NUMBER", help="Batch size, a power of two.  [default: 1]")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write the report as JSON to this file.")
@click.option("-C", "--compiler-config", type=click.Path(path_type=Path), help="Compiler config, a YAML file.")
@click.option("-d", "--devices", metavar="DEVICES", help="Devices, such as `warboy(2)*1` or `npu0pe0-1`.")
@click.option("-t", "--io-threads", type=int, default=1, show_default=True, metavar="NUMBER", help="I/O threads.")
@click.option(
    "--duration", type=float, default=0, show_default=True, metavar="SECONDS", help="Minimum time of the run."
)
@click.option(
    "-n", "--queries", type=int, default=1, show_default=True, metavar="NUMBER",
    help="Minimum number of queries; the run ends when both minima are met.",
)  # fmt: skip
@click.option("-T", "--trace-output", type=click.Path(path_type=Path), help="Write a Chrome trace to this file.")
@click.option("-w", "--workers", type=int, default=1, show_default=True, metavar="NUMBER", help="Workers.")
@click.option(
    "--workload", type=click.Choice(tuple(_WORKLOADS)), default="L", show_default=True,
    help="Latency-oriented or throughput-oriented; the latter keeps two queries a worker in flight.",
)  # fmt: skip
@click.option("-v", "--verbose", is_flag=True, help="Also measure the simulator itself.")
@click.option(
    "-V", "--version", is_flag=True, is_eager=True, expose_value=False, callback=_show_version, help="Show the version."
)
def bench(
    model_path: str, batch: int | None, output: Path | None, compiler_config: Path | None, devices: str | None,
    io_threads: int, duration: float, queries: int, trace_output: Path | None, workers: int, workload: str,
    verbose: bool,
) -> None:  # fmt: skip
    """Run a model (ONNX or ENF) and report latency and throughput.

    The figures are modelled device time, equal on every computer and in every run: NPU execution and the transfers of
    its inputs and outputs over the host link. Work of the host's CPU is not in them.
    """
    from furiosa.isa.files import check_outputs, save
    from furiosa.runtime.bench import BenchConfig, run_bench

    check_outputs(Path(model_path), [output, trace_output])
    kind = _WORKLOADS[workload]
    config = BenchConfig(
        model_path=model_path,
        trace_output=trace_output,
        batch_size=batch,
        compiler_config=_config(compiler_config),
        devices=devices,
        io_threads=io_threads,
        workers=workers,
        queries=queries,
        duration=duration,
        measure_simulator=verbose,
    )
    result = run_bench(config, kind)
    if output is not None:
        save(output, json.dumps(_report(model_path, result, kind), indent=4) + "\n")
    emit(_text(result, kind))
    for note in _notes(result):
        print(note, file=sys.stderr)


def main() -> int:
    """The console script: its exit status."""
    return run(lambda: bench.main(prog_name="furiosa-bench", standalone_mode=False))


def _config(path: Path | None) -> dict[str, Any] | None:
    if path is None:
        return None
    from furiosa.compiler.config import read_config

    return read_config(path)


def _text(result: BenchResult, workload: Workload) -> str:
    """The report as the SDK prints it."""
    rows = [("Min latency", result.latencies[0]), ("Max latency", result.latencies[-1]), ("Mean latency", result.mean)]
    rows += [(label, result.percentile(per_mille)) for per_mille, label in _PERCENTILES]
    return "\n".join(
        [
            _RULE,
            _SENTENCES[workload],
            f"{len(result.latencies)} queries executed with batch size {result.batch_size}",
            "Latency stats are as follows",
            f"QPS(Throughput): {result.queries_per_second:.2f}/s",
            "",
            "Per-query latency:",
            *(f"{label + ' (us)':20}: {_us(value)}" for label, value in rows),
        ]
    )


def _report(path: str, result: BenchResult, workload: Workload) -> dict[str, Any]:
    """The report that ``-o`` writes, keys in the SDK's order."""
    from furiosa.isa.version import built, version_info

    version = version_info()
    return {
        "model_data": {"path": path, "md5": f"{hashlib.md5(Path(path).read_bytes()).hexdigest()}  {path}"},
        "compiler_version": f"{version.version}-{version.stage} (rev: {version.hash[:9]} built_at: {built()})",
        "hal_version": f"Version: {version.version}",
        "git_revision": version.hash[:7],
        "result": {
            "mode": _MODES[workload],
            "total run time": f"{_us(result.total)} us",
            "total num queries": len(result.latencies),
            "batch size": result.batch_size,
            "qps": f"{result.queries_per_second:.2f}/s",
            "latency stats": {
                "min": f"{_us(result.latencies[0])} us",
                "max": f"{_us(result.latencies[-1])} us",
                "mean": f"{_us(result.mean)} us",
                "50th percentile": f"{_us(result.percentile(500))} us",
                "95th percentile": f"{_us(result.percentile(950))} us",
                "99th percentile": f"{_us(result.percentile(990))} us",
                "99.9th percentile": f"{_us(result.percentile(999))} us",
            },
        },
    }


def _notes(result: BenchResult) -> list[str]:
    """What a reader of the figures has to know; for stderr."""
    if result.clock == "device":
        left_out = f"; host steps are not in it: {', '.join(result.left_out)}" if result.left_out else ""
        notes = [f"note: the figures are modelled device time (NPU execution and host link){left_out}"]
    else:
        notes = ["note: the model has no NPU part: the figures are measured time of this computer's CPU"]
    if 0 < result.traced < len(result.latencies):
        notes.append(f"note: the trace shows {result.traced} of {len(result.latencies)} queries")
    if result.speed is not None:
        notes.append(
            f"note: the simulator itself takes {_us(result.speed.seconds * 1e6)} us a query on this computer "
            f"(measured; kernels: {result.speed.kernels})"
        )
    return notes


def _us(microseconds: float) -> int:
    return math.floor(microseconds + 0.5)


if __name__ == "__main__":
    sys.exit(main())
