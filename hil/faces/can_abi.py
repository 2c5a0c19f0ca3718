"""What goes over a handle on a CAN bus of the bench's socket (``docs/bench-socket.md``).

A request is an octet of :class:`Op`, then what belongs to it. A frame towards the program is a CAN
record whose payload is CLOCK_REALTIME of its last bit, i64 nanoseconds, and the data.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import Final


class Op(IntEnum):
    """What a program asks of the node of its handle."""

    JOIN = 0  #: JSON; makes the connection the listener of a node, see :data:`OPTIONS`
    SEND = 1  #: octet of :class:`SendFlag`, data; ``address`` is the identifier
    WITHDRAW = 2  #: whatever a SEND that waits has not sent yet; that SEND is answered
    FLUSH = 3  #: withdraw everything that waits; the reply has u32, how many frames
    STATE = 4  #: the reply has :data:`STATE`
    RESTART = 5  #: after bus off
    LISTEN_ONLY = 6  #: octet, 0 or 1


#: BRS, ESI and FDF are those of ``struct canfd_frame``.
FD_FLAGS: Final = 7
#: Flag of SEND: the reply comes when the frame is out, or lost.
WAIT: Final = 8

#: u32 number of the listening connection, in front of what every request but JOIN has to say
OF: Final = struct.Struct("<BI")
#: i64 CLOCK_REALTIME
STAMP: Final = struct.Struct("<q")
#: u8 state of ``linux/can/netlink.h``, u8 listen-only, u16 TEC, u16 REC
STATE: Final = struct.Struct("<BBHH")

#: keys of JOIN and what holds without them
OPTIONS: Final[dict[str, str | int]] = {
    "node": "",  # a node of its own by this name; empty: the payload computer's controller
    "own": False,  # hear one's own frames too
    "fd": False,
    "fd_tolerant": False,
    "listen_only": False,
    "one_shot": False,
    "bus_errors": False,
    "restart_ms": 100,
    "tx_queue_size": 1000,
}
