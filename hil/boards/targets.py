"""What stands on an emulated bus in the place of a part that a board has answered for.

The answer is there before the emulated bus runs the transaction: these targets only give it. So
bus time, faults, interceptors, counters and records are those of every other transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from flightsw.codec.wire import Status
from hil.buses.adapters import AdapterProfile
from hil.buses.i2c_messages import TEN_BIT, Message, MessageOutcome
from hil.buses.i2c_wire import Wire

#: ``failed`` where no message did
NO_MESSAGE = -1
_OK, _NAK_ADDRESS, _NAK_DATA = (
    int(status) for status in (Status.OK, Status.NAK_ADDRESS, Status.NAK_DATA)
)
#: What the emulated wire makes of an answer by itself; other failures are said as they are.
_ON_THE_WIRE = (_OK, _NAK_ADDRESS, _NAK_DATA)
_KNOWN = frozenset(int(status) for status in Status)


class I2CAnswer(NamedTuple):
    """What a board made of an I2C transaction."""

    status: int
    #: octets read, by the number of their message
    reads: Mapping[int, bytes] = {}
    #: the message that failed, and how many octets of it were acknowledged
    failed: int = NO_MESSAGE
    taken: int = 0

    @property
    def wire_status(self) -> int:
        """The status of the record: that of the board, by value."""
        return self.status if self.status in _KNOWN else int(Status.PROTOCOL)


class AnsweredTarget:
    """Every target of one transaction: it gives the answer, message by message."""

    def __init__(self, messages: list[Message], answer: I2CAnswer) -> None:
        self._answer = answer
        self._flags = [flags for _, flags, _ in messages]
        self.begin()

    def begin(self) -> None:
        """Start over: a fault may put the same transaction on the wire twice."""
        self._at = 0
        self._left = b""

    def _fails(self) -> bool:
        answer = self._answer
        if answer.failed != NO_MESSAGE:
            return self._at == answer.failed
        return answer.status in (_NAK_ADDRESS, _NAK_DATA) and self._at == len(self._flags) - 1

    def i2c_write(self, t_ns: int, data: bytes) -> int:
        """Acknowledge what the board acknowledged."""
        fails, status = self._fails(), self._answer.status
        self._at += 1
        if fails and status == _NAK_ADDRESS:
            return -1
        if fails and status == _NAK_DATA:
            return min(self._answer.taken, max(len(data) - 1, 0))
        return len(data)

    def i2c_read(self, t_ns: int, nbytes: int) -> bytes | None:
        """Give what the board read; a message may be read in several goes."""
        if not self._left:
            if self._fails() and self._answer.status in (_NAK_ADDRESS, _NAK_DATA):
                return None
            self._left = self._answer.reads.get(self._at, b"")
            self._at += 1
        octets, self._left = self._left[:nbytes], self._left[nbytes:]
        return octets.ljust(nbytes, b"\xff")

    def i2c_stop(self, t_ns: int) -> None:
        """See the stop condition; the board has sent its own."""


class AnsweredWire(Wire):
    """The wire of a transaction that a board has answered; see ``I2CBus.lend``."""

    def __init__(
        self,
        profile: AdapterProfile,
        duration_ns: Callable[[int], int],
        messages: list[Message],
        answer: I2CAnswer,
    ) -> None:
        super().__init__(profile, duration_ns)
        self._answer = answer
        self._target = AnsweredTarget(messages, answer)
        for address, flags, _ in messages:
            (self.ten_bit if flags & TEN_BIT else self.targets)[address] = self._target

    def run(self, t_ns: int, messages: list[Message]) -> MessageOutcome:
        """Put messages on the wire, and what the board said of them back."""
        self._target.begin()
        status, duration_ns, data = super().run(t_ns, messages)
        if self._answer.status not in _ON_THE_WIRE:
            return self._answer.wire_status, duration_ns, []
        return status, duration_ns, data


class AnsweredPeripheral:
    """A chip select whose answers come from a board; without one it reads as nothing does."""

    spi_modes = frozenset((0, 1, 2, 3))

    def __init__(self, name: str) -> None:
        self.name = name
        self._octets = bytearray()

    def answer(self, octets: bytes) -> None:
        """Have the next octets answered by these; none left of before."""
        self._octets[:] = octets

    def spi_select(self, t_ns: int) -> None:
        """See chip select become active; the board has had its own."""

    def spi_exchange(self, t_ns: int, tx: bytes) -> bytes:
        """Give what the board received, FFh where nothing answers."""
        octets = bytes(self._octets[: len(tx)])
        del self._octets[: len(tx)]
        return octets.ljust(len(tx), b"\xff")

    def spi_deselect(self, t_ns: int) -> None:
        """See chip select become inactive."""
