"""furiosa: finds the executables on PATH, passes everything on, and ends as its child ends."""

from __future__ import annotations

import argparse
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from furiosa.cli.commands import COMMAND_LIST
from furiosa.cli.main import CommandRegistry, execute
from furiosa.isa.version import version_info
from furiosa.npu_sim.kernels import kernels_name

RUN = "import sys; from furiosa.cli.main import main; sys.exit(main())"


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Two folders, and a PATH of nothing but them and the system's tools."""
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    monkeypatch.setenv("PATH", f"{first}::{second}:/usr/bin:/bin")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if path))
    return first, second


def install(folder: Path, name: str, body: str = 'printf "<%s>" "$0" "$@"') -> Path:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


def furiosa(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", RUN, *arguments], capture_output=True, text=True, timeout=60)


def test_the_first_executable_on_path_becomes_a_sub_command(folders: tuple[Path, Path]) -> None:
    first, second = folders
    install(first, "furiosa-compile").chmod(0o644)
    wanted = install(second, "furiosa-compile")
    (first / "furiosa-litmus").mkdir()
    server = install(first, "furiosa-server")
    install(second, "furiosa-server")
    install(first, "furiosa-evil")
    commands = CommandRegistry().commands
    assert {name: command.path for name, command in commands.items()} == {"compile": wanted, "server": server}
    assert commands["server"].command == "furiosa-server"
    assert commands["server"].subcommands == ("server",)
    assert commands["server"].description == "RESTful/GRPC Serving framework for DNN models"


def test_every_listed_executable_can_be_a_sub_command(folders: tuple[Path, Path]) -> None:
    for name, _ in COMMAND_LIST:
        install(folders[0], name)
    names = ["compile", "compiler", "litmus", "bench", "server"]
    assert list(CommandRegistry().commands) == names
    shown = furiosa("--help").stdout.split("sub-command help:")[1]
    assert [name for name in names if f"\n    {name} " in shown] == names
    assert "FuriosaAI SDK Compiler for DNN models" in shown


def test_help_and_version() -> None:
    alone = furiosa()
    assert (alone.returncode, alone.stderr) == (0, "")
    assert alone.stdout == furiosa("-h").stdout
    assert "FuriosaAI SDK CLI (ver. 0." in alone.stdout
    assert "compile " not in alone.stdout.split("sub-command help:")[1].split("`")[0]
    version = furiosa("--version")
    slow = "kernels: reference\n" if kernels_name() == "reference" else ""
    assert (version.returncode, version.stdout, version.stderr) == (0, f"{version_info()}\n{slow}", "")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--help"],
        ["--version", "-v"],
        ["--", "-x", "--"],
        ["model.onnx", "--batch", "2", "-o", "a b", "", "*", "compile"],
    ],
)
def test_arguments_reach_the_child_untouched(arguments: list[str], folders: tuple[Path, Path]) -> None:
    path = install(folders[0], "furiosa-compile")
    result = furiosa("compile", *arguments)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == "".join(f"<{text}>" for text in [str(path), *arguments])


@pytest.mark.parametrize(("body", "status"), [("exit 0", 0), ("exit 2", 2), ("exit 255", 255), ("kill -9 $$", 137)])
def test_the_exit_status_is_the_childs(body: str, status: int, folders: tuple[Path, Path]) -> None:
    install(folders[0], "furiosa-bench", body)
    result = furiosa("bench")
    assert (result.returncode, result.stdout, result.stderr) == (status, "", "")
    assert execute(CommandRegistry(), argparse.Namespace(subcommand="bench"), []) == status


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_signals_are_forwarded_and_the_child_is_waited_for(sent: signal.Signals, folders: tuple[Path, Path]) -> None:
    name = sent.name.removeprefix("SIG")
    body = f"trap 'sleep 0.2; echo cleaned; exit 7' {name}; echo ready; while :; do sleep 0.05; done"
    install(folders[0], "furiosa-litmus", body)
    with subprocess.Popen([sys.executable, "-c", RUN, "litmus"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(sent)
        assert process.stdout.read() == "cleaned\n"
    assert process.returncode == 7


def test_ctrl_c_on_a_terminal_reaches_the_child_once(folders: tuple[Path, Path]) -> None:
    """The terminal signals the whole group: forwarding that would interrupt the child's clean-up."""
    body = "trap 'echo int' INT; echo ready; for i in 1 2 3 4 5 6 7 8; do sleep 0.05; done; exit 5"
    install(folders[0], "furiosa-litmus", body)
    # pty.spawn gives the command a terminal of its own and types there what comes on its stdin.
    run = f"[sys.executable, '-c', {RUN!r}, 'litmus']"
    spawn = f"import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn({run})))"
    command = [sys.executable, "-c", spawn]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        output = process.stdout.readline()
        assert output == b"ready\r\n"
        process.stdin.write(b"\x03")
        process.stdin.flush()
        output = process.stdout.read()
    assert (process.returncode, output.count(b"int")) == (5, 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["compile", "x"], "error: `furiosa compile` needs the executable `furiosa-compile`, which is not on PATH\n"),
        (["evil"], "error: `furiosa` has no sub-command `evil`\n"),
        (["--quick"], "error: unrecognized arguments: --quick\n"),
    ],
)
def test_what_cannot_be_run_is_one_message(arguments: list[str], message: str, folders: tuple[Path, Path]) -> None:
    install(folders[0], "furiosa-evil")
    result = furiosa(*arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith(message)


def test_a_file_that_cannot_be_executed_is_named(folders: tuple[Path, Path]) -> None:
    path = folders[0] / "furiosa-bench"
    path.write_bytes(b"\0not a program")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    result = furiosa("bench")
    assert result.returncode == 2
    assert result.stderr == f"error: cannot run `{path}`: Exec format error\n"


def test_public_names() -> None:
    program = (
        "import furiosa.cli.main; from furiosa.cli import main as one; from furiosa.cli.main import main as other; "
        "import furiosa.cli; print(one is other, callable(one), furiosa.cli.__version__)"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert result.stdout == f"True True {version_info()}\n", result.stderr
