"""An emulated CAN bus: arbitration, exact frame times, error confinement.

At each start of frame every node with a pending frame takes part; the lowest arbitration field
wins, the losers try again. A frame takes its exact number of stuffed bits. An error ends it with an
error frame, moves the counters of ISO 11898-1 and has it sent again; see ``hil.buses.can_node``.

Records show the payload computer's view: what it sent (no flag), what it heard (``Flag.INPUT``),
the first failed attempt of a frame (status ``DAMAGED``), frames that crossed while it was off the
bus (status ``BUS_OFF``), and error frames in the layout of ``linux/can/error.h``.

Not modelled: CAN FD (refused and counted), overload frames, propagation delay, oscillator
tolerance, listen-only and one-shot modes. Error flags of one error are taken to overlap as the
field in which it happens suggests.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Final, NamedTuple

from flightsw.codec.wire import Flag, Status
from hil.buses.base import Emit
from hil.buses.can_errors import bus_error_frame, state_frame
from hil.buses.can_frame import (
    INTERFRAME_NBITS,
    TAIL_NBITS,
    frame_nbits,
    is_valid,
)
from hil.buses.can_node import RECOVERY_SEQUENCES, SEQUENCE_NBITS, Node, Pending, State
from hil.errors import ConfigError
from hil.parts.base import CANNode, Scheduler, stream
from hil.parts.fault_windows import FOREVER_NS, FaultWindows
from hil.time.phase import Phase

#: What may go wrong with a frame, and the counter that it moves. ``crc`` and ``stuff`` are seen by
#: receivers, ``bit`` by the transmitter, ``ack`` is a missing acknowledgement.
FAULT_KINDS: Final = ("crc", "stuff", "bit", "ack")
ERROR_FLAG_NBITS: Final = 6
ERROR_DELIMITER_NBITS: Final = 8
SUSPEND_NBITS: Final = 8


class CANFault(NamedTuple):
    """One fault of the bus; see ``FAULT_KINDS``.

    ``can_id`` -1 means any frame; ``node`` names the one receiver that sees a ``crc`` or ``stuff``
    error (empty: all do); ``rate`` is the share of frames hit, 0..1.
    """

    kind: str
    from_ns: int = 0
    until_ns: int = FOREVER_NS
    rate: float = 1.0
    can_id: int = -1
    node: str = ""


class _Flight(NamedTuple):
    """The frame on the bus now; ``error`` is empty when it will go well."""

    start_ns: int
    end_ns: int
    senders: list[Node]
    frame: Pending
    error: str
    first: str


class CANBus:
    """A classic CAN bus; the payload computer's controller is one of its nodes.

    ``restart_ms`` is the time after bus off at which the payload computer's controller is started
    again, as the option of ``ip link`` of that name; 0 leaves it off until :meth:`restart`. Parts
    start again by themselves. ``bus_errors`` reports every error on the bus to the payload
    computer (``berr-reporting``), not only changes of state.
    """

    kind = "can"

    def __init__(
        self,
        name: str,
        scheduler: Scheduler,
        source: int,
        emit: Emit,
        bitrate_hz: int,
        seed: int = 0,
        restart_ms: int = 100,
        bus_errors: bool = False,
    ) -> None:
        if not 0 < bitrate_hz <= 1_000_000:
            raise ConfigError(f"can {name}: {bitrate_hz} bit/s; classic CAN ends at 1 Mbit/s")
        self.name = name
        self.scheduler = scheduler
        self.source = source
        self.bitrate_hz = bitrate_hz
        self.restart_ms = restart_ms
        self.bus_errors = bus_errors
        self.faults: FaultWindows[CANFault] = FaultWindows(f"can {name}", FAULT_KINDS)
        self.controller = Node(name, None)
        self.nodes = [self.controller]
        self.counters: dict[str, int] = dict.fromkeys(
            ("frames", "arbitration_lost", "collision", "retransmissions", "bus_off", "late"), 0
        )
        for kind in FAULT_KINDS:
            self.counters[f"{kind}_error"] = 0
        for reason in ("bus_off", "fd", "invalid"):
            self.counters[f"refused_{reason}"] = 0
        self.counters |= {"dropped_bus_off": 0, "cut_frames": 0, "unheard": 0}
        self._emit = emit
        self._random = stream(seed, name)
        self._order = 0
        self._free_ns = 0
        self._idle_from_ns = 0
        self._arbitrate_ns = -1
        self._flight: _Flight | None = None

    def time_ns(self, nbits: int) -> int:
        """Return how long ``nbits`` bits take, nearest nanosecond."""
        return (2 * nbits * 1_000_000_000 + self.bitrate_hz) // (2 * self.bitrate_hz)

    def attach(self, device: CANNode) -> None:
        """Connect a node; its ``can_send`` queues frames from then on."""
        node = Node(str(getattr(device, "name", f"node{len(self.nodes)}")), device)
        self.nodes.append(node)
        device.can_send = partial(self._queue, node)

    def send(self, t_ns: int, can_id: int, data: bytes) -> None:
        """Queue a frame of the payload computer for arbitration from ``t_ns`` on."""
        self._queue(self.controller, t_ns, can_id, data)

    def restart(self, t_ns: int) -> None:
        """Start the payload computer's controller again after bus off."""
        if self.controller.state == State.BUS_OFF:
            self._recover_from(t_ns, self.controller)

    def power_off(self) -> None:
        """Lose the payload computer's pending frames and its error counters, as without supply.

        A frame of its own that is on the bus now runs to its end.
        """
        on_air = self._flight is not None and self.controller in self._flight.senders
        self.counters["cut_frames"] += self.controller.power_off(on_air)

    def describe(self) -> dict[str, Any]:
        """Return the bit rate."""
        return {"bitrate_hz": self.bitrate_hz, "fd": False}

    # Queueing and arbitration

    def _queue(self, node: Node, t_ns: int, can_id: int, data: bytes) -> None:
        reason = ""
        if len(data) > 8:
            reason = "fd"
        elif not is_valid(can_id, data):
            reason = "invalid"
        elif node.state == State.BUS_OFF:
            reason = "bus_off"
        if reason:
            self.counters[f"refused_{reason}"] += 1
            if node is self.controller:
                status = Status.BUS_OFF if reason == "bus_off" else Status.UNSUPPORTED
                self._emit(t_ns, 0, 0, int(status), can_id, data)
            return
        if t_ns < self.scheduler.now_ns:
            self.counters["late"] += 1
            t_ns = self.scheduler.now_ns
        self._order += 1
        node.queue(t_ns, self._order, can_id, data)
        self._request(t_ns)

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
        same = all(frame[3] == winners[0][0][3] for frame, _ in winners)
        if not same:
            self.counters["collision"] += 1
        self._start(t_ns, winners[0][0], [n for _, n in winners], not same)

    def _start(self, t_ns: int, frame: Pending, senders: list[Node], collision: bool) -> None:
        _, _, can_id, data = frame
        nbits = frame_nbits(can_id, data)
        heard = any(n.state != State.BUS_OFF and n not in senders for n in self.nodes)
        error, first = self._error(t_ns, can_id)
        if collision:
            error, first = "bit", ""
        elif not heard:
            error, first = "ack", ""
        if error:
            nbits = self._failed_nbits(nbits, error, heard)
        self._credit_idle(t_ns)
        end_ns = t_ns + self.time_ns(nbits)
        self._free_ns = self._idle_from_ns = t_ns + self.time_ns(nbits + INTERFRAME_NBITS)
        self._flight = _Flight(t_ns, end_ns, senders, frame, error, first)
        self.scheduler.at(end_ns, Phase.BUS, self.source, self._finish)

    def _error(self, t_ns: int, can_id: int) -> tuple[str, str]:
        """Return (kind, node that sees it first) of the fault that hits this frame."""
        if self.faults:
            for fault in self.faults.at(t_ns):
                if fault.can_id in (-1, can_id) and (
                    fault.rate >= 1.0 or float(self._random.random()) < fault.rate
                ):
                    return fault.kind, fault.node
        return "", ""

    @staticmethod
    def _failed_nbits(nbits: int, error: str, heard: bool) -> int:
        """Return the bits up to the end of the error frame of a frame of ``nbits`` bits.

        ``crc`` is flagged after the ACK delimiter, ``ack`` after the ACK slot, the others half way
        through. The other side's flag follows one bit behind, or six if it must first see the
        stuffing rule broken.
        """
        stuffed = nbits - TAIL_NBITS
        at = {"crc": stuffed + 3, "ack": stuffed + 2}.get(error, stuffed // 2)
        echo = 0 if not heard else 6 if error == "bit" else 1
        return at + ERROR_FLAG_NBITS + echo + ERROR_DELIMITER_NBITS

    # The end of a frame

    def _finish(self, t_ns: int) -> None:
        flight = self._flight
        assert flight is not None, "a frame ends only after it has started"
        self._flight = None
        self._credit(1)  # delimiter or end of frame, and the interframe space: 11 recessive bits
        if flight.error:
            self._fail(t_ns, flight)
        else:
            self._succeed(t_ns, flight)
        self._request_next()

    def _succeed(self, t_ns: int, flight: _Flight) -> None:
        self.counters["frames"] += 1
        _, _, can_id, data = flight.frame
        hearers: list[Node] = []
        for node in self.nodes:
            if node in flight.senders:
                node.sent()
                self._suspend(node)
            elif node.state != State.BUS_OFF:
                node.received()
                hearers.append(node)
            self._settle(t_ns, node)
        flags, status = 0, int(Status.OK)
        if self.controller in hearers:
            flags = int(Flag.INPUT)
        elif self.controller not in flight.senders:
            self.counters["unheard"] += 1
            status = int(Status.BUS_OFF)
        self._emit(flight.start_ns, t_ns - flight.start_ns, flags, status, can_id, data)
        for node in hearers:
            if node.device is not None:
                node.device.can_receive(t_ns, can_id, data)

    def _fail(self, t_ns: int, flight: _Flight) -> None:
        _, order, can_id, data = flight.frame
        self.counters[f"{flight.error}_error"] += 1
        self.counters["retransmissions"] += 1
        sender = flight.senders[0]
        if sender.tried != order:
            sender.tried = order
            self._emit(
                flight.start_ns,
                t_ns - flight.start_ns,
                int(Flag.FAULTED),
                int(Status.DAMAGED),
                can_id,
                data,
            )
        if self.bus_errors and self.controller.state != State.BUS_OFF:
            sending = self.controller in flight.senders
            self._report(t_ns, bus_error_frame(self.controller, flight.error, sending))
        seen = flight.error in ("crc", "stuff")
        for node in self.nodes:
            if node in flight.senders:
                node.failed_to_send(flight.error == "ack")
                self._suspend(node)
            elif node.state != State.BUS_OFF:
                node.failed_to_receive(seen and flight.first in ("", node.name))
            self._settle(t_ns, node)

    def _suspend(self, node: Node) -> None:
        """Make an error passive transmitter wait 8 bits more, so that others get their turn."""
        if node.state == State.PASSIVE:
            node.suspend_ns = self._free_ns + self.time_ns(SUSPEND_NBITS)

    # Error states

    def _settle(self, t_ns: int, node: Node) -> None:
        if not node.settle():
            return
        if node.state == State.BUS_OFF:
            self.counters["bus_off"] += 1
            self.counters["dropped_bus_off"] += node.drop_all()
        if node is self.controller:
            self._report(t_ns, state_frame(node))
        if node.state == State.BUS_OFF:
            wait_ns = self.restart_ms * 1_000_000 if node is self.controller else 0
            if node is not self.controller or self.restart_ms:
                self.scheduler.at(
                    t_ns + wait_ns, Phase.BUS, self.source, lambda t: self._recover_from(t, node)
                )

    def _recover_from(self, t_ns: int, node: Node) -> None:
        """Start counting recessive sequences; the node comes back after 128 of them."""
        self._credit_idle(t_ns)
        node.sequences_left = RECOVERY_SEQUENCES
        self._check_recovery(t_ns, node)

    def _credit_idle(self, t_ns: int) -> None:
        """Credit the nodes in bus off with the whole sequences of idle time up to ``t_ns``."""
        idle_ns = t_ns - self._idle_from_ns
        if idle_ns <= 0:
            return
        idle_nbits = (2 * idle_ns * self.bitrate_hz + 1_000_000_000) // 2_000_000_000
        self._credit(sequences := idle_nbits // SEQUENCE_NBITS)
        self._idle_from_ns += self.time_ns(sequences * SEQUENCE_NBITS)

    def _credit(self, sequences: int) -> None:
        for node in self.nodes:
            if node.sequences_left > 0:
                node.sequences_left -= sequences

    def _check_recovery(self, t_ns: int, node: Node) -> None:
        if node.state != State.BUS_OFF:
            return
        self._credit_idle(t_ns)
        if node.sequences_left > 0:
            again_ns = max(t_ns, self._idle_from_ns)
            again_ns += self.time_ns(node.sequences_left * SEQUENCE_NBITS)
            self.scheduler.at(
                again_ns, Phase.BUS, self.source, lambda t: self._check_recovery(t, node)
            )
            return
        node.restart()
        if node is self.controller:
            self._report(t_ns, state_frame(node, restarted=True))

    def _report(self, t_ns: int, error_frame: tuple[int, bytes]) -> None:
        """Give the payload computer an error frame."""
        off = self.controller.state == State.BUS_OFF
        status = Status.BUS_OFF if off else Status.OK
        self._emit(t_ns, 0, int(Flag.INPUT), int(status), *error_frame)
