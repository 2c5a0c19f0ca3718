"""A CAN bus for programs that wait for each frame: what cannot go wrong is carried in one step.

On a calm bus (no error counted, no frame under way or waiting, no fault, nothing due before the
frame ends) the fate of a frame is known when it is handed over. :meth:`CalmCANBus.carry` brings it
about at once, with the records, counters and times that arbitration and the end of the frame would
have made of it. Everything else takes the usual way.

A node that is error passive and alone would try its frame again and again, with nothing changing
but the time. Here it rests until somebody else takes part.
"""

from __future__ import annotations

from flightsw.codec.wire import Flag, Status
from hil.buses.can import CANBus
from hil.buses.can_frame import FD_FLAG, INTERFRAME_NBITS, filled
from hil.buses.can_length import extent
from hil.buses.can_node import Node, State
from hil.time.kernel import Kernel

_INPUT, _OK = int(Flag.INPUT), int(Status.OK)


class CalmCANBus(CANBus):
    """A CAN bus on a kernel of its own; see above."""

    scheduler: Kernel
    #: the only node that takes part is error passive, and rests
    resting = False

    @property
    def pending(self) -> bool:
        """Whether a frame waits or is on the bus."""
        return self._flight is not None or any(node.pending for node in self.nodes)

    def carry(self, node: Node, t_ns: int, can_id: int, data: bytes) -> bool:
        """Send a frame of ``node`` at once, up to its last bit; tell whether that could be done.

        Where it could not, nothing has happened.
        """
        if (
            self.faults
            or self._interceptor is not None
            or self._flight is not None
            or self._arbitrate_ns >= 0
        ):
            return False
        heard = False
        for other in self.nodes:
            if other.tec or other.rec or other.state or other.pending:
                return False
            if can_id & FD_FLAG and not other.fd:
                return False
            heard = heard or (other is not node and not other.listen_only)
        if not heard or self.refusal(node, can_id, data):
            return False
        whole = filled(can_id, data)
        begin_ns = max(t_ns, self.scheduler.now_ns, self._free_ns)
        bits = extent(can_id, whole)
        end_ns = begin_ns + self.time_ns(bits.slow, bits.fast)
        if self.scheduler.due_ns <= end_ns:
            return False
        self.counters["late"] += t_ns < self.scheduler.now_ns
        self.counters["filled"] += len(whole) != len(data)
        self._free_ns = begin_ns + self.time_ns(bits.slow + INTERFRAME_NBITS, bits.fast)
        self._recovery.idle_from_ns = self._free_ns
        self._deliver(node, begin_ns, end_ns, can_id, whole)
        return True

    def _deliver(self, node: Node, begin_ns: int, end_ns: int, can_id: int, data: bytes) -> None:
        """Bring about the good end of a frame."""
        self.counters["frames"] += 1
        self.order = node.sent_order = self.order + 1
        node.suspend_ns = 0
        self.scheduler.now_ns = end_ns
        flags = 0 if node is self.controller else _INPUT
        self._out(begin_ns, end_ns - begin_ns, flags, _OK, can_id, data)
        sent = getattr(node.device, "can_sent", None)
        if sent is not None:
            sent(end_ns, can_id, data)
        for watch in self.watchers:
            watch(end_ns, node, can_id, data)
        for other in self.nodes:
            if other is not node and other.device is not None:
                other.device.can_receive(end_ns, can_id, data)

    def _request_next(self) -> None:
        self.resting = self._alone()
        if not self.resting:
            super()._request_next()

    def _alone(self) -> bool:
        """Tell whether all who still take part is one error passive node."""
        taking = [node for node in self.nodes if node.takes_part]
        return len(taking) == 1 and taking[0].state == State.PASSIVE

    def wake(self) -> bool:
        """Go on at the present where a node rested and is not alone any more; tell whether."""
        if not self.resting or self._alone():
            return False
        self._request_next()
        return True
