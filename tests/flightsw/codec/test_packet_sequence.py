"""Sequence counts per APID, and segmented packets put together."""

from __future__ import annotations

import random

import numpy as np
import pytest

from flightsw.codec.errors import FieldRangeError, TruncatedError
from flightsw.codec.native import ffi, lib
from flightsw.codec.packet import space_packet
from flightsw.codec.packet.find import scan
from flightsw.codec.packet.sequence import Joiner, Tracker, Unit, Verdict
from flightsw.codec.packet.space_packet import CONTINUATION, FIRST, IDLE_APID, LAST, UNSEGMENTED


def counts(*seqs: int, apid: int = 1) -> bytes:
    """Return packets of one APID with these counts."""
    return b"".join(space_packet.pack(apid, seq, b"x") for seq in seqs)


def follow(*seqs: int, late_window: int = 64) -> tuple[list[str], list[int], dict[str, int]]:
    """Return verdicts, missing packets and totals of these counts."""
    tracker = Tracker(late_window)
    seen = tracker.follow(scan(counts(*seqs)))
    names = [Verdict(code).name for code in seen.verdict.tolist()]
    return names, seen.missing.tolist(), tracker.totals


def test_a_wrap_is_no_gap() -> None:
    """40,000 packets in order, over two wraps of the count, are one first and all the rest next."""
    table = scan(b"".join(counts(i % 16384) for i in range(16000, 56000)))
    tracker = Tracker()
    seen = tracker.follow(table)
    assert seen.verdict.tolist() == [Verdict.FIRST] + [Verdict.NEXT] * 39_999
    assert not seen.missing.any()
    wanted = {"packets": 40_000, "octets": 280_000}
    assert tracker.totals == dict.fromkeys(tracker.totals, 0) | wanted
    ((key, channel),) = tracker.channels().items()
    assert key == (False, 1)
    assert channel["packets"] == 40_000
    assert sum(channel.values()) == 320_000


@pytest.mark.parametrize(
    ("seqs", "verdicts", "missing", "totals"),
    [
        ((5, 8, 9), "FIRST GAP NEXT", (0, 2, 0), {"gaps": 1, "lost": 2}),
        ((16382, 2), "FIRST GAP", (0, 3), {"gaps": 1, "lost": 3}),
        ((5, 5, 6), "FIRST DUPLICATE NEXT", (0, 0, 0), {"duplicates": 1}),
        ((0, 0), "FIRST DUPLICATE", (0, 0), {"duplicates": 1}),
        ((3, 5, 4, 6), "FIRST GAP LATE NEXT", (0, 1, 0, 0), {"gaps": 1, "lost": 1, "late": 1}),
        ((900, 0, 1), "FIRST RESTART NEXT", (0, 0, 0), {"restarts": 1}),
        ((900, 700, 701), "FIRST JUMP NEXT", (0, 0, 0), {"jumps": 1}),
        ((1, 8193), "FIRST GAP", (0, 8191), {"gaps": 1, "lost": 8191}),
        ((1, 8194), "FIRST JUMP", (0, 0), {"jumps": 1}),
        ((1, 16383), "FIRST LATE", (0, 0), {"late": 1}),
    ],
)
def test_what_a_count_says(
    seqs: tuple[int, ...], verdicts: str, missing: tuple[int, ...], totals: dict[str, int]
) -> None:
    """Gaps, duplicates, restarts, late packets and jumps are told apart and counted."""
    names, lost, sums = follow(*seqs)
    assert names == verdicts.split()
    assert lost == list(missing)
    kinds = ("gaps", "lost", "duplicates", "late", "restarts", "jumps")
    assert {name: sums[name] for name in kinds} == dict.fromkeys(kinds, 0) | totals


def test_the_late_window_decides() -> None:
    """Without a window, a count that goes back by two is a jump; windows above 8191 are refused."""
    assert follow(9, 7, late_window=1)[0] == ["FIRST", "JUMP"]
    assert follow(9, 7, late_window=2)[0] == ["FIRST", "LATE"]
    for window in (-1, 8192):
        with pytest.raises(FieldRangeError, match="8191"):
            Tracker(window)
    state = ffi.new("fs_packet_tracker *", {"late_window": 8192})
    columns = ffi.new("fs_packet_columns *")
    assert lib.fs_packet_track(state, columns, ffi.NULL, 0, ffi.NULL, ffi.NULL) == lib.FS_E_RANGE


