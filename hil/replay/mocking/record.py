"""The recorded traffic as a mock answers from it: columns over the records, and lanes to match on.

A :class:`Lane` holds what the payload computer did on one channel in one way: its requests, or what
it sent. What a new run does is matched with that by content, and in order: first with what was
recorded at that very time, then with what was recorded shortly before (it comes late) or is about
to come (it comes early). What matches nothing was never recorded.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Hashable, Iterable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flightsw.codec.errors import TruncatedError
from flightsw.codec.native import ffi, lib
from flightsw.codec.wire import HEADER_NBYTES, Flag, Kind

#: One header of a wire record (``docs/wire-record.md``).
HEAD = np.dtype(
    [
        ("kind", "u1"),
        ("channel", "u1"),
        ("flags", "u1"),
        ("status", "u1"),
        ("length", "<u4"),
        ("t_ns", "<u8"),
        ("duration_ns", "<u8"),
        ("seq", "<u4"),
        ("address", "<u4"),
    ]
)
#: What is answered, and what is sent and not answered.
REQUESTS = (Kind.I2C, Kind.SPI, Kind.FRAME, Kind.LOAD, Kind.ONEWIRE)
SENT = (Kind.UART, Kind.CAN, Kind.GPIO)
#: How late something may come and still be what was recorded, ns of virtual time.
LATE_NS = 1_000_000_000
#: How far apart in their lane two of a kind may be where time does not count.
WINDOW = 256
_INPUT, _REPLY = int(Flag.INPUT), int(Flag.REPLY)


class Recording:
    """The records of a capture, one after the other, with their headers as columns."""

    def __init__(self, octets: bytes) -> None:
        self.octets = octets
        self.starts = _scan(octets)
        heads = np.empty((0, HEADER_NBYTES), np.uint8)
        if len(self.starts):
            row = np.frombuffer(octets, np.uint8)
            heads = np.lib.stride_tricks.sliding_window_view(row, HEADER_NBYTES)[self.starts]
        self.heads: NDArray[Any] = heads.view(HEAD).reshape(-1)
        self.ends = self.starts + HEADER_NBYTES + self.heads["length"].astype(np.int64)

    @classmethod
    def of(cls, buffers: Iterable[bytes]) -> Recording:
        """Return the recording of what a capture yields."""
        return cls(b"".join(buffers))

    def __len__(self) -> int:
        return len(self.starts)

    def record(self, index: int) -> bytes:
        """Return the octets of a record."""
        return self.octets[self.starts[index] : self.ends[index]]

    def payload(self, index: int) -> bytes:
        """Return the payload of a record."""
        return self.octets[self.starts[index] + HEADER_NBYTES : self.ends[index]]

    def until(self, seq: int) -> Recording:
        """Return the recording up to the record of a global number, that one included."""
        count = int(np.searchsorted(self.heads["seq"], seq, side="right"))
        return Recording(self.octets[: int(self.ends[count - 1]) if count else 0])

    @property
    def last_ns(self) -> int:
        """When the last record ends."""
        heads = self.heads
        return int((heads["t_ns"] + heads["duration_ns"]).max())

    def joined(self, indices: Sequence[int]) -> bytes:
        """Return records, one after the other."""
        octets = self.octets
        starts, ends = self.starts[indices].tolist(), self.ends[indices].tolist()
        return b"".join([octets[a:b] for a, b in zip(starts, ends, strict=True)])

    def of_kind(self, *kinds: int) -> NDArray[np.bool_]:
        """Return which records are of these kinds."""
        found: NDArray[np.bool_] = np.isin(self.heads["kind"], kinds)
        return found

    def inputs(self) -> NDArray[np.int64]:
        """Return the indices of what came in to the payload computer."""
        came = self.of_kind(*SENT) & (self.heads["flags"] & _INPUT > 0)
        return np.flatnonzero(came)

    @cached_property
    def is_act(self) -> NDArray[np.bool_]:
        """Which records are what the payload computer did: requests, and what it sent."""
        flags = self.heads["flags"]
        asked = self.of_kind(*REQUESTS) & (flags & _REPLY > 0)
        sent = self.of_kind(*SENT) & (flags & _INPUT == 0) & ~self._overheard()
        found: NDArray[np.bool_] = asked | sent
        return found

    def acts(self, kind: int, channel: int) -> NDArray[np.int64]:
        """Return the indices of what the payload computer did on a channel in one way."""
        heads = self.heads
        return np.flatnonzero(self.is_act & (heads["kind"] == kind) & (heads["channel"] == channel))

    def _overheard(self) -> NDArray[np.bool_]:
        """Return which CAN frames others sent that the payload computer's controller missed.

        It was off the bus, or does not know CAN FD; a frame of its own that it refused took no
        time. A failed first attempt is another's if that frame came in later.
        """
        heads = self.heads
        can = heads["kind"] == Kind.CAN
        missed = can & np.isin(heads["status"], (6, 8)) & (heads["duration_ns"] > 0)
        for index in np.flatnonzero(can & (heads["status"] == 11)):
            same = can & (heads["channel"] == heads["channel"][index])
            same &= (heads["address"] == heads["address"][index]) & (heads["status"] == 0)
            later = np.flatnonzero(same[index:])
            at = index + int(later[0]) if len(later) else -1
            if at >= 0:
                missed[index] = bool(heads["flags"][at] & _INPUT)
            else:
                before = same[:index] & (heads["flags"][:index] & _INPUT > 0)
                missed[index] = bool(before.any())
        found: NDArray[np.bool_] = missed
        return found


def _scan(octets: bytes) -> NDArray[np.int64]:
    """Return the offset of every record."""
    capacity = len(octets) // HEADER_NBYTES + 1
    offsets = np.empty(capacity, np.uint64)
    found = lib.fs_wire_scan(
        ffi.from_buffer(octets), len(octets), ffi.from_buffer("uint64_t[]", offsets), capacity
    )
    if found < 0:
        raise TruncatedError(f"capture of {len(octets)} octets ends inside a wire record")
    return offsets[:found].astype(np.int64)


#: Tells whether the record of this index can be what is asked now.
Fits = Callable[[int], bool]


def _any(index: int) -> bool:
    return True


class Lane:
    """What was done on one channel in one way, in order; each record is taken once."""

    def __init__(
        self,
        recording: Recording,
        indices: Sequence[int],
        key_of: Callable[[int], Hashable],
        timed: bool = True,
    ) -> None:
        """``key_of`` says what a record is about; not ``timed``: only the order counts."""
        self.recording = recording
        self.indices = list(indices)
        self.times: list[int] = recording.heads["t_ns"][self.indices].tolist()
        self.timed = timed
        #: place of the record that is expected next
        self.at = 0
        self.taken = bytearray(len(self.indices))
        self._key_of = key_of
        self._places: dict[Hashable, list[int]] | None = None

    def take(self, t_ns: int, key: Hashable, fits: Fits = _any) -> int:
        """Return the index of the record of what happens at ``t_ns``; -1: there is none."""
        at = self.at
        if at < len(self.times) and (self.times[at] == t_ns or not self.timed):
            index = self.indices[at]
            if self._key_of(index) == key and fits(index) and not self.taken[at]:
                return self.advance(at)
        place = self._seek(t_ns, key, fits)
        return -1 if place < 0 else self.advance(place)

    def advance(self, place: int) -> int:
        """Take the record at ``place``; return its index."""
        self.taken[place] = 1
        if place >= self.at:
            self.at = place + 1
        return self.indices[place]

    def latest(self, t_ns: int, key: Hashable, fits: Fits = _any) -> int:
        """Return the index of the latest record about ``key``, taken or not; -1: none."""
        places = self._about(key)
        if self.timed:
            upto = bisect_right(places, t_ns, key=self.times.__getitem__)
        else:
            upto = bisect_left(places, self.at)
        for place in (*reversed(places[:upto]), *places[upto:]):
            if fits(self.indices[place]):
                return self.indices[place]
        return -1

    @property
    def left(self) -> int:
        """How many records nobody has taken."""
        return len(self.taken) - sum(self.taken)

    def _about(self, key: Hashable) -> list[int]:
        if self._places is None:
            self._places = {}
            for place, index in enumerate(self.indices):
                self._places.setdefault(self._key_of(index), []).append(place)
        return self._places.get(key, [])

    def _seek(self, t_ns: int, key: Hashable, fits: Fits) -> int:
        """Look around for a record about ``key`` that nobody has taken; -1: none."""
        places = self._about(key)
        if not self.timed:
            return self._seek_in_order(places, fits)
        times, free = self.times, self._free(fits)
        at = bisect_left(places, t_ns, key=times.__getitem__)
        upto = at
        while upto < len(places) and times[places[upto]] == t_ns:
            if free(places[upto]):
                return places[upto]
            upto += 1
        # Late: the first of those that were due just before and that nobody has taken.
        late = -1
        for n in range(at - 1, -1, -1):
            if t_ns - times[places[n]] > LATE_NS or not free(places[n]):
                break
            late = places[n]
        if late >= 0 or upto >= len(places) or not free(places[upto]):
            return late
        # Early: nearer to the one to come than to the one before.
        ahead_ns = times[places[upto]] - t_ns
        since_ns = t_ns - times[places[upto - 1]] if upto else LATE_NS
        return places[upto] if ahead_ns < since_ns else -1

    def _seek_in_order(self, places: Sequence[int], fits: Fits) -> int:
        free = self._free(fits)
        at = bisect_left(places, self.at)
        for place in (*places[at:], *reversed(places[:at])):
            if abs(place - self.at) <= WINDOW and free(place):
                return place
        return -1

    def _free(self, fits: Fits) -> Callable[[int], bool]:
        taken, indices = self.taken, self.indices
        return lambda place: not taken[place] and fits(indices[place])
