"""furiosa cache: what the compiler's cache holds, and making it smaller."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import click

from furiosa.cli.command import Group, run_command
from furiosa.cli.tables import FORMATS, Column, Row, render
from furiosa.compiler.cache import Kept, Store, Trouble, open_store
from furiosa.compiler.cache.upkeep import age, clear, prune, state
from furiosa.isa import env
from furiosa.isa.errors import OptionError

_PATIENCE = 10.0
_LIST = (
    Column("Key", "key"),
    Column("Model", "model"),
    Column("Target", "target"),
    Column("Batch", "batch_size"),
    Column("IR", "target_ir"),
    Column("Size", "size_bytes"),
    Column("Created", "created"),
    Column("State", "state"),
)
_STAT = (
    Column("Store", "store"),
    Column("Enabled", "enabled"),
    Column("Lifetime (s)", "lifetime_s"),
    Column("Results", "results"),
    Column("Expired", "expired"),
    Column("Damaged", "damaged"),
    Column("Size", "size_bytes"),
)
_SHOWN_OF_KEY = 12
_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}

_format = click.option(
    "--format", "style", type=click.Choice(FORMATS), default="table", show_default=True,
    help="How to print; everything but the table is for programs.",
)  # fmt: skip


def _size(text: str) -> int:
    """A number of bytes, such as `500M`; units are powers of 1024."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?", text.strip(), re.IGNORECASE)
    if match is None:
        raise click.BadParameter(f"`{text}` is no size: write a number of bytes, or one with K, M, G or T, as in 500M")
    return int(float(match[1]) * _UNITS[match[2].upper()])


@click.group(
    cls=Group,
    examples="""
furiosa cache list                   what is kept, and whether it would be used
furiosa cache stat --format json     how much that is, for a program
furiosa cache prune --max-size 500M  removes what was used longest ago
furiosa cache clear                  removes everything""",
)
def cache() -> None:
    """Look into the cache of compiler results, and make it smaller.

    The cache is where FC_CACHE_STORE_URL says: a folder (~/.cache/furiosa/compiler), or a Redis server.
    """


@cache.command(
    name="list",
    examples="""
furiosa cache list
furiosa cache list --format csv""",
)
@_format
def list_command(style: str) -> str:
    """Show every result that is kept, the newest first."""
    lifetime = env.CACHE_LIFETIME.get()
    with _opened() as store:
        entries = sorted(store.entries(), key=age)
    return render(style, _LIST, [_list_row(kept, lifetime, style) for kept in entries])


@cache.command(
    examples="""
furiosa cache stat
furiosa cache stat --format json"""
)
@_format
def stat(style: str) -> str:
    """Show where the cache is, how it is set up, and how much it holds."""
    lifetime = env.CACHE_LIFETIME.get()
    with _opened() as store:
        entries = [*store.entries()]
    states = [state(kept, lifetime) for kept in entries]
    size = sum(kept.size for kept in entries)
    record: dict[str, object] = {
        "store": str(env.CACHE_STORE.get()),
        "enabled": env.CACHE_ENABLED.get(),
        "lifetime_s": lifetime,
        "results": len(entries),
        "expired": states.count("expired"),
        "damaged": states.count("damaged"),
        "size_bytes": size,
    }
    return render(style, _STAT, [_row(record, {"size_bytes": _bytes(size)}, style)])


@cache.command(
    name="clear",
    examples="""
furiosa cache clear""",
)
def clear_command() -> str:
    """Remove every result that is kept."""
    with _opened() as store:
        return _removed(clear(store))


@cache.command(
    name="prune",
    examples="""
furiosa cache prune
furiosa cache prune --max-size 500M""",
)
@click.option("--max-size", type=_size, metavar="SIZE", help="What may be left, in bytes or as 500M, 2G.")
def prune_command(max_size: int | None) -> str:
    """Remove what is damaged or past its time, then what was used longest ago."""
    with _opened() as store:
        return _removed(prune(store, max_size))


def main(arguments: Sequence[str]) -> int:
    """Run `furiosa cache` with these arguments; returns its exit status."""
    return run_command(cache, "furiosa cache", arguments)


@contextmanager
def _opened() -> Iterator[Store]:
    """The store that the environment names; what goes wrong with it inside leaves as OptionError."""
    url = env.CACHE_STORE.get()
    try:
        yield open_store(url, _PATIENCE)
    except Trouble as trouble:
        raise OptionError(f"the compiler cache `{url}` cannot be used: {trouble}",
                          hint=f"`{env.CACHE_STORE.name}` says where it is") from None  # fmt: skip


def _list_row(kept: Kept, lifetime: int, style: str) -> Row:
    facts = kept.facts
    created = datetime.datetime.fromtimestamp(facts.created if facts else kept.used, datetime.timezone.utc)
    record: dict[str, object] = {
        "key": kept.name,
        "model": facts.model if facts else None,
        "target": facts.target if facts else None,
        "batch_size": facts.batch_size if facts else None,
        "target_ir": facts.target_ir if facts else None,
        "size_bytes": kept.size,
        "created": created.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "state": state(kept, lifetime),
    }
    return _row(record, {"key": kept.name[:_SHOWN_OF_KEY], "size_bytes": _bytes(kept.size)}, style)


def _row(record: dict[str, object], for_people: dict[str, str], style: str) -> Row:
    values = record | for_people if style == "table" else record
    return Row(["-" if value is None else str(value) for value in values.values()], record)


def _removed(entries: Sequence[Kept]) -> str:
    results = "1 result" if len(entries) == 1 else f"{len(entries)} results"
    return f"removed {results}, {_bytes(sum(kept.size for kept in entries))}"


def _bytes(size: int) -> str:
    for unit, bytes_a_unit in (("MiB", 2**20), ("KiB", 2**10)):
        if size >= bytes_a_unit:
            return f"{size / bytes_a_unit:.1f} {unit}"
    return f"{size} B"
