"""The air between transceiver and ground station: light time, frame errors, byte budget of a pass.

Errors are drawn a transfer unit at a time with the probability that the mission profile gives
(measured on flight links as frames in error); a unit in error has a burst of wrong bits. What is
sent beyond the byte budget of a pass, or outside a pass, is not received. All of it is counted.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from typing import Protocol

from flightsw.codec.wire import Kind, Status
from hil.parts.base import Scheduler, stream
from hil.time.phase import Phase

#: record(kind, channel, flags, status, t_ns, duration_ns, address, payload)
Record = Callable[[int, int, int, int, int, int, int, bytes], object]

#: Longest burst of an error, bits.
BURST_NBITS = 24
LIGHT_KM_S = 299_792.458


class Transceiver(Protocol):
    """The space end of the link, as far as the air is concerned."""

    def uplink(self, t_ns: int, octets: bytes) -> None:
        """Take octets whose first bit arrives at ``t_ns``."""


class Radio:
    """Carries downlink units to ``receive(t_ns, octets)`` and uplink units to the transceiver."""

    def __init__(
        self,
        scheduler: Scheduler,
        source: int,
        record: Record,
        *,
        channel: int,
        seed: int,
        frame_error_rate: float,
        pass_budget_octets: int,
        uplink_bps: float,
        light_time_ns: Callable[[int], int],
    ) -> None:
        self.scheduler = scheduler
        self.source = source
        self.record = record
        #: number of the link in the records
        self.channel = channel
        self.frame_error_rate = frame_error_rate
        self.pass_budget_octets = pass_budget_octets
        self.uplink_bps = uplink_bps
        self.light_time_ns = light_time_ns
        self.counters: Counter[str] = Counter()
        #: octets within the budget that came down in this or the last pass, damaged ones included
        self.pass_octets = 0
        self.receive: Callable[[int, bytes], None] = lambda t_ns, octets: None
        self.transceiver: Transceiver | None = None
        self._down = stream(seed, "radio.downlink")
        self._up = stream(seed, "radio.uplink")
        self._uplink_free_ns = 0

    def begin_pass(self) -> None:
        """Start counting a new pass against the byte budget."""
        self.pass_octets = 0

    def downlink(self, t_ns: int, duration_ns: int, octets: bytes) -> None:
        """Take one unit that the transceiver radiated from ``t_ns`` on, at the end of it."""
        if self.pass_octets + len(octets) > self.pass_budget_octets:
            self.counters["downlink_over_budget_octets"] += len(octets)
            self.record(Kind.TM, self.channel, 0, Status.ABSENT, t_ns, duration_ns, 0, octets)
            return
        octets, status = self._damage(self._down, "downlink", octets)
        self.carry(t_ns, duration_ns, status, octets)

    def carry(self, t_ns: int, duration_ns: int, status: int, octets: bytes) -> None:
        """Bring one unit to the ground as the air has left it, at the end of it."""
        self.pass_octets += len(octets)
        self.record(Kind.TM, self.channel, 0, status, t_ns, duration_ns, 0, octets)
        arrival_ns = t_ns + duration_ns + self.light_time_ns(t_ns)
        self.scheduler.at(
            max(arrival_ns, self.scheduler.now_ns),
            Phase.PART,
            self.source,
            lambda now_ns: self.receive(now_ns, octets),
        )

    def uplink(self, t_ns: int, octets: bytes) -> None:
        """Radiate one unit from the ground, after those already on their way."""
        start_ns = max(t_ns, self._uplink_free_ns)
        duration_ns = round(len(octets) * 8 * 1_000_000_000 / self.uplink_bps)
        self._uplink_free_ns = start_ns + duration_ns
        octets, status = self._damage(self._up, "uplink", octets)
        arrival_ns = start_ns + self.light_time_ns(t_ns)
        if self.transceiver is None:
            self.counters["uplink_units_unheard"] += 1
            status = Status.ABSENT

        def arrive(now_ns: int) -> None:
            self.record(Kind.TC, self.channel, 0, status, start_ns, duration_ns, 0, octets)
            if self.transceiver is not None:
                self.transceiver.uplink(now_ns, octets)

        self.scheduler.at(arrival_ns, Phase.PART, self.source, arrive)

    @property
    def uplink_busy_until_ns(self) -> int:
        """When the last unit handed to :meth:`uplink` has left the ground."""
        return self._uplink_free_ns

    def _damage(self, random: object, way: str, octets: bytes) -> tuple[bytes, int]:
        """Return the unit as received, and whether it was damaged."""
        self.counters[f"{way}_units"] += 1
        draw, where, burst = random.integers(0, 1 << 32, size=3)  # type: ignore[attr-defined]
        if int(draw) >= round(self.frame_error_rate * (1 << 32)):
            return octets, Status.OK
        self.counters[f"{way}_units_damaged"] += 1
        first = int(where) % (len(octets) * 8)
        bits = int.from_bytes(octets, "big")
        pattern = int(burst) % ((1 << BURST_NBITS) - 1) + 1
        shift = len(octets) * 8 - 1 - first
        wrong = (pattern << shift) >> (BURST_NBITS - 1) or 1 << shift
        return (bits ^ wrong).to_bytes(len(octets), "big"), Status.DAMAGED


def slant_light_ns(elevation_deg: float, alt_km: float) -> int:
    """Return the one-way light time of a slant range over a round Earth of 6371 km, nanoseconds."""
    earth_km = 6371.0
    sine = math.sin(math.radians(max(0.0, elevation_deg)))
    orbit_km = earth_km + alt_km
    range_km = math.sqrt((earth_km * sine) ** 2 + orbit_km**2 - earth_km**2) - earth_km * sine
    return round(range_km / LIGHT_KM_S * 1e9)
