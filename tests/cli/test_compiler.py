"""furiosa-compiler: its help, version, outputs and table to the letter, and what it does not do."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest
from tests.compiler.quantized_nets import mixed, tiny

from furiosa.cli import compiler
from furiosa.compiler import compile_model
from furiosa.compiler.report import render
from furiosa.isa.version import built, version_info

Run = Callable[..., tuple[int, str, str]]
LAYERS = ("dfg", "ldfg", "cdfg", "gir", "lir", "enf")
PROGRESS_FROM_LIR = "[1/1] 🔍   Compiling from lir to enf\nDone in #s\n✨  Finished in #s\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder but for ``tiny.onnx``, where the command runs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NPU_COMPILER_CONFIG_PATH", raising=False)
    Path("tiny.onnx").write_bytes(tiny())
    return tmp_path


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Called with arguments: the exit status, stdout and stderr of the command."""

    def call(*arguments: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["furiosa-compiler", *map(str, arguments)])
        status = compiler.main()
        out, err = capfd.readouterr()
        return status, out, err

    return call


def files(*without: str) -> set[str]:
    return {path.name for path in Path().iterdir()} - {"tiny.onnx", *without}


def test_help(run: Run) -> None:
    status, out, err = run("--help")
    version = version_info()
    assert (status, err) == (0, "")
    assert out.startswith(f"Furiosa SDK Compiler v{version.version} ({version.hash[:9]} {built()})\n")
    assert "Usage: furiosa-compiler [OPTIONS] <SOURCE>\n" in out
    for option in ("-o, --output", "-b, --batch-size, --batch N", "--target-ir [dfg|ldfg|cdfg|gir|lir|enf]",
                   "--target-npu NPU", "-O LEVEL", "--dot-graph FILE", "--analyze-memory FILE", "--report FILE",
                   "-v, --verbose", "-q, --quiet", "--no-cache", "-h, --help", "-V, --version"):  # fmt: skip
        assert f"  {option}" in out
    for default in ("[default: output.<TARGET_IR>]", "[default: 1", "[default: enf]", "[default: warboy-2pe]"):
        assert default in out
    assert run("-h") == (status, out, err)
    assert files() == set()


