"""Graphs and modules as text: one op a line, stable, exact both ways. The bytes of constants are kept beside it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from types import ModuleType
from typing import Any, get_args

import numpy as np

from furiosa.compiler import gir, lir, lowlevel
from furiosa.compiler.borders import Raw
from furiosa.compiler.effort import DEFAULT_EFFORT, Effort
from furiosa.compiler.frontend.node import Affine, OnnxNode, Permuted, Project
from furiosa.compiler.gir import records
from furiosa.compiler.gir.records import Unreadable, bad_line
from furiosa.compiler.graph import Attrs, Graph, Op, Quant, Reason, TensorType
from furiosa.compiler.kept_layout import Kept
from furiosa.compiler.module import Module
from furiosa.compiler.ops import ROOMS
from furiosa.isa import enf
from furiosa.isa.dtypes import DType


@dataclass(frozen=True, slots=True)
class Data:
    """Where the bytes of a constant lie beside the text."""

    offset: int
    size: int


_NONE = Attrs()


@dataclass(frozen=True, slots=True)
class Rest:
    """What follows an op's kind, inputs and type on its line."""

    name: str
    node: str = ""
    attrs: Any = _NONE
    quant: Quant | None = None
    form: str = ""
    sources: tuple[tuple[str, str], ...] = ()
    cpu: Reason | None = None
    data: Data | None = None


@dataclass(frozen=True, slots=True)
class GraphHead:
    """The first line of a graph."""

    name: str
    batch_size: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    output_names: tuple[str, ...]
    framework: str = "onnx"
    keep_lowered: bool = False
    keep_unlowered: bool = False
    keep_unsigned: bool = False


@dataclass(frozen=True, slots=True)
class ModuleHead:
    """The first line of a module."""

    target: str
    batch_size: int
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    placement: str
    effort: Effort = DEFAULT_EFFORT


def _attrs_of(module: ModuleType) -> dict[str, type[Any]]:
    """The attributes of operators that a module defines."""
    own = (each for each in vars(module).values() if getattr(each, "__module__", "") == module.__name__)
    return {each.__name__: each for each in own if isinstance(each, type) and issubclass(each, Attrs)}


_PARTS: dict[str, type[Any]] = {
    each.__name__: each for each in (Attrs, Raw, Kept, Affine, OnnxNode, Permuted, Project, Quant, Reason, Data)
}
for _room in ROOMS:
    _PARTS |= _attrs_of(_room)
_NPU_PARTS = _PARTS | _attrs_of(lowlevel)
_LINE = re.compile(r"%(\d+) = ([\w.]+)\(([%\d, ]*)\) : (\w+)\[([-\d,]*)\] (Rest\(.*\))")
_STEPS = {cls.__name__: cls for cls in get_args(enf.Step)}


def print_graph(graph: Graph) -> tuple[str, bytes]:
    """The graph's text, and the bytes of its constants."""
    ops = [*(op for op in graph.inputs if op not in set(graph)), *graph]
    number = {op: index for index, op in enumerate(ops)}
    data = bytearray()
    head = GraphHead(graph.name, graph.batch_size, tuple(number[op] for op in graph.inputs),
                     tuple(number[op] for op in graph.outputs), graph.output_names, graph.framework,
                     graph.keep_lowered, graph.keep_unlowered, graph.keep_unsigned)  # fmt: skip
    lines = [f"graph {records.write(head)}"]
    for op in ops:
        place = None
        if op.data is not None:
            place = Data(len(data), op.data.nbytes)
            data += op.data.tobytes()
        rest = Rest(op.name, op.node, op.attrs, op.type.quant, op.type.form, op.sources, op.cpu, place)
        inputs = ", ".join(f"%{number[x]}" for x in op.inputs)
        shape = ",".join(map(str, op.type.shape))
        lines.append(f"%{number[op]} = {op.kind}({inputs}) : {op.type.dtype.value}[{shape}] {records.write(rest)}")
    return "\n".join(lines) + "\n", bytes(data)


def parse_graph(text: str, data: bytes) -> Graph:
    """The graph that ``print_graph`` wrote. Raises ModelError naming the line that cannot be read."""
    number, line = 0, ""
    ops: list[Op] = []
    head: GraphHead | None = None
    try:
        for line in text.split("\n"):
            number += 1
            if line.startswith("graph ") and head is None:
                head = records.read(line.removeprefix("graph "), {"GraphHead": GraphHead})
            elif line.strip() and not line.startswith("#"):
                ops.append(_parse_op(line, ops, data))
        if head is None:
            raise Unreadable("there is no `graph` line")
        if min(head.inputs + head.outputs, default=0) < 0 or len(head.outputs) != len(head.output_names):
            raise Unreadable("its outputs or inputs are not numbered and named one by one")
        inputs, outputs = tuple(ops[i] for i in head.inputs), tuple(ops[i] for i in head.outputs)
        if any(op.kind != "input" for op in inputs):
            raise Unreadable("an input of the graph is no `input`")
    except (Unreadable, IndexError, ValueError, KeyError) as why:
        raise bad_line("graph", number, line, why) from None
    return Graph(head.name, inputs, outputs, head.output_names, head.batch_size, head.framework, head.keep_lowered,
                 head.keep_unlowered, head.keep_unsigned)  # fmt: skip


