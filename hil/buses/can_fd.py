"""The bits of a CAN FD frame: CRC-17 and CRC-21, stuff count, fixed stuff bits, two bit rates.

ISO 11898-1:2015, FD base and FD extended frame format:

- From start of frame to the end of the data field a bit is stuffed after five equal ones. The
  CRC field follows: a stuff count of four bits (dynamic stuff bits modulo 8 in Gray code, then even
  parity) and the CRC sequence, with a *fixed* stuff bit in front and after every fourth bit, the
  complement of the bit before it. A fixed one takes the place of a dynamic one that would be due
  there.
- CRC-17 up to 16 octets, CRC-21 above. Both start at 1 followed by zeros and run over the dynamic
  stuff bits and the stuff count too, not over the fixed stuff bits.
- The data bit rate holds from the sample point of BRS to that of the CRC delimiter. What BRS spends
  at the nominal rate the CRC delimiter makes up for, so wherever the sample point is, both together
  last one nominal and one data bit.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from hil.buses.can_frame import (
    BRS_FLAG,
    ESI_FLAG,
    EXTENDED_FLAG,
    EXTENDED_MASK,
    FD_LENGTHS,
    STANDARD_MASK,
    stuff,
)
from hil.buses.crc import crc_table

#: x^17 + x^16 + x^14 + x^13 + x^11 + x^6 + x^4 + x^3 + x + 1
CRC17: Final = (17, 0x1685B)
#: x^21 + x^20 + x^13 + x^11 + x^7 + x^4 + x^3 + 1
CRC21: Final = (21, 0x102899)
#: Longest data field that CRC-17 guards.
CRC17_NBYTES: Final = 16


class Extent(NamedTuple):
    """How long a frame is on the wire, in bits at the nominal and at the data bit rate.

    ``head`` is how many of them have gone by when FDF has; 0 in a classic frame.
    """

    slow: int
    fast: int
    head: int


_TABLES: Final = {kind: crc_table(*kind) for kind in (CRC17, CRC21)}


def crc(bits: str, kind: tuple[int, int], register: int = -1) -> int:
    """Return the CRC over a string of ``0`` and ``1``; the register starts at 1 and zeros."""
    width, polynomial = kind
    top, mask, table = 1 << (width - 1), (1 << width) - 1, _TABLES[kind]
    register = top if register < 0 else register
    odd = len(bits) % 8
    for bit in bits[:odd]:
        inverting = bool(register & top) ^ (bit == "1")
        register = (register << 1 & mask) ^ (polynomial if inverting else 0)
    if bits[odd:]:
        for octet in int(bits[odd:], 2).to_bytes(len(bits) // 8, "big"):
            register = (register << 8 & mask) ^ table[register >> (width - 8) ^ octet]
    return register


def stuff_count(nstuffed: int) -> str:
    """Return the stuff count field for ``nstuffed`` dynamic stuff bits: Gray code, even parity."""
    gray = (nstuffed & 7) ^ (nstuffed & 7) >> 1
    return f"{gray:03b}{gray.bit_count() & 1}"


def head_bits(can_id: int, length: int) -> tuple[str, int]:
    """Return start of frame to data length code before stuffing, and the place of FDF in it."""
    brs, esi = bool(can_id & BRS_FLAG), bool(can_id & ESI_FLAG)
    if can_id & EXTENDED_FLAG:
        identifier = can_id & EXTENDED_MASK
        head = f"0{identifier >> 18:011b}11{identifier & 0x3FFFF:018b}0"
    else:
        head = f"0{can_id & STANDARD_MASK:011b}00"
    return f"{head}10{brs:b}{esi:b}{FD_LENGTHS.index(length):04b}", len(head)


def frame_bits(can_id: int, data: bytes) -> str:
    """Return start of frame to the last bit of the CRC sequence, as they are on the wire.

    ``data`` has a length that a DLC can say.
    """
    plain, _ = head_bits(can_id, len(data))
    if data:
        plain += f"{int.from_bytes(data, 'big'):0{8 * len(data)}b}"
    dynamic = _stuffed(plain)
    count = stuff_count(len(dynamic) - len(plain))
    kind = CRC17 if len(data) <= CRC17_NBYTES else CRC21
    field = count + f"{crc(dynamic + count, kind):0{kind[0]}b}"
    out = [dynamic]
    last = dynamic[-1]
    for at in range(0, len(field), 4):
        part = field[at : at + 4]
        out.append("1" if last == "0" else "0")
        out.append(part)
        last = part[-1]
    return "".join(out)


def _stuffed(bits: str) -> str:
    """Stuff, but not behind the last bit: a fixed stuff bit or the next field decides that."""
    out = stuff(bits)
    return out[:-1] if out[-6:-1] in ("00000", "11111") else out
