"""What may go wrong on a CAN bus, as data.

=============  ==================================================================================
kind           effect
=============  ==================================================================================
crc, stuff     receivers see the error (``node``: only that one sees it first)
form           a receiver sees a dominant bit in the end of frame
bit            the transmitter reads back another bit than it sent
ack            nobody acknowledges
bus_off        the transmitter's counter jumps to 256 with the error
overload       ``times`` (1, at most 2) overload frames follow the frame
drop           the frame is lost in its sender's controller
delay          it is sent ``value_ns`` later
duplicate      it is sent twice
spam           it is sent ``times`` times more: a babbling node
bit_flip       data bit ``value_ns`` (0) is another before the CRC is made: nobody notices
truncate       only the first ``times`` octets are sent, under a good CRC
=============  ==================================================================================

Where an error is flagged: ``crc`` and ``form`` behind the ACK delimiter, ``ack`` behind the ACK
slot, the others half way through the frame (through its part at the data bit rate, if it has one).
"""

from __future__ import annotations

from typing import Final, NamedTuple

from hil.buses.can_fd import Extent
from hil.parts.fault_windows import FOREVER_NS

#: Errors that destroy a frame on the wire; each has a counter ``<kind>_error``.
ERRORS: Final = ("crc", "stuff", "form", "bit", "ack", "bus_off")
#: Errors that receivers see.
RECEIVER_ERRORS: Final = ("crc", "stuff", "form", "fdf")
#: What happens to a frame before it is on the wire; each has a counter of its name.
SENDER_FAULTS: Final = ("drop", "delay", "duplicate", "spam", "bit_flip", "truncate")
FAULT_KINDS: Final = (*ERRORS, "overload", *SENDER_FAULTS)

ERROR_FLAG_NBITS: Final = 6
ERROR_DELIMITER_NBITS: Final = 8
#: An overload flag, the bit by which the others' flags come later, and its delimiter.
OVERLOAD_NBITS: Final = 6 + 1 + 8
OVERLOAD_LIMIT: Final = 2
END_OF_FRAME_NBITS: Final = 7


class CANFault(NamedTuple):
    """One fault of the bus; see above.

    ``can_id`` -1 means any frame; ``node`` names the one receiver that sees an error, or the sender
    whose frames are hit (empty: all); ``rate`` is the share of frames hit, 0..1.
    """

    kind: str
    from_ns: int = 0
    until_ns: int = FOREVER_NS
    rate: float = 1.0
    can_id: int = -1
    node: str = ""
    times: int = 1
    value_ns: int = 0


def failed(extent: Extent, error: str, heard: bool) -> Extent:
    """Return the bits up to the end of the error frame of a frame that was to be ``extent``.

    The other side's flag follows one bit behind, or six if it must first see the stuffing rule
    broken. A flag is sent at the nominal bit rate. ``fdf`` is a node that knows no CAN FD.
    """
    slow, fast = extent.slow, extent.fast
    if error in ("crc", "form"):
        slow -= END_OF_FRAME_NBITS
    elif error == "ack":
        slow -= END_OF_FRAME_NBITS + 1
    elif error == "fdf":
        slow, fast = extent.head, 0
    elif fast:
        slow, fast = slow - END_OF_FRAME_NBITS - 2, fast // 2
    else:
        slow = (slow - END_OF_FRAME_NBITS - 3) // 2
    echo = 0 if not heard else 6 if error in ("bit", "bus_off") else 1
    return Extent(slow + ERROR_FLAG_NBITS + echo + ERROR_DELIMITER_NBITS, fast, 0)


def spoil(fault: CANFault, data: bytes) -> tuple[bytes, int]:
    """Return the data that a sender's fault makes of a frame's, and how often it goes out."""
    if fault.kind == "truncate":
        return data[: fault.times], 1
    if fault.kind == "bit_flip" and data:
        flipped = bytearray(data)
        flipped[fault.value_ns // 8 % len(data)] ^= 1 << (fault.value_ns & 7)
        return bytes(flipped), 1
    return data, {"drop": 0, "duplicate": 2, "spam": 1 + fault.times}.get(fault.kind, 1)
