"""Sync markers: found at any bit, with wrong bits, in either polarity; and the synchroniser."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from guard import Guard
from hypothesis import given, settings
from hypothesis import strategies as st

from flightsw.codec.coding.crc import crc16
from flightsw.codec.coding.randomiser import tm_randomise
from flightsw.codec.errors import FieldRangeError
from flightsw.codec.link import sync
from flightsw.codec.native import ffi, lib
from flightsw.codec.tier import available, forced

MARKERS = (sync.ASM, sync.ASM_64, sync.ASM_PROXIMITY, sync.CLTU_START, b"\x47")


def bits_of(octets: bytes) -> npt.NDArray[np.uint8]:
    """Return octets as an array of bits."""
    return np.unpackbits(np.frombuffer(octets, np.uint8))


def expected(
    buf: bytes, marker: bytes, nbits: int, max_wrong: int, inverted: bool, step: int
) -> list[tuple[int, int, bool]]:
    """Return the hits by comparing the bits of every place with numpy."""
    stream, want = bits_of(buf), bits_of(marker)[:nbits]
    if len(stream) < nbits:
        return []
    windows = np.lib.stride_tricks.sliding_window_view(stream, nbits)[::step]
    wrong = (windows != want).sum(axis=1)
    upright = wrong <= max_wrong
    turned = (nbits - wrong <= max_wrong) & ~upright & inverted
    return [
        (int(i) * step, int(nbits - wrong[i] if turned[i] else wrong[i]), bool(turned[i]))
        for i in np.flatnonzero(upright | turned)
    ]


def planted(rnd: random.Random, nbytes: int, marker: bytes, nbits: int, hurt: int) -> bytes:
    """Return noise with the marker put in at random bits, some inverted, with some bits wrong."""
    stream = bits_of(rnd.randbytes(nbytes))
    for _ in range(1 + nbytes // 60):
        if len(stream) < nbits:
            break
        at = rnd.randrange(len(stream) - nbits + 1)
        at -= at % 8 if rnd.random() < 0.3 else 0
        one = bits_of(marker)[:nbits] ^ rnd.randrange(2)
        for k in rnd.sample(range(nbits), min(rnd.randint(0, hurt), nbits)):
            one[k] ^= 1
        stream[at : at + nbits] = one
    return np.packbits(stream).tobytes()


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_every_tier_finds_what_comparing_every_place_finds(data: st.DataObject) -> None:
    """Any marker of 8 to 64 bits, any tolerance, polarity and step: the hits are those of numpy."""
    rnd = data.draw(st.randoms(use_true_random=False))
    marker = data.draw(st.sampled_from(MARKERS) | st.binary(min_size=1, max_size=8))
    nbits = data.draw(st.integers(8, 8 * len(marker)))
    max_wrong = min(data.draw(st.integers(0, 4) | st.integers(0, 31)), (nbits - 1) // 2)
    inverted, step = data.draw(st.booleans()), data.draw(st.sampled_from((1, 8)))
    buf = planted(rnd, data.draw(st.integers(0, 700)), marker, nbits, max_wrong + 1)
    want = expected(buf, marker, nbits, max_wrong, inverted, step)
    for name in available():
        with forced(name):
            found = sync.search(
                buf, marker, nbits=nbits, max_wrong=max_wrong, inverted=inverted, step=step
            )
        assert found.tolist() == want, name


def test_range_and_full_list(tier: str) -> None:
    """A search stops when its list is full and goes on behind the last hit; ranges are kept."""
    rnd = random.Random(3)
    buf = planted(rnd, 5000, sync.ASM, 32, 0)
    value = int.from_bytes(sync.ASM, "big")
    whole = sync.search(buf, inverted=True)
    assert len(whole) > 50
    hits, searched = ffi.new("fs_marker_hit[3]"), ffi.new("uint64_t *")
    got, at = [], 0
    while True:
        n = lib.fs_marker_search(
            buf, len(buf), at, 8 * len(buf), value, 32, 0, 1, 1, hits, 3, searched
        )
        got += [(hits[i].bit, hits[i].wrong, bool(hits[i].inverted)) for i in range(n)]
        at = searched[0]
        if n < 3:
            break
        assert at == got[-1][0] + 1
    assert got == whole.tolist()
    assert at == 8 * len(buf) - 31
    first, last = int(whole["bit"][5]), int(whole["bit"][9])
    inside = sync.search(buf, inverted=True, first_bit=first, end_bit=last + 32)
    assert inside.tolist() == whole[5:10].tolist()
    less = sync.search(buf, inverted=True, first_bit=first + 1, end_bit=last + 31)
    assert less.tolist() == whole[6:9].tolist()


def test_many_hits_are_all_listed(tier: str) -> None:
    """More hits than one call lists come in order and without a gap."""
    buf = bytes(30_000)
    found = sync.search(buf, b"\x00\x00")
    assert found["bit"].tolist() == list(range(240_000 - 15))
    assert sync.search(buf, b"\xff\xff", inverted=True, step=8)["bit"].tolist() == list(
        range(0, 240_000 - 8, 8)
    )


def test_search_reads_nothing_outside(tier: str, guard: Guard) -> None:
    """At both ends of a buffer nothing beyond is read, whatever its length."""
    hits, searched = ffi.new("fs_marker_hit[600]"), ffi.new("uint64_t *")
    value = int.from_bytes(sync.ASM, "big")
    for nbytes in [*range(40), 63, 64, 65, 68, 100, 127, 128, 130, 192, 256, 260, 300, 520]:
        data = planted(random.Random(nbytes), nbytes, sync.ASM, 32, 2)
        for step, wrong in ((1, 3), (1, 5), (8, 0), (8, 2)):
            want = expected(data, sync.ASM, 32, wrong, True, step)
            for at in guard.both(data):
                n = lib.fs_marker_search(
                    at, nbytes, 0, 8 * nbytes, value, 32, wrong, step, 1, hits, 600, searched
                )
                assert [(hits[i].bit, hits[i].wrong, hits[i].inverted) for i in range(n)] == want


@pytest.mark.parametrize(
    "wrong",
    [{"marker": b""}, {"marker": bytes(9)}, {"nbits": 7}, {"max_wrong": 16}, {"step": 4}],
)
def test_search_refuses_what_cannot_be(wrong: dict[str, Any]) -> None:
    """Markers, tolerances and steps that make no sense are errors that say so."""
    with pytest.raises(FieldRangeError, match="marker"):
        sync.search(bytes(100), **wrong)
    with pytest.raises(FieldRangeError, match="bits 0 to 801"):
        sync.search(bytes(100), end_bit=801)


@settings(deadline=None, max_examples=60)
@given(st.binary(min_size=1, max_size=400), st.integers(0, 7), st.booleans(), st.booleans())
def test_unit_copy_shifts_turns_and_derandomises(
    unit: bytes, shift: int, inverted: bool, randomised: bool
) -> None:
    """A unit at any bit, turned over or not, randomised or not, comes out as it was."""
    sent = bits_of(tm_randomise(unit) if randomised else unit) ^ inverted
    stream = np.packbits(np.concatenate([np.ones(shift, np.uint8), sent])).tobytes()
    pn = tm_randomise(bytes(len(unit))) if randomised else ffi.NULL
    for name in available():
        with forced(name):
            out = bytearray(len(unit))
            assert lib.fs_unit_copy(
                stream, shift, inverted, pn, ffi.from_buffer(out), len(out)
            ) == len(out)
        assert bytes(out) == unit, name


def test_unit_copy_touches_nothing_outside(tier: str, guard: Guard) -> None:
    """Input, sequence and output may all stand at forbidden pages."""
    for nbytes in (0, 1, 7, 8, 9, 31, 32, 33, 63, 64, 65, 127, 128, 129, 300):
        data = random.Random(nbytes).randbytes(nbytes + 1)
        pn = tm_randomise(bytes(nbytes))
        for shift in (0, 3, 7):
            octets = data[: nbytes + (shift > 0)]
            want = np.packbits(bits_of(octets)[shift : shift + 8 * nbytes]).tobytes()
            for at, mask, out in zip(
                guard.both(octets), guard.both(pn), guard.both(bytes(nbytes)), strict=True
            ):
                lib.fs_unit_copy(at, shift, 0, mask, out, nbytes)
                assert ffi.buffer(out, nbytes)[:] == bytes(
                    a ^ b for a, b in zip(want, pn, strict=True)
                )


# A synchroniser -----------------------------------------------------------------------------------

UNIT_NBYTES = 40


def units_of(count: int, seed: int = 1) -> list[bytes]:
    """Return units that end in their CRC and hold no marker."""
    rnd = random.Random(seed)
    bodies = (rnd.randbytes(UNIT_NBYTES - 2) for _ in range(count))
    return [body + crc16(body).to_bytes(2, "big") for body in bodies]


def on_air(units: list[bytes]) -> npt.NDArray[np.uint8]:
    """Return the bits of units behind markers."""
    return bits_of(b"".join(sync.ASM + unit for unit in units))


def good(unit: npt.NDArray[np.uint8]) -> bool:
    """Tell whether the CRC of a unit is right."""
    return crc16(unit.tobytes()) == 0


def fed(
    stream: npt.NDArray[np.uint8],
    cuts: list[int],
    judge: sync.Judge | None = None,
    randomiser: str | None = None,
    **how: Any,
) -> tuple[list[bytes], dict[str, int], sync.Synchroniser]:
    """Feed the bits in chunks; return units, counters and the synchroniser."""
    octets = np.packbits(stream).tobytes()
    one = sync.Synchroniser(sync.Marker(**how), UNIT_NBYTES, randomiser=randomiser)
    got: list[bytes] = []
    at, turn = 0, 0
    while at < len(octets):
        step = cuts[turn % len(cuts)]
        got += [unit.tobytes() for unit in one.feed(octets[at : at + step], judge)]
        at, turn = at + step, turn + 1
        taken = min(at, len(octets))
        assert 8 * taken == one.held_bits + bits_passed(one)
        assert one.held_bits < 32 + 8 * UNIT_NBYTES + 8 + 3 * how.get("slip", 0)
    return got, one.counters, one


def bits_passed(one: sync.Synchroniser) -> int:
    """Return the bits that the counters account for."""
    names = ("unit_bits", "marker_bits", "bad_bits", "skipped_bits")
    return sum(one.counters[name] for name in names)


HOW = st.fixed_dictionaries(
    {
        "search_wrong": st.integers(0, 2),
        "lock_wrong": st.integers(2, 4),
        "verify": st.integers(0, 2),
        "misses": st.integers(0, 3),
        "slip": st.sampled_from((0, 1, 3)),
        "inverted": st.booleans(),
    }
)


@settings(deadline=None, max_examples=120)
@given(HOW, st.booleans(), st.lists(st.integers(1, 300), min_size=1, max_size=5), st.randoms())
def test_any_chunking_of_any_damage_gives_the_same_and_every_bit_is_counted(
    how: dict[str, Any], judged: bool, cuts: list[int], rnd: random.Random
) -> None:
    """Under noise, loss, insertion and inversion the result is one for all chunkings."""
    stream = on_air(units_of(12, rnd.randrange(1000)))
    for _ in range(rnd.randint(0, 8)):
        at = rnd.randrange(len(stream))
        noise = bits_of(rnd.randbytes(1 + rnd.randrange(90)))[rnd.randrange(8) :]
        kind = rnd.randrange(4)
        if kind == 0:
            stream[at] ^= 1
        elif kind == 1:
            stream = np.delete(stream, slice(at, at + rnd.randint(1, 500)))
        elif kind == 2:
            stream = np.insert(stream, at, noise)
        else:
            stream[at:] ^= 1
    judge = good if judged else None
    whole, counters, one = fed(stream, [1 << 20], judge, **how)
    again = fed(stream, cuts, judge, **how)
    assert again[:2] == (whole, counters)
    assert again[2].state == one.state
    assert counters["units"] == len(whole)
    for name in available():
        with forced(name):
            assert fed(stream, [97], judge, **how)[:2] == (whole, counters), name


@settings(deadline=None, max_examples=60)
@given(HOW, st.lists(st.binary(max_size=300), max_size=20), st.booleans())
def test_garbage_is_accounted_for(how: dict[str, Any], chunks: list[bytes], judged: bool) -> None:
    """Whatever comes, each bit is in a unit, a marker, a bad unit, skipped or still held."""
    one = sync.Synchroniser(sync.Marker(b"\x35", **(how | {"search_wrong": 1, "lock_wrong": 2})), 3)
    for chunk in chunks:
        one.feed(chunk, (lambda unit: bool(unit[0] & 1)) if judged else None)
    assert 8 * sum(map(len, chunks)) == one.held_bits + bits_passed(one)


@pytest.mark.parametrize("shift", range(8))
@pytest.mark.parametrize("inverted", [False, True])
def test_units_at_any_bit_in_either_polarity(shift: int, inverted: bool, tier: str) -> None:
    """A stream that begins anywhere and is turned over gives its units; the noise is counted."""
    units = units_of(20)
    stream = np.concatenate([np.zeros(40 + shift, np.uint8), on_air(units) ^ inverted])
    got, counters, one = fed(stream, [77], inverted=True)
    assert got == units
    assert counters["skipped_bits"] == 40 + shift
    assert counters["inverted_units"] == len(units) * inverted
    assert (counters["locks"], counters["turns"]) == (1, 0)
    assert one.state == "lock"


def test_found_tells_where_units_stood() -> None:
    """Each unit's place in the stream, polarity, wrong bits and state are told beside it."""
    units = units_of(3)
    stream = np.concatenate([np.zeros(11, np.uint8), on_air(units)])
    stream[11 + 352 + 7] ^= 1
    octets = np.packbits(stream).tobytes()
    one = sync.Synchroniser(sync.Marker(verify=1), UNIT_NBYTES)
    rows = []
    for at in range(0, len(octets), 50):
        one.feed(octets[at : at + 50])
        rows += one.found.tolist()
    assert rows == [
        (11 + 32, False, 0, False, 1, 0),
        (11 + 352 * 2 + 32, False, 0, False, 1, 0),
    ]
    one = sync.Synchroniser(sync.Marker(verify=1, search_wrong=1), UNIT_NBYTES)
    one.feed(octets)
    assert one.found["wrong"].tolist() == [0, 1, 0]
    assert one.found["state"].tolist() == [1, 2, 2]
    assert one.found["bit"].tolist() == [43, 395, 747]


