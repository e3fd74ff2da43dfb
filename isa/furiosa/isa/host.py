"""The reference host: what steps on a computer's CPU cost in modelled time, by bytes and operations."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from furiosa.isa.target import read_toml

_FILE = Path(__file__).parent / "targets" / "host.toml"
_SECOND = 1_000_000_000


@dataclass(frozen=True, slots=True)
class ReferenceHost:
    """A host as seen by a step: meanings, units and sources of the figures stand in ``targets/host.toml``.

    Costs are in ns of one thread, rounded up: a fixed start plus bytes and operations, each divided by its rate.
    """

    threads: int
    step_start_ns: int
    bytes_per_second: int
    layout_bytes_per_second: int
    quantize_elements_per_second: int
    dequantize_elements_per_second: int
    operator_start_ns: int
    macs_per_second: int
    elements_per_second: int
    transfer_start_ns: int

    def copy_ns(self, moved: int) -> int:
        """A copy, or a conversion between integers: ``moved`` are the bytes read plus those written."""
        return self.step_start_ns + _time(moved, self.bytes_per_second)

    def layout_ns(self, moved: int) -> int:
        """Lower or Unlower: ``moved`` are the bytes read plus those written."""
        return self.step_start_ns + _time(moved, self.layout_bytes_per_second)

    def quantize_ns(self, elements: int) -> int:
        """Float32 to one-byte integers: 5 bytes an element are moved, and each is scaled, rounded and clamped."""
        return self.copy_ns(5 * elements) + _time(elements, self.quantize_elements_per_second)

    def dequantize_ns(self, elements: int) -> int:
        """One-byte integers to float32: 5 bytes an element are moved, and each is scaled."""
        return self.copy_ns(5 * elements) + _time(elements, self.dequantize_elements_per_second)

    def cluster_ns(self, operators: int, moved: int, macs: int, elements: int) -> int:
        """A CPU cluster: starts of its operators, bytes between them, multiply-accumulates, and other results."""
        work = _time(moved, self.bytes_per_second) + _time(macs, self.macs_per_second)
        return (
            self.step_start_ns + operators * self.operator_start_ns + work + _time(elements, self.elements_per_second)
        )


def _time(amount: int, per_second: int) -> int:
    return -(-amount * _SECOND // per_second)


@cache
def reference_host() -> ReferenceHost:
    """The host that modelled runs assume."""
    return ReferenceHost(**read_toml(_FILE))
