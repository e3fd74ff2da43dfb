"""What it costs to go from the host to the NPU and back: bytes, steps of the host, modelled time on the link."""

from __future__ import annotations

from math import prod
from typing import Any

from furiosa.isa import enf
from furiosa.isa.target import Target

_HOST = (enf.Quantize, enf.Dequantize, enf.Lower, enf.Unlower, enf.Pad, enf.Slice)


def boundaries(tensors: tuple[enf.Tensor, ...], steps: tuple[enf.Step, ...], target: Target) -> list[dict[str, Any]]:
    """An object for each tensor that an NPU program takes or gives, in the order of the steps.

    Keys: ``tensor``, ``direction`` (``to_npu`` or ``from_npu``), ``bytes`` over the host link, ``link_us`` (modelled),
    ``host_steps`` (names of the layout steps beside it) and ``host_bytes`` (what these read and write).
    """
    sizes = {tensor.name: prod(tensor.storage) * tensor.dtype.itemsize for tensor in tensors}
    host = [step for step in steps if isinstance(step, _HOST)]
    maker = {step.y: step for step in host}
    reader = {step.x: step for step in host}
    rows = []
    for step in steps:
        if not isinstance(step, enf.RunNpu):
            continue
        for name in step.inputs:
            rows.append(_row(name, "to_npu", _before(name, maker), sizes, target))
        for name in step.outputs:
            rows.append(_row(name, "from_npu", _after(name, reader), sizes, target))
    return rows


def _before(name: str, maker: dict[str, Any]) -> list[Any]:
    found: list[Any] = []
    while name in maker:
        found.insert(0, maker[name])
        name = maker[name].x
    return found


def _after(name: str, reader: dict[str, Any]) -> list[Any]:
    found: list[Any] = []
    while name in reader:
        found.append(reader[name])
        name = reader[name].y
    return found


def _row(name: str, direction: str, steps: list[Any], sizes: dict[str, int], target: Target) -> dict[str, Any]:
    return {
        "tensor": name,
        "direction": direction,
        "bytes": sizes[name],
        "link_us": round(sizes[name] * 1e6 / target.host_bytes_per_second, 3),
        "host_steps": [type(step).__name__ for step in steps],
        "host_bytes": sum(sizes[step.x] + sizes[step.y] for step in steps),
    }
