"""The documentation is true: what it runs is run here, and what it shows is what comes out.

Blocks of a document share a folder, from first to last. ``console``: each ``$`` line is run, and below it stands its
output. ``sh``: a script, run as a whole. ``python``: a script; a ``text`` block right below it is its output. ``...``
in an output means anything. ``pytest tests/test_docs.py --update-golden`` writes outputs and tables anew.
"""

from __future__ import annotations

import ast
import difflib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.test_layout import PROJECT, ROOT

from furiosa.compiler.ops import OPS
from furiosa.isa import env

DOCUMENTS = ("README.md", "examples/README.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")))
LINKING = (*DOCUMENTS, "CHANGELOG.md", "examples/digits/README.md")

# They set up .venv or take minutes. What `make demo` runs once that stands is run in its place.
STANDS_FOR = {"make demo": "python examples/digits/demo.py"}
NOT_RUN = {"make test", "make check", "make dev", "make bench", "make wheel", "make clean", "source .venv/bin/activate"}

# What differs from computer to computer and from run to run.
VOLATILE = (
    (r"(?m)^\d{4}-\d\d-\d\dT[\d:.]+Z +INFO furiosa\.\S+ .*\n", ""),  # the log on stderr is left out
    (r"(Done|Finished) in [\d.e-]+s", r"\1 in TIMEs"),
    (r"kernels: \w+", "kernels: KERNELS"),
    (r"\d+ us a query", "TIME us a query"),
    (r"[\d.]+ images/s", "SPEED images/s"),
    (r"rev: \w+", "rev: REVISION"),
    (r" +", " "),
)


@dataclass(frozen=True)
class Step:
    """One thing to run: its line in the document, a bash script, what it shows (None: anything), where that lies."""

    line: int
    script: str
    shown: str | None
    start: int = 0
    end: int = 0


def steps(text: str) -> Iterator[Step]:
    """Everything in a document that can be run, in order."""
    fences = list(re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))
    for index, fence in enumerate(fences):
        kind, body, start = fence[1], fence[2], fence.start(2)
        line = text.count("\n", 0, start) + 1
        if kind == "console":
            yield from _commands(text, body, start)
        elif kind == "sh":
            yield Step(line, body, None)
        elif kind == "python":
            script = f"python - <<'PYTHON'\n{body}PYTHON"
            below = fences[index + 1] if index + 1 < len(fences) else None
            if below is not None and below[1] == "text" and not text[fence.end() : below.start()].strip():
                yield Step(line, script, below[2], below.start(2), below.end(2))
            else:
                yield Step(line, script, None)


