"""`optimize_model`: a float model as the NPU likes it, with the same results."""

from __future__ import annotations

from onnx import ModelProto

from furiosa.optimizer.affine import AFFINE
from furiosa.optimizer.cleanup import CLEANUP
from furiosa.optimizer.failures import ArgumentError
from furiosa.optimizer.fold import settle
from furiosa.optimizer.inputs import Shapes
from furiosa.optimizer.modelfile import read, write
from furiosa.optimizer.patterns import PATTERNS
from furiosa.optimizer.rewrite import rewrite
from furiosa.optimizer.versions import convert

OPSET = 13
_OPSETS = (12, 13)
_TABLES = (CLEANUP, PATTERNS, AFFINE)
RULES = {kind: tuple(rule for table in _TABLES for rule in table.get(kind, ()))
         for kind in sorted(set().union(*_TABLES))}  # fmt: skip
"""All rewrites by operator, in the order in which they are tried."""


def optimize_model(model: ModelProto, input_shapes: Shapes | None = None, opset_version: int = OPSET) -> ModelProto:
    """The model in opset ``opset_version`` (12 or 13), with static shapes, simplified for quantization.

    Results stay equal up to the rounding of float32. ``model`` stays as it is. What does not depend on the inputs
    becomes an initializer, what does nothing is removed, batch normalizations and constants by channel go into the
    convolutions before them. Inputs and outputs keep their names and their order, intermediate tensors mostly.

    ``input_shapes`` gives the shapes of inputs by name, for those that are symbolic in the model: None in a shape
    leaves an axis to the model. A symbolic first axis that is not given becomes 1.

    Raises ValueError for an opset, a shape or a model that cannot be, TypeError for what is no model,
    RuntimeError when the shape of an input is not known, and NotImplementedError naming the operator that the opset
    lacks.
    """
    if opset_version not in _OPSETS:
        raise ArgumentError(f"opset_version must be one of {_OPSETS}, not {opset_version}",
                            hint="leave it out: 13 is what the quantizer and the compiler prefer")  # fmt: skip
    graph = read(model, input_shapes)
    graph.opsets.setdefault("", opset_version)
    settle(graph)
    if graph.opset != opset_version:
        convert(graph, opset_version)
    while rewrite(graph, RULES):
        settle(graph)
    return write(graph, model)
