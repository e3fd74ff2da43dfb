"""DFG passes: quantization moves from ops into types, and every quantized unit becomes one integer op.

Quantization commutes with operators that only move elements, and with clamping. So a ``quantize`` op is absorbed by
walking up from it: through moves, through chains of functions, to a core whose operands are dequantized integers.
What cannot be absorbed stays float and keeps the reason.
"""

from __future__ import annotations

from dataclasses import replace
from math import inf, prod

import numpy as np

from furiosa.compiler.alternatives import alternative
from furiosa.compiler.expression import Expression, expression
from furiosa.compiler.frontend.node import Affine
from furiosa.compiler.graph import Attrs, Graph, Op, Reason, const, real_values, rebuild, rewrite, with_inputs
from furiosa.compiler.ops import OPS, OpDef, functions, qlinear, row_of
from furiosa.compiler.ops.functions import Chain, Function
from furiosa.compiler.ops.layout import affine
from furiosa.compiler.ops.movement import padding_code
from furiosa.compiler.ops.table import QUANTIZE, Refusal, Unit, integer_range, refuse
from furiosa.compiler.quantization import moves_integers
from furiosa.compiler.written_norms import written_norm
from furiosa.isa import arithmetic
from furiosa.isa.dtypes import DType

_MAX_DEPTH = 32


def quantize_inputs(graph: Graph) -> Graph:
    """Inputs are quantized before they are transposed, so that the NPU can transpose them."""
    return rewrite(graph, quantize_of_transposed_input)


def quantize_of_transposed_input(op: Op) -> Op | None:
    """Q(transpose(input)) is transpose(Q(input))"""
    if op.kind != "quantize" or not op.type.dtype.quantized or op.attrs.quant.axis is not None:
        return None
    row = [op.inputs[0]]
    while row[-1].kind == "onnx" and row[-1].attrs.domain == "" and row[-1].attrs.op_type == "Transpose":
        row.append(row[-1].inputs[0])
    *moves, source = row
    if source.kind != "input" or not moves:
        return None
    x = replace(op, inputs=(source,), type=replace(op.type, shape=source.type.shape), name=f"{op.name}:input")
    for move in reversed(moves):
        type_ = replace(op.type, shape=move.type.shape)
        x = replace(move, inputs=(x,), type=type_, name=f"{op.name}:{move.name}")
    return replace(x, name=op.name)


def absorb_quantization(graph: Graph) -> Graph:
    """Q(op(DQ(x), ...)) becomes one integer op; what cannot keeps its float form, with the reason."""
    reasons: dict[str, Reason] = {}
    several = {op.inputs[0].name for op in graph if op.kind == "project"}

    def change(op: Op, inputs: tuple[Op, ...]) -> Op:
        op = with_inputs(op, inputs)
        if op.kind == "dequantize":
            return _sink_dequantize(op)
        if op.name in several:
            return op
        try:
            if op.kind in ("onnx", "project"):
                integer = _integer_form(op)
                return _absorbed(op, integer) if integer is not None else _raise_dequantize(op) or op
            whole = op.kind == "quantize" and op.type.dtype.quantized and op.attrs.quant.axis is None
            return _Absorber(op).absorb(op.inputs[0], ()) if whole else op
        except Refusal as refusal:
            culprit = getattr(refusal, "node", None) or (op.inputs[0] if op.kind == "quantize" else op).node
            reasons.setdefault(culprit, refusal.reason)
            for follower in _between(op, culprit):
                reasons.setdefault(follower.node, _follows(culprit))
            return op

    graph = rebuild(graph, change)
    return rebuild(graph, lambda op, inputs: _with_reason(with_inputs(op, inputs), reasons))


def _follows(culprit: str) -> Reason:
    return Reason("follows", "an operator whose operand is not quantized runs where that operand is computed",
                  f"behind `{culprit}`", "int8 or uint8",
                  "see to that operator, or quantize what it gives")  # fmt: skip


def _between(op: Op, culprit: str) -> list[Op]:
    """The nodes from the culprit to a ``quantize``, when they only follow one another."""
    row: list[Op] = []
    while op.node != culprit and len(row) < _MAX_DEPTH:
        computed = [x for x in op.inputs if x.kind == "onnx"]
        if len(computed) != 1:
            return []
        row.append(op)
        (op,) = computed
    return row[1:]


