"""Sliding windows of convolutions and pools: kernel, strides, dilations and pads as ONNX's attributes give them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from furiosa.compiler.graph import Op
from furiosa.compiler.ops.table import Node, rule


@dataclass(frozen=True, slots=True)
class Window:
    """Two spatial axes; pads are (top, left, bottom, right). ``extra`` rows and columns lie beyond the bottom and right
    pads because the result was rounded up (ceil_mode).
    """

    kernel: tuple[int, int]
    strides: tuple[int, int]
    dilations: tuple[int, int]
    pads: tuple[int, int, int, int]
    extra: tuple[int, int]


def window(node: Node, shape: tuple[int, ...], kernel: tuple[int, ...], out: tuple[int, ...] | None = None) -> Window:
    """The window of a node on an input of ``shape`` (N, C, ...); a single spatial axis becomes a row of height 1.

    ``out`` is the shape of the result, from which rounding up shows.
    """
    rank = len(shape) - 2
    size = _two(shape[2:], 1)
    kernel2 = _two(node.ints("kernel_shape") or tuple(kernel[-rank:]), 1)
    strides = _two(node.ints("strides", (1,) * rank), 1)
    dilations = _two(node.ints("dilations", (1,) * rank), 1)
    pads = _pads(node, rank, size, kernel2, strides, dilations)
    extra = (0, 0)
    if out is not None:
        rows = _two(out[2:], 1)
        need = [(o - 1) * s + d * (k - 1) + 1 for o, s, d, k in zip(rows, strides, dilations, kernel2)]
        extra = tuple(max(0, n - (z + pads[i] + pads[i + 2])) for i, (n, z) in enumerate(zip(need, size)))  # type: ignore[assignment]
    return Window(kernel2, strides, dilations, pads, extra)


class Windowed(Protocol):
    """The attributes of an operator with windows."""

    kernel_shape: tuple[int, int]
    dilations: tuple[int, int]
    strides: tuple[int, int]
    pads: tuple[int, int, int, int]


def reach(attrs: Windowed) -> tuple[int, int]:
    """Rows and columns from the first to the last tap of the window."""
    rows, columns = (d * (k - 1) + 1 for d, k in zip(attrs.dilations, attrs.kernel_shape))
    return rows, columns


@rule("less than the window", "pad with a Pad operator before it")
def padding_below_kernel(op: Op) -> str | None:
    """the padding must be smaller than the window"""
    rows, columns = reach(op.attrs)
    top, left, bottom, right = op.attrs.pads
    if max(top, bottom) < rows and max(left, right) < columns:
        return None
    return f"padding {op.attrs.pads} of windows of {rows} x {columns}"


@rule(1 << 16, "split the operator")
def window_size(op: Op) -> str | None:
    """windows and strides must be at most 65536 rows and columns"""
    worst = max(*reach(op.attrs), *op.attrs.strides)
    return f"{worst}" if worst > 1 << 16 else None


def _two(values: tuple[int, ...], fill: int) -> tuple[int, int]:
    return (fill, values[0]) if len(values) == 1 else (values[0], values[1])


def _pads(
    node: Node,
    rank: int,
    size: tuple[int, int],
    kernel: tuple[int, int],
    strides: tuple[int, int],
    dilations: tuple[int, int],
) -> tuple[int, int, int, int]:
    mode = node.str("auto_pad", "NOTSET")
    if mode in ("SAME_UPPER", "SAME_LOWER"):
        total = [max(0, (-(-n // s) - 1) * s + d * (k - 1) + 1 - n)
                 for n, s, d, k in zip(size, strides, dilations, kernel)]  # fmt: skip
        small = [t // 2 for t in total]
        large = [t - t // 2 for t in total]
        before, after = (small, large) if mode == "SAME_UPPER" else (large, small)
        return before[0], before[1], after[0], after[1]
    pads = node.ints("pads", (0,) * (2 * rank)) if mode == "NOTSET" else (0,) * (2 * rank)
    if rank == 1:
        return 0, pads[0], 0, pads[1]
    return pads[0], pads[1], pads[2], pads[3]
