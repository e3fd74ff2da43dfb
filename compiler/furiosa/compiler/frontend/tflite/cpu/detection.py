"""TFLite_Detection_PostProcess: boxes from their encodings, and the best of those that overlap.

Values are those of LiteRT's kernel to the bit: boxes are decoded in float64, equal scores keep their order, a box is
dropped when it overlaps a better one by more than the threshold. Places behind the last detection are zero.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from furiosa.compiler.frontend.tflite.cpu.nodes import Cpu
from furiosa.compiler.frontend.tflite.flatbuffer import Damaged
from furiosa.compiler.frontend.tflite.flexbuffer import numbers
from furiosa.compiler.graph import Op, TensorType
from furiosa.isa.dtypes import DType

_MOST = 1 << 20
_LEAST = float(np.finfo(np.float32).min)


def detection(cpu: Cpu) -> None:
    """Give boxes [1, D, 4], their classes and scores [1, D], and the number of detections [1]."""
    form = _Form.of(cpu)
    boxes = _decoded(cpu, form)
    if form.regular:
        _each_class(cpu, form, boxes)
    else:
        _best_class(cpu, form, boxes)


@dataclass(frozen=True, slots=True)
class _Form:
    """The sizes and options of an operator."""

    boxes: int
    classes: int
    background: int
    detections: int
    of_class: int
    classes_of_box: int
    regular: bool
    score: float
    overlap: float
    scales: tuple[float, float, float, float]

    @classmethod
    def of(cls, cpu: Cpu) -> _Form:
        """Raises ModelError for options that LiteRT does not take either."""
        try:
            given = numbers(cpu.site.operator.custom or b"")
        except Damaged as error:
            raise cpu.site.fault(str(error)) from None
        shapes = [cpu.stored(index).type.shape for index in range(3)]
        if [len(shape) for shape in shapes] != [3, 3, 2] or len(cpu.site.operator.outputs) != 4:
            raise cpu.site.fault(f"operands of shapes {shapes}")
        (batch, boxes, coordinates), (_, rows, scores), anchors = shapes
        names = ("num_classes", "max_detections", "max_classes_per_detection")
        classes, detections, of_box = (int(given.get(name, 0)) for name in names)
        of_class = min(int(given.get("detections_per_class", 100)), detections)
        overlap = float(np.float32(given.get("nms_iou_threshold", 0.0)))
        if batch != 1 or coordinates < 4 or rows != boxes or anchors != (boxes, 4) or not 0 <= scores - classes <= 1:
            raise cpu.site.fault(f"operands of shapes {shapes} for {classes} classes")
        if min(classes, detections, of_box, of_class) < 1 or detections * of_box > _MOST or not 0 < overlap <= 1:
            raise cpu.site.fault(f"options {given}")
        scales = tuple(float(np.float32(given.get(f"{axis}_scale", 0.0))) for axis in "yxhw")
        y, x, h, w = scales
        if 0.0 in scales:
            raise cpu.site.fault(f"scales {scales}")
        return cls(boxes, classes, scores - classes, detections, of_class, of_box, bool(given.get("use_regular_nms")),
                   float(np.float32(given.get("nms_score_threshold", 0.0))), overlap, (y, x, h, w))  # fmt: skip


def _decoded(cpu: Cpu, form: _Form) -> Op:
    """Corners (top, left, bottom, right) of (y, x, h, w), which are relative to an anchor. float32 [1, N, 4]"""
    anchors = cpu.cast(cpu.real(2), DType.F64)
    codes = cpu.cast(cpu.real(0), DType.F64)
    at, size = (_columns(cpu, codes, first) for first in (0, 2))
    middle, extent = (_columns(cpu, anchors, first) for first in (0, 2))
    scales = [cpu.constant(np.array(form.scales[first : first + 2], np.float64)) for first in (0, 2)]
    shape = (1, form.boxes, 2)

    def real(op_type: str, *inputs: Op) -> Op:
        return cpu.add(op_type, inputs, shape, DType.F64)

    centre = cpu.cast(real("Add", real("Mul", real("Div", at, scales[0]), extent), middle), DType.F32)
    growth = real("Mul", cpu.constant(np.float64(0.5)), real("Exp", real("Div", size, scales[1])))
    half = cpu.cast(real("Mul", growth, extent), DType.F32)
    corners = [cpu.add(op_type, [centre, half], shape) for op_type in ("Sub", "Add")]
    return cpu.add("Concat", corners, (1, form.boxes, 4), axis=-1)


def _columns(cpu: Cpu, x: Op, first: int, count: int = 2) -> Op:
    """Some columns of the last axis."""
    bounds = [cpu.integers([value]) for value in (first, first + count, -1)]
    return cpu.add("Slice", [x, *bounds], (*x.type.shape[:-1], count), x.type.dtype)


def _kept(cpu: Cpu, form: _Form, boxes: Op, scores: Op, most: int) -> list[Op]:
    """Class and box of what remains of ``scores`` [1, classes, boxes], by class and falling score. int64 [K] each"""
    above = np.nextafter(np.float32(form.score), np.float32(-np.inf))  # ONNX keeps what is above, LiteRT what reaches
    options = [cpu.integers([most]), *(cpu.constant(np.array([v], np.float32)) for v in (form.overlap, above))]
    rows = cpu.add("NonMaxSuppression", [boxes, scores, *options], (-1, 3), DType.I64)
    columns = []
    for column in (1, 2):
        columns.append(cpu.add("Gather", [rows, cpu.constant(np.int64(column))], (-1,), DType.I64, axis=1))
    return columns


def _followed(cpu: Cpu, x: Op, value: float, count: int) -> Op:
    """A vector of unknown length with ``count`` more elements behind."""
    more = cpu.constant(np.full(count, value, x.type.dtype.numpy_name))
    return cpu.add("Concat", [x, more], (-1,), x.type.dtype, axis=0)


def _taken(cpu: Cpu, x: Op, at: Op, axis: int) -> Op:
    """Slices of ``x`` along an axis, with zeros behind the last one."""
    row = (*x.type.shape[:axis], 1, *x.type.shape[axis + 1 :])
    longer = (*row[:axis], x.type.shape[axis] + 1, *row[axis + 1 :])
    wide = cpu.add("Concat", [x, cpu.constant(np.zeros(row, np.float32))], longer, axis=axis)
    return cpu.add("Gather", [wide, at], (*row[:axis], *at.type.shape, *row[axis + 1 :]), axis=axis)


def _each_class(cpu: Cpu, form: _Form, boxes: Op) -> None:
    """Overlaps count within a class; the best detections of all classes remain."""
    scores = _columns(cpu, cpu.real(1), form.background, form.classes)
    by_class = cpu.add("Transpose", [scores], (1, form.classes, form.boxes), perm=[0, 2, 1])
    kinds, places = _kept(cpu, form, boxes, by_class, form.of_class)
    row = cpu.add("Mul", [kinds, cpu.constant(np.int64(form.boxes))], (-1,), DType.I64)
    flat = cpu.reshaped(by_class, (form.classes * form.boxes,))
    found = cpu.add("Gather", [flat, cpu.add("Add", [row, places], (-1,), DType.I64)], (-1,))
    count = form.detections
    types = [TensorType((count,), DType.F32), TensorType((count,), DType.I64)]
    _, order = cpu.results("TopK", [_followed(cpu, found, _LEAST, count), cpu.integers([count])], types)

    def ordered(values: Op, default: float) -> Op:
        return cpu.add("Gather", [_followed(cpu, values, default, count), order], (count,), values.type.dtype)

    rows = _taken(cpu, boxes, ordered(places, form.boxes), 1)
    classes = cpu.reshaped(cpu.cast(ordered(kinds, 0), DType.F32), (1, count))
    number = cpu.add("Min", [cpu.add("Shape", [places], (1,), DType.I64), cpu.integers([count])], (1,), DType.I64)
    _give(cpu, form, rows, classes, cpu.reshaped(ordered(found, 0), (1, count)), number)


def _best_class(cpu: Cpu, form: _Form, boxes: Op) -> None:
    """Each box counts once, with its best class; the next best ones are told behind it."""
    scores = _columns(cpu, cpu.real(1), form.background, form.classes)
    several, count = min(form.classes_of_box, form.classes), form.detections
    types = [TensorType((1, form.boxes, several), dtype) for dtype in (DType.F32, DType.I64)]
    values, kinds = cpu.results("TopK", [scores, cpu.integers([several])], types)
    best = cpu.reshaped(_columns(cpu, values, 0, 1), (1, 1, form.boxes))
    _, places = _kept(cpu, form, boxes, best, count)
    whole = _followed(cpu, places, form.boxes, count)
    at = cpu.add("Slice", [whole, *(cpu.integers([value]) for value in (0, count))], (count,), DType.I64)
    rows = cpu.reshaped(_taken(cpu, boxes, at, 1), (1, count, 1, 4))
    rows = cpu.add("Expand", [rows, cpu.integers([1, count, several, 4])], (1, count, several, 4))
    classes = _taken(cpu, cpu.cast(kinds, DType.F32), at, 1)
    number = cpu.add("Shape", [places], (1,), DType.I64)
    rows, classes, found = (_spread(cpu, form, x) for x in (rows, classes, _taken(cpu, values, at, 1)))
    _give(cpu, form, rows, classes, found, number)


def _spread(cpu: Cpu, form: _Form, x: Op) -> Op:
    """The detections and the classes of each as one axis, with zeros for classes that there are not."""
    one, count, several, *rest = x.type.shape
    missing = form.classes_of_box - several
    if missing:
        zeros = cpu.constant(np.zeros((one, count, missing, *rest), np.float32))
        x = cpu.add("Concat", [x, zeros], (one, count, form.classes_of_box, *rest), axis=2)
    return cpu.reshaped(x, (one, count * form.classes_of_box, *rest))


def _give(cpu: Cpu, form: _Form, rows: Op, classes: Op, scores: Op, number: Op) -> None:
    """Settle the four results, whose shapes the file need not have; zeros fill what they have more."""
    whole = form.detections * form.classes_of_box
    for index, x in enumerate((rows, classes, scores)):
        if x.type.shape[1] < whole:
            zeros = np.zeros((1, whole - x.type.shape[1], *x.type.shape[2:]), np.float32)
            x = cpu.add("Concat", [x, cpu.constant(zeros)], (1, whole, *x.type.shape[2:]), axis=1)
        cpu.site.complete(index, x.type.shape)
        cpu.give(x, index)
    cpu.site.complete(3, (1,))
    cpu.give(cpu.cast(number, DType.F32), 3)
