"""The recorder of a mock: every record that a new run makes, as recorded where it is that one."""

from __future__ import annotations

import struct
from collections.abc import Callable

from flightsw.codec.wire import HEADER, Flag, Kind
from hil.replay.mockrecord import Recording

_INPUT = int(Flag.INPUT)
_SENT = frozenset((int(Kind.UART), int(Kind.CAN), int(Kind.GPIO)))
#: of a header: when it began and how long it took
_TIMES = struct.Struct("<QQ")
_TIMES_AT = 8
_BATCH = 1024


def _nobody(indices: list[int]) -> None:
    raise AssertionError("inputs come by themselves or are waited for")


class MockStream:
    """Packs and keeps records; implements :class:`hil.digest.Recorder`.

    Who knows which recorded one the next record is says so in ``answer``. It then stands in the new
    stream octet by octet, but for its times where those are others. ``sink`` gets what the payload
    computer did, many whole records at a time.
    """

    def __init__(self, recording: Recording, sink: Callable[[bytes], None]) -> None:
        self.recording = recording
        self.sink = sink
        #: index of the recorded one that the next record is; -1: none
        self.answer = -1
        #: global number of the record that was last taken from the recording
        self.seq = 0
        #: nothing that is done at these times and was never recorded counts: the payload computer
        #: was being stopped there by something that kept no virtual time
        self.cut_ns: frozenset[int] = frozenset()
        #: inputs that a record has caused, by its index, and what lets them come
        self.caused: dict[int, list[int]] = {}
        self.come: Callable[[list[int]], None] = _nobody
        self.counters = {"answered": 0, "retimed": 0, "unrecorded": 0, "cut": 0, "inputs": 0}
        self._seqs: list[int] = recording.heads["seq"].tolist()
        self._starts: list[int] = recording.starts.tolist()
        self._ends: list[int] = recording.ends.tolist()
        self._batch: list[bytes] = []

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
        if index >= 0:
            octets = self.recording.octets[self._starts[index] : self._ends[index]]
            self.seq = self._seqs[index]
            if _TIMES.unpack_from(octets, _TIMES_AT) != (t_ns, duration_ns):
                self.counters["retimed"] += not flags & _INPUT
                head, rest = octets[:_TIMES_AT], octets[_TIMES_AT + _TIMES.size :]
                octets = head + _TIMES.pack(t_ns, duration_ns) + rest
            if flags & _INPUT and kind in _SENT:
                self.counters["inputs"] += 1
                return octets
            self.counters["answered"] += 1
            if index in self.caused:
                self.come(self.caused.pop(index))
        else:
            what = (kind, channel, flags, status, len(payload), t_ns, duration_ns)
            octets = HEADER.pack(*what, self.seq & 0xFFFFFFFF, address) + payload
            if t_ns in self.cut_ns:
                self.counters["cut"] += 1
                return octets
            self.counters["unrecorded"] += 1
        self._batch.append(octets)
        if len(self._batch) >= _BATCH:
            self.flush()
        return octets

    def flush(self) -> None:
        """Hand on what is kept back."""
        if self._batch:
            octets = b"".join(self._batch)
            self._batch.clear()
            self.sink(octets)
