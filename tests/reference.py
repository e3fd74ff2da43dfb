"""The pages of the documentation that are made from the code: commands, and operators that the NPU runs."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from inspect import cleandoc

import click
from tests.test_layout import PROJECT

from furiosa.compiler.frontend.tflite.cpu.table import CPU, CUSTOM
from furiosa.compiler.frontend.tflite.importer import NPU
from furiosa.compiler.frontend.tflite.refused import way_out
from furiosa.compiler.frontend.tflite.schema import OPERATORS
from furiosa.compiler.ops import OPS
from furiosa.compiler.ops.catalogue import entries
from furiosa.isa import env

META = importlib.import_module("furiosa.cli.main")  # `from furiosa.cli import main` is a function

_CLI = """\
# Commands

Made from the commands by `pytest tests/test_reference.py --update-golden`. `--help` of each says the same.

Results go to stdout, everything else to stderr. Misspelt options, values, sub-commands and names of tensors get a
suggestion. Files are written beside their place and renamed: a failed run leaves the old ones.

| exit status | meaning |
|---|---|
| 0 | done |
| 1 | the answer is no |
| 2 | a wrong option, path or environment variable, or a model that cannot be used |
| 3 | a device is absent, busy, or its state folder cannot be used |
| 70 | a fault of this software |
| 130 | interrupted |

## Completion

bash (4.4 or newer), zsh and fish complete options, values, files and sub-commands of every executable:

```text
{completion}
```

## furiosa

`furiosa [--version] SUB-COMMAND ...`

Runs the executables that are found on PATH, and commands of its own. What follows the sub-command is passed on as it
is, and so are signals; the exit status is that of the sub-command.

| sub-command | what it does |
|---|---|
{subcommands}
"""
_TFLITE = """\
# Operators of TFLite models

Made from the tables of the front end by `pytest tests/test_reference.py --update-golden`.

