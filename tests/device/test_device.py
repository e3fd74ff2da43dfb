"""furiosa.device: the members that SDK programs call, on a described host and while devices are in use."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.npu_sim.simulated_host import describe_host, isolate

import furiosa.device
from furiosa.device import sync
from furiosa.device.sync import Arch, CoreRangeType, DeviceConfig, DeviceMode
from furiosa.isa.errors import DeviceError, OptionError
from furiosa.npu_sim.devices import open_devices

LABELS = {
    "read_currents": ["NE 12V Curr", "NE Current", "PCI 12V Curr", "PCI 3.3V Curr"],
    "read_voltages": ["NE Core 48V Volt", "NE Core Volt"],
    "read_powers_average": [
        "NE 12V PWR", "NE Core RMS PWR", "NE PWR", "PCI 12V PWR", "PCI 3.3V PWR", "PCI Total RMS PWR",
    ],
    "read_temperatures": [
        "AMBIENT", "Average", "LPDDR4", "NE", "NE_PE0", "NE_PE1", "NE_TOP", "PCIE", "Peak", "U74M",
    ],
}  # fmt: skip


@pytest.fixture(autouse=True)
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    isolate(tmp_path / "state", monkeypatch)


def two_cards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    describe_host(tmp_path, monkeypatch, "cards:\n  - temperature_celsius: 47\n  - power_watts: 2.5\n")


def test_the_default_host_has_one_card() -> None:
    (device,) = sync.list_devices()
    assert (str(device), device.name(), device.device_index(), device.core_num()) == ("npu0", "npu0", 0, 2)
    assert (device.arch(), device.alive(), device.cores()) == (Arch.Warboy, True, [0, 1])
    assert device.firmware_version() == "1.7.3, 3c10fd3"
    assert [str(file) for file in device.dev_files()] == ["npu0", "npu0pe0", "npu0pe1", "npu0pe0-1"]
    assert sync.get_device(0).name() == sync.get_device("npu0").name() == "npu0"


@pytest.mark.parametrize(
    ("name", "mode", "cores"),
    [("npu0", DeviceMode.MultiCore, None), ("npu0pe1", DeviceMode.Single, (1, 1)),
     ("npu0pe0-1", DeviceMode.Fusion, (0, 1))],
)  # fmt: skip
def test_a_device_file_tells_its_cores(name: str, mode: DeviceMode, cores: tuple[int, int] | None) -> None:
    file = sync.get_device_file(name)
    assert (file.filename(), file.path(), file.device_index(), file.mode()) == (name, f"/dev/{name}", 0, mode)
    range_ = file.core_range()
    assert (range_.range_type is CoreRangeType.All, range_.value) == (cores is None, cores)
    assert [range_.contains(core) for core in (0, 1)] == [cores is None or c in range(cores[0], cores[1] + 1)
                                                          for c in (0, 1)]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "normal", "mode"),
    [
        ("0:0", "0:0", DeviceMode.Single),
        ("npu:0:0-1", "0:0-1", DeviceMode.Fusion),
        ("npu3pe1", "3:1", DeviceMode.Single),
        ("npu1", "1", DeviceMode.MultiCore),
        ("warboy(2)*4", "warboy(2)*4", DeviceMode.Fusion),
        ("warboy*2", "warboy(1)*2", DeviceMode.Single),
        ("npu:0:0, npu:0:1", "0:0,0:1", DeviceMode.Single),
    ],
)
def test_configurations_are_normalised(text: str, normal: str, mode: DeviceMode) -> None:
    config = DeviceConfig.from_str(text)
    assert (str(config), config.mode) == (normal, mode)
    assert str(DeviceConfig.from_str(str(config))) == normal


@pytest.mark.parametrize("text", ["warboy", "warboy*", "*1", "warboy(2*10", "0:", ":0", "0:1-0", "npu0pe", ""])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(OptionError, match="not a device specification"):
        DeviceConfig.from_str(text)


def test_configurations_from_parts_and_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert str(DeviceConfig()) == "warboy(2)*1"
    assert str(DeviceConfig(mode=DeviceMode.Single, count=2)) == "warboy(1)*2"
    monkeypatch.setenv("MY_NPU", "npu0pe1")
    assert str(DeviceConfig.from_env("MY_NPU")) == "0:1"
    monkeypatch.delenv("MY_NPU")
    with pytest.raises(OptionError, match="MY_NPU"):
        DeviceConfig.from_env("MY_NPU")


def test_files_are_found_as_sessions_take_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert [str(file) for file in sync.find_device_files("warboy(1)*2")] == ["npu0pe0", "npu0pe1"]
    two_cards(tmp_path, monkeypatch)
    assert [str(f) for f in sync.find_device_files("warboy(1)*4")] == ["npu0pe0", "npu0pe1", "npu1pe0", "npu1pe1"]
    assert [str(f) for f in sync.find_device_files("0:1,warboy(2)*1")] == ["npu0pe1", "npu1pe0-1"]
    assert [str(f) for f in sync.find_device_files(DeviceConfig())] == ["npu0pe0-1"]


@pytest.mark.parametrize("text", ["npu0pe0,npu0pe0", "npu0pe0-1,npu0pe1", "warboy(2)*2", "npu7", "warboy(1)*1,npu0"])
def test_what_cannot_be_served_is_refused(text: str) -> None:
    with pytest.raises(DeviceError, match=r"npu|warboy"):
        sync.find_device_files(text)


def test_use_shows_in_status_files_and_counters() -> None:
    device = sync.get_device(0)
    assert repr(device.get_status_all()) == "{0: Available, 1: Available}"
    before = {str(file): counter for file, counter in device.performance_counters()}
    assert list(before) == ["npu0pe0", "npu0pe1", "npu0pe0-1"]
    (opened,) = open_devices("npu0pe1")
    with opened:
        assert repr(device.get_status_core(1)) == "Occupied by npu0pe1"
        assert repr(device.get_status_core(0)) == "Available"
        assert [str(file) for file in sync.find_device_files("warboy(1)*1")] == ["npu0pe0"]
        with pytest.raises(DeviceError, match="in use"):
            sync.find_device_files("npu0")
        opened.charge(10**12, 7 * 10**11, 3 * 10**11)
        after = {str(file): counter for file, counter in device.performance_counters()}
        busy = after["npu0pe1"].calculate_utilization(before["npu0pe1"])
        idle = after["npu0pe0"].calculate_utilization(before["npu0pe0"])
    assert busy.npu_utilization() == 1.0
    assert busy.computation_ratio() == pytest.approx(0.7)
    assert idle.npu_utilization() == 0.0


@pytest.mark.parametrize("method", LABELS)
def test_sensors_have_the_documented_labels(method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    two_cards(tmp_path, monkeypatch)
    values = getattr(sync.get_device(0).get_hwmon_fetcher(), method)()
    assert sorted(value.label for value in values) == LABELS[method]
    assert repr(values[0]) == f"{values[0].label}: {values[0].value}"


def test_sensors_follow_the_description(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    two_cards(tmp_path, monkeypatch)
    first, second = (device.get_hwmon_fetcher() for device in sync.list_devices())
    assert repr(first.read_temperatures()[0]) == "Peak: 47000"
    assert "PCI Total RMS PWR: 2500000" in map(repr, second.read_powers_average())


def test_the_same_with_asyncio() -> None:
    async def main() -> None:
        (device,) = await furiosa.device.list_devices()
        assert repr(await device.get_status_all()) == "{0: Available, 1: Available}"
        assert repr(await device.get_status_core(0)) == "Available"
        assert (await device.get_hwmon_fetcher().read_temperatures())[0].label == "Peak"
        assert [str(file) for file in await furiosa.device.find_device_files("warboy(1)*2")] == ["npu0pe0", "npu0pe1"]
        assert str(await furiosa.device.get_device(0)) == "npu0"
        assert str(await furiosa.device.get_device_file("npu0pe0")) == "npu0pe0"

    asyncio.run(main())


def test_the_name_of_the_native_module() -> None:
    from furiosa.device import furiosa_native_device_sync

    assert furiosa_native_device_sync.list_devices is sync.list_devices


def test_what_is_not_there_is_named() -> None:
    with pytest.raises(DeviceError, match="no device `3`"):
        sync.get_device(3)
    with pytest.raises(DeviceError, match="no device file `npu9`"):
        sync.get_device_file("npu9")
    with pytest.raises(DeviceError, match="no core 2"):
        sync.get_device(0).get_status_core(2)
