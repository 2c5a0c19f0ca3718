"""The bits of a CAN frame: identifiers, arbitration order, CRC-15, bit stuffing, length.

ISO 11898-1 (data link layer): SOF, arbitration field, control field, data, CRC sequence are
stuffed; CRC delimiter, acknowledge field and end of frame are not. Identifiers carry the SocketCAN
flag bits of ``linux/can.h`` in bits 29 to 31, and from bit 32 on the ``flags`` of its
``struct canfd_frame``: BRS 1, ESI 2, FDF 4. The bits of CAN FD frames are in
``hil.buses.can_fd``.
"""

from __future__ import annotations

import re
from typing import Final

from hil.buses.crc import crc_table

EXTENDED_FLAG: Final = 0x8000_0000
REMOTE_FLAG: Final = 0x4000_0000
ERROR_FLAG: Final = 0x2000_0000
#: CAN FD: bit rate switched, error passive sender, FD format (``struct canfd_frame`` flags).
BRS_FLAG: Final = 1 << 32
ESI_FLAG: Final = 1 << 33
FD_FLAG: Final = 1 << 34
STANDARD_MASK: Final = 0x7FF
EXTENDED_MASK: Final = 0x1FFF_FFFF

#: CRC delimiter, ACK slot, ACK delimiter and end of frame: never stuffed.
TAIL_NBITS: Final = 1 + 1 + 1 + 7
INTERFRAME_NBITS: Final = 3
#: x^15 + x^14 + x^10 + x^8 + x^7 + x^4 + x^3 + 1
CRC_POLYNOMIAL: Final = 0x4599


#: Octets of a CAN FD frame by its DLC.
FD_LENGTHS: Final = (0, 1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 20, 24, 32, 48, 64)


def is_valid(can_id: int, data: bytes) -> bool:
    """Return whether identifier and length make a data or remote frame, classic or FD.

    An FD frame has no remote form; one with a length between two DLCs is valid here, because a
    controller's driver fills it up.
    """
    limit = EXTENDED_MASK if can_id & EXTENDED_FLAG else STANDARD_MASK
    if can_id & ERROR_FLAG or can_id & EXTENDED_MASK > limit or can_id >> 35:
        return False
    if can_id & FD_FLAG:
        return not can_id & REMOTE_FLAG and len(data) <= 64
    return not can_id >> 32 and len(data) <= 8


def filled(can_id: int, data: bytes) -> bytes:
    """Return the data of an FD frame filled with zeros to the next length that a DLC can say."""
    if not can_id & FD_FLAG or len(data) in FD_LENGTHS:
        return data
    return data.ljust(next(length for length in FD_LENGTHS if length > len(data)), b"\0")


def arbitration_key(can_id: int) -> int:
    """Return the arbitration field as a number: the smaller one wins the bus.

    A standard frame beats an extended one with the same eleven bits (its RTR and IDE bits are
    dominant where SRR and IDE of the other are recessive), a data frame beats a remote one.
    """
    remote = can_id >> 30 & 1
    if can_id & EXTENDED_FLAG:
        identifier = can_id & EXTENDED_MASK
        return (identifier >> 18) << 21 | 0b11 << 19 | (identifier & 0x3FFFF) << 1 | remote
    return (can_id & STANDARD_MASK) << 21 | remote << 20


CRC_TABLE: Final = crc_table(15, CRC_POLYNOMIAL)


def crc15(bits: str) -> int:
    """Return the CRC sequence over a string of ``0`` and ``1``, most significant bit first.

    The register starts at zero, so zeros put in front to fill an octet change nothing.
    """
    crc = 0
    for octet in int(bits or "0", 2).to_bytes((len(bits) + 7) // 8, "big"):
        crc = (crc << 8 & 0x7FFF) ^ CRC_TABLE[crc >> 7 ^ octet]
    return crc


_RUN_OF_FIVE: Final = re.compile("00000|11111")


def stuff(bits: str) -> str:
    """Insert the complement after each run of five equal bits, stuff bits counting."""
    out: list[str] = []
    at = 0
    while (run := _RUN_OF_FIVE.search(bits, at)) is not None:
        end = run.end()
        out.append(bits[at:end])
        last = "1" if bits[end - 1] == "0" else "0"
        out.append(last)
        at = end
        # A stuff bit and four more of its sort are a run of five again.
        while bits.startswith(last * 4, at):
            out.append(last * 4)
            last = "1" if last == "0" else "0"
            out.append(last)
            at += 4
    out.append(bits[at:])
    return "".join(out)


def head_of(can_id: int, length: int) -> str:
    """Return start of frame to data length code as a string of ``0`` and ``1``."""
    remote = can_id >> 30 & 1
    if can_id & EXTENDED_FLAG:
        identifier = can_id & EXTENDED_MASK
        head = f"0{identifier >> 18:011b}11{identifier & 0x3FFFF:018b}{remote}00"
    else:
        head = f"0{can_id & STANDARD_MASK:011b}{remote}00"
    return f"{head}{length:04b}"


def unstuffed_bits(can_id: int, data: bytes) -> str:
    """Return start of frame to CRC sequence, before stuffing, as a string of ``0`` and ``1``."""
    bits = head_of(can_id, len(data))
    if data and not can_id & REMOTE_FLAG:
        bits += f"{int.from_bytes(data, 'big'):0{8 * len(data)}b}"
    return f"{bits}{crc15(bits):015b}"
