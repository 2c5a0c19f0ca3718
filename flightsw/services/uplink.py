"""From octets of the transceiver to telecommand packets: units, frames, FARM-1, segments."""

from __future__ import annotations

from collections import Counter

from flightsw.codec.coding import cltu
from flightsw.codec.errors import CodecError
from flightsw.codec.link import cop1, tc_frame
from flightsw.drivers.ttc import Ttc
from flightsw.services.router import Router

_PRIMARY_NBYTES = 6


class Uplink:
    """Call :meth:`poll` in the control group."""

    def __init__(self, ttc: Ttc | None, scid: int, router: Router) -> None:
        self._read = ttc.read if ttc else bytes
        self._scid = scid
        self._router = router
        self._receiver = cltu.Receiver()
        self.farm = cop1.Farm()
        self.clcw = self.farm.clcw().pack()
        self.counters: Counter[str] = Counter()

    def poll(self, now_ns: int) -> None:
        """Take what the line has brought."""
        octets = self._read()
        if octets:
            for unit in self._receiver.feed(octets):
                self._take(unit)

    @property
    def refused(self) -> int:
        """Units and frames that brought nothing."""
        farm = self.farm.counters
        refused = sum(count for name, count in farm.items() if name.startswith("refused"))
        return refused + sum(self.counters.values()) - self.counters["packets"]

    @property
    def accepted(self) -> int:
        """Frames that FARM-1 let through."""
        farm = self.farm.counters
        return farm["accepted"] + farm["accepted_bypass"] + farm["controls"]

    def unit_counters(self) -> dict[str, int]:
        """Return the counters of the unit receiver."""
        return self._receiver.counters

    def _take(self, unit: bytes) -> None:
        try:
            frame = tc_frame.unpack(unit)
        except CodecError as error:
            self.counters[type(error).__name__] += 1
            return
        if frame.scid != self._scid or frame.vcid != self.farm.vcid:
            self.counters["foreign"] += 1
            return
        accepted = self.farm.accept(frame)
        self.clcw = self.farm.clcw().pack()
        if not accepted:
            return
        if frame.segment_flags != tc_frame.UNSEGMENTED:
            self.counters["segmented"] += 1
            return
        if not frame.data:
            self.counters["empty"] += 1
        self._packets(frame.data)

    def _packets(self, data: bytes) -> None:
        """Hand over each packet of a frame; a length that overshoots ends the frame."""
        at = 0
        while at < len(data):
            end = len(data)
            if at + _PRIMARY_NBYTES <= end:
                end = min(end, at + int.from_bytes(data[at + 4 : at + 6], "big") + 7)
            self.counters["packets"] += 1
            self._router.receive(data[at:end])
            at = end
