"""An emulated serial line: exact line time, full duplex, faults.

Each direction is a queue that leaves at the line rate. An octet takes ``start + data + parity +
stop`` bits; the end of the n-th octet of an unbroken burst is computed from the start of the burst,
so that rounding to nanoseconds never adds up. A long write leaves in chunks of at most 64 octets,
each reported at its last bit.

A record shows the payload computer's end of the line: what it sent, and what it received.

Not modelled: modem control lines, break, RS-485 turnaround, parity errors of single bits.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Final

from flightsw.codec.wire import Flag, Status
from hil.buses.base import Emit
from hil.buses.line_faults import KINDS, LineFault, damage, resample
from hil.errors import ConfigError
from hil.parts.base import Scheduler, UARTDevice, stream
from hil.parts.fault_windows import FaultWindows
from hil.time.phase import Phase

#: A write leaves in pieces of at most this many octets, as a driver refills a FIFO.
CHUNK_NBYTES: Final = 64
#: Two UARTs still understand each other while their rates differ by less than this share: half a
#: bit time over the ten bits of a frame, from edge to middle of the stop bit.
BAUD_TOLERANCE_PERCENT: Final = 5


class _Way:
    """One direction of the line: octets wait, leave at the line rate, and are then delivered."""

    __slots__ = ("_deliver", "_queue", "base_ns", "bus", "free_ns", "pending", "sent")

    def __init__(self, bus: UARTBus, deliver: Callable[[int, int, bytes], None]) -> None:
        self.bus = bus
        self._deliver = deliver
        self._queue: deque[tuple[int, int, bytes]] = deque()
        self.base_ns = 0  # start of the unbroken burst
        self.sent = 0  # octets of it so far
        self.free_ns = 0  # when its last bit ends
        self.pending = 0  # octets whose last bit has not ended

    def push(self, t_ns: int, data: bytes) -> None:
        bus = self.bus
        scheduler = bus.scheduler
        if t_ns < scheduler.now_ns:
            bus.counters["late"] += 1
            t_ns = scheduler.now_ns
        if t_ns > self.free_ns:
            self.base_ns, self.sent = t_ns, 0
        base_ns, sent = self.base_ns, self.sent
        end_ns = base_ns + bus.line_time_ns(sent)
        for i in range(0, len(data), CHUNK_NBYTES):
            chunk = data[i : i + CHUNK_NBYTES]
            start_ns = end_ns
            sent += len(chunk)
            end_ns = base_ns + bus.line_time_ns(sent)
            self._queue.append((start_ns, end_ns, chunk))
            scheduler.at(end_ns, Phase.BUS, bus.source, self._done)
        self.sent, self.free_ns = sent, end_ns
        self.pending += len(data)

    def clear(self) -> int:
        """Forget what has not gone out; return how many octets."""
        count, self.pending = self.pending, 0
        self._queue.clear()
        self.free_ns = self.bus.scheduler.now_ns
        self.base_ns, self.sent = self.free_ns, 0
        return count

    def _done(self, t_ns: int) -> None:
        if not self._queue or self._queue[0][1] != t_ns:
            return  # its chunk was cleared
        start_ns, end_ns, chunk = self._queue.popleft()
        self.pending -= len(chunk)
        self._deliver(start_ns, end_ns, chunk)


class UARTBus:
    """A serial line between the payload computer and one device.

    ``stop_bits`` is 1, 1.5 or 2; ``parity`` is ``N``, ``E`` or ``O``; ``rx_fifo`` is how many
    octets the payload computer's driver holds unread (octets), told to it by :meth:`describe`.
    """

    kind = "uart"

    def __init__(
        self,
        name: str,
        scheduler: Scheduler,
        source: int,
        emit: Emit,
        baud: int,
        data_bits: int = 8,
        parity: str = "N",
        stop_bits: float = 1,
        rx_fifo: int = 4096,
        seed: int = 0,
    ) -> None:
        if baud <= 0 or data_bits not in (5, 6, 7, 8) or parity not in ("N", "E", "O"):
            raise ConfigError(f"uart {name}: {baud} baud {data_bits}{parity}: no such line setting")
        if stop_bits not in (1, 1.5, 2):
            raise ConfigError(f"uart {name}: {stop_bits} stop bits; give 1, 1.5 or 2")
        self.name = name
        self.scheduler = scheduler
        self.source = source
        self.baud, self.data_bits, self.parity, self.stop_bits = baud, data_bits, parity, stop_bits
        self.rx_fifo = rx_fifo
        self.faults: FaultWindows[LineFault] = FaultWindows(f"uart {name}", KINDS)
        self.counters: dict[str, int] = dict.fromkeys(
            (*KINDS, "baud_mismatch", "cut_octets", "late", "unattached", "tx_octets", "rx_octets"),
            0,
        )
        #: called before octets reach the payload computer: to follow a rate that it has changed
        self.before_receive: Callable[[], None] = lambda: None
        self._emit = emit
        self._random = stream(seed, name)
        self._half_bits = int(2 * (1 + data_bits + (parity != "N") + stop_bits))
        self._device: UARTDevice | None = None
        self._device_baud = baud
        self._tx = _Way(self, self._sent)
        self._rx = _Way(self, self._received)

    def line_time_ns(self, noctets: int) -> int:
        """Return how long ``noctets`` octets back to back take, nearest nanosecond."""
        return (noctets * self._half_bits * 1_000_000_000 + self.baud) // (2 * self.baud)

    def attach(self, device: UARTDevice, baud: int | None = None) -> None:
        """Connect the one device of this line; ``baud`` is its own setting if it differs."""
        if self._device is not None:
            raise ConfigError(f"uart {self.name}: two devices on one line; remove one")
        self._device = device
        self._device_baud = self.baud if baud is None else baud
        device.uart_send = self._rx.push

    def set_baud(self, baud: int) -> None:
        """Set the payload computer's rate; what is queued already leaves at the old one."""
        if baud <= 0:
            raise ConfigError(f"uart {self.name}: {baud} baud: give a rate above 0")
        self.baud = baud
        for way in (self._tx, self._rx):
            way.base_ns, way.sent = way.free_ns, 0

    def write(self, t_ns: int, data: bytes) -> None:
        """Queue octets of the payload computer; they leave at ``t_ns`` or when the line is free."""
        if data:
            self._tx.push(t_ns, data)

    def power_off(self) -> None:
        """Lose what the payload computer has not sent yet, as when its supply is cut."""
        self.counters["cut_octets"] += self._tx.clear()

    @property
    def tx_backlog(self) -> int:
        """Octets written and not yet sent to the last bit."""
        return self._tx.pending

    @property
    def rx_backlog(self) -> int:
        """Octets of the device that are not yet through."""
        return self._rx.pending

    @property
    def tx_idle_ns(self) -> int:
        """When the line away from the payload computer is, or was last, free."""
        return self._tx.free_ns

    def describe(self) -> dict[str, Any]:
        """Return the line settings."""
        return {
            "baud": self.baud,
            "data_bits": self.data_bits,
            "parity": self.parity,
            "stop_bits": self.stop_bits,
            "rx_fifo": self.rx_fifo,
        }

    def _sent(self, start_ns: int, end_ns: int, chunk: bytes) -> None:
        self.counters["tx_octets"] += len(chunk)
        data, status = self._pass(chunk, start_ns, "tx", self.baud, self._device_baud)
        flags = Flag.FAULTED if status else 0
        self._emit(start_ns, end_ns - start_ns, int(flags), status, 0, chunk)
        if self._device is None:
            self.counters["unattached"] += len(chunk)
        elif data:
            self._device.uart_receive(end_ns, data)

    def _received(self, start_ns: int, end_ns: int, chunk: bytes) -> None:
        self.before_receive()
        data, status = self._pass(chunk, start_ns, "rx", self._device_baud, self.baud)
        if not data:
            return
        self.counters["rx_octets"] += len(data)
        flags = Flag.INPUT | Flag.FAULTED if status else Flag.INPUT
        self._emit(start_ns, end_ns - start_ns, int(flags), status, 0, data)

    def _pass(
        self, chunk: bytes, t_ns: int, direction: str, sent_baud: int, read_baud: int
    ) -> tuple[bytes, int]:
        """Return what the receiving end gets of ``chunk``, and the status."""
        status = int(Status.OK)
        if sent_baud != read_baud and self._apart():
            chunk, discarded = resample(
                chunk, sent_baud, read_baud, self.data_bits, self.parity, self.stop_bits
            )
            self.counters["baud_mismatch"] += 1
            self.counters["framing"] += discarded
            status = int(Status.FRAMING if discarded else Status.DAMAGED)
        if self.faults:
            faults = [row for row in self.faults.at(t_ns) if row.direction in ("both", direction)]
            if faults:
                chunk, hit = damage(chunk, faults, self._random, self.counters)
                status = hit or status
        return chunk, status

    def _apart(self) -> bool:
        off = abs(self._device_baud - self.baud)
        return off * 100 >= BAUD_TOLERANCE_PERCENT * self.baud
