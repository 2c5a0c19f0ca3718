"""Error states of the nodes of a CAN bus: who is told of a change, and the way back from bus off.

ISO 11898-1: a node in bus off comes back after 128 sequences of 11 recessive bits, which idle time
and the end of each frame supply. When it starts counting is the owner's affair; see ``restart_ms``
of :class:`hil.buses.can.CANBus`.
"""

from __future__ import annotations

from collections.abc import Callable

from hil.buses.can_errors import state_frame
from hil.buses.can_node import RECOVERY_SEQUENCES, SEQUENCE_NBITS, Node, State
from hil.parts.base import Scheduler
from hil.time.phase import Phase

#: report(t_ns, (identifier, data)): give the payload computer an error frame
Report = Callable[[int, tuple[int, bytes]], None]


class Recovery:
    """The error states of ``nodes``, of which the first is the payload computer's controller."""

    def __init__(
        self,
        scheduler: Scheduler,
        source: int,
        bitrate_hz: int,
        nodes: list[Node],
        counters: dict[str, int],
        report: Report,
        restart_ms: int,
    ) -> None:
        self.idle_from_ns = 0
        self.restart_ms = restart_ms
        self._scheduler = scheduler
        self._source = source
        self._bitrate_hz = bitrate_hz
        self._nodes = nodes
        self._counters = counters
        self._report = report

    def _time_ns(self, nbits: int) -> int:
        return (2 * nbits * 1_000_000_000 + self._bitrate_hz) // (2 * self._bitrate_hz)

    def settle(self, t_ns: int, node: Node) -> None:
        """Bring the state of a node in line with its counters, and do what follows from it."""
        if not node.settle():
            return
        if node.state == State.BUS_OFF:
            self._counters["bus_off"] += 1
            self._counters["dropped_bus_off"] += node.drop_all()
        own = node is self._nodes[0]
        if own:
            self._report(t_ns, state_frame(node))
        self._tell(t_ns, node)
        if getattr(node.device, "can_stays_off", False):
            return
        if node.state == State.BUS_OFF and (self.restart_ms or not own):
            wait_ns = self.restart_ms * 1_000_000 if own else 0
            self._at(t_ns + wait_ns, lambda t: self.begin(t, node))

    def begin(self, t_ns: int, node: Node) -> None:
        """Start counting recessive sequences; the node comes back after 128 of them."""
        self.credit_idle(t_ns)
        node.sequences_left = RECOVERY_SEQUENCES
        self._check(t_ns, node)

    def credit_idle(self, t_ns: int) -> None:
        """Credit the nodes in bus off with the whole sequences of idle time up to ``t_ns``."""
        idle_ns = t_ns - self.idle_from_ns
        if idle_ns <= 0:
            return
        idle_nbits = (2 * idle_ns * self._bitrate_hz + 1_000_000_000) // 2_000_000_000
        self.credit(sequences := idle_nbits // SEQUENCE_NBITS)
        self.idle_from_ns += self._time_ns(sequences * SEQUENCE_NBITS)

    def credit(self, sequences: int) -> None:
        """Credit every node in bus off with recessive sequences."""
        for node in self._nodes:
            if node.sequences_left > 0:
                node.sequences_left -= sequences

    def _at(self, t_ns: int, callback: Callable[[int], None]) -> None:
        self._scheduler.at(t_ns, Phase.BUS, self._source, callback)

    def _check(self, t_ns: int, node: Node) -> None:
        if node.state != State.BUS_OFF:
            return
        self.credit_idle(t_ns)
        if node.sequences_left > 0:
            again_ns = max(t_ns, self.idle_from_ns)
            again_ns += self._time_ns(node.sequences_left * SEQUENCE_NBITS)
            self._at(again_ns, lambda t: self._check(t, node))
            return
        node.restart()
        if node is self._nodes[0]:
            self._report(t_ns, state_frame(node, restarted=True))
        self._tell(t_ns, node)

    @staticmethod
    def _tell(t_ns: int, node: Node) -> None:
        tell = getattr(node.device, "can_state", None)
        if tell is not None:
            tell(t_ns)
