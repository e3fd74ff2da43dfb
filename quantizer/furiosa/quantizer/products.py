"""Operators with constant weights: Conv, ConvTranspose, Gemm and MatMul, and what a factor on their channels means."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from onnx import NodeProto

from furiosa.quantizer.graph import Array, FloatGraph, attribute

WEIGHTS, BIAS = 1, 2
"""Where a product has its weights and its bias."""
PRODUCTS = ("Conv", "ConvTranspose", "Gemm", "MatMul")


@dataclass(frozen=True, slots=True)
class Product:
    """``axis``: that of the weights along which output channels lie, None for what is no matrix; ``groups`` of a
    ConvTranspose repeat it. ``bias`` has one value for each output channel. ``rank``: axes of the result, None when not
    known.
    """

    node: NodeProto
    weights: Array
    bias: Array | None
    axis: int | None
    groups: int
    rank: int | None

    @property
    def channels(self) -> int:
        """Output channels."""
        return 1 if self.axis is None else int(self.weights.shape[self.axis]) * self.groups

    @property
    def result_axis(self) -> int:
        """The axis of the result that the output channels are."""
        return 1 if self.node.op_type.startswith("Conv") else -1

    @property
    def takes_bias(self) -> bool:
        """Whether the operator has an operand for the bias."""
        return self.node.op_type != "MatMul"

    def then(self, scale: Array, offset: Array) -> Product | None:
        """The product whose result is this one's times ``scale`` plus ``offset``, of one value for each channel or one
        in all; None when there is none in float32.
        """
        if self.axis is None or (offset.any() and not self.takes_bias):
            return None
        scale = np.broadcast_to(scale, (self.channels,))
        bias = np.zeros(self.channels) if self.bias is None else self.bias.astype(np.float64)
        with np.errstate(over="ignore", invalid="ignore"):
            weights = (self.weights.astype(np.float64) * self._along_weights(scale)).astype(np.float32)
            shifted = (bias * scale + offset).astype(np.float32)
        if not (np.isfinite(weights).all() and np.isfinite(shifted).all()):
            return None
        return replace(self, weights=weights, bias=shifted if self.takes_bias else None)

    def _along_weights(self, values: Array) -> Array:
        """Values of the output channels, one for each row of weights."""
        assert self.axis is not None
        rank, rows = self.weights.ndim, self.weights.shape[0] // self.groups
        shape = [1] * rank
        shape[self.axis] = -1
        if self.groups == 1:
            return values.reshape(shape)
        parts = [np.repeat(part.reshape(shape), rows, axis=0) for part in np.split(values, self.groups)]
        return np.concatenate(parts)


def read_product(graph: FloatGraph, node: NodeProto) -> Product | None:
    """The node as a product of a computed tensor and constants; None when it is not one."""
    if node.op_type not in PRODUCTS or node.domain or len(node.input) < 2 or node.input[0] in graph.constants:
        return None
    weights = graph.array(node.input[WEIGHTS])
    if weights is None or weights.dtype != np.float32 or weights.size == 0 or weights.ndim < 1:
        return None
    axis, groups, rank = _layout(graph, node, weights)
    product = Product(node, weights, None, axis, groups, rank)
    if len(node.input) <= BIAS or not node.input[BIAS]:
        return product
    bias = graph.array(node.input[BIAS])
    if bias is None or bias.dtype != np.float32 or bias.size != max(bias.shape[-1:], default=1):
        return None
    if bias.size not in (1, product.channels):
        return None
    return replace(product, bias=np.broadcast_to(bias.reshape(-1), (product.channels,)))


def _layout(graph: FloatGraph, node: NodeProto, weights: Array) -> tuple[int | None, int, int | None]:
    """The axis of the output channels, groups that repeat it, and the rank of the result."""
    if node.op_type == "Conv":
        return 0, 1, weights.ndim
    if node.op_type == "ConvTranspose":
        return 1, int(attribute(node, "group", 1)), weights.ndim
    if node.op_type == "Gemm":
        return (0 if attribute(node, "transB", 0) else 1), 1, 2
    shape = graph.shape(node.output[0])
    # ONNX Runtime refuses a batch of matrices with a scale for each column.
    return (1 if weights.ndim == 2 else None), 1, None if shape is None else len(shape)


def per_channel(constant: Array, rank: int, axis: int, channels: int) -> Array | None:
    """A constant that has one value for each channel of a tensor, or one in all, as a vector; None for others."""
    if constant.ndim > rank:
        return None
    shape = (1,) * (rank - constant.ndim) + constant.shape
    axis %= rank
    if any(size != 1 for index, size in enumerate(shape) if index != axis) or shape[axis] not in (1, channels):
        return None
    return constant.reshape(-1)
