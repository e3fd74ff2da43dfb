"""Windows that slide over an image: their geometry, of a layer or drawn at random."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

Pair = tuple[int, int]

_EXTENTS = (1, 1, 2, 3, 4, 5, 7, 9, 12, 17, 20, 40, 40)
_KERNELS = (1, 1, 2, 3, 3, 4, 5, 7)
_STRIDES = (1, 1, 1, 2, 2, 3, 6)
_DILATIONS = (1, 1, 1, 2, 3, 11)


@dataclass(frozen=True, slots=True)
class Windows:
    """For rows and columns each: extents of the image and of the result, and how windows lie on the image."""

    image: Pair
    result: Pair
    kernel: Pair = (1, 1)
    strides: Pair = (1, 1)
    dilations: Pair = (1, 1)
    pads: Pair = (0, 0)

    @classmethod
    def square(cls, image: int, kernel: int = 1, stride: int = 1, pad: int | None = None) -> Windows:
        """As most layers have it: all alike for rows and columns; without ``pad`` only a stride shrinks the image."""
        before = kernel // 2 if pad is None else pad
        result = (image + 2 * before - kernel) // stride + 1
        return cls(*((each, each) for each in (image, result, kernel, stride, 1, before)))

    @property
    def fields(self) -> dict[str, Pair]:
        """The fields of an instruction."""
        return {"kernel": self.kernel, "strides": self.strides, "dilations": self.dilations, "pads": self.pads}

    @property
    def image_pixels(self) -> int:
        return self.image[0] * self.image[1]

    @property
    def pixels(self) -> int:
        """Of the result."""
        return self.result[0] * self.result[1]

    @property
    def taps(self) -> int:
        return self.kernel[0] * self.kernel[1]


def plain(random: Random) -> Windows:
    """Windows of one pixel each, strides larger than that now and then."""
    return _both(random, (1,), _STRIDES, (1,), pooling=False)


def convolving(random: Random) -> Windows:
    """Windows of a convolution: some may lie in the padding or between the pixels of the image with all their taps."""
    return _both(random, _KERNELS, _STRIDES, _DILATIONS, pooling=False)


def pooling(random: Random, dilated: bool) -> Windows:
    """Windows of which each has a tap inside the image."""
    return _both(random, _KERNELS, _STRIDES, _DILATIONS if dilated else (1,), pooling=True)


def _both(
    random: Random, kernels: tuple[int, ...], strides: tuple[int, ...], dilations: tuple[int, ...], *, pooling: bool
) -> Windows:
    rows, columns = (_axis(random, kernels, strides, dilations, pooling) for _ in range(2))
    return Windows(*zip(rows, columns))


def _axis(
    random: Random, kernels: tuple[int, ...], strides: tuple[int, ...], dilations: tuple[int, ...], pooling: bool
) -> tuple[int, ...]:
    """Image, result, kernel, stride, dilation, padding. The last window may reach beyond the image."""
    image = random.choice(_EXTENTS)
    kernel = random.choice((*kernels, image, image) if pooling else kernels)
    stride, dilation = random.choice(strides), random.choice(dilations)
    pads = list(range((kernel - 1) * dilation + 1))
    if pooling:
        pads = [pad for pad in pads if all(_inside(first, image, kernel, dilation) for first in range(-pad, 0, stride))]
    pad = random.choice((0, *pads))
    most = (image - 1 + pad) // stride + 1
    return image, random.choice((most, most, random.randint(1, most))), kernel, stride, dilation, pad


def _inside(first: int, image: int, kernel: int, dilation: int) -> bool:
    """Whether a window that starts before the image has a tap in it."""
    tap = -(first // dilation)
    return tap < kernel and first + tap * dilation < image
