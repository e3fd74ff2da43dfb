"""Jobs and buffers: what an NPU cluster computes, in order, and which tensors share which bytes.

A view has the bytes of its input. The inputs of a concatenation are made inside its buffer where nothing forbids it,
and an element-wise operator writes its result over an operand that nothing else reads.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from math import prod

from furiosa.compiler.cluster import Cluster
from furiosa.compiler.gir.boxes import Box, Four, Reads, same
from furiosa.compiler.gir.row import Emit, Parameter, Row, four
from furiosa.compiler.gir.rows import CONCAT, COPY, ROWS
from furiosa.compiler.graph import Op
from furiosa.isa.errors import InternalError
from furiosa.isa.instructions import View

_IN_PLACE = ("npu.table", "npu.add", "npu.sub", "npu.mul")
"""Operators whose instructions may write their result over an operand with the same addresses."""


@dataclass(slots=True, eq=False)
class Buffer:
    """Bytes that live as one, with what the schedule has decided about them so far.

    ``jobs`` are the indices of the jobs that touch it, ascending, ``read`` whether one reads it, ``missing`` how many
    still have to write it. ``dram`` is its address there, once it has one; ``home`` says that it keeps it for good,
    ``constant`` that it holds a constant.
    ``stored`` says that DRAM has all that was written until now, by the end of step ``ready``. ``address`` is where it
    is in SRAM since step ``first``; None when it is not. ``parts`` are the tensors written in it so far.
    """

    name: str
    shape: Four
    number: int
    jobs: list[int] = field(default_factory=list)
    read: bool = False
    missing: int = 0
    home: bool = False
    constant: bool = False
    output: bool = False
    begun: bool = False
    dram: int | None = None
    stored: bool = False
    ready: int = -1
    address: int | None = None
    first: int = 0
    parts: list[Ref] = field(default_factory=list)
    turn: int = 0

    @property
    def size(self) -> int:
        """Bytes of the buffer."""
        return prod(self.shape)

    def view(self, address: int) -> View:
        """All of the buffer, at an SRAM address."""
        return View.dense(address, self.shape)

    def next_use(self, after: int) -> int | None:
        """The first job after ``after`` that touches the buffer; ``after`` never goes back."""
        while self.turn < len(self.jobs) and self.jobs[self.turn] <= after:
            self.turn += 1
        return self.jobs[self.turn] if self.turn < len(self.jobs) else None


@dataclass(frozen=True, slots=True, eq=False)
class Ref:
    """Where a tensor lies in its buffer: element i is at offset + i . strides, in SRAM as in DRAM."""

    buffer: Buffer
    name: str
    offset: int
    shape: Four
    strides: Four

    @property
    def place(self) -> tuple[int, Four, Four]:
        """Offset, shape and strides."""
        return self.offset, self.shape, self.strides

    def at(self, box: Box) -> int:
        """The offset of the first element of a box."""
        return self.offset + sum(start * stride for start, stride in zip(box.start, self.strides))

    def view(self, base: int, box: Box) -> View:
        """A box of the tensor, with the buffer at SRAM address ``base``."""
        return View(base + self.at(box), box.shape, self.strides)

    def part(self, name: str, start: Four, shape: Four) -> Ref:
        """A box of the tensor as a tensor of its own."""
        return Ref(self.buffer, name, self.at(Box(start, shape)), shape, self.strides)


def dense(buffer: Buffer, name: str, shape: Four) -> Ref:
    """The tensor that fills its buffer."""
    return Ref(buffer, name, 0, shape, View.dense(0, shape).strides)


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """One operator, or one copy, to be done tile by tile. ``number`` is its place among the jobs as they come.

    ``output`` may be some rows of the operator's result, from ``row_start`` on.
    """

    op: Op
    node: str
    row: Row
    reads: tuple[Reads, ...]
    inputs: tuple[Ref, ...]
    output: Ref
    params: tuple[Parameter, ...]
    grain: int
    number: int = 0
    row_start: int = 0

    def placed(self, box: Box) -> Box:
        """A box of the output as a box of the operator's result."""
        (n, h, w, c), (n_end, h_end, w_end, c_end) = box
        return Box((n, h + self.row_start, w, c), (n_end, h_end + self.row_start, w_end, c_end))

    @property
    def shape(self) -> Four:
        return self.output.shape

    @property
    def emit(self) -> Emit:
        return self.row.emit

    @property
    def split(self) -> tuple[bool, bool, bool, bool]:
        """Which axes of the output may be cut."""
        n, h, w, c = (axis in self.row.split for axis in "NHWC")
        return n, h, w, c


