"""Packets by the table: finding them in damaged streams, columns, selections, error control."""

from __future__ import annotations

import mmap
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from guard import Guard

from flightsw.codec.coding.crc import crc16
from flightsw.codec.errors import FieldRangeError, SyncError, TruncatedError
from flightsw.codec.native import ffi, lib
from flightsw.codec.packet import space_packet
from flightsw.codec.packet.find import PacketFinder, scan, table_at
from flightsw.codec.packet.table import PacketTable

APIDS = (5, 77, 600)


def checked(apid: int, seq: int, data: bytes) -> bytes:
    """Return a packet that ends in its error control."""
    body = space_packet.pack(apid, seq, data + bytes(2))[:-2]
    return body + crc16(body).to_bytes(2, "big")


def stream(rnd: random.Random, count: int, most: int = 60) -> list[bytes]:
    """Return packets of known APIDs with error control; the data looks like no header."""
    return [
        checked(rnd.choice(APIDS), i % 16384, bytes(rnd.randrange(128, 256) for _ in range(n)))
        for i, n in enumerate(rnd.choices(range(1, most), k=count))
    ]


def octets_of(table: PacketTable) -> list[bytes]:
    """Return the packets of a table."""
    return [bytes(piece) for piece in table.pieces()]


def test_a_sound_stream_is_found_whole() -> None:
    """Packets one behind the other are found as scanned, and nothing is skipped."""
    sent = stream(random.Random(1), 300)
    finder = PacketFinder(apids=APIDS, error_control=True)
    table = finder.find(b"".join(sent))
    assert octets_of(table) == sent
    assert table.ok.all()
    assert finder.counters == {
        "packets": 300,
        "packet_octets": sum(map(len, sent)),
        "record_octets": 0,
        "skipped_octets": 0,
        "searches": 0,
    }


@pytest.mark.parametrize("error_control", [False, True])
def test_octets_that_are_no_packet_are_skipped_and_counted(error_control: bool) -> None:
    """Rubbish before, between and behind packets costs no packet, and each octet is counted.

    Only with error control is a packet found that has rubbish on both sides.
    """
    rnd = random.Random(2)
    sent = stream(rnd, 200)
    rubbish = [rnd.choice([b"", b"\xfe" * 9]) for _ in sent]
    if not error_control:
        rubbish[1::2] = [b""] * 100
        sent = sent[:-1]
        rubbish = rubbish[:-1]
    air = b"".join(r + p for r, p in zip(rubbish, sent, strict=True))
    finder = PacketFinder(apids=APIDS, error_control=error_control)
    behind = 11 if error_control else 0
    table = finder.find(air + b"\xff" * behind)
    assert octets_of(table) == sent
    assert finder.counters["skipped_octets"] == sum(map(len, rubbish)) + behind
    assert finder.counters["searches"] == sum(map(bool, rubbish)) + error_control
    assert table.consumed == len(air) + behind


def test_a_damaged_length_costs_one_packet() -> None:
    """With error control, a packet whose length is wrong is given up and the next one is found."""
    sent = stream(random.Random(3), 50)
    for victim, wrong in ((0, 3), (17, 200), (20, 0), (48, 9), (3, 65_535), (48, 65_535)):
        hurt = bytearray(sent[victim])
        hurt[4:6] = wrong.to_bytes(2, "big")
        air = b"".join([*sent[:victim], bytes(hurt), *sent[victim + 1 :]])
        finder = PacketFinder(apids=APIDS, error_control=True)
        assert octets_of(finder.find(air)) == sent[:victim] + sent[victim + 1 :]
        assert finder.counters["skipped_octets"] == len(hurt)


def test_a_damaged_length_at_the_end_hides_no_packet() -> None:
    """With known APIDs alone, a length beyond the end of the stream costs one packet as well."""
    sent = stream(random.Random(31), 30)
    hurt = bytearray(sent[9])
    hurt[4] = 255
    finder = PacketFinder(apids=APIDS)
    assert octets_of(finder.find(b"".join([*sent[:9], hurt, *sent[10:]]))) == sent[:9] + sent[10:]
    assert finder.counters["skipped_octets"] == len(hurt)


def test_a_damaged_packet_in_its_place_stays() -> None:
    """A packet that fails its error control but is followed by a header is found, and not ok."""
    sent = stream(random.Random(4), 9)
    hurt = bytearray(sent[4])
    hurt[-1] ^= 1
    table = PacketFinder(apids=APIDS, error_control=True).find(
        b"".join([*sent[:4], bytes(hurt), *sent[5:]])
    )
    assert table.ok.tolist() == [i != 4 for i in range(9)]


