"""furiosa ops: where the operators of the ONNX standard run, and what must hold for the NPU to run them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from furiosa.cli.command import Command, run_command
from furiosa.cli.tables import FORMATS, Column, Row, render
from furiosa.isa.errors import ExitStatus, FuriosaError, did_you_mean

if TYPE_CHECKING:
    from furiosa.compiler.ops.catalogue import Entry

_COLUMNS = (Column("Operator", "operator"), Column("Runs on", "device"), Column("What must hold", "restrictions"))
_DEVICES = {"npu": "NPU", "cpu": "CPU", "type": "-"}
_NOTES = {
    "cpu": "no NPU lowering: ONNX Runtime runs it",
    "type": "becomes part of the types of tensors; runs on the CPU at the border of a model",
}


@click.command(
    cls=Command,
    examples="""
furiosa ops
furiosa ops --search conv
furiosa ops --format json""",
)
@click.option("--search", metavar="TEXT", help="Only operators with TEXT in their name, in capitals or not.")
@click.option(
    "--format", "style", type=click.Choice(FORMATS), default="table", show_default=True,
    help="How to print; everything but the table is for programs.",
)  # fmt: skip
def ops(search: str | None, style: str) -> str:
    """Show which ONNX operators run on the NPU, and what must hold for that.

    An operator that breaks one of the sentences, or is not quantized, runs on the CPU. `furiosa-compiler -v` shows the
    reason for each operator of a model.
    """
    from furiosa.compiler.ops.catalogue import catalogue

    everything = catalogue()
    found = [entry for entry in everything if search is None or _matches(entry, search)]
    if not found:
        names = [name for entry in everything for name in (entry.name, *entry.forms)]
        raise _Unknown(f"no operator has `{search}` in its name",
                       hint=did_you_mean(search or "", names) or "`furiosa ops` lists all operators")  # fmt: skip
    lines = _lines if style == "table" else _line
    return render(style, _COLUMNS, [row for entry in found for row in lines(entry)])


class _Unknown(FuriosaError):
    exit_status = ExitStatus.NO


def _matches(entry: Entry, text: str) -> bool:
    return any(text.lower() in name.lower() for name in (entry.name, *entry.forms))


def _lines(entry: Entry) -> Iterator[Row]:
    """For people: a line a sentence."""
    sentences = [restriction.sentence for restriction in entry.restrictions] or [_NOTES[entry.device]]
    firsts = [(entry.name, _DEVICES[entry.device]), *((f"  {form}", "") for form in entry.forms)]
    for index in range(max(len(sentences), len(firsts))):
        first = firsts[index] if index < len(firsts) else ("", "")
        yield Row((*first, sentences[index] if index < len(sentences) else ""), {})


def _line(entry: Entry) -> Iterator[Row]:
    """For programs: a record an operator."""
    record: dict[str, object] = {
        "operator": entry.name,
        "device": entry.device,
        "forms": [*entry.forms],
        "restrictions": [asdict(restriction) for restriction in entry.restrictions],
        "parity": entry.parity,
    }
    yield Row((entry.name, entry.device, "; ".join(each.sentence for each in entry.restrictions)), record)


def main(arguments: Sequence[str]) -> int:
    """`furiosa ops`: its exit status."""
    return run_command(ops, "furiosa ops", arguments)
