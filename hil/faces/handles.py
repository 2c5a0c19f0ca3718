"""Handles of the bench's socket, and what serves those that are more than question and answer.

A transaction on I2C or SPI is a request and its reply; the host does these by itself. A line, a
stream of octets or a CAN node also speaks unasked: a *desk* serves all handles of one kind.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from hil.faces.nodes import Node
from hil.time.participant import Participant
from hil.transactions import Lane

if TYPE_CHECKING:
    from hil.faces.attributes import Attribute

#: ``address`` of an OPEN record that asks for a desk where the device itself can do without one:
#: the stream of a UART instead of the path of its pseudo-terminal.
STREAM = 1


class Client:
    """One connection: one handle on one device."""

    __slots__ = (
        *("asks", "attribute", "desk", "hears", "kind", "lane", "node"),
        *("participant", "path", "socket", "take"),
    )

    def __init__(self, connection: socket.socket | None, participant: Participant) -> None:
        if connection is not None:
            self.socket = connection
        self.participant = participant
        self.node: Node | None = None
        self.lane: Lane | None = None
        self.kind = 0
        #: a transaction is under way, whose reply it has not been sent
        self.asks = False
        #: who serves its requests; None: the host, as transactions
        self.desk: Desk | None = None
        #: it gets what comes in on its channel
        self.hears = False
        #: the live attribute that it has open, instead of a device
        self.attribute: Attribute | None = None
        #: by what name
        self.path = ""
        #: takes the replies of a client within the bench, which has no socket
        self.take: Callable[[bytes], None] | None = None

    @property
    def ident(self) -> int:
        """The number of this connection."""
        return self.participant.id


#: Sends one message to a client now; False: it did not take it, and that is counted.
Push = Callable[[Client, bytes], bool]


class Desk(Protocol):
    """Serves the handles of one kind. All of it is called by the host's loop, one at a time."""

    #: shown in the report, by name
    counters: dict[str, int]

    def open(self, client: Client, lane: Lane) -> dict[str, Any]:
        """Take a client in; return what its OPEN reply says besides the channel."""
        ...

    def request(self, client: Client, address: int, payload: bytes, t_ns: int) -> None:
        """Do what a record asks at ``t_ns``; raises ``CodecError`` where it cannot be read."""
        ...

    def hears(self, client: Client) -> bool:
        """Tell whether a client gets what comes in on its channel by now."""
        ...

    def hear(self, lane: Lane, octets: bytes) -> None:
        """Take a record, head included, that came in on ``lane``."""
        ...

    def release(self, client: Client, t_ns: int) -> None:
        """Let go of a client that has closed its handle."""
        ...
