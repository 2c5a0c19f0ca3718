"""Beside the data of a serial line: modem lines, counters, RS-485, and a FIFO that nobody empties.

The counters are those of ``TIOCGICOUNT`` (``struct serial_icounter_struct`` of Linux), RS-485 is
``struct serial_rs485``: a driver that is switched on so long before the first bit and off so long
after the last.
"""

from __future__ import annotations

from typing import Final, NamedTuple

#: inputs of the payload computer, outputs of the device, with the counter of their changes
MODEM_INPUTS: Final = {"cts": "cts", "dsr": "dsr", "ri": "rng", "cd": "dcd"}
MODEM_OUTPUTS: Final = ("rts", "dtr")
ICOUNT: Final = (
    *("cts", "dsr", "rng", "dcd", "rx", "tx"),
    *("frame", "overrun", "parity", "brk", "buf_overrun"),
)


class RS485(NamedTuple):
    """A line of two wires that one side at a time drives."""

    #: driver on before the first bit, and still on after the last (``delay_rts_*_send``)
    before_ns: int = 0
    after_ns: int = 0
    #: the receiver is on while we send, so that we hear ourselves (``SER_RS485_RX_DURING_TX``)
    echo: bool = False


class Fifo:
    """The receive FIFO of a UART while its driver does not come to empty it."""

    def __init__(self, depth: int) -> None:
        self.depth = depth
        self.octets = b""
        #: what came while it was full
        self.lost = b""
        self.start_ns = -1

    @property
    def room(self) -> int:
        """How many octets it still takes."""
        return self.depth - len(self.octets)

    def take(self, start_ns: int, chunk: bytes) -> int:
        """Keep what there is room for; return how many octets are lost."""
        if not self.octets:
            self.start_ns = start_ns
        room = self.room
        self.octets += chunk[:room]
        self.lost += chunk[room:]
        return len(chunk[room:])

    def drain(self) -> tuple[int, bytes, bytes]:
        """Return when its first octet started, what is in it, and what is lost behind that."""
        found = self.start_ns, self.octets, self.lost
        self.octets = self.lost = b""
        return found
