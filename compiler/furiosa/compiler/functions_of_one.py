"""Rewrites of the LDFG: what depends on the bytes of one tensor only is one look-up."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from furiosa.compiler.graph import Array, Op
from furiosa.compiler.ops.layout import affine, table
from furiosa.isa import arithmetic
from furiosa.isa.arithmetic import Scaling

_BYTES = np.arange(256, dtype=np.uint8)
_KINDS = ("npu.add", "npu.sub", "npu.mul")


def table_of_table(op: Op) -> Op | None:
    """table(table(x)) is one table"""
    if op.kind != "npu.table" or op.inputs[0].kind != "npu.table":
        return None
    source, inner = _seen(op.inputs[0])
    if source is op.inputs[0]:
        return None
    merged = replace(op, sources=op.inputs[0].sources + op.sources)
    return table(source, np.stack([row[inner] for row in op.inputs[1].value]), merged)


def pair_of_functions(op: Op) -> Op | None:
    """an element-wise operator of x, or a table of x, with x, or another table of x, is a table: x * sigmoid(x)"""
    if op.kind not in _KINDS:
        return None
    a, b = op.inputs
    (source, first), (other, second) = _seen(a), _seen(b)
    if source is not other or source.kind == "const" or source.type.shape != op.type.shape:
        return None
    (sa, za, ta), (sb, zb, tb), (sy, zy, ty) = affine(a.type), affine(b.type), affine(op.type)
    values = arithmetic.binary(
        op.kind.removeprefix("npu."),  # type: ignore[arg-type]  # one of `_KINDS`
        op.attrs.form,
        first.view(ta),
        second.view(tb),
        Scaling(sa * op.attrs.factor, za),
        Scaling(sb * op.attrs.factor, zb),
        Scaling(sy, zy),
        ty,
        lo=op.attrs.lo,
        hi=op.attrs.hi,
    )
    sources = (x.sources for x in (a, b) if x is not source)
    return table(source, values.view(np.uint8), replace(op, sources=(*sum(sources, ()), *op.sources)))


def _seen(op: Op) -> tuple[Op, Array]:
    """The tensor behind a table that all channels share, and the table; else the tensor itself and all bytes."""
    if op.kind == "npu.table" and op.inputs[1].type.shape[0] == 1:
        return op.inputs[0], op.inputs[1].value[0]
    return op, _BYTES
