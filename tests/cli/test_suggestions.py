"""What is misspelt gets a suggestion: options, values, sub-commands, targets, compiler options and names of tensors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.compiler.quantized_nets import tiny
from tests.litmus.models import conv_model

from furiosa.cli import bench, cache, compiler, furiosactl, ops
from furiosa.cli.errors import run
from furiosa.isa.errors import FuriosaError, did_you_mean
from furiosa.litmus import command as litmus
from furiosa.optimizer import optimize_model
from furiosa.quantizer import ModelEditor, TensorType
from furiosa.runtime.sync import create_runner


@pytest.mark.parametrize(
    ("command", "words", "meant"),
    [
        (compiler.compiler, ["m.onnx", "--taget-npu", "warboy"], "--target-npu"),
        (compiler.compiler, ["m.onnx", "--target-npu", "wraboy"], "warboy"),
        (compiler.compiler, ["m.onnx", "--target-ir", "cdgf"], "cdfg"),
        (bench.bench, ["m.onnx", "--querys", "3"], "--queries"),
        (bench.bench, ["m.onnx", "--workload", "latencie"], "latency"),
        (litmus.litmus, ["m.onnx", "--skip-quantisation"], "--skip-quantization"),
        (litmus.litmus, ["m.onnx", "--target-npu", "WARBOY-2P"], "warboy-2pe"),
        (furiosactl.furiosactl, ["lits"], "list"),
        (furiosactl.furiosactl, ["info", "--ful"], "--full"),
        (cache.cache, ["prun"], "prune"),
        (cache.cache, ["list", "--format", "ymal"], "yaml"),
        (ops.ops, ["--search", "maxpol"], "MaxPool"),
    ],
)
def test_commands(
    command: Any, words: list[str], meant: str, capsys: pytest.CaptureFixture[str], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.onnx").write_bytes(tiny())
    assert run(lambda: command.main(words, prog_name="command", standalone_mode=False)) in (1, 2)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.endswith(f"\nhint: did you mean `{meant}`?\n")


def test_tensors() -> None:
    model = conv_model("Relu")
    with create_runner(tiny()) as runner:
        given, result = runner.model.input(0).name, runner.model.output(0).name
        value = np.zeros(runner.model.input(0).shape, np.float32)
        calls: list[tuple[Callable[[], object], str | None]] = [
            (lambda: runner.run_with([result or ""], {f"{given}_": value}), given),
            (lambda: runner.run_with([f"{result}_"], {given or "": value}), result),
        ]
        for call, meant in calls:
            with pytest.raises(ValueError, match=f"has no (in|out)put .*: did you mean `{meant}`"):
                call()

    model = conv_model("Relu")
    hinted: list[tuple[Callable[[], object], str]] = [
        (lambda: optimize_model(model, input_shapes={"X": [1, 3, 8, 8]}), "x"),
        (lambda: ModelEditor(model).convert_output_type("Y", TensorType.UINT8), "y"),
    ]
    for call, meant in hinted:
        with pytest.raises(FuriosaError) as caught:
            call()
        assert caught.value.hint == f"did you mean `{meant}`?"


def test_only_what_is_near() -> None:
    assert did_you_mean("imgaes", ["images", "image_sizes", "labels"]) == "did you mean `images`?"
    assert did_you_mean("IMAGES", ["images"]) == "did you mean `images`?"
    assert did_you_mean("zebra", ["images"]) is None
    assert did_you_mean("", ["images"]) is None
    assert did_you_mean("images", []) is None
