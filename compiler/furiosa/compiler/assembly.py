"""The last stage: the compiled file, with the report in it."""

from __future__ import annotations

import json

from furiosa.compiler import lir
from furiosa.compiler.lir.program import Lir
from furiosa.compiler.module import Module
from furiosa.compiler.report import report
from furiosa.isa.enf import Enf
from furiosa.isa.version import DISTRIBUTION, VERSION


def assemble(module: Module[Lir]) -> Enf:
    """The content of the ENF file of a module."""
    return Enf(
        module.target, module.batch_size, module.inputs, module.outputs, module.tensors, module.steps,
        tuple(lir.to_program(program) for program in module.programs), module.cpu_models,
        json.dumps(report(module)), f"{DISTRIBUTION} {VERSION}",
    )  # fmt: skip
