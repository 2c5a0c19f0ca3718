"""A CAN controller as a program sees it: frames and, as the kernel makes them, error frames."""

from __future__ import annotations

from collections.abc import Callable

from hil.buses.can import CANBus
from hil.buses.can_errors import bus_error_frame, state_frame
from hil.buses.can_node import Node, State
from hil.time.phase import Phase


class CanController:
    """A node of an emulated bus; ``attach`` puts it there.

    ``restart_ms`` is the time after bus off at which it starts again (0: when it is told to),
    ``bus_errors`` tells of every error on the bus and not only of changes of state.
    """

    can_send: Callable[[int, int, bytes], None]
    #: after bus off ``restart_ms`` decides
    can_stays_off = True

    def __init__(self, name: str, restart_ms: int, bus_errors: bool) -> None:
        self.name = name
        self.restart_ms = restart_ms
        self.bus_errors = bus_errors
        self.can_fd = self.can_fd_tolerant = False
        self.can_listen_only = self.can_one_shot = False
        self._off = False
        self._can: CANBus
        self.node: Node

    def attach(self, bus: CANBus) -> None:
        """Go on a bus; until then it may be given the ``can_`` modes."""
        self._can = bus
        self.node = bus.attach(self)

    def can_receive(self, t_ns: int, can_id: int, data: bytes) -> None:
        """Take a frame of another node."""
        raise NotImplementedError

    def tell(self, t_ns: int, can_id: int, data: bytes) -> None:
        """Take an error frame."""
        raise NotImplementedError

    def can_state(self, t_ns: int) -> None:
        """Tell of a change of state; see to the way back from bus off."""
        restarted, self._off = self._off, self.node.state == State.BUS_OFF
        self.tell(t_ns, *state_frame(self.node, restarted))
        if self._off and self.restart_ms:
            again_ns = t_ns + self.restart_ms * 1_000_000
            self._can.scheduler.at(again_ns, Phase.BUS, self._can.source, self._restart)

    def _restart(self, t_ns: int) -> None:
        self._can.restart(t_ns, self.node)

    def can_error(self, t_ns: int, kind: str, sending: bool) -> None:
        """Tell of an error on the bus, if that is wanted."""
        if self.bus_errors:
            self.tell(t_ns, *bus_error_frame(self.node, kind, sending))
