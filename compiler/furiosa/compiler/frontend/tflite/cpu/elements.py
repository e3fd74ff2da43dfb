"""Operators on the CPU that compute: functions of elements, reductions."""

from __future__ import annotations

import numpy as np

from furiosa.compiler.frontend.tflite.cpu import fixed
from furiosa.compiler.frontend.tflite.cpu.nodes import Cpu, Handler
from furiosa.compiler.graph import Op
from furiosa.isa.arithmetic import Scaling, lite_division
from furiosa.isa.dtypes import DType


def _same(op_type: str) -> Handler:
    """One node of one operand."""

    def handler(cpu: Cpu) -> None:
        x = cpu.real(0)
        cpu.give(cpu.activated(cpu.add(op_type, [x], x.type.shape, x.type.dtype)))

    return handler


def _pair(op_type: str, dtype: DType | None = None) -> Handler:
    """One node of two operands that broadcast; ``dtype`` of the result where it is another."""

    def handler(cpu: Cpu) -> None:
        a, b = cpu.real(0), cpu.real(1)
        shape = np.broadcast_shapes(a.type.shape, b.type.shape)
        cpu.give(cpu.activated(cpu.add(op_type, [a, b], shape, dtype or a.type.dtype)))

    return handler


def _not_equal(cpu: Cpu) -> None:
    a, b = cpu.real(0), cpu.real(1)
    shape = np.broadcast_shapes(a.type.shape, b.type.shape)
    cpu.give(cpu.add("Not", [cpu.add("Equal", [a, b], shape, DType.BOOL)], shape, DType.BOOL))


def _square(cpu: Cpu) -> None:
    x = cpu.real(0)
    cpu.give(cpu.add("Mul", [x, x], x.type.shape, x.type.dtype))


def _squared_difference(cpu: Cpu) -> None:
    if fixed.applies(cpu, 2):
        return cpu.give(_squared_difference_of_integers(cpu))
    a, b = cpu.real(0), cpu.real(1)
    shape = np.broadcast_shapes(a.type.shape, b.type.shape)
    apart = cpu.add("Sub", [a, b], shape, a.type.dtype)
    return cpu.give(cpu.add("Mul", [apart, apart], shape, a.type.dtype))


def _squared_difference_of_integers(cpu: Cpu) -> Op:
    """Both at twice the larger scale, less 7 bits; the square at that of the result."""
    operands = [cpu.stored(index) for index in range(2)]
    scales = [float(np.float32(x.type.scale)) for x in operands]
    shape, twice = np.broadcast_shapes(*(x.type.shape for x in operands)), 2 * max(scales)
    a, b = (fixed.multiplied(cpu, fixed.combined(cpu, cpu.cast(fixed.centred(cpu, x), DType.I64), "Mul", 1 << 7),
                             scale / twice) for x, scale in zip(operands, scales))  # fmt: skip
    apart = cpu.add("Sub", [a, b], shape, DType.I64)
    square = cpu.add("Mul", [apart, apart], shape, DType.I64)
    ratio = twice * twice / ((1 << 14) * float(np.float32(cpu.site.result().scale)))
    return fixed.saturated(cpu, fixed.multiplied(cpu, square, ratio))


def _div(cpu: Cpu) -> None:
    if not fixed.applies(cpu, 2, (DType.I8, DType.U8)):
        return _pair("Div")(cpu)
    return cpu.give(_quotient_of_integers(cpu))


def _quotient_of_integers(cpu: Cpu) -> Op:
    """As LiteRT divides: looked up, since there are 65,536 pairs of operands."""
    a, b = cpu.stored(0), cpu.stored(1)
    to, shape = cpu.site.result(), np.broadcast_shapes(a.type.shape, b.type.shape)
    qa, qb, qy = (Scaling(t.scale, t.zero) for t in (a.type, b.type, to))
    quotients = lite_division(qa, qb, qy, to.dtype.numpy_name, *cpu.site.clamp())
    least = np.iinfo(to.dtype.numpy_name).min
    rows = fixed.combined(cpu, fixed.combined(cpu, cpu.cast(a, DType.I64), "Sub", least), "Mul", 256)
    columns = fixed.combined(cpu, cpu.cast(b, DType.I64), "Sub", least)
    index = cpu.add("Add", [rows, columns], shape, DType.I64)
    return cpu.add("Gather", [cpu.constant(quotients.reshape(-1)), index], shape, to.dtype)


def _rsqrt(cpu: Cpu) -> None:
    x = cpu.real(0)
    cpu.give(cpu.add("Reciprocal", [cpu.add("Sqrt", [x], x.type.shape)], x.type.shape))


def _floor_div(cpu: Cpu) -> None:
    a, b = cpu.real(0), cpu.real(1)
    shape = np.broadcast_shapes(a.type.shape, b.type.shape)
    if a.type.dtype is not DType.F32:
        a, b = cpu.cast(a, DType.F64), cpu.cast(b, DType.F64)
    cpu.give(cpu.add("Floor", [cpu.add("Div", [a, b], shape, a.type.dtype)], shape, a.type.dtype))


