"""Fault confinement of one CAN node: error counters, states, pending frames.

ISO 11898-1, fault confinement: a transmitter that sees an error adds 8 to its transmit error
counter (TEC), a receiver 1 to its receive error counter (REC), 8 more if it saw the error first;
each frame that goes well takes 1 off. Above 127 a node is error passive, above 255 (TEC) it is bus
off until it has seen 128 times 11 recessive bits. Warning at 96 and the numbers of the states
follow ``linux/can/netlink.h``.
"""

from __future__ import annotations

import heapq
from enum import IntEnum
from typing import Final

from hil.buses.can_frame import arbitration_key
from hil.parts.base import CANNode

WARNING_LIMIT: Final = 96
PASSIVE_LIMIT: Final = 128
BUS_OFF_LIMIT: Final = 256
#: Sequences of 11 recessive bits that end bus off.
RECOVERY_SEQUENCES: Final = 128
SEQUENCE_NBITS: Final = 11
#: REC of a passive receiver after a good frame: "a value between 119 and 127".
REC_AFTER_PASSIVE: Final = 119

#: (arbitration key, order, can_id, data) of a frame that may start now.
Pending = tuple[int, int, int, bytes]


class State(IntEnum):
    """The states of ``linux/can/netlink.h``."""

    ACTIVE = 0
    WARNING = 1
    PASSIVE = 2
    BUS_OFF = 3


class Node:
    """One node: frames by priority, error counters. ``device`` None: the payload computer.

    A device tells of itself in ``can_fd`` (its controller knows CAN FD), ``can_fd_tolerant`` (it
    knows classic CAN only, but waits through FD frames instead of destroying them),
    ``can_listen_only``, ``can_one_shot`` and ``can_stays_off`` (after bus off it is started again
    only by ``restart`` of the bus); all are False where it says nothing. It may also listen to
    ``can_sent(t_ns, can_id, data)``, ``can_gave_up(t_ns)``, ``can_state(t_ns)`` and
    ``can_error(t_ns, kind, sending)``.
    """

    __slots__ = (
        "device",
        "fd",
        "fd_tolerant",
        "listen_only",
        "lost",
        "name",
        "one_shot",
        "ready",
        "rec",
        "sent_order",
        "sequences_left",
        "state",
        "suspend_ns",
        "tec",
        "tried",
        "waiting",
    )

    def __init__(self, name: str, device: CANNode | None) -> None:
        self.name = name
        self.device = device
        self.fd = bool(getattr(device, "can_fd", False))
        self.fd_tolerant = bool(getattr(device, "can_fd_tolerant", False))
        #: hears, but neither acknowledges nor flags errors nor sends; its counters stand still
        self.listen_only = bool(getattr(device, "can_listen_only", False))
        #: gives a frame up that lost arbitration or met an error
        self.one_shot = bool(getattr(device, "can_one_shot", False))
        self.tec = self.rec = 0
        #: how often it lost arbitration
        self.lost = 0
        self.state = State.ACTIVE
        #: (t_ns, order, can_id, data) of frames whose time has not come
        self.waiting: list[tuple[int, int, int, bytes]] = []
        self.ready: list[Pending] = []
        #: order of the frame that has failed at least once
        self.tried = -1
        #: order of the frame that went out last
        self.sent_order = -1
        #: no start before this: a passive transmitter waits 8 bits after its own frame
        self.suspend_ns = 0
        #: sequences of 11 recessive bits still to be seen in bus off
        self.sequences_left = 0

    def queue(self, t_ns: int, order: int, can_id: int, data: bytes) -> None:
        """Take a frame that may start at ``t_ns``."""
        heapq.heappush(self.waiting, (t_ns, order, can_id, data))

    def contend(self, t_ns: int) -> Pending | None:
        """Return the frame with which the node enters arbitration at ``t_ns``."""
        waiting, ready = self.waiting, self.ready
        while waiting and waiting[0][0] <= t_ns:
            _, order, can_id, data = heapq.heappop(waiting)
            heapq.heappush(ready, (arbitration_key(can_id), order, can_id, data))
        return ready[0] if ready and self.suspend_ns <= t_ns else None

    def next_ns(self) -> int | None:
        """Return when the node can start its next frame, None if it has none."""
        if self.ready:
            return self.suspend_ns
        return max(self.waiting[0][0], self.suspend_ns) if self.waiting else None

    @property
    def takes_part(self) -> bool:
        """Whether the node acknowledges and flags errors at all."""
        return self.state != State.BUS_OFF and not self.listen_only

    @property
    def pending(self) -> bool:
        """Whether a frame waits or is on the bus."""
        return bool(self.ready or self.waiting)

    def holds(self, order: int) -> bool:
        """Tell whether a frame waits here."""
        return any(order == frame[1] for frame in (*self.ready, *self.waiting))

    def withdraw(self, order: int) -> None:
        """Forget a frame that waits."""
        self.ready = [frame for frame in self.ready if frame[1] != order]
        self.waiting = [frame for frame in self.waiting if frame[1] != order]
        heapq.heapify(self.ready)
        heapq.heapify(self.waiting)

    def give_up(self) -> None:
        """Forget the frame that was tried last."""
        heapq.heappop(self.ready)

    def drop_all(self) -> int:
        """Forget every frame; return how many there were."""
        count = len(self.waiting) + len(self.ready)
        self.waiting.clear()
        self.ready.clear()
        return count

    def power_off(self, on_air: bool) -> int:
        """Forget frames and counters; ``on_air``: keep the one on the bus. Return frames lost."""
        kept = self.ready[:1] if on_air else []
        count = self.drop_all() - len(kept)
        self.ready.extend(kept)
        self.sequences_left = 0
        self.restart()
        return count

    def sent(self) -> None:
        """Account for a frame that went well and take it off the queue."""
        self.sent_order = heapq.heappop(self.ready)[1]
        self.suspend_ns = 0
        self.tec = max(self.tec - 1, 0)

    def received(self) -> None:
        """Account for a frame received well."""
        if self.rec >= PASSIVE_LIMIT:
            self.rec = REC_AFTER_PASSIVE
        else:
            self.rec = max(self.rec - 1, 0)

    def failed_to_send(self, acknowledge: bool) -> None:
        """Account for an error in a frame of this node; ``acknowledge``: nobody answered it.

        An error passive transmitter that misses the acknowledgement leaves its counter alone, so a
        node alone on the bus becomes passive and never goes bus off.
        """
        if not (acknowledge and self.state == State.PASSIVE):
            self.tec += 8

    def failed_to_receive(self, first: bool) -> None:
        """Account for an error in a frame of another node; ``first``: this node saw it first."""
        self.rec = min(self.rec + (9 if first else 1), 255)

    def settle(self) -> bool:
        """Bring the state in line with the counters; return whether it changed."""
        worst = max(self.tec, self.rec)
        if self.state == State.BUS_OFF:
            return False
        if self.tec >= BUS_OFF_LIMIT:
            state = State.BUS_OFF
        elif worst >= PASSIVE_LIMIT:
            state = State.PASSIVE
        else:
            state = State.WARNING if worst >= WARNING_LIMIT else State.ACTIVE
        changed = state != self.state
        self.state = state
        return changed

    def restart(self) -> None:
        """Leave bus off with both counters at zero."""
        self.state = State.ACTIVE
        self.tec = self.rec = 0
        self.suspend_ns = 0
