"""What int8 codes over a range would cost: measures of many candidate ranges at once, from a tensor's distribution."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from furiosa.quantizer.histogram import Distribution

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]
Loss = Callable[[Floats, Floats], Floats]
"""The loss of each range, from the lower and the upper ends of all; 0 lies in each of them."""

_DIVERGENCE_BINS = 4096
_LEAST_VALUES = 16 * _DIVERGENCE_BINS


def squared_error(seen: Distribution) -> Loss:
    """The mean squared difference between the values and what their codes stand for.

    A code takes the values nearest to it, so sums over the values between the borders of codes give it without a
    look at each value: sum (x - c)^2 = sum x^2 - 2 c sum x + c^2 n.
    """
    number, total = _summed(seen.counts), _summed(seen.counts * seen.values)
    squares = float(seen.counts @ seen.values**2)

    def loss(lows: Floats, highs: Floats) -> Floats:
        codes = _codes(lows, highs)
        cells = _cells(np.searchsorted(seen.values, _borders(codes)), 0, seen.values.size)
        n, sums = np.diff(number[cells]), np.diff(total[cells])
        errors: Floats = (squares + (codes * (codes * n - 2 * sums)).sum(axis=1)) / number[-1]
        return errors

    return loss


def noise_to_signal(seen: Distribution) -> Loss:
    """One over the SQNR: the mean squared error over the mean square of the values."""
    error = squared_error(seen)
    power = float(seen.counts @ seen.values**2) / int(seen.counts.sum())
    return lambda lows, highs: error(lows, highs) / power


def divergence(seen: Distribution) -> Loss:
    """The Kullback-Leibler divergence between the clipped values and their coded form, as TensorRT calibrates.

    After S. Migacz, "8-bit Inference with TensorRT" (GTC 2017): the reference P counts values in narrow bins, clipped
    ones in the outermost bins of the range; Q spreads the unclipped values of each code evenly over those of its bins
    that are not empty. Zero, which has a code of its own and is often most of a tensor, is left out. Values too few to
    fill the bins decide nothing: then the widest range has the least loss.
    """
    values, counts = _binned(seen)
    everything = counts.sum()
    if everything < _LEAST_VALUES:
        return lambda lows, highs: lows - highs
    number, surprise = _summed(counts), _summed(counts * np.log(counts))

    def loss(lows: Floats, highs: Floats) -> Floats:
        start, stop = np.searchsorted(values, lows), np.searchsorted(values, highs, "right")
        result = np.full(lows.shape, np.inf)
        filled = start < stop
        result[filled] = of_filled(_codes(lows, highs)[filled], start[filled], stop[filled])
        return result

    def of_filled(codes: Floats, start: Indices, stop: Indices) -> Floats:
        cells = _cells(np.searchsorted(values, _borders(codes)), start, stop)
        n = np.diff(number[cells])
        density = n / np.maximum(np.diff(cells), 1)
        result: Floats = surprise[stop] - surprise[start] - (n * np.log(np.maximum(density, 1))).sum(axis=1)
        for edge, clipped in ((start, number[start]), (stop - 1, everything - number[stop])):
            cell = (cells[:, 1:-1] <= edge[:, None]).sum(axis=1)
            own = counts[edge]
            result += (own + clipped) * np.log(own + clipped) - own * np.log(own)
            result -= clipped * np.log(density[np.arange(cell.size), cell])
        result = result / everything + np.log((number[stop] - number[start]) / everything)
        return result

    return loss


def _binned(seen: Distribution) -> tuple[Floats, Floats]:
    """The values in at most `_DIVERGENCE_BINS` bins of one width, without zero and empty bins: points and counts."""
    width = 2.0 ** np.ceil(np.log2((seen.high - seen.low) / _DIVERGENCE_BINS))
    bins = np.trunc(seen.values / width).astype(np.intp)
    counts = np.bincount(bins - bins[0], weights=seen.counts)
    used = np.flatnonzero(counts)
    used = used[used + bins[0] != 0]
    return (used + bins[0]) * width, counts[used]


def _codes(lows: Floats, highs: Floats) -> Floats:
    """The 256 values that int8 stands for, a row for each range; a range around 0 has 0 in the middle."""
    symmetric = lows == -highs
    scale = (highs - lows) / np.where(symmetric, 254, 255)
    zero = np.where(symmetric, 0, np.rint(-128 - lows / scale))
    codes: Floats = scale[:, None] * (np.arange(-128, 128) - zero[:, None])
    return codes


def _borders(codes: Floats) -> Floats:
    return (codes[:, 1:] + codes[:, :-1]) / 2


def _summed(values: ArrayLike) -> Floats:
    """Running sums with a 0 in front: the sum from one index to another is a difference."""
    return np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])


def _cells(borders: Indices, start: Indices | int, stop: Indices | int) -> Indices:
    """Where each code's values begin and the last one's end, in rows, within ``start`` and ``stop``."""
    ends = [np.broadcast_to(np.reshape(end, (-1, 1)), (len(borders), 1)) for end in (start, stop)]
    return np.concatenate([ends[0], np.clip(borders, *ends), ends[1]], axis=1)
