"""The instruction set: one frozen dataclass an opcode, with its operands and its meaning.

Memory. SRAM and DRAM are byte addressed. A *view* is a strided box of one-byte elements in SRAM. Activations lie
channels-last: a tensor of the model with shape (N, C, H, W) is a view of shape (N, H, W, C).

Order. Each engine issues its instructions in program order and finishes one before it starts the next. An instruction
also waits for the tokens in ``waits``: the token of an instruction is its index in the program, given when it is done.
"""

from furiosa.isa.instructions.elementwise import Add, Mul, Sub, Sum, Table
from furiosa.isa.instructions.instruction import Engine, Instruction
from furiosa.isa.instructions.moves import Copy, Fill, Load, Store
from furiosa.isa.instructions.operands import Activation, BinaryForm, CopyKind, Framework, Rounding, Summation, View
from furiosa.isa.instructions.pools import AddAveragePool2d, AveragePool2d, GlobalAveragePool, Interpolate, MaxPool2d
from furiosa.isa.instructions.products import Conv2d, DepthwiseConv2d, MatMul
from furiosa.isa.instructions.rows import L2Normalize, ReduceL2, Softmax

INSTRUCTIONS: dict[int, type[Instruction]] = {
    cls.opcode: cls
    for cls in (
        Load, Store, Conv2d, DepthwiseConv2d, MatMul, MaxPool2d, AveragePool2d, GlobalAveragePool, AddAveragePool2d,
        Interpolate, Add, Sub, Mul, Sum, Table, Softmax, ReduceL2, L2Normalize, Copy, Fill,
    )
}  # fmt: skip

__all__ = [
    "INSTRUCTIONS", "Activation", "Add", "AddAveragePool2d", "AveragePool2d", "BinaryForm", "Conv2d", "Copy",
    "CopyKind", "DepthwiseConv2d", "Engine", "Fill", "Framework", "GlobalAveragePool", "Instruction", "Interpolate",
    "L2Normalize", "Load", "MatMul", "MaxPool2d", "Mul", "ReduceL2", "Rounding", "Softmax", "Store", "Sub", "Sum",
    "Summation", "Table", "View",
]  # fmt: skip