def _with_reason(op: Op, reasons: dict[str, Reason]) -> Op:
    return replace(op, cpu=reasons[op.node]) if op.kind == "onnx" and op.node in reasons else op


def _integer_form(op: Op) -> Op | None:
    """The ``quantize`` op of a model's node that computes on integers; None for other nodes. Raises Refusal."""
    expanded = qlinear.expand(op) if op.kind == "onnx" else None
    if expanded is not None or not moves_integers(op) or op.type.quant is None:
        return expanded
    node = op.maker
    quant, inputs = op.type.per_tensor(), list(node.inputs)
    count = len(inputs) if node.attrs.op_type == "Concat" else 1
    if node.attrs.op_type == "Pad":
        raw_zero = const(f"{op.name}:zero", np.zeros((), op.type.dtype.numpy_name))
        value = inputs[2] if len(inputs) > 2 and inputs[2].kind != "absent" else raw_zero
        inputs[2:3] = [qlinear.dequantized(value, quant, f"{op.name}:value", op.node)]
    for i in range(count):
        inputs[i] = qlinear.dequantized(inputs[i], quant, f"{op.name}:operand{i}", op.node)
    return qlinear.quantized(op, node.attrs.op_type, tuple(inputs), quant)


def _absorbed(op: Op, integer: Op) -> Op:
    """The NPU's op for a node in its integer form; it stands for the node as the model has it. Raises Refusal."""
    done = _Absorber(integer, integer_kernel=True).absorb(integer.inputs[0], ())
    return replace(done, sources=op.maker.sources) if done.name == op.name else done


def _sink_dequantize(op: Op) -> Op:
    """A dequantized constant keeps its integers, with the quantization in the type; float readers get it folded."""
    x = op.inputs[0]
    if x.kind == "const" and x.type.quant is None:
        typed = replace(x, name=f"{op.name}:integers", type=replace(x.type, quant=op.attrs.quant))
        return replace(op, inputs=(typed,))
    return op


def _raise_dequantize(op: Op) -> Op | None:
    """move(DQ(x)) is DQ(move(x)): what only moves needs no float form, even when nothing quantizes it again."""
    node = op.maker
    row = row_of(node)
    if row is None or not row.moves_data or row.name == "concat" or op.type.dtype is not DType.F32:
        return None
    x = node.inputs[0]
    if x.kind != "dequantize" or x.inputs[0].type.quant != x.attrs.quant:
        return None
    if x.inputs[0].kind == "const" and row.name in ("reshape", "transpose"):
        moved = _moved_constant(x.inputs[0], op, f"{op.name}:integers")
        if moved is None or moved.type.quant is None:
            return None
        return Op("dequantize", (moved,), Affine(moved.type.quant), op.type, op.name, x.node)
    stored = replace(op.type, dtype=x.inputs[0].type.dtype, quant=x.attrs.quant)
    if not stored.dtype.quantized or x.attrs.quant.axis is not None:
        return None
    quantized = Op("quantize", (op,), x.attrs, stored, f"{op.name}:integers", op.node)
    try:
        moved = _Absorber(quantized).absorb(op, ())
    except Refusal:
        return None
    if moved.kind == "pad" and real_values(const("", np.array(padding_code(moved)), stored.quant)) != moved.attrs.value:
        return None
    return replace(x, inputs=(moved,), type=op.type, name=op.name)


