"""The GIR layer: tiles that fit SRAM, transfers, lifetimes and addresses of one NPU cluster."""

from furiosa.compiler.gir.build import build
from furiosa.compiler.gir.program import Gir, Prefetch, Slot, Step
from furiosa.compiler.gir.text import parse_gir, print_gir
from furiosa.compiler.gir.tiling import smallest_working_set

__all__ = ["Gir", "Prefetch", "Slot", "Step", "build", "parse_gir", "print_gir", "smallest_working_set"]
