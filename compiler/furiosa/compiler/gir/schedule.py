"""The schedule: walks the jobs once, deciding what stays in SRAM, where, and which transfers go when.

A buffer stays in SRAM from its first job to its last while there is room. Without room, the buffer whose next use is
farthest away goes to DRAM (Belady's rule), which may be the one just to be made: it is then stored tile by tile and
read back tile by tile. Constants and tiles take turns in the largest hole, so that what is loaded rarely comes to lie
where an instruction still works, and loads run ahead as far as memory permits.
"""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heappop, heappush

from furiosa.compiler.gir.allocate import Arena, LastUse, aligned
from furiosa.compiler.gir.boxes import Box, input_box
from furiosa.compiler.gir.choices import Choices
from furiosa.compiler.gir.constants import Constants
from furiosa.compiler.gir.jobs import Buffer, Job, Ref, Work
from furiosa.compiler.gir.program import Prefetch, Slot, Step
from furiosa.compiler.gir.rings import Ring, Rings
from furiosa.compiler.gir.row import Tile
from furiosa.compiler.gir.spills import Spills
from furiosa.compiler.gir.tiling import Streams, Tiling, smallest_bytes, tile, whole_bytes
from furiosa.compiler.gir.transfers import slice_load, whole_loads
from furiosa.isa.errors import UnsupportedError
from furiosa.isa.instructions import Instruction, Load, Store, View
from furiosa.isa.memory import Memory
from furiosa.isa.target import Target

_RESERVE = 8
"""A job that is cut into tiles gets at least this fraction of SRAM before it is content with small tiles."""


@dataclass(slots=True)
class _Step:
    node: str
    instruction: Instruction
    loads: list[Prefetch]
    stores: list[Store]


