"""The LIR as text: one instruction a line, exact both ways. The bytes of constants are not in it."""

from __future__ import annotations

from collections.abc import Iterator

from furiosa.compiler.gir import records
from furiosa.compiler.gir.records import Unreadable, bad_line, literal
from furiosa.compiler.gir.text import Head
from furiosa.compiler.lir.program import Lir
from furiosa.isa.enf import Port
from furiosa.isa.instructions import Instruction


def print_lir(lir: Lir) -> str:
    """The text of a LIR: head, ports, then the instructions under the nodes they come from."""
    return "\n".join(_lines(lir)) + "\n"


def _lines(lir: Lir) -> Iterator[str]:
    head = Head(lir.name, lir.target, lir.sram_bytes, lir.dram_bytes, len(lir.constants))
    yield f"lir {records.write(head)}"
    yield from (f"input {records.write(port)}" for port in lir.inputs)
    yield from (f"output {records.write(port)}" for port in lir.outputs)
    last = None
    for index, (instruction, node) in enumerate(zip(lir.instructions, lir.nodes)):
        if node != last:
            last = node
            yield f"node {node!r}"
        yield f"  {index} {records.write(instruction)}"


def parse_lir(text: str, constants: bytes) -> Lir:
    """The LIR that ``print_lir`` wrote as ``text``. Raises ModelError naming the line that cannot be read."""
    head: Head | None = None
    ports: dict[str, list[Port]] = {"input": [], "output": []}
    instructions: list[Instruction] = []
    nodes: list[str] = []
    node = ""
    number, line = 0, ""
    try:
        for line in text.split("\n"):
            number += 1
            word, _, rest = line.strip().partition(" ")
            if word == "lir" and head is None:
                head = records.read(rest, {"Head": Head})
            elif word in ports:
                ports[word].append(records.read(rest, {"Port": Port}))
            elif word == "node":
                node = literal(rest, str)
            elif word == str(len(instructions)):
                instruction = records.read_instruction(rest)
                if not all(0 <= token < len(instructions) for token in instruction.waits):
                    raise Unreadable("it waits for an instruction that does not come before it")
                instructions.append(instruction)
                nodes.append(node)
            elif word:
                raise Unreadable(f"`{word}` is not expected here")
        if head is None:
            raise Unreadable("there is no `lir` line")
        if head.constants != len(constants):
            raise Unreadable(f"it goes with {head.constants} bytes of constants, here are {len(constants)}")
    except Unreadable as why:
        raise bad_line("LIR", number, line, why) from None
    return Lir(
        head.name, head.target, tuple(instructions), tuple(nodes), tuple(ports["input"]), tuple(ports["output"]),
        head.sram_bytes, head.dram_bytes, constants,
    )  # fmt: skip
