"""Units that span records, of both streams: which packet was changed, lost or added.

A packet that is lost moves every octet behind it, so that all later records of its line differ. The
packets themselves are the same but for that one: they are compared as a stream of their own, from
the first record on that differs.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable
from typing import NamedTuple

from flightsw.codec.wire import Record
from hil.replay.align import Keys
from hil.replay.decode import Decoder, LineKey, line_key
from hil.replay.decoding.lines import Line, Unit
from hil.replay.lane import Found, Lane

#: records that a track remembers the places of
_REMEMBERED = 4096


class Placed(NamedTuple):
    """A unit and the records that it begins and ends in."""

    unit: Unit
    first: Record
    last: Record


class Track:
    """One line of one stream."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._starts: list[int] = []
        self._records: list[Record] = []
        self._nbytes = 0

    def feed(self, record: Record) -> list[Placed]:
        """Take the next record; return the units that it completes."""
        self._starts.append(self._nbytes)
        self._records.append(record)
        self._nbytes += len(record.payload)
        if len(self._starts) > 2 * _REMEMBERED:
            del self._starts[:_REMEMBERED], self._records[:_REMEMBERED]
        return self._placed(self._line.feed(record.payload))

    def end(self) -> list[Placed]:
        """Return what was never completed."""
        return self._placed(self._line.end())

    def _placed(self, units: Iterable[Unit]) -> list[Placed]:
        return [Placed(unit, self._at(unit.begin), self._at(unit.end - 1)) for unit in units]

    def _at(self, place: int) -> Record:
        return self._records[max(0, bisect_right(self._starts, place) - 1)]


class Tracks:
    """The lines of one topic in both streams. ``found`` gets the kind of unit and what differs,
    ``counted`` the kind, the side (0 recorded, 1 replayed) and how many units came."""

    def __init__(
        self,
        decoder: Decoder,
        found: Callable[[str, Found[Placed]], None],
        joined: Callable[[str, Record], None],
        counted: Callable[[str, int, int], None],
    ) -> None:
        self._decoder = decoder
        self._found, self._joined, self._counted = found, joined, counted
        self._tracks: tuple[dict[LineKey, Track | None], ...] = ({}, {})
        self._lanes: dict[tuple[LineKey, str], Lane[Placed]] = {}

    def prime(self, records: Iterable[Record]) -> None:
        """Take what came in both streams before they differed, so that units begun are known."""
        for record in records:
            for side in (0, 1):
                self._units(record, side)

    def feed(self, record: Record, side: int) -> None:
        """Take a record of one stream."""
        for placed in self._units(record, side):
            self._add(line_key(record), placed, side)

    def _add(self, key: LineKey, placed: Placed, side: int) -> None:
        kind = placed.unit.kind
        self._counted(kind, side, 1)
        lane = self._lane(key, kind)
        (lane.new if side else lane.old).add([placed], [placed.unit.octets])

    def settle(self, final: bool = False, open_end: bool = False) -> None:
        """Compare what has come; at the end of both streams what was begun, too."""
        for side, tracks in enumerate(self._tracks if final and not open_end else ()):
            for key, track in tracks.items():
                for placed in track.end() if track is not None else ():
                    self._add(key, placed, side)
        for (_, kind), lane in self._lanes.items():
            lane.settle(final, open_end)
            if lane.passed:
                self._counted(kind, 0, -len(lane.passed))
                lane.passed.clear()

    def _units(self, record: Record, side: int) -> list[Placed]:
        tracks, key = self._tracks[side], line_key(record)
        if key not in tracks:
            line = self._decoder.line(key)
            tracks[key] = None if line is None else Track(line)
        track = tracks[key]
        return [] if track is None else track.feed(record)

    def _lane(self, key: LineKey, kind: str) -> Lane[Placed]:
        if (key, kind) not in self._lanes:
            self._lanes[key, kind] = Lane(
                _keys,
                lambda what: self._found(kind, what),
                lambda old, new: self._joined(kind, old.first),
            )
        return self._lanes[key, kind]


def _keys(placed: Placed, mark: bytes) -> Keys:
    content = placed.unit.content
    return Keys(mark, content, content[:6])
