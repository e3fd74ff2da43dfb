"""furiosactl: what the NPUs of this host are, and who uses them."""

from __future__ import annotations

import sys
from contextlib import suppress

import click

from furiosa.cli.command import Group, run_command
from furiosa.cli.errors import emit, run
from furiosa.cli.tables import FORMATS, Column, Row, render
from furiosa.npu_sim.devices.host import Card, cards
from furiosa.npu_sim.devices.usage import Occupants, by_device, occupants

_INFO = (
    Column("NPU", "dev_name"),
    Column("Name", "product_name"),
    Column("UUID", "device_uuid"),
    Column("S/N", "device_sn"),
    Column("Firmware", "firmware"),
    Column("Temp.", "temperature"),
    Column("Power", "power"),
    Column("PCI-BDF", "pci_bdf"),
    Column("PCI-DEV", "pci_dev"),
)
_ONLY_FULL = ("device_uuid", "device_sn", "pci_dev")
_LIST = (Column("NPU", "dev_name"), Column("Cores", "cores"), Column("DEVFILES", "dev_files"))
_PS = (Column("NPU", "dev_name"), Column("PID", "pid"), Column("CMD", "cmd"))

_format = click.option(
    "--format",
    "style",
    type=click.Choice(FORMATS),
    default="table",
    show_default=True,
    help="How to print; everything but the table is for programs.",
)


def _show_version(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        from furiosa.isa.version import version_info

        click.echo(f"furiosactl {version_info()}")
        context.exit()


@click.group(
    cls=Group,
    examples="""
furiosactl info --full          identity, firmware and sensors of every card
furiosactl list --format json   cores and device files, for a program
furiosactl ps                   who uses which device
furiosactl top                  how busy they are""",
)
@click.option(
    "-V", "--version", is_flag=True, is_eager=True, expose_value=False, callback=_show_version, help="Show the version."
)
def furiosactl() -> None:
    """Show the NPUs of this host: simulated FuriosaAI Warboy cards."""


@furiosactl.command(
    examples="""
furiosactl info
furiosactl info --full
furiosactl info --format json"""
)
@click.option("--full", is_flag=True, help="Also show UUID, serial number and device numbers in the table.")
@_format
def info(full: bool, style: str) -> str:
    """Show identity, firmware and sensors of every card.

    The values are those of the described host (FURIOSA_SIM_CONFIG), not measurements.
    """
    return render(style, _INFO, [_info_row(card) for card in cards()], () if full else _ONLY_FULL)


@furiosactl.command(
    name="list",
    examples="""
furiosactl list
furiosactl list --format yaml""",
)
@_format
def list_command(style: str) -> str:
    """Show the cores of every card, their use, and the device files."""
    found = cards()
    used = occupants(found)
    return render(style, _LIST, [_list_row(card, used) for card in found])


@furiosactl.command(
    examples="""
furiosactl ps
furiosactl ps --format csv"""
)
@_format
def ps(style: str) -> str:
    """Show the processes that have opened a device at this moment."""
    rows = []
    for user in by_device(occupants(cards())):
        cells = (user.file.name, "-" if user.pid is None else str(user.pid), user.command or "-")
        rows.append(Row(cells, {"dev_name": user.file.name, "pid": user.pid, "cmd": user.command}))
    return render(style, _PS, rows)


@furiosactl.command(
    examples="""
furiosactl top
furiosactl top --interval 200
furiosactl top --count 10 --format json   ten intervals, one JSON object a line"""
)
@click.option(
    "--interval", type=click.IntRange(min=1), default=1000, show_default=True, metavar="MS", help="Milliseconds."
)
@click.option("--count", type=click.IntRange(min=1), metavar="N", help="Stop after N intervals.  [default: Ctrl+C]")
@click.option("--format", "style", type=click.Choice(("table", "json", "csv")), default="table", show_default=True,
              help="How to print; everything but the table is for programs.")  # fmt: skip
def top(interval: int, count: int | None, style: str) -> None:
    """Show how busy every device in use is, once an interval.

    NPU(%) is modelled time over the time that passed, Comp(%) and I/O(%) are shares of the modelled time.
    """
    from furiosa.cli.top import stream

    with suppress(KeyboardInterrupt):  # the documented way to stop it
        stream(style, interval, count, emit)


def main() -> int:
    """The console script: its exit status."""
    return run(lambda: run_command(furiosactl, "furiosactl", sys.argv[1:]))


def _info_row(card: Card) -> Row:
    power = f"{card.power_watts:.2f} W"
    identity = (card.name, "warboy", card.uuid, card.serial, card.firmware)
    place = (power, card.pci_bdf, card.pci_dev)
    cells = (*identity, f"{card.temperature_celsius:3d}°C", *place)
    values = (*identity, f"{card.temperature_celsius}°C", *place)
    return Row(cells, {column.key: value for column, value in zip(_INFO, values, strict=True)})


def _list_row(card: Card, used: Occupants) -> Row:
    files = [file.name for file in card.files]
    texts: list[str] = []
    cores: list[dict[str, object]] = []
    for pe in card.files[0].pes:
        user = used.get((card.index, pe))
        texts.append(f"{pe} (available)" if user is None else f"{pe} (occupied by {user.file.name})")
        status = "available" if user is None else "occupied"
        cores.append({"core": pe, "status": status, "occupied_by": None if user is None else user.file.name})
    cells = (card.name, ", ".join(texts), ", ".join(files))
    return Row(cells, {"dev_name": card.name, "cores": cores, "dev_files": files})


if __name__ == "__main__":
    sys.exit(main())
