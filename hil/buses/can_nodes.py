"""A CAN bus up to arbitration: its nodes, its modes, and which frames they queue.

What a node hands over goes by way of the interceptor and the faults of the sender, is refused or
filled up to a length that a DLC can say, and waits in the node; see ``hil.buses.can`` for the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from flightsw.codec.wire import Flag, Status
from hil.buses.base import Emit
from hil.buses.can_faults import ERRORS, FAULT_KINDS, SENDER_FAULTS, CANFault, spoil
from hil.buses.can_frame import FD_FLAG, filled, is_valid
from hil.buses.can_node import Node, State
from hil.buses.can_recovery import Recovery
from hil.buses.intercept import QUEUED, Crossing, Interceptor, Result, through
from hil.errors import ConfigError
from hil.parts.base import CANNode, Scheduler, stream
from hil.parts.fault_windows import FaultWindows

#: Fastest nominal bit rate (ISO 11898-2) and data bit rate of transceivers that are made for it.
NOMINAL_LIMIT_HZ: Final = 1_000_000
DATA_LIMIT_HZ: Final = 8_000_000
#: Why a frame is refused when it is handed over, and what its record says of it.
_REFUSALS: Final = {
    "bus_off": Status.BUS_OFF,
    "fd": Status.UNSUPPORTED,
    "invalid": Status.UNSUPPORTED,
    "listen_only": Status.UNSUPPORTED,
}


def _nowhere(t_ns: int, can_id: int, data: bytes) -> None:
    raise ConfigError("can: a node that was disconnected has sent a frame; attach it again first")


class CANNodes:
    """The nodes of a CAN bus; the payload computer's controller is one of its nodes.

    ``restart_ms`` is the time after bus off at which the payload computer's controller is started
    again, as the option of ``ip link`` of that name; 0 leaves it off until :meth:`restart`. Parts
    start again by themselves. ``bus_errors`` reports every error on the bus to the payload
    computer (``berr-reporting``), not only changes of state. ``data_bitrate_hz`` makes it a CAN FD
    bus; ``listen_only`` and ``one_shot`` are modes of the payload computer's controller.
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
        data_bitrate_hz: int = 0,
        listen_only: bool = False,
        one_shot: bool = False,
    ) -> None:
        if not 0 < bitrate_hz <= NOMINAL_LIMIT_HZ:
            raise ConfigError(f"can {name}: {bitrate_hz} bit/s; classic CAN ends at 1 Mbit/s")
        if data_bitrate_hz and not bitrate_hz <= data_bitrate_hz <= DATA_LIMIT_HZ:
            raise ConfigError(
                f"can {name}: data at {data_bitrate_hz} bit/s; give {bitrate_hz} to 8 Mbit/s"
            )
        self.name = name
        self.scheduler = scheduler
        self.source = source
        self.bitrate_hz = bitrate_hz
        self.data_bitrate_hz = data_bitrate_hz
        self.bus_errors = bus_errors
        self.faults: FaultWindows[CANFault] = FaultWindows(f"can {name}", FAULT_KINDS)
        self.controller = Node(name, None)
        self.controller.fd = data_bitrate_hz > 0
        self.controller.listen_only, self.controller.one_shot = listen_only, one_shot
        self.nodes = [self.controller]
        #: told (t_ns, node, identifier, data) of each frame that a node has sent
        self.watchers: list[Callable[[int, Node, int, bytes], None]] = []
        self.counters: dict[str, int] = dict.fromkeys(
            ("frames", "arbitration_lost", "collision", "retransmissions", "bus_off", "late"), 0
        )
        for kind in (*ERRORS, "fdf"):
            self.counters[f"{kind}_error"] = 0
        for reason in _REFUSALS:
            self.counters[f"refused_{reason}"] = 0
        self.counters |= {"dropped_bus_off": 0, "cut_frames": 0, "unheard": 0}
        more = ("one_shot_lost", "filled", "overload", "intercepted", *SENDER_FAULTS)
        self.counters |= dict.fromkeys(more, 0)
        self._emit = emit
        self._random = stream(seed, name)
        #: the number of the frame that was queued last
        self.order = 0
        self._interceptor: Interceptor | None = None
        self._touched: set[int] = set()  # orders of frames that are not as their sender made them
        self._recovery = Recovery(
            scheduler, source, bitrate_hz, self.nodes, self.counters, self._report, restart_ms
        )

    def time_ns(self, nbits: int, fast_nbits: int = 0) -> int:
        """Return how long bits at the nominal and at the data bit rate take, nearest nanosecond."""
        if not fast_nbits:
            return (2 * nbits * 1_000_000_000 + self.bitrate_hz) // (2 * self.bitrate_hz)
        slow_hz, fast_hz = self.bitrate_hz, self.data_bitrate_hz or self.bitrate_hz
        bits = nbits * fast_hz + fast_nbits * slow_hz
        product = slow_hz * fast_hz
        return (2 * bits * 1_000_000_000 + product) // (2 * product)

    def attach(self, device: CANNode) -> Node:
        """Connect a node; its ``can_send`` queues frames from then on. Return its place here."""
        node = Node(str(getattr(device, "name", f"node{len(self.nodes)}")), device)
        self.nodes.append(node)
        self._connect(node, device)
        return node

    def control(self, device: CANNode) -> Node:
        """Let a device hear and send as the payload computer's controller; return that.

        One at a time: ``controller.device`` is None again when it has gone.
        """
        if self.controller.device is not None:
            raise ConfigError(
                f"can {self.name}: its controller is driven by another device already"
            )
        self.controller.device = device
        self._connect(self.controller, device)
        return self.controller

    def _connect(self, node: Node, device: CANNode) -> None:
        device.can_send = partial(self._offer, node)
        attached = getattr(device, "can_attached", None)
        if attached is not None:
            attached(node, self.bitrate_hz)

    def detach(self, device: CANNode) -> None:
        """Disconnect a node: what it still wanted to send is cut off, a frame on the bus ends."""
        node = next(node for node in self.nodes if node.device is device)
        self.nodes.remove(node)
        self.counters["cut_frames"] += node.drop_all()
        device.can_send = _nowhere

    def intercept(self, interceptor: Interceptor | None) -> None:
        """Put a callable between every node and its controller; None takes it out."""
        self._interceptor = interceptor

    def send(self, t_ns: int, can_id: int, data: bytes) -> None:
        """Queue a frame of the payload computer for arbitration from ``t_ns`` on."""
        self._offer(self.controller, t_ns, can_id, data)

    def show(self, t_ns: int, can_id: int, flags: int, data: bytes) -> None:
        """Let a device that drives the controller hear a frame from outside the bus."""
        if self.controller.device is not None:
            self.controller.device.can_receive(t_ns, can_id | (flags & 0x70) << 28, data)

    def restart(self, t_ns: int, node: Node | None = None) -> None:
        """Start a node, or else the payload computer's controller, again after bus off."""
        node = node or self.controller
        if node.state == State.BUS_OFF and node.sequences_left <= 0:
            self._recovery.begin(t_ns, node)

    def describe(self) -> dict[str, Any]:
        """Return the bit rates."""
        found: dict[str, Any] = {"bitrate_hz": self.bitrate_hz, "fd": self.controller.fd}
        if self.data_bitrate_hz:
            found["data_bitrate_hz"] = self.data_bitrate_hz
        return found

    def _offer(self, node: Node, t_ns: int, can_id: int, data: bytes) -> None:
        """Take a frame from a node, by way of the interceptor."""
        if self._interceptor is None:
            self._queue(node, t_ns, can_id, data)
            return
        offered = Crossing(t_ns, node.name, can_id, data)

        def forward(crossing: Crossing) -> Result:
            named = (n for n in self.nodes if n.name == crossing.sender)
            sender = node if crossing.sender == node.name else next(named, None)
            if sender is None:
                raise ConfigError(f"can {self.name}: no node is named {crossing.sender!r}")
            self._queue(sender, crossing.t_ns, *crossing[2:], touched=crossing is not offered)
            return QUEUED

        _, did = through(self._interceptor, offered, forward)
        self.counters["intercepted"] += did

    def _queue(
        self, node: Node, t_ns: int, can_id: int, data: bytes, touched: bool = False
    ) -> None:
        times = 1
        for fault in self.faults.at(t_ns) if self.faults else ():
            if fault.kind in SENDER_FAULTS and fault.node in ("", node.name):
                if not self._hits(fault, can_id):
                    continue
                self.counters[fault.kind] += 1
                data, often = spoil(fault, data)
                times, touched = times * often, True
                t_ns += fault.value_ns if fault.kind == "delay" else 0
        reason = self.refusal(node, can_id, data)
        if reason:
            self.counters[f"refused_{reason}"] += 1
            if node is self.controller:
                self._out(t_ns, 0, 0, int(_REFUSALS[reason]), can_id, data)
            return
        if t_ns < self.scheduler.now_ns:
            self.counters["late"] += 1
            t_ns = self.scheduler.now_ns
        whole = filled(can_id, data)
        self.counters["filled"] += len(whole) != len(data)
        for _ in range(times):
            self.order += 1
            if touched:
                self._touched.add(self.order)
            node.queue(t_ns, self.order, can_id, whole)
        if times:
            self._request(t_ns)

    def refusal(self, node: Node, can_id: int, data: bytes) -> str:
        """Return why a node cannot send this frame; empty when it can."""
        if (len(data) > 8 and not can_id & FD_FLAG) or (
            can_id & FD_FLAG and not (node.fd and self.data_bitrate_hz)
        ):
            return "fd"
        if not is_valid(can_id, data):
            return "invalid"
        if node.listen_only:
            return "listen_only"
        return "bus_off" if node.state == State.BUS_OFF else ""

    def _hits(self, fault: CANFault, can_id: int) -> bool:
        return fault.can_id in (-1, can_id) and (
            fault.rate >= 1.0 or float(self._random.random()) < fault.rate
        )

    def _request(self, t_ns: int) -> None:
        """Have arbitration held at ``t_ns`` or as soon as the bus is free after it."""
        raise NotImplementedError

    def _out(
        self, t_ns: int, duration_ns: int, flags: int, status: int, can_id: int, data: bytes
    ) -> None:
        """Report a frame; FDF, BRS and ESI go into bits 4 to 6 of the flags."""
        flags |= can_id >> 28 & 0x70
        self._emit(t_ns, duration_ns, flags, status, can_id & 0xFFFF_FFFF, data)

    def _report(self, t_ns: int, error_frame: tuple[int, bytes]) -> None:
        """Give the payload computer an error frame."""
        off = self.controller.state == State.BUS_OFF
        status = Status.BUS_OFF if off else Status.OK
        self._emit(t_ns, 0, int(Flag.INPUT), int(status), *error_frame)
