"""A benchmark as one self-contained HTML page: figures, timeline, roofline and operators. It makes no request."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from furiosa.cli.bench_report.page.data import page_data
from furiosa.compiler.webpage import as_json, fill

if TYPE_CHECKING:
    from furiosa.runtime.latencies import BenchResult

_FOLDER = Path(__file__).parent
_SCRIPTS = ("draw.js", "timeline.js", "roofline.js", "page.js")


def render(result: BenchResult, model: str) -> str:
    """The page; ``model`` is what to call the model. Styles, script and data (JSON, see ``page_data``) lie in it."""
    parts = {
        "style": _file("page.css"),
        "script": "\n".join(map(_file, _SCRIPTS)),
        "data": as_json(page_data(result, model)),
    }
    return fill(_file("page.html"), parts)


def _file(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")
