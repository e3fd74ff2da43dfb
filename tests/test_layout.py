"""The house is in order: the namespace is open, what pyproject.toml names exists, files are small."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from furiosa.isa.version import DISTRIBUTION, VERSION

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("isa", "npu_sim", "compiler", "quantizer", "runtime", "server", "furiosa_cli")
MOST_LINES = 500

PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = PYPROJECT["project"]
PORTIONS: dict[str, str] = PYPROJECT["tool"]["scikit-build"]["wheel"]["packages"]


def sources() -> list[Path]:
    folders = [ROOT / name for name in (*ROOMS, "tests", "examples", "benchmarks")]
    found = [path for folder in folders for path in folder.rglob("*") if path.suffix in (".py", ".cpp", ".h")]
    assert len(found) > 100
    return found


def test_namespace_is_open() -> None:
    assert not [room for room in ROOMS if (ROOT / room / "furiosa" / "__init__.py").exists()]


def test_every_portion_is_in_the_wheel() -> None:
    present = {
        f"furiosa/{path.name}": path.relative_to(ROOT).as_posix()
        for room in ROOMS
        for path in (ROOT / room / "furiosa").iterdir()
        if path.is_dir()
    }
    assert present == PORTIONS


@pytest.mark.parametrize("portion", sorted(PORTIONS))
def test_portion_is_typed_and_its_imports_are_checked(portion: str) -> None:
    assert (ROOT / PORTIONS[portion] / "py.typed").is_file()
    assert portion.replace("/", ".") in PYPROJECT["tool"]["importlinter"]["root_packages"]


@pytest.mark.parametrize("script", sorted(PROJECT["scripts"]))
def test_console_script_exists(script: str) -> None:
    module, _, function = PROJECT["scripts"][script].partition(":")
    assert callable(getattr(importlib.import_module(module), function))


def test_version_is_one() -> None:
    assert (PROJECT["name"], PROJECT["version"]) == (DISTRIBUTION, VERSION)


def test_every_dependency_is_documented() -> None:
    text = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([\w-]+)` \|", text, re.MULTILINE)
    needed = [*PROJECT["dependencies"], *PYPROJECT["build-system"]["requires"]]
    needed += [line for extra in PROJECT["optional-dependencies"].values() for line in extra]
    assert sorted(rows) == sorted({re.split(r"[^\w-]", line)[0] for line in needed})


def test_files_are_small() -> None:
    lengths = {path.relative_to(ROOT).as_posix(): len(path.read_bytes().splitlines()) for path in sources()}
    assert not {path: lines for path, lines in lengths.items() if lines > MOST_LINES}


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        ("furiosa.isa", {"numpy", "onnx", "onnxruntime"}),
        ("furiosa.runtime", {"onnx", "onnxruntime", "furiosa.compiler"}),
        ("furiosa.cli.furiosactl", {"numpy", "onnx", "onnxruntime"}),
    ],
)
def test_import_is_lean(module: str, unwanted: set[str]) -> None:
    code = f"import {module}, sys; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not unwanted.intersection(loaded)
