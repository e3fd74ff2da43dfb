"""Listings: rows of the same kind as an ASCII table, JSON, YAML or CSV."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest

FORMATS = ("table", "json", "yaml", "csv")


@dataclass(frozen=True, slots=True)
class Column:
    """The title that a table shows for a column, and the key that the other formats use.

    A table breaks cells into lines of at most ``width`` characters, where that is given.
    """

    title: str
    key: str
    width: int | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One thing that is listed: its cells, one a column, and the same as a mapping of the columns' keys to values."""

    cells: Sequence[str]
    record: dict[str, object]


def render(style: str, columns: Sequence[Column], rows: Sequence[Row], hidden: Sequence[str] = ()) -> str:
    """The listing in one of ``FORMATS``, without a final line end; a table leaves out the columns with a hidden key.

    CSV has the keys in its first line and the cells below. JSON is a list of objects on one line.
    """
    if style == "json":
        import json

        return json.dumps([row.record for row in rows], ensure_ascii=False, separators=(",", ":"))
    if style == "yaml":
        import yaml

        content = yaml.safe_dump([row.record for row in rows], sort_keys=False, allow_unicode=True, width=2**16)
        return str(content).rstrip("\n")
    if style == "csv":
        return _csv([[column.key for column in columns], *([cell.strip() for cell in row.cells] for row in rows)])
    shown = [index for index, column in enumerate(columns) if column.key not in hidden]
    lines = (line for row in rows for line in _broken([columns[i] for i in shown], [row.cells[i] for i in shown]))
    return _table([columns[i].title for i in shown], [*lines])


def _broken(columns: Sequence[Column], cells: Sequence[str]) -> Iterator[Sequence[str]]:
    """The lines of one row."""
    if not any(column.width for column in columns):
        return iter([cells])
    from textwrap import wrap

    parts = [wrap(cell, column.width) if column.width else [cell] for column, cell in zip(columns, cells, strict=True)]
    return zip_longest(*parts, fillvalue="")


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [titles, *([_plain(cell) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    rule = "+".join(["", *("-" * (width + 2) for width in widths), ""])
    texts = ["| " + " | ".join(map(str.ljust, line, widths)) + " |" for line in lines]
    return "\n".join([rule, texts[0], rule, *texts[1:], *([rule] if rows else [])])


def _plain(cell: str) -> str:
    """A cell that stays on its line: command lines may hold line ends and escape sequences."""
    return "".join(character if character.isprintable() else " " for character in cell)


def _csv(lines: Sequence[Sequence[str]]) -> str:
    import csv
    import io

    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows(lines)
    return buffer.getvalue().rstrip("\n")
