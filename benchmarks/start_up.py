"""How long commands take to start, as whole processes, against `import typer` and against an empty Python.

python benchmarks/start_up.py [--rounds 25] [--json] [--max-ratio 1.6]
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from report import arguments, column, emit, spread, spread_columns
from timing import alternate, process_seconds

MODULES = {
    "furiosa": "furiosa.cli.main",
    "furiosa-bench": "furiosa.cli.bench",
    "furiosa-compiler": "furiosa.cli.compiler",
    "furiosactl": "furiosa.cli.furiosactl",
}
COMMANDS = (
    ("furiosactl", "list"),
    ("furiosactl", "info"),
    ("furiosactl", "--version"),
    ("furiosa", "--version"),
    ("furiosa-compiler", "--version"),
    ("furiosa-bench", "--version"),
)
TYPER, EMPTY = 'python -c "import typer"', "python -c pass"


def process(command: Sequence[str]) -> list[str | Path]:
    """The process that a user starts: the installed command, or its module where the package is not installed."""
    installed = Path(sys.executable).with_name(command[0])
    program: list[str | Path] = [installed] if installed.exists() else [sys.executable, "-m", MODULES[command[0]]]
    return [*program, *command[1:]]


def main() -> int:
    parser = arguments("Measure the start of commands.", rounds=25, ratio="`furiosactl list` over `import typer`")
    options = parser.parse_args()
    processes: dict[str, list[str | Path]] = {" ".join(command): process(command) for command in COMMANDS}
    processes[TYPER] = [sys.executable, "-c", "import typer"]
    processes[EMPTY] = [sys.executable, "-c", "pass"]
    with tempfile.TemporaryDirectory() as state:
        os.environ["FURIOSA_SIM_STATE_DIR"] = state
        measured = {name: partial(process_seconds, words) for name, words in processes.items()}
        alternate(measured, 1)  # brings files into the computer's memory
        times = alternate(measured, options.rounds)
    typer = times[TYPER].median
    rows = [{"process": name, **spread(each), "ratio": each.median / typer} for name, each in times.items()]
    columns = [column("process"), *spread_columns(), column("ratio", "/ import typer", 2)]
    ratios = {"furiosactl list / import typer": times["furiosactl list"].median / typer}
    return emit("start_up", {"processes": (columns, rows)}, ratios, options)


if __name__ == "__main__":
    sys.exit(main())
