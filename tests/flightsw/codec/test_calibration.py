"""Calibrations: applied on demand, raw numbers kept, undone where there is one way back."""

from __future__ import annotations

from typing import Any

import construct as c
import numpy as np
import pytest
from construct import this
from hypothesis import given
from hypothesis import strategies as st

from flightsw.codec.columns.calibration import Polynomial, Scale, Spline
from flightsw.codec.columns.layout import compile_layout, field
from flightsw.codec.errors import FieldRangeError

FIXED = c.Struct(
    field("bus_v", c.Int16ub, "", "bus voltage", Scale(0.004, 1.0, "V")),
    field("mode", c.Enum(c.Int8ub, off=0, on=1)),
    "inner" / c.Struct(field("temp", c.Int8sb, "", "", Spline(((-128, 100), (0, 20), (127, 0))))),
    field("all", c.Array(3, c.Int8ub), calibration=Scale(2)),
    field("plain", c.Int8ub),
)
VARIABLE = c.Struct(*FIXED.subcons, field("v", c.Array(this.plain, c.Int8ub), "", "", Scale(0.5)))
RAW = {"bus_v": 250, "mode": "on", "inner": {"temp": 0}, "all": [1, 2, 3], "plain": 2}


@pytest.mark.parametrize("declaration", [FIXED, VARIABLE], ids=["fixed", "variable"])
def test_calibrated_values_of_one_packet(declaration: Any) -> None:
    """Decoding gives the units that were declared when asked to, and encoding takes them back."""
    layout = compile_layout(declaration)
    raw: dict[str, Any] = RAW | ({} if layout.fixed else {"v": [3, 4]})
    octets = layout.encode(raw)
    wanted = RAW | {"bus_v": 2.0, "inner": {"temp": 20.0}, "all": [2, 4, 6]}
    wanted |= {} if layout.fixed else {"v": [1.5, 2.0]}
    found = layout.decode(octets, calibrated=True)
    assert found == wanted
    assert layout.encode(found, calibrated=True) == octets
    assert layout.decode(octets) == raw
    assert found == wanted, "encoding changes nothing that it is given"


@pytest.mark.parametrize("declaration", [FIXED, VARIABLE], ids=["fixed", "variable"])
def test_calibrated_columns(declaration: Any) -> None:
    """Columns keep raw numbers and give calibrated ones and labels beside them."""
    layout = compile_layout(declaration)
    octets = layout.encode(RAW | ({} if layout.fixed else {"v": [3, 4]})) * 2
    columns = layout.decode_columns(octets)
    assert columns["bus_v"].tolist() == [250, 250]
    assert columns.calibrated("bus_v").tolist() == [2.0, 2.0]
    assert columns.calibrated("mode").tolist() == ["on", "on"]
    assert columns.calibrated("all").tolist() == [[2, 4, 6]] * 2
    assert columns.calibrated("plain") is columns["plain"]
    with pytest.raises(KeyError):
        columns.calibrated("nothing")
    units = {name: columns.calibrated(name) for name in columns}
    assert layout.encode_columns(units, calibrated=True) == octets
    if not layout.fixed:
        assert columns.calibrated("v").values.tolist() == [1.5, 2, 1.5, 2]


def test_labels_without_a_name() -> None:
    """A number without a label is its own decimal, and comes back from it."""
    layout = compile_layout(c.Struct("mode" / c.Enum(c.Int8ub, off=0)))
    columns = layout.decode_columns(b"\x00\x09")
    assert columns.calibrated("mode").tolist() == ["off", "9"]
    units = {"mode": columns.calibrated("mode")}
    assert layout.encode_columns(units, calibrated=True) == b"\x00\x09"
    with pytest.raises(FieldRangeError, match="mode: 'standby' is none of its labels off"):
        layout.encode_columns({"mode": ["standby"]}, calibrated=True)


@given(st.lists(st.integers(-1000, 1000), max_size=4), st.integers(-1000, 1000))
def test_polynomials_by_plain_arithmetic(coefficients: list[int], x: int) -> None:
    """A polynomial is the sum of its powers, exactly where doubles are exact."""
    made = Polynomial((*map(float, coefficients), 1.0))
    assert made.apply(x) == sum(a * x**k for k, a in enumerate([*coefficients, 1]))


