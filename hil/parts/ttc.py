"""The space side of the TT&C radio: a serial line inside, a carrier outside, a buffer between.

Downlink: octets from the payload computer are cut into CADUs at their sync marker (CCSDS 131.0-B,
section 9: 1ACFFC1D), wait in the transmit buffer, and are sent at the downlink rate while the
carrier is locked. A CADU is sent once it is whole. Octets that belong to no CADU are sent too, for
the radio is transparent; they take their time on the air and are counted.

Uplink: octets that the receiver has demodulated come out of the serial line at the uplink rate.

The carrier pin shows the lock. Interface of the kind that CubeSat S-band and UHF transceivers share
(UART, carrier lock, buffer, drop on overflow). Not modelled: modulation, Doppler, acquisition time,
fill frames; errors on the air belong to the link model.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, ClassVar, Final

from hil.parts.base import Param, Part, Quantity, Scheduler, unwired
from hil.parts.limits import check_limits
from hil.time.phase import Phase

SYNC_MARKER: Final = bytes.fromhex("1ACFFC1D")
#: Uplink octets reach the serial line in pieces of at most this many.
UPLINK_CHUNK_NBYTES: Final = 32
#: The rest of a CADU is not waited for longer than this: whoever sent its beginning has stopped.
ASSEMBLY_LIMIT_NS: Final = 1_000_000_000


class Ttc(Part):
    """The transceiver; ``on_downlink(t_ns, duration_ns, octets)`` gets each CADU once sent."""

    QUANTITIES: ClassVar[Mapping[str, Quantity]] = {"locked": Quantity("1", 0.0, 1.0, 0.5)}
    PARAMS: ClassVar[Mapping[str, Param]] = {
        "downlink_bps": Param("bit/s", 9600),
        "uplink_bps": Param("bit/s", 4800),
        "tx_buffer": Param(None, 4096),
        "cadu_nbytes": Param(None, 260),
    }
    #: direction of each pin, seen from the part
    PINS: ClassVar[Mapping[str, str]] = {"carrier": "out"}

    def __init__(
        self,
        name: str,
        seed: int = 0,
        *,
        downlink_bps: float = 9600,
        uplink_bps: float = 4800,
        tx_buffer: int = 4096,
        cadu_nbytes: int = 260,
    ) -> None:
        super().__init__(name, seed)
        check_limits(
            name,
            {
                "downlink_bps": (downlink_bps, 1, 1e9),
                "uplink_bps": (uplink_bps, 1, 1e9),
                "cadu_nbytes": (cadu_nbytes, len(SYNC_MARKER) + 1, 1 << 16),
                "tx_buffer": (tx_buffer, cadu_nbytes, 1 << 30),
            },
        )
        self.values["locked"] = 0.0
        self.uart_send: Callable[[int, bytes], None] = unwired
        self.gpio_drive: Callable[[int, str, int], None] = unwired
        self.on_downlink: Callable[[int, int, bytes], None] = unwired
        self.counters: dict[str, int] = dict.fromkeys(
            (
                "cadus",
                "cadus_cut",
                "junk_octets",
                "overflow_octets",
                "refused_octets",
                "uplink_octets",
                "uplink_lost_octets",
            ),
            0,
        )
        self._downlink_bps = round(downlink_bps)
        self._uplink_bps = round(uplink_bps)
        self._capacity = tx_buffer
        self._cadu_nbytes = cadu_nbytes
        self._scheduler: Scheduler | None = None
        self._source = 0
        self._assembly = bytearray()  # octets not yet known to be a CADU or junk
        self._fed_ns = 0  # when octets last came in
        self._units: deque[tuple[bytes, bool]] = deque()  # (octets, is a CADU)
        self._buffered = 0  # octets of the units, the one on the air included
        self._sending_until_ns = -1  # end of the unit on the air, -1: none
        self._start_ns = 0
        self._lock_count = 0  # marks the end of a unit that a loss of lock has cut
        self._uplink_free_ns = 0

    @property
    def locked(self) -> bool:
        """Whether the carrier is locked."""
        return self.values["locked"] >= 0.5

    @property
    def backlog(self) -> int:
        """Octets in the transmit buffer."""
        return self._buffered + len(self._assembly)

    def start(self, scheduler: Scheduler, source: int) -> None:
        """Power the radio on; the carrier pin follows the lock from now on."""
        self._scheduler, self._source = scheduler, source
        if self.locked:
            self.gpio_drive(scheduler.now_ns, "carrier", 1)

    def set(self, quantity: str, value: float) -> None:
        """Set a physical input; a change of lock moves the carrier pin at this instant."""
        before = self.locked
        super().set(quantity, value)
        if self._scheduler is None or self.locked == before:
            return
        now_ns = self._scheduler.now_ns
        if not before:
            self.gpio_drive(now_ns, "carrier", 1)
            self._send_next(now_ns)
            return
        self._lock_count += 1
        self.gpio_drive(now_ns, "carrier", 0)
        self._discard_assembly()
        if self._sending_until_ns >= 0:
            self._sending_until_ns = -1
            octets, cadu = self._units.popleft()
            self._buffered -= len(octets)
            self.counters["cadus_cut" if cadu else "junk_octets"] += 1 if cadu else len(octets)

    def uart_receive(self, t_ns: int, data: bytes) -> None:
        """Take octets to send; what comes without lock or beyond the buffer is dropped."""
        if not self.locked:
            self.counters["refused_octets"] += len(data)
            return
        if self._assembly and t_ns - self._fed_ns > ASSEMBLY_LIMIT_NS:
            self._queue(bytes(self._assembly), cadu=False)
            self._assembly.clear()
        self._fed_ns = t_ns
        room = max(self._capacity - self.backlog, 0)
        if len(data) > room:
            self.counters["overflow_octets"] += len(data) - room
            data = data[:room]
        self._assembly += data
        self._cut()
        self._send_next(t_ns)

    def uplink(self, t_ns: int, octets: bytes) -> None:
        """Take octets whose first bit arrives at ``t_ns``.

        They follow each other at the uplink rate; those that end without lock are lost.
        """
        assert self._scheduler is not None, "the radio receives only after start"
        begin_ns = max(t_ns, self._uplink_free_ns, self._scheduler.now_ns)
        end_ns = begin_ns
        for i in range(0, len(octets), UPLINK_CHUNK_NBYTES):
            chunk = octets[i : i + UPLINK_CHUNK_NBYTES]
            end_ns = begin_ns + _air_ns(i + len(chunk), self._uplink_bps)
            self._scheduler.at(end_ns, Phase.PART, self._source, partial(self._received, chunk))
        self._uplink_free_ns = end_ns

    def gpio_change(self, t_ns: int, pin: str, level: int) -> None:
        """Have no input pins; a wire to one is counted."""
        self.touch(f"pin {pin} driven to {level}")

    def snapshot(self) -> dict[str, Any]:
        """Return counters for the report."""
        return super().snapshot() | {"counters": dict(self.counters), "backlog": self.backlog}

    def _received(self, chunk: bytes, t_ns: int) -> None:
        if self.locked:
            self.counters["uplink_octets"] += len(chunk)
            self.uart_send(t_ns, chunk)
        else:
            self.counters["uplink_lost_octets"] += len(chunk)

    def _cut(self) -> None:
        """Cut whole CADUs, and the junk before them, out of what has come in."""
        assembly = self._assembly
        while assembly:
            at = assembly.find(SYNC_MARKER)
            if at < 0:
                at = len(assembly) - _partial_marker(assembly)
            if at:
                self._queue(bytes(assembly[:at]), cadu=False)
                del assembly[:at]
            if len(assembly) < self._cadu_nbytes:
                return
            self._queue(bytes(assembly[: self._cadu_nbytes]), cadu=True)
            del assembly[: self._cadu_nbytes]

    def _queue(self, octets: bytes, cadu: bool) -> None:
        self._units.append((octets, cadu))
        self._buffered += len(octets)

    def _discard_assembly(self) -> None:
        self.counters["junk_octets"] += len(self._assembly)
        self._assembly.clear()

    def _send_next(self, t_ns: int) -> None:
        """Put the next unit on the air if there is one and nothing is on it."""
        if not self._units or self._sending_until_ns >= 0 or self._scheduler is None:
            return
        self._start_ns = t_ns
        end_ns = t_ns + _air_ns(len(self._units[0][0]), self._downlink_bps)
        self._sending_until_ns = end_ns
        self._scheduler.at(end_ns, Phase.PART, self._source, partial(self._sent, self._lock_count))

    def _sent(self, lock_count: int, t_ns: int) -> None:
        if lock_count != self._lock_count:
            return  # the carrier went away under this unit
        octets, cadu = self._units.popleft()
        self._buffered -= len(octets)
        self._sending_until_ns = -1
        if cadu:
            self.counters["cadus"] += 1
            self.on_downlink(self._start_ns, t_ns - self._start_ns, octets)
        else:
            self.counters["junk_octets"] += len(octets)
        self._send_next(t_ns)


def _air_ns(noctets: int, bps: int) -> int:
    """Return how long octets take at a bit rate, nearest nanosecond."""
    return (16 * noctets * 1_000_000_000 + bps) // (2 * bps)


def _partial_marker(octets: bytearray) -> int:
    """Return how many octets at the end may be the beginning of a sync marker."""
    for size in range(min(len(SYNC_MARKER) - 1, len(octets)), 0, -1):
        if octets.endswith(SYNC_MARKER[:size]):
            return size
    return 0