def test_optimization_levels(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("config.yml").write_text("search_budget: 5\noptimization_level: 0\n")
    monkeypatch.setenv("NPU_COMPILER_CONFIG_PATH", "config.yml")
    found = {}
    for level in ("-O0", "-O1", "-O2", "-q"):
        assert run("tiny.onnx", level, "--report", "report.json")[0] == 0
        found[level] = json.loads(Path("report.json").read_text())
    assert [each["optimization"]["level"] for each in found.values()] == [0, 1, 2, 0]
    assert found["-O2"]["optimization"] == {"level": 2, "schedules": 5, "seed": 0}
    assert found["-O2"]["npu_cycles"] <= found["-O1"]["npu_cycles"] <= found["-O0"]["npu_cycles"]
    status, _, err = run("tiny.onnx", "-O3")
    assert status == 2 and "3 is not in the range 0<=x<=2" in err


def test_a_settled_schedule_stays_as_it_is(run: Run) -> None:
    for layer in ("gir", "lir"):
        assert run("tiny.onnx", "-O0", "--target-ir", layer, "-o", layer)[0] == 0
        assert run(layer, "-O0", "--report", "report.json")[0] == run(layer, "--report", "report.json")[0] == 0
        assert json.loads(Path("report.json").read_text())["optimization"] == {"level": 0}
        status, _, err = run(layer, "-O2")
        assert status == 2 and "the schedule of the file is settled already" in err


def test_version(run: Run) -> None:
    status, out, err = run("--version")
    version = version_info()
    assert (status, err) == (0, "")
    assert out.splitlines()[0] == f"furiosa-compiler {version}"
    assert re.search(r"backend:\n- version: (.+?)\n- revision: (.+?)\b", out).groups() == (  # type: ignore[union-attr]  # None fails the test
        version.version, version.hash[:9],
    )  # fmt: skip
    assert re.search(r"^kernels: \w+", out, re.MULTILINE)
    assert run("-V") == (status, out, err)


def test_default_output_is_in_the_current_folder(run: Run) -> None:
    status, out, err = run("tiny.onnx")
    assert (status, out) == (0, "")
    assert Path("output.enf").read_bytes() == compile_model(tiny()).enf
    assert files() == {"output.enf"}
    assert err.startswith("[1/6] 🔍   Compiling from onnx to dfg\n")
    assert stat.S_IMODE(Path("output.enf").stat().st_mode) == 0o666 & ~_umask()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@pytest.mark.parametrize("layer", LAYERS)
def test_target_ir(layer: str, run: Run) -> None:
    for spelt in (layer, layer.upper()):
        status, out, _ = run("tiny.onnx", "--target-ir", spelt)
        assert (status, out) == (0, "")
        assert files() == {f"output.{layer}"}
        assert Path(f"output.{layer}").read_bytes() == compile_model(tiny(), target_ir=layer).data


def test_content_decides_not_the_name(run: Run) -> None:
    """An ONNX model called .dfg, nameless or .enf; an LIR called .onnx."""
    expected = compile_model(tiny()).enf
    for name in ("model.dfg", "model", "model.enf", "a b.lir"):
        Path(name).write_bytes(tiny())
        assert run(name, "-o", "out", "-q") == (0, "", "")
        assert Path("out").read_bytes() == expected
    Path("lir.onnx").write_bytes(compile_model(tiny(), target_ir="lir").data)
    status, _, err = run("lir.onnx", "-o", "out")
    assert status == 0
    assert re.sub(r" in [^s]*s", " in #s", err) == PROGRESS_FROM_LIR
    assert Path("out").read_bytes() == expected


def test_options_of_older_sdks(run: Run, folder: Path) -> None:
    words = ("-ga", "population_size=10,generation_limit=3", "--auto-batch-size", "--split-after-lower")
    status, out, err = run("tiny.onnx", "-q", *words)
    assert (status, out) == (0, "")
    assert err.splitlines() == [
        f"note: `{option}` has no effect here"
        for option in ("--genetic-optimization", "--auto-batch-size", "--split-after-lower")
    ]
    assert (folder / "output.enf").exists()


@pytest.mark.parametrize("option", ["-b", "--batch", "--batch-size"])
def test_batch_size(option: str, run: Run) -> None:
    assert run("tiny.onnx", option, "3", "--target-npu", "warboy", "-q") == (0, "", "")
    assert Path("output.enf").read_bytes() == compile_model(tiny(), target="warboy", batch_size=3).enf


def test_quiet_and_no_cache(run: Run) -> None:
    assert run("-q", "--no-cache", "tiny.onnx", "--output", "x.enf") == (0, "", "")
    assert files() == {"x.enf"}


def test_report_dot_and_memory(run: Run) -> None:
    Path("mixed").write_bytes(mixed())
    status, out, _ = run("mixed", "--report", "r.json", "--dot-graph", "g.dot", "--analyze-memory", "m.html", "-q")
    assert (status, out) == (0, "")
    assert files("mixed") == {"output.enf", "r.json", "g.dot", "m.html"}
    report = json.loads(Path("r.json").read_text(encoding="utf-8"))
    assert report == compile_model(mixed()).report
    assert (report["schema_version"], report["target"], report["npu_clusters"]) == (1, "warboy-2pe", 2)
    assert Path("g.dot").read_text(encoding="utf-8").startswith('digraph "mixed" {\n')
    page = Path("m.html").read_text(encoding="utf-8")
    HTMLParser().feed(page)
    assert re.search(r"<title>computation/total: \d+/\d+\(=0\.\d{4}\)</title>", page)


def test_verbose(run: Run) -> None:
    Path("mixed").write_bytes(mixed())
    status, out, err = run("mixed", "-v", "--target-npu", "warboy")
    assert (status, out) == (0, "")
    progress, _, table = err.partition("✨")
    assert progress
    assert table.split("\n", 1)[1] == render(compile_model("mixed", target="warboy").report)
    assert run("mixed", "-v", "-q")[2].startswith("Target              : warboy-2pe, batch size 1\n")


@pytest.mark.parametrize("layer", LAYERS)
def test_verbose_shows_what_is_known_at_every_layer(layer: str, run: Run) -> None:
    Path("mixed").write_bytes(mixed())
    status, out, err = run("mixed", "-v", "-q", "--target-ir", layer)
    assert (status, out) == (0, "")
    if layer == "dfg":
        assert err == "Where the operators run is settled in the ldfg layer.\n"
    else:
        assert "Operators           : 4 on the NPU, 1 on the CPU\n" in err
        assert re.search(
            r"\n\nOn the CPU:\n  `Sin` has no NPU lowering; .*\n     1 x Sin \(Sin8\)\n    hint: .*\n$", err
        )
    assert ("NPU time (modelled)" in err) == (layer in ("gir", "lir", "enf"))
    assert files("mixed") == {f"output.{layer}"}


@pytest.mark.parametrize("layer", LAYERS)
def test_other_outputs_at_every_layer(layer: str, run: Run) -> None:
    known = layer in ("gir", "lir", "enf")
    for option in ("--report", "--analyze-memory"):
        status, out, err = run("tiny.onnx", "-q", "--target-ir", layer, option, "other", "-o", "out")
        assert (status, out) == (0 if known else 2, "")
        assert files() == ({"out", "other"} if known else set())
        if not known:
            assert err.startswith(f"error: `{option}` needs the gir layer, `--target-ir {layer}` stops before it\n")
        for path in files():
            Path(path).unlink()
    assert run("tiny.onnx", "-q", "--target-ir", layer, "--dot-graph", "other", "-o", "out") == (0, "", "")


def test_layers_that_a_source_is_past(run: Run) -> None:
    """An LIR has no memory plan and no graph any more: said in one message, and nothing is written."""
    Path("in").write_bytes(compile_model(tiny(), target_ir="lir").data)
    for option, layer in (("--analyze-memory", "gir"), ("--dot-graph", "cdfg")):
        status, out, err = run("in", "-q", option, "other")
        assert (status, out, files("in")) == (2, "", set())
        assert err.startswith(
            f"error: `{option}` needs the {layer} layer, which this compilation does not pass through"
        )
    assert run("in", "-q", "-v", "--report", "other")[0] == 0
    assert json.loads(Path("other").read_text(encoding="utf-8")) == compile_model(tiny()).report


def test_compiler_config(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for text, status, message in (
        ("split_unit: 0\n", 0, ""),
        ("", 0, ""),
        ("splt_unit: 0\n", 2, "error: unknown compiler option `splt_unit`\n\nhint: did you mean `split_unit`?\n"),
        ("remove_lower: true\nremove_unlower: true\n", 0, ""),
        ("remove_lower: 1\n", 2, "error: compiler option `remove_lower` must be bool, not int"),
        ("a: [\n", 2, "error: cannot read the compiler config `config.yaml`: "),
        ("- 1\n", 2, "error: the compiler config `config.yaml` is no mapping\n"),
    ):
        Path("config.yaml").write_text(text)
        monkeypatch.setenv("NPU_COMPILER_CONFIG_PATH", "config.yaml")
        got, out, err = run("tiny.onnx", "-q")
        assert (got, out) == (status, "")
        assert err.startswith(message)
        assert files("config.yaml") == ({"output.enf"} if status == 0 else set())
        Path("output.enf").unlink(missing_ok=True)
    monkeypatch.setenv("NPU_COMPILER_CONFIG_PATH", "absent.yaml")
    status, _, err = run("tiny.onnx")
    assert (status, err.splitlines()[0]) == (
        2, "error: cannot read the compiler config `absent.yaml`: No such file or directory",
    )  # fmt: skip


def test_outputs_are_told_apart(run: Run) -> None:
    Path("link").symlink_to("tiny.onnx")
    os.link("tiny.onnx", "hard")
    Path("folder").mkdir()
    for arguments, message in (
        (("-o", "x", "--report", "x"), "error: two outputs go to `x`\n"),
        (("--report", "folder/../output.enf"), "error: two outputs go to `folder/../output.enf`\n"),
        (("--dot-graph", "x", "--analyze-memory", "./x"), "error: two outputs go to `x`\n"),
        (("-o", "tiny.onnx"), "error: the output `tiny.onnx` is an input itself\n"),
        (("-o", "link"), "error: the output `link` is an input itself\n"),
        (("--report", "hard"), "error: the output `hard` is an input itself\n"),
    ):
        status, out, err = run("tiny.onnx", "-q", *arguments)
        assert (status, out, files("link", "hard", "folder")) == (2, "", set())
        assert err.startswith(message)
    assert Path("tiny.onnx").read_bytes() == tiny()
    assert run("tiny.onnx", "-q", "-o", "/dev/null", "--report", "/dev/null") == (0, "", "")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


def test_the_target_of_a_link_and_the_mode_of_a_file_stay(run: Run) -> None:
    Path("real.enf").write_bytes(b"old")
    Path("real.enf").chmod(0o640)
    Path("output.enf").symlink_to("real.enf")
    assert run("tiny.onnx", "-q") == (0, "", "")
    assert Path("output.enf").is_symlink()
    assert Path("real.enf").read_bytes() == compile_model(tiny()).enf
    assert stat.S_IMODE(Path("real.enf").stat().st_mode) == 0o640


def test_pipes_and_standard_output(folder: Path) -> None:
    """Process substitutions for every file, and /dev/stdout, whatever it is."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = f"{sys.executable} -m furiosa.cli.compiler -q"
    expected = compile_model(tiny()).enf
    for script, output in (
        (f"{command} <(cat tiny.onnx) -o >(cat > piped); while ! cmp -s piped wanted; do sleep 0.05; done", "piped"),
        (
            f"NPU_COMPILER_CONFIG_PATH=<(echo split_unit: 0) {command} tiny.onnx -o /dev/stdout > redirected",
            "redirected",
        ),
        (f"{command} /dev/stdin -o /dev/stdout < tiny.onnx | cat > through", "through"),
    ):
        Path("wanted").write_bytes(expected)
        done = subprocess.run(["bash", "-c", script], env=environment, capture_output=True, timeout=60, check=False)
        assert (done.returncode, done.stderr) == (0, b"")
        assert Path(output).read_bytes() == expected
    assert stat.S_ISLNK(os.lstat("/dev/stdout").st_mode)
    assert files("wanted") == {"piped", "redirected", "through"}


def test_progress_goes_to_stderr_of_any_kind(folder: Path) -> None:
    """A closed stderr, a full one, and one that lacks the characters never end a compilation."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = f"{sys.executable} -m furiosa.cli.compiler -v tiny.onnx"
    for script in (f"{command} 2>&-", f"{command} 2>/dev/full", f"PYTHONIOENCODING=ascii {command} 2>text"):
        done = subprocess.run(["bash", "-c", script], env=environment, capture_output=True, timeout=60, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
        assert Path("output.enf").read_bytes() == compile_model(tiny()).enf
        Path("output.enf").unlink()
    assert "[1/6] ?   Compiling from onnx to dfg\n" in Path("text").read_text(encoding="ascii")
