"""What of a model is needed: operators whose results somebody reads."""

from __future__ import annotations

from dataclasses import replace

from furiosa.compiler.frontend.tflite.model import Model, Operator

_READ = {"BROADCAST_TO": (0,), "FILL": (1,), "RESHAPE": (0,), "RESIZE_BILINEAR": (0,),
         "RESIZE_NEAREST_NEIGHBOR": (0,), "TRANSPOSE_CONV": (1, 2, 3)}  # fmt: skip
"""Operands that are read where one of the others is the shape of the result, which the file has as well.

Converters write a model of any batch size with operators that compute such shapes from that of the input.
"""


def live(model: Model) -> Model:
    """The model without operators that no output needs."""
    needed = set(model.outputs)
    kept: list[Operator] = []
    for operator in reversed(model.operators):
        if needed.isdisjoint(operator.outputs):
            continue
        kept.append(operator)
        everything = tuple(range(len(operator.inputs)))
        read = _READ.get(operator.code, everything) if operator.custom is None else everything
        needed.update(operator.inputs[index] for index in read if index in everything)
    return replace(model, operators=tuple(reversed(kept)))
