"""Handles on the CAN buses of a bench: any number of programs on the nodes of a bus.

A program listens on one connection and asks on another, which names the first, so that a reply
never waits behind frames and the listening descriptor is readable only when a frame is there. The
controller of the payload computer is shared by all who join it, and each hears what the others
send, as on a network interface of Linux; a node with a name is a controller of its own on the bus.
"""

from __future__ import annotations

import json
from typing import Any, Final

from flightsw.codec.errors import FieldRangeError
from flightsw.codec.wire import HEADER, HEADER_NBYTES, Flag, Kind, Status, pack
from hil.buses.can import CANBus
from hil.buses.can_errors import ERR_CONTROLLER
from hil.buses.can_frame import ERROR_FLAG
from hil.buses.can_node import Node
from hil.exchange import Exchange
from hil.faces.can_abi import FD_FLAGS, OF, OPTIONS, STAMP, STATE, WAIT, Op
from hil.faces.can_controller import CanController
from hil.faces.handles import Client, Push
from hil.time.participant import FIRST_SOURCE
from hil.time.phase import Phase
from hil.time.present import Present
from hil.transactions import Lane

_CAN, _REPLY, _INPUT = int(Kind.CAN), int(Flag.REPLY), int(Flag.INPUT)
_LAST_OP: Final = max(Op)
#: Failed tries of a frame that are run through without waiting, where bus time is not waited for.
_TRIES: Final = 64
#: How often it is looked whether a frame that somebody waits for was given up, virtual time.
_LOOK_NS: Final = 1_000_000
#: Most of a number in JOIN; as much as frames that may wait where nothing is said.
_MOST: Final = 2**31 - 1
_OVERFLOW: Final = bytes((0, 0x01, 0, 0, 0, 0, 0, 0))
_REFUSALS: Final = {
    "bus_off": Status.BUS_OFF,
    "fd": Status.UNSUPPORTED,
    "invalid": Status.INVALID,
    "listen_only": Status.PROTOCOL,
}


def _options(octets: bytes) -> dict[str, Any]:
    """Return what a JOIN asks for. Raises ``FieldRangeError``, which names the key."""
    try:
        asked = json.loads(octets or b"{}")
    except (ValueError, RecursionError) as error:
        raise FieldRangeError(f"JOIN of no JSON: {error}") from error
    if not isinstance(asked, dict):
        raise FieldRangeError(f"JOIN of a {type(asked).__name__}: an object with keys expected")
    for key, value in asked.items():
        if type(value) is not type(OPTIONS.get(key)):
            raise FieldRangeError(f"JOIN: {key} is none of {', '.join(OPTIONS)} or of another type")
        if isinstance(value, int) and not 0 <= value <= _MOST:
            raise FieldRangeError(f"JOIN: {key} = {value} is not in 0 to {_MOST}")
    return {**OPTIONS, **asked}


class Listener:
    """A connection that hears what its node hears."""

    __slots__ = ("client", "lossy", "own", "place", "tx_queue_size")

    def __init__(self, client: Client, place: Place, options: dict[str, Any]) -> None:
        self.client = client
        self.place = place
        self.own: bool = options["own"]
        self.tx_queue_size: int = options["tx_queue_size"] or _MOST
        #: frames were lost since the last one that it took
        self.lossy = False


