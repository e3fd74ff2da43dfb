"""Each pass on a small model that it changes: the lines that go and come, as golden text."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from typing import Any

import onnx.parser
import pytest
from tests.compiler.quantized import same

from furiosa.compiler import irfile
from furiosa.compiler.effort import DEFAULT_EFFORT
from furiosa.compiler.pipeline import STAGES, Goal, Source
from furiosa.isa.target import target

Golden = Callable[[str, str], None]

_POINTS = "float s = {0.05}, uint8 z = {120}, float t = {0.03}, uint8 u = {10}, int8 m = {-3}, int8 n = {5}"
_WEIGHTS = "float sw = {0.02}, int8 zw = {0}, int8[2,2,1,1] w = {10,-20,30,40}"
_CONV = """a = QuantizeLinear(x, s, z) b = DequantizeLinear(a, s, z) v = DequantizeLinear(w, sw, zw)
  [conv] c = Conv <kernel_shape = [1, 1]> (b, v) [relu] r = Relu(c) d = QuantizeLinear(r, t, u)"""


def _model(interface: str, body: str) -> str:
    head, result = interface.split(" => ")
    return f"""<ir_version: 8, opset_import: ["" : 17]> g ({head}) => ({result}) <{_POINTS}, {_WEIGHTS}> {{ {body} }}"""


MODELS = {
    "import": _model("float[1,2,2,2] x => float[1,2,2,2] y", "i = Identity(x) k = Add(s, t) y = Mul(i, k)"),
    "type_integers": _model(
        "uint8[1,2,4,4] x => float[1,2,2,2] y",
        """
  p = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (x) y = DequantizeLinear(p, s, z)""",
    ),
    "merge_pairs": _model(
        "float[1,2,2,2] x => float[1,2,2,2] y",
        """
  a = QuantizeLinear(x, s, z) b = DequantizeLinear(a, s, z) c = QuantizeLinear(b, t, u) d = DequantizeLinear(c, t, u)
  r = Relu(d) e = QuantizeLinear(r, t, u) y = DequantizeLinear(e, t, u)""",
    ),
    "store_unsigned": _model(
        "float[1,2,2,2] x => float[1,2,2,2] y",
        """
  a = QuantizeLinear(x, s, m) b = DequantizeLinear(a, s, m) r = Sigmoid(b) c = QuantizeLinear(r, t, n)
  y = DequantizeLinear(c, t, n)""",
    ),
    "quantize_inputs": _model(
        "float[1,2,2,3] x => float[1,3,2,2] y",
        """
  p = Transpose <perm = [0, 3, 1, 2]> (x) a = QuantizeLinear(p, s, z) b = DequantizeLinear(a, s, z) r = Relu(b)
  c = QuantizeLinear(r, t, u) y = DequantizeLinear(c, t, u)""",
    ),
    "absorb_quantization": _model("float[1,2,2,2] x => float[1,2,2,2] y", f"{_CONV} y = DequantizeLinear(d, t, u)"),
    "sum_channels_last": _model(
        "float[1,2,2,2] x => float[1,2,1,1] y",
        """
  a = QuantizeLinear(x, s, z) b = DequantizeLinear(a, s, z) v = DequantizeLinear(w, sw, zw)
  c = Conv <kernel_shape = [1, 1]> (b, v) d = QuantizeLinear(c, t, u) e = DequantizeLinear(d, t, u)
  f = ReduceMean <axes = [2, 3]> (e) g = QuantizeLinear(f, t, u) h = DequantizeLinear(g, t, u)
  k = Conv <kernel_shape = [1, 1]> (h, v) l = QuantizeLinear(k, t, u) y = DequantizeLinear(l, t, u)""",
    ),
    "split": _model("float[1,2,2,2] x => float[1,2,2,2] y", f"{_CONV} e = DequantizeLinear(d, t, u) [sine] y = Sin(e)"),
    "lower": _model("float[1,2,2,2] x => float[1,2,2,2] y", f"{_CONV} y = DequantizeLinear(d, t, u)"),
    "sign_inputs": _model(
        "uint8[1,2,2,2] x => float[1,2,2,2] y",
        """
  a = DequantizeLinear(x, s, z) b = Transpose <perm = [0, 1, 3, 2]> (a) v = DequantizeLinear(w, sw, zw)
  c = Conv <kernel_shape = [1, 1]> (b, v) d = QuantizeLinear(c, t, u) y = DequantizeLinear(d, t, u)""",
    ),
    "keep_layout": _model("float[1,2,2,2] x => float[1,2,2,2] y", f"{_CONV} y = DequantizeLinear(d, t, u)"),
    "optimize": _model(
        "float[1,2,2,3] x => float[1,2,2,3] y",
        """
  a = QuantizeLinear(x, s, z) b = DequantizeLinear(a, s, z) p = Transpose <perm = [0, 2, 3, 1]> (b)
  c = QuantizeLinear(p, s, z) d = DequantizeLinear(c, s, z) q = Transpose <perm = [0, 3, 1, 2]> (d)
  e = QuantizeLinear(q, s, z) f = DequantizeLinear(e, s, z) r = Sigmoid(f)
  g = QuantizeLinear(r, t, u) y = DequantizeLinear(g, t, u)""",
    ),
    "layout_on_npu": _model("float[1,2,1,32] x => float[1,2,1,32] y", f"{_CONV} y = DequantizeLinear(d, t, u)"),
    "cluster": _model(
        "float[1,2,2,2] x => float[1,2,2,2] y", f"{_CONV} e = DequantizeLinear(d, t, u) [sine] y = Sin(e)"
    ),
}
ELSEWHERE = {
    "check_tensors": "it changes nothing: test_frontend_errors", "check_cpu": "it changes nothing: test_clusters",
    "build": "all is new: *.gir", "linearize": "all is new: *.lir", "assemble": "a binary file: tests of `furiosa enf`",
}  # fmt: skip
"""Passes without a difference to show."""


def source(name: str) -> bytes:
    return bytes(onnx.parser.parse_model(MODELS[name]).SerializeToString())


def lines(value: Any) -> list[str]:
    """A graph's ops as text, with names in place of numbers, without the places of constants."""
    text = re.sub(r"proto=b(['\"]).*?(?<!\\)\1", "proto=...", irfile.printed(value)[0])
    text = re.sub(r", data=Data\(.*?\)", "", text)
    names = dict(re.findall(r"^%(\d+) = .*? Rest\(name='(.*?)'", text, re.MULTILINE))
    named = re.sub(r"%(\d+)", lambda number: names[number[1]], text)
    return [line for line in named.splitlines() if not line.startswith("graph ")]


def before_and_after(name: str) -> tuple[Any, Any]:
    """The graphs around a pass."""
    goal = Goal(target("warboy"), DEFAULT_EFFORT)
    kept = name == "keep_layout"
    value: Any = Source(source(name), "the model", remove_lower=kept, remove_unlower=kept)
    for stage in STAGES:
        for step in stage.passes:
            before, value = value, step.run(value, goal)
            if step.name == name:
                return before, value
    raise AssertionError(name)


@pytest.mark.parametrize("name", MODELS)
def test_what_a_pass_changes(name: str, golden: Golden) -> None:
    before, after = before_and_after(name)
    old = [] if isinstance(before, Source) else lines(before)
    changed = [line for line in difflib.ndiff(old, lines(after)) if line[0] in "+-"]
    assert changed
    golden(f"golden/pass-{name}.txt", f"{MODELS[name].strip()}\n---\n" + "\n".join(changed) + "\n")


@pytest.mark.parametrize("name", MODELS)
def test_the_models_compute_what_onnx_runtime_does(name: str) -> None:
    same(source(name))


def test_every_pass_is_shown() -> None:
    assert {step.name for stage in STAGES for step in stage.passes} == MODELS.keys() | ELSEWHERE.keys()