def test_each_type_and_apid_counts_for_itself() -> None:
    """Packets of many APIDs and both types, mixed, each in order, have no gap; a loss has one."""
    rnd = random.Random(1)
    at: dict[tuple[int, bool], int] = {}
    sent = []
    for _ in range(3000):
        key = (rnd.randrange(20), rnd.random() < 0.5)
        at[key] = (at.get(key, rnd.randrange(16384)) + 1) % 16384
        sent.append(space_packet.pack(key[0], at[key], b"ab", telecommand=key[1]))
    tracker = Tracker()
    whole = scan(b"".join(sent))
    assert set(tracker.follow(whole).verdict.tolist()) <= {
        Verdict.FIRST,
        Verdict.NEXT,
        Verdict.RESTART,
    }
    assert len(tracker.channels()) == 40
    lossy = Tracker()
    kept = whole.select(where=np.arange(3000) % 100 != 99)
    pieces = [lossy.follow(kept.select(where=np.arange(a, a + 297))) for a in range(0, 2970, 297)]
    assert lossy.totals["packets"] == 2970
    again = Tracker().follow(kept)
    assert np.array_equal(again.missing, np.concatenate([p.missing for p in pieces]))
    assert np.array_equal(again.missing, kept.lost_before)
    assert lossy.totals["lost"] == int(again.missing.sum())
    assert lossy.totals["lost"] in range(25, 31)


def test_bad_and_idle_packets_are_not_believed() -> None:
    """A packet that failed its check does not move the count; idle packets have no order."""
    idle = space_packet.pack(IDLE_APID, 7, b"\0", secondary=False)
    table = scan(counts(4, 9999, 6) + idle + idle + counts(7))
    tracker = Tracker()
    ok = np.array([True, False, True, True, True, True])
    seen = tracker.follow(table, ok)
    assert [Verdict(v).name for v in seen.verdict] == [
        "FIRST",
        "BAD",
        "GAP",
        "IDLE",
        "IDLE",
        "NEXT",
    ]
    assert seen.missing.tolist() == [0, 0, 1, 0, 0, 0]
    totals = tracker.totals
    assert (totals["bad"], totals["idle"], totals["lost"], totals["packets"]) == (1, 2, 1, 6)
    with pytest.raises(FieldRangeError, match="2 verdicts for 6"):
        tracker.follow(table, ok[:2])


def segmented(apid: int, seq: int, data: bytes, size: int, head: bytes = b"") -> list[bytes]:
    """Return the packets of one unit of data, cut into parts of ``size``, each behind ``head``."""
    parts = [data[at : at + size] for at in range(0, len(data), size)]
    flags = [FIRST, *[CONTINUATION] * (len(parts) - 2), LAST]
    return [
        space_packet.pack(apid, (seq + i) % 16384, head + part, seq_flags=flag)
        for i, (part, flag) in enumerate(zip(parts, flags, strict=True))
    ]


def units(joiner: Joiner, packets: list[bytes]) -> list[Unit]:
    """Return what packets give, with data as bytes."""
    return [u._replace(data=bytes(u.data)) for u in joiner.join(scan(b"".join(packets)))]


def accounted(joiner: Joiner, sent: int, got: list[Unit], open_parts: int = 0) -> bool:
    """Return whether every packet is in a unit, dropped, idle or waiting."""
    counters = joiner.counters
    in_units = sum(unit.parts for unit in got)
    return sent == in_units + counters["parts_dropped"] + counters["idle"] + open_parts