@dataclass(frozen=True, slots=True)
class Work:
    """A cluster as jobs. ``inputs`` and ``outputs`` are the buffers of its ports, ``consts`` those of constants."""

    jobs: tuple[Job, ...]
    inputs: tuple[Buffer, ...]
    outputs: tuple[Buffer, ...]
    consts: tuple[tuple[Op, Buffer], ...]
    buffers: tuple[Buffer, ...]

    def linked(self) -> Work:
        """The same, with what buffers know of the jobs filled in."""
        for buffer in self.buffers:
            buffer.jobs, buffer.missing = [], 0
        for index, job in enumerate(self.jobs):
            for ref in (*job.inputs, job.output):
                if not ref.buffer.jobs or ref.buffer.jobs[-1] != index:
                    ref.buffer.jobs.append(index)
            for ref in job.inputs:
                ref.buffer.read = True
            job.output.buffer.missing += 1
        return self

    def ordered(self, numbers: Sequence[int]) -> Work:
        """The same with the jobs of these numbers in this order."""
        return replace(self, jobs=tuple(self.jobs[number] for number in numbers)).linked()


def kind_row(op: Op) -> Row:
    """The row of a kind. Raises InternalError for an op that is no low-level op."""
    row = ROWS.get(op.kind)
    if row is None:
        raise InternalError(f"`{op.kind}` is no operator of the NPU", where=f"operator `{op.name}`")
    return row


def lone_job(op: Op) -> Job:
    """The job of an operator taken by itself."""
    row = kind_row(op)
    reads = row.reads(op)
    inputs = tuple(_alone(x) for x in op.inputs[: len(reads)])
    return Job(op, op.node or op.name, row, reads, inputs, _alone(op), row.params(op), row.grain(op))


def _alone(op: Op) -> Ref:
    return dense(Buffer(op.name, four(op), 0), op.name, four(op))


def _read_once(x: Op, readers: Counter[Op]) -> bool:
    """Whether one op alone reads a tensor, and what may lie inside of it nothing but it."""
    inside = x.inputs if x.kind == "npu.concat" else ()
    return readers[x] == 1 and all(_read_once(part, readers) for part in inside)


