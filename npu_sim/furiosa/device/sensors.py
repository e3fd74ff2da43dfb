"""The sensors of a card. A simulated card has none: the readings follow from its description and never change."""

from __future__ import annotations

from dataclasses import dataclass

from furiosa.npu_sim.devices.host import Card

# Volts of the rails that currents are given for.
_RAILS = {"NE 12V Curr": 12.0, "NE Current": 0.75, "PCI 12V Curr": 12.0, "PCI 3.3V Curr": 3.3}
_VOLTS = {"NE Core 48V Volt": 48.0, "NE Core Volt": 0.75}
# The share of the card's power that a meter sees; the rail of 3.3 V carries none of it.
_POWERS = {
    "NE 12V PWR": 1.0, "NE Core RMS PWR": 1.0, "NE PWR": 1.0, "PCI 12V PWR": 1.0, "PCI 3.3V PWR": 0.0,
    "PCI Total RMS PWR": 1.0,
}  # fmt: skip
# Users read the first as the peak.
_TEMPERATURES = ("Peak", "AMBIENT", "Average", "LPDDR4", "NE", "NE_PE0", "NE_PE1", "NE_TOP", "PCIE", "U74M")


@dataclass(frozen=True, slots=True, repr=False)
class SensorValue:
    """One reading: its label, and its value in whole units, which the fetcher's method states."""

    label: str
    value: int

    def __repr__(self) -> str:
        return f"{self.label}: {self.value}"


class Fetcher:
    """Reads the sensors of one card."""

    def __init__(self, card: Card) -> None:
        self._card = card

    def read_currents(self) -> list[SensorValue]:
        """Currents in mA: the described power over the voltage of each rail."""
        power = self._card.power_watts
        amperes = {label: 0.0 if label == "PCI 3.3V Curr" else power / volts for label, volts in _RAILS.items()}
        return [SensorValue(label, round(1e3 * value)) for label, value in amperes.items()]

    def read_voltages(self) -> list[SensorValue]:
        """Voltages in mV: nominal."""
        return [SensorValue(label, round(1e3 * volts)) for label, volts in _VOLTS.items()]

    def read_powers_average(self) -> list[SensorValue]:
        """Powers in µW: the described power."""
        return [SensorValue(label, round(1e6 * share * self._card.power_watts)) for label, share in _POWERS.items()]

    def read_temperatures(self) -> list[SensorValue]:
        """Temperatures in m°C: the described temperature, everywhere. The first is the peak."""
        return [SensorValue(label, round(1e3 * self._card.temperature_celsius)) for label in _TEMPERATURES]


class AsyncFetcher:
    """``Fetcher`` with methods to be awaited."""

    def __init__(self, card: Card) -> None:
        self._fetcher = Fetcher(card)

    async def read_currents(self) -> list[SensorValue]:
        """Currents in mA."""
        return self._fetcher.read_currents()

    async def read_voltages(self) -> list[SensorValue]:
        """Voltages in mV."""
        return self._fetcher.read_voltages()

    async def read_powers_average(self) -> list[SensorValue]:
        """Powers in µW."""
        return self._fetcher.read_powers_average()

    async def read_temperatures(self) -> list[SensorValue]:
        """Temperatures in m°C. The first is the peak."""
        return self._fetcher.read_temperatures()
