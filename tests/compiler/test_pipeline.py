"""The pipeline: its progress as SDK users know it, dumps, the checks between passes, deep chains, limits."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from onnx import TensorProto, helper
from tests.compiler.quantized_nets import chain, mixed, tiny

from furiosa.compiler import compile_model, pipeline, specs
from furiosa.compiler.graph import Graph
from furiosa.compiler.pipeline import LAYERS, STAGES, Pass, Run, Stage
from furiosa.isa import target
from furiosa.isa.errors import InternalError, OptionError, UnsupportedError

FROM_ONNX = """\
[1/6] 🔍   Compiling from onnx to dfg
Done in #s
[2/6] 🔍   Compiling from dfg to ldfg
▪▪▪▪▪ [1/3] Splitting graph(LAS)...Done in #s
▪▪▪▪▪ [2/3] Lowering graph(LAS)...Done in #s
▪▪▪▪▪ [3/3] Optimizing graph...Done in #s
Done in #s
[3/6] 🔍   Compiling from ldfg to cdfg
Done in #s
[4/6] 🔍   Compiling from cdfg to gir
Done in #s
[5/6] 🔍   Compiling from gir to lir
Done in #s
[6/6] 🔍   Compiling from lir to enf
Done in #s
✨  Finished in #s
"""


def progress(model: bytes, target_ir: str = "enf") -> str:
    """What is shown, with every time as ``#``."""
    shown: list[str] = []
    compile_model(model, progress=shown.append, target_ir=target_ir)
    text = "".join(shown)
    times = re.findall(r" in ([^s]*)s", text)
    assert all(re.fullmatch(r"\d+(\.\d+)?(e-\d+)?", time) for time in times)
    return re.sub(r" in [^s]*s", " in #s", text)


def test_progress_from_onnx() -> None:
    assert progress(tiny()) == FROM_ONNX


@pytest.mark.parametrize("layer", LAYERS[:-1])
def test_progress_from_a_layer_leaves_out_what_is_done(layer: str) -> None:
    """Five stages from a DFG, and so on: the first ones are dropped and the rest renumbered."""
    done = LAYERS.index(layer) + 1
    blocks = re.split(r"^(?=\[|✨)", FROM_ONNX, flags=re.MULTILINE)[1:]
    expected = "".join(blocks[done:])
    for number in range(done + 1, 7):
        expected = expected.replace(f"[{number}/6]", f"[{number - done}/{6 - done}]")
    assert progress(compile_model(tiny(), target_ir=layer).data) == expected


def test_progress_to_a_layer_counts_the_stages_that_run() -> None:
    assert progress(tiny(), "dfg") == (
        "[1/1] 🔍   Compiling from onnx to dfg\nDone in #s\n✨  Finished in #s\n"
    )  # fmt: skip
    assert progress(tiny(), "cdfg").count("/3] 🔍") == 3


def test_dumps_are_numbered_texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FURIOSA_DUMP", str(tmp_path / "deep" / "dump"))
    compile_model(mixed())
    names = sorted(path.name for path in (tmp_path / "deep" / "dump").iterdir())
    passes = [(stage.layer, step.name) for stage in STAGES for step in stage.passes if stage.layer != "enf"]
    assert names == [f"{number:02}-{layer}-{name}.txt" for number, (layer, name) in enumerate(passes)]
    assert "npu.conv2d" in next((tmp_path / "deep" / "dump").glob("*-ldfg-optimize.txt")).read_text(encoding="utf-8")


def test_a_dump_folder_that_cannot_be_written_is_the_users_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FURIOSA_DUMP", str(tmp_path / "file"))
    with pytest.raises(OptionError, match="cannot write to") as caught:
        compile_model(tiny())
    assert caught.value.where == "environment variable `FURIOSA_DUMP`"


def _run(step: Pass, layer: str = "ldfg") -> Any:
    """The stages with one more pass at the end of a layer."""
    stages = tuple(
        Stage(stage.layer, (*stage.passes, step)) if stage.layer == layer else stage for stage in STAGES
    )  # fmt: skip
    run = Run(target.target("warboy"), lambda _: None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "STAGES", stages)
        return run.compile(pipeline.Source(tiny(), "tiny.onnx"), "onnx", "enf")


def test_the_guilty_pass_is_named() -> None:
    def explode(graph: Graph, _: object) -> Graph:
        raise KeyError("lost")

    def break_types(graph: Graph, _: object) -> Graph:
        (last,) = graph.outputs
        bad = tuple(replace(x, type=replace(x.type, quant=None)) for x in last.inputs[0].inputs)
        return replace(graph, outputs=(replace(last, inputs=(replace(last.inputs[0], inputs=bad),)),))

    with pytest.raises(InternalError, match="pass `explode` of layer `ldfg` failed: KeyError: 'lost'"):
        _run(Pass(explode, "explode"))
    with pytest.raises(InternalError, match=r"after `break_types`, the ldfg is malformed at .* quantized as None"):
        _run(Pass(break_types, "break_types", specs.LDFG))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": "warboy-3pe"}, "warboy-3pe"),
        ({"target_ir": "lr"}, "unknown target IR `lr`"),
        ({"batch_size": 0}, "the batch size must be at least 1 and below"),
        ({"batch_size": 2**31}, r"below 2\*\*31, not 2147483648"),
        ({"batch_size": -1}, "the batch size must be at least 1 and below"),
    ],
)
def test_wrong_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        compile_model(tiny(), **options)


def _two_nodes(shape: list[int], kind: int = TensorProto.FLOAT) -> bytes:
    nodes = [helper.make_node("Relu", ["x"], ["r"], name="first"), helper.make_node("Relu", ["r"], ["y"])]
    info = [helper.make_tensor_value_info(name, kind, shape) for name in ("x", "y")]
    graph = helper.make_graph(nodes, "g", info[:1], info[1:])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(made.SerializeToString())


def test_tensors_larger_than_the_device_are_refused_at_once() -> None:
    with pytest.raises(UnsupportedError, match=r"tensor `x` takes \d+ bytes, `warboy-2pe` has 17179869184 bytes"):
        compile_model(_two_nodes([1, 2**31, 2**31]))
    with pytest.raises(UnsupportedError, match="tensor `x` takes"):
        compile_model(tiny(), batch_size=2**30)


def test_a_chain_of_ten_thousand_operators_compiles() -> None:
    """3,400 convolutions and additions with their Quantize and Dequantize: one cluster, an instruction each."""
    model = chain(3_400)
    assert model.count(b"QuantizeLinear") >= 2 * 3_400
    report = compile_model(model, target="warboy").report
    assert (report["npu_clusters"], report["cpu_clusters"]) == (1, 0)
    assert report["npu_instructions"] >= 3_400


def test_a_chain_of_ten_thousand_operators_on_the_cpu_compiles() -> None:
    names = [f"t{index}" for index in range(10_001)]
    nodes = [helper.make_node("Sin", [x], [y], name=y) for x, y in pairwise(names)]
    info = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4]) for name in (names[0], names[-1])]
    graph = helper.make_graph(nodes, "g", info[:1], info[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    report = compile_model(model.SerializeToString()).report
    assert (report["npu_clusters"], report["cpu_clusters"], len(report["placement"])) == (0, 1, 10_000)
