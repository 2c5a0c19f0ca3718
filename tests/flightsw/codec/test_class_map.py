"""Class maps: every map comes back, every damage is noticed, and the octets never change."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from flightsw.codec import class_map
from flightsw.codec.errors import CodecError, FieldRangeError

MAPS = st.tuples(st.integers(1, 24), st.integers(1, 24)).flatmap(
    lambda shape: arrays(np.uint8, shape, elements=st.integers(0, 3))
)


@given(MAPS)
def test_every_map_comes_back(classes):
    """Decoding what was encoded gives the same map."""
    octets = class_map.encode(classes)
    assert np.array_equal(class_map.decode(octets, *classes.shape), classes)


def test_a_map_worked_out_by_hand():
    """Three pixels of class 1, 0, 2 over the same again: gamma 1 + 0, gamma 2 + 10, gamma 4, fill.

    Above both rows: 0. Differences 1 0 2 | 0 0 0: at place 0 (distance 1: ``1``, then ``0``), at
    place 2 (distance 2: ``010``, then ``10``), then past the end (6 - 2 = 4: ``00100``).
    """
    classes = np.array([[1, 0, 2], [1, 0, 2]], np.uint8)
    assert class_map.encode(classes) == int("1001010001000000", 2).to_bytes(2, "big")


def test_a_uniform_map_takes_four_octets():
    """A map of one class 0 is nothing but the distance to its end."""
    assert len(class_map.encode(np.zeros((64, 64), np.uint8))) == 4


@given(MAPS, st.data())
def test_missing_octets_are_noticed(classes, data):
    """A map cut short is refused, never padded."""
    octets = class_map.encode(classes)
    cut = data.draw(st.integers(0, len(octets) - 1))
    with pytest.raises(CodecError):
        class_map.decode(octets[:cut], *classes.shape)


@given(st.binary(max_size=40), st.integers(1, 12), st.integers(1, 12))
def test_any_octets_give_a_map_or_a_clear_error(octets, height, width):
    """Damaged octets never raise anything but our own error, and a map has the right shape."""
    try:
        classes = class_map.decode(octets, height, width)
    except CodecError:
        return
    assert classes.shape == (height, width)
    assert class_map.encode(classes) == octets


@pytest.mark.parametrize(
    "classes", [np.zeros((0, 3), np.uint8), np.zeros(5, np.uint8), np.full((2, 2), 4, np.uint8)]
)
def test_what_is_no_class_map_is_refused(classes):
    """Empty, one-dimensional or too high values name what is wrong."""
    with pytest.raises(FieldRangeError, match="class map"):
        class_map.encode(classes)
