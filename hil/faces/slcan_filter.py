"""The acceptance filter of an SJA1000 as ``M``, ``m`` and ``W`` of the LAWICEL protocol set it.

Philips SJA1000 data sheet, section 6.4.15 (PeliCAN mode): four octets of code, four of mask, in
which a one stands for "does not matter". Two short filters (``W0``, the default), or one long one
(``W1``). The data octets of standard frames take part as in the chip.
"""

from __future__ import annotations

from typing import Final

from hil.buses.can_frame import EXTENDED_FLAG, EXTENDED_MASK, REMOTE_FLAG, STANDARD_MASK

#: lets everything pass
OPEN_CODE, OPEN_MASK = 0x0000_0000, 0xFFFF_FFFF
_LONG_STANDARD_FREE: Final = 0x000F_0000  # the low half of ACR1 is not used


def accepts(code: int, mask: int, single: bool, can_id: int, data: bytes) -> bool:
    """Return whether a frame passes; ``single``: one long filter instead of two short ones."""
    care = ~mask & 0xFFFF_FFFF
    remote = bool(can_id & REMOTE_FLAG)
    octets = b"" if remote else data
    if can_id & EXTENDED_FLAG:
        identifier = can_id & EXTENDED_MASK
        if single:
            return not ((identifier << 3 | remote << 2) ^ code) & care & ~3
        high = identifier >> 13
        return not (high ^ code >> 16) & care >> 16 or not (high ^ code) & care & 0xFFFF
    head = (can_id & STANDARD_MASK) << 5 | remote << 4
    if single:
        seen = head << 16 | int.from_bytes(octets[:2].ljust(2, b"\0"), "big")
        absent = 0xFFFF >> 8 * len(octets[:2])
        return not (seen ^ code) & care & ~_LONG_STANDARD_FREE & ~absent
    # The first filter also has the first data octet, in the low halves of ACR1 and ACR3.
    first = octets[0] if octets else 0
    seen = (head | first >> 4) << 16 | first & 0xF
    part = 0xFFFF_000F if octets else 0xFFF0_0000
    return not (seen ^ code) & care & part or not (head ^ code) & care & 0xFFF0
