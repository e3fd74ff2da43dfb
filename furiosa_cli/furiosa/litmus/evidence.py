"""What a bug report shows of a litmus test: versions, the compiler's log and pictures, the trace, the model."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from furiosa.litmus import modelfile, replay
from furiosa.litmus.archive import Archive
from furiosa.litmus.metadata import metadata
from furiosa.litmus.options import Options
from furiosa.litmus.scrub import Scrubber
from furiosa.litmus.talk import say

if TYPE_CHECKING:
    from furiosa.compiler import Compiled


class Evidence:
    """The archive of a litmus test, or nothing at all when ``prefix`` is None. Whatever goes in is scrubbed."""

    def __init__(self, options: Options, prefix: str | None) -> None:
        self._options = options
        self._archive = Archive(prefix) if prefix is not None else None
        self._scrubber = Scrubber(os.environ, (options.model.resolve().parent, Path.cwd()))

    @property
    def wanted(self) -> bool:
        """Whether there is an archive."""
        return self._archive is not None

    @property
    def path(self) -> Path | None:
        """The archive's path."""
        return self._archive.path if self._archive is not None else None

    def add_metadata(self) -> None:
        """Take in the versions, the computer, the model file's properties and the devices."""
        if self._archive is not None:
            import yaml

            values = self._scrubber.values(metadata(self._options.model))
            self._archive.add("meta.yaml", yaml.safe_dump(values, sort_keys=False, allow_unicode=True))

    def add_log(self, text: str) -> None:
        """Take in what the compiler said."""
        if self._archive is not None:
            self._archive.add("compiler/compiler.log", self._scrubber.text(text))

    def add_layers(self, compiled: Compiled) -> None:
        """Take in the pictures of the compiled model."""
        if self._archive is None:
            return
        from furiosa.compiler import dot, memory_report

        clusters = compiled.layers["cdfg"]
        page = memory_report.render(compiled.layers["gir"], self._options.model.name, clusters.graph)
        self._archive.add("compiler/memory-analysis.html", self._scrubber.page(page))
        self._archive.add("compiler/model.dot", self._scrubber.text(dot.render(clusters)))

    def add_trace(self, path: Path) -> None:
        """Take in the trace of the inference, a file in a folder of its own."""
        if self._archive is not None:
            text = path.read_text(encoding="utf-8").replace(str(path.parent), "")
            self._archive.add("runtime/trace.json", self._scrubber.json(text))

    def add_model(self, status: int, verdict: str) -> None:
        """Take in the model and what repeats the run, where that is wanted."""
        kind, options = self._options.model_dump, self._options
        if self._archive is None or kind is None:
            return
        data = modelfile.for_dump(options.model, kind == "structure", self._scrubber)
        if data is None:
            say("note: the archive has no model: only an ONNX model has weights that can be taken out")
            return
        texts = replay.replay_files(
            kind, options.target, options.skip_quantization, status, self._scrubber.text(verdict)
        )
        self._archive.add(replay.MODEL, data)
        for name, text in texts.items():
            self._archive.add(name, text)

    def close(self) -> None:
        """Write the archive."""
        if self._archive is not None:
            self._archive.close()


def details(report: dict[str, Any]) -> list[str]:
    """The report as text, and a hint for each operator that is left to the CPU, by its place in the model."""
    from furiosa.compiler.report import render

    return [render(report), *(f"{hint}\n" for hint in report["hints"])]
