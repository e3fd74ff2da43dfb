"""The compiler on one screen: the layers in order, the passes of each, and the manager that runs them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from furiosa.compiler import (
    borders,
    cdfg,
    channels_last,
    cpu_check,
    dfg,
    irfile,
    kept_layout,
    ldfg,
    limits,
    module,
    quantization,
    signs,
    specs,
)
from furiosa.compiler.assembly import assemble
from furiosa.compiler.effort import DEFAULT_EFFORT, Effort
from furiosa.compiler.graph import Graph
from furiosa.compiler.specs import Spec
from furiosa.isa import env
from furiosa.isa.errors import FuriosaError, InternalError, OptionError
from furiosa.isa.target import Target

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Goal:
    """What a model is compiled for, and with how much effort."""

    target: Target
    effort: Effort


@dataclass(frozen=True, slots=True)
class Pass:
    """One step of a stage. ``title`` is what progress shows, when the step is worth a line of its own."""

    run: Callable[[Any, Goal], Any]
    name: str
    specs: tuple[Spec, ...] = ()
    title: str = ""


@dataclass(frozen=True, slots=True)
class Stage:
    """The passes that lead into a layer."""

    layer: str
    passes: tuple[Pass, ...]


def _graph(function: Callable[[Graph], Graph], rules: tuple[Spec, ...], title: str = "") -> Pass:
    return Pass(lambda graph, _: function(graph), function.__name__, rules, title)


def _on_target(function: Callable[[Graph, Target], Graph], rules: tuple[Spec, ...] = ()) -> Pass:
    return Pass(lambda graph, goal: function(graph, goal.target), function.__name__, rules)


@dataclass(frozen=True, slots=True)
class Source:
    """A model's file: its bytes, what to call it in errors, the batch size to apply, and the folder it lies in.

    ``permute_input`` ... ``keep_unsignedness`` are the compiler options of these names.
    """

    data: bytes
    where: str
    batch_size: int = 1
    folder: Path | None = None
    permute_input: Any = None
    without_quantize: Any = None
    remove_lower: bool = False
    remove_unlower: bool = False
    keep_unsignedness: bool = False

    def settle(self, graph: Graph) -> Graph:
        """The graph with what the options say about the host's steps; ``without_quantize`` leaves none for uint8."""
        unsigned = self.keep_unsignedness or self.without_quantize is not None
        return replace(graph, keep_lowered=self.remove_lower, keep_unlowered=self.remove_unlower,
                       keep_unsigned=unsigned)  # fmt: skip


def _import(source: Source, _: Goal) -> Graph:
    from furiosa.compiler.frontend.onnx import import_onnx

    graph = import_onnx(source.data, source.where, source.batch_size, source.folder, source.permute_input,
                        source.without_quantize)  # fmt: skip
    return source.settle(graph)


def _import_tflite(source: Source, _: Goal) -> Graph:
    from furiosa.compiler.frontend.tflite import import_tflite

    if source.without_quantize is not None:
        raise OptionError("compiler option `without_quantize` is for ONNX models that take real numbers",
                          where=source.where, hint="leave the option out")  # fmt: skip
    graph = import_tflite(source.data, source.where, source.batch_size, source.permute_input)
    return source.settle(graph)


FROM_TFLITE = Stage("dfg", (
    Pass(_import_tflite, "import"),                # integers already: operators of the table with LiteRT's rounding
    _on_target(limits.check_tensors, specs.DFG),
))  # fmt: skip
"""In place of the first stage of ``STAGES``."""

