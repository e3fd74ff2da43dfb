"""What a litmus test is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Options:
    """What to test. ``model_dump``: whether the archive gets the model, ``full`` or as ``structure``."""

    model: Path
    skip_quantization: bool = False
    verbose: bool = False
    target: str = "warboy-2pe"
    model_dump: str | None = None
