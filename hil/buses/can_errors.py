"""Error frames towards the payload computer, as ``linux/can/error.h`` lays them out.

An error frame is an input whose identifier carries the error flag and classes, and whose eight
octets tell the rest: controller state in data[1], kind and place of a protocol error in data[2] and
data[3], TEC in data[6], REC in data[7].
"""

from __future__ import annotations

from typing import Final

from hil.buses.can_frame import ERROR_FLAG
from hil.buses.can_node import Node, State

# Classes (identifier).
ERR_CONTROLLER: Final = 0x004
ERR_PROTOCOL: Final = 0x008
ERR_ACK: Final = 0x020
ERR_BUS_OFF: Final = 0x040
ERR_BUS_ERROR: Final = 0x080
ERR_RESTARTED: Final = 0x100
ERR_COUNTERS: Final = 0x200

# Controller state (data[1]).
RX_WARNING, TX_WARNING, RX_PASSIVE, TX_PASSIVE, ACTIVE = 0x04, 0x08, 0x10, 0x20, 0x40

#: kind of error -> (class, data[2], data[3]): bit 0x01, form 0x02, stuff 0x04, in data 0x0A, CRC
#: sequence 0x08, ACK slot 0x19, end of frame 0x1A, reserved bit behind FDF 0x09.
_PROTOCOL: Final = {
    "bit": (ERR_PROTOCOL, 0x01, 0x0A),
    "stuff": (ERR_PROTOCOL, 0x04, 0x0A),
    "crc": (ERR_PROTOCOL, 0x00, 0x08),
    "form": (ERR_PROTOCOL, 0x02, 0x1A),
    "fdf": (ERR_PROTOCOL, 0x02, 0x09),
    "ack": (ERR_ACK, 0x00, 0x19),
}
#: data[2] of an error in a frame that this controller sent
_TRANSMITTING: Final = 0x80


def state_frame(node: Node, restarted: bool = False) -> tuple[int, bytes]:
    """Return (identifier, data) that tell of the state which ``node`` has now."""
    error, state = ERR_COUNTERS, 0
    if restarted:
        error |= ERR_RESTARTED
    if node.state == State.BUS_OFF:
        error |= ERR_BUS_OFF
    else:
        error |= ERR_CONTROLLER
        state = _controller_state(node)
    return ERROR_FLAG | error, bytes((0, state, 0, 0, 0, 0, min(node.tec, 255), node.rec))


def bus_error_frame(node: Node, kind: str, sending: bool) -> tuple[int, bytes]:
    """Return (identifier, data) that tell of one error on the bus."""
    error, what, where = _PROTOCOL[kind]
    if sending:
        what |= _TRANSMITTING
    data = bytes((0, 0, what, where, 0, 0, min(node.tec, 255), node.rec))
    return ERROR_FLAG | ERR_BUS_ERROR | ERR_COUNTERS | error, data


def _controller_state(node: Node) -> int:
    if node.state == State.ACTIVE:
        return ACTIVE
    passive = node.state == State.PASSIVE
    tx, rx = (TX_PASSIVE, RX_PASSIVE) if passive else (TX_WARNING, RX_WARNING)
    return (tx if node.tec >= node.rec else 0) | (rx if node.rec >= node.tec else 0)
