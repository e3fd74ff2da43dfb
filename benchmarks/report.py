"""What every benchmark prints: tables for people or JSON for programs, with a description of the computer.

Ratios that `claims.py` limits are printed with their limit and whether it holds.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from importlib import metadata
from pathlib import Path
from typing import Any

from claims import broken, verdict
from furiosa.npu_sim.kernels import available
from timing import Background, Times

SCHEMA_VERSION = 1
# What kernels for integers care about.
_VECTOR_UNITS = ("avx2", "avx_vnni", "avx512f", "avx512bw", "avx512_vnni", "amx_int8", "asimd", "asimddp", "i8mm")
_PACKAGES = ("numpy", "onnx", "onnxruntime", "openvino", "typer")

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: its key in the rows, its heading, and how a value is written."""

    key: str
    heading: str
    write: Callable[[Any], str]


def column(key: str, heading: str = "", digits: int = 0) -> Column:
    """A column; floats are written with this many ``digits`` after the point, nothing is written for None."""

    def write(value: Any) -> str:
        if value is None:
            return ""
        if isinstance(value, bool):
            return "yes" if value else "NO"
        return f"{value:,.{digits}f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else value

    return Column(key, heading or key, write)


Tables = Mapping[str, tuple[Sequence[Column], Sequence[Row]]]


def arguments(
    description: str, networks: Sequence[str] = (), rounds: int | None = None, ratio: str = ""
) -> argparse.ArgumentParser:
    """The options that benchmarks share; ``ratio`` says what ``--max-ratio`` limits."""
    parser = argparse.ArgumentParser(description=description)
    parser.set_defaults(background=Background())
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    parser.add_argument("--check", action="store_true", help="exit with status 1 when a limit of claims.py is broken")
    parser.add_argument("--save", type=Path, help="a folder for the results, as JSON and as tables")
    if networks:
        parser.add_argument("--folder", type=Path, default=Path("build/bench"), help="models; default: build/bench")
        parser.add_argument(
            "--networks", type=names(networks), default=list(networks), help=f"default: {','.join(networks)}"
        )
    if rounds is not None:
        parser.add_argument("--rounds", type=int, default=rounds, help=f"default: {rounds}")
    if ratio:
        parser.add_argument("--max-ratio", type=float, help=f"exit with status 1 when {ratio} is above this")
    return parser


def names(known: Sequence[str]) -> Callable[[str], list[str]]:
    """A type for `argparse`: some of the ``known`` names, separated by commas."""

    def parse(text: str) -> list[str]:
        unknown = sorted(set(text.split(",")) - set(known))
        if unknown:
            raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown)}; known are {', '.join(known)}")
        return text.split(",")

    return parse


def numbers(text: str) -> list[int]:
    """A type for `argparse`: positive integers, separated by commas."""
    values = [int(word) for word in text.split(",")]
    if min(values) < 1:
        raise argparse.ArgumentTypeError("expected numbers of at least 1")
    return values


def spread(times: Times) -> dict[str, float]:
    """The median and the quartiles in milliseconds, under the keys that tables use."""
    low, high = times.quartiles
    return {"median_ms": times.median * 1e3, "low_ms": low * 1e3, "high_ms": high * 1e3}


def spread_columns(digits: int = 1) -> list[Column]:
    """The columns of ``spread``."""
    headings = {"median_ms": "median ms", "low_ms": "25 % ms", "high_ms": "75 % ms"}
    return [column(key, heading, digits) for key, heading in headings.items()]


def emit(benchmark: str, tables: Tables, ratios: Mapping[str, float], options: argparse.Namespace) -> int:
    """Print the results; the exit status is 1 when a ratio breaks its limit under ``--check``, or ``--max-ratio``."""
    most = getattr(options, "max_ratio", None)
    above = {name: ratio for name, ratio in ratios.items() if most is not None and ratio > most}
    background = options.background.share()
    claims = [verdict(name, ratio) for name, ratio in ratios.items()]
    text = "\n\n".join(table(columns, rows) for columns, rows in tables.values())
    text += f"\n\nOther processes took {background:.0%} of the processors meanwhile.\n"
    result = {
        "schema_version": SCHEMA_VERSION,
        "benchmark": benchmark,
        "machine": machine(),
        "background_share": background,
        **{name: [dict(row) for row in rows] for name, (_, rows) in tables.items()},
        "ratios": dict(ratios),
        "claims": [claim for claim in claims if claim["limit"]],
    }
    if options.json:
        print(json.dumps(result, indent=2))
    else:
        print(text)
        if claims:
            print(table(CLAIM_COLUMNS, claims))
    if options.save:
        options.save.mkdir(parents=True, exist_ok=True)
        (options.save / f"{benchmark}.json").write_text(json.dumps(result, indent=2), encoding="utf-8")
        (options.save / f"{benchmark}.md").write_text(text, encoding="utf-8")
    for name, ratio in above.items():
        print(f"{name}: {ratio:.2f} is above {most:g}", file=sys.stderr)
    return 1 if above or (options.check and broken(claims)) else 0


CLAIM_COLUMNS = (column("claim"), column("measured", digits=3), column("limit"), column("holds"))


def progress(text: str) -> None:
    """What is being done, for somebody who waits at a terminal."""
    if sys.stderr.isatty():
        print(text, file=sys.stderr, flush=True)


def table(columns: Sequence[Column], rows: Sequence[Row]) -> str:
    """A Markdown table with aligned columns: numbers to the right."""
    cells = [[each.write(row.get(each.key)) for each in columns] for row in rows]
    texts = [all(isinstance(row.get(each.key), str) for row in rows) for each in columns]
    lines = [[each.heading for each in columns], *cells]
    widths = [max(3, *(len(line[index]) for line in lines)) for index in range(len(columns))]
    rule = [("-" * width if text else "-" * (width - 1) + ":") for width, text in zip(widths, texts)]
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) if text else cell.rjust(width) for cell, width, text in parts) + " |"
        for parts in (list(zip(line, widths, texts)) for line in (lines[0], rule, *cells))
    )


def machine() -> dict[str, Any]:
    """The computer and the versions that a result holds for."""
    model, flags = _processor()
    return {
        "date": date.today().isoformat(),
        "processor": model,
        "vector_units": [flag for flag in _VECTOR_UNITS if flag in flags],
        "cores": len(os.sched_getaffinity(0)),
        "system": platform.platform(),
        "python": platform.python_version(),
        "kernels": list(available()),
        **dict(_versions()),
    }


def _versions() -> Iterator[tuple[str, str]]:
    for name in _PACKAGES:
        try:
            yield name, metadata.version(name)
        except metadata.PackageNotFoundError:
            yield name, "not installed"


def _processor() -> tuple[str, list[str]]:
    """The processor's name, family and model, and its flags, as Linux tells them."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    facts = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in reversed(lines))}
    parts = [facts.get("model name", platform.machine())]
    parts += [f"{key} {facts[key]}" for key in ("cpu family", "model") if key in facts]
    return ", ".join(parts), facts.get("flags", facts.get("Features", "")).split()
