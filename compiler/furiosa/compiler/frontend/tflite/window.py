"""Windows of convolutions and pools: strides, dilations and pads from an operator's options."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Two = tuple[int, int]
Pads = tuple[int, int, int, int]
"""Rows and columns at the top, on the left, at the bottom, on the right."""
SAME = 0
"""The padding that gives a result for every stride; the other one, VALID, is none."""


class WindowError(ValueError):
    """Options that no window has."""


def pair(options: Mapping[str, Any], name: str) -> Two:
    """An option for rows and columns, at least 1 each."""
    suffix = "_factor" if name == "dilation" else ""
    rows, columns = (options[f"{name}_{side}{suffix}"] for side in ("h", "w"))
    if min(rows, columns) < 1:
        raise WindowError(f"its {name}s are {rows, columns}")
    return rows, columns


def padding(
    options: Mapping[str, Any], size: tuple[int, ...], kernel: Two, strides: Two, dilations: Two
) -> tuple[Pads, Two]:
    """The pads of an image of ``size``, and the size of the result."""
    spans = [d * (k - 1) + 1 for d, k in zip(dilations, kernel)]
    if "pads" in options:
        top, left, bottom, right = options["pads"]
        total = [top + bottom, left + right]
        results = [(n + t - span) // s + 1 for n, t, span, s in zip(size, total, spans, strides)]
    elif options["padding"] == SAME:
        results = [-(-n // s) for n, s in zip(size, strides)]
        total = [max(0, (r - 1) * s + span - n) for r, s, span, n in zip(results, strides, spans, size)]
        top, left = total[0] // 2, total[1] // 2
    else:
        results = [(n - span) // s + 1 for n, span, s in zip(size, spans, strides)]
        total, top, left = [0, 0], 0, 0
    if min(results) < 1:
        raise WindowError(f"windows of {spans} do not fit into an image of {size}")
    return (top, left, total[0] - top, total[1] - left), (results[0], results[1])