class Schedule:
    """The schedule of one cluster. ``steps`` and ``slots`` grow job by job; ``starts`` has the first step of each job.

    ``tight`` says that more room might have changed it.
    """

    def __init__(self, work: Work, target: Target, choices: Choices, constants: Constants) -> None:
        self._jobs = work.jobs
        self._target = target
        self._choices = choices
        self._room = choices.room
        self.tight = False
        self._constants = constants
        self._params = [constants.place([p.const for p in job.params]) for job in work.jobs]
        for op, buffer in work.consts:
            (buffer.dram,) = constants.place([op])
        self.dram_bytes = constants.size
        for buffer in (*work.inputs, *work.outputs):
            buffer.dram = self.dram_bytes
            self.dram_bytes = aligned(buffer.dram + buffer.size)
        self._spills = Spills(self.dram_bytes, target.dram_bytes)
        self._buffers = work.buffers
        self._sram = Arena(choices.room)
        self._last_use = LastUse()
        self._cursor = 0
        self._top = False
        self._issued = 0
        self.starts: list[int] = []
        self._resident: list[tuple[int, int]] = []
        self._steps: list[_Step] = []
        self.slots: list[Slot] = []
        self.sram_bytes = 0

    def run(self) -> None:
        """Schedule all jobs. Raises UnsupportedError for one that does not fit SRAM in any way."""
        for index, job in enumerate(self._jobs):
            if job.number in self._choices.late and self.starts:
                self._issued = max(self._issued, self.starts[-1])
            self.starts.append(len(self._steps))
            fetched, tiling, streams = self._make_room(index, job)
            self._spills.settle()
            self._do(index, job, tiling, streams, [self._fetch(buffer) for buffer in fetched])
            self._finish(index, job)
        self.dram_bytes = max(self.dram_bytes, self._spills.end)

    @property
    def steps(self) -> tuple[Step, ...]:
        return tuple(Step(s.node, s.instruction, tuple(s.loads), tuple(s.stores)) for s in self._steps)

    # Residency

    def _make_room(self, index: int, job: Job) -> tuple[list[Buffer], Tiling, Streams]:
        """Settle which of a job's buffers are in SRAM whole, and its tiles; gives the buffers to load for it."""
        mine = _distinct(job)
        out = job.output.buffer
        fresh = not out.begun and self._begin(index, out, mine)
        fetched: list[Buffer] = []
        for buffer in mine:
            ready = buffer is not out and buffer.address is None and not buffer.missing
            if ready and self._hold_if_easy(index, buffer):
                fetched.append(buffer)
        while True:
            streams = _streams(job)
            want = min(whole_bytes(job, streams), self._room // _RESERVE)
            room = self._sram.largest()[1]
            tiling = self._tile(job, streams, room) if room >= want else None
            self.tight |= room < whole_bytes(job, streams)
            if tiling is None:
                if fresh and self._evict(index, mine, out.next_use(index)):
                    continue
                if fresh:
                    self._release(out)
                    self._spill(out)
                    fresh = False
                    continue
                if self._evict(index, mine, -1):
                    continue
                tiling = self._tile(job, streams, room)
            if tiling is not None:
                return [b for b in fetched if b.address is not None], tiling, streams
            if not self._evict_own(mine, fetched):
                raise self._too_big(job)

    def _tile(self, job: Job, streams: Streams, room: int) -> Tiling | None:
        return tile(job, streams, room, self._target, self._choices.tiles.get(job.number, 0))

    def _begin(self, index: int, out: Buffer, mine: list[Buffer]) -> bool:
        """Give a buffer its place before its first bytes are written; whether that is in SRAM."""
        out.begun = True
        own = sum(aligned(b.size) for b in mine if b.address is not None)
        wanted = (out.read or not out.output) and out.number not in self._choices.outside
        if wanted and out.size <= self._room - own:
            while not self._hold(out):
                if not self._evict(index, mine, out.next_use(index)):
                    break
        if out.address is None:
            self.tight |= wanted
            self._spill(out)
        return out.address is not None

    def _hold(self, buffer: Buffer) -> bool:
        """Try to give a buffer an SRAM address."""
        take = self._sram.take_last if self._top else self._sram.take
        buffer.address = take(buffer.size)
        if buffer.address is None:
            return False
        self._top = self._choices.ends and not self._top
        buffer.first = len(self._steps)
        self.sram_bytes = max(self.sram_bytes, buffer.address + buffer.size)
        return True

    def _hold_if_easy(self, index: int, buffer: Buffer) -> bool:
        """Hold a buffer that later jobs read too, if that leaves room for the tiles of job ``index``."""
        if buffer.next_use(index) is None or buffer.number in self._choices.outside:
            return False
        if not self._hold(buffer):
            self.tight = True
            return False
        job = self._jobs[index]
        want = min(whole_bytes(job, _streams(job)), self._room // _RESERVE)
        if self._sram.largest()[1] >= want:
            return True
        self._release(buffer)
        self.tight = True
        return False

    def _release(self, buffer: Buffer) -> None:
        """Take the SRAM address away from a buffer that has not come to use it."""
        assert buffer.address is not None
        self._sram.give(buffer.address, buffer.size)
        buffer.address = None

    def _spill(self, buffer: Buffer) -> None:
        """Give a buffer that is written a DRAM address, if it has none."""
        if buffer.dram is None:
            buffer.dram = self._spills.take(buffer, len(self._steps))
        buffer.stored = True

    def _evict(self, index: int, mine: list[Buffer], beyond: int | None) -> bool:
        """Move the buffer used again last to DRAM, if that is after ``beyond`` (None: never); whether there was one."""
        if beyond is None:
            return False
        kept: list[tuple[int, int]] = []
        found = None
        while self._resident and found is None:
            use, number = self._resident[0]
            buffer = self._buffers[number]
            if buffer.address is None or buffer.next_use(index - 1) != -use:
                heappop(self._resident)
            elif -use <= beyond:
                break
            elif buffer in mine:
                kept.append(heappop(self._resident))
            else:
                found = buffer
                heappop(self._resident)
        for entry in kept:
            heappush(self._resident, entry)
        if found is None:
            return False
        self.tight = True
        self._move_out(found)
        return True

    def _evict_own(self, mine: list[Buffer], fetched: list[Buffer]) -> bool:
        """Move the largest of a job's own buffers to DRAM; whether there was one."""
        held = [buffer for buffer in mine if buffer.address is not None]
        if not held:
            return False
        buffer = max(held, key=lambda b: b.size)
        if buffer in fetched:
            self._release(buffer)
        else:
            self._move_out(buffer)
        return True

    def _move_out(self, buffer: Buffer) -> None:
        """End a buffer's time in SRAM after the last step; it is stored first unless DRAM has it already."""
        if not buffer.stored:
            if buffer.dram is None:
                buffer.dram = self._spills.take(buffer, len(self._steps) - 1)
            self._store(buffer)
        self._leave(buffer)

    def _store(self, buffer: Buffer) -> None:
        """Store all of a buffer that is written, after the last step."""
        assert buffer.address is not None and buffer.dram is not None
        step = self._steps[-1]
        if buffer.missing:
            for ref in buffer.parts:
                box = Box.whole(ref.shape)
                step.stores.append(Store(src=ref.view(buffer.address, box), dst=buffer.dram + ref.offset,
                                         dst_strides=ref.strides))  # fmt: skip
        else:
            view = buffer.view(buffer.address)
            step.stores.append(Store(src=view, dst=buffer.dram, dst_strides=view.strides))
        buffer.stored, buffer.ready = True, len(self._steps) - 1

    def _leave(self, buffer: Buffer) -> None:
        """Free a buffer's SRAM after the last step."""
        assert buffer.address is not None
        last = len(self._steps) - 1
        self._sram.give(buffer.address, buffer.size)
        if buffer.first <= last:
            end = buffer.address + buffer.size
            self._last_use.mark(buffer.address, end, last)
            self.slots.append(
                Slot(Memory.SRAM, buffer.address, buffer.size, buffer.first, last, "activation", buffer.name)
            )
        buffer.address = None

    def _too_big(self, job: Job) -> UnsupportedError:
        need, have = smallest_bytes(job), self._target.sram_bytes
        return UnsupportedError(
            f"operator `{job.op.name}` needs {need} bytes of SRAM at once, `{self._target.name}` has {have}",
            where=f"node `{job.node}`", hint="a smaller input, kernel or channel count makes it fit",
        )  # fmt: skip

    # Steps

    def _do(self, index: int, job: Job, tiling: Tiling, streams: Streams, loads: list[Prefetch]) -> None:
        """Append the steps of a job; ``loads`` go with the first one."""
        address = self._take(tiling.bytes) if tiling.bytes else 0
        rings = Rings.of(job, tiling, address, self.slots, self._last_use)
        out = job.output.buffer
        ready = [ref.buffer.ready for ref in job.inputs]  # what a job in place stores itself is none of its operands
        for box in tiling.boxes:
            placed = job.placed(box)
            boxes = tuple(input_box(reads, placed) for reads in job.reads)
            addresses = self._parameters(index, job, box, rings.params, loads)
            xs = tuple(
                self._operand(ref, need, ring if streamed else None, after, loads)
                for ref, need, ring, streamed, after in zip(job.inputs, boxes, rings.inputs, streams.inputs, ready)
            )
            now = len(self._steps)
            if streams.output:
                rings.output.turn(box, now)
                y = View.dense(rings.output.slot, box.shape)
            else:
                assert out.address is not None
                y = job.output.view(out.address, box)
            for instruction in job.emit(Tile(job.op, placed, y, boxes, xs, addresses)):
                self._steps.append(_Step(job.node, instruction, loads, []))
                loads = []
            if streams.output:
                assert out.dram is not None
                store = Store(src=y, dst=out.dram + job.output.at(box), dst_strides=job.output.strides)
                self._steps[-1].stores.append(store)
                out.ready = len(self._steps) - 1
            rings.use(len(self._steps) - 1)
        rings.close()
        if tiling.bytes:
            self._sram.give(address, tiling.bytes)

    def _take(self, size: int) -> int:
        """SRAM for the streamed operands of a job; jobs take turns in the largest hole."""
        address = self._sram.take_in_turn(size, self._cursor)
        assert address is not None
        self._cursor = address + size
        self.sram_bytes = max(self.sram_bytes, self._cursor)
        return address

    def _operand(self, ref: Ref, box: Box, ring: Ring | None, ready: int, loads: list[Prefetch]) -> View | None:
        """The view of an input box: in its buffer, or in a slot that it is loaded into after step ``ready``."""
        buffer = ref.buffer
        if not box.size:
            return None
        if ring is None:
            assert buffer.address is not None
            return ref.view(buffer.address, box)
        if ring.held != box:
            assert buffer.dram is not None
            ring.turn(box, 0)
            view = View.dense(ring.slot, box.shape)
            ring.first = self._issue(ring.slot, ring.role.size, ready)
            loads.append(Prefetch(ring.first, Load(dst=view, src=buffer.dram + ref.at(box), src_strides=ref.strides)))
        return View.dense(ring.slot, box.shape)

    def _parameters(self, index: int, job: Job, box: Box, ring: Ring, loads: list[Prefetch]) -> tuple[int, ...]:
        """The addresses of the parameters for a box's channels, which are loaded if they are not there."""
        if not job.params:
            return ()
        first, channels = box.start[3], box.shape[3]
        whole = channels == job.shape[3] or not any(p.channel for p in job.params)
        held = Box((0, 0, 0, 0 if whole else first), (1, 1, 1, job.shape[3] if whole else first + channels))
        fresh = ring.held != held
        if fresh:
            ring.turn(held, 0)
        addresses = []
        at = ring.slot
        for parameter in job.params:
            addresses.append(at)
            at += aligned(parameter.bytes_of(channels))
        if fresh:
            ring.first = self._issue(ring.slot, ring.role.size, -1)
            sources = self._params[index]
            if whole:
                found = whole_loads(job.params, sources, addresses)
            else:
                places = zip(job.params, sources, addresses)
                found = [slice_load(p, source, to, first, channels) for p, source, to in places]
            loads.extend(Prefetch(ring.first, load) for load in found)
        return tuple(addresses)

    def _fetch(self, buffer: Buffer) -> Prefetch:
        """The load of a whole buffer for the next step."""
        assert buffer.address is not None and buffer.dram is not None
        buffer.first = self._issue(buffer.address, buffer.size, buffer.ready)
        view = buffer.view(buffer.address)
        return Prefetch(buffer.first, Load(dst=view, src=buffer.dram, src_strides=view.strides))

    def _issue(self, address: int, size: int, ready: int) -> int:
        """The first step at which bytes may be loaded: free here and ready in DRAM; loads keep the order of need."""
        self._issued = max(self._issued, self._last_use.latest(address, address + size) + 1, ready + 1)
        return self._issued

    def _finish(self, index: int, job: Job) -> None:
        """After a job: store what became complete, free what nothing needs."""
        out = job.output.buffer
        out.missing -= 1
        if out.address is not None:
            out.stored = False
            if job.output.place not in {part.place for part in out.parts}:
                out.parts.append(job.output)
            if out.output and not out.missing:
                self._store(out)
        for buffer in _distinct(job):
            use = buffer.next_use(index)
            if use is None:
                self._drop(buffer)
            elif buffer.address is not None:
                heappush(self._resident, (-use, buffer.number))

    def _drop(self, buffer: Buffer) -> None:
        """Free all memory of a buffer that no later job touches."""
        if buffer.address is not None:
            self._leave(buffer)
        if buffer.dram is not None and not buffer.home:
            first, address = self._spills.give(buffer)
            self.slots.append(
                Slot(Memory.DRAM, address, buffer.size, first, len(self._steps) - 1, "spill", buffer.name)
            )


def _distinct(job: Job) -> list[Buffer]:
    """The buffers of a job, each once."""
    found: list[Buffer] = []
    for ref in (*job.inputs, job.output):
        if ref.buffer not in found:
            found.append(ref.buffer)
    return found


def _streams(job: Job) -> Streams:
    """What is not in SRAM passes through it."""
    return Streams(tuple(ref.buffer.address is None for ref in job.inputs), job.output.buffer.address is None)
