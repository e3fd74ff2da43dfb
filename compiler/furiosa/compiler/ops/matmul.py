"""Matrix products: with constant weights, and of two computed tensors."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from furiosa.compiler import lowlevel
from furiosa.compiler.graph import Attrs, Op, const
from furiosa.compiler.lowlevel import Four
from furiosa.compiler.ops import nine_bits
from furiosa.compiler.ops.conv import (
    PARITY,
    in_float32,
    is_wide,
    one_zero_point,
    output_channel_scales,
    parameters,
    products,
    quantized_bias,
    quantized_weights,
    weights_zero,
)
from furiosa.compiler.ops.layout import TO_NCHW, TO_NHWC, low, nchw, nhwc, transpose, view
from furiosa.compiler.ops.table import OpDef, Unit, four_axes, refuse, rule
from furiosa.isa.arithmetic import multiplier

_MOST = 1 << 15


@dataclass(frozen=True, slots=True)
class MatMul(Attrs):
    """Of ``matmul``: y = x @ w.T * alpha + bias over the last axis of x, clamped to [lo, hi]; w is const i8 [M, K].

    ``in_float32`` as in Conv; ``turned``: x has two axes and is transposed first.
    """

    lo: int
    hi: int
    in_float32: bool
    alpha: float = 1.0
    turned: bool = False


@dataclass(frozen=True, slots=True)
class Product(Attrs):
    """Of ``product``: y = a @ b, clamped to [lo, hi]. ``in_float32``: ONNX Runtime computes it so (see PARITY)."""

    lo: int
    hi: int
    in_float32: bool


@rule(_MOST, "split the product along the axis that it sums over")
def products_of_two(op: Op) -> str | None:
    """an output must be the sum of at most 32768 products of two computed values"""
    count = op.inputs[0].type.shape[-1]
    return f"{count}" if count > _MOST else None


def build_matmul(unit: Unit) -> Op:
    """A Gemm or MatMul with constant int8 weights; a MatMul of two computed tensors."""
    second = unit.inputs[1]
    if unit.node.op_type == "MatMul" and second is not None and second.kind != "const":
        return build_product(unit)
    x, weights = unit.x(), quantized_weights(unit)
    wide = is_wide(unit, weights)
    if weights.type.size == 0 or len(weights.type.shape) != 2:
        raise refuse("weights_rank", "the weights of a matrix product must have two axes",
                     len(weights.type.shape), 2, "split the operator, or flatten the weights")  # fmt: skip
    node, gemm = unit.node, unit.node.op_type == "Gemm"
    alpha, beta = (node.float("alpha", 1.0), node.float("beta", 1.0)) if gemm else (1.0, 1.0)
    if not gemm or not node.int("transB", 0):
        quant = weights.type.quant
        if quant is not None and quant.axis is not None:
            quant = replace(quant, axis=1 - quant.axis)
        weights = const(f"{weights.name}:transposed", weights.value.T, quant)
    turned = gemm and bool(node.int("transA", 0))
    if wide:
        x, weights = nine_bits.twice(x, 0 if turned else -1, unit.name, node.name), nine_bits.halves(weights, 1)
    bias = quantized_bias(unit, 2, x, weights, weights.type.shape[0], alpha, beta)
    integer = gemm or unit.constant(2) is not None
    attrs = MatMul(unit.lo, unit.hi, in_float32(unit, integer and beta == 1.0), alpha, turned)
    return unit.op("matmul", (x, weights, bias), attrs)


def lower_matmul(op: Op, inputs: tuple[Op, ...]) -> Op:
    """A 1x1 convolution; the reduced axis, which is the last, must lie where the channels are."""
    x, weights, bias = inputs[0], op.inputs[1], op.inputs[2]
    rank = len(op.type.shape)
    packed = weights.value[:, None, None, :]
    attrs = lowlevel.Conv((1, 1), (1, 1), (1, 1), (0, 0, 0, 0), 1, op.attrs.lo, op.attrs.hi, weights_zero(weights))
    constants = parameters(op, packed, weights, bias, op.attrs.alpha)
    if rank <= 2:
        x = transpose(x, (3, 1, 2, 0), op, ":turned") if op.attrs.turned else x
        return low("conv2d", (x, *constants), attrs, nhwc(op.type.shape), op)
    turned = transpose(x, (0, 1, 3, 2), op, ":rows")
    n, h, s, _ = turned.type.shape
    rows = low("conv2d", (turned, *constants), attrs, (n, h, s, weights.type.shape[0]), op, ":product")
    return transpose(rows, (0, 1, 3, 2), op, "")


def build_product(unit: Unit) -> Op:
    """A MatMul of two tensors, each of at least two axes."""
    a, b = unit.x(0), unit.x(1)
    fewest = min(len(a.type.shape), len(b.type.shape))
    if fewest < 2:
        raise refuse("matrices", "the operands of a product of two computed tensors must be matrices", f"{fewest} axis",
                     "2 axes or more", "add an axis with Unsqueeze")  # fmt: skip
    if len(unit.inputs) > 2:
        raise refuse("bias", "a product of two computed tensors has no bias", "a bias", "none",
                     "quantize the product before the Add")  # fmt: skip
    return unit.op("product", (a, b), Product(unit.lo, unit.hi, in_float32(unit)))


def lower_product(op: Op, inputs: tuple[Op, ...]) -> Op:
    """Matrices lie row by row, their columns where channels are."""
    a, b = (_matrices(inputs[i], op, i) for i in (0, 1))
    n, h, w, c = (1,) * (4 - len(op.type.shape)) + op.type.shape
    scales = (op.inputs[0].type.scale, op.inputs[1].type.scale, op.type.scale)
    factor = scales[0] * scales[1] / scales[2] if op.attrs.in_float32 else multiplier(*scales)[0]
    attrs = lowlevel.MatMul(float(np.float32(factor)), op.attrs.lo, op.attrs.hi)
    y = low("matmul", (a, b), attrs, (n, h, w, c), op, ":product")
    return transpose(view(y, nchw(op.type.shape), op, ":flat"), TO_NHWC, op, "")


def _matrices(new: Op, op: Op, index: int) -> Op:
    """An operand on four axes, the last two those of its matrices."""
    old = op.inputs[index]
    n, h, w, c = (1,) * (4 - len(old.type.shape)) + old.type.shape
    shape: Four = (n, h, w, c)
    if old.kind == "const":
        return const(f"{op.name}:operand{index}", old.value.reshape(shape), old.type.quant, old.node)
    return view(transpose(new, TO_NCHW, op, f":operand{index}:flat"), shape, op, f":operand{index}")


matmul = OpDef(
    name="matmul", onnx=("Gemm", "MatMul"), build=build_matmul, lower=lower_matmul, parity=PARITY,
    rules=(four_axes, products, one_zero_point, output_channel_scales),
)  # fmt: skip
product = OpDef(
    name="product", onnx=("MatMul",), build=build_product, lower=lower_product, parity=PARITY,
    rules=(four_axes, products_of_two),
)  # fmt: skip
ROWS = (matmul, product)
