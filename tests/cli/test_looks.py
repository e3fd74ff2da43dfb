"""furiosa env and furiosa enf: what the environment says, and what a compiled file holds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.compiler.quantized_nets import mixed

from furiosa.cli.tables import Column, Row, render
from furiosa.compiler import compile_model
from furiosa.isa import enf, env
from furiosa.isa.encoding import decode

RUN = "import sys; from furiosa.cli.main import main; sys.exit(main())"


def furiosa(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", RUN, *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | variables, timeout=60, check=False)


def test_env_lists_every_variable_with_its_origin() -> None:
    done = furiosa("env", "--format", "json", FURIOSA_SIM_THREADS="3", FURIOSA_SIM_PACE="sideways")
    assert (done.returncode, done.stderr) == (0, "")
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    assert list(rows) == list(env.VARIABLES)
    assert (rows["FURIOSA_SIM_THREADS"]["value"], rows["FURIOSA_SIM_THREADS"]["origin"]) == ("3", "environment")
    assert rows["FURIOSA_SIM_PACE"]["origin"] == "environment (unusable)"
    assert all(row["meaning"] for row in rows.values())


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("enf") / "mixed.enf"
    path.write_bytes(compile_model(mixed()).enf)
    return path


def test_enf_show_as_json_tells_all(compiled: Path) -> None:
    done = furiosa("enf", "show", str(compiled), "--format", "json")
    assert (done.returncode, done.stderr) == (0, "")
    record, model = json.loads(done.stdout), enf.read(compiled)
    assert record["target"] == model.target
    assert [tensor["name"] for tensor in record["inputs"]] == list(model.inputs)
    assert len(record["steps"]) == len(model.steps)
    for shown, program in zip(record["programs"], model.programs, strict=True):
        names = [each["instruction"] for each in shown["instructions"]]
        assert names == [instruction.label for instruction in decode(program.code)]
        assert any(each["node"] for each in shown["instructions"])
        assert shown["sram_bytes"] == program.sram_bytes


def test_enf_show_for_people(compiled: Path) -> None:
    brief, whole = furiosa("enf", "show", str(compiled)), furiosa("enf", "show", str(compiled), "--instructions")
    assert (brief.returncode, whole.returncode) == (0, 0)
    for part in ("target warboy-2pe, batch size 1", "Inputs", "Outputs", "Steps of one inference", "Program 0:",
                 "NPU time (modelled)", "CPU clusters (ONNX)"):  # fmt: skip
        assert part in brief.stdout
    assert len(whole.stdout.splitlines()) > len(brief.stdout.splitlines())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("enf", "show", "absent.enf"), "error: cannot read `absent.enf`"),
        (("enf", "show", __file__), "error: not a readable ENF file"),
        (("enf", "shows"), "error: `furiosa enf` has no sub-command `shows`\n\nhint: did you mean `show`?"),
        (("enb",), "error: `furiosa` has no sub-command `enb`"),
    ],
)
def test_mistakes_are_one_message(arguments: tuple[str, ...], message: str) -> None:
    done = furiosa(*arguments)
    assert done.returncode == 2
    assert done.stderr.startswith(message)
    assert "hint: " in done.stderr
    assert "Traceback" not in done.stderr


def test_long_cells_of_a_table_are_broken() -> None:
    columns = (Column("Name", "name"), Column("Meaning", "meaning", width=9))
    rows = [Row(("A", "one two three"), {"name": "A", "meaning": "one two three"}), Row(("B", ""), {"name": "B"})]
    assert render("table", columns, rows) == (
        "+------+---------+\n| Name | Meaning |\n+------+---------+\n"
        "| A    | one two |\n|      | three   |\n| B    |         |\n+------+---------+"
    )
    assert render("csv", columns, rows) == "name,meaning\nA,one two three\nB,"
