"""Device specifications: the text that names devices, such as ``warboy(2)*1`` or ``npu:0:0-1``, as requests."""

from __future__ import annotations

import re
from dataclasses import dataclass

from furiosa.isa.errors import OptionError

FORMS = (
    "warboy(X)*Y",
    "warboy*Y",
    "npu:X:Y",
    "npu:X:Y-Z",
    "npuXpeY",
    "npuXpeY-Z",
    "X:Y",
    "X:Y-Z",
    "npuX",
    "X",
)

# The bound on the digits keeps absurd counts out of the allocation loop; no host comes near it.
_NUMBER = "[0-9]{1,4}"
_ANY = re.compile(rf"warboy(?:\((?P<pes>{_NUMBER})\))?\*(?P<count>{_NUMBER})")
_RANGE = rf"(?P<first>{_NUMBER})(?:-(?P<last>{_NUMBER}))?"
_NAMED = tuple(
    re.compile(pattern)
    for pattern in (
        rf"(?:npu:)?(?P<card>{_NUMBER}):{_RANGE}",
        rf"npu(?P<card>{_NUMBER})pe{_RANGE}",
        rf"(?:npu)?(?P<card>{_NUMBER})(?P<first>)(?P<last>)",
    )
)


@dataclass(frozen=True, slots=True)
class AnyDevices:
    """``count`` free devices of ``pes`` PEs each, whichever they are."""

    text: str
    pes: int
    count: int


@dataclass(frozen=True, slots=True)
class NamedDevice:
    """The device with the file ``name``: ``npu0`` (all PEs of the card), ``npu0pe0`` or ``npu0pe0-1`` (fused)."""

    text: str
    name: str


Request = AnyDevices | NamedDevice


def parse(specification: str) -> tuple[Request, ...]:
    """The requests of a comma-separated specification, left to right.

    Raises OptionError that names the part which is not one of ``FORMS``.
    """
    return tuple(_request(part.strip(), specification) for part in specification.split(","))


def _request(part: str, specification: str) -> Request:
    if match := _ANY.fullmatch(part):
        pes, count = int(match["pes"] or 1), int(match["count"])
        if pes in (1, 2) and count > 0:
            return AnyDevices(part, pes, count)
    for pattern in _NAMED:
        if match := pattern.fullmatch(part):
            card, first, last = int(match["card"]), match["first"], match["last"]
            if not first:
                return NamedDevice(part, f"npu{card}")
            if not last:
                return NamedDevice(part, f"npu{card}pe{int(first)}")
            if int(first) < int(last):
                return NamedDevice(part, f"npu{card}pe{int(first)}-{int(last)}")
    raise OptionError(
        f"`{part}` is not a device specification",
        where=f"device specification `{specification}`" if part != specification else None,
        hint=f"the forms are {', '.join(FORMS)} (X PEs each, 1 or 2, in the first), and comma-separated lists of them",
    )
