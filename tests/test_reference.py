"""The pages that are made from the code are current, and the help of every command is a product."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from tests.reference import commands, commands_page, every_command, operators_page, tflite_page
from tests.test_layout import PROJECT, ROOT

from furiosa.compiler.ops import OPS
from furiosa.compiler.ops.catalogue import catalogue, restrictions

PAGES = {
    "docs/cli.md": commands_page, "docs/supported-operators.md": operators_page,
    "docs/tflite-operators.md": tflite_page,
}  # fmt: skip
COMMANDS = dict(every_command())


@pytest.mark.parametrize("page", PAGES)
def test_the_page_is_current(page: str, request: pytest.FixtureRequest) -> None:
    path, expected = ROOT / page, PAGES[page]()
    if request.config.getoption("--update-golden"):
        path.write_text(expected, encoding="utf-8")
    diff = difflib.unified_diff(path.read_text(encoding="utf-8").splitlines(), expected.splitlines(), page, "code")
    assert not [*diff], "if this is right: `pytest --update-golden`"


def test_every_executable_is_there() -> None:
    found = {name for script, _, others in commands() for name in (script, *others)} | {"furiosa"}
    assert found >= PROJECT["scripts"].keys()


@pytest.mark.parametrize("name", COMMANDS)
def test_help_begins_with_examples(name: str) -> None:
    command = COMMANDS[name]
    text = command.get_help(click.Context(command, info_name=name))
    head, rest = text.split("Examples:\n", 1)
    assert "Options:" not in head
    assert not [line for line in text.splitlines() if len(line) > 100]
    first = rest.splitlines()[0].strip()
    assert name in first
    assert command.help


@pytest.mark.parametrize("name", COMMANDS)
def test_help_says_what_every_option_does(name: str) -> None:
    command = COMMANDS[name]
    options = [each for each in command.params if isinstance(each, click.Option) and not each.hidden]
    assert not [each.name for each in options if not each.help]


def test_no_restriction_is_left_out() -> None:
    """What a builder of the operator table can refuse is in the catalogue; general reasons are the front end's."""
    known = {(each.code, each.sentence) for row in OPS.values() for each in restrictions(row)}
    for path in sorted((ROOT / "compiler" / "furiosa" / "compiler" / "ops").glob("*.py")):
        if path.name not in ("qlinear.py", "catalogue.py"):
            assert not {*_refused(path)} - {code for code, _ in known}, path.name


def _refused(path: Path) -> list[str]:
    calls = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
    named = [node for node in calls if isinstance(node.func, ast.Name) and node.func.id == "refuse"]
    return [str(node.args[0].value) for node in named if isinstance(node.args[0], ast.Constant)]


def test_the_catalogue_is_the_table_and_the_standard() -> None:
    found = {entry.name: entry for entry in catalogue()}
    assert {name for name, entry in found.items() if entry.device == "npu"} == {
        name for row in OPS.values() for name in row.onnx
    }
    assert found["LSTM"].device == "cpu"
    assert found["QuantizeLinear"].device == "type"
    assert "QLinearConv" in found["Conv"].forms
    assert "QLinearConv" not in found
    limits = {each.code: each for each in found["Conv"].restrictions}
    assert limits["dilation"].limit == "12"
    assert limits["weights_not_quantized"].hint == "quantize the weights (QDQ form)"
    assert all(entry.restrictions for entry in found.values() if entry.device == "npu")


Ops = Callable[..., tuple[int, str, str]]


@pytest.fixture
def ops(capsys: pytest.CaptureFixture[str]) -> Ops:
    from furiosa.cli.errors import run
    from furiosa.cli.ops import main

    def call(*arguments: str) -> tuple[int, str, str]:
        status = run(lambda: main(arguments))
        return status, *capsys.readouterr()

    return call


def test_furiosa_ops(ops: Ops) -> None:
    import json

    status, out, _ = ops("--search", "SOFTM")
    assert status == 0
    assert "| Softmax" in out
    assert "|   QLinearSoftmax " in out
    assert "| Conv " not in out
    (softmax,) = [each for each in json.loads(ops("--search", "softmax", "--format", "json")[1])
                  if each["operator"] == "Softmax"]  # fmt: skip
    assert softmax["device"] == "npu"
    assert softmax["forms"] == ["QLinearSoftmax"]
    assert {"code", "sentence", "limit", "hint"} == softmax["restrictions"][0].keys()
    assert ops("--search", "lstm", "--format", "csv")[1] == "operator,device,restrictions\nLSTM,cpu,\n"
    assert ops("--search", "sofmax") == (
        1, "", "error: no operator has `sofmax` in its name\n\nhint: did you mean `Softmax`?\n"
    )  # fmt: skip
