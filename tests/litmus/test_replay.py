"""Archives with a model: they run again elsewhere with the same verdict, and tell nothing private."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from tests.litmus.models import conv_model, saved

from furiosa.litmus import main, modelfile
from furiosa.litmus.scrub import Scrubber

SECRETS = {
    "HOME": "/home/jane.roe", "USER": "janeroe77", "FC_CACHE_STORE_URL": "redis://:hunter2pw@127.0.0.1:1/0",
    "API_TOKEN": "tokentoken", "SOME_SETTING": "blue-7-value",
}  # fmt: skip
PRIVATE = [*SECRETS.values(), "hunter2pw", "jane.roe"]


def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str
) -> tuple[int, dict[str, Any]]:
    monkeypatch.setattr(sys, "argv", ["furiosa-litmus", *arguments, "--format", "json"])
    status = main()
    return status, json.loads(capsys.readouterr().out)


@pytest.fixture(autouse=True)
def own_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FURIOSA_SIM_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("FC_CACHE_ENABLED", "0")
    monkeypatch.delenv("FURIOSA_DEVICES", raising=False)
    monkeypatch.delenv("FURIOSA_SIM_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("kind", ["--dump-model", "--dump-model=structure"])
@pytest.mark.parametrize("tail", ["LogSoftmax", "NoSuchOperator"])
def test_an_archive_runs_again_elsewhere(
    kind: str, tail: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    secret = " ".join(PRIVATE)
    saved(conv_model(tail, described=f"{secret}/a.py"), tmp_path / "janeroe77.onnx")
    status, first = run(monkeypatch, capsys, "--dump", "report", kind, "janeroe77.onnx")
    assert status == (0 if tail == "LogSoftmax" else 1)
    (path,) = tmp_path.glob("report-*.zip")
    other = tmp_path / "other place"
    with zipfile.ZipFile(path) as file:
        for name in file.namelist():
            assert not [text for text in [*PRIVATE, str(tmp_path)] if text.encode() in file.read(name)], name
        file.extractall(other)
    (folder,) = other.iterdir()
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    (bin_folder / "furiosa-litmus").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m furiosa.litmus "$@"\n')
    (bin_folder / "furiosa-litmus").chmod(0o755)
    done = subprocess.run(
        ["sh", str(folder / "replay.sh"), "--format", "json"], cwd="/", capture_output=True, text=True, check=False,
        env={**os.environ, "PATH": f"{bin_folder}:/usr/bin:/bin", "FURIOSA_DEVICES": "npu9pe0", "HOME": str(other)},
    )  # fmt: skip
    assert done.returncode == status, done.stderr
    second = json.loads(done.stdout)
    for values in (first, second):
        for step in values["steps"]:
            del step["seconds"], step["error"]
    assert [second[key] for key in ("works", "steps", "npu_latency_us")] == [
        first[key] for key in ("works", "steps", "npu_latency_us")
    ]
    assert f"exit status {status}" in (folder / "REPLAY.md").read_text()


def test_weights_come_from_a_seed(tmp_path: Path) -> None:
    model = conv_model()
    before = numpy_helper.to_array(model.graph.initializer[0])
    modelfile.strip_weights(model)
    assert not model.graph.initializer[0].raw_data
    again = onnx.load(str(saved(model, tmp_path / "structure.onnx")))
    for made in (model, again):
        assert modelfile.restore(made)
    after = numpy_helper.to_array(model.graph.initializer[0])
    np.testing.assert_array_equal(after, numpy_helper.to_array(again.graph.initializer[0]))
    assert (after.shape, after.dtype) == (before.shape, before.dtype) and not np.array_equal(after, before)
    assert before.min() <= after.min() and after.max() <= before.max()
    assert abs(after.mean() - before.mean()) < 0.3 and abs(after.std() - before.std()) < 0.3
    assert not modelfile.restore(model)


def stored(tensor: onnx.TensorProto) -> int:
    return len(tensor.raw_data) + len(tensor.float_data) + len(tensor.int64_data) + len(tensor.int32_data)


def test_names_stay_different() -> None:
    model = conv_model()
    model.graph.node[0].output[0] = model.graph.node[1].input[0] = "tokentoken"
    model.graph.node[1].output[0] = model.graph.node[2].input[0] = "secretsecret"
    path = saved(model, Path("model.onnx"))
    scrub = Scrubber({"TOKEN": "tokentoken", "PASSWORD": "secretsecret"})
    cleaned = onnx.load_model_from_string(modelfile.for_dump(path, False, scrub) or b"")
    assert [node.output[0] for node in cleaned.graph.node] == ["***", "***_", "y"]


def test_what_decides_shapes_is_kept() -> None:
    model = onnx.parser.parse_model("""
        <ir_version: 8, opset_import: ["" : 13]>
        g (float[1,2,4,4] x) => (float[1,2,8,8] y)
        <float[4] s = {1, 1, 2, 2}, int64[2] i = {3, 4}, int8[3] q = {5, 6, 7}, float[3] k = {1, 2, 3},
         int8[3] z = {0, 1, 2}, float[2] b = {8, 9}>
        { y = Resize (x, , s)
          d = DequantizeLinear <axis = 0> (q, k, z)
          e = Add (b, b)
          r = Reshape (d, i) }""")
    modelfile.strip_weights(model)
    kept = {tensor.name for tensor in model.graph.initializer if stored(tensor)}
    assert kept == {"s", "i", "k", "z"}


def test_scrubber() -> None:
    scrub = Scrubber({"HOME": "/srv/people/mia", "USER": "mia", "TOKEN": "abcd", "LANG": "C.UTF-8", "N": "1000000"})
    table = {
        "see /srv/people/mia/x": "see ~/x",
        "at rediss://u:p@h:1/2": "at rediss://***@h:1/2",
        "/home/other/y of mia, miami": "~/y of ***, miami",
        "abcd 1000000 C.UTF-8": "*** 1000000 ***",
    }
    assert {text: scrub.text(text) for text in table} == table
    assert scrub.json('{"mia": ["mia", 1, null]}') == '{"mia":["***",1,null]}'
    assert scrub.page('mia<script type="application/json">{"a":"<b>mia"}</script>') == (
        'mia<script type="application/json">{"a":"\\u003cb\\u003e***"}</script>'
    )
    assert scrub.same_length(b"x/srv/people/miay") == b"x" + b"*" * 15 + b"y"


PLACES = "/home/jane.roe/net.py by janeroe77, redis://:hunter2pw@10.0.0.9:6379/0, tokentoken, blue-7-value"
WORDS = ["jane.roe", "janeroe77", "hunter2pw", "tokentoken", "blue-7-value"]


def full_of_secrets() -> onnx.ModelProto:
    """A model that works, with a text in every place of the format where one can be."""
    model = conv_model("Relu", described=PLACES)
    graph = model.graph
    text = PLACES.encode()
    model.producer_name = model.producer_version = model.doc_string = graph.doc_string = graph.name = PLACES
    model.domain = "hunter2pw"
    model.metadata_props.add(key=PLACES, value=PLACES)
    model.metadata_props.add(key="furiosa.quantizer.output_type.janeroe77", value='{"type": "UINT8"}')
    graph.output[0].name = graph.node[2].output[0] = "janeroe77"
    graph.node[0].name = graph.node[0].doc_string = PLACES
    graph.node[0].attribute.append(onnx.helper.make_attribute("auto_pad", "NOTSET", PLACES))
    graph.initializer[0].doc_string = PLACES
    graph.initializer.append(numpy_helper.from_array(np.frombuffer(text, np.uint8), "bytes"))
    strings = onnx.TensorProto(name="strings", data_type=onnx.TensorProto.STRING, dims=[2])
    strings.string_data.extend([text, b"\xff" + text])
    graph.initializer.append(strings)
    graph.value_info.append(onnx.helper.make_tensor_value_info("v", 1, [PLACES], PLACES))
    annotation = graph.quantization_annotation.add(tensor_name=PLACES)
    annotation.quant_parameter_tensor_names.add(key=PLACES, value=PLACES)
    body = [onnx.helper.make_node("Relu", ["a"], ["b"], PLACES, PLACES)]
    opset = [onnx.helper.make_opsetid("", 13)]
    model.functions.append(
        onnx.helper.make_function("hunter2pw", "tokentoken", ["a"], ["b"], body, opset, ["janeroe77"])
    )
    model.opset_import.append(onnx.helper.make_opsetid("hunter2pw", 1))
    if "metadata_props" in graph.node[1].DESCRIPTOR.fields_by_name:  # since IR 10
        graph.node[1].metadata_props.add(key=PLACES, value=PLACES)
    return model


def poisoned() -> bytes:
    """The model's bytes, with a field at the end that no version of the format knows."""
    return full_of_secrets().SerializeToString() + b"\xa2\x3e" + bytes([len(PLACES)]) + PLACES.encode()


