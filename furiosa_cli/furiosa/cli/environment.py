"""furiosa env: every environment variable of the toolchain, with its value, where that is from, and its meaning."""

from __future__ import annotations

import os
from collections.abc import Sequence

import click

from furiosa.cli.command import Command, run_command
from furiosa.cli.tables import FORMATS, Column, Row, render
from furiosa.isa import env
from furiosa.isa.errors import OptionError

_COLUMNS = (
    Column("Name", "name"),
    Column("Value", "value"),
    Column("Origin", "origin"),
    Column("Meaning", "meaning", width=60),
)


@click.command(
    cls=Command,
    examples="""
furiosa env
furiosa env --format json""",
)
@click.option(
    "--format", "style", type=click.Choice(FORMATS), default="table", show_default=True,
    help="How to print; everything but the table is for programs.",
)  # fmt: skip
def environment(style: str) -> str:
    """Show every environment variable that the toolchain reads. Passwords are masked."""
    return render(style, _COLUMNS, [_row(variable) for variable in env.VARIABLES.values()])


def _row(variable: env.Variable[object]) -> Row:
    origin = "environment" if os.environ.get(variable.name) else "default"
    try:
        value = variable.get()
        shown = "" if value is None else str(value)
    except OptionError:
        shown, origin = "", "environment (unusable)"
    cells = (variable.name, shown, origin, variable.meaning)
    return Row(cells, dict(zip((column.key for column in _COLUMNS), cells, strict=True)))


def main(arguments: Sequence[str]) -> int:
    """`furiosa env`: its exit status."""
    return run_command(environment, "furiosa env", arguments)