class Place(CanController):
    """A node that programs have joined: of its own, or (without a name) the bus's controller."""

    def __init__(self, desk: CanHandles, lane: Lane, options: dict[str, Any]) -> None:
        name = options["node"]
        super().__init__(name, options["restart_ms"], options["bus_errors"])
        for mode in ("fd", "fd_tolerant", "listen_only", "one_shot"):
            setattr(self, f"can_{mode}", options[mode])
        self.lane = lane
        self.bus: CANBus = lane.bus
        self.listeners: list[Listener] = []
        #: who waits for the frame of an order: (its listener, where to reply)
        self.waiting: dict[int, tuple[Listener, Client]] = {}
        #: who has queued the frame of an order
        self.senders: dict[int, Listener] = {}
        self._desk = desk
        if name:
            self.attach(self.bus)
        else:
            self.node = self.bus.controller
            self.bus.bus_errors = self.bus.bus_errors or self.bus_errors
            self.node.listen_only = self.node.listen_only or self.can_listen_only
            self.node.one_shot = self.node.one_shot or self.can_one_shot

    def can_receive(self, t_ns: int, can_id: int, data: bytes) -> None:
        """Tell everyone here of a frame of another node."""
        for listener in self.listeners:
            self._desk.give(listener, t_ns, can_id, data, _INPUT)

    def tell(self, t_ns: int, can_id: int, data: bytes) -> None:
        """Tell everyone here of an error frame."""
        self.can_receive(t_ns, can_id, data)

    def sent(self, t_ns: int, can_id: int, data: bytes) -> None:
        """See a frame of this node leave: everyone else here hears it, its sender if it wants."""
        order = self.node.sent_order
        sender = self.senders.pop(order, None)
        for listener in self.listeners:
            if listener is not sender or listener.own:
                self._desk.give(listener, t_ns, can_id, data, 0)
        if order in self.waiting:
            self.answer(order, Status.OK)

    def look(self) -> None:
        """Answer those whose frames are gone without having been sent."""
        for order in [order for order in self.waiting if self._is_gone(order)]:
            self.answer(order, Status.ARBITRATION_LOST)
        for order in [order for order in self.senders if self._is_gone(order)]:
            del self.senders[order]

    def _is_gone(self, order: int) -> bool:
        """Tell whether a frame was given up: one that was just sent may still be to be told, behind
        the error frame of what it did to the state of the node."""
        return not self.node.holds(order) and order != self.node.sent_order

    def answer(self, order: int, status: int) -> None:
        """Answer a SEND that waited for its frame."""
        _, client = self.waiting.pop(order)
        self._desk.reply(client, status)


