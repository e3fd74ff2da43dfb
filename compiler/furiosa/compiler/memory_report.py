"""The use of SRAM over time as a self-contained HTML page: one chart a program, a rectangle for each thing in SRAM."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from furiosa.compiler import lir
from furiosa.compiler.gir import Gir, Slot
from furiosa.compiler.module import Module
from furiosa.isa.instructions import Engine
from furiosa.isa.memory import Memory
from furiosa.isa.target import Target, target
from furiosa.isa.timeline import schedule

_WIDTH, _HEIGHT, _COMPUTE_HEIGHT = 1200, 420, 24
_COLOURS = {"weights": "#d9a441", "activations": "#5b8bd0", "computation": "#5aa469"}
_STYLE = "body{font:14px sans-serif;margin:24px}svg{border:1px solid #ccc;background:#fff}rect:hover{opacity:.6}"
_WEIGHT_ROLES = ("parameters", "constants")

Span = tuple[int, int]


def render(module: Module[Gir]) -> str:
    """The page. The x axis is modelled cycles, the y axis SRAM byte addresses; computations are below zero."""
    npu = target(module.target)
    charts, computed, total = [], 0, 0
    for index, program in enumerate(module.programs):
        instructions = lir.linearize(program).instructions
        timeline = schedule(instructions, npu)
        spans = [timeline.spans[i] for i, inst in enumerate(instructions) if inst.engine is Engine.COMPUTE]
        computed += timeline.compute_cycles
        total += timeline.cycles
        charts.append(f"<h2>pe#0:exe#{index}</h2>\n" + "\n".join(_chart(program, spans, timeline.cycles, npu)))
    title = f"computation/total: {computed}/{total}(={computed / total if total else 0:.4f})"
    legend = " ".join(f'<span style="color:{colour}">&#9632;</span> {name}' for name, colour in _COLOURS.items())
    body = "\n".join(charts) or "<p>No operator of the model runs on the NPU.</p>"
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>'
        f"</head>\n<body><h1>{title}</h1>\n<p>{legend}. Cycles are modelled, for {npu.name}.</p>\n{body}\n"
        "</body></html>\n"
    )


def _chart(program: Gir, spans: list[Span], cycles: int, npu: Target) -> Iterator[str]:
    """The SVG of one program; tooltips are ``T<id>] [<cycles>) [<addresses>)``."""
    top = max(program.sram_bytes, 1)
    yield f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT + _COMPUTE_HEIGHT}" width="{_WIDTH}" role="img">'
    for index, slot in enumerate(s for s in program.slots if s.memory is Memory.SRAM):
        start, end = spans[slot.first][0], spans[min(slot.last, len(spans) - 1)][1]
        kind = "weights" if slot.role in _WEIGHT_ROLES else "activations"
        low, high = slot.address, slot.address + slot.size
        tip = f"T{index}] [{start}, {end}) [{low:#x}, {high:#x}) {_what(slot)}"
        yield _rect(start, end, cycles, _HEIGHT * (1 - high / top), _HEIGHT * slot.size / top, _COLOURS[kind], tip)
    for step, (start, end) in zip(program.steps, spans):
        tip = f"{step.instruction.label} [{start}, {end}) {step.node}"
        yield _rect(start, end, cycles, _HEIGHT + 4, _COMPUTE_HEIGHT - 4, _COLOURS["computation"], tip)
    yield "</svg>"
    yield f"<p>{cycles} cycles, {top} of {npu.sram_bytes} bytes of SRAM</p>"


def _what(slot: Slot) -> str:
    return f"{slot.role} of {slot.tensor}"


def _rect(start: int, end: int, cycles: int, y: float, height: float, colour: str, tip: str) -> str:
    x, width = _WIDTH * start / max(cycles, 1), _WIDTH * (end - start) / max(cycles, 1)
    return (
        f'<rect x="{x:.2f}" y="{y:.2f}" width="{max(width, 0.5):.2f}" height="{max(height, 0.5):.2f}" fill="{colour}" '
        f'fill-opacity="0.7" stroke="#fff" stroke-width="0.3"><title>{escape(tip)}</title></rect>'
    )
