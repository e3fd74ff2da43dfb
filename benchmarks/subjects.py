"""What the engines are given: a network as an ONNX file and as an ENF, with inputs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from engines import PEERS, Array
from furiosa.compiler import compile_model
from networks import quantized, random_inputs

TARGET = "warboy-2pe"


@dataclass(frozen=True, slots=True)
class Subject:
    """A network of `networks.NAMES`; ``macs`` are the multiply-accumulate operations of one inference."""

    name: str
    model: Path
    enf: Path
    inputs: tuple[Array, ...]
    macs: int

    def file(self, engine: str) -> Path:
        """What the engine reads."""
        return self.model if engine in PEERS else self.enf


def subject(name: str, models: Path, folder: Path) -> Subject:
    """The network, compiled into ``folder``; its ONNX file is in ``models``."""
    model, enf = quantized(name, models), folder / f"{name}.enf"
    compiled = compile_model(model, TARGET, cache_enabled=False)
    enf.write_bytes(compiled.enf)
    return Subject(name, model, enf, tuple(random_inputs(model).values()), compiled.report["macs"])