@given(
    st.lists(st.tuples(st.integers(-100, 100), st.integers(-100, 100)), min_size=2, max_size=6),
    st.floats(-120, 120),
    st.booleans(),
)
def test_splines_against_numpy(points: list[tuple[int, int]], x: float, extrapolate: bool) -> None:
    """Between the points a spline is numpy's interpolation; beyond them it is no number."""
    knots = tuple((float(r), float(v)) for r, v in dict(points).items())
    knots = tuple(sorted(knots))
    if len(knots) < 2:
        with pytest.raises(FieldRangeError, match="two or more"):
            Spline(knots)
        return
    found = Spline(knots, extrapolate=extrapolate).apply(x)
    raw, value = zip(*knots, strict=True)
    if raw[0] <= x <= raw[-1]:
        assert found == pytest.approx(np.interp(x, raw, value), abs=1e-9)
    else:
        assert bool(np.isnan(found)) is not extrapolate


@given(st.lists(st.integers(1, 50), min_size=1, max_size=6), st.booleans(), st.integers(0, 100))
def test_monotonic_splines_come_back(steps: list[int], falling: bool, at: int) -> None:
    """A spline whose values only rise or only fall is undone within rounding."""
    values = np.cumsum([0, *steps]) * (-1 if falling else 1)
    made = Spline(tuple((10.0 * k, float(v)) for k, v in enumerate(values)))
    raw = min(at, 10 * len(steps))
    assert made.invert(made.apply(raw)) == pytest.approx(raw)


@pytest.mark.parametrize(
    ("calibration", "value", "says"),
    [
        (Polynomial((0.0, 1.0, 1.0)), 3.0, "n: polynomial .* only a straight line"),
        (Polynomial((3.0,)), 3.0, "n: polynomial"),
        (Scale(0.0, 3.0), 3.0, "n: polynomial"),
        (Spline(((0, 0), (1, 5), (2, 1))), 3.0, "n: spline: its values neither"),
        (Spline(((0, 0), (1, 5))), 9.0, "n: 9.0 has no raw number of uint8"),
        (Scale(1.0), 256.0, "n: 256.0 has no raw number of uint8"),
        (Scale(1.0), -1.0, "n: -1.0 has no raw number"),
        (Scale(1.0), float("nan"), "n: nan has no raw number"),
    ],
)
def test_what_cannot_be_undone_is_refused(calibration: Any, value: float, says: str) -> None:
    """No guess is made where there is no way back, and the field is named."""
    layout = compile_layout(c.Struct(field("n", c.Int8ub, calibration=calibration)))
    with pytest.raises(FieldRangeError, match=says):
        layout.encode({"n": value}, calibrated=True)
    with pytest.raises(FieldRangeError, match=says.replace(" has", " in row 0 has")):
        layout.encode_columns({"n": np.array([value])}, calibrated=True)


def test_raw_limits_of_64_bits() -> None:
    """The largest numbers of 64 bits, which doubles do not hold, are not passed by rounding."""
    layout = compile_layout(c.Struct(field("n", c.Int64ub, calibration=Scale(1.0))))
    assert layout.encode({"n": 2.0**63}, calibrated=True) == bytes([0x80, 0, 0, 0, 0, 0, 0, 0])
    with pytest.raises(FieldRangeError, match="no raw number"):
        layout.encode({"n": 2.0**64}, calibrated=True)


def test_declarations_of_calibrations_are_checked() -> None:
    """Knots must rise and coefficients be numbers."""
    with pytest.raises(FieldRangeError, match="raw values rising"):
        Spline(((1, 0), (1, 5)))
    with pytest.raises(FieldRangeError, match="finite"):
        Polynomial((float("inf"),))
    with pytest.raises(FieldRangeError, match="finite"):
        Polynomial(())


def test_any_float_of_telemetry_can_be_calibrated() -> None:
    """Not a number, also a signalling one, stays so; infinite and huge ones pass without a word."""
    raw = np.array([0x7F800001, 0x7F800000, 0x7F7FFFFF, 0xFFC00000], np.uint32).view(np.float32)
    curve = Polynomial((1.0, -1e300, 1e300)).apply(raw)
    assert np.isnan(curve).tolist() == [True, False, False, True]
    assert curve[1:3].tolist() == [np.inf, np.inf]
    line = Spline(((0, 0), (1, 2)), extrapolate=True).apply(raw)
    assert np.isnan(line[[0, 3]]).all()