def test_lock_tolerates_more_wrong_bits_than_search() -> None:
    """Three wrong bits in an expected marker are tolerated; at the start none is."""
    units = units_of(6)
    stream = on_air(units)
    stream[352 * 3 + np.array([0, 9, 31])] ^= 1
    got, counters, _ = fed(stream, [61])
    assert (got, counters["wrong_marker_bits"], counters["locks"]) == (units, 3, 1)
    got, counters, _ = fed(stream[352 * 3 :], [61])
    assert got == units[4:]
    assert counters["skipped_bits"] == 352


def test_check_verifies_before_lock() -> None:
    """A marker by chance in noise does not lock: the next one is missing and search goes on."""
    units = units_of(5)
    noise = bits_of(sync.ASM + random.Random(9).randbytes(70))
    got, counters, one = fed(np.concatenate([noise, on_air(units)]), [33], verify=2)
    assert got[1:] == units
    assert (counters["checks_failed"], counters["locks"], counters["locks_lost"]) == (1, 1, 0)
    assert one.state == "lock"
    assert fed(on_air(units[:2]), [33], verify=2)[2].state == "check"


def test_flywheel_survives_missing_markers() -> None:
    """As many missing markers as told cost no unit; one more ends the lock."""
    units = units_of(9)
    stream = on_air(units)
    for i in (3, 4):
        stream[352 * i : 352 * i + 32] = 0
    got, counters, one = fed(stream, [50], misses=2)
    assert got == units
    assert (counters["flywheel_units"], counters["missed_markers"]) == (2, 2)
    assert (counters["locks_lost"], one.state) == (0, "lock")
    got, counters, _ = fed(stream, [50], misses=1)
    assert got == [*units[:4], *units[5:]]
    assert (counters["locks_lost"], counters["missed_markers"], counters["locks"]) == (1, 2, 2)
    assert fed(stream[: 352 * 5], [50], misses=2)[2].state == "flywheel"


