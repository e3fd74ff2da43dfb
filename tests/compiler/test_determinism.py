"""The same model and options give the same bytes: in another process, folder and hash seed, as a file or as bytes."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.compiler.quantized_nets import mixed, resnet

from furiosa.compiler import compile_model
from furiosa.compiler.pipeline import LAYERS

PROGRAM = """
import hashlib, sys
from furiosa.compiler import compile_model
for path in sys.argv[1:]:
    for layer in ("ldfg", "lir", "enf"):
        print(hashlib.sha256(compile_model(path, target_ir=layer).data).hexdigest())
"""


def digests(folder: Path, seed: str) -> list[str]:
    """Of the models in ``folder``, compiled in a process of its own that runs there."""
    environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    command = [sys.executable, "-c", PROGRAM, "mixed.onnx", "resnet.onnx"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.split()


@pytest.mark.parametrize("seed", ["0", "12345"])
def test_another_process_folder_and_hash_seed(seed: str, tmp_path: Path) -> None:
    folder = tmp_path / f"folder {seed}" / "deeper"
    folder.mkdir(parents=True)
    (folder / "mixed.onnx").write_bytes(mixed())
    (folder / "resnet.onnx").write_bytes(resnet())
    expected = [hashlib.sha256(compile_model(model, target_ir=layer).data).hexdigest()
                for model in (mixed(), resnet()) for layer in ("ldfg", "lir", "enf")]  # fmt: skip
    assert digests(folder, seed) == expected


def test_file_and_bytes_and_repetition(tmp_path: Path) -> None:
    path = tmp_path / "one.onnx"
    path.write_bytes(mixed())
    shutil.copy(path, tmp_path / "another")
    for layer in LAYERS:
        files = {compile_model(model, target_ir=layer).data for model in (path, tmp_path / "another", mixed(), mixed())}
        assert len(files) == 1


def test_no_clock_no_place_in_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    path = tmp_path / "someplace.onnx"
    path.write_bytes(mixed())
    before = compile_model(path).enf
    monkeypatch.setattr(time, "time", lambda: 4e9)
    monkeypatch.setattr(time, "perf_counter", iter(range(10**6)).__next__)
    monkeypatch.chdir(tmp_path)
    assert compile_model("someplace.onnx").enf == before
    assert b"someplace" not in before and str(tmp_path).encode() not in before


def test_progress_and_report_change_nothing() -> None:
    shown: list[str] = []
    assert compile_model(mixed(), progress=shown.append).enf == compile_model(mixed()).enf
    assert shown
