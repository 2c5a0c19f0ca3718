"""Lines of the LAWICEL protocol: frames, error states, bit rates as ASCII.

Sources: LAWICEL CANUSB manual and CAN232 manual version 3 (commands ``t T r R S s Z``); for error
and state lines ``drivers/net/can/slcan/slcan-core.c`` of Linux 6.0 and later; for CAN FD (``d D b
B Y``) the firmware of the CANable 2.0.

=============  ==================================================================================
line           meaning
=============  ==================================================================================
tiiildd..      data frame, 3 digits identifier, 1 digit length, data; ``T`` with 8 digits
riiil          remote frame; ``R`` with 8 digits
diiildd..      CAN FD data frame, length as DLC (9 to F: 12 to 64 octets); ``D`` with 8 digits
biiildd..      the same with the data at the data bit rate; ``B`` with 8 digits
sXrrrttt       error state a, w, p or b (active, warning, passive, bus off), REC, TEC in decimal
enxx..         n errors: a ACK, b bit, c CRC, f form, s stuff, o receive, O transmit overrun
=============  ==================================================================================
"""

from __future__ import annotations

from typing import Final

from hil.buses.can_frame import (
    BRS_FLAG,
    EXTENDED_FLAG,
    EXTENDED_MASK,
    FD_FLAG,
    FD_LENGTHS,
    REMOTE_FLAG,
    STANDARD_MASK,
)
from hil.buses.can_node import Node

#: letter of a standard frame -> flags of its identifier; the capital is the extended one
_FLAGS: Final = {"t": 0, "r": REMOTE_FLAG, "d": FD_FLAG, "b": FD_FLAG | BRS_FLAG}
_LETTERS: Final = {flags: letter for letter, flags in _FLAGS.items()}
FRAME_LETTERS: Final = frozenset("tTrRdDbB")
#: ``Sn``, bit/s; n = 9 is an extension of several adapters
BIT_RATES: Final = (
    *(10_000, 20_000, 50_000, 100_000, 125_000, 250_000),
    *(500_000, 800_000, 1_000_000, 83_333),
)
#: ``Yn``, bit/s of CAN FD's data
DATA_BIT_RATES: Final = dict(
    zip("012458", (500_000, 1_000_000, 2_000_000, 4_000_000, 5_000_000, 8_000_000), strict=True)
)
#: Clock behind the prescaler of the SJA1000's bit timing registers at 16 MHz.
_BTR_CLOCK_HZ: Final = 8_000_000
_STATES: Final = "awpb"
_ERRORS: Final = {"ack": "a", "bit": "b", "crc": "c", "form": "f", "fdf": "f", "stuff": "s"}
RECEIVE_OVERRUN, TRANSMIT_OVERRUN = "o", "O"
_DIGITS: Final = frozenset("0123456789abcdefABCDEF")


def hexadecimal(text: str) -> int:
    """Return a number of hexadecimal digits and nothing else. Raises ``ValueError``."""
    if not text or not _DIGITS.issuperset(text):
        raise ValueError(f"{text!r} is no hexadecimal number")
    return int(text, 16)


def digit(text: str, most: int) -> int:
    """Return a decimal digit of at most ``most``. Raises ``ValueError``."""
    value = "0123456789".find(text)
    if len(text) != 1 or not 0 <= value <= most:
        raise ValueError(f"{text!r} is not one of 0 to {most}")
    return value


def parse_frame(line: str) -> tuple[int, bytes]:
    """Return (identifier with its flags, data) of a frame to send. Raises ``ValueError``."""
    flags = _FLAGS[line[0].lower()]
    extended = line[0].isupper()
    at = 9 if extended else 4
    can_id, code = hexadecimal(line[1:at]), hexadecimal(line[at : at + 1])
    if can_id > (EXTENDED_MASK if extended else STANDARD_MASK) or len(line[1:at]) != at - 1:
        raise ValueError(f"{line[1:at]!r} is no identifier")
    if code > 8 and not flags & FD_FLAG:
        raise ValueError(f"a classic frame has no length {code}")
    can_id |= flags | (EXTENDED_FLAG if extended else 0)
    nbytes, text = FD_LENGTHS[code], line[at + 1 :]
    if flags == REMOTE_FLAG:
        if text:
            raise ValueError("a remote frame has no data")
        return can_id, bytes(nbytes)
    if len(text) != 2 * nbytes:
        raise ValueError(f"{len(text)} digits of data, {2 * nbytes} announced")
    return can_id, hexadecimal(text).to_bytes(nbytes, "big") if nbytes else b""


def frame_line(can_id: int, data: bytes, stamp_ms: int = -1) -> str:
    """Return the line of a received frame; ``stamp_ms`` below 0: without time stamp."""
    letter = _LETTERS[can_id & (REMOTE_FLAG | FD_FLAG | BRS_FLAG)]
    if can_id & EXTENDED_FLAG:
        head = f"{letter.upper()}{can_id & EXTENDED_MASK:08X}"
    else:
        head = f"{letter}{can_id & STANDARD_MASK:03X}"
    text = "" if can_id & REMOTE_FLAG else data.hex().upper()
    stamp = "" if stamp_ms < 0 else f"{stamp_ms:04X}"
    return f"{head}{FD_LENGTHS.index(len(data)):X}{text}{stamp}\r"


def state_line(node: Node) -> str:
    """Return the line that tells error state and counters; TEC passes 255 in bus off."""
    return f"s{_STATES[node.state]}{node.rec:03d}{node.tec:03d}\r"


def error_line(kind: str) -> str:
    """Return the line of one error.

    It is said three times in one line: Linux passes over lines of less than five octets.
    """
    return f"e3{3 * _ERRORS.get(kind, kind)}\r"


def bit_rate_of_registers(text: str) -> float:
    """Return the bit rate, bit/s, of BTR0 and BTR1 of an SJA1000, as ``xxyy``.

    Philips SJA1000 data sheet, sections 6.5.1 and 6.5.2. Raises ``ValueError``.
    """
    if len(text) != 4:
        raise ValueError(f"{text!r} is not two octets")
    btr0, btr1 = hexadecimal(text[:2]), hexadecimal(text[2:])
    quanta = 1 + (btr1 & 0xF) + 1 + (btr1 >> 4 & 7) + 1
    return _BTR_CLOCK_HZ / (((btr0 & 0x3F) + 1) * quanta)