class _Absorber:
    """Builds the integer ops for one ``quantize`` op.

    ``integer_kernel``: the model's node computes on integers itself.
    """

    def __init__(self, quantize: Op, integer_kernel: bool = False) -> None:
        self.quantize = quantize
        self.to = quantize.type
        self.integer_kernel = integer_kernel
        self.count = 0
        self.done: dict[tuple[Op, tuple[Function, ...]], Op] = {}

    def absorb(self, x: Op, chain: tuple[Function, ...], depth: int = 0) -> Op:
        """The integer op whose value is quantize(chain(x)); ``x`` is float. Raises Refusal when there is none."""
        if (x, chain) not in self.done:
            self.done[x, chain] = self._absorb(x, chain, depth)
        return self.done[x, chain]

    def _absorb(self, x: Op, chain: tuple[Function, ...], depth: int) -> Op:
        if not x.type.static:
            raise _at(x, refuse("static_shape", "shapes on the NPU must be known when the model is compiled",
                                x.type.form or x.type.shape, "static",
                                "compute shapes from constants, or keep this part on the CPU"))  # fmt: skip
        functions_found: list[Function] = []
        sources: list[tuple[str, str]] = []
        while x.kind == "onnx":
            found = _function(x)
            if found is None:
                break
            functions_found.append(found[0])
            sources.append((x.node, x.attrs.op_type))
            x = x.inputs[found[1]]
        chain = tuple(reversed(functions_found)) + chain
        if depth > _MAX_DEPTH:
            raise refuse("depth", "too many unquantized operators in a row", f"more than {depth}", _MAX_DEPTH,
                         QUANTIZE)  # fmt: skip
        if x.kind in ("dequantize", "const"):
            done = self._leaf(x, chain)
        else:
            whole = expression(x)
            done = self._core(x, chain, depth) if whole is None else self._table(whole, chain)
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
        if not integers.type.dtype.quantized or integers.type.quant is None or integers.type.quant.axis is not None:
            raise refuse("not_quantized", "the inputs must be int8 or uint8 with one scale",
                         integers.type.dtype.numpy_name, "int8 or uint8", QUANTIZE)  # fmt: skip
        kind = replace(self.to, shape=integers.type.shape)
        op = Op("function", (integers,), Chain(chain), kind, self._name(), self.quantize.node or x.node)
        return _checked(OPS["function"], op)

    def _table(self, whole: Expression, chain: tuple[Function, ...]) -> Op:
        entries = arithmetic.quantize(functions.evaluate(chain, whole.values), *affine(self.to))
        name, type_ = self._name(), replace(self.to, shape=whole.x.type.shape)
        inputs = (whole.x, const(f"{name}:entries", entries.view(np.uint8)))
        return Op("lookup", inputs, Attrs(), type_, name, whole.sources[-1][0], sources=whole.sources)

    def _core(self, x: Op, chain: tuple[Function, ...], depth: int) -> Op:
        node = x.maker
        row = row_of(node)
        if node.kind != "onnx":
            raise _at(x, refuse("not_quantized", "the inputs must be int8 or uint8 with one scale",
                                f"`{x.name}` is {x.type.dtype.numpy_name}", "int8 or uint8", QUANTIZE))  # fmt: skip
        if row is None:
            what = node.attrs.op_type
            raise _at(x, refuse("no_lowering", f"`{what}` has no NPU lowering", what, "the operators of the table",
                                alternative(what)))  # fmt: skip
        if x.kind == "project" and row.name != "split":
            raise _at(x, refuse("one_result", "of the operators with several results only Split is accelerated",
                                node.attrs.op_type, "one result", "leave the other results out"))  # fmt: skip
        try:
            return self._move(row, x, chain, depth) if row.moves_data else self._compute(row, x, chain)
        except Refusal as refusal:
            raise _at(x, refusal) from None

    def _move(self, row: OpDef, x: Op, chain: tuple[Function, ...], depth: int) -> Op:
        """quantize(chain(move(x))) = move(quantize(chain(x)))."""
        name = self._name()
        if chain and row.name in ("max_pool2d", "pad") and functions.clamp(chain, self.to, -128, 255) is None:
            raise refuse("activation", "only Relu and Clip may follow this operator unquantized", chain[0][0],
                         "Relu or Clip", QUANTIZE)  # fmt: skip
        node = x.maker
        data = len(node.inputs) if row.name == "concat" else 1
        moved = tuple(self.absorb(v, chain, depth + 1) for v in node.inputs[:data])
        whole = _moved_constant(moved[0], x, name) if row.name in ("reshape", "transpose") else None
        if whole is not None:
            return whole
        rest = tuple(None if v.kind == "absent" else operand(v) for v in node.inputs[data:])
        if row.name == "pad" and chain:
            raise refuse("activation", "a function after Pad needs a quantization in between", chain[0][0],
                         "none", QUANTIZE)  # fmt: skip
        lo, hi = integer_range(self.to.dtype)
        index = x.attrs.index if x.kind == "project" else 0
        unit = Unit(node.attrs, moved + rest, replace(self.to, shape=x.type.shape), name, lo, hi, index=index)
        return _checked(row, row.build(unit))

    def _compute(self, row: OpDef, x: Op, chain: tuple[Function, ...]) -> Op:
        whole = integer_range(self.to.dtype)
        bounds = functions.clamp(chain, self.to, *whole)
        if bounds is None:
            raise refuse("activation", "a function after this operator needs a quantization in between",
                         chain[0][0], "Relu or Clip", QUANTIZE)  # fmt: skip
        sources: tuple[tuple[str, str], ...] = ()
        node, inputs, summed = x.attrs, x.inputs, None
        if row.name in ("average_pool2d", "global_average_pool"):
            inputs, summed, sources = _summands(x)
        product = _biased_product(x) if row.name == "add" else None
        if product is not None:
            node, inputs, sources = product.attrs, product.inputs, x.sources
            row = OPS["matmul"]
        norm = written_norm(x)
        if norm is not None:
            inputs, sources = (norm.x,), norm.sources
        unit = Unit(
            node, tuple(None if v.kind == "absent" else operand(v) for v in inputs),
            replace(self.to, shape=x.type.shape), self._name(), *bounds, clamped=bounds != whole, summed=summed,
            integer_kernel=self.integer_kernel,
        )  # fmt: skip
        built = row.build(unit) if norm is None else norm.op(unit)
        op = _checked(OPS[built.kind], built)
        return replace(op, sources=op.sources + sources if product is not None else sources + op.sources)


