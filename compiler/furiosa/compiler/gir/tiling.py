"""Tiles: how an operator's output is cut so that what must be in SRAM at once fits, at the least cost in time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from heapq import nsmallest
from itertools import product
from math import prod

from furiosa.compiler.gir.allocate import ALIGNMENT, aligned
from furiosa.compiler.gir.boxes import Box, Four, input_box, most_bytes, most_shape, parts
from furiosa.compiler.gir.jobs import Job, lone_job
from furiosa.compiler.gir.row import Tile
from furiosa.compiler.graph import Op
from furiosa.isa.cost import activation_cycles, program_cycles, transfer_cycles
from furiosa.isa.instructions import View
from furiosa.isa.target import Target

Pixels = tuple[int, int, int]

RUN_LIMIT = 1 << 22
"""Most separate runs of bytes that one instruction may touch: more scattered programs are refused when loaded."""

_ROUND = (64, 16, 4)
_LONG = 1 << 18


@dataclass(frozen=True, slots=True)
class Streams:
    """Which operands of a job pass through SRAM tile by tile; the others are in SRAM whole."""

    inputs: tuple[bool, ...]
    output: bool


@dataclass(frozen=True, slots=True)
class Role:
    """The slots of one streamed operand: ``count`` of ``size`` bytes each (0 for an operand that is in SRAM whole)."""

    size: int
    count: int

    @property
    def bytes(self) -> int:
        return self.size * self.count


@dataclass(frozen=True, slots=True)
class Tiling:
    """The output boxes of a job in order, and the slots its streamed operands need: inputs, parameters, output."""

    boxes: tuple[Box, ...]
    inputs: tuple[Role, ...]
    params: Role
    output: Role

    @property
    def bytes(self) -> int:
        """SRAM for all slots."""
        return sum(role.bytes for role in (*self.inputs, self.params, self.output))


@dataclass(frozen=True, slots=True)
class _Cut:
    """A choice of tile extents with its slots."""

    tile: Four
    counts: Four
    inputs: tuple[Role, ...]
    params: Role
    output: Role

    @property
    def bytes(self) -> int:
        return sum(role.bytes for role in (*self.inputs, self.params, self.output))

    @property
    def pixels(self) -> int:
        """Tiles of N, H and W."""
        n, h, w, _ = self.counts
        return n * h * w

    @property
    def chunks(self) -> int:
        """Tiles of the channels."""
        return self.counts[3]


_NOTHING = Role(0, 0)


def param_bytes(job: Job, channels: int) -> int:
    """Bytes of a slot for the parameters of this many output channels, each part aligned."""
    return sum(aligned(p.bytes_of(channels)) for p in job.params)


def _cut(job: Job, streams: Streams, tile: Four, buffers: int) -> _Cut:
    """The slots of tiles with these extents; an operand that changes between tiles has ``buffers`` slots."""
    shape = job.shape
    counts = tuple(-(-extent // size) for extent, size in zip(shape, tile))
    inputs = []
    for reads, streamed in zip(job.reads, streams.inputs):
        changes = any(axis.step and counts[axis.source] > 1 for axis in reads)
        inputs.append(Role(aligned(most_bytes(reads, tile)), buffers if changes else 1) if streamed else _NOTHING)
    chunked = counts[3] > 1 and any(p.channel for p in job.params)
    params = Role(param_bytes(job, tile[3]), buffers if chunked else 1) if job.params else _NOTHING
    output = Role(aligned(prod(tile)), buffers if prod(counts) > 1 else 1) if streams.output else _NOTHING
    return _Cut(tile, (counts[0], counts[1], counts[2], counts[3]), tuple(inputs), params, output)


def whole_bytes(job: Job, streams: Streams) -> int:
    """SRAM for the streamed operands of a job that is not cut."""
    inputs = (most_bytes(reads, job.shape) for reads, on in zip(job.reads, streams.inputs) if on)
    output = aligned(prod(job.shape)) if streams.output else 0
    return sum(map(aligned, inputs)) + param_bytes(job, job.shape[3]) + output


def whole(job: Job, streams: Streams) -> Tiling:
    """The job as one tile."""
    cut = _cut(job, streams, job.shape, 1)
    return Tiling((Box.whole(job.shape),), cut.inputs, cut.params, cut.output)


def tile(job: Job, streams: Streams, room: int, target: Target, wanted: int = 0) -> Tiling | None:
    """The cheapest tiles whose slots fit ``room`` bytes; None when none do. Two slots an operand where possible.

    Small transfers are worth no tiles of their own: without need to, a job is cut only when the transfers it would
    otherwise wait for take long. ``wanted`` overrules that, see ``Choices.tiles``.
    """
    fits = whole_bytes(job, streams) <= room and _runs(job, job.shape) <= RUN_LIMIT
    if fits and (wanted < 0 or (wanted == 0 and not _worth_tiles(job, streams, target))):
        return whole(job, streams)
    rows, columns = _pixel_tiles(job.shape, job.split)
    for buffers, pixels in product((2, 1), (rows, rows + columns)):
        best = nsmallest(
            max(1, wanted),
            ((cost, number, order, cut) for number, cut in enumerate(_cuts(job, streams, room, buffers, pixels))
             for order, cost in _costs(job, streams, cut, target)),
            key=lambda item: item[:2],
        )  # fmt: skip
        if best:
            _, _, channels_outer, cut = best[-1]
            return Tiling(tuple(_boxes(job, cut, channels_outer)), cut.inputs, cut.params, cut.output)
    return None


def _worth_tiles(job: Job, streams: Streams, target: Target) -> bool:
    """Whether transfers are so long that computing meanwhile pays: 256 KiB, and 1/4 of SRAM for constants."""
    moved = sum(most_bytes(reads, job.shape) for reads, on in zip(job.reads, streams.inputs) if on)
    moved += prod(job.shape) if streams.output else 0
    return moved > _LONG or param_bytes(job, job.shape[3]) > target.sram_bytes // 4


def _runs(job: Job, tile: Four) -> int:
    """A bound for the separate runs of bytes in any operand of a tile: its pixels, or its elements."""
    shapes = [tile, *(most_shape(reads, tile) for reads in job.reads)]
    return max(prod(shape if job.row.scattered else shape[:3]) for shape in shapes)


def _cuts(job: Job, streams: Streams, room: int, buffers: int, pixels: list[Pixels]) -> Iterator[_Cut]:
    """For each size of channel tiles the largest pixel tiles that fit, and smaller ones that overlap better.

    Without parameters, channels are cut only when pixels do not suffice: rows of DRAM are then moved whole.
    """
    for channels in _channel_tiles(job):
        first, last = 0, len(pixels)
        while first < last:
            middle = (first + last) // 2
            cut = _cut(job, streams, (*pixels[middle], channels), buffers)
            if cut.bytes <= room and _runs(job, cut.tile) <= RUN_LIMIT:
                last = middle
            else:
                first = middle + 1
        count = 0
        for tile in pixels[first:]:
            cut = _cut(job, streams, (*tile, channels), buffers)
            if cut.pixels >= 2 * count and cut.bytes <= room:
                count = cut.pixels
                yield cut
        if count and not job.params:
            return


def _pixel_tiles(shape: Four, split: tuple[bool, bool, bool, bool]) -> tuple[list[Pixels], list[Pixels]]:
    """Extents (n, h, w), each smaller than the one before: from the whole to one row, and from there to one pixel."""
    tile = [shape[0], shape[1], shape[2]]
    found: list[list[Pixels]] = [[(tile[0], tile[1], tile[2])], [], []]
    for axis in range(3):
        if split[axis]:
            for extent in _divided(shape[axis]):
                tile[axis] = extent
                found[axis].append((tile[0], tile[1], tile[2]))
    return found[0] + found[1], found[2]


def _divided(extent: int) -> list[int]:
    """The different values of ceil(extent / parts) below ``extent``, descending."""
    found, size = [], extent
    while size > 1:
        size = -(-extent // -(-extent // (size - 1)))
        found.append(size)
    return found


def _channel_tiles(job: Job) -> list[int]:
    """Channel extents from the whole down to the grain, about halved each time; round numbers where they can be."""
    channels = job.shape[3]
    found = [channels]
    if job.split[3]:
        groups = channels // job.grain
        while groups > 1:
            groups = -(-groups // 2)
            size = groups * job.grain
            if job.grain == 1:
                size = next((-(-size // unit) * unit for unit in _ROUND if size >= unit), size)
            if size < found[-1]:
                found.append(size)
    return found


def _costs(job: Job, streams: Streams, cut: _Cut, target: Target) -> Iterator[tuple[bool, int]]:
    """Cycles of a cut by whether the loop over channels is the outer one: the longer of computing and of moving.

    Of the transfers, the first loads and the last store always show.
    """
    tiles = prod(cut.counts)
    computing = tiles * _tile_cycles(job, streams, cut, target)
    stored = activation_cycles(cut.output.size, target) if cut.output.size else 0
    for channels_outer in (True, False):
        loads = []
        if cut.params.size:
            count = _loads(cut, False, any(p.channel for p in job.params), channels_outer)
            loads.append((transfer_cycles(cut.params.size, target), count))
        for reads, role in zip(job.reads, cut.inputs):
            by_pixels = any(axis.step and axis.source < 3 and cut.counts[axis.source] > 1 for axis in reads)
            by_channels = any(axis.step and axis.source == 3 for axis in reads)
            if role.size:
                count = _loads(cut, by_pixels, by_channels, channels_outer)
                loads.append((activation_cycles(role.size, target), count))
        moving = stored * tiles + sum(each * count for each, count in loads)
        edge = stored + sum(each for each, _ in loads)
        yield channels_outer, max(computing, moving - edge) + edge
        if cut.chunks == 1 or cut.pixels == 1:
            return


def _tile_cycles(job: Job, streams: Streams, cut: _Cut, target: Target) -> int:
    """Cycles of the instructions of one tile, the first."""
    box = Box((0, 0, 0, 0), cut.tile)
    placed = job.placed(box)
    boxes = tuple(input_box(reads, placed) for reads in job.reads)
    xs = tuple(
        (View.dense(0, need.shape) if streamed else ref.view(0, need)) if need.size else None
        for ref, need, streamed in zip(job.inputs, boxes, streams.inputs)
    )
    y = View.dense(0, box.shape) if streams.output else job.output.view(0, box)
    return sum(program_cycles(job.emit(Tile(job.op, placed, y, boxes, xs, (0,) * len(job.params))), target))


def _loads(cut: _Cut, by_pixels: bool, by_channels: bool, channels_outer: bool) -> int:
    """How often an operand is loaded that changes with pixels or with channels; the last one loaded is kept."""
    if by_pixels and by_channels:
        return cut.pixels * cut.chunks
    if by_pixels:
        return cut.pixels * (cut.chunks if channels_outer else 1)
    if by_channels:
        return cut.chunks * (cut.pixels if not channels_outer and cut.chunks > 1 else 1)
    return 1


def _boxes(job: Job, cut: _Cut, channels_outer: bool) -> Iterator[Box]:
    n, h, w, c = (parts(extent, size) for extent, size in zip(job.shape, cut.tile))
    for a, b, d, e in ((a, b, d, e) for e, a, b, d in product(c, n, h, w)) if channels_outer else product(n, h, w, c):
        yield Box((a[0], b[0], d[0], e[0]), (a[1], b[1], d[1], e[1]))


def smallest_bytes(job: Job) -> int:
    """SRAM for the smallest tile of a job with every operand streamed."""
    n, h, w, c = job.split
    tile = (1 if n else job.shape[0], 1 if h else job.shape[1], 1 if w else job.shape[2],
            job.grain if c else job.shape[3])  # fmt: skip
    return _cut(job, Streams((True,) * len(job.reads), True), tile, 1).bytes


def smallest_working_set(op: Op) -> int:
    """Bytes of SRAM with which a low-level operator runs on the NPU, and without which it cannot, however it is cut.

    Raises InternalError for an op that is no low-level op.
    """
    if op.kind in ("npu.view", "npu.concat"):
        return 2 * ALIGNMENT
    return smallest_bytes(lone_job(op))