def _floor_mod(cpu: Cpu) -> None:
    """a - floor(a / b) * b: the remainder with the sign of the divisor."""
    a, b = cpu.real(0), cpu.real(1)
    shape, dtype = np.broadcast_shapes(a.type.shape, b.type.shape), a.type.dtype
    if dtype is not DType.F32:
        return cpu.give(cpu.add("Mod", [a, b], shape, dtype))
    whole = cpu.add("Floor", [cpu.add("Div", [a, b], shape)], shape)
    return cpu.give(cpu.add("Sub", [a, cpu.add("Mul", [whole, b], shape)], shape))


def _clip(low: float, high: float) -> Handler:
    def handler(cpu: Cpu) -> None:
        x = cpu.real(0)
        bounds = [cpu.constant(np.float32(bound)) for bound in (low, high)]
        cpu.give(cpu.add("Clip", [x, *bounds], x.type.shape))

    return handler


def _leaky_relu(cpu: Cpu) -> None:
    x = cpu.real(0)
    cpu.give(cpu.add("LeakyRelu", [x], x.type.shape, alpha=cpu.options["alpha"]))


def _prelu(cpu: Cpu) -> None:
    x, slope = cpu.real(0), cpu.real(1)
    cpu.give(cpu.add("PRelu", [x, slope], x.type.shape))


def _gelu(cpu: Cpu) -> None:
    """x * (1 + erf(x / sqrt 2)) / 2, or its approximation with tanh."""
    x = cpu.real(0)
    shape = x.type.shape

    def number(value: float) -> Op:
        return cpu.constant(np.float32(value))

    if cpu.options["approximate"]:
        cube = cpu.add("Mul", [cpu.add("Mul", [x, x], shape), x], shape)
        inner = cpu.add("Add", [x, cpu.add("Mul", [cube, number(0.044715)], shape)], shape)
        gate = cpu.add("Tanh", [cpu.add("Mul", [inner, number((2 / np.pi) ** 0.5)], shape)], shape)
    else:
        gate = cpu.add("Erf", [cpu.add("Mul", [x, number(0.5**0.5)], shape)], shape)
    whole = cpu.add("Add", [gate, number(1.0)], shape)
    cpu.give(cpu.add("Mul", [cpu.add("Mul", [x, number(0.5)], shape), whole], shape))


def _softmax(op_type: str) -> Handler:
    def handler(cpu: Cpu) -> None:
        x = cpu.real(0)
        beta = cpu.options.get("beta", 1.0)
        if beta != 1.0:
            x = cpu.add("Mul", [x, cpu.constant(np.float32(beta))], x.type.shape)
        cpu.give(cpu.add(op_type, [x], x.type.shape, axis=-1))

    return handler


def _reduced(op_type: str) -> Handler:
    """A reduction over constant axes."""

    def handler(cpu: Cpu) -> None:
        x = cpu.real(0)
        rank = len(x.type.shape)
        axes = sorted({cpu.site.axis(axis, rank) for axis in cpu.site.integers(1)})
        keep = cpu.options["keep_dims"]
        given = enumerate(x.type.shape)
        shape = tuple(1 if axis in axes else n for axis, n in given if keep or axis not in axes)
        if not axes:
            return cpu.give(x)
        if op_type in ("Any", "All"):
            x = cpu.cast(x, DType.I32)
        kind = {"Any": "ReduceMax", "All": "ReduceMin"}.get(op_type, op_type)
        if op_type == "ReduceSum":  # axes are an operand of this one
            return cpu.give(cpu.add(kind, [x, cpu.integers(axes)], shape, x.type.dtype, keepdims=keep))
        return cpu.give(cpu.add(kind, [x], shape, x.type.dtype, axes=axes, keepdims=keep))

    return handler


def _arg(op_type: str) -> Handler:
    def handler(cpu: Cpu) -> None:
        x = cpu.stored(0)
        axis = cpu.site.axis(cpu.site.integers(1)[0] if cpu.site.array(1).size else 0, len(x.type.shape))
        shape = (*x.type.shape[:axis], *x.type.shape[axis + 1 :])
        cpu.give(cpu.add(op_type, [x], shape, DType.I64, axis=axis, keepdims=0))

    return handler


def _cast(cpu: Cpu) -> None:
    """CAST; giving the result changes the type."""
    cpu.give(cpu.stored(0))


def _sum_of_all(cpu: Cpu) -> None:
    parts = [cpu.real(index) for index in range(len(cpu.site.operator.inputs))]
    cpu.give(cpu.add("Sum", parts, parts[0].type.shape))


def _l2_normalization(cpu: Cpu) -> None:
    x = cpu.real(0)
    cpu.give(cpu.activated(cpu.add("LpNormalization", [x], x.type.shape, axis=-1, p=2)))


