"""The CAN side of a serial CAN adapter: its node, bit rate, filter, FIFOs and status."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from hil.buses.can import CANBus
from hil.buses.can_node import Node, State
from hil.faces import slcan_filter as filters
from hil.faces import slcan_lines as lines

#: Frames that wait for the bus, and for a poll.
FIFO_NFRAMES: Final = 32
#: Bits of the status (``F``): FIFOs full, warning, overrun, passive, arbitration lost, bus error.
RX_FULL, TX_FULL, WARNING, OVERRUN, PASSIVE, LOST, ERROR = 1, 2, 4, 8, 32, 64, 128
_STAMP_LIMIT_MS: Final = 60_000


class RefusedError(Exception):
    """What is asked cannot be done now."""


class SlcanPort:
    """A node of ``bus``: one of its own with a ``name``, else the payload computer's controller."""

    can_send: Callable[[int, int, bytes], None]
    #: after bus off the bus leaves the node off until it is closed and opened
    can_stays_off = False

    def __init__(self, bus: CANBus, name: str) -> None:
        self.name = name
        self.bus = bus
        self.counters = dict.fromkeys(
            (
                *("commands", "malformed", "refused", "overflow", "sent", "tx_full", "cut"),
                *("received", "filtered", "rx_overrun", "mismatch", "states", "errors"),
            ),
            0,
        )
        self.can_fd = bus.data_bitrate_hz > 0
        self.is_open = self.listens = False
        #: bit/s of the frame and of the data of CAN FD
        self.rates_hz = [float(bus.bitrate_hz), float(bus.data_bitrate_hz)]
        self.code, self.mask = filters.OPEN_CODE, filters.OPEN_MASK
        self.single = self.stamps = False
        #: frames are told at once; else they wait in :attr:`heard` until they are polled
        self.polls = True
        self.heard: deque[str] = deque()
        #: frames behind the one that the bus has: they go in order, whatever their priority
        self.queue: deque[tuple[int, bytes]] = deque()
        self.node: Node = bus.attach(self) if name else bus.control(self)
        if name:
            self.node.listen_only = True
        self._latched = self._lost = 0

    def say(self, text: str) -> None:
        """Tell the program something."""
        raise NotImplementedError

    def go_on(self, t_ns: int) -> None:
        """Do what waited for the node."""
        raise NotImplementedError

    @property
    def deaf(self) -> bool:
        """Whether the bit rates are not those of the bus."""
        own = (self.bus.bitrate_hz, self.bus.data_bitrate_hz)
        return any(abs(r - hz) > 0.015 * hz for r, hz in zip(self.rates_hz, own, strict=True))

    @property
    def pending(self) -> int:
        """Frames that wait for the bus, with the one that is on it."""
        return len(self.queue) + len(self.node.waiting) + len(self.node.ready)

    @property
    def is_full(self) -> bool:
        """Whether no frame more can wait for the bus."""
        return self.pending >= FIFO_NFRAMES

    @property
    def must_wait(self) -> bool:
        """Whether a frame has to wait before it can be queued, with the end of that in sight."""
        if not self.is_open or self.deaf or self.listens:
            return False
        if self.node.state == State.BUS_OFF:
            return not self.can_stays_off
        return self.node.state != State.PASSIVE and self.is_full

    def start(self, t_ns: int, listens: bool) -> None:
        """Go on the bus with both counters at zero; from bus off by way of its recovery."""
        if self.is_open:
            raise RefusedError
        self.is_open, self.listens = True, listens
        self._latched, self._lost = 0, self.node.lost
        self.heard.clear()
        self.node.listen_only = listens or self.deaf
        self.can_stays_off = self.node.state != State.BUS_OFF
        self.bus.restart(t_ns, self.node)

    def stop(self) -> None:
        """Go off the bus; frames that have not begun are lost."""
        if not self.is_open:
            raise RefusedError
        self.is_open = False
        self.node.listen_only = True
        before = self.pending
        self.queue.clear()
        if self.node.state != State.BUS_OFF:
            self.bus.power_off(self.node)
        self.counters["cut"] += before - self.pending

    def status(self) -> int:
        """Return the status flags; those of events are gone then."""
        flags = self._latched
        flags |= RX_FULL if len(self.heard) >= FIFO_NFRAMES else 0
        flags |= TX_FULL if self.is_full else 0
        flags |= WARNING if self.node.state >= State.WARNING else 0
        flags |= PASSIVE if self.node.state >= State.PASSIVE else 0
        flags |= LOST if self.node.lost != self._lost else 0
        self._latched, self._lost = 0, self.node.lost
        return flags

    def send(self, t_ns: int, can_id: int, data: bytes) -> None:
        """Queue a frame. Raises ``RefusedError``."""
        if self.deaf:
            self._mismatch()
        elif self.node.state != State.BUS_OFF and self.is_full:
            self.counters["tx_full"] += 1
            self._say_error(lines.TRANSMIT_OVERRUN)
            raise RefusedError
        elif self.node.state == State.BUS_OFF:
            self.can_send(t_ns, can_id, data)  # the bus refuses, counts and records it
            raise RefusedError
        else:
            self.counters["sent"] += 1
            self.queue.append((can_id, data))
            self._offer(t_ns)

    def _offer(self, t_ns: int) -> None:
        """Give the bus the next frame when it has none; one that it drops at once is gone."""
        while self.queue and not (self.node.waiting or self.node.ready):
            self.can_send(t_ns, *self.queue.popleft())

    def _mismatch(self) -> None:
        self.counters["mismatch"] += 1
        self._latched |= ERROR

    # --- what the bus tells its node --------------------------------------------------------------

    def can_sent(self, t_ns: int, can_id: int, data: bytes) -> None:
        """See a frame leave the FIFO."""
        self._offer(t_ns)
        self.go_on(t_ns)

    def can_gave_up(self, t_ns: int) -> None:
        """See a frame leave the FIFO unsent."""
        self._offer(t_ns)
        self.go_on(t_ns)

    def can_receive(self, t_ns: int, can_id: int, data: bytes) -> None:
        """Tell the program a frame of another node."""
        if not self.is_open:
            return
        if self.deaf:
            self._mismatch()
            return
        if not filters.accepts(self.code, self.mask, self.single, can_id, data):
            self.counters["filtered"] += 1
            return
        stamp_ms = t_ns // 1_000_000 % _STAMP_LIMIT_MS if self.stamps else -1
        line = lines.frame_line(can_id, data, stamp_ms)
        if self.polls:
            self.say(line)
        elif len(self.heard) < FIFO_NFRAMES:
            self.heard.append(line)
        else:
            self.counters["rx_overrun"] += 1
            self._latched |= OVERRUN
            self._say_error(lines.RECEIVE_OVERRUN)
            return
        self.counters["received"] += 1

    def can_state(self, t_ns: int) -> None:
        """Tell the program that the error state has changed."""
        if self.node.state == State.BUS_OFF:
            self.counters["cut"] += len(self.queue)
            self.queue.clear()
        else:
            self.can_stays_off = self.is_open
        if self.is_open and not self.deaf:
            self.counters["states"] += 1
            self.say(lines.state_line(self.node))
        self.go_on(t_ns)

    def can_error(self, t_ns: int, kind: str, sending: bool) -> None:
        """See an error on the bus; the program is told where the bus reports errors."""
        if self.is_open and not self.deaf:
            self._latched |= ERROR
            if self.bus.bus_errors:
                self._say_error(kind)

    def _say_error(self, kind: str) -> None:
        self.counters["errors"] += 1
        self.say(lines.error_line(kind))
