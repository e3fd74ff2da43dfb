"""From a source of any kind to a layer's file."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from furiosa.compiler import irfile, specs
from furiosa.compiler.cdfg import Clusters
from furiosa.compiler.config import INTERFACE
from furiosa.compiler.effort import DEFAULT_EFFORT, Effort
from furiosa.compiler.frontend.tflite.model import is_tflite
from furiosa.compiler.graph import Graph
from furiosa.compiler.limits import check_tensors
from furiosa.compiler.module import Module
from furiosa.compiler.pipeline import LAYERS, Progress, Run, Source
from furiosa.isa import enf
from furiosa.isa.errors import FuriosaError, InternalError, ModelError, OptionError
from furiosa.isa.target import Target

MODELS = ("onnx", "tflite")
"""Sources that are models as frameworks write them."""


def translate(
    source: Source, npu: Target, target_ir: str, progress: Progress, effort: Effort
) -> tuple[bytes, dict[str, Any]]:
    """The file of layer ``target_ir``, and the model in every layer on the way, by name.

    Raises ModelError, UnsupportedError or OptionError.
    """
    layer = source_layer(source)
    if layer in LAYERS[LAYERS.index(target_ir) :]:
        raise OptionError(f"`{source.where}` is a `{layer}` already and cannot become a `{target_ir}`",
                          hint="compile the model itself")  # fmt: skip
    value = source if layer in MODELS else _load(source, layer, npu, effort)
    run = Run(npu, progress, effort)
    try:
        with _no_cycle_search(), np.errstate(all="ignore"):  # absurd scales saturate, without a warning
            value = run.compile(value, layer, target_ir)
            data = enf.dump(value) if isinstance(value, enf.Enf) else irfile.dump(target_ir, value)
    except InternalError as error:
        raise _blamed(error, source, layer) from error
    except OverflowError:  # only a text can hold such a number
        raise _inconsistent(layer, "a number takes more than 64 bits", source.where) from None
    return data, run.layers


@contextmanager
def _no_cycle_search() -> Iterator[None]:
    """Without Python's search for reference cycles, of which graphs have none.

    It visits every op again and again: a chain of 10,000 took 6.4 s with it and 3.3 s without, and grew faster than n.
    """
    searching = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if searching:
            gc.enable()


def source_layer(source: Source) -> str:
    """What a file holds, by its content: ``onnx``, ``tflite``, or the layer of a compiled file."""
    layer = irfile.layer_of(source.data)
    if layer is not None:
        return layer
    if enf.is_enf(source.data):
        return "enf"
    return "tflite" if is_tflite(source.data) else "onnx"


def _blamed(error: InternalError, source: Source, layer: str) -> FuriosaError:
    """Who has to act when a pass failed: the author of a file that is at fault, or we."""
    if layer in LAYERS:
        return _inconsistent(layer, error.message, source.where)
    if layer == "tflite":
        return error
    from furiosa.compiler.frontend.diagnosis import fault

    found = fault(source)
    return error if found is None else found


def _inconsistent(layer: str, fault: str, where: str) -> ModelError:
    """The error for an IR file that can be read but says something impossible; people may have edited it."""
    return ModelError(f"the {layer} is not consistent: {fault}", where=where,
                      hint="write it again with `furiosa-compiler --target-ir`")  # fmt: skip


def _load(source: Source, layer: str, target: Target, effort: Effort) -> Any:
    """The model in an IR file; its batch size is settled, and from the GIR on its target and its schedule too."""
    try:
        value = irfile.load(source.data, source.where)
        graph = value.graph if isinstance(value, Clusters) else value
        if isinstance(graph, Graph):
            check_tensors(graph, target)
            fault = specs.broken(graph, specs.DFG if layer == "dfg" else specs.LDFG)
            if fault:
                raise _inconsistent(layer, fault, source.where)
    except FuriosaError:
        raise
    except Exception as error:  # what people may write in a text is without end
        raise _inconsistent(layer, f"{type(error).__name__}: {error}", source.where) from error
    if source.batch_size != 1:
        raise OptionError("the batch size of an IR file is settled already", where=source.where,
                          hint="compile the model itself with the batch size")  # fmt: skip
    changing = [name for name in INTERFACE if getattr(source, name)]
    if changing:
        raise OptionError(f"the interface of an IR file is settled already: `{changing[0]}` cannot change it",
                          where=source.where, hint="compile the model itself with the option")  # fmt: skip
    if isinstance(value, Module) and value.target != target.name:
        raise OptionError(f"the file is for `{value.target}`, not for `{target.name}`", where=source.where,
                          hint=f"add `--target-npu {value.target}`, or compile the model itself")  # fmt: skip
    if isinstance(value, Module) and effort not in (DEFAULT_EFFORT, value.effort):
        raise OptionError("the schedule of the file is settled already: no optimization level can change it",
                          where=source.where, hint="compile the model itself, or its cdfg")  # fmt: skip
    return value
