"""furiosa-bench: latency and throughput of a model on modelled devices."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from furiosa.cli.bench_report import numbers, text
from furiosa.cli.bench_report.checks import condition, percentile
from furiosa.cli.bench_report.table import tables
from furiosa.cli.command import Command
from furiosa.cli.errors import emit, run
from furiosa.isa.errors import ExitStatus

if TYPE_CHECKING:
    from furiosa.runtime.bench import Workload

_WORKLOADS: dict[str, Workload] = {"L": "L", "T": "T", "latency": "L", "throughput": "T"}


def _show_version(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        from furiosa.isa.version import version_info
        from furiosa.npu_sim.kernels import choose

        click.echo(f"furiosa-bench {version_info()}\nkernels: {choose()}")
        context.exit()


@click.command(
    cls=Command,
    examples="""
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
@click.option("--warm-up", type=int, default=0, show_default=True, metavar="NUMBER", help="Queries that do not count.")
@click.option(
    "--percentile", "percentiles", multiple=True, metavar="PERCENT",
    help="Report this percentile in place of the usual ones; may be repeated.",
)  # fmt: skip
@click.option(
    "--host", type=click.Choice(("reference", "measured")), default="reference", show_default=True,
    help="What steps on the CPU cost: on a reference host, or as measured on this computer.",
)  # fmt: skip
@click.option("--execute", is_flag=True, help="Also execute all queries, and measure the simulator itself.")
@click.option(
    "--assert", "conditions", multiple=True, metavar="CONDITION",
    help="Exit with status 1 unless it holds: `p99<2ms`, `qps>500`; may be repeated.",
)  # fmt: skip
@click.option("--compare", type=click.Path(path_type=Path), help="Print the difference to the JSON report of a run.")
@click.option("--report", type=click.Path(path_type=Path), help="Write where the time goes as an HTML page.")
@click.option("-v", "--verbose", is_flag=True, help="Also print what was busy, and where the time goes.")
@click.option(
    "-V", "--version", is_flag=True, is_eager=True, expose_value=False, callback=_show_version, help="Show the version."
)
def bench(
    model_path: str, batch: int | None, output: Path | None, compiler_config: Path | None, devices: str | None,
    io_threads: int, duration: float, queries: int, trace_output: Path | None, workers: int, workload: str,
    warm_up: int, percentiles: tuple[str, ...], host: Any, execute: bool, conditions: tuple[str, ...],
    compare: Path | None, report: Path | None, verbose: bool,
) -> int:  # fmt: skip
    """Run a model (ONNX or ENF) and report latency and throughput.

    The figures are modelled time, equal on every computer and in every run: a simulation of queries, host threads,
    I/O threads, the host link and NPUs.
    """
    from furiosa.cli.bench_report import page
    from furiosa.isa.files import check_outputs, save_all
    from furiosa.runtime.bench import BenchConfig, run_bench

    check_outputs([Path(model_path)], [output, trace_output, report])
    wanted = [condition(each) for each in conditions]
    chosen = [percentile(each) for each in percentiles]
    before = numbers.read(compare) if compare is not None else None
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
        warm_up=warm_up,
        host=host,
        execute=execute,
    )
    result = run_bench(config, _WORKLOADS[workload])
    files: dict[Path, str | bytes] = {}
    if output is not None:
        files[output] = json.dumps(numbers.report(model_path, result, chosen), indent=4) + "\n"
    if report is not None:
        files[report] = page.render(result, Path(model_path).name)
    save_all(files)
    emit(text.report(result, chosen))
    if before is not None:
        emit("\n" + numbers.comparison(before, numbers.figures(result, chosen)))
    if verbose:
        emit("\n" + tables(result))
    for note in text.notes(result):
        print(note, file=sys.stderr)
    for each in wanted:
        print(each.answer(result), file=sys.stderr)
    return ExitStatus.OK if all(each.holds(result) for each in wanted) else ExitStatus.NO


def main() -> int:
    """The console script: its exit status."""
    return run(lambda: bench.main(prog_name="furiosa-bench", standalone_mode=False))


def _config(path: Path | None) -> dict[str, Any] | None:
    if path is None:
        return None
    from furiosa.compiler.config import read_config

    return read_config(path)


if __name__ == "__main__":
    sys.exit(main())