class CanHandles:
    """All handles on the CAN buses of a bench."""

    def __init__(self, exchange: Exchange, present: Present, push: Push) -> None:
        self.counters = dict.fromkeys(
            ("joined", "sent", "refused", "full", "heard", "unread", "withdrawn"), 0
        )
        self._exchange = exchange
        self._present = present
        self._push = push
        #: by channel and name
        self._places: dict[tuple[int, str], Place] = {}
        self._listeners: dict[int, Listener] = {}
        self._watched: set[int] = set()
        self._looking = False

    # --- what the host calls ------------------------------------------------------------------

    def open(self, client: Client, lane: Lane) -> dict[str, Any]:
        """Take a client in: the channel says it all."""
        return {}

    def request(self, client: Client, address: int, payload: bytes, t_ns: int) -> None:
        """Do what a program asks of its node."""
        if not payload or payload[0] > _LAST_OP:
            raise FieldRangeError(
                f"a CAN request that begins with {payload[:1].hex() or 'nothing'}"
            )
        if payload[0] == Op.JOIN:
            self._join(client, payload[1:])
            return
        if len(payload) < OF.size:
            raise FieldRangeError(f"a CAN request of {len(payload)} octets")
        op, ident = OF.unpack_from(payload)
        listener = self._listeners.get(ident)
        if listener is None:
            raise FieldRangeError(f"connection {ident} has joined no node")
        _ACTS[Op(op)](self, client, listener, address, payload[OF.size :], t_ns)

    def hears(self, client: Client) -> bool:
        """Tell whether a client gets what comes in on its channel by now."""
        return client.ident in self._listeners

    def hear(self, lane: Lane, octets: bytes) -> None:
        """Hand what the payload computer's controller has heard to whoever has joined it."""
        place = self._places.get((lane.index, ""))
        if place is not None:
            header = HEADER.unpack_from(octets)
            can_id = header[8] | (header[2] & 0x70) << 28
            place.can_receive(header[5] + header[6], can_id, octets[HEADER_NBYTES:])
            place.look()

    def release(self, client: Client, t_ns: int) -> None:
        """Let go of a client; a named node leaves the bus with the last of them."""
        for place in self._places.values():
            for order in [order for order, (_, who) in place.waiting.items() if who is client]:
                del place.waiting[order]
        listener = self._listeners.pop(client.ident, None)
        if listener is None:
            return
        place = listener.place
        place.listeners.remove(listener)
        for order in [order for order, who in place.senders.items() if who is listener]:
            del place.senders[order]
        if not place.listeners:
            del self._places[place.lane.index, place.name]
            if place.name:
                place.bus.detach(place)

    # --- what places call ---------------------------------------------------------------------

    def give(self, listener: Listener, t_ns: int, can_id: int, data: bytes, flags: int) -> None:
        """Send a frame to a program; one that does not read loses it, and is told of that once."""
        stamp = STAMP.pack(self._present.wall_ns(t_ns, True))
        flags |= can_id >> 28 & 0x70
        address, channel = can_id & 0xFFFF_FFFF, listener.place.lane.index
        if listener.lossy:
            error = stamp + _OVERFLOW
            can = ERROR_FLAG | ERR_CONTROLLER
            told = pack(_CAN, channel, _INPUT, t_ns=t_ns, address=can, payload=error)
            listener.lossy = not self._push(listener.client, told)
        octets = pack(_CAN, channel, flags, t_ns=t_ns, address=address, payload=stamp + data)
        if not listener.lossy and self._push(listener.client, octets):
            self.counters["heard"] += 1
        else:
            listener.lossy = True
            self.counters["unread"] += 1

    def reply(self, client: Client, status: int, payload: bytes = b"") -> None:
        """Answer a request."""
        assert client.lane is not None, "a client that asks has opened a bus"
        now_ns = self._exchange.kernel.now_ns
        octets = pack(_CAN, client.lane.index, _REPLY, int(status), now_ns, payload=payload)
        self._push(client, octets)

    # --- requests -----------------------------------------------------------------------------

    def _join(self, client: Client, octets: bytes) -> None:
        lane = client.lane
        assert lane is not None, "a client that asks has opened a bus"
        if client.ident in self._listeners:
            raise FieldRangeError("JOIN: joined already; open another connection")
        options = _options(octets)
        name = options["node"]
        place = self._places.get((lane.index, name))
        if place is None:
            if name and any(node.name == name for node in lane.bus.nodes):
                self.reply(client, Status.BUSY, f"a part is named {name!r}".encode())
                return
            place = self._places[lane.index, name] = Place(self, lane, options)
        if lane.index not in self._watched:
            self._watched.add(lane.index)
            lane.bus.watchers.append(
                lambda t_ns, node, can_id, data: self._sent(lane, t_ns, node, can_id, data)
            )
        listener = self._listeners[client.ident] = Listener(client, place, options)
        place.listeners.append(listener)
        self.counters["joined"] += 1
        self.reply(client, Status.OK, client.ident.to_bytes(4, "little"))

    def _sent(self, lane: Lane, t_ns: int, node: Node, can_id: int, data: bytes) -> None:
        name = "" if node is lane.bus.controller else node.name
        place = self._places.get((lane.index, name))
        if place is not None and place.node is node:
            place.sent(t_ns, can_id, data)

    def _send(
        self, client: Client, listener: Listener, address: int, payload: bytes, t_ns: int
    ) -> None:
        if not payload:
            raise FieldRangeError("SEND without flags")
        place, bus = listener.place, listener.place.bus
        node, data = place.node, payload[1:]
        can_id = address | (payload[0] & FD_FLAGS) << 32
        reason = bus.refusal(node, can_id, data)
        if reason:
            bus.counters[f"refused_{reason}"] += 1
            self.counters["refused"] += 1
            self.reply(client, _REFUSALS[reason], reason.encode())
            return
        if len(node.ready) + len(node.waiting) >= listener.tx_queue_size:
            self.counters["full"] += 1
            self.reply(client, Status.BUSY, STATE.pack(node.state, 0, node.tec, node.rec))
            return
        before = bus.order
        if place.name:
            place.can_send(t_ns, can_id, data)
        else:
            bus.send(t_ns, can_id, data)
        self.counters["sent"] += 1
        orders = range(before + 1, bus.order + 1)
        place.senders.update(dict.fromkeys(orders, listener))
        if payload[0] & WAIT and orders:
            place.waiting[orders[-1]] = listener, client
            self._look_later()
        if not self._present.wait:
            self._run_through(place, orders)
        if not payload[0] & WAIT or not orders:
            self.reply(client, Status.OK)
        place.look()

    def _run_through(self, place: Place, orders: range) -> None:
        """Let the frames cross the bus, where their time is not waited for; the present follows."""
        kernel, node, counters = self._exchange.kernel, place.node, place.bus.counters
        most = counters["retransmissions"] + _TRIES
        while (
            any(node.holds(order) for order in orders)
            and counters["retransmissions"] < most
            and kernel.next_key()[0] < self._exchange.end_ns
        ):
            kernel.run_until(kernel.next_key()[0])
        self._present.jump(max(kernel.now_ns, self._present.now_ns()))

    def _look_later(self) -> None:
        """See to it that a frame that is given up is noticed."""
        if not self._looking:
            self._looking = True
            kernel = self._exchange.kernel
            kernel.at(kernel.now_ns + _LOOK_NS, Phase.FLIGHT, FIRST_SOURCE, self._look)

    def _look(self, t_ns: int) -> None:
        self._looking = False
        for place in self._places.values():
            place.look()
        if any(place.waiting for place in self._places.values()):
            self._look_later()

    def _withdraw(
        self, client: Client, listener: Listener, address: int, payload: bytes, t_ns: int
    ) -> None:
        place = listener.place
        for order in [order for order, (_, who) in place.waiting.items() if who is client]:
            self.counters["withdrawn"] += place.bus.withdraw(place.node, [order])
            place.senders.pop(order, None)
            place.answer(order, Status.TIMEOUT)

    def _flush(
        self, client: Client, listener: Listener, address: int, payload: bytes, t_ns: int
    ) -> None:
        count = listener.place.bus.withdraw(listener.place.node)
        self.counters["withdrawn"] += count
        listener.place.look()
        self.reply(client, Status.OK, count.to_bytes(4, "little"))

    def _state(
        self, client: Client, listener: Listener, address: int, payload: bytes, t_ns: int
    ) -> None:
        node = listener.place.node
        found = STATE.pack(node.state, node.listen_only, node.tec, node.rec)
        self.reply(client, Status.OK, found)

    def _restart(
        self, client: Client, listener: Listener, address: int, payload: bytes, t_ns: int
    ) -> None:
        listener.place.bus.restart(t_ns, listener.place.node)
        self.reply(client, Status.OK)

    def _listen_only(
        self, client: Client, listener: Listener, address: int, payload: bytes, t_ns: int
    ) -> None:
        if len(payload) != 1:
            raise FieldRangeError(f"LISTEN_ONLY with {len(payload)} octets")
        listener.place.node.listen_only = bool(payload[0])
        self.reply(client, Status.OK)


_ACTS: Final = {
    Op.SEND: CanHandles._send,
    Op.WITHDRAW: CanHandles._withdraw,
    Op.FLUSH: CanHandles._flush,
    Op.STATE: CanHandles._state,
    Op.RESTART: CanHandles._restart,
    Op.LISTEN_ONLY: CanHandles._listen_only,
}
