"""Verification of a program before it runs: a damaged or hostile one is refused, never executed."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from furiosa.isa import instructions as lir
from furiosa.isa.encoding import decode
from furiosa.isa.enf import Port, Program
from furiosa.isa.errors import EnfError
from furiosa.isa.hazards import first_missing_wait
from furiosa.isa.instructions import Instruction
from furiosa.isa.memory import Memory, Region, Regions, regions
from furiosa.isa.target import Target
from furiosa.npu_sim.lifetimes import RUN_LIMIT, Defined, run_count, share_a_byte
from furiosa.npu_sim.operands import Illegal, check

_IN_PLACE = (lir.Add, lir.Sub, lir.Mul, lir.Table)
"""Instructions that may write their result over an operand with the same addresses."""

_DRAM_SLACK = 4096
"""Bytes of DRAM a program may leave unused beside each port and each stored tensor, for alignment."""


def verify(program: Program, target: Target) -> tuple[Instruction, ...]:
    """Decode a program and prove that executing it is safe and has one result.

    What holds afterwards: every address is inside the memories that the program declares and the target has, constants
    are never written, operands fit each other, every byte that is read was written before, instructions that conflict
    are ordered by engine or by ``waits``, no instruction writes over its own operands, and every output is written.
    Raises EnfError naming the instruction, the fact and the limit.
    """
    _sizes(program, target)
    instructions = decode(program.code)
    touched = [_instruction(index, inst, program) for index, inst in enumerate(instructions)]
    _footprint(program, instructions)
    _order(instructions)
    _lifetimes(program, instructions, touched)
    if sum(origin.count for origin in program.origins) > len(instructions):
        raise _refused(f"its origins name more than its {len(instructions)} instructions")
    return instructions


def _refused(fact: str) -> EnfError:
    return EnfError(f"the program is not legal: {fact}", hint="the file is damaged: compile the model again")


def _wrong(index: int, inst: Instruction, fact: str) -> EnfError:
    return _refused(f"instruction {index}, `{type(inst).__name__}` (opcode {inst.opcode:#04x}): {fact}")


def _sizes(program: Program, target: Target) -> None:
    if not 0 <= program.sram_bytes <= target.sram_bytes:
        raise _refused(f"it needs {program.sram_bytes} bytes of SRAM, `{target.name}` has {target.sram_bytes}")
    if not len(program.constants) <= program.dram_bytes <= target.dram_bytes:
        raise _refused(f"it needs {program.dram_bytes} bytes of DRAM for {len(program.constants)} bytes of constants, "
                       f"`{target.name}` has {target.dram_bytes}")  # fmt: skip
    for port in program.inputs + program.outputs:
        if port.size < 1 or port.address < len(program.constants) or port.address + port.size > program.dram_bytes:
            raise _refused(f"port `{port.tensor}` lies at bytes {port.address} to {port.address + port.size} of DRAM, "
                           f"free are {len(program.constants)} to {program.dram_bytes}")  # fmt: skip
    inputs = sorted(program.inputs, key=lambda port: port.address)
    for port, after in pairwise(inputs):
        if port.address + port.size > after.address:
            raise _refused(f"the inputs `{port.tensor}` and `{after.tensor}` share byte {after.address} of DRAM")


def _instruction(index: int, inst: Instruction, program: Program) -> Regions:
    """Check one instruction on its own; what it touches."""
    try:
        check(inst, program.sram_bytes)
        touched = regions(inst)
        for region in touched.reads:
            _region(region, "read", 0, program)
        for region in touched.writes:
            _region(region, "written", len(program.constants), program)
            if not region.distinct:
                raise Illegal(f"two elements written have one address: shape {region.shape}, strides {region.strides}")
            _not_over_operands(inst, region, touched.reads)
    except Illegal as fact:
        raise _wrong(index, inst, str(fact)) from None
    for token in inst.waits:
        if not 0 <= token < index:
            raise _wrong(index, inst, f"it waits for token {token}, which is not that of an earlier instruction")
    return touched


def _region(region: Region, verb: str, first: int, program: Program) -> None:
    memory, start, end = region.interval
    if memory is Memory.DRAM and not first <= start < end <= program.dram_bytes:
        raise Illegal(f"bytes {start} to {end} of DRAM are {verb}, only {first} to {program.dram_bytes} may be")
    if verb == "read" and memory is Memory.DRAM and start < len(program.constants) < end:
        raise Illegal(f"bytes {start} to {end} of DRAM are read, the constants end at {len(program.constants)} within")
    if run_count(region) > RUN_LIMIT:
        raise Illegal(f"{run_count(region)} separate runs of bytes are {verb}, at most {RUN_LIMIT} may be")


def _not_over_operands(inst: Instruction, written: Region, reads: Sequence[Region]) -> None:
    for region in reads:
        if share_a_byte(region, written) and not (region == written and isinstance(inst, _IN_PLACE)):
            raise Illegal(f"its result at byte {written.address} lies over its operand at byte {region.address}")


def _footprint(program: Program, instructions: Sequence[Instruction]) -> None:
    """DRAM that neither constants, ports nor stored tensors explain would be a way to exhaust the host's memory."""
    stored = [inst.src.size for inst in instructions if isinstance(inst, lir.Store)]
    ports = [port.size for port in program.inputs + program.outputs]
    limit = len(program.constants) + sum(size + _DRAM_SLACK for size in stored + ports) + _DRAM_SLACK
    if program.dram_bytes > limit:
        raise _refused(f"it declares {program.dram_bytes} bytes of DRAM, its tensors explain at most {limit}")


def _order(instructions: Sequence[Instruction]) -> None:
    missing = first_missing_wait(instructions)
    if missing is not None:
        index, token = missing
        raise _wrong(index, instructions[index], f"it touches bytes of instruction {token} but does not wait for it")


def _lifetimes(program: Program, instructions: Sequence[Instruction], touched: Sequence[Regions]) -> None:
    defined = {memory: Defined() for memory in Memory}
    if program.constants:
        defined[Memory.DRAM].add(Region(Memory.DRAM, 0, (len(program.constants),), (1,)))
    for port in program.inputs:
        defined[Memory.DRAM].add(_port(port))
    for index, (inst, (reads, writes)) in enumerate(zip(instructions, touched)):
        for region in reads:
            byte = defined[region.memory].missing(region)
            if byte is not None:
                raise _wrong(index, inst, f"it reads byte {byte} of {region.memory.name}, which nothing has written")
        for region in writes:
            defined[region.memory].add(region)
    for port in program.outputs:
        byte = defined[Memory.DRAM].missing(_port(port))
        if byte is not None:
            raise _refused(f"byte {byte} of DRAM, in the output `{port.tensor}`, is never written")


def _port(port: Port) -> Region:
    return Region(Memory.DRAM, port.address, (port.size,), (1,))
