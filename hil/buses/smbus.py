"""SMBus over an I2C bus: its protocols, packet error check, block transfers, alert response.

System Management Bus 3.1: protocols in section 6.5, packet error check (PEC) in 6.4, which is
CRC-8 with polynomial 07h over every octet of the message, addresses too. A block holds 1 to 32
octets here, as in Linux (``I2C_SMBUS_BLOCK_MAX``).

:class:`SMBus` is the controller's side, as i2c-core-smbus of Linux has it: a wrong PEC is status
``DAMAGED`` (EBADMSG), a block length out of range ``PROTOCOL`` (EPROTO). :class:`PECTarget` gives
a part the other side.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from flightsw.codec.wire import Status
from hil.buses.base import I2CController
from hil.buses.crc import crc_table
from hil.buses.i2c_messages import BLOCK_LIMIT, LENGTH_FIRST, READ, Message
from hil.buses.i2c_reserved import ALERT_RESPONSE
from hil.parts.base import I2CTarget

PEC_POLYNOMIAL: Final = 0x07
#: number of data octets of a command that is a block: the first of them says how many
BLOCK: Final = -1


_CRC_TABLE: Final = crc_table(8, PEC_POLYNOMIAL)

#: (status, duration_ns, octets read)
Answer = tuple[int, int, bytes]


def pec(octets: bytes, crc: int = 0) -> int:
    """Return the packet error check over ``octets``."""
    for octet in octets:
        crc = _CRC_TABLE[crc ^ octet]
    return crc


class SMBus:
    """The protocols of SMBus on an I2C controller; ``pec``: with packet error check."""

    def __init__(self, bus: I2CController, pec: bool = False) -> None:
        self._bus = bus
        self._pec = pec
        #: answers whose PEC did not fit, and blocks whose length was out of range
        self.counters = {"pec_errors": 0, "bad_blocks": 0}

    def quick(self, t_ns: int, address: int) -> Answer:
        """Send nothing but the address for writing; quick command has no PEC."""
        status, duration_ns, _ = self._bus.transfer_messages(t_ns, [(address, 0, b"")])
        return status, duration_ns, b""

    def receive_byte(self, t_ns: int, address: int) -> Answer:
        """Read one octet without a command."""
        return self._transfer(t_ns, address, b"", 1)

    def send_byte(self, t_ns: int, address: int, value: int) -> Answer:
        """Write one octet without a command."""
        return self._transfer(t_ns, address, bytes((value,)), 0)

    def write(self, t_ns: int, address: int, command: int, data: bytes) -> Answer:
        """Write a byte or a word (low octet first) to a command."""
        return self._transfer(t_ns, address, bytes((command,)) + data, 0)

    def read(self, t_ns: int, address: int, command: int, nbytes: int) -> Answer:
        """Read a byte or a word of a command."""
        return self._transfer(t_ns, address, bytes((command,)), nbytes)

    def process_call(self, t_ns: int, address: int, command: int, word: bytes) -> Answer:
        """Write a word and read the one that it makes."""
        return self._transfer(t_ns, address, bytes((command,)) + word, 2)

    def write_block(self, t_ns: int, address: int, command: int, data: bytes) -> Answer:
        """Write a block of 1 to 32 octets."""
        if not 1 <= len(data) <= BLOCK_LIMIT:
            return int(Status.INVALID), 0, b""
        return self._transfer(t_ns, address, bytes((command, len(data))) + data, 0)

    def read_block(self, t_ns: int, address: int, command: int) -> Answer:
        """Read a block; the octets of it come without their count."""
        return self._transfer(t_ns, address, bytes((command,)), BLOCK)

    def block_process_call(self, t_ns: int, address: int, command: int, data: bytes) -> Answer:
        """Write a block and read the one that it makes."""
        if not 1 <= len(data) <= BLOCK_LIMIT:
            return int(Status.INVALID), 0, b""
        return self._transfer(t_ns, address, bytes((command, len(data))) + data, BLOCK)

    def alert_response(self, t_ns: int) -> tuple[int, int, int]:
        """Ask who pulls SMBALERT#: (status, duration_ns, its address or -1)."""
        status, duration_ns, data = self._transfer(t_ns, ALERT_RESPONSE, b"", 1)
        return status, duration_ns, data[0] >> 1 if data else -1

    def _transfer(self, t_ns: int, address: int, write: bytes, nread: int) -> Answer:
        sent = bytes((address << 1,)) + write if write else b""
        messages: list[Message] = []
        if write:
            closing = bytes((pec(sent),)) if self._pec and not nread else b""
            messages.append((address, 0, write + closing))
        if nread:
            flags = READ | (LENGTH_FIRST if nread == BLOCK else 0)
            messages.append((address, flags, abs(nread) + self._pec))
        status, duration_ns, got = self._bus.transfer_messages(t_ns, messages)
        self.counters["bad_blocks"] += status == Status.PROTOCOL
        if status != Status.OK or not nread:
            return status, duration_ns, b""
        data = got[0]
        if self._pec:
            expected = pec(sent + bytes((address << 1 | 1,)) + data[:-1])
            if data[-1] != expected:
                self.counters["pec_errors"] += 1
                return int(Status.DAMAGED), duration_ns, b""
            data = data[:-1]
        return status, duration_ns, data[1:] if nread == BLOCK else data


class PECTarget:
    """A part behind a packet error check, at ``address``.

    ``writes`` and ``reads`` give the data octets of each command (``BLOCK``: a block), so that the
    octet behind them is known for the PEC. A write without one is taken too, as SMBus wants it. A
    wrong PEC is not acknowledged and the write is discarded (section 6.4.1.3); ``errors`` counts.
    """

    def __init__(
        self,
        part: I2CTarget,
        address: int,
        writes: Mapping[int, int],
        reads: Mapping[int, int],
    ) -> None:
        self.part = part
        self.errors = 0
        self._address = address
        self._writes = writes
        self._reads = reads
        self._sent = b""
        self._tail = b""

    def i2c_write(self, t_ns: int, data: bytes) -> int:
        """Check and take off the PEC, if there is one."""
        self._sent = bytes((self._address << 1,)) + data
        self._tail = b""
        length = self._writes.get(data[0], 0) if data else 0
        if length == BLOCK:
            length = 1 + data[1] if len(data) > 1 else 0
        if len(data) == length + 2:
            if pec(self._sent[:-1]) != data[-1]:
                self.errors += 1
                return len(data) - 1
            data = data[:-1]
            taken = self.part.i2c_write(t_ns, data)
            return taken + 1 if taken == len(data) else taken
        return self.part.i2c_write(t_ns, data)

    def i2c_read(self, t_ns: int, nbytes: int) -> bytes | None:
        """Serve the data of the command, its PEC behind them, then ones."""
        if self._tail:
            out, self._tail = self._tail[:nbytes], self._tail[nbytes:]
            return out.ljust(nbytes, b"\xff")
        length = self._reads.get(self._sent[1], 1) if len(self._sent) > 1 else 1
        data = self.part.i2c_read(t_ns, 1 if length == BLOCK else length)
        if data is not None and length == BLOCK:
            more = self.part.i2c_read(t_ns, data[0])
            data = None if more is None else data + more
        if data is None:
            return None
        data += bytes((pec(self._sent + bytes((self._address << 1 | 1,)) + data),))
        self._tail = data[nbytes:]
        return data[:nbytes].ljust(nbytes, b"\xff")

    def i2c_stop(self, t_ns: int) -> None:
        """Forget the message."""
        self._sent = self._tail = b""
        self.part.i2c_stop(t_ns)
