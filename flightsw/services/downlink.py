"""The downlink pump: while the carrier is up, waiting packets and product parts go to the line.

It paces itself to the rate of the link and to the octets that a pass allows. Verification goes
before events, events before housekeeping, all on virtual channel 0; products take what is left, on
virtual channel 1. The operational control field of every frame carries the CLCW; when there is
nothing to say, an idle frame carries it every two seconds, because the ground's COP-1 waits for it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from flightsw.codec.dictionary import VC_PRODUCT, VC_REALTIME
from flightsw.codec.dictionary.events import BUDGET_SPENT, PASS_BEGIN, PASS_END
from flightsw.codec.link import tm_frame
from flightsw.codec.link.frames import Frames
from flightsw.drivers.ttc import Ttc
from flightsw.services.events import Events
from flightsw.services.telemetry import PacketStore

FRAME_NBYTES = 256
CADU_NBYTES = FRAME_NBYTES + len(tm_frame.ASM)
_IDLE_NS = 2_000_000_000
_NS_BITS = 8_000_000_000
#: a pump that was kept from running sends at most so many frames to catch up
_BURST_FRAMES = 64


class PartSource(Protocol):
    """Where product parts come from."""

    def next_part(self) -> bytes | None:
        """Return the next part as a packet, already written down as sent; None if there is none."""

    def settle(self) -> None:
        """Note that the line has every part that was handed out."""

    def waiting(self) -> int:
        """Return how many parts wait."""


class Downlink:
    """Call :meth:`pump` in the control group."""

    def __init__(
        self,
        ttc: Ttc | None,
        scid: int,
        bps: int,
        budget_octets: int,
        store: PacketStore,
        parts: PartSource,
        clcw: Callable[[], bytes],
        events: Events,
    ) -> None:
        self._ttc = ttc
        self._bps = bps
        self._budget_octets = budget_octets
        self._store = store
        self._parts = parts
        self._clcw = clcw
        self._events = events
        self._encoder = tm_frame.Encoder(Frames("tm", FRAME_NBYTES, scid, ocf=True))
        self._up = False
        self._credit = 0  # nanosecond-bits of line time that may be used
        self._last_ns = 0
        self._sent_ns = 0
        self._spent = False
        self.passes = 0
        self.pass_octets = 0
        self.pass_parts = 0
        self.frames = 0
        self.idle_frames = 0
        self.parts = 0

    def pump(self, now_ns: int) -> None:
        """Send what the time since the last call has room for."""
        ttc = self._ttc
        if ttc is None or not ttc.carrier():
            if self._up:
                self._end()
            return
        if not self._up:
            self._begin(now_ns)
        cost = CADU_NBYTES * _NS_BITS
        credit = self._credit + (now_ns - self._last_ns) * self._bps
        credit = min(credit, _BURST_FRAMES * cost)
        self._last_ns = now_ns
        out: list[bytes] = []
        while credit >= cost:
            frame = self._next_frame(now_ns)
            if frame is None:
                credit = min(credit, cost)
                break
            credit -= cost
            out.append(tm_frame.cadu(frame))
        self._credit = credit
        if out:
            self._sent_ns = now_ns
            ttc.write(b"".join(out))
            self.settle()

    def settle(self) -> None:
        """Strike off what the line has; a packet whose rest waits for the next frame is not it."""
        self._store.settle(self._encoder.pending(VC_REALTIME) <= 0)
        if self._encoder.pending(VC_PRODUCT) <= 0:
            self._parts.settle()

    def _begin(self, now_ns: int) -> None:
        self._up = True
        self._credit = 0
        self._last_ns = now_ns
        self._sent_ns = now_ns - _IDLE_NS
        self._spent = False
        self.passes += 1
        self.pass_octets = self.pass_parts = 0
        self._events.report(PASS_BEGIN, self.passes, self._store.waiting, self._parts.waiting())

    def _end(self) -> None:
        self._up = False
        self._events.report(PASS_END, self.passes, self.pass_octets, self.pass_parts)

    def _next_frame(self, now_ns: int) -> bytes | None:
        if self.pass_octets + CADU_NBYTES > self._budget_octets:
            if not self._spent:
                self._spent = True
                self._events.report(BUDGET_SPENT, self._budget_octets)
            return None
        encoder, ocf = self._encoder, self._clcw()
        room = encoder.data_nbytes
        frame = None
        while encoder.pending(VC_REALTIME) < room:
            packet = self._store.take()
            if packet is None:
                break
            encoder.add(VC_REALTIME, packet)
        if encoder.pending(VC_REALTIME) > 0:
            frame = encoder.next_frame(VC_REALTIME, ocf, flush=True)
        else:
            frame = self._product_frame(ocf)
        if frame is None:
            if now_ns - self._sent_ns < _IDLE_NS:
                return None
            self._sent_ns = now_ns
            self.idle_frames += 1
            frame = encoder.idle_frame(ocf)
        self.frames += 1
        self.pass_octets += CADU_NBYTES
        return frame

    def _product_frame(self, ocf: bytes) -> bytes | None:
        encoder = self._encoder
        while encoder.pending(VC_PRODUCT) < encoder.data_nbytes:
            packet = self._parts.next_part()
            if packet is None:
                break
            self.parts += 1
            self.pass_parts += 1
            encoder.add(VC_PRODUCT, packet)
        if encoder.pending(VC_PRODUCT) <= 0:
            return None
        return encoder.next_frame(VC_PRODUCT, ocf, flush=True)
