"""The machine: choice of kernels, ports, and equality of the native kernels with the reference."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
import pytest

from furiosa.isa.enf import Program
from furiosa.isa.errors import EnfError, OptionError
from furiosa.isa.target import target
from furiosa.npu_sim.kernels import available
from furiosa.npu_sim.machine import Machine, kernels_name

WARBOY = target("warboy")


@pytest.mark.parametrize("kernels", available())
@pytest.mark.parametrize("seed", range(12))
def test_all_kernels_equal_the_reference(kernels: str, seed: int, random_program: Callable[..., Program]) -> None:
    program = random_program(seed, 40)
    expected, machine = Machine(program, WARBOY, "reference"), Machine(program, WARBOY, kernels, threads=2)
    for trial in range(2):
        x = np.random.default_rng(trial).integers(0, 256, program.inputs[0].size, np.uint8)
        for port, y, result in zip(program.outputs, expected.run([x]), machine.run([x])):
            np.testing.assert_array_equal(y, result, err_msg=port.tensor)


def test_auto_is_the_best_and_the_environment_may_choose(
    random_program: Callable[..., Program], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FURIOSA_SIM_KERNELS", raising=False)
    assert Machine(random_program(0), WARBOY).kernels == kernels_name() == available()[-1]
    monkeypatch.setenv("FURIOSA_SIM_KERNELS", "reference")
    assert Machine(random_program(0), WARBOY).kernels == "reference"
    assert Machine(random_program(0), WARBOY, "auto").kernels == kernels_name()


def test_unavailable_kernels_are_refused_with_those_that_are(random_program: Callable[..., Program]) -> None:
    with pytest.raises(OptionError, match="the kernels `avx9000` are not available") as caught:
        Machine(random_program(0), WARBOY, "avx9000")
    assert caught.value.hint == f"available are auto, {', '.join(available())}"


def test_outputs_are_written_in_place_whatever_their_shape(random_program: Callable[..., Program]) -> None:
    program = random_program(1)
    machine = Machine(program, WARBOY)
    x = np.arange(program.inputs[0].size, dtype=np.uint8)
    fresh = machine.run([x])
    outputs = [np.empty((1, port.size), np.int8) for port in program.outputs]
    assert all(given is returned for given, returned in zip(outputs, machine.run([x.view(np.int8)[None]], outputs)))
    for y, result in zip(fresh, outputs):
        np.testing.assert_array_equal(y, result.reshape(-1).view(np.uint8))


def test_arrays_that_do_not_fit_are_refused(random_program: Callable[..., Program]) -> None:
    program = random_program(1)
    machine, size = Machine(program, WARBOY), program.inputs[0].size
    with pytest.raises(OptionError, match="2 arrays are given for the 1 ports"):
        machine.run([np.zeros(size, np.uint8)] * 2)
    for wrong in (np.zeros(size - 1, np.uint8), np.zeros(size, np.float32)):
        with pytest.raises(OptionError, match="the array for `x` has"):
            machine.run([wrong])
    strided = [np.empty(2 * port.size, np.uint8)[::2] for port in program.outputs]
    with pytest.raises(OptionError, match="dense one-byte elements are expected"):
        machine.run([np.zeros(size, np.uint8)], strided)


def test_executions_at_one_time_do_not_disturb_each_other(random_program: Callable[..., Program]) -> None:
    program = random_program(2)
    machine = Machine(program, WARBOY)
    inputs = [np.full(program.inputs[0].size, value, np.uint8) for value in range(4)]
    expected = [machine.run([x]) for x in inputs]
    results: list[list[np.ndarray]] = [[] for _ in inputs]

    def work(index: int) -> None:
        results[index] = machine.run([inputs[index]])

    threads = [threading.Thread(target=work, args=(index,)) for index in range(len(inputs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one, other in zip(expected, results):
        assert all(map(np.array_equal, one, other))


def test_an_illegal_program_makes_no_machine(random_program: Callable[..., Program]) -> None:
    program = random_program(0)
    with pytest.raises(EnfError):
        Machine(Program(program.code[:-4], program.constants, program.sram_bytes, program.dram_bytes,
                        program.inputs, program.outputs, ()), WARBOY)  # fmt: skip
