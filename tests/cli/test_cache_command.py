"""The cache as users of the commands see it: what furiosa-compiler says, and `furiosa cache`."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.compiler.quantized_nets import mixed, tiny

from furiosa.cli.commands import COMMAND_LIST, OWN_COMMANDS
from furiosa.compiler import compile_model

MISS = "compiler cache: miss: this compiler has no result of this model with these options\n"
HIT = r"compiler cache: hit: compiled [\d.]+ s ago, in [\d.]+ s\n"
COMPILER = "import sys; from furiosa.cli.compiler import main; status = main()"
FURIOSA = "import sys; from furiosa.cli.main import main; status = main()"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the commands run: a folder with two models, and a home of its own."""
    monkeypatch.chdir(tmp_path)
    for name in ("FC_CACHE_ENABLED", "FC_CACHE_STORE_URL", "FC_CACHE_LIFETIME", "FURIOSA_LOG_LEVEL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if path))
    Path("tiny.onnx").write_bytes(tiny())
    Path("mixed.onnx").write_bytes(mixed())
    return tmp_path


def run(command: str, *arguments: str, **variables: str) -> tuple[int, str, str]:
    """Exit status, stdout and stderr of a command in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", f"{command}; sys.exit(status)", *arguments],
        capture_output=True, text=True, timeout=60, check=False, env={**os.environ, **variables},
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def test_hit_and_miss() -> None:
    status, out, err = run(COMPILER, "tiny.onnx")
    assert (status, out) == (0, "")
    assert err.startswith(f"{MISS}[1/6] 🔍   Compiling from onnx to dfg\n")
    assert Path("home/.cache/furiosa/compiler").is_dir()
    status, out, err = run(COMPILER, "tiny.onnx", "-o", "again.enf")
    assert (status, out) == (0, "")
    assert re.fullmatch(HIT, err)
    assert Path("again.enf").read_bytes() == Path("output.enf").read_bytes()
    assert run(COMPILER, "tiny.onnx", "-q") == (0, "", "")
    for arguments, variables in (["--no-cache"], {}), ([], {"FC_CACHE_ENABLED": "0"}):
        _, _, err = run(COMPILER, "tiny.onnx", *arguments, **variables)
        assert err.startswith("[1/6]")


def test_a_hit_has_the_report_and_imports_neither_onnx_nor_numpy() -> None:
    expected = compile_model("mixed.onnx")
    said = run(COMPILER, "mixed.onnx", "-v")[2].split("\n")
    code = f"{COMPILER}; print(*sys.modules)"
    status, out, err = run(code, "mixed.onnx", "-v", "--report", "r.json")
    assert status == 0
    assert not {"onnx", "onnxruntime", "numpy", "redis"} & set(out.split())
    assert err.split("\n")[1:] == said[-len(err.split("\n")) + 1 :]
    assert json.loads(Path("r.json").read_text(encoding="utf-8")) == expected.report
    assert Path("output.enf").read_bytes() == expected.enf


def test_a_hit_has_graph_and_memory_page_too() -> None:
    arguments = ["mixed.onnx", "-q", "--dot-graph", "g.dot", "--analyze-memory", "m.html"]
    contents = []
    for _ in range(2):
        assert run(COMPILER, *arguments) == (0, "", "")
        contents.append([Path(name).read_bytes() for name in ("output.enf", "g.dot", "m.html")])
    assert contents[0] == contents[1]


@pytest.mark.parametrize(("level", "shown"), [("INFO", True), ("WARN", True), ("ERROR", False), ("OFF", False)])
def test_warnings(level: str, shown: bool) -> None:
    Path("file").write_bytes(b"")
    warning = "warning: compiler cache: miss: `file` cannot be used: Not a directory\n"
    variables = {"FC_CACHE_STORE_URL": "file", "FURIOSA_LOG_LEVEL": level}
    assert run(COMPILER, "tiny.onnx", "-q", **variables) == (0, "", warning if shown else "")


def test_a_password_is_never_shown() -> None:
    for url in ("redis://:hunter2@127.0.0.1:1", "redis://:hunter2", "http://hunter2"):
        for command, arguments in (COMPILER, ["tiny.onnx"]), (FURIOSA, ["cache", "list"]), (FURIOSA, ["cache", "stat"]):
            _, out, err = run(command, *arguments, FC_CACHE_STORE_URL=url, FURIOSA_DEBUG="1")
            assert "cannot be used: " in err
            assert "hunter2" not in out + err
    assert run(FURIOSA, "cache", "list", FC_CACHE_STORE_URL="redis://:hunter2@127.0.0.1:1") == (2, "", (
        "error: the compiler cache `redis://***@127.0.0.1:1` cannot be used: "
        "Connection refused\n\nhint: `FC_CACHE_STORE_URL` says where it is\n"
    ))  # fmt: skip


def test_furiosa_cache() -> None:
    for model in ("tiny.onnx", "mixed.onnx"):
        run(COMPILER, model, "-q", "--target-npu", "warboy", "-b", "2")
    store = Path("home/.cache/furiosa/compiler")
    (store / ("0" * 64)).write_bytes(b"damaged")
    (store / "another file").write_bytes(b"")
    status, out, err = run(FURIOSA, "cache", "list", "--format", "json")
    assert (status, err) == (0, "")
    rows = {row["model"]: row for row in json.loads(out)}
    assert list(rows) in ([None, "mixed.onnx", "tiny.onnx"], ["mixed.onnx", None, "tiny.onnx"])
    sizes = {row["key"]: (store / row["key"]).stat().st_size for row in rows.values()}
    assert rows["tiny.onnx"] == {
        "key": rows["tiny.onnx"]["key"], "model": "tiny.onnx", "target": "warboy", "batch_size": 2, "target_ir": "enf",
        "size_bytes": sizes[rows["tiny.onnx"]["key"]], "created": rows["tiny.onnx"]["created"], "state": "valid",
    }  # fmt: skip
    assert rows[None]["state"] == "damaged"
    shown = run(FURIOSA, "cache", "list")[1]
    assert f"| {rows['tiny.onnx']['key'][:12]} | tiny.onnx  | warboy | 2     | enf |" in shown
    assert run(FURIOSA, "cache", "list", FC_CACHE_LIFETIME="0")[1].count("expired") == 2
    _, out, _ = run(FURIOSA, "cache", "stat", "--format", "json")
    assert json.loads(out) == [{
        "store": "~/.cache/furiosa/compiler", "enabled": True, "lifetime_s": 259200, "results": 3, "expired": 0,
        "damaged": 1, "size_bytes": sum(sizes.values()),
    }]  # fmt: skip
    assert run(FURIOSA, "cache", "prune")[1] == "removed 1 result, 7 B\n"
    assert re.fullmatch(HIT, run(COMPILER, "tiny.onnx", "--target-npu", "warboy", "-b", "2")[2])  # used last
    assert run(FURIOSA, "cache", "prune", "--max-size", "20K")[1] == "removed 0 results, 0 B\n"
    most = sizes[rows["tiny.onnx"]["key"]] + 10
    assert run(FURIOSA, "cache", "prune", "--max-size", f"{most}")[1].startswith("removed 1 result, ")
    assert [row["model"] for row in json.loads(run(FURIOSA, "cache", "list", "--format", "json")[1])] == ["tiny.onnx"]
    assert run(FURIOSA, "cache", "clear")[1].startswith("removed 1 result, ")
    assert [path.name for path in store.iterdir()] == ["another file"]


def test_help_and_mistakes() -> None:
    status, out, err = run(FURIOSA, "cache")
    assert (status, err) == (0, "")
    assert out == run(FURIOSA, "cache", "--help")[1]
    assert "  furiosa cache prune --max-size 500M  " in out
    for arguments, message in (
        (["cach"], "error: `furiosa` has no sub-command `cach`\n\nhint: did you mean `cache`?\n"),
        (["cache", "lists"], "error: `furiosa cache` has no sub-command `lists`\n\nhint: did you mean `list`?"),
        (["cache", "prune", "--max-size", "12x"], "error: invalid value for '--max-size': `12x` is no size"),
        (["cache", "list", "more"], "error: got unexpected extra argument (more)"),
    ):
        status, out, err = run(FURIOSA, *arguments)
        assert (status, out) == (2, "")
        assert err.startswith(message)


def test_own_sub_commands_are_imported_when_they_are_called() -> None:
    status, out, _ = run(f"{FURIOSA}; print(*sys.modules)", "--help")
    assert status == 0
    for name, (module, text) in OWN_COMMANDS.items():
        assert f"\n    {name} " in out
        assert text.split()[0] in out
        assert module not in out.split()
    assert not set(OWN_COMMANDS) & {name.removeprefix("furiosa-") for name, _ in COMMAND_LIST}
