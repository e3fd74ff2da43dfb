"""Conditions on the figures of a benchmark, such as ``p99<2ms`` and ``qps>500``: their meaning and their answer."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from furiosa.isa.errors import OptionError

if TYPE_CHECKING:
    from furiosa.runtime.latencies import BenchResult

_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
_MICROSECONDS = {"ns": 1e-3, "us": 1.0, "ms": 1e3, "s": 1e6}
_LATENCIES: dict[str, Callable[[BenchResult], float]] = {
    "min": lambda result: result.latencies.least,
    "max": lambda result: result.latencies.most,
    "mean": lambda result: result.latencies.mean,
    "npu": lambda result: result.npu_us,
}
_FORM = re.compile(r"\s*([a-z]+)([\d.]*)\s*(<=|>=|<|>)\s*(\d+(?:\.\d+)?(?:e[+-]?\d+)?)\s*(/?[a-z]*)\s*")
_HINT = "write for example `p99<2ms`, `mean<=500us`, `max<0.1s`, `npu<1ms` or `qps>500`"


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition: ``figure`` of a result, in us or queries a second, compared with ``limit``."""

    text: str
    figure: Callable[[BenchResult], float]
    comparison: str
    limit: float
    unit: str

    def holds(self, result: BenchResult) -> bool:
        return _COMPARISONS[self.comparison](self.figure(result), self.limit)

    def answer(self, result: BenchResult) -> str:
        """Whether it holds, with the figure, as a line for people."""
        measured = f"{self.figure(result):,.2f}{self.unit}"
        return f"assert {self.text}: {'holds' if self.holds(result) else 'DOES NOT HOLD'}, it is {measured}"


def condition(text: str) -> Condition:
    """Read a condition. Raises OptionError for what is none."""
    found = _FORM.fullmatch(text)
    if found is None:
        raise OptionError(f"`{text}` is no condition", hint=_HINT)
    name, number, comparison, value, unit = found.groups()
    if name == "qps" and not number and unit in ("", "/s"):
        return Condition(text, lambda result: result.queries_per_second, comparison, float(value), "/s")
    if unit not in _MICROSECONDS:
        raise OptionError(f"`{text}` needs a unit of time: ns, us, ms or s", hint=_HINT)
    limit = float(value) * _MICROSECONDS[unit]
    if name == "p" and number:
        percent = percentile(number)
        return Condition(text, lambda result: result.latencies.percentile(percent), comparison, limit, " us")
    if name in _LATENCIES and not number:
        return Condition(text, _LATENCIES[name], comparison, limit, " us")
    raise OptionError(f"`{text}` names no figure: `{name}{number}`", hint=_HINT)


def percentile(text: str) -> Fraction:
    """A percentile, above 0 and at most 100, exactly as written. Raises OptionError."""
    try:
        percent = Fraction(text)
    except (ValueError, ZeroDivisionError):
        percent = Fraction(0)
    if not 0 < percent <= 100:
        raise OptionError(f"`{text}` is no percentile", hint="it is a number above 0 and at most 100, such as 99.9")
    return percent