def _function(x: Op) -> tuple[Function, int] | None:
    """The function that a node computes of one of its operands, and of which; not of a shape of its own."""
    found = functions.read(x.attrs, x.inputs)
    if found is None or x.inputs[found[1]].type.shape != x.type.shape:
        return None
    of = x.inputs[found[1]]
    bias = x.attrs.op_type == "Add" and of.kind == "onnx" and of.attrs.op_type == "MatMul"
    return None if bias else found


def _biased_product(add: Op) -> Op | None:
    """The MatMul with a third operand, the bias, when ``add`` adds a constant row to an unquantized MatMul."""
    for product, bias in (add.inputs, add.inputs[::-1]) if len(add.inputs) == 2 else ():
        plain = product.kind == "onnx" and product.attrs.op_type == "MatMul" and product.attrs.domain == ""
        if not plain or add.type.shape != product.type.shape or operand(bias).kind != "const":
            continue
        if bias.type.size in (1, add.type.shape[-1]) and bias.type.shape[-1:] in ((), (1,), add.type.shape[-1:]):
            return replace(product, inputs=(*product.inputs, bias))
    return None


def _summands(pool: Op) -> tuple[tuple[Op, ...], float | None, tuple[tuple[str, str], ...]]:
    """The operands, and the floor, when a mean is over relu(a + b) or a + b of dequantized tensors; else its input."""
    x, floor, sources = pool.inputs[0], -inf, []
    if x.kind == "onnx" and x.attrs.op_type == "Relu":
        sources.append((x.node, "Relu"))
        x, floor = x.inputs[0], 0.0
    if x.kind == "onnx" and x.attrs.op_type in ("Add", "Sum") and len(x.inputs) == 2:
        sources.append((x.node, x.attrs.op_type))
        return x.inputs, floor, tuple(reversed(sources))
    return pool.inputs, None, ()


def _moved_constant(constant: Op, move: Op, name: str) -> Op | None:
    """A Reshape or Transpose of quantized weights, done now.

    None for what is computed, and where scales that lay along an axis would not any more.
    """
    if constant.kind != "const" or constant.type.quant is None:
        return None
    value, quant, axis = constant.value, constant.type.quant, constant.type.quant.axis
    if move.attrs.op_type == "Transpose":
        order = move.attrs.ints("perm") or tuple(reversed(range(value.ndim)))
        return const(name, value.transpose(order), quant if axis is None else replace(quant, axis=order.index(axis)))
    if axis is not None:
        place, old, new = prod(value.shape[:axis]), value.shape, move.type.shape
        alike = [i for i, extent in enumerate(new) if extent == old[axis] and prod(new[:i]) == place]
        if not alike:
            return None
        quant = replace(quant, axis=alike[0])
    return const(name, value.reshape(move.type.shape), quant)


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
    """The integers behind a float operand, typed with their quantization; constants as they are."""
    if x.kind != "dequantize":
        return x
    integers, quant = x.inputs[0], x.attrs.quant
    if integers.type.quant == quant:
        return integers
    if integers.type.quant is None and integers.kind in ("const", "input"):
        return replace(integers, type=replace(integers.type, quant=quant))
    raise refuse("mixed_quantization", "a tensor is dequantized with other parameters than it was quantized with",
                 f"`{integers.name}`", "the same parameters", "quantize the model again")  # fmt: skip
