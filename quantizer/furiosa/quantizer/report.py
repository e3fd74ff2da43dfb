"""The analysis as files: JSON for programs, a self-contained HTML page for people."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from html import escape
from typing import Any

from furiosa.quantizer.analysis import Analysis, TensorLoss
from furiosa.quantizer.exclusion import Exclusion

SCHEMA_VERSION = 1
_TOP_DB = 60.0
_STYLE = """
:root { color-scheme: light dark; --bar: #2a6fb0; --own: #d9822b; --rule: #8884; }
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 76rem; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; } td, th { padding: .2rem .5rem; border-bottom: 1px solid var(--rule);
text-align: right; } td:first-child, th:first-child, .tensors tr :nth-child(2) { text-align: left; }
td:first-child { overflow-wrap: anywhere; } svg { display: block; } .bar { fill: var(--bar); }
.own { fill: var(--own); } .code { fill: currentColor; opacity: .6; } .note { opacity: .75; }
"""


def to_json(analysis: Analysis, exclusions: list[Exclusion]) -> str:
    """The losses, worst first, and the exclusions; an infinite ratio (nothing is lost) is null."""
    content = {
        "schema_version": SCHEMA_VERSION,
        "samples": analysis.samples,
        "tensors": [_plain(asdict(loss)) for loss in analysis.worst(len(analysis.losses))],
        "exclusions": [_plain(asdict(each)) for each in exclusions],
    }
    return json.dumps(content, indent=2) + "\n"


def to_html(analysis: Analysis, exclusions: list[Exclusion], title: str) -> str:
    """The page: what leaving operators out brings, then every tensor with its losses and its codes."""
    head = f"<meta charset=utf-8><title>{escape(title)}</title><style>{_STYLE}</style>"
    tensors = "".join(_tensor(loss, analysis) for loss in analysis.losses)
    titles = ("tensor", "operator", "SQNR dB", "of its own dB", "", "cosine", "clipped", "unused codes", "codes 0-255")
    return (
        f"<!doctype html><html lang=en><head>{head}</head><body><h1>{escape(title)}</h1>"
        f"<p>{len(analysis.losses)} quantized tensors, {analysis.samples} samples. SQNR is the power of the float "
        "values over that of the error: with the errors of all operators before it (blue), and of the operator alone "
        f"(orange). Lower is worse.</p>{_exclusions(exclusions)}<h2>Tensors</h2><table class=tensors><tr>"
        f"{''.join(f'<th>{name}</th>' for name in titles)}</tr>{tensors}</table></body></html>\n"
    )


def _plain(record: dict[str, Any]) -> dict[str, Any]:
    return {key: None if isinstance(v, float) and math.isinf(v) else v for key, v in record.items()}


def _exclusions(exclusions: list[Exclusion]) -> str:
    if not exclusions:
        return ""
    rows = "".join(
        f"<tr><td>{escape(', '.join(each.nodes)) or 'nothing'}</td><td>{each.output_sqnr_db:.2f}</td>"
        f"<td>{each.npu_latency_us:,.1f}</td><td>{each.link_us:,.1f}</td><td>{each.npu_clusters}</td>"
        f"<td>{each.cpu_operators}</td></tr>"
        for each in exclusions
    )
    titles = ("left in float32", "SQNR of the outputs dB", "NPU &micro;s (modelled)", "link &micro;s (modelled)",
              "NPU clusters", "operators on the CPU")  # fmt: skip
    return (
        f"<h2>Leaving operators out</h2><table><tr>{''.join(f'<th>{name}</th>' for name in titles)}</tr>{rows}</table>"
        "<p class=note><code>furiosa quantize --exclude NAME</code> leaves a node out. The time of the parts on the "
        "CPU is that of the computer they run on, and not in these figures.</p>"
    )


def _tensor(loss: TensorLoss, analysis: Analysis) -> str:
    cells = (
        f"<td title={_quoted(loss.node)}>{escape(loss.tensor)}</td>"
        f"<td>{escape(loss.operator) or 'input'}</td>"
        f"<td>{_decibels(loss.sqnr_db)}</td><td>{_decibels(loss.alone_sqnr_db)}</td><td>{_bars(loss)}</td>"
        f"<td>{loss.cosine:.5f}</td><td>{loss.clipped:.3%}</td><td>{loss.unused_codes:.0%}</td>"
    )
    return f"<tr>{cells}<td>{_codes(analysis, loss)}</td></tr>"


def _quoted(text: str) -> str:
    return f'"{escape(text)}"'


def _decibels(value: float) -> str:
    return "exact" if value == math.inf else f"{value:.1f}"


def _bars(loss: TensorLoss) -> str:
    widths = [max(0.0, min(value, _TOP_DB)) / _TOP_DB * 120 for value in (loss.sqnr_db, loss.alone_sqnr_db)]
    text = f"SQNR {_decibels(loss.sqnr_db)} dB, of its own {_decibels(loss.alone_sqnr_db)} dB"
    return (
        f'<svg width=120 height=14 role=img aria-label="{text}"><rect class=bar width={widths[0]:.1f} height=6 />'
        f"<rect class=own y=8 width={widths[1]:.1f} height=6 /></svg>"
    )


def _codes(analysis: Analysis, loss: TensorLoss) -> str:
    """The histogram of the codes, four to a column, on a logarithmic scale."""
    columns = analysis.codes[loss.tensor].reshape(64, 4).sum(axis=1)
    top = math.log1p(int(columns.max()))
    heights = [24 * math.log1p(int(count)) / top if top else 0.0 for count in columns]
    bars = "".join(f"<rect class=code x={2 * i} y={24 - h:.1f} width=2 height={h:.1f} />"
                   for i, h in enumerate(heights) if h)  # fmt: skip
    return f'<svg width=128 height=24 role=img aria-label="codes of {escape(loss.tensor)}">{bars}</svg>'
