"""Comparing a new stream of records with a recorded one, topic by topic, in order.

Records are paired by topic and running number there, never by time. As long as both streams are the
same octets, comparing costs what comparing octets costs; where only the global numbers or the order
of topics among each other differ, each topic is compared by itself. Both streams are held as far
back as the one waits for the other, and no further.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from flightsw.codec.wire import Record, unpack_from
from hil.replay.align import Keys
from hil.replay.batch import TIMES, Batch, Topics, starts
from hil.replay.context import Ring
from hil.replay.decode import Decoder
from hil.replay.judge import Judge
from hil.replay.lane import Found, Lane
from hil.replay.rules import Rules
from hil.replay.tracks import Tracks
from hil.replay.verdict import Verdict

#: the new stream is taken in pieces of this size once it has parted from the recorded one
BATCH_NBYTES = 1 << 16
#: how far behind the end of a stream that was stopped the recorded one is read, at most
BEHIND_NS, BEHIND_NBYTES = 1_000_000_000, 16 << 20
#: header fields up to the time, and behind it, without the number
_SHAPE_NBYTES = 8


class Comparison:
    """Feed it the new stream; it pulls the recorded one as far as it needs."""

    def __init__(
        self,
        recorded: Iterable[bytes],
        decoder: Decoder | None,
        rules: Rules,
        names: Mapping[int, str],
    ) -> None:
        self._topics = Topics(rules, names)
        self._old = _Recorded(recorded)
        self._new: list[bytes] = []
        self._new_nbytes = 0
        #: octets that were equal and are not counted yet
        self._equal: list[bytes] = []
        self._equal_nbytes = 0
        #: the last record of those that were counted so
        self._equal_end = b""
        self._lanes: list[Lane[bytes]] = []
        self._busy: set[int] = set()
        self._ring = (Ring(), Ring())
        self._judge = Judge(decoder, rules, names)
        self._decoder = decoder
        #: by number of a topic whose records differ and carry units that span them
        self._tracks: dict[int, Tracks] = {}
        self._taken = [0, 0]
        self._same_octets = True

    @property
    def diverged(self) -> bool:
        """Tell whether a difference that counts has been settled already."""
        return self._judge.diverged

    def feed(self, octets: bytes) -> None:
        """Take whole records of the new stream, in order."""
        if self._is_together and not self._new and self._old.skip(octets):
            self._equal.append(octets)
            self._equal_nbytes += len(octets)
            if self._equal_nbytes >= BATCH_NBYTES:
                self._count_equal()
            return
        self._new.append(octets)
        self._new_nbytes += len(octets)
        if self._new_nbytes >= BATCH_NBYTES:
            self._compare()

    def finish(self, stopped: bool = False) -> Verdict:
        """Return the verdict; ``stopped``: the new stream was ended before its time, so that what
        was recorded behind the last record of its that was recorded too is not missing."""
        self._compare()
        self._same_octets &= stopped or self._old.at_end
        if stopped:
            self._read_on()
        else:
            for octets in self._old.rest():
                self._take(Batch(octets, self._topics), 0)
                self._settle()
        self._settle(final=True, stopped=stopped)
        return self._judge.verdict(self._same_octets)

    def _read_on(self) -> None:
        """Take what was recorded of the time of those new records that wait for their like: where
        the new stream lacks some, it was stopped later in the recorded one."""
        waiting = [_record(item).t_ns for n in self._busy for item in self._lanes[n].new.items]
        if not waiting:
            return
        end_ns, nbytes = max(waiting) + BEHIND_NS, 0
        for octets in self._old.rest():
            self._take(Batch(octets, self._topics), 0)
            nbytes += len(octets)
            if _record(octets).t_ns > end_ns or nbytes > BEHIND_NBYTES:
                return

    # --- equal streams ----------------------------------------------------------------------------

    @property
    def _is_together(self) -> bool:
        return not self._busy

    def _count_equal(self) -> None:
        """Count what was equal by topic, and keep its end for the context."""
        if not self._equal:
            return
        batch = Batch(b"".join(self._equal), self._topics)
        self._equal, self._equal_nbytes = [], 0
        self._note_equal(batch, batch)

    def _note_equal(self, old: Batch, new: Batch) -> None:
        self._taken[0] += len(old)
        self._taken[1] += len(new)
        for number, count in enumerate(old.counts().tolist()):
            if count:
                topic = self._judge.count(self._topics.names[number])
                topic.recorded += count
                topic.replayed += count
                lane = self._lane(number)
                lane.old.done += count
                lane.new.done += count
        self._ring[0].add(old.octets)
        self._ring[1].add(new.octets)
        self._follow(old, 0)
        self._follow(new, 1)
        self._judge.look(*self._ring)
        if len(old):
            self._equal_end = old.octets[int(old.starts[-2]) :]

    # --- streams that differ ----------------------------------------------------------------------

    def _compare(self) -> None:
        """Compare what is new with as much of what was recorded."""
        self._count_equal()
        if not self._new:
            return
        new = Batch(b"".join(self._new), self._topics)
        self._new, self._new_nbytes = [], 0
        # Records that were lost or added shift one stream against the other.
        count = self._taken[1] + len(new) + self._judge.skew - self._taken[0]
        old = Batch(self._old.take(max(0, count)), self._topics)
        self._same_octets &= old.octets == new.octets
        if self._is_together and not self._parted() and self._equal_but_numbers(old, new):
            self._note_equal(old, new)
            return
        self._take(old, 0)
        self._take(new, 1)
        self._settle()
        self._judge.look(*self._ring)

    def _parted(self) -> bool:
        return any(lane.parted for lane in self._lanes)

    def _equal_but_numbers(self, old: Batch, new: Batch) -> bool:
        if len(old) != len(new) or len(old.octets) != len(new.octets) or any(self._topics.slack):
            return False
        return old.marks() == new.marks()

    def _take(self, batch: Batch, side: int) -> None:
        """Give each record to the lane of its topic."""
        self._taken[side] += len(batch)
        self._ring[side].add(batch.octets)
        octets, marks, starts = batch.octets, batch.marks(), batch.starts
        for number, count in enumerate(batch.counts().tolist()):
            if not count:
                continue
            at = (batch.topic == number).nonzero()[0]
            places = list(zip(starts[at].tolist(), starts[at + 1].tolist(), strict=True))
            lane = self._lane(number)
            (lane.new if side else lane.old).add(
                [octets[start:end] for start, end in places],
                [marks[start:end] for start, end in places],
            )
            self._busy.add(number)
            topic = self._judge.count(self._topics.names[number])
            topic.recorded += 0 if side else count
            topic.replayed += count if side else 0
        self._follow(batch, side)

    def _settle(self, final: bool = False, stopped: bool = False) -> None:
        for number in sorted(self._busy):
            lane = self._lanes[number]
            lane.settle(final, open_end=stopped)
            if lane.is_empty:
                self._busy.discard(number)
        if final and stopped:
            self._miss()
        for tracks in list(self._tracks.values()):
            tracks.settle(final, open_end=stopped)
        for ring in self._ring:
            ring.trim(not self._busy)

    def _miss(self) -> None:
        """Take for missing what was recorded before something that the new stream has, and leave
        the rest: the new stream was stopped before it."""
        common = [one for one in (self._equal_end, *(lane.last for lane in self._lanes)) if one]
        last = max(map(_record, common), key=lambda record: record.seq, default=None)
        for number, lane in enumerate(self._lanes):
            if last is not None:
                before = (
                    r.seq < last.seq and r.t_ns < last.t_ns for r in map(_record, lane.passed)
                )
                lane.miss(max((n for n, is_lost in enumerate(before, 1) if is_lost), default=0))
            self._judge.count(self._topics.names[number]).recorded -= len(lane.passed)
            lane.passed.clear()

    def _lane(self, number: int) -> Lane[bytes]:
        while number >= len(self._lanes):
            topic = self._topics.names[len(self._lanes)]
            slack = self._topics.slack[len(self._lanes)]
            self._lanes.append(self._record_lane(len(self._lanes), topic, slack))
        return self._lanes[number]

    def _record_lane(self, number: int, topic: str, slack: tuple[float, ...]) -> Lane[bytes]:
        """Return the lane of one topic."""

        def found(what: Found[bytes]) -> None:
            self._start_tracks(number, topic, what)
            self._judge.found(topic, what, self._ring)

        def joined(old: bytes, _new: bytes) -> None:
            self._judge.joined(topic, _record(old))

        near = (lambda old, new: _near(old, new, slack)) if slack else None
        return Lane(_keys(slack), found, joined, near, slack)

    # --- what spans records -----------------------------------------------------------------------

    def _start_tracks(self, number: int, topic: str, what: Found[bytes]) -> None:
        """Compare the packets, too, of a topic on which records have begun to differ."""
        if self._decoder is None or number in self._tracks:
            return
        record = _record((*what.old, *what.new)[0])
        kind, channel, decoder, judge = record.kind, record.channel, self._decoder, self._judge
        if not any(decoder.line((kind, channel, way)) for way in (False, True)):
            return
        judge.followed.add(topic)
        tracks = self._tracks[number] = Tracks(
            decoder,
            lambda unit, found: judge.found_unit(topic, unit, found, self._ring),
            lambda unit, old: judge.joined(f"{topic} {unit}", old),
            lambda unit, side, count: judge.count_units(topic, unit, side, count),
        )
        for side, (ring, at) in enumerate(zip(self._ring, what.at, strict=True)):
            before, behind = ring.split(kind, channel, at)
            if not side:
                tracks.prime(before)
            for one in behind:
                tracks.feed(one, side)

    def _follow(self, batch: Batch, side: int) -> None:
        """Give the records of topics whose packets are compared to their tracks."""
        for number, tracks in self._tracks.items():
            for at in batch.starts[:-1][batch.topic == number].tolist():
                tracks.feed(unpack_from(batch.octets, at)[0], side)


def _keys(slack: tuple[float, ...]) -> Callable[[bytes, bytes], Keys]:
    """Return what gives the keys of a record, from its octets and those that count."""
    hides_duration = dict(zip(TIMES, slack, strict=False)).get("duration_ns", 0) > 0

    def keys(octets: bytes, mark: bytes) -> Keys:
        head, tail = mark[:8], mark[24:] if hides_duration else mark[16:]
        shape = (mark[:3], mark[4:8], mark[28 : 32 + _SHAPE_NBYTES])
        full = octets[:24] + mark[24:] if slack else mark
        return Keys(full, head + tail, shape, _times(octets) if slack else ())

    return keys


def _near(old: list[bytes], new: list[bytes], slack: tuple[float, ...]) -> int:
    """Return how many pairs from the first on are within ``slack``."""
    pairs = enumerate(zip(old, new, strict=True))
    return next((n for n, (a, b) in pairs if not _is_near(a, b, slack)), len(old))


def _times(octets: bytes) -> tuple[int, int]:
    record = _record(octets)
    return record.t_ns, record.duration_ns


def _is_near(old: bytes, new: bytes, slack: tuple[float, ...]) -> bool:
    pairs = zip(_times(old), _times(new), slack, strict=True)
    return all(abs(one - other) <= amount for one, other, amount in pairs)


def _record(octets: bytes) -> Record:
    return unpack_from(octets)[0]


class _Recorded:
    """The recorded stream, pulled as far as it is needed."""

    def __init__(self, buffers: Iterable[bytes]) -> None:
        self._buffers: Iterator[bytes] = iter(buffers)
        self._octets = b""
        self._at = 0

    def skip(self, octets: bytes) -> bool:
        """Step over octets that are equal; False, and nothing is stepped over, if they are not."""
        while len(self._octets) - self._at < len(octets) and self._pull():
            pass
        if not self._octets.startswith(octets, self._at):
            return False
        self._at += len(octets)
        return True

    def take(self, count: int) -> bytes:
        """Return the next ``count`` records, or as many as there are."""
        while True:
            places = starts(self._octets[self._at :])
            if len(places) > count or not self._pull():
                break
        end = self._at + int(places[min(count, len(places) - 1)])
        octets = self._octets[self._at : end]
        self._at = end
        return octets

    def rest(self) -> Iterator[bytes]:
        """Yield everything that is left."""
        if self._at < len(self._octets):
            yield self._octets[self._at :]
        self._octets, self._at = b"", 0
        yield from self._buffers

    @property
    def at_end(self) -> bool:
        """Nothing is left."""
        while self._at == len(self._octets):
            if not self._pull():
                return True
        return False

    def _pull(self) -> bool:
        """Have one more buffer; False at the end."""
        more = next(self._buffers, None)
        if more is None:
            return False
        self._octets, self._at = self._octets[self._at :] + more, 0
        return True
