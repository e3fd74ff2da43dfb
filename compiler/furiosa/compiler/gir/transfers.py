"""Loads of what lies side by side, and of parameters whole or for some channels."""

from __future__ import annotations

from furiosa.compiler.gir.boxes import Four
from furiosa.compiler.gir.row import Parameter
from furiosa.isa.instructions import Load, View


def flat(address: int, size: int) -> View:
    """``size`` bytes that lie side by side."""
    return View(address, (1, 1, 1, size), (size, size, size, 1))


def flat_load(address: int, source: int, size: int) -> Load:
    """The load of ``size`` bytes that lie side by side in both memories."""
    view = flat(address, size)
    return Load(dst=view, src=source, src_strides=view.strides)


def whole_loads(params: tuple[Parameter, ...], sources: tuple[int, ...], addresses: list[int]) -> list[Load]:
    """Loads of whole parameters, one for those that lie side by side in DRAM as they do in SRAM."""
    runs: list[tuple[int, int, int]] = []
    for parameter, source, address in zip(params, sources, addresses):
        if runs and source - address == runs[-1][0] - runs[-1][1]:
            runs[-1] = (runs[-1][0], runs[-1][1], address + parameter.size - runs[-1][1])
        else:
            runs.append((source, address, parameter.size))
    return [flat_load(address, source, size) for source, address, size in runs]


def slice_load(parameter: Parameter, source: int, address: int, first: int, channels: int) -> Load:
    """The load of one parameter's slice for some output channels."""
    if parameter.channel == 0:
        return flat_load(address, source, parameter.size)
    (kh, kw), each = parameter.rows, parameter.channel
    total = parameter.size // (kh * kw)
    shape: Four = (1, 1, kh * kw, each * channels)
    return Load(dst=View.dense(address, shape), src=source + each * first, src_strides=(0, 0, total, 1))
