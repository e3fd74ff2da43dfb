"""DFG passes: quantization moves from ops into types, and every quantized unit becomes one integer op.

Quantization commutes with operators that only move elements, and with clamping. So a ``quantize`` op is absorbed by
walking up from it: through moves, through chains of functions, to a core whose operands are dequantized integers.
What cannot be absorbed stays float and keeps the reason.
"""

from __future__ import annotations

from dataclasses import replace
from math import inf

import numpy as np

from furiosa.compiler.frontend.node import Affine
from furiosa.compiler.graph import Array, Graph, Op, Quant, Reason, TensorType, const, rebuild, with_inputs
from furiosa.compiler.ops import BY_ONNX, OPS, OpDef, functions
from furiosa.compiler.ops.functions import Chain, Function
from furiosa.compiler.ops.layout import affine
from furiosa.compiler.ops.table import Refusal, Unit, integer_range, refuse
from furiosa.isa import arithmetic
from furiosa.isa.dtypes import DType

_MAX_DEPTH = 32
_QUANTIZE_HINT = "quantize the operator's inputs and its result (QDQ form)"


def absorb_quantization(graph: Graph) -> Graph:
    """Q(op(DQ(x), ...)) becomes one integer op; what cannot keeps its float form, with the reason."""
    reasons: dict[str, Reason] = {}

    def change(op: Op, inputs: tuple[Op, ...]) -> Op:
        op = with_inputs(op, inputs)
        if op.kind == "dequantize":
            return _sink_dequantize(op)
        if op.kind != "quantize" or not op.type.dtype.quantized or op.attrs.quant.axis is not None:
            return _raise_dequantize(op) or op
        try:
            return _Absorber(op).absorb(op.inputs[0], (), 0)
        except Refusal as refusal:
            culprit = getattr(refusal, "node", None) or op.inputs[0].node
            reasons.setdefault(culprit, refusal.reason)
            return op

    graph = rebuild(graph, change)
    return rebuild(graph, lambda op, inputs: _with_reason(with_inputs(op, inputs), reasons))


def _with_reason(op: Op, reasons: dict[str, Reason]) -> Op:
    return replace(op, cpu=reasons[op.node]) if op.kind == "onnx" and op.node in reasons else op


def _sink_dequantize(op: Op) -> Op:
    """A dequantized constant keeps its integers, with the quantization in the type; float readers get it folded."""
    x = op.inputs[0]
    if x.kind == "const" and x.type.quant is None:
        typed = replace(x, name=f"{op.name}:integers", type=replace(x.type, quant=op.attrs.quant))
        return replace(op, inputs=(typed,))
    return op


def _raise_dequantize(op: Op) -> Op | None:
    """move(DQ(x)) is DQ(move(x)): elements that only move need no float form, even when nothing quantizes them again."""
    if op.kind != "onnx" or len(op.inputs) < 1 or op.type.dtype is not DType.F32:
        return None
    row = BY_ONNX.get(op.attrs.op_type)
    x = op.inputs[0]
    if row is None or row.name not in ("reshape", "transpose") or x.kind != "dequantize" or x.inputs[0].kind == "const":
        return None
    if not x.type.dtype.quantized and (x.attrs.quant.axis is not None or not x.inputs[0].type.dtype.quantized):
        return None
    quantized = Op("quantize", (op,), x.attrs, replace(op.type, dtype=x.inputs[0].type.dtype, quant=x.attrs.quant),
                   f"{op.name}:integers", op.node)  # fmt: skip
    try:
        moved = _Absorber(quantized).absorb(op, (), 0)
    except Refusal:
        return None
    return replace(x, inputs=(moved,), type=op.type, name=op.name)


