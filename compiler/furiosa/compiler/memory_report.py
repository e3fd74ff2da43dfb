"""The use of SRAM over time as one self-contained interactive HTML page."""

from __future__ import annotations

from pathlib import Path

from furiosa.compiler.gir import Gir
from furiosa.compiler.graph import Graph
from furiosa.compiler.memory_page.data import page_data
from furiosa.compiler.module import Module
from furiosa.compiler.webpage import as_json, fill

_FOLDER = Path(__file__).parent / "memory_page"


def render(module: Module[Gir], model: str = "", graph: Graph | None = None) -> str:
    """The page. The x axis is modelled cycles, the y axis SRAM byte addresses; the engines' work is below zero.

    ``model`` is what to call the model; ``graph``, its LDFG, adds element types, shapes and the names of fused nodes.
    Everything lies in the page: styles, script and data (JSON, see ``page_data``). It makes no request.
    """
    data = page_data(module, model, graph)
    computing, cycles = data["compute_cycles"], data["npu_cycles"]
    parts = {
        "title": f"computation/total: {computing}/{cycles}(={computing / cycles if cycles else 0:.4f})",
        "style": _file("page.css"),
        "script": "\n".join(map(_file, ("chart.js", "words.js", "page.js"))),
        "data": as_json(data),
    }
    return fill(_file("page.html"), parts)


def _file(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")
