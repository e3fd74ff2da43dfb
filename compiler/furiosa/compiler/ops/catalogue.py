"""The operator table for people: which operators of the ONNX standard the NPU runs, and under which restrictions.

Nothing is written down twice. Rules are rows of the table; what a row's ``build`` refuses is read from its source.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from types import CodeType, FunctionType
from typing import Any, Literal

from furiosa.compiler.ops import OPS, OpDef
from furiosa.compiler.ops.qlinear import CONCAT, FORMS
from furiosa.compiler.ops.table import Unit, refuse

Device = Literal["npu", "cpu", "type"]
_OPEN = "…"  # for what is known only at a node
_HERE = __package__ or ""


@dataclass(frozen=True, slots=True)
class Restriction:
    """One sentence that must hold for the NPU, with its stable code; ``limit`` and ``hint`` as in placement reports.

    What depends on the node shows as an ellipsis.
    """

    code: str
    sentence: str
    limit: str
    hint: str


@dataclass(frozen=True, slots=True)
class Entry:
    """An operator of the ONNX standard: where it runs, in which forms of ONNX Runtime it is understood too.

    ``device`` is that of the quantized operator under its restrictions; ``type`` stands for the operators that become
    part of the types of tensors. ``parity`` as in OpDef.
    """

    name: str
    device: Device
    forms: tuple[str, ...] = ()
    restrictions: tuple[Restriction, ...] = ()
    parity: str = ""


def catalogue() -> list[Entry]:
    """Every operator of the ONNX standard as the installed `onnx` knows it, and those of the table, by name."""
    from onnx import defs

    rows = [entry for row in OPS.values() for entry in entries(row)]
    known = {form for entry in rows for form in entry.forms}
    found = {schema.name: Entry(schema.name, "cpu") for schema in defs.get_all_schemas()
             if schema.domain == "" and not schema.deprecated and schema.name not in known}  # fmt: skip
    found |= {name: Entry(name, "type") for name in ("QuantizeLinear", "DequantizeLinear")}
    found |= {entry.name: entry for entry in rows}
    return [found[name] for name in sorted(found)]


def entries(row: OpDef) -> Iterator[Entry]:
    """The operators of a row."""
    for name in row.onnx:
        forms = sorted(
            [*(kind for kind, form in FORMS.items() if form.onnx == name), *([CONCAT] if name == "Concat" else ())]
        )
        yield Entry(name, "npu", tuple(forms), tuple(restrictions(row)), row.parity)


def restrictions(row: OpDef) -> list[Restriction]:
    """What must hold for the NPU to run an operator of a row: its rules, and what its ``build`` refuses."""
    ruled = [Restriction(rule.code, rule.sentence, rule.limit, rule.hint) for rule in row.every_rule]
    refused = [each for function in _reached(row.build) for each in _refusals(function)]
    return list(dict.fromkeys([*ruled, *refused]))


def _reached(function: Callable[..., Any]) -> list[FunctionType]:
    """A function, and those of this package and of ``Unit`` that it names, and so on."""
    found: dict[FunctionType, None] = {}
    waiting: list[object] = [function]
    while waiting:
        each = waiting.pop(0)
        if (
            not isinstance(each, FunctionType)
            or each in found
            or each is refuse
            or not each.__module__.startswith(_HERE)
        ):
            continue
        found[each] = None
        names = _names(each.__code__)
        waiting += [each.__globals__[name] for name in names if name in each.__globals__]
        waiting += [vars(Unit)[name] for name in names if name in vars(Unit)]
    return list(found)


def _names(code: CodeType) -> list[str]:
    """The global names and attributes in a function, and in those within it."""
    inner = [name for constant in code.co_consts if isinstance(constant, CodeType) for name in _names(constant)]
    return [*code.co_names, *inner]


@cache
def _refusals(function: FunctionType) -> tuple[Restriction, ...]:
    """The ``refuse(code, sentence, actual, limit, hint)`` of a function."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    called = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
    calls = [node for node in called if getattr(node.func, "id", "") == refuse.__name__]
    written = [[_text(argument, function.__globals__) for argument in call.args] for call in calls]
    return tuple(Restriction(code, sentence, limit, hint) for code, sentence, _, limit, hint in written)


def _text(node: ast.expr, names: dict[str, Any]) -> str:
    """An argument as text: a literal, or a constant of the module."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part, names) for part in node.values)
    if isinstance(node, ast.Name) and isinstance(names.get(node.id), (str, int)):
        return str(names[node.id])
    return _OPEN