*NPU*: with int8 or uint8 tensors of one scale each, where the rules hold that `furiosa-compiler -v` names; the bits are
those of LiteRT ([arithmetic.md](arithmetic.md#tflite-models)). *CPU*: as ONNX nodes of a CPU cluster. What is refused
has its way out here and in the error.

| operator | NPU | CPU | refused: the way out |
|---|---|---|---|
"""
_OPERATORS = """\
# Operators that the NPU runs

Made from the operator table by `pytest tests/test_reference.py --update-golden`. `furiosa ops` prints the same, and the
rest of the ONNX standard.

An operator runs on the NPU when its inputs and its result are quantized (QDQ form, or one of the integer forms named
below) and every sentence of its table holds. If not, it becomes part of a CPU cluster, which ONNX Runtime runs; so does
every operator that is not on this page. `furiosa-compiler -v` says where each operator of a model runs, with the code
and the sentence that decided. `…` stands for what depends on the model.

Between two quantizations there may be several float nodes that are one operator together: functions of one tensor
(`x * sigmoid(x)`, a Gelu in parts), Relu and Clip behind most operators, Add or Sum before a mean, the bias of a
MatMul, and a division by a Euclidean norm, `x / max(norm, epsilon)` or `x / sqrt(sum(x * x) + epsilon)`, which is
LpNormalization.
"""


def commands() -> Iterator[tuple[str, click.Command, list[str]]]:
    """Every command by the name that it has in examples, and its other names; `furiosa` itself is none of click's."""
    names: dict[str, list[str]] = {}
    for script, entry in sorted(PROJECT["scripts"].items(), key=lambda item: -len(item[0])):
        module, _, function = entry.partition(":")
        names.setdefault(getattr(importlib.import_module(module), function).__module__, []).append(script)
    for module, scripts in sorted(names.items(), key=lambda item: item[1]):
        if module != META.__name__:
            listed = [name for name in scripts if name in dict(META.COMMAND_LIST)]
            subcommands = [f"furiosa {name.removeprefix('furiosa-')}" for name in listed]
            yield scripts[0], _command(module), [*scripts[1:], *subcommands]
    for name, (module, _) in sorted(META.OWN_COMMANDS.items()):
        yield f"furiosa {name}", _command(module), []


def _command(module: str) -> click.Command:
    """The command of a module that is no other's sub-command."""
    values = vars(importlib.import_module(module)).values()
    found = [each for each in values if isinstance(each, click.Command)]
    inner = [id(sub) for each in found if isinstance(each, click.Group) for sub in each.commands.values()]
    (command,) = {id(each): each for each in found if id(each) not in inner}.values()
    return command


def every_command() -> Iterator[tuple[str, click.Command]]:
    """All commands with their sub-commands, by the words that start them."""
    for name, command, _ in commands():
        yield name, command
        if isinstance(command, click.Group):
            yield from ((f"{name} {sub}", each) for sub, each in sorted(command.commands.items()))


def commands_page() -> str:
    """docs/cli.md."""
    listed = [(name.removeprefix("furiosa-"), f"{text} (`{name}`)") for name, text in META.COMMAND_LIST]
    listed += [(name, text) for name, (_, text) in META.OWN_COMMANDS.items()]
    rows = "\n".join(f"| `{name}` | {text} |" for name, text in listed)
    completion = "\n".join(_examples(dict(every_command())["furiosa completion"]))
    lines = [_CLI.format(completion=completion, subcommands=rows).rstrip()]
    for name, command, others in commands():
        lines += ["", *_section("##", name, command, others)]
        if isinstance(command, click.Group):
            for sub, each in sorted(command.commands.items()):
                lines += ["", *_section("###", f"{name} {sub}", each, [])]
    lines += ["", "## Environment", "", "| variable | meaning |", "|---|---|"]
    lines += [f"| `{name}` | {variable.meaning} |" for name, variable in sorted(env.VARIABLES.items())]
    return "\n".join(lines) + "\n"


def _section(level: str, name: str, command: click.Command, others: list[str]) -> Iterator[str]:
    context = click.Context(command, info_name=name, **command.context_settings)
    yield from (f"{level} {name}", "")
    if others:
        yield from (f"Also {', '.join(f'`{other}`' for other in others)}.", "")
    usage = " ".join(command.collect_usage_pieces(context))
    yield from (f"`{name} {usage}`", "")
    yield from (cleandoc(command.help or ""), "", "```text", *_examples(command), "```", "")
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None and record[1]:
            yield f"- `{record[0]}`: {' '.join(record[1].split())}"
    if command.epilog:
        yield from ("", " ".join(command.epilog.replace("\b", "").split()))


def _examples(command: click.Command) -> list[str]:
    return list(getattr(command, "examples", ()))


def operators_page() -> str:
    """docs/supported-operators.md."""
    lines = [_OPERATORS.rstrip()]
    for row in (row for row in OPS.values() if row.onnx):
        found = [*entries(row)]
        forms = [form for entry in found for form in entry.forms]
        lines += ["", f"## {', '.join(entry.name for entry in found)}", ""]
        lines += [f"Also {', '.join(f'`{form}`' for form in forms)}.", ""] if forms else []
        lines += [f"Results: {row.parity or 'equal to those of ONNX Runtime to the bit'}.", ""]
        lines += ["| must hold | limit | if not | code |", "|---|---|---|---|"]
        lines += [f"| {r.sentence} | {r.limit} | {r.hint} | `{r.code}` |" for r in found[0].restrictions]
    return "\n".join(lines) + "\n"


def tflite_page() -> str:
    """docs/tflite-operators.md."""
    lines = [_TFLITE.rstrip()]
    hidden = ("CUSTOM", "DELEGATE", "PLACEHOLDER_FOR_GREATER_OP_CODES")
    builtin = [code for code in OPERATORS if code not in hidden and not code.startswith("STABLEHLO_")]
    for code in sorted([*builtin, *CUSTOM]):
        npu, cpu = code in NPU, code in CPU or code in CUSTOM
        marks = ["yes" if npu else "", "yes" if cpu else "", "" if npu or cpu else way_out(code)]
        lines.append(f"| {code} | {' | '.join(marks)} |".replace("|  |", "| |").replace("|  |", "| |"))
    lines.append(f"| STABLEHLO_... | | | {way_out('STABLEHLO_ADD')} |")
    return "\n".join(lines) + "\n"
