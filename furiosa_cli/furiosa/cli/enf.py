"""furiosa enf: what a compiled file holds."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from itertools import chain, repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from furiosa.cli.command import Group, run_command
from furiosa.cli.tables import Column, Row, render

if TYPE_CHECKING:
    from furiosa.isa.enf import Enf, Program

SCHEMA_VERSION = 1
_STEPS = (Column("Step", "step"), Column("Reads", "reads"), Column("Writes", "writes"))
_TENSORS = (Column("Tensor", "name"), Column("Shape", "shape"), Column("Type", "dtype"), Column("Format", "format"))
_PROGRAM = (Column("#", "index"), Column("Instruction", "instruction"), Column("Node of the model", "node"))
_COUNTS = (Column("Instruction", "instruction"), Column("Count", "count"))


@click.group(
    cls=Group,
    examples="""
furiosa enf show model.enf   steps, programs and memory
furiosa enf show --help      more of it""",
)
def enf() -> None:
    """Look into compiled files."""


@enf.command(
    examples="""
furiosa enf show model.enf
furiosa enf show model.enf --instructions   each instruction and the model's node it comes from
furiosa enf show model.enf --format json"""
)
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE")
@click.option("--instructions", is_flag=True, help="List every instruction instead of counts.")
@click.option("--format", "style", type=click.Choice(("table", "json")), default="table", show_default=True,
              help="JSON always has every instruction.")  # fmt: skip
def show(file: Path, instructions: bool, style: str) -> str:
    """Show the inputs, outputs, steps, programs and memory of FILE."""
    from furiosa.isa.enf import read

    model = read(file)
    return json.dumps(_record(model)) if style == "json" else _text(model, instructions)


def _text(model: Enf, instructions: bool) -> str:
    report: dict[str, Any] = json.loads(model.report or "{}")
    parts = [f"target {model.target}, batch size {model.batch_size}, made by {model.made_by}"]
    if report:
        parts[0] += f"\nNPU time (modelled): {report['npu_latency_us']} us, {report['macs']:,} MAC"
    parts += [_tensors("Inputs", model, model.inputs), _tensors("Outputs", model, model.outputs)]
    steps = [_step(step) for step in model.steps]
    parts.append("Steps of one inference\n" + render("table", _STEPS, [Row(cells, {}) for cells in steps]))
    parts += [_program(index, program, instructions) for index, program in enumerate(model.programs)]
    if model.cpu_models:
        sizes = ", ".join(f"{len(data):,}" for data in model.cpu_models)
        parts.append(f"CPU clusters (ONNX): {len(model.cpu_models)}, {sizes} bytes")
    return "\n\n".join(parts)


def _tensors(title: str, model: Enf, names: Sequence[str]) -> str:
    types = {tensor.name: tensor for tensor in model.tensors}
    rows = [Row((name, "x".join(map(str, types[name].shape)), types[name].dtype.value, types[name].format), {})
            for name in names if name in types]  # fmt: skip
    return f"{title}\n{render('table', _TENSORS, rows)}"


def _step(step: object) -> tuple[str, str, str]:
    """Kind, what it reads and what it writes."""
    kind = type(step).__name__
    if hasattr(step, "inputs"):
        number = getattr(step, "program", getattr(step, "model", 0))
        return f"{kind} {number}", ", ".join(step.inputs), ", ".join(getattr(step, "outputs", ()))
    return kind, str(getattr(step, "x", "")), str(getattr(step, "y", ""))


def _decoded(program: Program) -> list[tuple[str, str]]:
    """Each instruction's name, and the model's node that it comes from."""
    from furiosa.isa.encoding import decode

    nodes = chain(chain.from_iterable(repeat(origin.node, origin.count) for origin in program.origins), repeat(""))
    return [(instruction.label, node) for instruction, node in zip(decode(program.code), nodes)]


def _program(index: int, program: Program, instructions: bool) -> str:
    found = _decoded(program)
    head = (f"Program {index}: {len(found)} instructions, {len(program.constants):,} bytes of constants, "
            f"SRAM {program.sram_bytes:,}, DRAM {program.dram_bytes:,} bytes")  # fmt: skip
    if instructions:
        rows = [Row((str(i), name, node), {}) for i, (name, node) in enumerate(found)]
        return f"{head}\n{render('table', _PROGRAM, rows)}"
    counts = Counter(name for name, _ in found)
    return f"{head}\n{render('table', _COUNTS, [Row((name, str(n)), {}) for name, n in counts.most_common()])}"


def _record(model: Enf) -> dict[str, Any]:
    types = {tensor.name: tensor for tensor in model.tensors}

    def tensors(names: Sequence[str]) -> list[dict[str, Any]]:
        return [{"name": n, "shape": list(types[n].shape), "dtype": types[n].dtype.value, "format": types[n].format}
                for n in names if n in types]  # fmt: skip

    programs = [
        {
            "constants_bytes": len(program.constants),
            "sram_bytes": program.sram_bytes,
            "dram_bytes": program.dram_bytes,
            "instructions": [{"instruction": name, "node": node} for name, node in _decoded(program)],
        }
        for program in model.programs
    ]
    return {
        "schema_version": SCHEMA_VERSION,
        "target": model.target,
        "batch_size": model.batch_size,
        "made_by": model.made_by,
        "inputs": tensors(model.inputs),
        "outputs": tensors(model.outputs),
        "steps": [dict(zip(("step", "reads", "writes"), _step(step), strict=True)) for step in model.steps],
        "programs": programs,
        "cpu_models_bytes": [len(data) for data in model.cpu_models],
        "report": json.loads(model.report or "{}"),
    }


def main(arguments: Sequence[str]) -> int:
    """`furiosa enf`: its exit status."""
    return run_command(enf, "furiosa enf", arguments)
