"""Two streams of records are compared by topic and running number."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flightsw.codec.wire import Kind, Record, unpack_all
from hil.board import load_board
from hil.replay.compare import Comparison
from hil.replay.decode import Decoder
from hil.replay.rules import Rules
from hil.replay.verdict import KINDS, Verdict

from .streams import NAMES, Edited, edit, octets, stream

#: records between two edits, so that each is one of its own
APART = 40


def compared(old: bytes, new: bytes, rules: Rules | None = None) -> Verdict:
    """Return the verdict on two streams; the new one comes in one piece."""
    comparison = Comparison([old], None, rules or Rules(), NAMES)
    comparison.feed(new)
    return comparison.finish()


def counted(verdict: Verdict) -> Counter[tuple[str, str]]:
    """Return how many differences of which kind a verdict has on each topic."""
    found: Counter[tuple[str, str]] = Counter()
    for topic, count in verdict.counts.items():
        found += Counter({(topic, kind): getattr(count, kind) for kind in KINDS})
    return +found


#: length of a stream, its seed, whether it repeats itself, and the edits
Drawn = tuple[int, int, bool, list[tuple[int, str]]]


@st.composite
def edited(draw: st.DrawFn) -> Drawn:
    """Draw what makes a stream and its edits; the test makes it, whatever time that takes."""
    length, places, at = draw(st.integers(60, 900)), [], draw(st.integers(0, 60))
    while at < length - APART:
        places.append((at, draw(st.sampled_from(("missing", "extra", "changed", "late")))))
        at += draw(st.integers(APART, 4 * APART))
    return length, draw(st.integers(0, 9)), draw(st.booleans()), places


def made(drawn: Drawn) -> tuple[list[Record], Edited]:
    """Return a stream, and what edits made of it."""
    length, seed, repeats, places = drawn
    records = stream(length, seed, repeats)
    return records, edit(records, places)


@given(edited())
@settings(max_examples=60, deadline=None)
def test_each_edit_is_told_as_what_it_is(drawn: Drawn) -> None:
    """Whatever was dropped, added, changed or delayed: the first is named, all are counted."""
    records, new = made(drawn)
    verdict = compared(octets(records), octets(new.records))
    assert counted(verdict) == Counter((topic, kind) for topic, kind, _, _ in new.edits)
    if new.edits:
        assert verdict.first is not None
        first = verdict.first
        assert (first.topic, first.kind, first.index, first.t_ns) == new.edits[0]
    else:
        assert verdict.identical


@given(edited())
@settings(max_examples=30, deadline=None)
def test_it_is_the_same_the_other_way_round(drawn: Drawn) -> None:
    """What is missing one way is extra the other way; everything else is counted alike."""
    records, new = made(drawn)
    old_octets, new_octets = octets(records), octets(new.records)
    other = {"missing": "extra", "extra": "missing"}
    turned = {
        (topic, other.get(kind, kind)): count
        for (topic, kind), count in counted(compared(new_octets, old_octets)).items()
    }
    assert turned == counted(compared(old_octets, new_octets))


@given(st.data())
@settings(max_examples=30, deadline=None)
def test_cuts_do_not_matter(data: st.DataObject) -> None:
    """However both streams are cut into pieces, the verdict is the same."""
    records = stream(300, 1)
    new = edit(records, [(40, "changed"), (120, "missing"), (200, "late"), (290, "extra")])
    whole = compared(octets(records), octets(new.records))
    pieces = [
        [octets([r], renumber=False) for r in parse(octets(stream_))]
        for stream_ in (records, new.records)
    ]
    sizes = data.draw(st.lists(st.integers(1, 90), min_size=1, max_size=12))
    old, other = ([b"".join(p) for p in grouped(rows, sizes)] for rows in pieces)
    comparison = Comparison(old, None, Rules(), NAMES)
    for piece in other:
        comparison.feed(piece)
    verdict = comparison.finish()
    assert (verdict.first, verdict.counts) == (whole.first, whole.counts)


def parse(buffer: bytes) -> list[Record]:
    """Return the records of a buffer."""
    return list(unpack_all(buffer))


def grouped(rows: list[bytes], sizes: list[int]) -> list[list[bytes]]:
    """Return rows in groups of these sizes, again and again."""
    groups, at, nth = [], 0, 0
    while at < len(rows):
        groups.append(rows[at : at + sizes[nth % len(sizes)]])
        at, nth = at + sizes[nth % len(sizes)], nth + 1
    return groups


def test_two_that_change_places_are_swapped() -> None:
    """Two neighbours on a topic that come the other way round are one difference, a swap."""
    records = stream(200, 3)
    new = edit(records, [(50, "swapped"), (130, "swapped")])
    verdict = compared(octets(records), octets(new.records))
    assert counted(verdict) == Counter((topic, kind) for topic, kind, _, _ in new.edits)
    assert verdict.first is not None
    assert (verdict.first.kind, verdict.first.index) == ("swapped", new.edits[0][2])


def test_what_comes_far_later_is_late_and_not_lost() -> None:
    """A record that others of its topic overtake is one that is late, with both times."""
    records = stream(200, 4)
    held = records[60]
    rest = [r for r in records if r is not held]
    after = [n for n, r in enumerate(rest) if r.channel == held.channel and n > 60][8]
    late = held._replace(t_ns=rest[after].t_ns + 1)
    verdict = compared(octets(records), octets([*rest[: after + 1], late, *rest[after + 1 :]]))
    (count,) = (count for count in verdict.counts.values() if count.differences)
    assert (count.late, count.differences) == (1, 1)
    assert verdict.first is not None
    assert (verdict.first.t_ns_recorded, verdict.first.t_ns_replayed) == (held.t_ns, late.t_ns)


@pytest.mark.parametrize("lost", ["here and there", "at once"])
def test_of_a_part_that_is_polled_what_is_lost_is_missing(lost: str) -> None:
    """Where every record says the same, those that came at their own time are not late."""
    draw = random.Random(7)
    times = sorted(draw.sample(range(10**9), 3000))
    old = [Record(Kind.I2C, 0, 1, 0, t_ns, 5, 0, 0x40, b"same") for t_ns in times]
    gone = set(draw.sample(range(3000), 300)) if lost == "here and there" else set(range(900, 1100))
    new = [record for n, record in enumerate(old) if n not in gone]
    verdict = compared(octets(old), octets(new))
    assert counted(verdict) == Counter({("/bus/i2c-1", "missing"): len(gone)})
    assert verdict.first is not None
    assert verdict.first.index == min(gone)
    turned = compared(octets(new), octets(old))
    assert counted(turned) == Counter({("/bus/i2c-1", "extra"): len(gone)})
    late = [record._replace(t_ns=record.t_ns + 7) for record in old]
    assert counted(compared(octets(old), octets(late))) == Counter({("/bus/i2c-1", "late"): 3000})


def test_of_equal_records_that_come_later_the_first_was_lost_first() -> None:
    """Two of the same content that come again behind many others are late, each for its own."""
    old = stream(300, 4)
    i2c = [n for n, record in enumerate(old) if record.kind == Kind.I2C]
    first, second, later = i2c[10], i2c[12], i2c[45]
    for n in (first, second):
        old[n] = old[n]._replace(payload=b"twin")
    twins = [old[n]._replace(t_ns=old[later].t_ns + n) for n in (first, second)]
    new = [r for n, r in enumerate(old) if n not in (first, second)]
    at = new.index(old[later]) + 1
    verdict = compared(octets(old), octets([*new[:at], *twins, *new[at:]]))
    assert counted(verdict) == Counter({("/bus/i2c-1", "late"): 2})
    told = [(one.t_ns_recorded, one.t_ns_replayed) for one in verdict.listed]
    pairs = zip((old[first], old[second]), twins, strict=True)
    assert told == [(one.t_ns, other.t_ns) for one, other in pairs]


def test_the_order_of_topics_among_each_other_does_not_count() -> None:
    """Streams that differ in how topics interleave, and in numbers, are identical by topic."""
    records = stream(500, 5)
    mixed = sorted(records, key=lambda r: (r.t_ns // 20_000, r.channel))
    verdict = compared(octets(records), octets(mixed))
    assert verdict.identical
    assert not verdict.same_octets
    assert compared(octets(records), octets(mixed), Rules(compare_seq=True)).identical is False


def test_a_topic_that_one_stream_lacks_is_missing_whole() -> None:
    """All records of a topic that never comes are missing; the others are identical again."""
    records = stream(900, 6)
    rest = [r for r in records if r.channel != 1]
    verdict = compared(octets(records), octets(rest))
    lost = verdict.counts["/bus/can0"]
    assert (lost.missing, lost.replayed) == (len(records) - len(rest), 0)
    assert counted(verdict) == {("/bus/can0", "missing"): lost.missing}
    assert compared(octets(records), octets(rest), Rules(topics=("/bus/i2c-1",))).identical


def test_streams_join_again() -> None:
    """Behind the last difference a topic is identical again, from a record that is named."""
    records = stream(300, 7)
    new = edit(records, [(100, "missing")])
    verdict = compared(octets(records), octets(new.records))
    topic = new.edits[0][0]
    behind = next(n for n in range(101, 300) if records[n].channel == records[100].channel)
    assert verdict.rejoined == {topic: behind}
    assert f"{topic}: identical again from #{behind}" in verdict.lines()
    cut = compared(octets(records[:101]), octets(new.records[:100]))
    assert cut.rejoined == {topic: None}


def test_a_field_may_be_ignored_or_tolerated() -> None:
    """Times that differ within the tolerance, or that are ignored, are no difference."""
    records = stream(300, 8)
    late = [r._replace(t_ns=r.t_ns + 7) if n > 100 else r for n, r in enumerate(records)]
    old, new = octets(records), octets(late)
    assert compared(old, new).counts["/bus/can0"].late > 0
    assert compared(old, new, Rules(ignore=("t_ns",))).identical
    assert compared(old, new, Rules(tolerate={"t_ns": 7})).identical
    assert not compared(old, new, Rules(tolerate={"t_ns": 6})).identical
    only = compared(old, new, Rules(ignore=("/bus/can0:t_ns",)))
    assert [topic for topic, count in only.counts.items() if count.differences] == [
        topic for topic in only.counts if topic != "/bus/can0"
    ]


def test_a_stream_that_was_stopped_lacks_nothing() -> None:
    """What was recorded behind the end of a stream that was stopped is not missing."""
    records = stream(300, 9)
    comparison = Comparison([octets(records)], None, Rules(), NAMES)
    comparison.feed(octets(records)[: len(octets(records[:150]))])
    assert comparison.finish(stopped=True).identical
    comparison = Comparison([octets(records)], None, Rules(), NAMES)
    new = edit(records, [(100, "changed")])
    comparison.feed(octets(new.records[:150]))
    verdict = comparison.finish(stopped=True)
    assert counted(verdict) == Counter({(new.edits[0][0], "changed"): 1})


@pytest.mark.parametrize("last", [100, 160, 299])
def test_a_topic_that_a_stopped_stream_lacks_is_missing(last: int) -> None:
    """What comes before something that both have is missing, however early the new one stops."""
    records = stream(900, 3)
    new = [r for n, r in enumerate(records) if r.kind != Kind.CAN or n < 60][: last + 1]
    stopped_at = records.index(new[-1])
    lost = sum(record.kind == Kind.CAN for record in records[60:stopped_at])
    comparison = Comparison([octets(records)], None, Rules(), NAMES)
    comparison.feed(octets(new))
    verdict = comparison.finish(stopped=True)
    assert counted(verdict) == Counter({("/bus/can0", "missing"): lost})
    assert verdict.first is not None
    first = next(r for r in records[60:] if r.kind == Kind.CAN)
    assert (verdict.first.topic, verdict.first.t_ns) == ("/bus/can0", first.t_ns)
    told = verdict.counts.values()
    assert sum(count.recorded for count in told) == stopped_at + 1
    assert sum(count.replayed for count in told) == len(new)


def test_what_is_recorded_at_the_very_end_may_be_to_come() -> None:
    """Where a stopped stream ends anywhere in the recorded one, nothing differs."""
    records = stream(400, 5, repeats=True)
    whole = octets(records)
    for end in (1, 2, 7, 150, 399):
        comparison = Comparison([whole], None, Rules(), NAMES)
        comparison.feed(octets(records[:end]))
        assert comparison.finish(stopped=True).identical


def test_the_context_holds_what_came_before_and_behind() -> None:
    """Ten events of both streams stand before the first divergence, and three behind it."""
    records = stream(300, 2)
    new = edit(records, [(100, "changed")])
    verdict = compared(octets(records), octets(new.records))
    assert [(line.mark, line.seq) for line in verdict.context] == [
        *(("", n) for n in range(90, 100)),
        *(("-", 100), ("+", 100)),
        *(("", n) for n in range(101, 104)),
    ]


def test_rules_about_messages_let_no_rest_pass() -> None:
    """Lines that are judged by what they carry differ, too, in octets that complete nothing."""
    board = load_board("raspberrypi4")
    names = {bus.index: bus.name for bus in board.buses}
    gnss = next(part for part in board.parts if part.role == "gnss").bus
    channel = next(index for index, name in names.items() if name == gnss)

    def said(*payloads: bytes) -> bytes:
        rows = enumerate(payloads)
        return b"".join(Record(Kind.UART, channel, 1, 0, n, 0, n, 0, p).pack() for n, p in rows)

    old, new = (said(b"$GPGLL,1*00\r\n", b"$GPG" + end) for end in (b"LL,1", b"LL,2"))
    for rules in (Rules(), Rules(ignore=("nmea.GPGLL",))):
        comparison = Comparison([old], Decoder(board, None, names), rules, names)
        comparison.feed(new)
        verdict = comparison.finish()
        assert verdict.first is not None
        assert [(one.name, one.old, one.new) for one in verdict.first.fields] == [
            ("octets[7]", ord("1"), ord("2"))
        ]
