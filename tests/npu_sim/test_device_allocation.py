"""Device specifications and described hosts: what is understood, what is chosen, what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.npu_sim.simulated_host import describe_host, isolate, opened, users

from furiosa.isa.errors import DeviceError, OptionError
from furiosa.npu_sim.devices import cards, open_devices
from furiosa.npu_sim.devices.specification import AnyDevices, NamedDevice, parse

TWO_CARDS = "cards: [{}, {}]"


@pytest.fixture(autouse=True)
def state_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    isolate(tmp_path / "state", monkeypatch)
    return tmp_path / "state"


@pytest.mark.parametrize(
    ("text", "requests"),
    [
        ("warboy(2)*1", [(2, 1)]),
        ("warboy(1)*12", [(1, 12)]),
        ("warboy*3", [(1, 3)]),
        ("npu:0:1", ["npu0pe1"]),
        ("npu:3:0-1", ["npu3pe0-1"]),
        ("npu1pe0", ["npu1pe0"]),
        ("npu1pe0-1", ["npu1pe0-1"]),
        ("0:1", ["npu0pe1"]),
        ("0:0-1", ["npu0pe0-1"]),
        ("2", ["npu2"]),
        ("npu2", ["npu2"]),
        ("npu0pe0, warboy(1)*1,1", ["npu0pe0", (1, 1), "npu1"]),
    ],
)
def test_every_form_of_a_specification_is_understood(text: str, requests: list[object]) -> None:
    found = [r.name if isinstance(r, NamedDevice) else (r.pes, r.count) for r in parse(text)]
    assert found == requests


@pytest.mark.parametrize(
    "text",
    [
        "", "warboy", "warboy*", "*1", "warboy(2*10", "0:", ":0", "0:1-0", "npu0pe", "warboy(3)*1", "warboy(0)*1",
        "warboy(1)*0", "npu0pe0,", "npu0pe0-0", "npu", "x", "npu:0", "warboy(1)*99999999999", "npu0pe\u0661",
        "renegade(1)*1", "warboy(1)*1 1",
    ],
)  # fmt: skip
def test_what_is_not_a_specification_is_refused_with_the_forms(text: str) -> None:
    with pytest.raises(OptionError) as caught:
        open_devices(text)
    assert "`" + text.split(",")[-1] + "`" in caught.value.message
    assert "warboy(X)*Y" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("busy", "spec", "names"),
    [
        (None, "warboy(1)*4", ["npu0pe0", "npu0pe1", "npu1pe0", "npu1pe1"]),
        (None, "warboy(2)*2", ["npu0pe0-1", "npu1pe0-1"]),
        (None, "npu:0:1,warboy(1)*1,warboy(2)*1", ["npu0pe1", "npu0pe0", "npu1pe0-1"]),
        (None, "1,warboy*2", ["npu1", "npu0pe0", "npu0pe1"]),
        ("npu0pe0", "warboy(1)*2", ["npu0pe1", "npu1pe0"]),
        ("npu0pe1", "warboy(2)*1", ["npu1pe0-1"]),
        ("npu0", "warboy(1)*1", ["npu1pe0"]),
        ("npu0pe0", "warboy(2)*2", DeviceError),
        (None, "warboy(1)*1,warboy(2)*2", DeviceError),
        (None, "warboy(1)*5", DeviceError),
        (None, "npu2pe0", DeviceError),
        (None, "npu0pe2", DeviceError),
        (None, "npu0pe0,npu0pe0", OptionError),
        (None, "npu0pe0,0:0-1", OptionError),
        (None, "warboy(1)*1,npu0", OptionError),
    ],
)
def test_allocation_is_greedy_and_all_or_nothing(
    busy: str | None,
    spec: str,
    names: object,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    describe_host(tmp_path, monkeypatch, TWO_CARDS)
    first = open_devices(busy) if busy else []
    before = users()
    assert opened(spec) == names
    assert users() == before
    for device in first:
        device.close()


def test_without_a_specification_the_environment_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    assert opened(None) == ["npu0pe0-1"]
    monkeypatch.setenv("NPU_DEVNAME", "npu0pe1")
    assert opened(None) == ["npu0pe1"]
    monkeypatch.setenv("FURIOSA_DEVICES", "npu0pe0")
    assert opened(None) == ["npu0pe0"]
    assert opened("warboy(1)*2") == ["npu0pe0", "npu0pe1"]


def test_the_default_host_has_one_device_of_the_default_kind() -> None:
    with open_devices()[0], pytest.raises(DeviceError):
        open_devices()


def test_a_host_is_described_in_yaml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "cards:\n- {index: 3, pci_bdf: 0000:44:00.0, pci_dev: 511:0, power_watts: 1}\n- {temperature_celsius: 47}\n"
    describe_host(tmp_path, monkeypatch, text)
    first, second = cards()
    assert (first.name, first.temperature_celsius, first.serial) == ("npu1", 47, "WBYB0000000000001")
    assert (second.name, second.pci_bdf, second.pci_dev, second.power_watts) == ("npu3", "0000:44:00.0", "511:0", 1.0)
    assert opened("warboy(2)*2") == ["npu1pe0-1", "npu3pe0-1"]
    describe_host(tmp_path, monkeypatch, "cards: []")
    assert (cards(), opened("warboy*1")) == ((), DeviceError)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("cards: {", "while parsing"),
        ("[1]", "one key `cards`"),
        ("cards: 2", "one key `cards`"),
        ("cards: [x]", "card 1 of the list is not a mapping"),
        ("cards: [{colour: red}]", "unknown key `colour`"),
        ("cards: [{}, {temperature_celsius: hot}]", "`temperature_celsius` of card 2 of the list: expected whole"),
        ("cards: [{index: 1}, {}]", "same `index`"),
        ("cards: [{index: 64}]", "from 0 to 63"),
        ("cards: [{firmware: [1]}]", "expected one line"),
    ],
)
def test_a_wrong_description_of_a_host_is_refused(
    text: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    describe_host(tmp_path, monkeypatch, text)
    with pytest.raises(OptionError) as caught:
        cards()
    assert str(tmp_path / "host.yaml") in caught.value.message
    assert reason in caught.value.message


def test_a_missing_description_of_a_host_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FURIOSA_SIM_CONFIG", "/nowhere/host.yaml")
    with pytest.raises(OptionError, match=r"`/nowhere/host\.yaml` cannot be used: No such file"):
        cards()


def test_requests_keep_the_text_that_the_user_wrote() -> None:
    assert parse("warboy*2, npu:0:1") == (AnyDevices("warboy*2", 1, 2), NamedDevice("npu:0:1", "npu0pe1"))
