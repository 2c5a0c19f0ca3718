"""The sending end of COP-1 (CCSDS 232.1-B-2, section 5): telecommand frames in sequence.

States are those of the standard that a ground station with one spacecraft needs: *initial* (no
service), *initialising* (a Set V(R) is on its way), *active*. AD frames are kept until the CLCW
acknowledges them and are sent again when it asks for retransmission or when the timer runs out.
"""

from __future__ import annotations

from collections import Counter, deque
from enum import Enum

from flightsw.codec.link import cop1, tc_frame

#: Control command Set V(R) (232.0-B-4, 4.1.3.3); the value follows.
SET_VR = b"\x82\x00"


class State(Enum):
    """State of the sending end."""

    INITIAL = "initial"
    INITIALISING = "initialising"
    ACTIVE = "active"


class Fop:
    """Sequence-controlled sending on one virtual channel.

    ``window`` frames may be unacknowledged at a time; a frame is sent at most ``limit`` times
    before the service is initialised anew (counted as ``alerts``). Times are nanoseconds.
    """

    def __init__(
        self, scid: int, vcid: int = 0, *, window: int = 10, timer_ns: int, limit: int = 6
    ) -> None:
        self.scid = scid
        self.vcid = vcid
        self.window = window
        self.timer_ns = timer_ns
        self.limit = limit
        self.state = State.INITIAL
        self.counters: Counter[str] = Counter()
        self.waiting: deque[bytes] = deque()
        self._sent: deque[tuple[int, bytes]] = deque()
        self._next = 0
        self._tries = 0
        self._deadline_ns = 0
        self._unlock_due = False
        self._resend_due = False

    def enqueue(self, packet: bytes) -> None:
        """Queue one telecommand packet for transfer in sequence."""
        self.waiting.append(packet)

    @property
    def idle(self) -> bool:
        """True when everything queued has been acknowledged."""
        return not self.waiting and not self._sent

    def on_clcw(self, t_ns: int, clcw: cop1.Clcw) -> None:
        """Take one report of the receiving end."""
        if clcw.lockout:
            self._unlock_due = True
            return
        if self.state is State.INITIALISING:
            if clcw.report == self._next:
                self.state = State.ACTIVE
                self._tries = 0
            return
        if self.state is State.INITIAL:
            return
        acknowledged = (clcw.report - (self._next - len(self._sent))) % 256
        if acknowledged > len(self._sent):
            # The far end restarted and counts from elsewhere: begin the sequence anew.
            self.counters["resynchronised"] += 1
            self._reinitialise()
            return
        for _ in range(acknowledged):
            self._sent.popleft()
            self.counters["acknowledged"] += 1
            self._tries = 0
            self._deadline_ns = t_ns + self.timer_ns
        if clcw.retransmit and self._sent:
            self._resend_due = True

    def lost_contact(self) -> None:
        """End the service until :meth:`frames` is called in the next contact; frames are kept."""
        self._reinitialise()

    def frames(self, t_ns: int) -> list[bytes]:
        """Return the transfer frames to radiate now, in order."""
        out: list[bytes] = []
        if self._unlock_due:
            out.append(self._control(cop1.UNLOCK))
            self._unlock_due = False
            self._reinitialise()
        if self.state is State.INITIAL:
            self.state = State.INITIALISING
            self._deadline_ns = 0
        if self.state is State.INITIALISING:
            if t_ns >= self._deadline_ns:
                out.append(self._control(SET_VR + bytes([self._next])))
                self._deadline_ns = t_ns + self.timer_ns
            return out
        self._retransmit(t_ns, out)
        while self.waiting and len(self._sent) < self.window and self.state is State.ACTIVE:
            if not self._sent:
                self._deadline_ns = t_ns + self.timer_ns
            packet = self.waiting.popleft()
            self._sent.append((self._next, packet))
            out.append(tc_frame.pack(self.scid, self.vcid, self._next, packet))
            self._next = (self._next + 1) % 256
            self.counters["sent"] += 1
        return out

    def _retransmit(self, t_ns: int, out: list[bytes]) -> None:
        if not self._sent or not (self._resend_due or t_ns >= self._deadline_ns):
            return
        self._resend_due = False
        self._tries += 1
        if self._tries >= self.limit:
            self.counters["alerts"] += 1
            self._reinitialise()
            return
        self._deadline_ns = t_ns + self.timer_ns
        self.counters["retransmitted"] += len(self._sent)
        out += [tc_frame.pack(self.scid, self.vcid, ns, packet) for ns, packet in self._sent]

    def _reinitialise(self) -> None:
        """Put unacknowledged packets back in front of the queue and forget the sequence."""
        self.waiting.extendleft(packet for _, packet in reversed(self._sent))
        self._next = (self._next - len(self._sent)) % 256
        self._sent.clear()
        self._tries = 0
        self._resend_due = False
        self.state = State.INITIAL

    def _control(self, command: bytes) -> bytes:
        self.counters["control"] += 1
        return tc_frame.pack(self.scid, self.vcid, 0, command, bypass=True, control=True)