@pytest.mark.parametrize("chunk", [1, 7, 1000])
def test_groups_of_many_apids_interleaved(chunk: int) -> None:
    """Groups come out whole and in the order of their last parts, however the stream is cut."""
    rnd = random.Random(2)
    queues, want = [], {}
    for apid in range(30):
        data = rnd.randbytes(rnd.randrange(60, 900))
        queues.append(segmented(apid, rnd.choice([0, 16380]), data, 50, b"\xaa\xbb"))
        want[apid] = b"\xaa\xbb" + data
    queues.append([space_packet.pack(99, i, bytes([i])) for i in range(9)])
    sent = []
    while queues:
        queue = rnd.choice(queues)
        sent.append(queue.pop(0))
        queues = [q for q in queues if q]
    joiner = Joiner(groups=30, group_nbytes=1000, secondary_nbytes=2)
    got = [u for at in range(0, len(sent), chunk) for u in units(joiner, sent[at : at + chunk])]
    assert {u.apid: u.data for u in got if u.parts > 1} == want
    assert [u.data for u in got if u.parts == 1] == [bytes([i]) for i in range(9)]
    assert joiner.counters["complete"] == joiner.counters["begun"] == 30
    assert joiner.counters["unsegmented"] == 9
    assert accounted(joiner, len(sent), got)


def test_each_way_of_losing_a_group_has_its_counter() -> None:
    """A missing part, a second beginning or none, too much data and too many groups all count."""
    a = segmented(1, 10, bytes(100), 30)
    for packets, name, dropped, left in (
        ([a[0], a[2], a[3]], "interrupted", 3, 0),
        ([a[0], a[1], *a], "interrupted", 2, 0),
        ([a[0], space_packet.pack(1, 11, b"x", seq_flags=UNSEGMENTED)], "interrupted", 1, 0),
        (a[1:], None, 3, 0),
        (segmented(1, 0, bytes(500), 100), "too_long", 5, 0),
        ([segmented(apid, 0, bytes(9), 5)[0] for apid in range(5)], "evicted", 1, 4),
    ):
        joiner = Joiner(groups=4, group_nbytes=400)
        got = units(joiner, packets)
        lost = {k: joiner.counters[k] for k in ("interrupted", "evicted", "too_long")}
        assert lost == {"interrupted": 0, "evicted": 0, "too_long": 0} | ({name: 1} if name else {})
        assert joiner.counters["parts_dropped"] == dropped
        assert joiner.counters["open"] == left
        assert accounted(joiner, len(packets), got, left)


def test_idle_packets_give_no_unit_and_break_no_group() -> None:
    """An idle packet between two parts changes nothing."""
    parts = segmented(3, 0, b"abcdef", 3)
    joiner = Joiner()
    idle = space_packet.pack(IDLE_APID, 0, b"\0", secondary=False)
    (unit,) = units(joiner, [parts[0], idle, parts[1]])
    assert unit == (3, 0, False, 2, b"abcdef")
    assert joiner.counters["idle"] == 1


def test_random_streams_lose_nothing_unseen() -> None:
    """Over shuffled, doubled and missing parts, every packet is accounted for."""
    rnd = random.Random(3)
    for _ in range(50):
        packets: list[bytes] = []
        for i in range(40):
            apid, size = rnd.randrange(6), rnd.randrange(3, 9)
            packets += segmented(apid, i * 7, rnd.randbytes(rnd.randrange(10, 60)), size)
        packets = [p for p in packets if rnd.random() < 0.95]
        for _ in range(10):
            packets.insert(rnd.randrange(len(packets)), rnd.choice(packets))
        joiner = Joiner(groups=3, group_nbytes=40)
        got = units(joiner, packets)
        waiting = len(packets) - sum(u.parts for u in got) - joiner.counters["parts_dropped"]
        assert 0 <= waiting <= 20 * joiner.counters["open"]
        assert (waiting == 0) == (joiner.counters["open"] == 0)
        assert joiner.counters["open"] <= 3


@pytest.mark.parametrize("wrong", [(0, 1), (1, 0), (65535, 1), (1, 1 << 31)])
def test_a_joiner_without_room_is_refused(wrong: tuple[int, int]) -> None:
    """A joiner needs at least one group of one octet, and fewer than 65,535."""
    with pytest.raises(FieldRangeError, match="packet joiner"):
        Joiner(*wrong)


def test_a_table_behind_its_buffer_is_refused() -> None:
    """A table whose packets are not in its buffer is an error, and nothing is taken."""
    table = scan(counts(1, 2))
    table.buf = bytes(table.buf)[:-1]
    joiner = Joiner()
    with pytest.raises(TruncatedError, match="13 octets"):
        joiner.join(table)
    assert joiner.counters["unsegmented"] == 0
