"""Unsegmented time codes: published octets, rounding, carries and every preamble."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flightsw.codec.errors import FieldRangeError, SyncError, TruncatedError
from flightsw.codec.time_code import AGENCY_EPOCH, TAI_EPOCH, decode_cuc, pack_cuc, unpack_cuc

LAST_NS = ((1 << 56) - 1) * 10**9 >> 24


def test_published_time() -> None:
    """The published octets mean 2018-07-06T11:41:18.284Z with the Unix epoch as agency epoch."""
    t_ns = unpack_cuc(bytes.fromhex("2E5B3F555E48B4"))
    assert t_ns // 10**6 == 1530877278 * 1000 + 283  # .283997, which prints as .284
    assert abs(t_ns - 1530877278_284_000_000) < 10**9 // 65536


@given(st.integers(0, LAST_NS))
def test_time_comes_back_within_half_a_unit(t_ns: int) -> None:
    """A time is 30 ns from what went in at most, and packs to the same octets again."""
    octets = pack_cuc(t_ns)
    back = unpack_cuc(octets)
    assert len(octets) == 8
    assert octets[0] == 0x2F
    assert abs(back - t_ns) <= 30
    assert pack_cuc(back) == octets


@given(st.integers(0, LAST_NS - 1000), st.integers(0, 1000))
def test_order_is_kept(t_ns: int, later_ns: int) -> None:
    """Octets of a later time never compare as earlier."""
    assert pack_cuc(t_ns) <= pack_cuc(t_ns + later_ns)


def test_fraction_carries_into_seconds() -> None:
    """The last nanosecond of a second, and of a day, rounds into the next one."""
    assert pack_cuc(999_999_999) == bytes.fromhex("2F00000001000000")
    assert unpack_cuc(pack_cuc(86_399_999_999_999)) == 86_400 * 10**9


@pytest.mark.parametrize("t_ns", [-1000, (1 << 32) * 10**9])
def test_outside_of_the_field(t_ns: int) -> None:
    """Times before the epoch and behind 136 years are refused."""
    with pytest.raises(FieldRangeError, match="136 years"):
        pack_cuc(t_ns)


@given(st.integers(1, 7), st.integers(0, 10), st.sampled_from([TAI_EPOCH, AGENCY_EPOCH]), st.data())
def test_every_preamble(coarse: int, fine: int, epoch: int, data: st.DataObject) -> None:
    """One to seven octets of seconds and none to ten of fraction mean what the standard says."""
    extra_coarse, extra_fine = max(0, coarse - 4), max(0, fine - 3)
    first = epoch << 4 | coarse - extra_coarse - 1 << 2 | fine - extra_fine
    preamble = bytes([first])
    if extra_coarse or extra_fine:
        preamble = bytes([first | 0x80, extra_coarse << 5 | extra_fine << 2])
    field = data.draw(st.binary(min_size=coarse + fine, max_size=coarse + fine))
    seconds = int.from_bytes(field[:coarse], "big")
    fraction = int.from_bytes(field[coarse:], "big")
    cuc = decode_cuc(b"??" + preamble + field + b"!", 2)
    assert cuc.epoch == epoch
    assert cuc.nbytes == len(preamble) + len(field)
    exact = seconds * 10**9 * 256**fine + fraction * 10**9
    assert abs(cuc.t_ns * 256**fine - exact) * 2 <= 256**fine
    if (coarse, fine, epoch) == (4, 3, AGENCY_EPOCH):
        assert unpack_cuc(preamble + field) == cuc.t_ns


@pytest.mark.parametrize(
    ("octets", "error"),
    [
        ("", TruncatedError),
        ("2F000000", TruncatedError),
        ("AF", TruncatedError),
        ("4F00000000000000", SyncError),
        ("AF8000", SyncError),
    ],
)
def test_refuses_other_codes_and_short_ones(octets: str, error: type[Exception]) -> None:
    """Empty, cut, segmented and over-extended time fields are errors."""
    with pytest.raises(error, match="time code"):
        unpack_cuc(bytes.fromhex(octets))
