"""Calibration data in files: arrays and images become samples, and what does not fit is named."""

from __future__ import annotations

import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from furiosa.isa.errors import OptionError
from furiosa.quantizer.datafiles import Preprocessing, read_samples
from furiosa.quantizer.samples import Input

FLOAT = Input("x", np.dtype(np.float32), (1, 3, 4, 6))


def read(path: Path, *inputs: Input, **options: object) -> list[list[np.ndarray]]:
    return list(read_samples(path, inputs or (FLOAT,), **options))


@pytest.mark.parametrize("shape", [(5, 3, 4, 6), (5, 1, 3, 4, 6)])
def test_the_first_axis_counts_samples(tmp_path: Path, shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    np.savez(tmp_path / "data.npz", anything=x)
    np.save(tmp_path / "data.npy", x)
    for name in ("data.npz", "data.npy"):
        found = read(tmp_path / name)
        assert len(found) == 5
        assert all(np.array_equal(sample[0], x[i].reshape(1, 3, 4, 6)) for i, sample in enumerate(found))
    assert len(read(tmp_path / "data.npz", count=2)) == 2


def test_an_array_of_the_inputs_shape_is_one_sample(tmp_path: Path) -> None:
    np.save(tmp_path / "one.npy", np.ones((1, 3, 4, 6), np.float32))
    assert len(read(tmp_path / "one.npy")) == 1


def test_integers_become_floats_unscaled(tmp_path: Path) -> None:
    np.save(tmp_path / "bytes.npy", np.full((2, 3, 4, 6), 200, np.uint8))
    sample = read(tmp_path / "bytes.npy")[1][0]
    assert (sample.dtype.name, sample.max()) == ("float32", 200)


def test_several_inputs_by_name(tmp_path: Path) -> None:
    other = Input("n", np.dtype(np.int64), (1,))
    np.savez(tmp_path / "two.npz", n=np.arange(3), x=np.zeros((3, 3, 4, 6), np.float32))
    found = read(tmp_path / "two.npz", FLOAT, other)
    assert [int(sample[1][0]) for sample in found] == [0, 1, 2]
    np.savez(tmp_path / "uneven.npz", n=np.arange(2), x=np.zeros((3, 3, 4, 6), np.float32))
    with pytest.raises(OptionError, match="different numbers of samples"):
        read(tmp_path / "uneven.npz", FLOAT, other)
    np.savez(tmp_path / "lacking.npz", m=np.arange(3), x=np.zeros((3, 3, 4, 6), np.float32))
    with pytest.raises(OptionError, match="no array for input `n`, only 'm', 'x'"):
        read(tmp_path / "lacking.npz", FLOAT, other)


def test_a_folder_of_arrays_in_order_of_names(tmp_path: Path) -> None:
    for index in (2, 0, 1):
        np.save(tmp_path / f"{index}.npy", np.full((1, 3, 4, 6), index, np.float32))
    assert [int(sample[0].max()) for sample in read(tmp_path)] == [0, 1, 2]


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_images_are_resized_scaled_and_laid_out(tmp_path: Path, layout: str) -> None:
    image = pytest.importorskip("PIL.Image")
    pixels = np.zeros((8, 12, 3), np.uint8)
    pixels[..., 0], pixels[..., 2] = 255, 51
    image.fromarray(pixels).save(tmp_path / "a.png")
    shape = (1, 3, 4, 6) if layout == "NCHW" else (1, 4, 6, 3)
    x = Input("x", np.dtype(np.float32), shape)
    (sample,) = read(tmp_path, x, preprocessing=Preprocessing(mean=(0.5, 0.0, 0.1), std=(0.5, 1.0, 0.1)))
    assert (sample[0].shape, sample[0].dtype.name) == (shape, "float32")
    channels = sample[0].reshape(3, -1) if layout == "NCHW" else sample[0].reshape(-1, 3).T
    assert [np.unique(c).round(5).tolist() for c in channels] == [[1.0], [0.0], [1.0]]
    (turned,) = read(tmp_path, x, preprocessing=Preprocessing(bgr=True))
    assert turned[0].reshape(-1)[0] == pytest.approx(0.2)


def test_images_for_integer_inputs_stay_pixels(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    image.fromarray(np.full((4, 6), 77, np.uint8)).save(tmp_path / "a.png")
    (sample,) = read(tmp_path, Input("x", np.dtype(np.uint8), (1, 1, 4, 6)))
    assert (sample[0].dtype.name, set(sample[0].reshape(-1).tolist())) == ("uint8", {77})


def test_an_npy_file_is_read_sample_by_sample(tmp_path: Path) -> None:
    x = np.random.default_rng(0).standard_normal((200, 3, 40, 60))
    np.save(tmp_path / "data.npy", x)
    found = read_samples(tmp_path / "data.npy", [Input("x", np.dtype(np.float32), (1, 3, 40, 60))])
    tracemalloc.start()
    try:
        assert all(np.array_equal(sample[0], x[i : i + 1].astype(np.float32)) for i, sample in enumerate(found))
        assert tracemalloc.get_traced_memory()[1] < x.nbytes / 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(("mean", "std"), [((0.0,), (0.0,)), ((0.0,), (1.0, 0.0, 1.0)), ((np.nan,), (1.0,)),
                                           ((0.0,), (np.inf,))])  # fmt: skip
def test_numbers_that_make_no_pixel(mean: tuple[float, ...], std: tuple[float, ...]) -> None:
    with pytest.raises(OptionError, match="pixels cannot become"):
        Preprocessing(mean=mean, std=std)


def wrong(folder: Path) -> dict[str, tuple[Path, str]]:
    (folder / "empty").mkdir()
    (folder / "text.txt").write_text("x")
    (folder / "damaged.npz").write_bytes(b"PK\x03\x04 nothing")
    (folder / "damaged.npy").write_bytes(b"\x93NUMPY")
    (folder / "image.png").write_bytes(b"\x89PNG nothing")
    np.save(folder / "pickled.npy", np.array([{}], object), allow_pickle=True)
    np.save(folder / "none.npy", np.zeros((0, 3, 4, 6), np.float32))
    np.save(folder / "nan.npy", np.full((2, 3, 4, 6), np.nan, np.float32))
    np.save(folder / "huge.npy", np.full((2, 3, 4, 6), 1e300))
    np.save(folder / "wide.npy", np.zeros((2, 3, 4, 7), np.float32))
    np.savez(folder / "no.npz")
    with zipfile.ZipFile(folder / "other.npz", "w") as archive:
        archive.writestr("readme.txt", "no array")
    return {
        "absent": (folder / "absent.npz", "no calibration data at"),
        "empty folder": (folder / "empty", "neither images nor"),
        "another kind": (folder / "text.txt", "neither an image nor"),
        "damaged npz": (folder / "damaged.npz", "cannot read"),
        "damaged npy": (folder / "damaged.npy", "cannot read"),
        "pickled": (folder / "pickled.npy", "cannot read"),
        "no samples": (folder / "none.npy", "no samples in"),
        "no arrays": (folder / "no.npz", "no arrays in"),
        "other members": (folder / "other.npz", "no arrays in"),
        "NaN": (folder / "nan.npy", "input `x` has NaN in it"),
        "beyond float32": (folder / "huge.npy", "input `x` has Inf in it"),
        "another shape": (folder / "wide.npy", r"input `x` has the shape"),
        "damaged image": (folder / "image.png", "cannot read the image"),
    }


def test_what_cannot_be_used_is_named(tmp_path: Path) -> None:
    pytest.importorskip("PIL.Image")
    for path, message in wrong(tmp_path).values():
        with pytest.raises(OptionError, match=message) as caught:
            read(path)
        assert path.name in f"{caught.value} {caught.value.where}"
