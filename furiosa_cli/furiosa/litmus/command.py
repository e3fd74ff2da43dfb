"""furiosa-litmus: the command."""

from __future__ import annotations

import json
import sys
from contextlib import nullcontext, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from furiosa.cli.command import Command, target_npu
from furiosa.cli.errors import emit, run
from furiosa.isa.errors import OptionError

if TYPE_CHECKING:
    from furiosa.litmus.steps import Litmus

_DUMPS = ("full", "structure")


def _show_version(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        from furiosa.isa.version import version_info

        click.echo(f"furiosa-litmus {version_info()}")
        context.exit()


@click.command(
    cls=Command,
    examples="""
furiosa-litmus model.onnx
furiosa-litmus model.onnx --format json > verdict.json
furiosa-litmus model-int8.onnx --skip-quantization --target-npu warboy
furiosa-litmus model.onnx --dump report --dump-model=structure""",
    epilog="""\b
Exit status: 0 the model works; 1 it does not; 2 no such file, no model, or a wrong option;
3 the device cannot be used; 70 a fault of the toolchain.""",
)
@click.argument("model-path", type=click.Path(path_type=Path), metavar="model_path")
@click.option("--dump", metavar="OUTPUT_PREFIX", help="Write logs to the archive OUTPUT_PREFIX-<seconds>.zip.")
@click.option("--dump-model", type=click.Choice(_DUMPS), metavar="[=structure]",
              help="Add the model and a script that repeats the run; `=structure`: without weights.")  # fmt: skip
@click.option("--skip-quantization", is_flag=True, help="The model is quantized: skip steps 1 and 2.")
@target_npu("TARGET_NPU")
@click.option("--format", "form", type=click.Choice(("text", "json")), default="text", show_default=True,
              help="With json, stdout has only the verdict, as JSON.")  # fmt: skip
@click.option("-v", "--verbose", is_flag=True, help="Show what runs where, with reasons.")
@click.option(
    "-V", "--version", is_flag=True, is_eager=True, expose_value=False, callback=_show_version, help="Show the version."
)
def litmus(
    model_path: Path, dump: str | None, dump_model: str | None, skip_quantization: bool, target_npu: str, form: str,
    verbose: bool,
) -> int:  # fmt: skip
    """Check whether an ONNX model works: load and optimize it, quantize it with random data, compile it, run it once.

    The accuracy of the quantized model is not looked at.
    """
    from furiosa.cli.logs import shown_log
    from furiosa.isa.target import target
    from furiosa.litmus.evidence import Evidence
    from furiosa.litmus.options import Options
    from furiosa.litmus.steps import Litmus

    if dump_model and dump is None:
        raise OptionError("`--dump-model` adds the model to an archive that is not asked for",
                          hint="give `--dump OUTPUT_PREFIX` too")  # fmt: skip
    target(target_npu)
    options = Options(model_path, skip_quantization, verbose, target_npu, dump_model)
    test = Litmus(options, Evidence(options, dump))
    with shown_log(), redirect_stdout(sys.stderr) if form == "json" else nullcontext():
        _execute(test)
    if form == "json":
        emit(json.dumps(_values(test), indent=2, ensure_ascii=False))
    return test.status


def _execute(test: Litmus) -> None:
    """Run the test, and say its end on stderr."""
    from furiosa.litmus.talk import explain

    try:
        test.run()
    except BrokenPipeError:
        raise
    except (Exception, SystemExit):
        if test.failed is None or test.failed.error is None:
            raise  # nothing was tested
        explain(test.failed.error)
    print(f"Verdict: {test.verdict}", file=sys.stderr)
    if test.evidence.wanted:
        print(f"Archive: {test.evidence.path}", file=sys.stderr)


def _values(test: Litmus) -> dict[str, Any]:
    """The verdict as plain data."""
    return {
        "schema_version": 1,
        "works": test.failed is None,
        "verdict": test.verdict,
        "exit_status": int(test.status),
        "model": test.options.model.name,
        "target": test.options.target,
        "steps": [
            {
                "step": number,
                "name": step.name,
                "status": step.status,
                "seconds": round(step.seconds, 6),
                "error": _error(step.error),
                "hints": [hint for hint in [getattr(step.error, "hint", None)] if hint],
            }
            for number, step in enumerate(test.steps, 1)
        ],
        "cpu_operators": [
            {key: row[key] for key in ("node", "op", "reason_code", "reason", "actual", "limit", "hint")}
            for row in test.cpu_operators
        ],
        "npu_latency_us": test.report.get("npu_latency_us"),
        "archive": str(test.evidence.path) if test.evidence.wanted else None,
    }


def _error(error: Exception | None) -> dict[str, str | None] | None:
    if error is None:
        return None
    return {"type": type(error).__name__, "message": str(error), "where": getattr(error, "where", None)}


def main() -> int:
    """The console script: its exit status."""
    # An option with or without a value would take the model's path as its value.
    arguments = ["--dump-model=full" if text == "--dump-model" else text for text in sys.argv[1:]]
    return run(lambda: litmus.main(arguments, prog_name="furiosa-litmus", standalone_mode=False))
