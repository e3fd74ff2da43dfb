"""A float model that shows the values of its tensors while it runs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from onnx import GraphProto, ModelProto, ValueInfoProto

from furiosa.compiler.frontend.modelfile import first_line
from furiosa.isa.errors import ModelError
from furiosa.quantizer.floatmodel import load_with_bytes
from furiosa.quantizer.names import captured, get_output_names, get_pure_input_names
from furiosa.quantizer.samples import Feed, Input

Sources = dict[str, tuple[str, bool]]

_FLOAT = "tensor(float)"
_SAME_VALUES = frozenset(("Relu", "Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose"))
"""Operators whose result has the values of the first operand; in that of Relu, negative ones are 0."""


class Observation:
    """A float model and the float32 tensors in it: its inputs, what is computed from them, and its outputs.

    ``sources`` has all of them in the order of the graph. Many have the same values as another: each comes with the
    name of the one to look at, which is in ``watched``, and with whether its negative values became 0.
    """

    def __init__(self, model: ModelProto | bytes) -> None:
        """Raises what `load_float_model` raises, and ModelError for a model that calibration can do nothing with."""
        loaded, data = load_with_bytes(model)
        pure, self.outputs = get_pure_input_names(loaded), get_output_names(loaded)
        self.inputs = [Input.of(value) for value in loaded.graph.input if value.name in pure]
        self._places = {name: f"node `{node.name or name}` ({node.op_type})" for node in loaded.graph.node
                        for name in node.output}  # fmt: skip
        sources = _sources(loaded.graph, pure, self.outputs)
        del loaded  # the session needs the room
        shown = {source for source, _ in sources.values()}.difference(pure, self.outputs)
        added = GraphProto(output=[ValueInfoProto(name=name) for name in sources if name in shown])
        # Two messages, one after the other, are one message with the fields of both.
        data += ModelProto(graph=added).SerializeToString()
        self._session = _open(data)
        typed = (*self._session.get_inputs(), *self._session.get_outputs())
        floats = {value.name for value in typed if value.type == _FLOAT}
        self.sources = {name: source for name, source in sources.items() if source[0] in floats}
        if not self.sources:
            named = f", input `{self.inputs[0].name}` is {self.inputs[0].dtype}" if self.inputs else ""
            raise ModelError(f"no tensor of the model is float32{named}", hint="convert the model to float32")
        self.watched = [name for name, (source, _) in self.sources.items() if name == source]
        self._fetched = [name for name in dict.fromkeys((*self.watched, *self.outputs)) if name not in pure]

    def place(self, name: str) -> str:
        """Where in the model a tensor comes from, for people."""
        return self._places.get(name, f"tensor `{name}`")

    def run(self, feed: Feed, where: str) -> dict[str, Any]:
        """The inputs, the watched tensors and the outputs. Raises ModelError naming ``where`` when the model fails."""
        try:
            results = self._session.run(self._fetched, feed)
        except Exception as error:  # ONNX Runtime's own exceptions have no common base
            raise ModelError(f"ONNX Runtime cannot run the model: {first_line(error)}", where=where,
                             hint="check the model and the sizes that its inputs leave open") from None  # fmt: skip
        return {**feed, **dict(zip(self._fetched, results))}


def _sources(graph: GraphProto, inputs: Sequence[str], outputs: Sequence[str]) -> Sources:
    """For each tensor that depends on an input, and each output: which has the same values, and whether rectified."""
    sources: Sources = {name: (name, False) for name in inputs}
    for node in graph.node:
        if sources.keys().isdisjoint((*node.input, *captured(node))):
            continue
        sources.update((name, (name, False)) for name in node.output if name)
        if node.op_type in _SAME_VALUES and not node.domain and node.input[0] in sources:
            source, rectified = sources[node.input[0]]
            sources[node.output[0]] = source, rectified or node.op_type == "Relu"
    return {**sources, **{name: (name, False) for name in outputs if name not in sources}}


def _open(data: bytes) -> Any:
    """A session with all optimizations that keep the tensors it shows. Raises ModelError when there is none."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads()
    options.enable_mem_pattern = False  # it keeps room for everything between the tensors shown, and saves no time
    options.add_session_config_entry("session.force_spinning_stop", "1")  # other threads take over after a run
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ModelError(f"ONNX Runtime cannot open the model: {first_line(error)}",
                         hint="a valid model passes `onnx.checker.check_model`") from None  # fmt: skip


def threads() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
