"""TFLite files as a graph: the NPU's operators where they suit, ONNX nodes with the reason for the rest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from furiosa.compiler.alternatives import alternative
from furiosa.compiler.frontend.permutation import permutations
from furiosa.compiler.frontend.tflite import convolutions, elementwise, moves, resizes
from furiosa.compiler.frontend.tflite.dilation import fold_dilations
from furiosa.compiler.frontend.tflite.live import live
from furiosa.compiler.frontend.tflite.model import Operator, read
from furiosa.compiler.frontend.tflite.refused import stateful, unsupported
from furiosa.compiler.frontend.tflite.shapes import settled
from furiosa.compiler.frontend.tflite.site import Importer, Site
from furiosa.compiler.graph import Attrs, Graph, Op, Reason
from furiosa.compiler.ops.table import FOLD, Refusal
from furiosa.isa.errors import FuriosaError

_INCONSISTENT = (ValueError, TypeError, LookupError, ArithmeticError, MemoryError)
NPU: dict[str, Callable[[Site], None]] = {
    "ADD": elementwise.binary,
    "AVERAGE_POOL_2D": elementwise.pool,
    "BATCH_MATMUL": convolutions.batch_matmul,
    "CONV_2D": convolutions.conv_2d,
    "DEPTHWISE_CONV_2D": convolutions.depthwise_conv_2d,
    "DEQUANTIZE": moves.dequantize,
    "FULLY_CONNECTED": convolutions.fully_connected,
    "MAX_POOL_2D": elementwise.pool,
    "MEAN": elementwise.mean,
    "MUL": elementwise.binary,
    "QUANTIZE": moves.quantize,
    "SOFTMAX": elementwise.softmax,
    "PRELU": elementwise.prelu,
    "SUB": elementwise.binary,
    "SUM": elementwise.mean,
    "TRANSPOSE_CONV": convolutions.transpose_conv,
    **elementwise.FUNCTIONS,
    **moves.MOVES,
    **resizes.RESIZES,
}
"""The operators that the NPU has, each with what writes it as ops of the operator table."""


def import_tflite(
    data: bytes, where: str, batch_size: int = 1, permute: Sequence[object] | None = None
) -> Graph:  # fmt: skip
    """The model's graph with the first axis of every input multiplied by ``batch_size``.

    ``where`` names the file in errors, ``permute`` is the compiler option ``permute_input``. Raises ModelError for a
    damaged, inconsistent or dynamic model, UnsupportedError for a valid one that cannot be handled, and OptionError for
    ``permute``.
    """
    model = live(fold_dilations(settled(read(data, where))))
    importer = Importer(model, where, batch_size, _move_float)
    ranks = {model.tensors[index].name: len(model.tensors[index].shape) for index in model.inputs}
    axes = permutations(permute, ranks)
    inputs = tuple(_input(importer, index, axes.get(model.tensors[index].name, ())) for index in model.inputs)
    for operator in model.operators:
        _add(importer, operator)
    outputs = tuple(_output(importer, index, number) for number, index in enumerate(model.outputs))
    return Graph(model.name, inputs, outputs, tuple(op.name for op in outputs), batch_size, "tflite")


def _input(importer: Importer, index: int, axes: tuple[int, ...]) -> Op:
    """The graph's input as users give it; the model's tensor is made of it where ``axes`` differ from the model's."""
    tensor, type_ = importer.model.tensors[index], importer.type_of(index)
    if axes == tuple(range(len(axes))):
        importer.given[index] = Op("input", (), Attrs(), type_, tensor.name)
        return importer.given[index]
    shape = tuple(type_.shape[axis] for axis in axes)
    given = Op("input", (), Attrs(), replace(type_, shape=shape), tensor.name)
    order = tuple(int(axis) for axis in np.argsort(axes))
    importer.given[index] = importer.transposed(given, order, f"{tensor.name}:permuted")
    return given


def _add(importer: Importer, operator: Operator) -> None:
    """The results of an operator: on the NPU when it has it, else on the CPU with the reason."""
    for index in operator.inputs:
        if index >= 0 and importer.model.tensors[index].variable:
            raise stateful(operator, importer.model.tensors[index].name, importer.where)
    site = Site(importer, operator)
    try:
        reason = _on_npu(site)
        if reason is not None:
            from furiosa.compiler.frontend.tflite.cpu.table import on_cpu

            on_cpu(site, reason)
    except FuriosaError:
        raise
    except Refusal as refusal:
        raise unsupported(operator, refusal.reason, importer.where) from None
    except _INCONSISTENT as error:  # what shapes and operands of a damaged file may hold is without end
        raise site.fault(f"{type(error).__name__}: {error}") from error


def _on_npu(site: Site) -> Reason | None:
    """Settle the operator's results on the NPU; the reason when that has no such operator."""
    code = site.operator.code
    if code not in NPU or site.operator.custom is not None:
        return Reason("no_lowering", f"`{code}` has no NPU lowering", code, "the operators of the table",
                      alternative(code))  # fmt: skip
    if all(index < 0 or site.importer.model.tensors[index].data is not None for index in site.operator.inputs):
        return Reason("constant_operands", "at least one operand must be computed", "only constants", "one computed",
                      FOLD)  # fmt: skip
    try:
        NPU[code](site)
    except Refusal as refusal:
        return refusal.reason
    return None


def _output(importer: Importer, index: int, number: int) -> Op:
    """The op of a result in TFLite's order; what is an input or a constant as well gets an op of its own."""
    op = importer.value(index, images=False)
    if op.kind in ("input", "const") or index in importer.model.outputs[:number]:
        from furiosa.compiler.frontend.tflite.cpu.nodes import copy_of

        return copy_of(op, f"{op.name}:output{number}")
    return op


def _move_float(op: Op, perm: tuple[int, ...], name: str) -> Op:
    from furiosa.compiler.frontend.tflite.cpu.nodes import transposed

    return transposed(op, perm, name)
