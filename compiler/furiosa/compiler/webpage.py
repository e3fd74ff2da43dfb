"""Self-contained web pages: a template whose ``{{name}}`` are replaced by parts. They make no request."""

from __future__ import annotations

import json
from collections.abc import Mapping

_ESCAPES = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"})


def fill(template: str, parts: Mapping[str, str]) -> str:
    """The page."""
    head, *rest = template.split("{{")
    for piece in rest:
        name, _, text = piece.partition("}}")
        head += parts[name] + text
    return head


def as_json(data: object) -> str:
    """Data as JSON that may stand in a script element."""
    return json.dumps(data, separators=(",", ":")).translate(_ESCAPES)
