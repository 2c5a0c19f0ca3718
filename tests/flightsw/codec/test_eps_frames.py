"""Frames between EPS and payload computer: one declaration, two implementations of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flightsw.codec import eps_frames as eps
from flightsw.codec.errors import FieldRangeError, TruncatedError

u8, u16, u32 = (st.integers(0, (1 << bits) - 1) for bits in (8, 16, 32))
s16 = st.integers(-0x8000, 0x7FFF)
FRAMES = {
    eps.Battery: (eps.BATTERY, st.tuples(u16, s16, u8, u8, u16)),
    eps.Solar: (eps.SOLAR, st.tuples(u16, u8, u8, u16)),
    eps.BusLoad: (eps.BUS, st.tuples(u16, u16, u16)),
    eps.Command: (eps.COMMAND, st.tuples(u8, u8, u16, u8)),
    eps.Acknowledge: (eps.ACKNOWLEDGE, st.tuples(u8, u8, u8, u8, u16)),
    eps.Heartbeat: (eps.HEARTBEAT, st.tuples(u8, u32)),
}


@pytest.mark.parametrize("kind", FRAMES, ids=lambda kind: kind.__name__)
@given(data=st.data())
def test_packer_and_declaration_agree(kind: type, data: st.DataObject) -> None:
    """The fast packer writes what construct builds from the declaration, in at most 8 octets."""
    layout, values = FRAMES[kind]
    frame = kind(*data.draw(values))
    can_id, octets = eps.encode(frame)
    assert octets == layout.build(frame._asdict())
    assert len(octets) <= 8
    assert eps.decode(can_id, octets) == frame
    assert eps.decode(can_id, octets + b"later") == frame


def test_a_battery_frame_has_known_octets() -> None:
    """14.8 V, -1.2 A, 87.5 %, count 7: big-endian 2960, -120, 175."""
    frame = eps.Battery(
        eps.scaled(14.8, eps.VOLTAGE_LSB_V, 0, 0xFFFF),
        eps.scaled(-1.2, eps.CURRENT_LSB_A, -0x8000, 0x7FFF),
        eps.scaled(0.875, eps.CHARGE_LSB, 0, 200),
        0,
        7,
    )
    assert eps.encode(frame) == (0x100, bytes.fromhex("0b90ff88af000007"))


def test_what_does_not_fit_is_refused() -> None:
    """A value too wide, data too short: errors that name the frame."""
    with pytest.raises(FieldRangeError, match="EPS frame 0x200"):
        eps.encode(eps.Command(1, 300, 0, 0))
    with pytest.raises(TruncatedError, match="EPS frame 0x100: 7 octets, its layout has 8"):
        eps.decode(eps.BATTERY_ID, bytes(7))


def test_other_identifiers_are_not_ours() -> None:
    """An identifier that the EPS does not use decodes to nothing."""
    assert eps.decode(0x123, bytes(8)) is None


@given(value=st.floats(-1e6, 1e6))
def test_scaled_values_saturate(value: float) -> None:
    """Quantisation never leaves the field and is off by at most half a step inside it."""
    raw = eps.scaled(value, 0.01, -0x8000, 0x7FFF)
    assert -0x8000 <= raw <= 0x7FFF
    if -327 < value < 327:
        assert abs(raw * 0.01 - value) <= 0.00501
