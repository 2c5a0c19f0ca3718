"""Frames as the buffers of an MCP2515 hold them, and its acceptance filters.

Source: data sheet DS20001801J, section 4.5 and registers 3-3 to 3-8, 4-10 to 4-17. Identifiers are
those of ``struct can_frame``: bit 31 extended, bit 30 remote request.
"""

from __future__ import annotations

EXTENDED, REMOTE = 1 << 31, 1 << 30
#: octets of SIDH, SIDL, EID8, EID0, DLC
HEADER_NBYTES = 5
#: mask and filters of each receive buffer
_MASKS = (0x20, 0x24)
_FILTERS = ((0x00, 0x04), (0x08, 0x10, 0x14, 0x18))


def to_registers(can_id: int, data: bytes) -> list[int]:
    """Return SIDH to the last data octet as a receive buffer holds them."""
    remote = bool(can_id & REMOTE)
    if can_id & EXTENDED:
        value = can_id & 0x1FFF_FFFF
        low = (value >> 18 & 7) << 5 | 0x08 | value >> 16 & 3
        head = [value >> 21, low, value >> 8 & 0xFF, value & 0xFF]
        return [*head, len(data) | (0x40 if remote else 0), *(b"" if remote else data)]
    value = can_id & 0x7FF
    head = [value >> 3, (value & 7) << 5 | (0x10 if remote else 0), 0, 0]
    return [*head, len(data), *(b"" if remote else data)]


def from_registers(registers: list[int], at: int) -> tuple[int, bytes]:
    """Return the frame of a transmit buffer whose SIDH is at ``at``."""
    high, low, eid8, eid0, dlc = registers[at : at + HEADER_NBYTES]
    length = min(dlc & 0x0F, 8)
    remote = REMOTE if dlc & 0x40 else 0
    data = bytes(length) if remote else bytes(registers[at + 5 : at + 5 + length])
    value = high << 3 | low >> 5
    if low & 0x08:
        return EXTENDED | remote | value << 18 | (low & 3) << 16 | eid8 << 8 | eid0, data
    return value | remote, data


def accepts(registers: list[int], buffer: int, header: list[int]) -> int:
    """Return the number of the filter of this buffer that takes the frame, or -1.

    A filter takes frames of its own length of identifier only (EXIDE). For a standard frame the
    extended bits of filter and mask apply to its first two data octets.
    """
    extended = header[1] & 0x08
    mask = registers[_MASKS[buffer] : _MASKS[buffer] + 4]
    octets = header[:4] if extended else [*header[:2], *[*header, 0, 0][5:7]]
    care = [mask[0], mask[1] & (0xE3 if extended else 0xE0), mask[2], mask[3]]
    if not extended and len(header) < 7:
        care[2:] = [care[2] if len(header) > 5 else 0, 0]
    for number, at in enumerate(_FILTERS[buffer]):
        wanted = registers[at : at + 4]
        if wanted[1] & 0x08 == extended and all(
            (octet ^ want) & bits == 0
            for octet, want, bits in zip(octets, wanted, care, strict=True)
        ):
            return number + 2 * buffer
    return -1