@pytest.mark.parametrize("slip", [-3, -2, -1, 1, 2, 3])
def test_slipped_bits_cost_the_unit_that_they_hit_only(slip: int) -> None:
    """Bits lost or doubled inside a unit move the next marker; it is found beside its place."""
    units = units_of(9)
    stream = on_air(units)
    at = 352 * 4 + 100
    hurt = (
        np.insert(stream, at, [0] * slip) if slip > 0 else np.delete(stream, slice(at, at - slip))
    )
    got, counters, one = fed(hurt, [41], slip=3)
    assert [unit for unit in got if unit in units] == [*units[:4], *units[5:]]
    assert len(got) == len(units)
    assert (counters["slips"], counters["locks_lost"]) == (1, 0)
    assert counters["skipped_bits"] == max(slip, 0)
    assert one.found["slip"].tolist() == [0] * len(one.found)


@pytest.mark.parametrize("lost", [1, 8, 9, 32, 300])
def test_bits_lost_in_a_judged_unit_cost_that_unit_only(lost: int) -> None:
    """A unit that fails its check is searched for the next marker; nothing counts as skipped."""
    units = units_of(9)
    stream = np.delete(on_air(units), slice(352 * 4 + 40, 352 * 4 + 40 + lost))
    for cuts in ([1], [44], [10_000]):
        got, counters, _ = fed(stream, cuts, good)
        assert [unit for unit in got if good(np.frombuffer(unit, np.uint8))] == [
            *units[:4],
            *units[5:],
        ]
        assert (counters["bad_units"], counters["skipped_bits"]) == (1, 0)
        assert counters["bad_bits"] == 352 - lost