class _Absorber:
    """Builds the integer ops for one ``quantize`` op."""

    def __init__(self, quantize: Op) -> None:
        self.quantize = quantize
        self.to = quantize.type
        self.count = 0

    def absorb(self, x: Op, chain: tuple[Function, ...], depth: int) -> Op:
        """The integer op whose value is quantize(chain(x)); ``x`` is float. Raises Refusal when there is none."""
        functions_found: list[Function] = []
        sources: list[tuple[str, str]] = []
        while x.kind == "onnx" and len(functions_found) < 10_000:
            function = functions.read(x.attrs, x.inputs)
            if function is None:
                break
            functions_found.append(function)
            sources.append((x.node, x.attrs.op_type))
            x = x.inputs[0]
        chain = tuple(reversed(functions_found)) + chain
        if depth > _MAX_DEPTH:
            raise refuse("depth", "too many unquantized operators in a row", f"more than {depth}", _MAX_DEPTH)
        done = self._leaf(x, chain) if x.kind in ("dequantize", "const") else self._core(x, chain, depth)
        return replace(done, sources=done.sources + tuple(reversed(sources))) if sources else done

    def _name(self) -> str:
        self.count += 1
        return self.quantize.name if self.count == 1 else f"{self.quantize.name}:{self.count}"

    def _leaf(self, x: Op, chain: tuple[Function, ...]) -> Op:
        if x.kind == "const":
            values = functions.evaluate(chain, x.value.astype(np.float32))
            return const(self._name(), arithmetic.quantize(values, *affine(self.to)), self.to.quant)
        integers = operand(x)
        if integers.kind == "const":
            return self._leaf(const(x.name, real_values(integers)), chain)
        if not chain and (integers.type.quant, integers.type.dtype) == (self.to.quant, self.to.dtype):
            return integers
        kind = replace(self.to, shape=integers.type.shape)
        op = Op("function", (integers,), Chain(chain), kind, self._name(), self.quantize.node or x.node)
        return _checked(OPS["function"], op)

    def _core(self, x: Op, chain: tuple[Function, ...], depth: int) -> Op:
        row = BY_ONNX.get(x.attrs.op_type) if x.kind == "onnx" and x.attrs.domain == "" else None
        if row is None:
            what = x.attrs.op_type if x.kind == "onnx" else x.kind
            raise _at(x, refuse("no_lowering", f"`{what}` has no NPU lowering"))
        try:
            return self._move(row, x, chain, depth) if row.moves_data else self._compute(row, x, chain)
        except Refusal as refusal:
            raise _at(x, refusal) from None

    def _move(self, row: OpDef, x: Op, chain: tuple[Function, ...], depth: int) -> Op:
        """quantize(chain(move(x))) = move(quantize(chain(x)))."""
        name = self._name()
        if chain and row.name in ("max_pool2d", "pad") and functions.clamp(chain, self.to, -128, 255) is None:
            raise refuse("activation", "only Relu and Clip may follow this operator unquantized", chain[0][0])
        data = len(x.inputs) if row.name == "concat" else 1
        moved = tuple(self.absorb(v, chain, depth + 1) for v in x.inputs[:data])
        if moved[0].kind == "const" and row.name in ("reshape", "transpose"):
            return _moved_constant(moved[0], x, name)
        rest = tuple(None if v.kind == "absent" else v for v in x.inputs[data:])
        if row.name == "pad" and chain:
            raise refuse("activation", "a function after Pad needs a quantization in between", chain[0][0])
        lo, hi = integer_range(self.to.dtype)
        unit = Unit(x.attrs, moved + rest, replace(self.to, shape=x.type.shape), name, lo, hi)
        return _checked(row, row.build(unit))

    def _compute(self, row: OpDef, x: Op, chain: tuple[Function, ...]) -> Op:
        whole = integer_range(self.to.dtype)
        bounds = functions.clamp(chain, self.to, *whole)
        if bounds is None:
            raise refuse("activation", "a function after this operator needs a quantization in between",
                         chain[0][0], "Relu or Clip", _QUANTIZE_HINT)  # fmt: skip
        inputs, summed, sources = x.inputs, None, ()
        if row.name in ("average_pool2d", "global_average_pool"):
            inputs, summed, sources = _summands(x)
        unit = Unit(
            x.attrs, tuple(None if v.kind == "absent" else operand(v) for v in inputs),
            replace(self.to, shape=x.type.shape), self._name(), *bounds, clamped=bounds != whole, summed=summed,
        )  # fmt: skip
        op = row.build(unit)
        return _checked(row, replace(op, sources=sources + op.sources))


def _summands(pool: Op) -> tuple[tuple[Op, ...], float | None, tuple[tuple[str, str], ...]]:
    """The two operands when a mean is over relu(a + b) or a + b of dequantized tensors, and the floor; else its input."""
    x, floor, sources = pool.inputs[0], -inf, []
    if x.kind == "onnx" and x.attrs.op_type == "Relu":
        sources.append((x.node, "Relu"))
        x, floor = x.inputs[0], 0.0
    if x.kind == "onnx" and x.attrs.op_type in ("Add", "Sum") and len(x.inputs) == 2:
        sources.append((x.node, x.attrs.op_type))
        return x.inputs, floor, tuple(reversed(sources))
    return pool.inputs, None, ()


