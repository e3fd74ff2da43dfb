"""The LIR layer: one linear stream of instructions, ordered by tokens."""

from furiosa.compiler.lir.linearize import linearize, to_program
from furiosa.compiler.lir.program import Lir
from furiosa.compiler.lir.text import parse_lir, print_lir

__all__ = ["Lir", "linearize", "parse_lir", "print_lir", "to_program"]