def in_chunks(known: dict[str, Any], air: bytes, step: int) -> tuple[list[bytes], Any, bytes]:
    """Return packets, counters and the rest of a stream that comes ``step`` octets at a time."""
    finder, held = PacketFinder(**known), b""
    got: list[bytes] = []
    for at in range(0, len(air) + 1, step):
        held += air[at : at + step]
        last = at + step > len(air)
        while True:
            table = finder.find(held, last=last, capacity=1 + at % 5)
            got += octets_of(table)
            held = held[table.consumed :]
            if not len(table):
                break
    return got, finder.counters, held


@pytest.mark.parametrize("seed", range(100))
def test_chunks_make_no_difference_and_every_octet_is_accounted_for(seed: int) -> None:
    """However a stream is cut up, packets and counters are the same, and the counts add up."""
    rnd = random.Random(seed)
    parts = [rnd.choice([p, p, rnd.randbytes(rnd.randrange(9)), p[:-3]]) for p in stream(rnd, 30)]
    air = b"".join(parts)
    known = {
        "apids": rnd.choice([None, APIDS]),
        "error_control": rnd.random() < 0.5,
        "max_nbytes": rnd.choice([80, 65542]),
        "before_nbytes": rnd.choice([0, 0, 3]),
        "behind_nbytes": rnd.choice([0, 0, 1]),
    }
    whole = PacketFinder(**known)
    table = whole.find(air)
    left = air[table.consumed :]
    octets = sum(whole.counters[f"{kind}_octets"] for kind in ("packet", "record", "skipped"))
    assert octets + len(left) == len(air)
    for step in (1, rnd.randrange(2, 40), rnd.randrange(40, 400)):
        assert in_chunks(known, air, step) == (octets_of(table), whole.counters, left)


def test_record_headers_and_trailers_are_stepped_over() -> None:
    """Octets around each packet are no part of it, whatever stands in them, and are counted."""
    rnd = random.Random(5)
    sent = stream(rnd, 40)
    air = b"".join(rnd.randbytes(4) + p + rnd.randbytes(2) for p in sent)
    finder = PacketFinder(before_nbytes=4, behind_nbytes=2)
    assert octets_of(finder.find(air)) == sent
    assert finder.counters["record_octets"] == 6 * 40
    assert finder.counters["skipped_octets"] == 0


def test_the_packet_cut_off_at_the_end_is_left() -> None:
    """Without more to come, an incomplete packet stays behind ``consumed``."""
    sent = stream(random.Random(6), 3)
    air = b"".join(sent)
    for cut in range(1, len(sent[2])):
        table = PacketFinder().find(air[:-cut])
        assert octets_of(table) == sent[:2]
        assert table.consumed == len(sent[0] + sent[1])


@pytest.mark.parametrize(
    "wrong",
    [
        {"min_nbytes": 6},
        {"max_nbytes": 65543},
        {"min_nbytes": 100, "max_nbytes": 99},
        {"before_nbytes": -1},
        {"behind_nbytes": 1 << 20},
        {"apids": [2048]},
        {"apids": [-1]},
    ],
)
def test_settings_that_allow_no_packet_are_refused(wrong: dict[str, int]) -> None:
    """Limits outside of the standard and APIDs that do not exist are errors."""
    with pytest.raises(FieldRangeError):
        PacketFinder(**wrong)  # type: ignore[arg-type]


def test_large_streams_grow_the_table() -> None:
    """Rows are estimated, and still right when short packets follow long ones."""
    long = space_packet.pack(1, 0, bytes(5000)) * 100
    short = b"".join(space_packet.pack(2, i % 16384, b"x") for i in range(60_000))
    table = scan(long + short + long)
    assert len(table) == 60_200
    assert table.consumed == 2 * len(long) + len(short)
    rows = table.select(2)
    assert np.array_equal(rows.seq, np.arange(60_000) % 16384)
    assert rows.gather() == short
    assert np.array_equal(np.diff(table.offset.astype(np.int64)), table.nbytes[:-1])
    with pytest.raises(SyncError, match=f"octet {len(long + short)} version 7"):
        scan(long + short + b"\xff" * 9)


def test_a_file_is_scanned_where_it_lies(tmp_path: Path) -> None:
    """A memory map, an array and a view are scanned as bytes are."""
    sent = stream(random.Random(7), 100)
    path = tmp_path / "packets"
    path.write_bytes(b"".join(sent))
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as octets:
        table = scan(octets)
        assert table.ok.all()
        assert [bytes(piece) for piece in table.pieces()] == sent
        assert table.gather() == b"".join(sent)
        del table
    array = np.fromfile(path, np.uint8)
    for buf in (array, bytearray(array.tobytes()), memoryview(array)):
        assert octets_of(scan(buf)) == sent


