"""A CAN bus that answers from the record: frames cross it when they crossed it then.

A frame of the payload computer is held against those that it sent then. What was recorded of it,
from a first attempt that failed to its end, comes again at its times; sent later it comes later,
and sent earlier, while the bus was idle, earlier. A frame that was never sent crosses an idle bus
and is acknowledged.

Not modelled: nodes that programs add to the bus; their frames are those of the record.
"""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import numpy as np

from flightsw.codec.wire import Flag, Kind, Status
from hil.buses.base import Emit
from hil.buses.can import CANBus
from hil.buses.can_errors import ACTIVE, RX_PASSIVE, RX_WARNING, TX_PASSIVE, TX_WARNING
from hil.buses.can_frame import ERROR_FLAG, INTERFRAME_NBITS
from hil.buses.can_length import extent
from hil.buses.can_node import Node, State
from hil.replay.mocking.lanes import CAN_CHOSEN, Answers
from hil.replay.mocking.record import LATE_NS, WINDOW
from hil.time.phase import Phase

_INPUT, _FAULTED = int(Flag.INPUT), int(Flag.FAULTED)
#: Faults that leave no record of a frame, or one of other octets.
_EATERS = frozenset({"drop", "bus_off", "bit_flip", "truncate"})
_DAMAGED = int(Status.DAMAGED)
#: What may pass between two frames on a busy bus: intermission, suspended transmission, the rest
#: of an error frame.
_BETWEEN_NBITS = INTERFRAME_NBITS + 8 + 20

#: Copies of a frame that a fault has sent again follow within this time, others before them.
_COPIES_NS = 2_000_000


