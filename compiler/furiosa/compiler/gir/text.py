"""The GIR as text: one slot, transfer or instruction a line, exact both ways. The bytes of constants are not in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from furiosa.compiler.gir import records
from furiosa.compiler.gir.program import Gir, Prefetch, Slot, Step
from furiosa.compiler.gir.records import Unreadable, bad_line, literal
from furiosa.isa.enf import Port
from furiosa.isa.instructions import Instruction, Load, Store


@dataclass(frozen=True, slots=True)
class Head:
    """The first line of a GIR or LIR: what it is for; ``constants`` is their size in bytes."""

    name: str
    target: str
    sram_bytes: int
    dram_bytes: int
    constants: int


def print_gir(gir: Gir) -> str:
    """The text of a GIR: head, ports, slots, then each step with its loads, instruction and stores."""
    return "\n".join(_lines(gir)) + "\n"


def _lines(gir: Gir) -> Iterator[str]:
    head = Head(gir.name, gir.target, gir.sram_bytes, gir.dram_bytes, len(gir.constants))
    yield f"gir {records.write(head)}"
    yield from (f"input {records.write(port)}" for port in gir.inputs)
    yield from (f"output {records.write(port)}" for port in gir.outputs)
    yield from (f"slot {records.write(slot)}" for slot in gir.slots)
    for index, step in enumerate(gir.steps):
        yield f"step {index} {step.node!r}"
        yield from (f"  load {fetch.issue} {records.write(fetch.load)}" for fetch in step.loads)
        yield f"  run {records.write(step.instruction)}"
        yield from (f"  store {records.write(store)}" for store in step.stores)


def parse_gir(text: str, constants: bytes) -> Gir:
    """The GIR that ``print_gir`` wrote as ``text``. Raises ModelError naming the line that cannot be read."""
    reader = _Reader()
    number, line = 0, ""
    try:
        for line in text.split("\n"):
            number += 1
            if line.strip():
                reader.line(line.strip())
        return reader.gir(constants)
    except Unreadable as why:
        raise bad_line("GIR", number, line, why) from None


class _Reader:
    """What the lines so far say."""

    def __init__(self) -> None:
        self._head: Head | None = None
        self._ports: dict[str, list[Port]] = {"input": [], "output": []}
        self._slots: list[Slot] = []
        self._steps: list[Step] = []
        self._node: str | None = None
        self._loads: list[Prefetch] = []
        self._instruction: Instruction | None = None
        self._stores: list[Store] = []

    def line(self, line: str) -> None:
        """Read one line."""
        word, _, rest = line.partition(" ")
        if word == "gir" and self._head is None:
            self._head = records.read(rest, {"Head": Head})
        elif word in self._ports:
            self._ports[word].append(records.read(rest, {"Port": Port}))
        elif word == "slot":
            self._slots.append(records.read(rest, {"Slot": Slot}))
        elif word == "step":
            self._end_step()
            index, _, node = rest.partition(" ")
            if index != str(len(self._steps)):
                raise Unreadable(f"this is step {len(self._steps)}")
            self._node = literal(node, str)
        elif self._node is None:
            raise Unreadable(f"`{word}` is not expected here")
        else:
            self._part(word, rest)

    def _part(self, word: str, rest: str) -> None:
        """Read a line inside a step."""
        if word == "load":
            issue, _, load = rest.partition(" ")
            self._loads.append(Prefetch(literal(issue, int), records.read_instruction(load, {"Load": Load})))
        elif word == "run" and self._instruction is None:
            self._instruction = records.read_instruction(rest)
        elif word == "store":
            self._stores.append(records.read_instruction(rest, {"Store": Store}))
        else:
            raise Unreadable(f"`{word}` is not expected here")

    def _end_step(self) -> None:
        if self._node is None:
            return
        if self._instruction is None:
            raise Unreadable(f"step {len(self._steps)} has no `run` line")
        late = [fetch.issue for fetch in self._loads if not 0 <= fetch.issue <= len(self._steps)]
        if late:
            raise Unreadable(f"a load of step {len(self._steps)} is issued at step {late[0]}")
        self._steps.append(Step(self._node, self._instruction, tuple(self._loads), tuple(self._stores)))
        self._node, self._instruction, self._loads, self._stores = None, None, [], []

    def gir(self, constants: bytes) -> Gir:
        """The whole."""
        self._end_step()
        head = self._head
        if head is None:
            raise Unreadable("there is no `gir` line")
        if head.constants != len(constants):
            raise Unreadable(f"it goes with {head.constants} bytes of constants, here are {len(constants)}")
        return Gir(
            head.name, head.target, tuple(self._slots), tuple(self._steps), tuple(self._ports["input"]),
            tuple(self._ports["output"]), head.sram_bytes, head.dram_bytes, constants,
        )  # fmt: skip
