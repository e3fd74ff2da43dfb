"""A row of the operator table that lacks something fails by its name: what makes it, its sentences, a case."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import onnx
import pytest
from tests.compiler import op_cases_matrices, op_cases_more  # noqa: F401  # enter their cases
from tests.compiler.op_cases import CASES, OPSETS
from tests.compiler.quantized import Builder

from furiosa.compiler.frontend import tflite
from furiosa.compiler.ops import OPS
from furiosa.compiler.ops.catalogue import restrictions
from furiosa.compiler.ops.table import OpDef

NOT_OF_THE_STANDARD = {"FastGelu", "QuickGelu"}
"""Of the domain com.microsoft; so are QLinearAdd and the like, which are forms."""
ELSEWHERE = {
    "FastGelu": "test_frontend_models", "QuickGelu": "test_frontend_models", "Upsample": "test_opsets",
    "Dropout": "test_opsets",
}  # fmt: skip
"""Operators whose cases are models of other tests."""


@cache
def operators_of_cases() -> frozenset[str]:
    """The operators in the models of all cases."""
    found = set()
    for name, case in CASES.items():
        for opset in OPSETS.get(name, (13,)):
            builder = Builder("uint8", opset)
            case(builder)
            found |= {node.op_type for node in builder.nodes}
    return frozenset(found)


@cache
def tflite_sources() -> str:
    return "".join(path.read_text() for path in Path(tflite.__file__).parent.glob("*.py"))


@pytest.mark.parametrize("name", OPS)
def test_something_makes_it(name: str) -> None:
    """Operators of the standard become it, or the TFLite front end names it."""
    row = OPS[name]
    unknown = [each for each in row.onnx if each not in NOT_OF_THE_STANDARD and not onnx.defs.has(each)]
    assert not unknown, f"row `{name}` is for operators that do not exist: {unknown}"
    assert row.onnx or f'"{name}"' in tflite_sources(), f"no front end makes row `{name}`"


@pytest.mark.parametrize("name", OPS)
def test_it_has_a_case(name: str) -> None:
    missing = set(OPS[name].onnx) - operators_of_cases() - ELSEWHERE.keys()
    assert not missing, f"row `{name}` has no case of {sorted(missing)} in op_cases"


@pytest.mark.parametrize("name", OPS)
def test_it_says_what_must_hold(name: str) -> None:
    check_sentences(OPS[name])


def check_sentences(row: OpDef) -> None:
    for each in restrictions(row):
        assert each.sentence and each.limit and each.hint, f"row `{row.name}`: `{each.code}` lacks a sentence"
        assert not each.sentence.endswith("."), f"row `{row.name}`: `{each.code}` ends with a full stop"
    assert all(function.__doc__ for function in (row.build, row.lower)), f"row `{row.name}` does not say what it does"