class MockCANBus(CANBus):
    """A CAN bus whose other nodes are the record."""

    answers: Answers
    _came: Emit

    def listen(self, came: Emit) -> None:
        """Give what is recorded to ``came``."""
        self._came = came
        self._emit = self._of_the_bus
        #: when the last frame of ours ends
        self._own_free_ns = 0
        self.counters["frames_eaten"] = 0
        self._eats = self._is_eaten()

    def _is_eaten(self) -> bool:
        """Tell whether a fault of the run may have had frames of ours without a trace."""
        recording = self.answers.recording
        for index in np.flatnonzero(recording.heads["kind"] == Kind.FAULT).tolist():
            try:
                fault = json.loads(recording.payload(index))
            except ValueError:
                continue
            if not isinstance(fault, dict) or fault.get("on") != self.name:
                continue
            if fault.get("kind") in _EATERS:
                return True
        return False

    def _error(self, status: int, payload: bytes) -> None:
        """Bring the controller into the state that an error frame tells."""
        node = self.controller
        if len(payload) < 8:
            return
        node.tec, node.rec = payload[6], payload[7]
        if status == Status.BUS_OFF:
            node.state = State.BUS_OFF
        elif payload[1] & (RX_PASSIVE | TX_PASSIVE):
            node.state = State.PASSIVE
        elif payload[1] & (RX_WARNING | TX_WARNING):
            node.state = State.WARNING
        elif payload[1] & ACTIVE:
            node.state = State.ACTIVE

    def come(self, t_ns: int, index: int, head: Any, payload: bytes) -> None:
        """Let a recorded frame come."""
        self.counters["frames"] += 1
        if int(head["address"]) & ERROR_FLAG:
            self._error(int(head["status"]), payload)
        else:
            self.show(t_ns, int(head["address"]), int(head["flags"]), payload)
        self._put(t_ns - int(head["duration_ns"]), index)

    def _put(self, t_ns: int, index: int) -> None:
        """Report a recorded frame that began at ``t_ns``."""
        head = self.answers.recording.heads[index]
        self.answers.stream.answer = index
        what = (int(head["flags"]), int(head["status"]), int(head["address"]))
        self._came(t_ns, int(head["duration_ns"]), *what, self.answers.recording.payload(index))

    def _of_the_bus(
        self, t_ns: int, duration_ns: int, flags: int, status: int, address: int, payload: bytes
    ) -> None:
        """Report what the bus itself says: a frame that it refused."""
        if flags & _INPUT:
            return  # frames and errors of others are those of the record
        index = self.answers.lane.take(t_ns, (address, flags & CAN_CHOSEN, payload))
        if index >= 0:
            self._put(t_ns, index)
        else:
            self._came(t_ns, duration_ns, flags, status, address, payload)

    # --- frames of the payload computer ------------------------------------------------------

    def _request(self, t_ns: int) -> None:
        """Let the frames that wait in the controller cross the bus as they did then."""
        node = self.controller
        while node.waiting:
            begin_ns, order, can_id, data = node.waiting.pop(0)
            node.ready.append((0, order, can_id, data))
            self._cross(max(begin_ns, self.scheduler.now_ns), order, can_id, data)

    def _cross(self, t_ns: int, order: int, can_id: int, data: bytes) -> None:
        """Let one frame cross, in the attempts that were recorded of it."""
        key = (can_id & 0xFFFF_FFFF, can_id >> 28 & CAN_CHOSEN, data)
        index = self.answers.lane.take(t_ns, key)
        if index < 0:
            index = self._spoilt(t_ns, key[0])
        if index < 0 and self._eats:
            # Then a fault had it, so that nothing of it is on record.
            self.counters["frames_eaten"] += 1
            self.controller.withdraw(order)
            return
        if index < 0:
            bits = extent(can_id, data)
            begin_ns = self._idle_ns(max(t_ns, self._own_free_ns))
            self._own_free_ns = end_ns = begin_ns + self.time_ns(bits.slow, bits.fast)
            done = partial(self._crossed, order, can_id, data, begin_ns, -1)
            self.scheduler.at(end_ns, Phase.BUS, self.source, done)
            return
        heads = self.answers.recording.heads
        late_ns = self._late_ns(t_ns, index)
        attempts = self._attempts(index)
        for number, attempt in enumerate(attempts, 1):
            begin_ns = int(heads["t_ns"][attempt]) + late_ns
            end_ns = max(begin_ns + int(heads["duration_ns"][attempt]), self.scheduler.now_ns)
            last = number == len(attempts)
            done = partial(self._crossed, order if last else -1, can_id, data, begin_ns, attempt)
            self.scheduler.at(end_ns, Phase.BUS, self.source, done)
            self._own_free_ns = end_ns

    def _spoilt(self, t_ns: int, address: int) -> int:
        """Take the next frame of this identifier that a fault had changed; -1: there is none."""
        lane, heads = self.answers.lane, self.answers.recording.heads
        for place in range(lane.at, min(lane.at + WINDOW, len(lane.indices))):
            head = heads[lane.indices[place]]
            if lane.timed and int(head["t_ns"]) > t_ns + LATE_NS:
                break
            touched = int(head["flags"]) & _FAULTED and not lane.taken[place]
            if touched and int(head["address"]) == address:
                return lane.advance(place)
        return -1

    def _attempts(self, index: int) -> list[int]:
        """Take what else was recorded of a frame: its end after a first attempt that failed, and
        the copies that a fault had sent right behind it."""
        lane, heads = self.answers.lane, self.answers.recording.heads
        found, key = [index], self._key(index)
        failed = int(heads["status"][index]) == _DAMAGED
        for place in range(lane.indices.index(index) + 1, len(lane.indices)):
            other = lane.indices[place]
            if lane.taken[place] or self._key(other) != key:
                continue
            before, after = heads[found[-1]], heads[other]
            gap_ns = int(after["t_ns"]) - int(before["t_ns"]) - int(before["duration_ns"])
            copied = int(after["flags"]) & _FAULTED and gap_ns <= _COPIES_NS
            damaged = int(after["status"]) == _DAMAGED
            if not copied and (damaged or not failed):
                break
            found.append(lane.advance(place))
            failed = damaged
        return found

    def _idle_ns(self, t_ns: int) -> int:
        """Return when the bus is free for a frame that was never sent, behind those that were."""
        if not self.answers.lane.timed:
            return t_ns
        heads = self.answers.recording.heads
        here = np.flatnonzero(
            (heads["kind"] == Kind.CAN) & (heads["channel"] == self.answers.channel)
        )
        starts = heads["t_ns"][here].astype(np.int64)
        ends = starts + heads["duration_ns"][here].astype(np.int64)
        between_ns = self.time_ns(_BETWEEN_NBITS)
        for at in range(int(np.searchsorted(ends, t_ns, side="right")), len(here)):
            if starts[at] > t_ns + between_ns:
                break
            t_ns = int(ends[at]) + self.time_ns(INTERFRAME_NBITS)
        return t_ns

    def _key(self, index: int) -> tuple[int, int, bytes]:
        key: Any = self.answers.about(index).key
        return (int(key[0]), int(key[1]), bytes(key[2]))

    def _late_ns(self, t_ns: int, index: int) -> int:
        """Return by how much a frame comes later than recorded when it is sent at ``t_ns``."""
        heads = self.answers.recording.heads
        then_ns = int(heads["t_ns"][index])
        if then_ns <= t_ns or not self.answers.lane.timed:
            return t_ns - then_ns
        if int(heads["flags"][index]) & _FAULTED:
            return 0  # a fault may have held it back
        # Recorded as beginning later: it waited for the bus, if that was busy all the while.
        here = np.flatnonzero(
            (heads["kind"][:index] == Kind.CAN)
            & (heads["channel"][:index] == heads["channel"][index])
        )
        between_ns = self.time_ns(_BETWEEN_NBITS)
        busy_from_ns = then_ns
        for before in here[::-1]:
            end_ns = int(heads["t_ns"][before]) + int(heads["duration_ns"][before])
            if end_ns + between_ns < busy_from_ns or busy_from_ns <= t_ns:
                break
            busy_from_ns = int(heads["t_ns"][before])
        if busy_from_ns - between_ns <= t_ns:
            return 0
        return t_ns - then_ns

    def _crossed(
        self, order: int, can_id: int, data: bytes, begin_ns: int, index: int, t_ns: int
    ) -> None:
        """End an attempt; with ``order`` the frame leaves its node with it."""
        node = self.controller
        if order >= 0:
            if not node.holds(order):
                return  # withdrawn, or lost with the supply
            node.withdraw(order)
            node.sent_order = order
            self.counters["frames"] += 1
        if index >= 0:
            self._put(begin_ns, index)
        else:
            flags = can_id >> 28 & 0x70
            self._came(begin_ns, t_ns - begin_ns, flags, 0, can_id & 0xFFFF_FFFF, data)
        if order >= 0:
            self._tell(t_ns, node, can_id, data)

    def _tell(self, t_ns: int, node: Node, can_id: int, data: bytes) -> None:
        sent = getattr(node.device, "can_sent", None)
        if sent is not None:
            sent(t_ns, can_id, data)
        for watch in self.watchers:
            watch(t_ns, node, can_id, data)
