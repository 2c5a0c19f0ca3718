"""The recorder of a mock: every record that a new run makes, as recorded where it is that one."""

from __future__ import annotations

import struct
from collections.abc import Callable

from flightsw.codec.wire import HEADER, Flag, Kind
from hil.replay.mocking.record import Recording

_INPUT = int(Flag.INPUT)
_SENT = frozenset((int(Kind.UART), int(Kind.CAN), int(Kind.GPIO)))
#: of a header: when it began and how long it took
_TIMES = struct.Struct("<QQ")
_TIMES_AT = 8


def _nobody(indices: list[int]) -> None:
    raise AssertionError("inputs come by themselves or are waited for")


class MockStream:
    """Packs and keeps records; implements :class:`hil.digest.Recorder`.

    Who knows which recorded one the next record is says so in ``answer``. It then stands in the new
    stream octet by octet, but for its times where those are others. What comes in is not kept: only
    what the payload computer does is compared.
    """

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        #: what was done, in order: the index of the recorded one that it is, or else its octets
        self.kept: list[int | bytes] = []
        #: index of the recorded one that the next record is; -1: none
        self.answer = -1
        #: nothing that is done at these times and was never recorded counts: the payload computer
        #: was being stopped there by something that kept no virtual time
        self.cut_ns: frozenset[int] = frozenset()
        #: how many of ``kept`` there were when something that was recorded was done last
        self.matched = 0
        #: indices of requests that were recorded, as they come now
        self.asked: list[int] = []
        #: indices of what was done again at another time
        self.moved: set[int] = set()
        #: inputs that a record has caused, by its index, and what lets them come
        self.caused: dict[int, list[int]] = {}
        self.come: Callable[[list[int]], None] = _nobody
        #: told (index of the recorded one, when it began) of each act that was recorded
        self.acted: Callable[[int, int], None] | None = None
        #: told the octets of each input that comes
        self.came: Callable[[bytes], None] | None = None
        self.counters = {"retimed": 0, "unrecorded": 0, "cut": 0, "inputs": 0}
        self._starts: list[int] = recording.starts.tolist()
        self._ends: list[int] = recording.ends.tolist()

    def record(
        self,
        kind: int,
        channel: int,
        flags: int,
        status: int,
        t_ns: int,
        duration_ns: int,
        address: int,
        payload: bytes,
    ) -> bytes:
        """Return the octets of one record, and keep them if the payload computer did it."""
        index, self.answer = self.answer, -1
        if index < 0:
            what = (kind, channel, flags, status, len(payload), t_ns, duration_ns)
            octets = HEADER.pack(*what, self._number(), address) + payload
            if t_ns in self.cut_ns:
                self.counters["cut"] += 1
                return octets
            self.counters["unrecorded"] += 1
            self.kept.append(octets)
            return octets
        octets = self.recording.octets[self._starts[index] : self._ends[index]]
        same = _TIMES.unpack_from(octets, _TIMES_AT) == (t_ns, duration_ns)
        if not same:
            head, rest = octets[:_TIMES_AT], octets[_TIMES_AT + _TIMES.size :]
            octets = head + _TIMES.pack(t_ns, duration_ns) + rest
        if flags & _INPUT and kind in _SENT:
            self.counters["inputs"] += 1
            if self.came is not None:
                self.came(octets)
            return octets
        if not same:
            self.counters["retimed"] += 1
            self.moved.add(index)
        self.kept.append(index if same else octets)
        self.matched = len(self.kept)
        if kind not in _SENT:
            self.asked.append(index)
        if self.acted is not None:
            self.acted(index, t_ns)
        if index in self.caused:
            self.come(self.caused.pop(index))
        return octets

    def _number(self) -> int:
        """Return the global number of the record that was last taken from the recording."""
        for kept in reversed(self.kept):
            if isinstance(kept, int):
                return int(self.recording.heads["seq"][kept])
            return int(HEADER.unpack_from(kept)[7])
        return 0

    def octets(self, kept: int | bytes) -> bytes:
        """Return the octets of what was kept."""
        return self.recording.record(kept) if isinstance(kept, int) else kept
