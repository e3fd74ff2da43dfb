"""Boxes: the input interval of an output interval equals what enumerating the elements gives."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from furiosa.compiler.gir.boxes import Axis, Between, Box, all_of, input_box, most_bytes, parts, same
from furiosa.isa.arithmetic import Coordinates, neighbours


def test_a_box_knows_its_shape_and_size() -> None:
    box = Box((0, 1, 2, 3), (1, 4, 4, 7))
    assert (box.shape, box.size) == ((1, 3, 2, 4), 24)
    assert Box.whole((1, 2, 3, 4)).size == 24


@given(
    extent=st.integers(1, 40), kernel=st.integers(1, 5), dilation=st.integers(1, 3), step=st.integers(1, 4),
    pad=st.integers(0, 3), a=st.integers(0, 20), count=st.integers(1, 20),
)  # fmt: skip
def test_window_interval_holds_exactly_the_taps_inside(
    extent: int, kernel: int, dilation: int, step: int, pad: int, a: int, count: int
) -> None:
    axis = Axis(1, extent, reach=(kernel - 1) * dilation + 1, step=step, shift=pad)
    taps = {i * step - pad + k * dilation for i in range(a, a + count) for k in range(kernel)}
    between = [t for t in range(min(taps), max(taps) + 1) if 0 <= t < extent]
    want = (between[0], between[-1] + 1) if between else (0, 0)
    assert axis.interval(a, a + count) == want
    assert want[1] - want[0] <= axis.most(count)
    assert axis.first(a) == min(taps)


@given(
    before=st.integers(1, 60), after=st.integers(1, 60), corners=st.booleans(), a=st.integers(0, 59),
    count=st.integers(1, 60),
)  # fmt: skip
def test_interval_between_pixels_holds_exactly_the_neighbours(
    before: int, after: int, corners: bool, a: int, count: int
) -> None:
    if a + count > after:
        return
    half = Coordinates(0.5, 1.0, float(np.float32(after / before)), -0.5)
    at = Coordinates(0.0, before - 1.0, max(1.0, after - 1.0), 0.0) if corners else half
    axis, found = Between(1, before, at), neighbours(at, a, count, before)
    want = int(found.first.min()), int(found.second.max()) + 1
    assert axis.interval(a, a + count) == want
    assert want[1] - want[0] <= axis.most(count) <= before


@given(groups=st.integers(1, 6), inputs=st.integers(1, 4), outputs=st.integers(1, 4), data=st.data())
def test_grouped_channels_are_those_of_the_groups(groups: int, inputs: int, outputs: int, data: st.DataObject) -> None:
    axis = Axis(3, groups * inputs, reach=inputs, step=inputs, grain=outputs)
    a = data.draw(st.integers(0, groups - 1))
    b = data.draw(st.integers(a + 1, groups))
    assert axis.interval(a * outputs, b * outputs) == (a * inputs, b * inputs)
    assert axis.most((b - a) * outputs) == (b - a) * inputs


def test_axes_may_change_places() -> None:
    reads = (Axis(3, 5), Axis(0, 6), Axis(1, 7), Axis(2, 8))
    assert input_box(reads, Box((1, 2, 3, 4), (2, 4, 6, 5))) == Box((4, 1, 2, 3), (5, 2, 4, 6))
    assert most_bytes(reads, (1, 2, 3, 4)) == 24


def test_a_whole_axis_is_needed_by_every_output() -> None:
    reads = (*same((1, 9, 9, 4))[:3], all_of(3, 4))
    assert input_box(reads, Box((0, 3, 0, 2), (1, 5, 9, 3))) == Box((0, 3, 0, 0), (1, 5, 9, 4))


@given(st.integers(1, 100), st.integers(1, 100))
def test_parts_cover_once(extent: int, tile: int) -> None:
    assert [i for a, b in parts(extent, tile) for i in range(a, b)] == list(range(extent))
