"""Dilated convolutions as older converters write them: SPACE_TO_BATCH_ND, a convolution, BATCH_TO_SPACE_ND.

The first operator sorts pixels by their places in blocks, so that neighbours in its result are a block apart; the last
one puts them back. So the three are one convolution with the block as dilation. What the first one pads is padding of
that convolution, and what the last one crops is less of it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from furiosa.compiler.frontend.tflite.model import Model, Operator
from furiosa.compiler.frontend.tflite.window import WindowError, padding, pair

_CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D")


def fold_dilations(model: Model) -> Model:
    """The model with each such row of three operators as one."""
    if not any(operator.code == "SPACE_TO_BATCH_ND" for operator in model.operators):
        return model
    readers = Counter(index for operator in model.operators for index in operator.inputs)
    readers.update(model.outputs)
    makers = {operator.outputs[0]: operator for operator in model.operators if len(operator.outputs) == 1}
    folded: dict[str, Operator | None] = {}
    for last in model.operators:
        row = _row(last, makers, readers)
        dilated = None if row is None else _dilated(model, *row)
        if row is not None and dilated is not None:
            folded |= {row[0].name: None, row[1].name: None, last.name: dilated}
    operators = (folded.get(operator.name, operator) for operator in model.operators)
    return replace(model, operators=tuple(operator for operator in operators if operator is not None))


def _row(
    last: Operator, makers: dict[int, Operator], readers: Counter[int]
) -> tuple[Operator, Operator, Operator] | None:  # fmt: skip
    """The three operators, when nobody else reads what is between them."""
    if last.code != "BATCH_TO_SPACE_ND" or len(last.inputs) != 3 or len(last.outputs) != 1:
        return None
    conv = makers.get(last.inputs[0])
    if conv is None or conv.code not in _CONVOLUTIONS or len(conv.inputs) < 2:
        return None
    first = makers.get(conv.inputs[0])
    if first is None or first.code != "SPACE_TO_BATCH_ND" or len(first.inputs) != 3:
        return None
    return (first, conv, last) if readers[last.inputs[0]] == readers[conv.inputs[0]] == 1 else None


def _dilated(model: Model, first: Operator, conv: Operator, last: Operator) -> Operator | None:
    """The one convolution; None when there is none."""
    x, image, weights = (model.tensors[i] for i in (first.inputs[0], conv.inputs[0], conv.inputs[1]))
    sums, result = model.tensors[last.inputs[0]], model.tensors[last.outputs[0]]
    if (x.dtype, x.quant) != (image.dtype, image.quant) or (sums.dtype, sums.quant) != (result.dtype, result.quant):
        return None
    blocks, pads, again, crops = (_integers(model, index) for index in (*first.inputs[1:], *last.inputs[1:]))
    if len(x.shape) != 4 or len(weights.shape) != 4 or len(image.shape) != 4 or len(blocks) != 2 or blocks != again:
        return None
    if len(pads) != 4 or len(crops) != 4 or min(blocks) < 1:
        return None
    kernel = (weights.shape[1], weights.shape[2])
    try:
        strides, dilations = pair(conv.options, "stride"), pair(conv.options, "dilation")
        inner, _ = padding(conv.options, image.shape[1:3], kernel, strides, dilations)
    except WindowError:
        return None
    (top, bottom, left, right), (above, below, before, after) = pads, crops
    outer = (top - above, left - before, bottom - below, right - after)
    whole = tuple(block * pad + more for block, pad, more in zip((*blocks, *blocks), inner, outer))
    if strides != (1, 1) or min(whole) < 0:
        return None
    factors = {f"dilation_{side}_factor": d * b for side, d, b in zip("hw", dilations, blocks)}
    options = conv.options | factors | {"pads": whole}
    return replace(conv, inputs=(first.inputs[0], *conv.inputs[1:]), outputs=last.outputs, options=options)


def _integers(model: Model, index: int) -> tuple[int, ...]:
    """A constant of int32; empty when it is none."""
    data = model.tensors[index].data if index >= 0 else None
    return tuple(data.reshape(-1).tolist()) if data is not None and data.dtype.kind == "i" else ()
