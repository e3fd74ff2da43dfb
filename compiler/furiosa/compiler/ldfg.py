"""LDFG passes: from the model's operators to the NPU's, with explicit changes of layout at the borders."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from furiosa.compiler.alternatives import alternative
from furiosa.compiler.frontend.node import OnnxNode
from furiosa.compiler.functions_of_one import pair_of_functions, table_of_table
from furiosa.compiler.graph import Attrs, Graph, Op, Reason, TensorType, const, rebuild, rewrite, with_inputs
from furiosa.compiler.lowlevel import KINDS
from furiosa.compiler.moves import Moves
from furiosa.compiler.normalizations import normalizations
from furiosa.compiler.ops import BY_ONNX, OPS
from furiosa.compiler.ops.layout import TO_NCHW, TO_NHWC, nhwc, transpose, view
from furiosa.compiler.ops.table import QUANTIZE

_MOVES = ("npu.view", "npu.transpose")
_AFFINE = ("QuantizeLinear", "DequantizeLinear")
_LONGEST_ROW = 16
_QUANTIZE_SOFTMAX = (
    "quantize its operand and its result (QDQ form); `furiosa quantize` leaves it in float32 where no result reaches "
    "0.5, as most of the 256 steps between 0 and 1 would be unused: give `furiosa.quantizer.quantize` the range (0, 1) "
    "of its result to have it in int8 nevertheless"
)
HOST_KINDS = ("quantize", "dequantize", "lower", "unlower", "widen", "narrow")


def split(graph: Graph) -> Graph:
    """Settle where every op runs: those of the operator table on the NPU, the others on the CPU with the reason."""
    together = normalizations(graph)

    def change(op: Op, inputs: tuple[Op, ...]) -> Op:
        new = with_inputs(op, inputs)
        return replace(new, cpu=together.get(op) or op.cpu or _reason(new)) if op.kind == "onnx" else new

    return rebuild(graph, change)


def _reason(op: Op) -> Reason:
    """Why a node that nobody tried to absorb is on the CPU."""
    node: OnnxNode = op.attrs
    unknown = next((x for x in op.inputs if x.kind != "const" and not x.type.static), None)
    if unknown is not None and (node.op_type in BY_ONNX or node.op_type in _AFFINE) and not node.domain:
        return Reason("static_shape", "shapes on the NPU must be known when the model is compiled",
                      unknown.type.form or str(unknown.type.shape), "static",
                      "compute shapes from constants, or keep this part on the CPU")  # fmt: skip
    if node.op_type in _AFFINE and not node.domain:
        integers = op if node.op_type == "QuantizeLinear" else op.inputs[0]
        return Reason("no_lowering", "only per-tensor int8 and uint8 quantization with constant parameters is "
                      "accelerated", _kind(integers), "int8 or uint8", "quantize the model anew")  # fmt: skip
    if node.domain or node.op_type not in BY_ONNX:
        return Reason("no_lowering", f"`{node.op_type}` has no NPU lowering", node.op_type,
                      "the operators of the table", alternative(node.op_type))  # fmt: skip
    stored = [x.inputs[0] for x in op.inputs if x.kind == "dequantize"]
    wide = next((x for x in stored if x.kind != "const" and not x.type.dtype.quantized), None)
    if wide is not None:
        return Reason("not_quantized", "the inputs must be int8 or uint8 with one scale", _kind(wide), "int8 or uint8",
                      "quantize the model anew, with 8 bits")  # fmt: skip
    hint = _QUANTIZE_SOFTMAX if node.op_type == "Softmax" else QUANTIZE
    found = next((_kind(x) for x in op.inputs if x.kind not in ("dequantize", "const", "absent")), None)
    if found is None:
        return Reason("not_quantized", "the operator's result is not quantized", _kind(op), "int8 or uint8", hint)
    return Reason("not_quantized", "the operator is not quantized", found, "int8 or uint8", hint)


def _kind(op: Op) -> str:
    """The element type of a tensor, or the type of what is none."""
    return op.type.form or op.type.dtype.numpy_name


def lower(graph: Graph) -> Graph:
    """Every op of the operator table in the NPU's form; ``lower`` and ``unlower`` where a tensor changes sides."""
    host: dict[Op, Op] = {}
    npu: dict[Op, Op] = {}

    def on_host(op: Op) -> Op:
        if op not in host:
            type_ = TensorType(op.type.shape, op.type.dtype, op.type.quant)
            host[op] = Op("unlower", (npu[op],), Attrs(), type_, f"{op.name}:unlowered", op.node)
        return host[op]

    def on_npu(op: Op) -> Op:
        if op.kind == "const":
            return op
        if op not in npu:
            type_ = TensorType(nhwc(op.type.shape), op.type.dtype, op.type.quant)
            npu[op] = Op("lower", (host[op],), Attrs(), type_, f"{op.name}:lowered", op.node)
        return npu[op]

    for op in graph:
        if op.kind in OPS:
            npu[op] = OPS[op.kind].lower(op, tuple(on_npu(x) for x in op.inputs))
        else:
            inputs = tuple(on_host(x) for x in op.inputs)
            host[op] = op if inputs == op.inputs else replace(op, inputs=inputs)
    return replace(
        graph,
        inputs=tuple(host.get(op, op) for op in graph.inputs),
        outputs=tuple(on_host(op) for op in graph.outputs),
    )


