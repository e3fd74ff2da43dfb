"""furiosa-compiler: from a model to a compiled file. Also installed as furiosa-compile."""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from furiosa.cli.command import Command, target_npu
from furiosa.cli.errors import run

if TYPE_CHECKING:
    from furiosa.compiler import Compiled

_TARGET_IRS = ("dfg", "ldfg", "cdfg", "gir", "lir", "enf")


class _Command(Command):
    """The compiler's command: its help begins with the line that SDK users know."""

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        from furiosa.isa.version import built, version_info

        version = version_info()
        formatter.write(f"Furiosa SDK Compiler v{version.version} ({version.hash[:9]} {built()})\n")
        super().format_help(ctx, formatter)


def _show_version(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        from furiosa.isa.version import built, version_info
        from furiosa.npu_sim.kernels import choose

        version = version_info()
        click.echo(f"furiosa-compiler {version}\nkernels: {choose()}\nbackend:\n- version: {version.version}\n"
                   f"- revision: {version.hash[:9]}\n- built: {built()}")  # fmt: skip
        context.exit()


def _tell_unused(_: click.Context, option: click.Parameter, value: object) -> None:
    """Options of older SDKs, which scripts still give: they tuned a search for faster programs."""
    if value:
        click.echo(f"note: `{option.opts[-1]}` has no effect here", err=True)


@click.command(
    cls=_Command,
    examples="""
furiosa-compiler model.onnx                      writes output.enf
furiosa-compiler model.onnx -o model.enf -v      says what runs where, and why
furiosa-compiler model.onnx --target-npu warboy --batch-size 4 --report report.json
furiosa-compiler model.onnx -O2                  searches for a faster schedule
furiosa-compiler model.onnx --target-ir lir      writes the instructions as text""",
)
@click.argument("source", type=click.Path(path_type=Path), metavar="<SOURCE>")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Output file.  [default: output.<TARGET_IR>]")
@click.option(
    "-b", "--batch-size", "--batch", type=click.IntRange(min=1), default=1, show_default=True, metavar="N",
    help="Batch size: multiplies the first axis of every input of a model.",
)  # fmt: skip
@click.option(
    "--target-ir", type=click.Choice(_TARGET_IRS, case_sensitive=False), default="enf", show_default=True,
    help="The layer to stop at; every layer is a SOURCE again.",
)  # fmt: skip
@target_npu("NPU")
@click.option(
    "-O", "level", type=click.IntRange(0, 2), metavar="LEVEL",
    help="Effort for the schedule: 0 fast, 1 the best of a few, 2 a search.  [default: 1]",
)  # fmt: skip
@click.option("--dot-graph", type=click.Path(path_type=Path), metavar="FILE", help="Also write the graph as DOT.")
@click.option(
    "--analyze-memory", type=click.Path(path_type=Path), metavar="FILE", help="Also write the use of SRAM as HTML."
)
@click.option("--report", type=click.Path(path_type=Path), metavar="FILE", help="Also write the report as JSON.")
@click.option("-v", "--verbose", is_flag=True, help="Show what runs where, with reasons, work, memory and time.")
@click.option("-q", "--quiet", is_flag=True, help="Show errors and warnings only.")
@click.option("--no-cache", is_flag=True, help="Do not use the cache of compiler results.")
@click.option("-ga", "--genetic-optimization", hidden=True, expose_value=False, callback=_tell_unused)
@click.option("--auto-batch-size", is_flag=True, hidden=True, expose_value=False, callback=_tell_unused)
@click.option("--split-after-lower", is_flag=True, hidden=True, expose_value=False, callback=_tell_unused)
@click.option(
    "-V", "--version", is_flag=True, is_eager=True, expose_value=False, callback=_show_version, help="Show the version."
)
def compiler(
    source: Path, output: Path | None, batch_size: int, target_ir: str, target_npu: str, level: int | None,
    dot_graph: Path | None, analyze_memory: Path | None, report: Path | None, verbose: bool, quiet: bool,
    no_cache: bool,
) -> None:  # fmt: skip
    """Compile SOURCE, an ONNX model or an IR file (dfg, ldfg, cdfg, gir, lir), for a simulated NPU.

    The format is recognised by content. Progress goes to stderr. Options of the compiler itself are read from the YAML
    file that NPU_COMPILER_CONFIG_PATH names; `-O` comes before its `optimization_level`.
    """
    from furiosa.cli.logs import shown_log
    from furiosa.compiler import compile_model
    from furiosa.compiler.compilation import compiler_options
    from furiosa.isa.files import check_outputs, save_all

    target_ir = target_ir.lower()
    output = output or Path(f"output.{target_ir}")
    check_outputs([source], [output, dot_graph, analyze_memory, report])
    _check_layers(target_ir, {"--analyze-memory": analyze_memory, "--report": report})
    config = None if level is None else {**compiler_options(None), "optimization_level": level}
    with shown_log(quiet):
        compiled = compile_model(
            source, target=target_npu, batch_size=batch_size, config=config, progress=None if quiet else _show,
            target_ir=target_ir, cache_enabled=not no_cache,
        )  # fmt: skip
    files: dict[Path, str | bytes] = {output: compiled.data}
    if dot_graph is not None:
        files[dot_graph] = _dot(compiled)
    if analyze_memory is not None:
        files[analyze_memory] = _memory(compiled, source)
    if report is not None:
        files[report] = json.dumps(_reported(compiled), indent=2) + "\n"
    save_all(files)
    if verbose:
        _show(_details(compiled))


def _check_layers(target_ir: str, files: dict[str, Path | None]) -> None:
    """Raise OptionError for a file about memory or time of a compilation that stops before they are known."""
    from furiosa.isa.errors import OptionError

    for option, path in files.items():
        if path is not None and _TARGET_IRS.index(target_ir) < _TARGET_IRS.index("gir"):
            raise OptionError(f"`{option}` needs the gir layer, `--target-ir {target_ir}` stops before it",
                              hint="leave `--target-ir` out, or use gir, lir or enf")  # fmt: skip


def _show(text: str) -> None:
    """Talk to the user. Progress never ends a compilation, not even on a terminal that lacks a character."""
    encoding = getattr(sys.stderr, "encoding", None) or "utf-8"
    with suppress(OSError, ValueError, AttributeError):  # closed, full or absent
        sys.stderr.write(text.encode(encoding, errors="replace").decode(encoding))
        sys.stderr.flush()


def _dot(compiled: Compiled) -> str:
    from furiosa.compiler.dot import render

    return render(_layer(compiled, "--dot-graph", "cdfg", "ldfg", "dfg"))


def _memory(compiled: Compiled, source: Path) -> str:
    from furiosa.compiler.memory_report import render

    clusters = compiled.layers.get("cdfg")
    return render(_layer(compiled, "--analyze-memory", "gir"), source.name, clusters.graph if clusters else None)


def _reported(compiled: Compiled) -> dict[str, Any]:
    if compiled.report:
        return compiled.report
    from furiosa.compiler.module import linearize
    from furiosa.compiler.report import report

    lir = compiled.layers.get("lir")
    return report(lir if lir is not None else linearize(_layer(compiled, "--report", "gir")))


def _details(compiled: Compiled) -> str:
    """The report as a table; of a compilation that stops early, where the operators run as far as that is known."""
    from furiosa.compiler.report import render, render_placement

    if compiled.report or {"gir", "lir"} & compiled.layers.keys():
        return render(_reported(compiled))
    from furiosa.compiler.placement import placement

    for layer in ("cdfg", "ldfg"):
        if layer in compiled.layers:
            value = compiled.layers[layer]
            return render_placement(placement(getattr(value, "graph", value)))
    return "Where the operators run is settled in the ldfg layer.\n"


def _layer(compiled: Compiled, option: str, *layers: str) -> Any:
    """The first of these layers that the compilation went through. Raises OptionError when there is none."""
    from furiosa.isa.errors import OptionError

    for layer in layers:
        if layer in compiled.layers:
            return compiled.layers[layer]
    raise OptionError(f"`{option}` needs the {layers[0]} layer, which this compilation does not pass through",
                      hint="compile the model itself, to `--target-ir enf`")  # fmt: skip


def main() -> int:
    """The console script: its exit status."""
    return run(lambda: compiler.main(prog_name=Path(sys.argv[0]).name, standalone_mode=False))


if __name__ == "__main__":
    sys.exit(main())