def test_selection_by_apid_type_and_mask() -> None:
    """A selection holds the rows that fit, in order, with the columns computed before."""
    sent = [
        space_packet.pack(i % 3, i, bytes(i + 1), telecommand=i % 2 == 0, secondary=i % 5 == 0)
        for i in range(30)
    ]
    table = scan(b"".join(sent))
    assert not table.ok[0]
    assert octets_of(table.select(1)) == sent[1::3]
    assert octets_of(table.select([0, 2], telecommand=True)) == [
        p for i, p in enumerate(sent) if i % 3 != 1 and i % 2 == 0
    ]
    assert octets_of(table.select(where=table.secondary)) == sent[::5]
    assert octets_of(table.select(where=np.array([4, 3]))) == [sent[4], sent[3]]
    assert table.select(1).ok.tolist() == table.ok[1::3].tolist()
    parts = table.by_apid()
    assert list(parts) == [0, 1, 2]
    assert [octets_of(part) for part in parts.values()] == [sent[i::3] for i in range(3)]
    assert scan(b"").by_apid() == {}


def test_error_control_of_some_apids(tier: str) -> None:
    """Packets of APIDs without error control are not held against it."""
    table = scan(checked(1, 0, b"abc") + space_packet.pack(9, 0, b"no check") + checked(1, 1, b"d"))
    assert table.ok.tolist() == [True, False, True]
    assert table.check([1]).all()
    assert table.check([9]).tolist() == [True, False, True]
    assert table.check([]).all()


def test_a_table_of_packets_at_known_places(guard: Guard) -> None:
    """Packets at given offsets, in any order, have the columns of the scan."""
    sent = stream(random.Random(9), 50)
    whole = scan(b"".join(sent))
    order = np.random.default_rng(1).permutation(50)
    table = table_at(whole.buf, whole.offset[order])
    assert octets_of(table) == [sent[i] for i in order]
    for name in ("offset", "nbytes", "apid", "seq", "seq_flags", "telecommand", "ok"):
        assert np.array_equal(getattr(table, name), getattr(whole, name)[order])
    for wrong in (len(whole.buf), len(whole.buf) - 5, 2**63, int(whole.offset[-1]) + 1):
        with pytest.raises((TruncatedError, SyncError), match="packet table"):
            table_at(whole.buf, [0, wrong])
    with pytest.raises(SyncError, match="version"):
        table_at(b"\xff" * 9, [0])
    columns = ffi.new("fs_packet_columns *", [ffi.new(f"uint{n}_t[]", 1) for n in (64, 32, 16, 16)])
    for n in range(len(sent[0])):
        for buf in guard.both(sent[0][:n]):
            code = lib.fs_packet_headers(buf, n, ffi.new("uint64_t[1]"), 1, columns)
            assert code == lib.FS_E_SHORT


def test_check_and_gather_refuse_what_lies_behind_the_buffer() -> None:
    """A table whose packets are not in its buffer is an error, not a read beyond it."""
    table = scan(checked(1, 0, b"abc"))
    table.buf = bytes(table.buf)[:-1]
    with pytest.raises(TruncatedError, match="10 octets"):
        _ = table.ok
    with pytest.raises(TruncatedError, match="10 octets"):
        table.gather()


def test_no_octet_outside_is_read(guard: Guard, tier: str) -> None:
    """Scan, search and check stay inside of buffers that begin or end at a forbidden page."""
    rnd = random.Random(8)
    sent = b"".join(stream(rnd, 8, 20))
    rows = 64
    arrays = [np.empty(rows, f"u{n}") for n in (8, 4, 2, 2)]
    kinds = ("uint64_t[]", "uint32_t[]", "uint16_t[]", "uint16_t[]")
    pointers = [ffi.from_buffer(k, a) for k, a in zip(kinds, arrays, strict=True)]
    columns, consumed = ffi.new("fs_packet_columns *", pointers), ffi.new("uint64_t *")
    ok = ffi.new("uint8_t[]", rows)
    for cut in range(0, len(sent), 3):
        data = sent[cut:]
        for buf in guard.both(data):
            for error_control in (0, 1):
                finder = ffi.new("fs_packet_finder *")
                finder.error_control, finder.before_nbytes = error_control, error_control
                for last in (0, 1):
                    n = lib.fs_packet_find(finder, buf, len(data), last, columns, rows, consumed)
                    assert 0 <= consumed[0] <= len(data)
                    assert lib.fs_packet_check(buf, len(data), *pointers[:2], n, ok) >= 0
            lib.fs_packet_scan(buf, len(data), columns, rows, consumed)