def _commands(text: str, body: str, start: int) -> Iterator[Step]:
    assert body.startswith("$ "), f"a console block begins with a command: {body[:60]!r}"
    for match in re.finditer(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", body, re.MULTILINE):
        line = text.count("\n", 0, start + match.start()) + 1
        yield Step(line, match[1], match[2], start + match.start(2), start + match.end(2))


def alike(shown: str, got: str) -> bool:
    """Whether an output is what the document shows, but for what is volatile and what ``...`` stands for."""
    pattern = re.escape(_stable(shown)).replace(re.escape("..."), ".*")
    return re.fullmatch(pattern, _stable(got), re.DOTALL) is not None


def _stable(text: str) -> str:
    for volatile, word in VOLATILE:
        text = re.sub(volatile, word, text)
    return text.strip()


@pytest.fixture(scope="session")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for PATH with ``python`` and the console scripts, of the interpreter that runs this."""
    folder = tmp_path_factory.mktemp("bin")
    scripts = folder / "scripts"
    scripts.mkdir()
    for name, entry in PROJECT["scripts"].items():
        module, _, function = entry.partition(":")
        (scripts / name).write_text(f"import sys\nfrom {module} import {function}\nsys.exit({function}())\n")
        _executable(folder / name, f'exec "{sys.executable}" "{scripts / name}" "$@"')
    _executable(folder / "python", f'exec "{sys.executable}" "$@"')
    return folder


def _executable(path: Path, line: str) -> None:
    path.write_text(f"#!/bin/sh\n{line}\n")
    path.chmod(0o755)


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The digit network, quantized with uint8 activations."""
    model = tmp_path_factory.mktemp("digits") / "digits.onnx"
    script = ROOT / "examples" / "digits" / "quantize.py"
    subprocess.run([sys.executable, script, model, "--activations", "uint8"], check=True)
    return model


Run = Callable[[str], "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(commands: Path, digits: Path, tmp_path: Path) -> Run:
    """Runs a bash script in a folder that looks like the top of the repository and has ``digits.onnx``."""
    for folder in ("benchmarks", "examples"):
        (tmp_path / folder).symlink_to(ROOT / folder)
    shutil.copy(digits, tmp_path)
    surroundings = {name: value for name, value in os.environ.items() if name not in env.VARIABLES}
    surroundings |= {
        "PATH": f"{commands}{os.pathsep}{os.environ['PATH']}",
        "FURIOSA_SIM_STATE_DIR": str(tmp_path / "state"),
        "HOME": str(tmp_path / "home"),
        "COLUMNS": "100",
    }

    def call(script: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", script], cwd=tmp_path, env=surroundings, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, check=False,
        )  # fmt: skip

    return call


@pytest.mark.parametrize("document", DOCUMENTS)
def test_what_is_shown_is_what_comes_out(document: str, run: Run, request: pytest.FixtureRequest) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    update = request.config.getoption("--update-golden")
    new: list[tuple[Step, str]] = []
    wrong: list[str] = []
    for step in steps(text):
        script = "\n".join(STANDS_FOR.get(line, line) for line in step.script.splitlines() if line not in NOT_RUN)
        if not script.strip():
            continue
        done = run(script)
        where = f"{document}:{step.line}: {step.script.splitlines()[0]}"
        refused = step.shown is not None and re.search(r"^error: ", step.shown, re.MULTILINE)
        assert (done.returncode == 0) != bool(refused), f"{where}\nexit status {done.returncode}\n{done.stdout}"
        if step.shown is None or alike(step.shown, done.stdout):
            continue
        if update and "..." not in step.shown:
            new.append((step, done.stdout))
        else:
            diff = difflib.unified_diff(step.shown.splitlines(), done.stdout.splitlines(), "shown", "got", lineterm="")
            wrong.append("\n".join([where, *diff]))
    for step, output in reversed(new):
        text = text[: step.start] + output.rstrip() + "\n" + text[step.end :]
    if new:
        (ROOT / document).write_text(text, encoding="utf-8")
    if wrong:
        pytest.fail("\n".join([*wrong, "", "if this is right: `pytest --update-golden`"]), pytrace=False)


def test_every_make_target_is_documented() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):.*## ", makefile, re.MULTILINE))
    text = "\n".join((ROOT / document).read_text(encoding="utf-8") for document in DOCUMENTS)
    written = {*re.findall(r"^(?:\$ )?make ([a-z]+)$", text, re.MULTILINE), *re.findall(r"`make ([a-z]+)`", text)}
    assert written - {"format"} == targets


def _slug(heading: str) -> str:
    """The anchor that a heading gets on the usual hosts."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def _prose(document: str) -> str:
    """A document without its fenced blocks."""
    text = (ROOT / document).read_text(encoding="utf-8")
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("document", LINKING)
def test_links_lead_somewhere(document: str) -> None:
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", _prose(document)):
        if re.match(r"https?:", target):
            continue
        name, _, anchor = target.partition("#")
        path = (ROOT / document).parent / name if name else ROOT / document
        headings = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE) if path.is_file() else []
        if not path.exists() or (anchor and anchor not in map(_slug, headings)):
            broken.append(target)
    assert not broken


@pytest.mark.parametrize("document", DOCUMENTS)
def test_files_that_are_named_exist(document: str) -> None:
    # A path begins at the top of the repository, or in a room, whose `<room>/furiosa/<name>/` may be left out.
    bases = [ROOT, *(path for path in ROOT.glob("*/furiosa/*") if path.is_dir()), *ROOT.glob("*/furiosa")]
    bases += [ROOT / room for room in ("npu_sim",)]
    named = re.findall(r"`([\w.-]+(?:/[\w.-]+)+\.(?:py|toml|md|cpp|h|svg))`", _prose(document))
    made = re.compile(r"^build/")
    assert not [name for name in named if not made.match(name) and not any((base / name).exists() for base in bases)]


def test_every_environment_variable_is_documented(table: Callable[[str, str, list[str]], None]) -> None:
    rows = [f"| `{name}` | {variable.meaning} |" for name, variable in sorted(env.VARIABLES.items())]
    table("docs/run.md", "variables", ["| variable | meaning |", "|---|---|", *rows])


def test_every_placement_reason_is_documented(table: Callable[[str, str, list[str]], None]) -> None:
    sentences: dict[str, set[str]] = {}
    for code, sentence in _reasons():
        sentences.setdefault(code, set()).add(sentence)
    rows = [f"| `{code}` | {'; '.join(sorted(found))} |" for code, found in sorted(sentences.items())]
    table("docs/compile.md", "reasons", ["| `reason_code` | `reason` |", "|---|---|", *rows])


def _reasons() -> Iterator[tuple[str, str]]:
    """Code and sentence of every reason that the compiler can give for placing an operator on the CPU."""
    for row in OPS.values():
        for rule in row.every_rule:
            yield rule.code, rule.sentence
    for path in sorted((ROOT / "compiler").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("refuse", "Reason"):
                code = node.args[0] if node.args else None
                if isinstance(code, ast.Constant):
                    yield str(code.value), _sentence(node.args[1])


def _sentence(node: ast.expr) -> str:
    """The text of a literal; a value in it shows as an ellipsis."""
    parts = node.values if isinstance(node, ast.JoinedStr) else [node]
    return "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in parts)


@pytest.fixture
def table(request: pytest.FixtureRequest) -> Callable[[str, str, list[str]], None]:
    """Fails unless a document has exactly this table after ``<!-- name -->``; ``--update-golden`` writes it."""

    def compare(document: str, name: str, lines: list[str]) -> None:
        expected = "\n".join(lines) + "\n"
        path = ROOT / document
        text = path.read_text(encoding="utf-8")
        match = re.search(rf"<!-- {name} -->\n(.*?)<!-- end -->", text, re.DOTALL)
        assert match, f"{document} has no <!-- {name} --> ... <!-- end -->"
        if request.config.getoption("--update-golden"):
            path.write_text(text[: match.start(1)] + expected + text[match.end(1) :], encoding="utf-8")
        elif match[1] != expected:
            diff = difflib.unified_diff(match[1].splitlines(), expected.splitlines(), document, "code", lineterm="")
            pytest.fail("\n".join([*diff, "", "if this is right: `pytest --update-golden`"]), pytrace=False)

    return compare