def _parse_op(line: str, ops: list[Op], data: bytes) -> Op:
    match = _LINE.fullmatch(line.strip())
    if match is None or int(match[1]) != len(ops):
        raise Unreadable("it is not written like `%0 = kind(%1) : i8[1,2] Rest(...)`")
    parts = _NPU_PARTS if match[2].startswith("npu.") else _PARTS
    rest = records.read(match[6], {"Rest": Rest}, parts)
    shape = tuple(int(d) for d in match[5].split(",") if d)
    kind = TensorType(shape, DType(match[4]), rest.quant, rest.form)
    inputs = tuple(ops[int(x.strip()[1:])] for x in match[3].split(",") if x.strip())
    value = None
    if rest.data is not None:
        raw = data[rest.data.offset : rest.data.offset + rest.data.size]
        value = np.frombuffer(raw, kind.dtype.numpy_name).reshape(shape)
    return Op(match[2], inputs, rest.attrs, kind, rest.name, rest.node, value, rest.cpu, rest.sources)


def print_module(module: Module[Any]) -> tuple[str, bytes]:
    """The text of a module in GIR or LIR form, and the bytes of its constants and CPU models."""
    head = ModuleHead(module.target, module.batch_size, module.inputs, module.outputs, module.placement,
                      module.effort)  # fmt: skip
    lines = [f"module {records.write(head)}"]
    described = [(t.dtype.value, _Tensor(t.name, t.shape, t.format, t.named, t.width)) for t in module.tensors]
    lines += [f"tensor {dtype} {records.write(tensor)}" for dtype, tensor in described]
    lines += [f"do {records.write(step)}" for step in module.steps]
    data = bytearray()
    for model in module.cpu_models:
        lines.append(f"cpu_model {records.write(Data(len(data), len(model)))}")
        data += model
    for program in module.programs:
        lines.append(f"program {records.write(Data(len(data), len(program.constants)))}")
        lines.append((gir.print_gir if isinstance(program, gir.Gir) else lir.print_lir)(program).rstrip("\n"))
        data += program.constants
    return "\n".join(lines) + "\n", bytes(data)


@dataclass(frozen=True, slots=True)
class _Tensor:
    name: str
    shape: tuple[int, ...]
    format: str
    named: bool = True
    width: int = 0


def parse_module(text: str, data: bytes, layer: str) -> Module[Any]:
    """The module that ``print_module`` wrote. Raises ModelError naming the line that cannot be read."""
    parse = gir.parse_gir if layer == "gir" else lir.parse_lir
    top, *programs = re.split(r"^program ", text, flags=re.MULTILINE)
    head: ModuleHead | None = None
    tensors, steps, models, parsed = [], [], [], []
    number, line = 0, ""
    try:
        for line in top.split("\n"):
            number += 1
            word, _, rest = line.partition(" ")
            if word == "module":
                head = records.read(rest, {"ModuleHead": ModuleHead}, {"Effort": Effort})
            elif word == "tensor":
                dtype, _, record = rest.partition(" ")
                t = records.read(record, {"_Tensor": _Tensor})
                tensors.append(enf.Tensor(t.name, t.shape, DType(dtype), t.format, t.named, t.width))
            elif word == "do":
                steps.append(records.read(rest, _STEPS))
            elif word == "cpu_model":
                models.append(_bytes(rest, data))
            elif word:
                raise Unreadable(f"`{word}` is not expected here")
        for program in programs:
            line, _, body = program.partition("\n")
            parsed.append(parse("\n" * number + body, _bytes(line, data)))
            number += body.count("\n") + 1
        if head is None:
            raise Unreadable("there is no `module` line")
    except (Unreadable, ValueError) as why:
        raise bad_line(layer, number, line, why) from None
    return Module(head.target, head.batch_size, head.inputs, head.outputs, tuple(tensors), tuple(steps),
                  tuple(parsed), tuple(models), head.placement, head.effort)  # fmt: skip


def _bytes(record: str, data: bytes) -> bytes:
    place = records.read(record, {"Data": Data})
    return data[place.offset : place.offset + place.size]
