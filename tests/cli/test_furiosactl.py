"""furiosactl: exactly what it prints, in every format and state, and how it fails."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from furiosa.npu_sim.devices import open_devices

RUN = "import sys; from furiosa.cli.furiosactl import main; sys.exit(main())"
JSON_KEYS = [
    "dev_name", "product_name", "device_uuid", "device_sn", "firmware", "temperature", "power", "pci_bdf", "pci_dev",
]  # fmt: skip
HOST = """
cards:
- index: 1
  firmware: 1.6.0, 3c10fd3
  uuid: 00000000-0000-0000-0000-000000000000
  serial: WBYB0000000000000
  pci_bdf: 0000:44:00.0
  pci_dev: 511:0
"""


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FURIOSA_SIM_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if path))
    for name in ("FURIOSA_SIM_CONFIG", "FURIOSA_DEBUG", "PYTHONIOENCODING"):
        monkeypatch.delenv(name, raising=False)


def furiosactl(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", RUN, *arguments]
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=60)


def printed(*arguments: str) -> str:
    result = furiosactl(*arguments)
    assert (result.returncode, result.stderr) == (0, "")
    return result.stdout


def describe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str = HOST) -> None:
    (tmp_path / "host.yaml").write_text(text)
    monkeypatch.setenv("FURIOSA_SIM_CONFIG", str(tmp_path / "host.yaml"))


def test_info_prints_the_documented_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    describe(tmp_path, monkeypatch)
    assert printed("info") == (
        "+------+--------+----------------+-------+--------+--------------+\n"
        "| NPU  | Name   | Firmware       | Temp. | Power  | PCI-BDF      |\n"
        "+------+--------+----------------+-------+--------+--------------+\n"
        "| npu1 | warboy | 1.6.0, 3c10fd3 |  54°C | 0.99 W | 0000:44:00.0 |\n"
        "+------+--------+----------------+-------+--------+--------------+\n"
    )
    rule = (
        "+------+--------+--------------------------------------+-------------------+"
        "----------------+-------+--------+--------------+---------+\n"
    )
    assert printed("info", "--full") == (
        f"{rule}| NPU  | Name   | UUID                                 | S/N               |"
        f" Firmware       | Temp. | Power  | PCI-BDF      | PCI-DEV |\n{rule}"
        "| npu1 | warboy | 00000000-0000-0000-0000-000000000000 | WBYB0000000000000 |"
        f" 1.6.0, 3c10fd3 |  54°C | 0.99 W | 0000:44:00.0 | 511:0   |\n{rule}"
    )


def test_info_for_programs_has_the_documented_keys_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    describe(tmp_path, monkeypatch, "cards: [{temperature_celsius: 107, power_watts: 12.5}, {temperature_celsius: 7}]")
    text = printed("info", "--format", "json")
    assert text.count("\n") == 1
    cards = json.loads(text)
    assert [list(card) for card in cards] == [JSON_KEYS, JSON_KEYS]
    assert [(card["temperature"], card["power"]) for card in cards] == [("107°C", "12.50 W"), ("7°C", "0.99 W")]
    assert yaml.safe_load(printed("info", "--format", "yaml")) == cards
    assert printed("info", "--format=csv").splitlines() == [
        ",".join(JSON_KEYS),
        'npu0,warboy,00000000-0000-0000-0000-000000000000,WBYB0000000000000,"1.7.3, 3c10fd3",107°C,12.50 W,'
        "0000:44:00.0,511:0",
        'npu1,warboy,00000000-0000-0000-0000-000000000001,WBYB0000000000001,"1.7.3, 3c10fd3",7°C,0.99 W,'
        "0000:45:00.0,510:0",
    ]


def test_list_prints_the_documented_table_when_all_is_free() -> None:
    assert printed("list") == (
        "+------+------------------------------+-----------------------------------+\n"
        "| NPU  | Cores                        | DEVFILES                          |\n"
        "+------+------------------------------+-----------------------------------+\n"
        "| npu0 | 0 (available), 1 (available) | npu0, npu0pe0, npu0pe1, npu0pe0-1 |\n"
        "+------+------------------------------+-----------------------------------+\n"
    )


@pytest.mark.parametrize(
    ("spec", "cores"),
    [
        ("warboy(2)*1", "0 (occupied by npu0pe0-1), 1 (occupied by npu0pe0-1)"),
        ("npu0pe1", "0 (available), 1 (occupied by npu0pe1)"),
        ("warboy(1)*2", "0 (occupied by npu0pe0), 1 (occupied by npu0pe1)"),
        ("npu0", "0 (occupied by npu0), 1 (occupied by npu0)"),
    ],
)
def test_list_shows_which_device_file_occupies_a_core(spec: str, cores: str) -> None:
    devices = open_devices(spec)
    table = printed("list")
    for device in devices:
        device.close()
    rule = f"+------+-{'-' * len(cores)}-+-----------------------------------+\n"
    assert table == (
        f"{rule}| NPU  | {'Cores':<{len(cores)}} | DEVFILES                          |\n{rule}"
        f"| npu0 | {cores} | npu0, npu0pe0, npu0pe1, npu0pe0-1 |\n{rule}"
    )


def test_list_for_programs() -> None:
    with open_devices("npu0pe1")[0]:
        text = printed("list", "--format", "json")
        assert text == (
            '[{"dev_name":"npu0","cores":[{"core":0,"status":"available","occupied_by":null},'
            '{"core":1,"status":"occupied","occupied_by":"npu0pe1"}],'
            '"dev_files":["npu0","npu0pe0","npu0pe1","npu0pe0-1"]}]\n'
        )
        assert yaml.safe_load(printed("list", "--format", "yaml")) == json.loads(text)
        assert printed("list", "--format", "csv") == (
            "dev_name,cores,dev_files\n"
            'npu0,"0 (available), 1 (occupied by npu0pe1)","npu0, npu0pe0, npu0pe1, npu0pe0-1"\n'
        )


def test_ps_without_users_prints_the_header() -> None:
    assert printed("ps") == "+-----+-----+-----+\n| NPU | PID | CMD |\n+-----+-----+-----+\n"
    assert printed("ps", "--format", "json") == "[]\n"
    assert printed("ps", "--format", "yaml") == "[]\n"
    assert printed("ps", "--format", "csv") == "dev_name,pid,cmd\n"


def test_ps_prints_each_user_until_its_end() -> None:
    program = "from furiosa.npu_sim.devices import *; d = open_devices(); print(flush=True); input()"
    arguments = [sys.executable, "-c", program, 'a "b"', "line\nend \x1b[31m", "°"]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        table = printed("ps")
        records = json.loads(printed("ps", "--format", "json"))
        process.kill()
        process.wait()
        assert printed("ps", "--format", "json") == "[]\n"
    command = " ".join(arguments)
    pid = str(process.pid)
    rule = f"+-----------+-{'-' * max(3, len(pid))}-+-{'-' * len(command)}-+\n"
    shown = command.replace("\n", " ").replace("\x1b", " ")
    assert table == (
        f"{rule}| NPU       | {'PID':<{len(pid)}} | {'CMD':<{len(command)}} |\n{rule}"
        f"| npu0pe0-1 | {pid:<3} | {shown} |\n{rule}"
    )
    assert records == [{"dev_name": "npu0pe0-1", "pid": process.pid, "cmd": command}]


def test_help_and_version() -> None:
    assert printed() == printed("-h") == printed("--help")
    assert [line.split()[0] for line in printed().split("Commands:")[1].splitlines()[1:4]] == ["info", "list", "ps"]
    for command in ("info", "list", "ps"):
        assert f"furiosactl {command}" in printed(command, "-h").split("Examples:")[1]
    assert printed("--version").startswith("furiosactl 0.")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["summit"], "error: `furiosactl` has no sub-command `summit`\n\nhint: `furiosactl --help` lists them\n"),
        (
            ["list", "--full"],
            "error: no such option '--full'\n\nhint: `furiosactl list --help` shows what it accepts\n",
        ),
        (["ps", "--format", "xml"], "error: invalid value for '--format': 'xml' is not one of"),
    ],
)
def test_a_usage_error_is_one_message(arguments: list[str], message: str) -> None:
    result = furiosactl(*arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith(message)


def test_errors_keep_their_status_and_show_a_traceback_only_when_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "state").write_text("a file")
    result = furiosactl("list")
    assert (result.returncode, result.stdout) == (3, "")
    assert result.stderr.startswith("error: the simulated devices' state `")
    monkeypatch.setenv("FURIOSA_DEBUG", "1")
    debug = furiosactl("list")
    assert debug.returncode == 3
    assert "Traceback" in debug.stderr
    assert debug.stderr.endswith(result.stderr)
    monkeypatch.setenv("FURIOSA_SIM_CONFIG", "/nowhere.yaml")
    assert furiosactl("info").returncode == 2


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ("raise ValueError('two\\nlines')", 70, "error: unexpected ValueError: two lines\n\nhint: this is a fault of"),
        ("raise KeyboardInterrupt", 130, "interrupted\n"),
        ("raise BrokenPipeError", 141, ""),
        ("raise InternalError('pass `x` failed', where='node `y`')", 70, "error: pass `x` failed\n  at node `y`\n"),
        ("raise UnsupportedError('no')", 2, "error: no\n"),
        ("return None", 0, ""),
        ("return 1", 1, ""),
    ],
)
def test_every_end_of_a_command_has_its_status_and_message(body: str, status: int, message: str) -> None:
    program = (
        "import sys\nfrom furiosa.cli.errors import run\nfrom furiosa.isa.errors import *\n"
        f"def work():\n  {body}\nsys.exit(run(work))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stdout) == (status, "")
    assert result.stderr.startswith(message) and bool(message) == bool(result.stderr)
    assert "Traceback" not in result.stderr


def test_output_that_nobody_reads_ends_the_command_quietly() -> None:
    read, write = os.pipe()
    os.close(read)
    result = subprocess.run([sys.executable, "-c", RUN, "info"], stdout=write, stderr=subprocess.PIPE, timeout=60)
    os.close(write)
    assert (result.returncode, result.stderr) == (141, b"")
    with open("/dev/full", "wb") as full:
        result = subprocess.run([sys.executable, "-c", RUN, "info"], stdout=full, stderr=subprocess.PIPE, timeout=60)
    assert result.returncode == 2
    assert result.stderr.startswith(b"error: cannot write to the standard output: No space left on device\n")
    closed = subprocess.run(f'"{sys.executable}" -c "{RUN}" info >&-', shell=True, stderr=subprocess.PIPE, timeout=60)
    assert (closed.returncode, closed.stderr) == (0, b"")


def test_a_terminal_without_the_degree_sign_gets_a_substitute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    assert "|  54?C |" in printed("info")


def test_list_imports_nothing_heavy() -> None:
    check = "import atexit; atexit.register(lambda: print(sorted({'numpy', 'yaml', 'importlib.metadata', 'logging'} & "
    check += "set(sys.modules)), file=sys.stderr)); "
    result = subprocess.run([sys.executable, "-c", check + RUN, "list"], capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stderr) == (0, "[]\n")