def test_no_place_in_a_model_keeps_a_secret(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(poisoned())
    assert path.read_bytes().count(b"hunter2pw") > 20
    for structure in (False, True):
        dumped = modelfile.for_dump(path, structure, Scrubber(SECRETS)) or b""
        assert not [word for word in WORDS if word.encode() in dumped]
        model = onnx.load_model_from_string(dumped)
        assert [node.op_type for node in model.graph.node] == ["Conv", "Relu", "Relu"]
        assert model.graph.node[0].attribute[-1].s == b"NOTSET"
        assert len(model.functions) == 1
        keys = {item.key for item in model.metadata_props} - {modelfile.MARK}
        assert keys == {f"furiosa.quantizer.output_type.{model.graph.output[0].name}"}


def test_a_dump_of_such_a_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither the model nor logs, pictures and messages keep a secret; the verdict is that of the model as it was."""
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "janeroe77.onnx").write_bytes(poisoned())
    status, first = run(monkeypatch, capsys, "--dump", "report", "--dump-model", "janeroe77.onnx")
    (path,) = tmp_path.glob("report-*.zip")
    with zipfile.ZipFile(path) as file:
        for name in file.namelist():
            assert not [word for word in [*WORDS, str(tmp_path)] if word.encode() in file.read(name)], name
        model = next(name for name in file.namelist() if name.endswith(".onnx"))
        (tmp_path / "again.onnx").write_bytes(file.read(model))
    assert run(monkeypatch, capsys, "again.onnx")[0] == status
    assert first["works"], first["verdict"]


def test_bytes_of_another_format(tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(b"\x1c\x00\x00\x00TFL3" + bytes(range(256)) + PLACES.encode() + b"\xfe\x01")
    dumped = modelfile.for_dump(path, False, Scrubber(SECRETS)) or b""
    assert len(dumped) == path.stat().st_size
    assert dumped.startswith(path.read_bytes()[:264])
    assert not [word for word in WORDS if word.encode() in dumped]


def test_words_of_the_standard_stay(tmp_path: Path) -> None:
    """Also when the user is called so."""
    model = conv_model()
    model.graph.node[0].attribute.append(onnx.helper.make_attribute("auto_pad", "NOTSET"))
    path = saved(model, tmp_path / "m.onnx")
    dumped = modelfile.for_dump(path, False, Scrubber({"USER": "Conv", "SOME_SECRET": "NOTSET", "LOGNAME": "pads"}))
    assert onnx.load_model_from_string(dumped or b"") == model
