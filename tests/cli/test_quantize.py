"""furiosa quantize: the file it writes, what it prints, and how it fails."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper, numpy_helper

RUN = "import sys; from furiosa.cli.main import main; sys.exit(main())"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    weights = rng.standard_normal((4, 3, 3, 3)).astype(np.float32)
    nodes = [helper.make_node("Conv", ["x", "w"], ["a"], name="conv", pads=[1, 1, 1, 1]),
             helper.make_node("Relu", ["a"], ["y"], name="relu")]  # fmt: skip
    value = helper.make_tensor_value_info
    graph = helper.make_graph(nodes, "g", [value("x", 1, [1, 3, 8, 8])], [value("y", 1, [1, 4, 8, 8])],
                              [numpy_helper.from_array(weights, "w")])  # fmt: skip
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), tmp_path / "m.onnx")
    np.savez(tmp_path / "data.npz", x=rng.standard_normal((6, 3, 8, 8)).astype(np.float32))
    return tmp_path


def quantize(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", RUN, "quantize", *options]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=120, check=False)


def test_the_result_is_an_int8_model(folder: Path) -> None:
    done = quantize(folder, "m.onnx", "-o", "q.onnx", "--data", "data.npz")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert [cell.strip() for cell in lines[1].split("|")[1:-1]] == [
        "Tensor", "Operator", "SQNR (dB)", "of its own", "Cosine", "Clipped", "Unused codes",
    ]  # fmt: skip
    assert {line.split("|")[1].strip() for line in lines[3:-1]} == {"x", "y"}
    model = onnx.load(folder / "q.onnx")
    assert {node.op_type for node in model.graph.node} >= {"QuantizeLinear", "DequantizeLinear", "Conv"}
    x = np.load(folder / "data.npz")["x"][:1]
    outputs = [onnxruntime.InferenceSession(folder / name).run(None, {"x": x})[0] for name in ("m.onnx", "q.onnx")]
    assert np.abs(outputs[0] - outputs[1]).max() < 0.1 * np.abs(outputs[0]).max()


@pytest.mark.parametrize("method", ["entropy-sym", "mse-asym", "percentile-asym"])
def test_methods_and_integer_borders(folder: Path, method: str) -> None:
    done = quantize(folder, "m.onnx", "-o", "q.onnx", "--data", "data.npz", "--method", method, "--samples", "2",
                    "--input-type", "uint8", "--output-type", "int8", "-q")  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    session = onnxruntime.InferenceSession(folder / "q.onnx")
    assert (session.get_inputs()[0].type, session.get_outputs()[0].type) == ("tensor(uint8)", "tensor(int8)")


def test_reports(folder: Path) -> None:
    for name in ("losses.json", "losses.html"):
        done = quantize(folder, "m.onnx", "-o", "q.onnx", "--data", "data.npz", "--report", name, "-q")
        assert (done.returncode, done.stderr) == (0, "")
    content = json.loads((folder / "losses.json").read_text())
    assert [row["tensor"] for row in content["tensors"]] == ["x", "y"] or len(content["tensors"]) == 2
    assert [len(row["nodes"]) > 0 for row in content["exclusions"]] == [False, True, True]
    assert "Leaving operators out" in (folder / "losses.html").read_text()


def test_weights_in_a_file_of_their_own(folder: Path) -> None:
    model = onnx.load(folder / "m.onnx")
    onnx.save(model, folder / "e.onnx", save_as_external_data=True, location="w.bin", size_threshold=0)
    options = ("--data", "data.npz", "-q")
    for name in ("m", "e"):
        assert quantize(folder, f"{name}.onnx", "-o", f"{name}-int8.onnx", *options).returncode == 0
    assert (folder / "m-int8.onnx").read_bytes() == (folder / "e-int8.onnx").read_bytes()
    (folder / "w.bin").unlink()
    done = quantize(folder, "e.onnx", "-o", "q.onnx", *options)
    assert (done.returncode, done.stdout) == (2, "")
    assert "cannot read the external data of initializer `w`" in done.stderr and "at e.onnx" in done.stderr


def test_open_sizes_of_images_are_to_be_fixed(folder: Path) -> None:
    model = onnx.load(folder / "m.onnx")
    for axis in (2, 3):
        model.graph.input[0].type.tensor_type.shape.dim[axis].dim_param = f"size{axis}"
    onnx.save(model, folder / "open.onnx")
    done = quantize(folder, "open.onnx", "-o", "q.onnx", "--data", "data.npz")
    assert done.returncode == 2
    assert 'the static shape of input "x" must be given' in done.stderr
    assert "hint: fix the shape, e.g. with `python -m onnxruntime.tools.make_dynamic_shape_fixed`" in done.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["absent.onnx", "-o", "q.onnx", "--data", "data.npz"], "cannot read the model `absent.onnx`"),
        (["data.npz", "-o", "q.onnx", "--data", "data.npz"], "data.npz"),
        (["m.onnx", "-o", "q.onnx", "--data", "absent.npz"], "no calibration data at `absent.npz`"),
        (["m.onnx", "-o", "q.onnx", "--data", "data.npz", "--exclude", "convv"], "cannot exclude `convv`"),
        (["m.onnx", "-o", "data.npz", "--data", "data.npz"], "the output `data.npz` is an input itself"),
        (["m.onnx", "-o", "q.onnx", "--data", "data.npz", "--std", "0"], "pixels cannot become"),
        (["m.onnx", "-o", "q.onnx", "--data", "data.npz", "--exclude", "Conv", "--exclude", "Relu"], "is quantized"),
        (["m.onnx", "-o", "q.onnx", "--data", "data.npz", "--report", "l.txt"], "neither .html nor .json"),
        (["m.onnx", "-o", "none/q.onnx", "--data", "data.npz"], "none/q.onnx"),
        (["m.onnx", "-o", "q.onnx", "--data", "data.npz", "--size", "big"], "`big` is no size"),
        (["m.onnx", "-o", "q.onnx", "--data", "data.npz", "--mean", "a,b"], "no list of numbers"),
        (["m.onnx", "-o", "q.onnx", "--data", "data.npz", "--percentage", "0"], "percentage"),
    ],
)
def test_mistakes_are_one_message(folder: Path, options: list[str], message: str) -> None:
    percentile = ["--method", "percentile-asym"]
    done = quantize(folder, *options, *percentile)
    assert done.returncode == 2
    assert message in done.stderr
    assert "hint: " in done.stderr
    assert "Traceback" not in done.stderr
    assert not (folder / "q.onnx").exists()
