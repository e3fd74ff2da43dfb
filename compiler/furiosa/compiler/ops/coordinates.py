"""Where in its operand an element of a Resize lies: the scales and coordinates of ONNX Runtime."""

from __future__ import annotations

import numpy as np

from furiosa.compiler.ops.table import Unit
from furiosa.isa.arithmetic import IDENTITY, Coordinates

MODES = ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", "tf_half_pixel_for_nn")
"""``coordinate_transformation_mode`` that ``coordinates`` knows."""


def coordinate_mode(unit: Unit) -> str:
    """The ``coordinate_transformation_mode`` of a Resize or Upsample; before opset 11 there was one."""
    plain = unit.node.op_type == "Upsample" or unit.node.opset < 11
    return "asymmetric" if plain else unit.node.str("coordinate_transformation_mode", "half_pixel")


def coordinates(mode: str, scale: np.float32, before: int, after: int) -> Coordinates:
    """Of one of the ``MODES``, along an axis that goes from ``before`` to ``after`` elements by ``scale``."""
    if scale == 1:
        return IDENTITY
    if mode == "align_corners":
        return (
            Coordinates(0.0, float(before - 1), float(after - 1), 0.0) if after > 1 else Coordinates(0.0, 0.0, 1.0, 0.0)
        )
    if mode == "pytorch_half_pixel" and after == 1:
        return Coordinates(0.0, 0.0, 1.0, 0.0)
    lead = 0.0 if mode == "asymmetric" else 0.5
    return Coordinates(lead, 1.0, float(scale), -0.5 if mode.endswith("half_pixel") else 0.0)


def scales(unit: Unit, before: tuple[int, ...], after: tuple[int, ...]) -> list[np.float32]:
    """The scale of each axis: as given, or the ratio of the sizes. A Resize to its own shape leaves all as it is."""
    if before == after:
        return [np.float32(1)] * len(after)
    operand = unit.array(1 if unit.node.op_type == "Upsample" or unit.node.opset < 11 else 2)
    axes = [axis % len(after) for axis in unit.node.ints("axes") or range(len(after))]
    if operand is not None and operand.size:
        given = dict(zip(axes, operand.reshape(-1).astype(np.float32)))
        return [given.get(axis, np.float32(1)) for axis in range(len(after))]
    policy = unit.node.str("keep_aspect_ratio_policy", "stretch")
    sizes = unit.array(3) if policy != "stretch" else None
    if sizes is None:
        return [np.float32(new) / np.float32(old) for old, new in zip(before, after)]
    ratios = [np.float32(size) / np.float32(before[axis]) for axis, size in zip(axes, sizes.reshape(-1))]
    one = min(ratios) if policy == "not_larger" else max(ratios)
    return [one if axis in axes else np.float32(1) for axis in range(len(after))]
