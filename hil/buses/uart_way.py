"""One direction of a serial line: octets wait, leave at the line rate, and are then delivered.

A long write leaves in chunks, each delivered at its last bit. The end of the n-th octet of an
unbroken burst is computed from the start of the burst, so that rounding never adds up. A way can be
held, as by CTS: the octet on the line ends, the rest waits.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from hil.parts.base import Scheduler
from hil.time.phase import Phase

#: A write leaves in pieces of at most this many octets, as a driver refills a FIFO.
CHUNK_NBYTES: Final = 64

#: deliver(start_ns, end_ns, octets, touched by an interceptor or a fault of the sender)
Deliver = Callable[[int, int, bytes, bool], None]


class Way:
    """One direction. ``line_time_ns(n)`` is what ``n`` octets back to back take."""

    __slots__ = (
        "_deliver",
        "_held",
        "_line_time_ns",
        "_queue",
        "_scheduler",
        "_source",
        "base_ns",
        "chunk_nbytes",
        "free_ns",
        "holding",
        "lead_ns",
        "pending",
        "sent",
    )

    def __init__(
        self,
        scheduler: Scheduler,
        source: int,
        line_time_ns: Callable[[int], int],
        deliver: Deliver,
    ) -> None:
        self._scheduler = scheduler
        self._source = source
        self._line_time_ns = line_time_ns
        self._deliver = deliver
        self._queue: deque[tuple[int, int, bytes, bool]] = deque()
        self._held: deque[tuple[bytes, bool]] = deque()
        self.chunk_nbytes = CHUNK_NBYTES
        self.holding = False
        self.base_ns = 0  # start of the unbroken burst
        self.sent = 0  # octets of it so far
        self.free_ns = 0  # when its last bit ends
        self.pending = 0  # octets whose last bit has not ended
        self.lead_ns = 0  # what passes in front of a burst, as while a driver is switched on

    def push(self, t_ns: int, data: bytes, touched: bool = False) -> None:
        """Queue octets; they leave at ``t_ns``, not in the past, or when the way is free."""
        self.pending += len(data)
        if self.holding:
            self._held.append((data, touched))
            return
        self._put(t_ns, data, touched)

    def _put(self, t_ns: int, data: bytes, touched: bool) -> None:
        if t_ns > self.free_ns or (t_ns == self.free_ns and not self.sent):
            self.base_ns, self.sent = t_ns + self.lead_ns, 0
        base_ns, sent = self.base_ns, self.sent
        end_ns = base_ns + self._line_time_ns(sent)
        for i in range(0, len(data), self.chunk_nbytes):
            chunk = data[i : i + self.chunk_nbytes]
            start_ns = end_ns
            sent += len(chunk)
            end_ns = base_ns + self._line_time_ns(sent)
            self._queue.append((start_ns, end_ns, chunk, touched))
            self._scheduler.at(end_ns, Phase.BUS, self._source, self._done)
        self.sent, self.free_ns = sent, end_ns

    def new_burst(self) -> None:
        """Count octets from the last bit on, as the line rate is another from here."""
        self.base_ns, self.sent = self.free_ns, 0

    def clear(self) -> int:
        """Forget what has not gone out; return how many octets."""
        count, self.pending = self.pending, 0
        self._queue.clear()
        self._held.clear()
        self.free_ns = self._scheduler.now_ns
        self.base_ns, self.sent = self.free_ns, 0
        return count

    def hold(self, t_ns: int) -> None:
        """Let the octet on the line end at ``t_ns`` and keep the rest back."""
        if self.holding:
            return
        self.holding = True
        waiting = [entry for entry in self._queue if entry[1] > t_ns]
        for entry in waiting:
            self._queue.remove(entry)
        if not waiting:
            return
        start_ns, end_ns, chunk, touched = waiting[0]
        out, whole_ns = 0, end_ns - start_ns
        self.free_ns = start_ns
        if start_ns < t_ns:
            out = -((start_ns - t_ns) * len(chunk) // whole_ns)  # those that have begun
            self.free_ns = start_ns + (whole_ns * out + len(chunk) // 2) // len(chunk)
            self._queue.append((start_ns, self.free_ns, chunk[:out], touched))
            self._scheduler.at(self.free_ns, Phase.BUS, self._source, self._done)
        self.new_burst()
        if chunk[out:]:
            self._held.append((chunk[out:], touched))
        self._held.extend((entry[2], entry[3]) for entry in waiting[1:])

    def put_back(self, data: bytes) -> None:
        """Keep octets that were delivered and not taken in front of those that wait."""
        if data:
            self.pending += len(data)
            self._held.appendleft((data, True))

    def resume(self, t_ns: int) -> None:
        """Let what was kept back leave from ``t_ns`` on."""
        self.holding = False
        while self._held:
            data, touched = self._held.popleft()
            self._put(max(t_ns, self._scheduler.now_ns), data, touched)

    def _done(self, t_ns: int) -> None:
        if not self._queue or self._queue[0][1] != t_ns:
            return  # its chunk was cleared or held
        start_ns, end_ns, chunk, touched = self._queue.popleft()
        self.pending -= len(chunk)
        self._deliver(start_ns, end_ns, chunk, touched)
