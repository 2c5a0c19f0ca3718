"""Pixels of cameras: the conversion of pairs that share their colour."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flightsw.hal.linux.camera import rgb_of

#: luma, blue and red difference of full colours in the limited range of ITU-R BT.601
COLOURS = {
    (16, 128, 128): (0, 0, 0),
    (235, 128, 128): (255, 255, 255),
    (81, 90, 240): (255, 0, 0),
    (145, 54, 34): (0, 255, 0),
    (41, 240, 110): (0, 0, 255),
}


@pytest.mark.parametrize("width", [2, 8])
@pytest.mark.parametrize("colour", COLOURS)
def test_full_colours_come_out_full(colour: tuple[int, int, int], width: int) -> None:
    """Black, white and the three colours, on two lines."""
    luma, blue, red = colour
    pixels = np.array([[luma, red if at % 2 else blue] for at in range(width)], np.uint8)
    out = rgb_of(np.stack([pixels, pixels]))
    assert out.shape == (2, width, 3)
    assert np.abs(out.astype(int) - COLOURS[colour]).max() <= 2


@given(st.integers(0, 255), st.integers(1, 8))
def test_without_colour_all_three_are_equal(luma: int, pairs: int) -> None:
    """Grey stays grey, and no value leaves its range."""
    pixels = np.full((1, 2 * pairs, 2), 128, np.uint8)
    pixels[:, :, 0] = luma
    out = rgb_of(pixels)
    assert (out == out[:, :, :1]).all()
