"""Every row of the table of kernels: variants and numbers of threads give the bytes of the NumPy reference."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from furiosa.isa.instructions import INSTRUCTIONS
from furiosa.isa.target import target
from furiosa.npu_sim.operands import check
from kernel_cases import InstructionCase
from kernel_table import KERNELS

native = pytest.importorskip("furiosa.npu_sim._native", reason="the native module is not built (no C++ compiler)")

ROWS = {kernel.name: kernel for kernel in KERNELS}
SRAM_BYTES = target("warboy").sram_bytes


@pytest.mark.parametrize("name", ROWS)
@given(random=st.randoms())
@settings(max_examples=40)
def test_kernel(name: str, random: Random) -> None:
    case = ROWS[name].draw(random)
    if isinstance(case, InstructionCase):
        assert type(case.inst) is ROWS[name].instruction
        check(case.inst, SRAM_BYTES)
    expected = case.expected()
    for variant in native.available():
        run = case.bind(variant)
        for threads in (1, 2, 3):
            wrong = np.flatnonzero(run(threads) != expected)
            assert not wrong.size, f"{variant}, {threads} threads: {wrong.size} bytes differ, first {wrong[:5]}: {case}"


def test_every_opcode_has_a_row() -> None:
    assert {kernel.instruction for kernel in KERNELS} == {None, *INSTRUCTIONS.values()}


def test_benchmark() -> None:
    script = Path(__file__).parents[2] / "benchmarks" / "kernels.py"
    command = [sys.executable, script, "--json", "--rounds", "1", "--rows", "depthwise,fill"]
    printed = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    names = [(name, layer) for name in ("depthwise", "fill") for layer in ROWS[name].layers]
    kernels = native.available()[::-1]
    rows = printed["layers"]
    assert [(row["kernel"], row["layer"], row["kernels"]) for row in rows] == [(*n, k) for n in names for k in kernels]
    for row in rows:
        rates = {key for key in ("gmac_per_s", "peak_share", "gb_per_s") if row[key] is not None}
        assert rates == ({"gb_per_s"} if row["kernel"] == "fill" else {"gmac_per_s", "peak_share"})