def _select(cpu: Cpu) -> None:
    condition, a, b = cpu.stored(0), cpu.real(1), cpu.real(2)
    while cpu.site.operator.code == "SELECT" and 0 < len(condition.type.shape) < len(a.type.shape):
        condition = cpu.reshaped(condition, (*condition.type.shape, 1))
    shape = np.broadcast_shapes(condition.type.shape, a.type.shape, b.type.shape)
    cpu.give(cpu.add("Where", [condition, a, b], shape, a.type.dtype))


def _cumsum(cpu: Cpu) -> None:
    x = cpu.real(0)
    axis = cpu.constant(np.array(cpu.site.integers(1)[0], np.int64))
    options = {key: cpu.options[key] for key in ("exclusive", "reverse")}
    cpu.give(cpu.add("CumSum", [x, axis], x.type.shape, x.type.dtype, **options))


def _zeros_like(cpu: Cpu) -> None:
    cpu.give(cpu.filled(cpu.constant(np.zeros((), cpu.stored(0).type.dtype.numpy_name)), cpu.shape()))


def _fill(cpu: Cpu) -> None:
    cpu.give(cpu.filled(cpu.stored(1), cpu.shape()))


def _range(cpu: Cpu) -> None:
    start, limit, step = (cpu.site.array(index).reshape(-1)[0] for index in range(3))
    if step == 0 or abs((limit - start) / step) > 1 << 24:
        raise cpu.site.fault(f"a range from {start} to {limit} by {step}")
    cpu.give(cpu.constant(np.arange(start, limit, step, dtype=cpu.site.array(0).dtype)))


def _shape(cpu: Cpu) -> None:
    cpu.give(cpu.constant(np.array(cpu.stored(0).type.shape, cpu.site.result().dtype.numpy_name)))


def _rank(cpu: Cpu) -> None:
    cpu.give(cpu.constant(np.array(len(cpu.stored(0).type.shape), cpu.site.result().dtype.numpy_name)))


ELEMENTS: dict[str, Handler] = {
    "ABS": _same("Abs"), "ADD": _pair("Add"), "ADD_N": _sum_of_all, "ARG_MAX": _arg("ArgMax"),
    "ARG_MIN": _arg("ArgMin"), "CAST": _cast, "CEIL": _same("Ceil"), "COS": _same("Cos"),
    "CUMSUM": _cumsum, "DIV": _div, "ELU": _same("Elu"), "EQUAL": _pair("Equal", DType.BOOL),
    "EXP": _same("Exp"), "FILL": _fill, "FLOOR": _same("Floor"), "FLOOR_DIV": _floor_div, "FLOOR_MOD": _floor_mod,
    "GELU": _gelu, "GREATER": _pair("Greater", DType.BOOL),
    "GREATER_EQUAL": _pair("GreaterOrEqual", DType.BOOL), "HARD_SWISH": _same("HardSwish"),
    "L2_NORMALIZATION": _l2_normalization, "LEAKY_RELU": _leaky_relu, "LESS": _pair("Less", DType.BOOL),
    "LESS_EQUAL": _pair("LessOrEqual", DType.BOOL), "LOG": _same("Log"), "LOG_SOFTMAX": _softmax("LogSoftmax"),
    "LOGICAL_AND": _pair("And"), "LOGICAL_NOT": _same("Not"), "LOGICAL_OR": _pair("Or"), "LOGISTIC": _same("Sigmoid"),
    "MAXIMUM": _pair("Max"), "MEAN": _reduced("ReduceMean"), "MINIMUM": _pair("Min"), "MUL": _pair("Mul"),
    "NEG": _same("Neg"), "NOT_EQUAL": _not_equal, "POW": _pair("Pow"), "PRELU": _prelu, "RANGE": _range,
    "RANK": _rank,
    "REDUCE_ALL": _reduced("All"), "REDUCE_ANY": _reduced("Any"), "REDUCE_MAX": _reduced("ReduceMax"),
    "REDUCE_MIN": _reduced("ReduceMin"), "REDUCE_PROD": _reduced("ReduceProd"), "RELU": _same("Relu"),
    "RELU6": _clip(0, 6), "RELU_0_TO_1": _clip(0, 1), "RELU_N1_TO_1": _clip(-1, 1), "ROUND": _same("Round"),
    "RSQRT": _rsqrt, "SELECT": _select, "SELECT_V2": _select, "SHAPE": _shape, "SIGN": _same("Sign"),
    "SIN": _same("Sin"), "SOFTMAX": _softmax("Softmax"), "SQRT": _same("Sqrt"), "SQUARE": _square,
    "SQUARED_DIFFERENCE": _squared_difference, "SUB": _pair("Sub"), "SUM": _reduced("ReduceSum"), "TANH": _same("Tanh"),
    "ZEROS_LIKE": _zeros_like,
}  # fmt: skip
