"""Time codes: published octets, rounding, carries, every preamble, and days before 1970."""

from datetime import date
from typing import Any

import construct as c
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flightsw.codec.calendar_time import decode_ccs, iso_text, pack_ccs
from flightsw.codec.columns.layout import compile_layout
from flightsw.codec.columns.time_field import TimeField
from flightsw.codec.errors import FieldRangeError, SyncError, TruncatedError
from flightsw.codec.time_code import (
    AGENCY_EPOCH,
    TAI_EPOCH,
    TimeFormat,
    decode_cds,
    decode_cuc,
    pack_cds,
    pack_cuc,
    read_preamble,
    unpack_cuc,
)

LAST_NS = ((1 << 56) - 1) * 10**9 >> 24


def test_published_time() -> None:
    """The published octets mean 2018-07-06T11:41:18.284Z with the Unix epoch as agency epoch."""
    t_ns = unpack_cuc(bytes.fromhex("2E5B3F555E48B4"))
    assert t_ns // 10**6 == 1530877278 * 1000 + 283  # .283997, which prints as .284
    assert abs(t_ns - 1530877278_284_000_000) < 10**9 // 65536
    layout = compile_layout(c.Struct("t" / TimeField(TimeFormat("cuc", 4, 2), preamble=True)))
    assert layout.decode(bytes.fromhex("2E5B3F555E48B4")) == {"t": t_ns}
    assert layout.encode({"t": t_ns}) == bytes.fromhex("2E5B3F555E48B4")


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


formats = st.one_of(
    st.builds(
        TimeFormat,
        st.just("cuc"),
        st.integers(1, 7),
        st.integers(0, 10),
        st.sampled_from([TAI_EPOCH, AGENCY_EPOCH]),
    ),
    st.builds(
        TimeFormat,
        st.just("cds"),
        st.sampled_from([2, 3]),
        st.sampled_from([0, 2, 4]),
        st.sampled_from([TAI_EPOCH, AGENCY_EPOCH]),
    ),
)


@given(formats, st.integers(-(10**9), 1 << 70))
def test_packed_times_are_the_nearest(code: TimeFormat, t_ns: int) -> None:
    """What comes back is within half a unit and packs to the same octets; others are refused."""
    unit = {0: 1_000_000, 2: 1000, 4: 1}[code.fine] if code.code == "cds" else 10**9
    divisor = 256**code.fine if code.code == "cuc" else 1
    try:
        octets = code.pack(t_ns)
    except FieldRangeError:
        whole = 86_400 * 10**9 if code.code == "cds" else 10**9
        assert t_ns < 0 or 2 * (whole * 256**code.coarse - t_ns) * divisor <= unit
        return
    back = code.unpack(octets)
    assert 2 * abs(back - t_ns) * divisor <= unit + divisor
    assert code.unpack(code.pack(back)) == back
    assert read_preamble(code.preamble() + octets) == (code, len(code.preamble()))
    assert len(octets) == code.nbytes


#: The last second of 64 bits is left out: there C has no room to round in.
times = st.integers(0, (1 << 63) - 10**9)


@given(formats, times, st.binary(min_size=17, max_size=17))
def test_c_and_python_agree(code: TimeFormat, t_ns: int, noise: bytes) -> None:
    """The field of a layout, in C, gives the octets and the nanoseconds that Python gives."""
    layout = compile_layout(c.Struct("t" / TimeField(code, preamble=True)))
    try:
        octets = code.preamble() + code.pack(t_ns)
    except FieldRangeError:
        with pytest.raises(FieldRangeError, match="t: "):
            layout.encode({"t": t_ns})
        return
    assert layout.encode({"t": t_ns}) == octets
    for body in (octets[len(code.preamble()) :], noise[: code.nbytes]):
        try:
            wanted = code.unpack(body)
        except SyncError:
            wanted = 1 << 63
        if wanted < 1 << 63:  # rounding to the unit of a code may lead beyond
            assert layout.decode(code.preamble() + body) == {"t": wanted}
        else:
            with pytest.raises(SyncError, match="t, bit"):
                layout.decode(code.preamble() + body)


def test_day_segmented_octets() -> None:
    """Days, milliseconds and the rest stand where section 3.3 puts them."""
    t_ns = (23_000 * 86_400 + 3_600) * 10**9 + 7_001_002
    assert pack_cds(t_ns).hex() == "4059d80036ee87"
    assert pack_cds(t_ns, fine=2).hex() == "4159d80036ee870001"
    assert pack_cds(t_ns, fine=4, days=3, epoch=AGENCY_EPOCH).hex() == "4e0059d80036ee87000f4a10"
    assert decode_cds(bytes.fromhex("4159d80036ee870001")) == (TAI_EPOCH, t_ns - 2, 9)
    assert decode_cds(b"?" + bytes.fromhex("4e0059d80036ee87000f4a10"), 1).t_ns == t_ns