def optimize(graph: Graph) -> Graph:
    """Local clean-ups that never change a value."""
    return rewrite(
        graph, moves_of_lower, moves_of_moves, view_of_view, product_of_flattened, table_of_table, pair_of_functions
    )


def moves_of_lower(op: Op) -> Op | None:
    """views and transposes that undo ``lower`` leave nothing to move: the bytes as they come, seen with a shape"""
    row = [op]
    while row[-1].kind in _MOVES and len(row) < _LONGEST_ROW:
        row.append(row[-1].inputs[0])
    lowered = row.pop()
    if lowered.kind != "lower" or not any(x.kind == "npu.transpose" for x in row):
        return None
    n, h, w, c = lowered.type.shape
    moves = Moves.of((n, c, h, w))
    moves.transpose((n, c, h, w), TO_NHWC)
    for x in reversed(row):
        if x.kind == "npu.transpose" and not moves.transpose(x.inputs[0].type.shape, x.attrs.perm):
            return None
    if len(moves.permutation()[0]) > 1:
        return None
    type_ = replace(lowered.type, shape=(1, 1, 1, lowered.type.size))
    return view(replace(lowered, type=type_, name=f"{op.name}:given"), op.type.shape, op)  # type: ignore[arg-type]


def moves_of_moves(op: Op) -> Op | None:
    """any row of views and transposes is one view, one transpose and one view, or less"""
    row = [op]
    while row[-1].inputs and row[-1].inputs[0].kind in _MOVES and len(row) < _LONGEST_ROW:
        row.append(row[-1].inputs[0])
    if op.kind not in _MOVES or sum(x.kind == "npu.transpose" for x in row) < 2:
        return None
    source = row[-1].inputs[0]
    moves = Moves.of(source.type.shape)
    for x in reversed(row):
        if x.kind == "npu.transpose" and not moves.transpose(x.inputs[0].type.shape, x.attrs.perm):
            return None
    shape, perm = moves.permutation()
    if len(shape) > 4:
        return None
    more = 4 - len(shape)
    order = tuple(range(more)) + tuple(p + more for p in perm)
    before = view(source, (1,) * more + shape, op, ":seen")  # type: ignore[arg-type]  # four axes
    turned = transpose(before, order, op, ":turned")  # type: ignore[arg-type]  # four axes
    return view(turned, op.type.shape, op)  # type: ignore[arg-type]  # four axes


def view_of_view(op: Op) -> Op | None:
    """view(view(x)) is one view; x itself when the shape is the same again"""
    if op.kind != "npu.view":
        return None
    if op.inputs[0].type.shape == op.type.shape:
        return op.inputs[0]
    return replace(op, inputs=op.inputs[0].inputs) if op.inputs[0].kind == "npu.view" else None


def product_of_flattened(op: Op) -> Op | None:
    """product(view(transpose(x))) of a flattened image is product(view(x)) with the weights in the image's order"""
    match op:
        case Op(kind="npu.conv2d", inputs=(Op(kind="npu.view", inputs=(Op(kind="npu.transpose") as turn,)) as flat,
                                           w, *_)):  # fmt: skip
            pass
        case _:
            return None
    image = turn.inputs[0]
    n, h, wide, c = image.type.shape
    whole = flat.type.shape == (n, 1, 1, h * wide * c)
    if not whole or turn.attrs.perm != TO_NCHW or op.attrs.kernel != (1, 1) or op.attrs.groups != 1:
        return None
    outputs = w.type.shape[0]
    ordered = w.value.reshape(outputs, c, h, wide).transpose(0, 2, 3, 1).reshape(w.type.shape)
    weights = const(w.name, np.ascontiguousarray(ordered), node=w.node)
    seen = replace(flat, inputs=(image,), name=f"{op.name}:flat")  # others may read the transposed one, by its name
    return replace(op, inputs=(seen, weights, *op.inputs[2:]))


def placed(op: Op) -> str | None:
    """every op is the NPU's, a layout op of the host, or the CPU's with a reason"""
    known = op.kind in KINDS or op.kind in (*HOST_KINDS, "input", "const", "absent", "project")
    return None if known or (op.kind == "onnx" and op.cpu) else f"`{op.name}` is `{op.kind}` without a reason"
