"""An emulated CAN bus: arbitration, exact frame times, error confinement, CAN FD.

At each start of frame every node with a pending frame takes part; the lowest arbitration field
wins, the losers try again. A frame takes its exact number of stuffed bits, an FD frame those of
``hil.buses.can_fd`` at its two bit rates. An error ends it with an error frame, moves the counters
of ISO 11898-1 and has it sent again; see ``hil.buses.can_node``.

On a bus with a data bit rate the payload computer's controller knows CAN FD. A classic node there
takes FDF for a form error and destroys each FD frame until it is error passive itself, unless it is
FD tolerant. FDF, BRS and ESI stand in bits 34, 32 and 33 of an identifier (``can_frame``) and in
the flags of its record.

Records show the payload computer's view: what it sent (no flag), what it heard (``Flag.INPUT``),
the first failed attempt of a frame (status ``DAMAGED``), a one-shot frame that lost arbitration,
frames that crossed while it was off the bus (status ``BUS_OFF``), and error frames in the layout of
``linux/can/error.h``.

Not modelled: propagation delay, oscillator tolerance, CAN XL. Error flags of one error are taken to
overlap as the field in which it happens suggests.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from flightsw.codec.wire import Flag, Status
from hil.buses.can_errors import bus_error_frame
from hil.buses.can_faults import (
    OVERLOAD_LIMIT,
    OVERLOAD_NBITS,
    RECEIVER_ERRORS,
    SENDER_FAULTS,
    failed,
)
from hil.buses.can_frame import ESI_FLAG, FD_FLAG, INTERFRAME_NBITS
from hil.buses.can_length import extent
from hil.buses.can_node import BUS_OFF_LIMIT, Node, Pending, State
from hil.buses.can_nodes import CANNodes
from hil.time.phase import Phase

SUSPEND_NBITS: Final = 8


class _Flight(NamedTuple):
    """The frame on the bus now; ``error`` is empty when it will go well."""

    start_ns: int
    end_ns: int
    senders: list[Node]
    frame: Pending
    error: str
    first: str


class CANBus(CANNodes):
    """A CAN bus; see :class:`~hil.buses.can_nodes.CANNodes` for its arguments."""

    _free_ns = 0
    _arbitrate_ns = -1
    _flight: _Flight | None = None

    def power_off(self, node: Node | None = None) -> None:
        """Lose the pending frames and the error counters of a node, as without supply.

        Without ``node`` it is the payload computer's controller. A frame of its own that is on the
        bus now runs to its end.
        """
        node = node or self.controller
        on_air = self._flight is not None and node in self._flight.senders
        self.counters["cut_frames"] += node.power_off(on_air)

    def withdraw(self, node: Node, orders: Iterable[int] | None = None) -> int:
        """Forget frames that wait in a node, all by default; return how many there were.

        A frame that is on the bus goes on.
        """
        waiting = {frame[1] for frame in (*node.ready, *node.waiting)}
        if self._flight is not None and node in self._flight.senders:
            waiting.discard(self._flight.frame[1])
        gone = waiting if orders is None else waiting.intersection(orders)
        for order in gone:
            node.withdraw(order)
        return len(gone)

    # Arbitration

    def _request(self, t_ns: int) -> None:
        """Have arbitration held at ``t_ns`` or when the bus is free, unless it is held before."""
        t_ns = max(t_ns, self._free_ns)
        if self._arbitrate_ns < 0 or t_ns < self._arbitrate_ns:
            self._arbitrate_ns = t_ns
            self.scheduler.at(t_ns, Phase.BUS, self.source, self._arbitrate)

    def _request_next(self) -> None:
        times = [t for node in self.nodes if (t := node.next_ns()) is not None]
        if times:
            self._request(max(min(times), self.scheduler.now_ns))

    def _arbitrate(self, t_ns: int) -> None:
        if t_ns != self._arbitrate_ns:
            return  # superseded by an earlier one
        self._arbitrate_ns = -1
        contenders = [(frame, n) for n in self.nodes if (frame := n.contend(t_ns)) is not None]
        if not contenders:
            self._request_next()
            return
        best = min(frame[0] for frame, _ in contenders)
        winners = [(frame, n) for frame, n in contenders if frame[0] == best]
        self.counters["arbitration_lost"] += len(contenders) - len(winners)
        for frame, node in contenders:
            if frame[0] == best:
                continue
            node.lost += 1
            if node.one_shot:
                self._give_up(t_ns, node)
                if node is self.controller:
                    self._out(t_ns, 0, 0, int(Status.ARBITRATION_LOST), *frame[2:])
        same = all(frame[2:] == winners[0][0][2:] for frame, _ in winners)
        if not same:
            self.counters["collision"] += 1
        self._start(t_ns, winners[0][0], [n for _, n in winners], not same)

    def _start(self, t_ns: int, frame: Pending, senders: list[Node], collision: bool) -> None:
        key, order, can_id, data = frame
        if can_id & FD_FLAG and senders[0].state == State.PASSIVE:
            can_id |= ESI_FLAG
        error, first, overloads = self._on_air(t_ns, can_id, senders)
        heard = any(
            n.takes_part and n not in senders and (n.fd or not can_id & FD_FLAG) for n in self.nodes
        )
        if collision:
            error, first = "bit", ""
        elif not heard and error != "fdf":
            error, first = "ack", ""
        bits = extent(can_id, data)
        if error:
            bits, overloads = failed(bits, error, heard), 0
        self.counters["overload"] += overloads
        self._recovery.credit_idle(t_ns)
        end_ns = t_ns + self.time_ns(bits.slow, bits.fast)
        pause_nbits = overloads * OVERLOAD_NBITS + INTERFRAME_NBITS
        self._free_ns = t_ns + self.time_ns(bits.slow + pause_nbits, bits.fast)
        self._recovery.idle_from_ns = self._free_ns
        self._flight = _Flight(t_ns, end_ns, senders, (key, order, can_id, data), error, first)
        self.scheduler.at(end_ns, Phase.BUS, self.source, self._finish)

    def _on_air(self, t_ns: int, can_id: int, senders: list[Node]) -> tuple[str, str, int]:
        """Return (error, node that sees it first, overload frames behind it) of this frame."""
        overloads = 0
        if can_id & FD_FLAG:
            for node in self.nodes:
                if self._destroys_fd(node) and node not in senders:
                    return "fdf", node.name, 0
        for fault in self.faults.at(t_ns) if self.faults else ():
            if fault.kind in SENDER_FAULTS or not self._hits(fault, can_id):
                continue
            if fault.kind != "overload":
                return fault.kind, fault.node, 0
            overloads = min(overloads + fault.times, OVERLOAD_LIMIT)
        return "", "", overloads

    @staticmethod
    def _destroys_fd(node: Node) -> bool:
        """Tell whether a node answers an FD frame with an error flag that others see."""
        return (
            node.takes_part and not node.fd and not node.fd_tolerant and node.state != State.PASSIVE
        )

    # The end of a frame

    def _finish(self, t_ns: int) -> None:
        flight = self._flight
        assert flight is not None, "a frame ends only after it has started"
        self._flight = None
        # Delimiter or end of frame, and the interframe space: 11 recessive bits.
        self._recovery.credit(1)
        if flight.error:
            self._fail(t_ns, flight)
        else:
            self._succeed(t_ns, flight)
        self._request_next()

    def _succeed(self, t_ns: int, flight: _Flight) -> None:
        self.counters["frames"] += 1
        _, order, can_id, data = flight.frame
        hearers: list[Node] = []
        for node in self.nodes:
            if node in flight.senders:
                node.sent()
                self._suspend(node)
            elif node.state != State.BUS_OFF:
                if can_id & FD_FLAG and not node.fd:
                    if node.takes_part and not node.fd_tolerant:
                        node.failed_to_receive(True)
                else:
                    if not node.listen_only:
                        node.received()
                    hearers.append(node)
            self._recovery.settle(t_ns, node)
        flags, status = 0, int(Status.OK)
        if self.controller in hearers:
            flags = int(Flag.INPUT)
        elif self.controller not in flight.senders:
            self.counters["unheard"] += 1
            off = self.controller.state == State.BUS_OFF
            status = int(Status.BUS_OFF if off else Status.UNSUPPORTED)
        if order in self._touched:
            self._touched.remove(order)
            flags |= int(Flag.FAULTED)
        for node in flight.senders:
            flags |= getattr(node.device, "can_flags", 0)
        self._out(flight.start_ns, t_ns - flight.start_ns, flags, status, can_id, data)
        for node in flight.senders:
            sent = getattr(node.device, "can_sent", None)
            if sent is not None:
                sent(t_ns, can_id, data)
            for watch in self.watchers:
                watch(t_ns, node, can_id, data)
        for node in hearers:
            if node.device is not None:
                node.device.can_receive(t_ns, can_id, data)

    def _fail(self, t_ns: int, flight: _Flight) -> None:
        _, order, can_id, data = flight.frame
        error, start_ns = flight.error, flight.start_ns
        self.counters[f"{error}_error"] += 1
        self.counters["retransmissions"] += 1
        sender = flight.senders[0]
        if sender.tried != order:
            sender.tried = order
            flags, status = int(Flag.FAULTED), int(Status.DAMAGED)
            self._out(start_ns, t_ns - start_ns, flags, status, can_id, data)
        if self.bus_errors and self.controller.state != State.BUS_OFF:
            sending = self.controller in flight.senders
            told = "bit" if error == "bus_off" else error
            self._report(t_ns, bus_error_frame(self.controller, told, sending))
        seen = error in RECEIVER_ERRORS
        for node in self.nodes:
            if node in flight.senders:
                node.failed_to_send(error == "ack")
                if error == "bus_off":
                    node.tec = BUS_OFF_LIMIT
                self._suspend(node)
                if node.one_shot:
                    self._give_up(t_ns, node)
            elif node.takes_part:
                saw = self._destroys_fd(node) if error == "fdf" else flight.first in ("", node.name)
                node.failed_to_receive(seen and saw)
            self._tell_error(t_ns, node, error, node in flight.senders)
            self._recovery.settle(t_ns, node)

    @staticmethod
    def _tell_error(t_ns: int, node: Node, error: str, sending: bool) -> None:
        tell = getattr(node.device, "can_error", None)
        if tell is not None and node.takes_part:
            tell(t_ns, "bit" if error == "bus_off" else error, sending)

    def _give_up(self, t_ns: int, node: Node) -> None:
        node.give_up()
        self.counters["one_shot_lost"] += 1
        tell = getattr(node.device, "can_gave_up", None)
        if tell is not None:  # as an event of its own: it may send at once
            self.scheduler.at(t_ns, Phase.BUS, self.source, tell)

    def _suspend(self, node: Node) -> None:
        """Make an error passive transmitter wait 8 bits more, so that others get their turn."""
        if node.state == State.PASSIVE:
            node.suspend_ns = self._free_ns + self.time_ns(SUSPEND_NBITS)
