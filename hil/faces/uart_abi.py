"""What a program and the bench say to each other about a UART that is open as a stream.

A request is u8 operation and its struct; each reply is a :class:`State`. Modem lines have the bits
of ``TIOCMGET``, the counters the order of ``TIOCGICOUNT``.
"""

from __future__ import annotations

import struct
from enum import IntEnum, IntFlag
from typing import Final, NamedTuple

from hil.buses.uart_modem import ICOUNT


class Ask(IntEnum):
    """Operation of a request."""

    STATE = 0  #: only tell
    STREAM = 1  #: hand over the stream, a descriptor beside the reply
    SET = 2  #: line settings, ``SETTINGS``
    LINES = 3  #: modem lines and break, ``LINES``
    FLUSH = 4  #: forget what has not been sent


class Modem(IntFlag):
    """Modem lines as in ``asm-generic/termios.h``, and the break that we send."""

    DTR = 0x002
    RTS = 0x004
    CTS = 0x020
    CD = 0x040
    RI = 0x080
    DSR = 0x100
    BREAK = 0x8000


class Option(IntFlag):
    """Flags of line settings."""

    RTSCTS = 1
    XONXOFF = 2
    EXCLUSIVE = 4  #: nobody else may have the line open
    RS485 = 8
    ECHO = 16  #: on RS-485: hear what we send ourselves


#: baud, data bits, parity as a letter, half stop bits, options, RS-485 delays in ns
SETTINGS: Final = struct.Struct("<IBBBB2I")
#: which lines, and their levels
LINES: Final = struct.Struct("<2H")
REPLY: Final = struct.Struct("<iHHIq11I")


class State(NamedTuple):
    """A reply: errno, modem lines, octets not sent yet, when they will be, counters."""

    errno: int
    modem: int
    out_waiting: int
    #: nanoseconds of the wall until the last octet has left; -1: it is held back
    idle_ns: int
    icount: dict[str, int]

    def pack(self) -> bytes:
        """Return the octets of the reply."""
        counts = [self.icount[name] & 0xFFFFFFFF for name in ICOUNT]
        return REPLY.pack(self.errno, self.modem, 0, self.out_waiting, self.idle_ns, *counts)


def unpack_state(octets: bytes) -> State:
    """Return a reply. Raises ``struct.error`` for octets that are none."""
    code, modem, _, waiting, idle_ns, *counts = REPLY.unpack(octets)
    return State(code, modem, waiting, idle_ns, dict(zip(ICOUNT, counts, strict=True)))