STAGES: tuple[Stage, ...] = (
    Stage("dfg", (
        Pass(_import, "import"),                       # framework-free, checked, shapes static, constants folded
        _on_target(limits.check_tensors),              # nothing later takes time or memory without bound
        _graph(quantization.type_integers, ()),        # integers get their scale, wherever it is stated
        _graph(quantization.merge_pairs, ()),          # the scales that ONNX Runtime rounds by
        _graph(quantization.store_unsigned, ()),       # and the element types
        _graph(dfg.quantize_inputs, ()),               # integers are moved, not real numbers
        _graph(dfg.absorb_quantization, specs.DFG),    # after this, quantization is a matter of types
        _graph(channels_last.sum_channels_last, specs.DFG),    # the order of sums in ONNX Runtime
    )),
    Stage("ldfg", (
        _graph(ldfg.split, specs.DFG, "Splitting graph(LAS)"),    # after this, nobody asks where an op runs
        _graph(ldfg.lower, specs.LDFG, "Lowering graph(LAS)"),    # the NPU's operators and layout
        _graph(signs.sign_inputs, specs.LDFG),                    # uint8 images as int8: the host's cheap Quantize
        _graph(kept_layout.keep_layout, specs.LDFG),              # of tensors that users lower themselves
        _graph(ldfg.optimize, specs.LDFG, "Optimizing graph"),    # fewer of them
        _on_target(borders.layout_on_npu, specs.LDFG),            # the host does not do what the NPU does faster
    )),
    Stage("cdfg", (
        Pass(lambda graph, _: cdfg.cluster(graph), "cluster"),                     # what runs as one step
        Pass(lambda clusters, _: cpu_check.check_cpu(clusters), "check_cpu"),      # and that it does
    )),
    Stage("gir", (
        Pass(lambda clusters, goal: module.build(clusters, goal.target, goal.effort), "build"),  # tiles, transfers,
    )),                                                                                          # addresses
    Stage("lir", (Pass(lambda m, _: module.linearize(m), "linearize"),)),          # one stream with tokens
    Stage("enf", (Pass(lambda m, _: assemble(m), "assemble"),)),            # the file
)  # fmt: skip
LAYERS = tuple(stage.layer for stage in STAGES)


@dataclass
class Run:
    """One compilation: the layers that were reached, by name, and the progress that is shown."""

    target: Target
    progress: Progress
    effort: Effort = DEFAULT_EFFORT
    layers: dict[str, Any] = field(default_factory=dict)

    def compile(self, value: Any, source: str, last: str) -> Any:
        """Take ``value`` from layer ``source`` (``onnx`` or ``tflite`` for a model's file) to layer ``last``."""
        self.layers[source] = value
        first = LAYERS.index(source) + 1 if source in LAYERS else 0
        stages = STAGES[first : LAYERS.index(last) + 1]
        if source == "tflite":
            stages = (FROM_TFLITE, *stages[1:])
        for number, stage in enumerate(stages, 1):
            titled = [p for p in stage.passes if p.title]
            with Announced(self.progress, number, len(stages), source, stage.layer):
                for step in stage.passes:
                    value = self._pass(step, stage.layer, value, titled)
            self.layers[stage.layer] = value
            source = stage.layer
        return value

    def _pass(self, step: Pass, layer: str, value: Any, titled: list[Pass]) -> Any:
        if step.title:
            self.progress(f"▪▪▪▪▪ [{titled.index(step) + 1}/{len(titled)}] {step.title}...")
        start = time.perf_counter()
        try:
            value = step.run(value, Goal(self.target, self.effort))
        except FuriosaError:
            raise
        except Exception as error:
            raise InternalError(
                f"pass `{step.name}` of layer `{layer}` failed: {type(error).__name__}: {error}",
                hint="this is a fault of the compiler; please report it with the model",
            ) from error
        if step.title:
            self.progress(f"Done in {time.perf_counter() - start:.9g}s\n")
        self._check(step, layer, value)
        self._dump(step, layer, value)
        return value

    def _check(self, step: Pass, layer: str, value: Any) -> None:
        fault = specs.broken(value, step.specs) if step.specs else None
        if fault:
            raise InternalError(f"after `{step.name}`, the {layer} is malformed at {fault}",
                                hint="this is a fault of the compiler; please report it with the model")  # fmt: skip

    def _dump(self, step: Pass, layer: str, value: Any) -> None:
        folder = env.DUMP.get()
        if folder is None or layer == "enf":
            return
        number = [p.name for stage in STAGES for p in stage.passes].index(step.name)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{number:02}-{layer}-{step.name}.txt").write_text(irfile.printed(value)[0], encoding="utf-8")
        except OSError as error:
            raise OptionError(f"cannot write to `{folder}`: {error.strerror}",
                              where=f"environment variable `{env.DUMP.name}`",
                              hint="name a folder that may be written to, or unset it") from None  # fmt: skip


@dataclass
class Announced:
    """The lines of progress around a stage, as SDK users know them."""

    progress: Progress
    number: int
    total: int
    source: str
    layer: str
    start: float = 0.0

    def __enter__(self) -> None:
        self.start = time.perf_counter()
        self.progress(f"[{self.number}/{self.total}] 🔍   Compiling from {self.source} to {self.layer}\n")

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self.progress(f"Done in {time.perf_counter() - self.start:.9g}s\n")
