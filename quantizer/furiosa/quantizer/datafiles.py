"""Calibration data in files: arrays (.npy, .npz) and images, one by one as samples of a model's inputs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.format import MAGIC_PREFIX, open_memmap

from furiosa.isa.errors import OptionError, UnsupportedError
from furiosa.quantizer.samples import Array, Input

IMAGES = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
ARRAYS = (".npy", ".npz")


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """How an image becomes an input: resized to ``size`` (height, width), then (pixel / 255 - mean) / std by channel.

    ``size`` and ``layout`` (``NCHW`` or ``NHWC``) follow from the input's shape where they are not given. Pixels stay
    0 to 255 for an integer input. ``bgr`` turns the channels around.
    """

    size: tuple[int, int] | None = None
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    layout: str | None = None
    bgr: bool = False

    def __post_init__(self) -> None:
        """Raises OptionError for numbers with which no pixel becomes one."""
        if not (np.isfinite(self.mean).all() and np.isfinite(self.std).all() and all(self.std)):
            raise OptionError(f"pixels cannot become (pixel / 255 - mean) / std with mean {self.mean}, std {self.std}",
                              hint="give finite numbers, and a deviation that is not 0")  # fmt: skip


def read_samples(
    path: Path, inputs: Sequence[Input], preprocessing: Preprocessing | None = None, count: int | None = None
) -> Iterator[list[Array]]:
    """Samples for `Calibrator.collect_data`, at most ``count``: from a .npy or .npz file, or from a folder.

    An .npz file has an array for each input, by name, or a single array for a single input; the first axis counts
    samples unless the array has the input's own shape. The files of a folder are taken in order of their names; each is
    an image, or arrays as above. Integers given for a float input become floats, unscaled.

    Raises OptionError for what is missing, damaged or does not fit, naming the file; UnsupportedError without Pillow.
    """
    files = _files(path)
    found = islice(_all(files, inputs, preprocessing or Preprocessing()), count)
    first = next(found, None)
    if first is None:
        raise OptionError(f"there are no samples in `{path}`", hint="give at least one; some hundred are usual")
    yield first
    yield from found


def _files(path: Path) -> list[Path]:
    if not path.exists():
        raise OptionError(f"there is no calibration data at `{path}`", hint="give an .npy or .npz file, or a folder")
    if not path.is_dir():
        return [path]
    files = sorted(file for file in path.rglob("*") if file.suffix.lower() in (*IMAGES, *ARRAYS))
    if not files:
        raise OptionError(f"the folder `{path}` has neither images nor .npy or .npz files",
                          hint=f"images are {', '.join(IMAGES)}")  # fmt: skip
    return files


def _all(files: Sequence[Path], inputs: Sequence[Input], preprocessing: Preprocessing) -> Iterator[list[Array]]:
    for file in files:
        for index, sample in enumerate(_within(file, inputs, preprocessing)):
            yield [x.checked(array, f"sample {index} of `{file}`") for x, array in zip(inputs, sample)]


def _within(file: Path, inputs: Sequence[Input], preprocessing: Preprocessing) -> Iterator[list[Array]]:
    """The samples of one file."""
    kind = file.suffix.lower()
    if kind in IMAGES:
        yield [_image(file, _only(inputs, file), preprocessing)]
    elif kind in ARRAYS:
        yield from _arrays(file, inputs)
    else:
        raise OptionError(f"`{file}` is neither an image nor an .npy or .npz file", hint="convert it to .npz")


def _only(inputs: Sequence[Input], file: Path) -> Input:
    if len(inputs) != 1:
        names = ", ".join(f"`{x.name}`" for x in inputs)
        raise OptionError(f"`{file}` is one array for the {len(inputs)} inputs {names}",
                          hint="write an .npz file with an array for each input, by name")  # fmt: skip
    return inputs[0]


def _arrays(file: Path, inputs: Sequence[Input]) -> Iterator[list[Array]]:
    loaded = _load(file)
    arrays = loaded if isinstance(loaded, dict) else {_only(inputs, file).name: loaded}
    if not arrays:
        raise OptionError(f"there are no arrays in `{file}`", hint="write it with `numpy.savez`")
    chosen = [_chosen(arrays, x, inputs, file) for x in inputs]
    counts = {_count(array, x) for array, x in zip(chosen, inputs)}
    if len(counts) != 1:
        raise OptionError(f"the arrays of `{file}` hold different numbers of samples: {sorted(counts)}",
                          hint="the first axis of each counts samples")  # fmt: skip
    for index in range(counts.pop()):
        yield [_typed(_sample(array, x, index), x) for array, x in zip(chosen, inputs)]


def _load(file: Path) -> Array | dict[str, Array]:
    """The array of an .npy file, which stays in the file until it is read, or those of an .npz file by name."""
    try:
        with file.open("rb") as opened:
            if opened.read(len(MAGIC_PREFIX)) == MAGIC_PREFIX:
                return open_memmap(file, mode="r")
            opened.seek(0)
            loaded = np.load(opened, allow_pickle=False)
            members = {name: loaded[name] for name in loaded.files}
            return {name: array for name, array in members.items() if isinstance(array, np.ndarray)}
    except Exception as error:  # NumPy raises many kinds for damaged files
        raise OptionError(f"cannot read `{file}`: {error}", hint="write it with `numpy.savez`") from None


def _chosen(arrays: dict[str, Array], x: Input, inputs: Sequence[Input], file: Path) -> Array:
    """The array for an input."""
    if x.name not in arrays and not (len(inputs) == len(arrays) == 1):
        raise OptionError(f"`{file}` has no array for input `{x.name}`, only {', '.join(map(repr, arrays))}",
                          hint=f"write it with `numpy.savez(file, **{{{x.name!r}: x}})`")  # fmt: skip
    return arrays.get(x.name, next(iter(arrays.values())))


def _typed(array: Array, x: Input) -> Array:
    """The array in memory, with the element type of a float input."""
    numbers = x.dtype.kind == "f" and array.dtype.kind in "iuf"
    with np.errstate(over="ignore"):  # what becomes infinite is refused as such
        return np.array(array, x.dtype if numbers else None)


def _batch(x: Input) -> int:
    return (x.shape[0] or 1) if x.shape else 1


def _count(array: Array, x: Input) -> int:
    """How many samples an array holds."""
    if x.shape is None or array.shape == x.shape or not x.shape:
        return 1
    if array.ndim == len(x.shape):
        return int(array.shape[0]) // _batch(x)
    return int(array.shape[0]) if array.ndim == len(x.shape) + 1 else 1


def _sample(array: Array, x: Input, index: int) -> Array:
    if x.shape is None or array.shape == x.shape or not x.shape:
        return array
    if array.ndim == len(x.shape):
        return array[index * _batch(x) : (index + 1) * _batch(x)]
    return np.asarray(array[index]) if array.ndim == len(x.shape) + 1 else array


def _image(file: Path, x: Input, preprocessing: Preprocessing) -> Array:
    """An image as an input."""
    layout, height, width, channels = _geometry(x, preprocessing, file)
    pixels = _opened(file, {1: "L", 3: "RGB"}[channels], (width, height)).reshape(height, width, channels)
    if preprocessing.bgr:
        pixels = pixels[:, :, ::-1]
    values = pixels
    if x.dtype.kind == "f":
        mean, std = (_by_channel(v, channels) for v in (preprocessing.mean, preprocessing.std))
        values = ((pixels.astype(np.float32) / 255 - mean) / std).astype(x.dtype)
    moved = values if layout == "NHWC" else values.transpose(2, 0, 1)
    return np.ascontiguousarray(moved[None]).astype(x.dtype, copy=False)


def _geometry(x: Input, preprocessing: Preprocessing, file: Path) -> tuple[str, int, int, int]:
    """Layout, height, width and channels of an image input."""
    shape = x.shape or ()
    if len(shape) != 4:
        raise OptionError(f"`{file}` is an image, and input `{x.name}` has no four axes", hint="give .npz data")
    layout = preprocessing.layout or ("NHWC" if shape[3] in (1, 3) and shape[1] not in (1, 3) else "NCHW")
    channels, sides = (shape[1], shape[2:]) if layout == "NCHW" else (shape[3], shape[1:3])
    height, width = preprocessing.size or sides
    if channels not in (1, 3) or height is None or width is None:
        raise OptionError(f"how an image becomes input `{x.name}` of shape {shape} is not known",
                          hint="give --size HEIGHTxWIDTH and --layout; images have 1 or 3 channels")  # fmt: skip
    return layout, height, width, channels


def _opened(file: Path, mode: str, size: tuple[int, int]) -> Array:
    try:
        from PIL import Image
    except ImportError:
        raise UnsupportedError("reading images needs Pillow", hint="`pip install pillow`, or give .npz data") from None
    try:
        with Image.open(file) as image:
            return np.asarray(image.convert(mode).resize(size, Image.Resampling.BILINEAR))
    except Exception as error:  # damaged images raise many kinds
        raise OptionError(f"cannot read the image `{file}`: {error}", hint="leave it out, or repair it") from None


def _by_channel(values: Sequence[float], channels: int) -> Any:
    if len(values) not in (1, channels):
        raise OptionError(f"{len(values)} values are given for {channels} channels", hint="give one, or one a channel")
    return np.asarray(values, np.float32)
