"""LiteRT's DIV of two 8-bit tensors: what it gives for every pair of stored values.

It multiplies with a reciprocal in fixed point. Numbers of 32 bits stand for reals: divided by 2**31, those "of two
bits" by 2**29. Measured with ``ai-edge-litert`` 2.3 on x86-64.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from furiosa.isa.arithmetic.elementwise import Scaling
from furiosa.isa.arithmetic.lite_tables import doubled_high, fixed_multiplier

Integers = NDArray[np.int64]

_MOST = (1 << 31) - 1
_ONE_OF_TWO_BITS = 1 << 29
_NEWTON = 1515870810, -1010580540
"""48/17 and -32/17 of two bits: the first guess of a reciprocal is linear."""


def lite_division(qa: Scaling, qb: Scaling, qy: Scaling, dtype: str, lo: int, hi: int) -> NDArray[np.generic]:
    """y[a][b] for all stored a and b of ``dtype`` in ascending order, clamped to [lo, hi].

    The quotient is in 31 bits with a shift, which rounds half away from zero. The processor takes shifts modulo 32, so
    that quotients of small dividends and large divisors, which shift by more than 31, are no quotients: LiteRT gives
    those numbers. A divisor of zero, which LiteRT refuses, has the reciprocal that its steps lead to.
    """
    info = np.iinfo(dtype)
    stored = np.arange(info.min, info.max + 1, dtype=np.int64)
    divisor = (stored - qb.zero_point)[None, :]
    dividend = np.where(divisor < 0, -1, 1) * (stored - qa.zero_point)[:, None]
    reciprocal, digits = _reciprocal(np.abs(divisor))
    headroom = 31 - _bits(np.where(dividend < 0, ~dividend, dividend))
    quotient = _high(dividend << headroom, reciprocal)
    scale = np.float32(qa.scale) / (np.float32(qb.scale) * np.float32(qy.scale))
    factor, exponent = fixed_multiplier(float(scale))
    steps = _shifted(_high(quotient, factor), digits + headroom - exponent)
    return np.asarray(np.clip(steps + qy.zero_point, lo, hi).astype(dtype))


def _reciprocal(x: Integers) -> tuple[Integers, Integers]:
    """1 / x as r / 2**31 / 2**digits, by three steps of Newton's method."""
    digits = _bits(x) - 1
    twice = (x << (31 - digits)) - (1 << 31) + _MOST
    half = np.where(twice >= 0, twice + 1, twice - 1) // 2  # of the divisor between 1 and 2
    guess = _NEWTON[0] + _high(half, _NEWTON[1])
    for _ in range(3):
        guess = guess + _saturated(_high(guess, _ONE_OF_TWO_BITS - _high(half, guess)) << 2)
    return _saturated(guess << 1), digits


def _bits(x: Integers) -> Integers:
    """How many bits a number needs that is not negative."""
    return np.frexp(x)[1].astype(np.int64)


def _saturated(x: Integers) -> Integers:
    return np.clip(x, -_MOST - 1, _MOST)


def _high(x: Integers, factor: Integers | int) -> Integers:
    return _saturated(doubled_high(x, factor))


def _shifted(x: Integers, shift: Integers) -> Integers:
    """x / 2**shift, rounded half away from zero, in instructions of 32 bits."""
    mask = ((np.int64(1) << (shift & 63)) - 1).astype(np.int32).astype(np.int64)
    return (x >> (shift & 31)) + ((x & mask) > (mask >> 1) + (x < 0))