def _moved_constant(moved: Op, x: Op, name: str) -> Op:
    """A Reshape or Transpose of quantized weights, done now."""
    value = moved.value
    if x.attrs.op_type == "Transpose":
        value = value.transpose(x.attrs.ints("perm") or None)
    return const(name, value.reshape(x.type.shape), moved.type.quant)


def _checked(row: OpDef, op: Op) -> Op:
    """The op when the row's rules hold. Raises Refusal with the broken rule."""
    reason = row.why_not(op)
    if reason is not None:
        raise Refusal(reason)
    return op


def _at(x: Op, refusal: Refusal) -> Refusal:
    """The refusal, blamed on the first operator that raised it."""
    if not hasattr(refusal, "node"):
        refusal.node = x.node  # type: ignore[attr-defined]
    return refusal


def operand(x: Op) -> Op:
    """The integers behind a float operand: what a ``dequantize`` reads, typed with its quantization; constants as they are."""
    if x.kind != "dequantize":
        return x
    integers, quant = x.inputs[0], x.attrs.quant
    if integers.type.quant == quant:
        return integers
    if integers.type.quant is None and integers.kind in ("const", "input"):
        return replace(integers, type=replace(integers.type, quant=quant))
    raise refuse("mixed_quantization", "a tensor is dequantized with other parameters than it was quantized with",
                 f"`{integers.name}`", hint="quantize the model again")  # fmt: skip


def real_values(op: Op) -> Array:
    """The float32 values of a quantized constant."""
    quant: Quant = op.type.quant or Quant((1.0,), (0,))
    shape = [1] * len(op.type.shape)
    if quant.axis is not None:
        shape[quant.axis] = -1
    zero = np.asarray(quant.zero_point, np.int64).reshape(shape) if quant.axis is not None else quant.zero_point[0]
    scale = np.asarray(quant.scale, np.float32).reshape(shape) if quant.axis is not None else np.float32(quant.scale[0])
    return np.asarray((op.value.astype(np.int64) - zero).astype(np.float32) * scale)


def type_inputs(graph: Graph) -> Graph:
    """An int8 or uint8 input of the model gets the quantization that its first DequantizeLinear gives it."""
    quants: dict[str, Quant] = {}
    for op in graph:
        if op.kind == "dequantize" and op.inputs[0].kind == "input":
            quants.setdefault(op.inputs[0].name, op.attrs.quant)

    def change(op: Op, inputs: tuple[Op, ...]) -> Op:
        if op.kind == "input" and op.name in quants:
            return replace(op, type=replace(op.type, quant=quants[op.name]))
        return with_inputs(op, inputs)

    return rebuild(graph, change)


def store_unsigned(graph: Graph) -> Graph:
    """An int8 tensor with one reader is stored as uint8, zero point + 128, as ONNX Runtime does on x86.

    The values it stands for are the same; element-wise sums and means round by the stored integers.
    """
    uses: dict[Op, int] = {}
    for op in graph:
        for x in op.inputs:
            uses[x] = uses.get(x, 0) + 1
    shifted: set[str] = set()

    def change(op: Op, inputs: tuple[Op, ...]) -> Op:
        if op.kind == "dequantize" and inputs[0].name in shifted:
            return replace(op, inputs=inputs, attrs=replace(op.attrs, quant=inputs[0].type.quant))
        inner = op.kind in OPS or op.kind == "quantize"
        if not inner or op.type.dtype is not DType.I8 or uses.get(op) != 1 or op in graph.outputs:
            return with_inputs(op, inputs)
        shifted.add(op.name)
        quant = Quant(op.type.per_tensor().scale, (op.type.zero + 128,))
        bounds = {"lo": op.attrs.lo + 128, "hi": op.attrs.hi + 128} if hasattr(op.attrs, "lo") else {}
        attrs = Affine(quant) if op.kind == "quantize" else replace(op.attrs, **bounds)
        return replace(op, inputs=inputs, attrs=attrs, type=TensorType(op.type.shape, DType.U8, quant))

    return rebuild(graph, change)
