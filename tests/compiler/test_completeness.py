"""A row of the operator table that lacks something fails by its name: what makes it, its sentences, a case."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import onnx
import pytest
from tests.compiler.op_case import Case
from tests.compiler.op_cases import CASES, OPSETS
from tests.compiler.quantized import Builder

from furiosa.compiler.frontend import tflite
from furiosa.compiler.graph import Op
from furiosa.compiler.ops import OPS
from furiosa.compiler.ops.catalogue import restrictions
from furiosa.compiler.ops.table import OpDef, rule

NOT_OF_THE_STANDARD = {"FastGelu", "QuickGelu"}
"""Of the domain com.microsoft; so are QLinearAdd and the like, which are forms."""
ELSEWHERE = {
    "FastGelu": "test_frontend_models", "QuickGelu": "test_frontend_models", "Upsample": "test_opsets",
    "Dropout": "test_opsets",
}  # fmt: skip
"""Operators whose cases are models of other tests."""


@cache
def operators_of(case: Case, opsets: tuple[int, ...]) -> frozenset[str]:
    """The operators in the models of a case."""
    found = set()
    for opset in opsets:
        builder = Builder("uint8", opset)
        case(builder)
        found |= {node.op_type for node in builder.nodes}
    return frozenset(found)


def operators_of_cases() -> dict[str, frozenset[str]]:
    """The operators in the models of each case."""
    return {name: operators_of(case, OPSETS.get(name, (13,))) for name, case in CASES.items()}


@cache
def tflite_sources() -> str:
    return "".join(path.read_text() for path in Path(tflite.__file__).parent.glob("*.py"))


@pytest.mark.parametrize("name", OPS)
def test_something_makes_it(name: str) -> None:
    """Operators of the standard become it, or the TFLite front end names it."""
    check_makers(OPS[name])


def check_makers(row: OpDef) -> None:
    unknown = [each for each in row.onnx if each not in NOT_OF_THE_STANDARD and not onnx.defs.has(each)]
    assert not unknown, f"row `{row.name}` is for operators that do not exist: {unknown}"
    assert row.onnx or f'"{row.name}"' in tflite_sources(), f"no front end makes row `{row.name}`"


@pytest.mark.parametrize("name", OPS)
def test_it_has_a_case(name: str) -> None:
    check_cases(OPS[name])


def check_cases(row: OpDef) -> None:
    missing = set(row.onnx) - frozenset().union(*operators_of_cases().values()) - ELSEWHERE.keys()
    assert not missing, f"row `{row.name}` has no case of {sorted(missing)} in op_cases"


@pytest.mark.parametrize("operator", sorted({each for row in OPS.values() for each in row.onnx} - ELSEWHERE.keys()))
def test_a_row_without_a_case_fails_by_its_name(operator: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, found in operators_of_cases().items():
        if operator in found:
            monkeypatch.delitem(CASES, name)
    for row in OPS.values():
        if operator in row.onnx:
            with pytest.raises(
                AssertionError, match=rf"row `{row.name}` has no case of \[.*'{operator}'.*\] in op_cases"
            ):
                check_cases(row)


@pytest.mark.parametrize("name", OPS)
def test_it_says_what_must_hold(name: str) -> None:
    check_sentences(OPS[name])


def check_sentences(row: OpDef) -> None:
    for each in restrictions(row):
        assert each.sentence and each.limit and each.hint, f"row `{row.name}`: `{each.code}` lacks a sentence"
        assert not each.sentence.endswith("."), f"row `{row.name}`: `{each.code}` ends with a full stop"
    assert all(function.__doc__ for function in (row.build, row.lower)), f"row `{row.name}` does not say what it does"


def without_a_sentence(op: Op) -> str | None:
    return None


without_a_sentence.__doc__ = None
BROKEN: dict[str, tuple[dict[str, Any], str]] = {
    "a rule without a sentence": ({"rules": (rule(1, "do less")(without_a_sentence),)},
                                  "row `softmax`: `without_a_sentence` lacks a sentence"),
    "a rule without a hint": ({"rules": (replace(OPS["softmax"].rules[0], hint=""),)},
                              "row `softmax`: `batch` lacks a sentence"),
    "a lowering without a docstring": ({"lower": lambda op, inputs: op}, "row `softmax` does not say what it does"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_a_row_without_sentences_fails_by_its_name(name: str) -> None:
    changes, message = BROKEN[name]
    with pytest.raises(AssertionError, match=message):
        check_sentences(replace(OPS["softmax"], **changes))


def test_a_row_that_nothing_makes_fails_by_its_name() -> None:
    with pytest.raises(AssertionError, match=r"row `unheard_of` is for operators that do not exist: \['Unheard'\]"):
        check_makers(replace(OPS["softmax"], name="unheard_of", onnx=("Unheard",)))
    with pytest.raises(AssertionError, match=r"no front end makes row `unheard_of`"):
        check_makers(replace(OPS["softmax"], name="unheard_of", onnx=()))
