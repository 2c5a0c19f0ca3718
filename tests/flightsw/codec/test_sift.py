"""Each chunk in C: packets told from other units, checked, counted, given to layouts."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from construct import BitsInteger, BitStruct
from guard import Guard

from flightsw.codec.columns.layout import compile_layout
from flightsw.codec.errors import CodecError, SyncError, TruncatedError
from flightsw.codec.link.units import UNIT_DTYPE
from flightsw.codec.native import ffi, lib
from flightsw.codec.packet import space_packet
from flightsw.codec.packet.pus_format import PUS_C, PusFormat
from flightsw.codec.packet.table import IDLE_APID
from flightsw.codec.stream.batch import Delivered
from flightsw.codec.stream.channel import Packets, Rule
from flightsw.codec.stream.sift import Sift
from flightsw.codec.time_code import TimeFormat

LAYOUT = compile_layout(BitStruct("a" / BitsInteger(4), "b" / BitsInteger(12)))


def units(packets: list[bytes], kinds: list[int]) -> tuple[bytes, Any]:
    """Return packets one behind the other, and rows as of a frame receiver."""
    rows = np.zeros(len(packets), UNIT_DTYPE)
    rows["offset"] = np.cumsum([0, *map(len, packets)])[:-1]
    rows["nbytes"], rows["kind"] = [len(p) for p in packets], kinds
    rows["vcid"], rows["frame"] = np.arange(len(packets)) % 3, np.arange(len(packets)) * 2
    return b"".join(packets), rows


def delivered(octets: Any, rows: Any) -> Delivered:
    """Return them as a front does."""
    view = ffi.from_buffer("fs_frame_row[]", rows)
    return Delivered(np.frombuffer(octets, np.uint8), len(octets), len(rows), view, ffi.NULL)


def test_other_units_and_idle_packets_are_told_from_packets(tier: str) -> None:
    """Packets keep their order, frame and channel; idle ones are counted, other units given."""
    packets = [space_packet.pack(5, i, bytes([i] * (i % 4 + 1))) for i in range(9)]
    packets[2] = space_packet.pack(IDLE_APID, 0, b"idle", secondary=False)
    packets[4], packets[6] = b"\xe0", b"opaque"
    kinds = [lib.FS_UNIT_PACKET] * 9
    kinds[2] = kinds[4] = lib.FS_UNIT_IDLE
    kinds[6] = lib.FS_UNIT_OPAQUE
    given = delivered(*units(packets, kinds))
    sift = Sift(Packets(), (Rule("two", LAYOUT, apid=5, skip_nbytes=6),))
    batch = sift.batch(given)
    kept = [0, 1, 3, 5, 7, 8]
    assert [bytes(piece) for piece in batch.packets.pieces()] == [packets[i] for i in kept]
    assert (batch.frame.tolist(), batch.vcid.tolist()) == (
        [2 * i for i in kept],
        [i % 3 for i in kept],
    )
    assert batch.units is not None
    assert list(batch.units.each()) == [b"\xe0", b"opaque"]
    assert sift.totals["idle_packets"] == sift.tracker.totals["idle"] == 1
    part = batch.columns["two"]
    assert part.rows.tolist() == [1, 3]  # packets 1 and 5 have two octets of data
    assert part.columns["b"].tolist() == [0x101, 0x505]
    assert sift.rules[0].counters == {
        "packets": 6,
        "rows": 2,
        "wrong_length": 4,
        "undecodable": 0,
    }
    both = Sift(Packets(keep_idle=True), ()).batch(given)
    assert len(both) == 7


def test_what_is_no_packet_is_refused_before_anything_happened() -> None:
    """A packet of another version, or one cut off, raises and leaves all counters at zero."""
    whole, rows = units([space_packet.pack(5, i, b"abc") for i in range(3)], [0] * 3)
    sift = Sift(Packets(), ())
    with pytest.raises(TruncatedError, match="3 packets"):
        sift.batch(delivered(whole[:-1], rows))
    with pytest.raises(SyncError, match="version"):
        sift.batch(delivered(whole[:9] + b"\x20" + whole[10:], rows))
    assert set(sift.totals.values()) == set(sift.tracker.totals.values()) == {0}
    assert len(sift.batch(delivered(whole, rows))) == 3


def test_headers_are_missed_only_where_they_should_be() -> None:
    """Packets without a PUS header are counted on APIDs that have one, and on no others."""
    packets = [PUS_C.pack_tm(5, 0, 3, 25, b"ab", t_ns=0)]
    packets += [space_packet.pack(apid, 0, b"abcd", secondary=False) for apid in (5, 6, 6, 2047)]
    given = delivered(*units(packets, [lib.FS_UNIT_PACKET] * 4 + [lib.FS_UNIT_IDLE]))
    sift = Sift(Packets(pus=PUS_C, no_pus=frozenset({6}), keep_idle=True), ())
    batch = sift.batch(given)
    assert batch.pus is not None
    assert batch.pus.good.tolist() == [True, False, False, False, False]
    assert sift.totals["no_pus_header"] == 1


def test_a_time_that_columns_cannot_hold_is_refused_at_once() -> None:
    """Secondary headers whose time has too many octets are refused when the stream is made."""
    pus = PusFormat(time=TimeFormat("cuc", 5, 3))
    with pytest.raises(CodecError, match="one by one"):
        Sift(Packets(pus=pus), ())


def test_no_octet_outside_is_touched(tier: str, guard: Guard) -> None:
    """Packets, rows, table, work and arena flush against forbidden pages stay within their ends."""
    rnd = random.Random(3)
    octets, rows = units([space_packet.pack(5, i, rnd.randbytes(2)) for i in range(24)], [0] * 24)
    for pus in (None, PusFormat(time=None, counter_nbytes=0, destination_nbytes=0)):
        rules = (Rule("two", LAYOUT, apid=5, skip_nbytes=6), Rule("any", LAYOUT, longer=True))
        sift = Sift(Packets(error_control=pus is not None, pus=pus), rules)
        state, n = sift.state, len(rows)
        room, numbers = n * lib.fs_sift_row_nbytes(state), 3 * len(rules) * n
        for source in guard.both(octets):
            place = ffi.cast("fs_frame_row *", guard.place(rows.tobytes(), at_end=True))
            table = guard.place(bytes(room), at_end=True)
            work = ffi.cast("uint64_t *", guard.place(bytes(8 * numbers), at_end=True))
            found = lib.fs_sift_take(state, source, len(octets), place, ffi.NULL, n, table, n, work)
            assert found == n
            needed = state.columns_nbytes + 63
            arena = guard.place(bytes(needed), at_end=True)
            assert lib.fs_sift_columns(state, source, len(octets), arena, needed) >= 0
            code = lib.fs_sift_take(state, source, len(octets), place, ffi.NULL, n, table, 8, work)
            assert code == lib.FS_E_CAPACITY
            nothing = ffi.NULL
            code = lib.fs_sift_columns(state, source, len(octets), nothing, 0)
            assert code == (lib.FS_E_CAPACITY if state.columns_nbytes else 0)