def test_day_segmented_time_before_1970() -> None:
    """spacepackets defect 1: one hour into 1958 is 01:00 of 1958-01-01, not 23:00 of 1957."""
    stamp = decode_cds(bytes.fromhex("4000000036ee80"))
    assert stamp.t_ns == 3600 * 10**9
    assert iso_text(stamp.t_ns) == "1958-01-01T01:00:00.000000000"
    assert iso_text(-1) == "1957-12-31T23:59:59.999999999"


def test_adding_does_not_change_a_time() -> None:
    """spacepackets defect 2: a later time is another number, and the stamp stays as it was."""
    stamp = decode_cds(pack_cds(5 * 10**9))
    later = stamp.t_ns + 10**9
    assert stamp == (TAI_EPOCH, 5 * 10**9, 7)
    assert decode_cds(pack_cds(later)).t_ns == 6 * 10**9
    with pytest.raises(AttributeError):
        stamp.t_ns = later  # type: ignore[misc]


@pytest.mark.parametrize("before_ns", [10**6, 10**9, 499_999, 1])
def test_adding_up_to_midnight_is_the_next_day(before_ns: int) -> None:
    """spacepackets defect 3: exactly midnight, and what rounds to it, is ms 0 of the next day."""
    midnight_ns = 24_000 * 86_400 * 10**9
    assert pack_cds(midnight_ns - before_ns + before_ns)[1:] == bytes.fromhex("5dc000000000")
    if before_ns < 500_000:
        assert pack_cds(midnight_ns - before_ns)[1:] == bytes.fromhex("5dc000000000")
    assert decode_cds(pack_cds(midnight_ns)).t_ns == midnight_ns


@pytest.mark.parametrize(
    ("octets", "says"),
    [
        ("40 0000 05265fe8", "86401000 ms of a day"),
        ("41 0000 00000000 03e8", "1000 of its 1000 parts"),
        ("43 0000 00000000", "is not one of"),
        ("2F 00000000000000", "not one of day-segmented"),
    ],
)
def test_impossible_days_are_refused(octets: str, says: str) -> None:
    """Milliseconds that no day has, not even one with a leap second, are no time."""
    with pytest.raises(SyncError, match=says):
        decode_cds(bytes.fromhex(octets))
    assert decode_cds(bytes.fromhex("40 0000 05265c00")).t_ns == 86_400 * 10**9


def test_format_of_a_code() -> None:
    """A code that the standard does not have cannot be made."""
    with pytest.raises(FieldRangeError, match="'cds' of 4"):
        TimeFormat("cds", 4, 0)
    with pytest.raises(FieldRangeError, match="epoch 3"):
        TimeFormat("cuc", 4, 3, 3)


@given(
    st.dates(max_value=date(9999, 12, 30)),
    st.integers(0, 86_399),
    st.integers(0, 999_999_999),
    st.integers(0, 6),
    st.booleans(),
)
def test_calendar_segmented_times(
    day: date, second: int, ns: int, fine: int, of_year: bool
) -> None:
    """Calendar times come back to their last digit, in any year, and are the digits of the date."""
    t_ns = ((day - date(1958, 1, 1)).days * 86_400 + second) * 10**9 + ns
    octets = pack_ccs(t_ns, fine=fine, day_of_year=of_year)
    back, nbytes = decode_ccs(b"?" + octets, 1)
    unit = 10 ** max(0, 9 - 2 * fine)
    assert nbytes == len(octets) == 8 + fine
    assert 2 * abs(back - t_ns) <= unit
    if back == t_ns:
        assert octets.hex()[2:6] == f"{day.year:04}"
    clock = f"{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}.{ns:09}"
    assert iso_text(t_ns) == f"{day.isoformat()}T{clock}"


@pytest.mark.parametrize(
    ("octets", "error", "says"),
    [
        ("50 1958 0101 000000", None, 0),
        ("58 1958 0002 000000", None, 86_400 * 10**9),
        ("52 1958 0101 000001 2550", None, 1_255_000_000),
        ("50 2016 1231 235960", None, 21_550 * 86_400 * 10**9),
        ("50 1958 0230 000000", SyncError, "no date"),
        ("58 1957 0366 000000", SyncError, "no date"),
        ("50 1958 0101 240000", SyncError, "no date and time"),
        ("50 1958 0A01 000000", SyncError, "no decimal digit"),
        ("57 1958 0101 000000", SyncError, "not one of calendar"),
        ("50 1958 0101 0000", TruncatedError, "7 octets behind the preamble, 6"),
        ("", TruncatedError, "no preamble"),
    ],
)
def test_calendar_octets(octets: str, error: type[Exception] | None, says: Any) -> None:
    """Digits stand where section 3.4 puts them; what is no date is refused."""
    if error is None:
        assert decode_ccs(bytes.fromhex(octets))[0] == says
        return
    with pytest.raises(error, match=says):
        decode_ccs(bytes.fromhex(octets))


def test_calendar_beyond_the_calendar() -> None:
    """A time that has no date is an error, and so is a fraction that has no code."""
    for call in (lambda: iso_text(1 << 70), lambda: pack_ccs(1 << 70), lambda: pack_ccs(0, fine=7)):
        with pytest.raises(FieldRangeError):
            call()
