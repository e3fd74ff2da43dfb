"""Completion in real shells: options, values and sub-commands of every executable, also behind `furiosa`."""

from __future__ import annotations

import os
import pty
import re
import select
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.test_layout import PROJECT

from furiosa.cli.completion import SHELLS

# What is typed, and what may follow.
CASES = (
    ("furiosa co", {"compile", "compiler", "completion"}),
    ("furiosa cache ", {"clear", "list", "prune", "stat"}),
    ("furiosa cache list --format ", {"table", "json", "yaml", "csv"}),
    ("furiosa compile --target-n", {"--target-npu"}),
    ("furiosa-compiler --target-npu ", {"warboy", "warboy-2pe"}),
    ("furiosa-litmus --dump-", {"--dump-model"}),
    ("furiosactl to", {"top"}),
)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A PATH with the executables of this interpreter."""
    folder = tmp_path_factory.mktemp("bin")
    for name, entry in PROJECT["scripts"].items():
        module, _, function = entry.partition(":")
        (folder / name).write_text(
            f"#!{sys.executable}\nimport sys\nfrom {module} import {function}\nsys.exit({function}())\n"
        )
        (folder / name).chmod(0o755)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


def needs(shell: str) -> str:
    if shutil.which(shell) is None:
        pytest.skip(f"`{shell}` is not installed")
    return shell


def shell(words: list[str], path: str) -> str:
    environment = {**os.environ, "PATH": path}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=True, timeout=120)
    assert done.stderr == ""
    return done.stdout


def test_bash(path: str) -> None:
    """The function that bash would call, with the words that it would set."""
    lines = ['eval "$(furiosa completion bash)"']
    for typed, _ in CASES:
        words = typed.split(" ")
        function = f"_{words[0].replace('-', '_')}_completion"
        quoted = " ".join(shlex.quote(word) for word in words)
        lines.append(f"COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}; COMPREPLY=(); {function} {words[0]}")
        lines.append(f'complete -p {words[0]} > /dev/null; echo "${{COMPREPLY[*]}}"')
    printed = shell([needs("bash"), "--norc", "-c", "\n".join(lines)], path).splitlines()
    assert [set(line.split()) for line in printed] == [follows for _, follows in CASES]


def test_fish(path: str) -> None:
    needs("fish")
    lines = ["furiosa completion fish | source"]
    lines += [f"complete -C {shlex.quote(typed)}; echo ---" for typed, _ in CASES]
    printed = shell(["fish", "--no-config", "-c", "\n".join(lines)], path).split("---\n")
    found = [{line.split("\t")[0] for line in part.splitlines()} for part in printed[:-1]]
    assert found == [follows for _, follows in CASES]


def test_zsh(path: str, tmp_path: Path) -> None:
    """Typed on a terminal: one key completes what has one continuation."""
    needs("zsh")
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvpe("zsh", ["zsh", "-f"], {**os.environ, "PATH": path, "HOME": str(tmp_path), "TERM": "dumb"})
    try:
        start = 'PS1="> "; autoload -Uz compinit; compinit -u; eval "$(furiosa completion zsh)"; echo re""ady\n'
        os.write(terminal, start.encode())
        _read(terminal, "ready")
        for typed, completed in (("furiosactl t", "furiosactl top "), ("furiosa cache pr", "furiosa cache prune ")):
            os.write(terminal, f"{typed}\t".encode())
            _read(terminal, re.escape(completed))
            os.write(terminal, b"\x15")
    finally:
        os.close(terminal)
        os.waitpid(pid, 0)


def _read(terminal: int, pattern: str) -> None:
    """Read what a terminal shows until the pattern is there."""
    shown, end = "", time.monotonic() + 60
    while not re.search(pattern, shown):
        assert time.monotonic() < end, shown
        if select.select([terminal], [], [], 0.5)[0]:
            shown += os.read(terminal, 65536).decode(errors="replace")


@pytest.mark.parametrize("name", SHELLS)
def test_every_executable_is_completed(name: str, path: str) -> None:
    script = shell(["furiosa", "completion", name], path)
    assert all(f"_{command.replace('-', '_').upper()}_COMPLETE" in script for command in PROJECT["scripts"])
