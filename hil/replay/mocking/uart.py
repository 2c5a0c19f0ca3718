"""A serial line that answers from the record: what is sent is held against what was sent.

The line carries octets, and a driver may hand them over in other pieces and send the same. So the
octets are put together until they fill the recorded piece, and are that one if they left at the
same time.
"""

from __future__ import annotations

from typing import Any

from flightsw.codec.wire import Flag
from hil.buses.base import Emit
from hil.buses.uart import UARTBus
from hil.replay.mocking.lanes import Answers

_FAULTED = int(Flag.FAULTED)


class MockUARTBus(UARTBus):
    """A serial line whose other end is the record."""

    answers: Answers
    _came: Emit

    def listen(self, came: Emit) -> None:
        """Give what is recorded to ``came``."""
        self._came = came
        self._emit = self._sent_piece
        #: octets that left and do not fill a recorded piece yet: (start, end, octets)
        self._pieces: list[tuple[int, int, bytes]] = []
        self._before_ns = 0

    def come(self, t_ns: int, index: int, head: Any, payload: bytes) -> None:
        """Let recorded octets come."""
        self.before_receive()
        self.counters["rx_octets"] += len(payload)
        self.answers.stream.answer = index
        begin_ns, duration_ns = t_ns - int(head["duration_ns"]), int(head["duration_ns"])
        what = (int(head["flags"]), int(head["status"]), int(head["address"]))
        self._came(begin_ns, duration_ns, *what, payload)

    def _sent_piece(
        self, t_ns: int, duration_ns: int, flags: int, status: int, address: int, payload: bytes
    ) -> None:
        """Hold a piece that has left against the record."""
        if not self._pieces:
            index = self.answers.lane.take(t_ns, (address, 0, payload))
            if index >= 0:
                self._recorded(index, t_ns, duration_ns, payload)
                return
        self._pieces.append((t_ns, t_ns + duration_ns, payload))
        while self._pieces and self._fill():
            pass

    def _fill(self) -> bool:
        """Make one record of the pieces that have left; False: they may yet become a recorded one.

        What cannot become a recorded one any more is a record of its own.
        """
        lane, recording = self.answers.lane, self.answers.recording
        octets = b"".join(piece for _, _, piece in self._pieces)
        start_ns, end_ns, first = self._pieces[0]
        if lane.at < len(lane.indices) and not lane.taken[lane.at]:
            wanted = recording.payload(lane.indices[lane.at])
            if len(octets) < len(wanted) and wanted.startswith(octets):
                return False
            if wanted and octets.startswith(wanted):
                before_ns = self._line_ns()
                end_ns = self._cut(len(wanted))
                index = lane.advance(lane.at)
                line_ns = before_ns - self._line_ns()
                self._recorded(index, start_ns, end_ns - start_ns, wanted, line_ns)
                return True
        self._pieces.pop(0)
        index = lane.take(start_ns, (0, 0, first))
        if index >= 0:
            self._recorded(index, start_ns, end_ns - start_ns, first)
        else:
            self._came(start_ns, end_ns - start_ns, 0, 0, 0, first)
        return True

    def _line_ns(self) -> int:
        """Return how long the line was busy with the pieces, pauses between them left out."""
        return sum(end_ns - start_ns for start_ns, end_ns, _ in self._pieces)

    def _cut(self, nbytes: int) -> int:
        """Take octets off the front of the pieces; return when their last bit ended."""
        while True:
            start_ns, end_ns, piece = self._pieces.pop(0)
            if nbytes == len(piece):
                return end_ns
            if nbytes < len(piece):
                at_ns = start_ns + ((end_ns - start_ns) * nbytes * 2 + len(piece)) // (
                    2 * len(piece)
                )
                self._pieces.insert(0, (at_ns, end_ns, piece[nbytes:]))
                return at_ns
            nbytes -= len(piece)

    def _recorded(
        self, index: int, t_ns: int, duration_ns: int, payload: bytes, line_ns: int | None = None
    ) -> None:
        """Report a recorded piece that has left now, or when it was recorded.

        A device, a fault or the modem lines may have held it back then: what was delayed says so,
        and what stood behind it followed at once. Who cut it otherwise loses a nanosecond.
        """
        head = self.answers.recording.heads[index]
        then_ns, then_took_ns = int(head["t_ns"]), int(head["duration_ns"])
        held = int(head["flags"]) & _FAULTED or self.flow or then_ns <= self._before_ns + 1
        if not self.answers.lane.timed:
            # In other pieces it takes as long on the line; at another rate it does not.
            took_ns = duration_ns if line_ns is None else line_ns
            same = abs(took_ns - then_took_ns) <= len(payload) or int(head["flags"]) & _FAULTED
            duration_ns = then_took_ns if same else took_ns
        elif abs(then_ns - t_ns) <= 1 or (held and then_ns > t_ns):
            t_ns, duration_ns = then_ns, then_took_ns
        self._before_ns = then_ns + then_took_ns
        self.answers.stream.answer = index
        what = (int(head["flags"]), int(head["status"]), int(head["address"]))
        self._came(t_ns, duration_ns, *what, payload)

    def flush(self) -> None:
        """Let what did not become a recorded piece be records of its own; the run is over."""
        while self._pieces:
            start_ns, end_ns, piece = self._pieces.pop(0)
            self._came(start_ns, end_ns - start_ns, 0, 0, 0, piece)