def test_phase_slip_in_lock_is_followed() -> None:
    """When the polarity turns between units the lock holds and the turn is counted."""
    units = units_of(6)
    stream = on_air(units)
    stream[352 * 2 :] ^= 1
    got, counters, _ = fed(stream, [352], inverted=True)
    assert (got, counters["turns"], counters["inverted_units"]) == (units, 1, 4)


def test_octets_only_when_told_so() -> None:
    """With steps of octets a marker at another bit is not seen."""
    units = units_of(4)
    stream = np.concatenate([np.zeros(3, np.uint8), on_air(units), np.zeros(5, np.uint8)])
    assert fed(stream, [50], step=8)[0] == []
    assert fed(np.concatenate([np.zeros(16, np.uint8), on_air(units)]), [50], step=8)[0] == units


def test_derandomises_on_the_way() -> None:
    """With a randomiser named, units come out without it."""
    units = units_of(4)
    stream = on_air([tm_randomise(unit) for unit in units])
    assert fed(stream, [50], randomiser="tm")[0] == units


@pytest.mark.parametrize(
    "wrong",
    [
        {"unit_nbytes": 0},
        {"lock_wrong": 16},
        {"search_wrong": 4},
        {"step": 2},
        {"slip": 3, "step": 8},
        {"octets": b"\x1a"[:0]},
        {"verify": 256},
    ],
)
def test_synchroniser_refuses_what_cannot_be(wrong: dict[str, Any]) -> None:
    """Settings that contradict one another are refused with all of them in the message."""
    how, unit_nbytes = dict(wrong), wrong.get("unit_nbytes", 10)
    how.pop("unit_nbytes", None)
    with pytest.raises(FieldRangeError, match="marker"):
        sync.Synchroniser(sync.Marker(**how), unit_nbytes)