class _Builder:
    """Walks a cluster twice: backwards to place tensors in buffers, forwards to list jobs."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._buffers: list[Buffer] = []
        self._refs: dict[Op, Ref] = {}
        self._jobs: list[Job] = []
        self._consts: list[tuple[Op, Buffer]] = []

    def work(self) -> Work:
        inputs = tuple(self._source(op) for op in self._cluster.inputs)
        self._place()
        for op in self._cluster.ops:
            if op.kind == "npu.concat":
                self._concat(op)
            elif op.kind not in ("const", "npu.view"):
                self._operator(op)
        outputs = tuple(self._outputs())
        return Work(tuple(self._jobs), inputs, outputs, tuple(self._consts), tuple(self._buffers)).linked()

    def _buffer(self, op: Op) -> Buffer:
        buffer = Buffer(op.name, four(op), len(self._buffers))
        self._buffers.append(buffer)
        return buffer

    def _source(self, op: Op) -> Buffer:
        """The buffer of a tensor that is in DRAM from the start and stays there."""
        buffer = self._buffer(op)
        buffer.home = buffer.begun = buffer.stored = True
        self._refs[op] = dense(buffer, op.name, four(op))
        return buffer

    def _place(self) -> None:
        """Give every tensor its place: results before operands, the outer of nested concatenations before the inner."""
        ops = self._cluster.ops
        readers = Counter(x for op in ops for x in op.inputs)
        viewed = {op.inputs[0] for op in ops if op.kind == "npu.view"}
        free = {op for op in ops if op.kind.startswith("npu.") and op.kind != "npu.view"}
        free -= viewed | set(self._cluster.outputs)
        for op in reversed(ops):
            if op.kind in ("const", "npu.view"):
                continue
            if op not in self._refs:
                self._refs[op] = dense(self._buffer(op), op.name, four(op))
            if op.kind == "npu.concat":
                for x, start in zip(op.inputs, _starts(op)):
                    if x in free and x not in self._refs:
                        self._refs[x] = self._refs[op].part(x.name, start, four(x))
            elif op.kind in _IN_PLACE:
                over = (x for x in op.inputs if x in free and _read_once(x, readers) and four(x) == four(op))
                for x in islice(over, 1):
                    self._refs[x] = self._refs[op].part(x.name, (0, 0, 0, 0), four(x))

    def _ref(self, op: Op) -> Ref:
        """Where a tensor lies; follows views down to what they show."""
        chain = []
        while op not in self._refs and op.kind == "npu.view":
            chain.append(op)
            op = op.inputs[0]
        if op.kind == "const" and op not in self._refs:
            self._consts.append((op, self._source(op)))
            self._consts[-1][1].constant = True
        ref = self._refs[op]
        for view in reversed(chain):
            ref = self._refs[view] = dense(ref.buffer, view.name, four(view))
        return ref

    def _operator(self, op: Op) -> None:
        row = kind_row(op)
        params = row.params(op)
        reads = row.reads(op)
        inputs = tuple(self._ref(x) for x in op.inputs[: len(reads)])
        self._add(op, row, reads, inputs, self._refs[op], params, row.grain(op))

    def _concat(self, op: Op) -> None:
        """A copy for each input that is not already in its place."""
        target = self._refs[op]
        for x, start in zip(op.inputs, _starts(op)):
            ref, place = self._ref(x), target.part(op.name, start, four(x))
            if (ref.buffer, ref.offset) != (place.buffer, place.offset):
                self._copy(op, CONCAT, ref, place)

    def _copy(self, op: Op, row: Row, source: Ref, target: Ref) -> None:
        self._add(op, row, (same(source.shape),), (source,), target, (), 1)

    def _add(
        self, op: Op, row: Row, reads: tuple[Reads, ...], inputs: tuple[Ref, ...], output: Ref,
        params: tuple[Parameter, ...], grain: int,
    ) -> None:  # fmt: skip
        node = op.node or op.name
        self._jobs.append(Job(op, node, row, reads, inputs, output, params, grain, len(self._jobs)))

    def _outputs(self) -> list[Buffer]:
        """A buffer for each output; copies of what is an input, a constant or another output under a second name."""
        found: list[Buffer] = []
        for op in self._cluster.outputs:
            ref = self._ref(op)
            if ref.buffer.home:
                ref, source = dense(self._buffer(op), op.name, four(op)), ref
                self._copy(op, COPY, source, ref)
            ref.buffer.home = ref.buffer.output = True
            found.append(ref.buffer)
        return found


def _starts(concat: Op) -> list[Four]:
    """Where each input of a concatenation begins in the result."""
    axis: int = concat.attrs.axis
    found, at = [], 0
    for x in concat.inputs:
        n, h, w, c = (at if i == axis else 0 for i in range(4))
        found.append((n, h, w, c))
        at += x.type.shape[axis]
    return found


def jobs_of(cluster: Cluster) -> Work:
    """What an NPU cluster computes."""
    return _Builder(cluster).work()
