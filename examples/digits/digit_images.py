"""The digit images of this example: how 8x8 scans become 28x28 model inputs, and the file that holds them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

FOLDER = Path(__file__).resolve().parent
MODEL = FOLDER / "digits.onnx"
IMAGES = FOLDER / "digits.npz"
SIZE = 28
_SCALE = 3
_MARGIN = 2
_DARKEST = 16

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class DigitImages:
    """What `digits.npz` holds; pixels are uint8 `(count, 1, 28, 28)`, 0 is paper and 255 is ink.

    ``images`` and ``labels`` (the digit, uint8) were held back from the training; ``calibration`` is a part of the
    training images, so no image is in both.
    """

    images: Pixels
    labels: Pixels
    calibration: Pixels


def load() -> DigitImages:
    """The committed images."""
    with np.load(IMAGES, allow_pickle=False) as file:
        return DigitImages(file["images"], file["labels"], file["calibration"])


def to_input(pixels: Pixels) -> Floats:
    """Pixels as the model takes them: float32 from 0 to 1, same shape."""
    return pixels.astype(np.float32) / np.float32(255)


def upscale(scans: npt.NDArray[Any]) -> Pixels:
    """Scans of `(count, 8, 8)` with values 0 to 16, as pixels of `(count, 1, 28, 28)`.

    Bilinear to 24x24 (pixel centres aligned, edges repeated) and a blank margin of 2. All of it is exact integer
    arithmetic up to the last division, so every machine makes the same pixels.
    """
    weights = _thirds(scans.shape[1])
    ninths = weights @ scans.astype(np.int64) @ weights.T
    full = _SCALE * _SCALE * _DARKEST
    pixels = ((ninths * 255 * 2 + full) // (2 * full)).astype(np.uint8)
    margin = (_MARGIN, _MARGIN)
    return np.pad(pixels, ((0, 0), margin, margin))[:, None]


def _thirds(source: int) -> npt.NDArray[np.int64]:
    """Bilinear weights `(3 * source, source)`, in thirds: outputs lie a third before, on and after a source pixel."""
    weights = np.zeros((source * _SCALE, source), np.int64)
    for row in range(source * _SCALE):
        pixel, step = divmod(row, _SCALE)
        neighbour = min(max(pixel + step - 1, 0), source - 1)
        weights[row, pixel] += _SCALE - abs(step - 1)
        weights[row, neighbour] += abs(step - 1)
    return weights
