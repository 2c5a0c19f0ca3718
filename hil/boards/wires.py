"""Wires 1: what crosses the pins of an emulated board, message by message.

An emulator that runs real firmware (``boards/emulators/simavr``) has the parts around its processor
on the other end of a SEQPACKET socket pair. A message of the board is :data:`HEAD`, kind and the
clock of its processor in cycles, and a payload of :data:`FROM_BOARD`; one of the bench is a kind
octet and a payload of :data:`TO_BOARD`. Least significant octet first.

START, WRITE, MORE and SPI are questions: the board's time stands still until the answer, kind with
bit 7 set. As controller the board tells each octet as it is on the wires. How many octets it will
read, it does not tell beforehand, because nobody on the wires knows: the answer to START carries
those that the part would serve next, MORE asks for further ones, and the next START or STOP tells
how many were *clocked*, which are what the part is then asked for (:mod:`hil.boards.silicon`).

The other way round the bench is controller and the board target: TRANSACT is a whole transaction,
TARGET_DONE tells how it went and how long the board has held the clock, in cycles of its processor.
SPI_TRANSACT and SPI_DONE are the same of SPI, where nothing holds the clock: how long an answer
took is told, and how many octets began before it.
"""

from __future__ import annotations

import queue
import select
import socket
import struct
from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import Any, Final, NamedTuple, Protocol

from construct import (
    Array,
    Bytes,
    Flag,
    GreedyBytes,
    GreedyRange,
    If,
    Int8ul,
    Int16ul,
    Int32ul,
    Int64ul,
    Pass,
    Struct,
    this,
)

from flightsw.codec.wire import Status
from hil.errors import BoardError

ANSWER: Final = 0x80
MESSAGE_NBYTES: Final = 600
#: octets that are offered to a read before anybody knows how many it takes
PREFETCH_NBYTES: Final = 32
#: SMBus 3.2 section 4.2.2, the most of T_TIMEOUT: a clock that is low for longer means trouble
HOLD_LIMIT_MS: Final = 35
#: no emulator takes longer than this of the wall's time to answer, however busy the machine
PATIENCE_S: Final = 20.0


class Kind(IntEnum):
    """What a message is."""

    START = 0x01
    WRITE = 0x02
    MORE = 0x03
    STOP = 0x04
    SPI = 0x05
    PORT = 0x06
    RATE = 0x07
    TARGET_DONE = 0x08
    STATUS = 0x09
    RESET_DONE = 0x0A
    SPI_DONE = 0x0B
    RESET = 0x40
    TRANSACT = 0x41
    HOLD = 0x42
    DRIVE = 0x43
    ASK_STATUS = 0x44
    SPI_TRANSACT = 0x45


#: the emulator's counters, in the order in which it tells them; the last one in microseconds
COUNTERS: Final = (
    "rx",
    "tx",
    "overrun",
    "unheard",
    "twi_starts",
    "twi_octets",
    "spi_octets",
    "resets",
    "resyncs",
    "lag_max_us",
)
#: bits of HOLD
SDA, SCL = 1, 2

HEAD = Struct("kind" / Int8ul, "cycles" / Int64ul)
FROM_BOARD: Final = {
    # octet: address and read bit; clocked: octets that the read message before has taken
    Kind.START: Struct("octet" / Int8ul, "is_repeated" / Flag, "clocked" / Int16ul),
    Kind.WRITE: Struct("octet" / Int8ul),
    Kind.MORE: Struct("clocked" / Int16ul),
    Kind.STOP: Struct("clocked" / Int16ul),
    # mode: CPHA in bit 0, CPOL in bit 1
    Kind.SPI: Struct("octet" / Int8ul, "mode" / Int8ul, "hz" / Int32ul),
    # port 0: B, 1: C, 2: D
    Kind.PORT: Struct("port" / Int8ul, "direction" / Int8ul, "value" / Int8ul),
    Kind.RATE: Struct("baud" / Int32ul),
    # failed: index of the message, FFh where none has
    Kind.TARGET_DONE: Struct(
        "status" / Int8ul,
        "failed" / Int8ul,
        "taken" / Int8ul,
        "longest" / Int32ul,
        "stretched" / Int32ul,
        "cycles" / Int32ul,
        "data" / GreedyBytes,
    ),
    Kind.STATUS: Struct("state" / Int8ul, "counters" / Array(len(COUNTERS), Int32ul)),
    Kind.RESET_DONE: Struct("cause" / Int8ul),
    # late: octets that began before the board had written its answer
    Kind.SPI_DONE: Struct(
        "longest" / Int32ul, "late" / Int8ul, "cycles" / Int32ul, "data" / GreedyBytes
    ),
}
ANSWERS: Final = {
    # stretch_ns: the part holds the clock so long behind this octet
    Kind.START: Struct("is_acked" / Flag, "stretch_ns" / Int32ul, "data" / GreedyBytes),
    Kind.WRITE: Struct("is_acked" / Flag, "stretch_ns" / Int32ul, "data" / GreedyBytes),
    Kind.MORE: Struct("is_acked" / Flag, "stretch_ns" / Int32ul, "data" / GreedyBytes),
    Kind.SPI: Struct("octet" / Int8ul),
}
MESSAGE = Struct(
    "octet" / Int8ul,
    "length" / Int8ul,
    "data" / If(lambda at: not at.octet & 1, Bytes(this.length)),
)
TO_BOARD: Final = {
    # cause: bits of MCUSR; is_held: the board stays in reset, or without power, until the next one
    Kind.RESET: Struct("cause" / Int8ul, "is_held" / Flag),
    # limit_ms: the longest hold of the clock that is endured
    Kind.TRANSACT: Struct("hz" / Int32ul, "limit_ms" / Int16ul, "messages" / GreedyRange(MESSAGE)),
    # lines: SDA 1, SCL 2; clocks: pulses of SCL after which SDA is let go, 0: never
    Kind.HOLD: Struct("lines" / Int8ul, "clocks" / Int8ul),
    Kind.DRIVE: Struct("port" / Int8ul, "mask" / Int8ul, "value" / Int8ul),
    Kind.ASK_STATUS: Pass,
    # lead_ns: between chip select and the clock; gap_ns: rest of the clock between two octets
    Kind.SPI_TRANSACT: Struct(
        "hz" / Int32ul,
        "mode" / Int8ul,
        "chip_select" / Int8ul,
        "lead_ns" / Int32ul,
        "gap_ns" / Int32ul,
        "data" / GreedyBytes,
    ),
}


#: The same of what comes with every octet, as ``struct`` packs it: a test holds them to the above.
_HEAD = struct.Struct("<BQ")
_START = struct.Struct("<B?H")
_STOP = struct.Struct("<H")
_SPI = struct.Struct("<BBI")
_ANSWER = struct.Struct("<B?I")


class Answer(NamedTuple):
    """What a part does with an octet: acknowledged, how long it holds the clock, what it serves."""

    is_acked: bool
    stretch_ns: int = 0
    data: bytes = b""


class OnWires(Protocol):
    """What is around the processor. ``cycles``: the clock of the processor."""

    def i2c_start(self, cycles: int, octet: int, is_repeated: bool, clocked: int) -> Answer:
        """See START and an address octet; ``clocked`` octets ended the read before."""

    def i2c_write(self, cycles: int, octet: int) -> Answer:
        """See an octet that the board writes."""

    def i2c_more(self, cycles: int, clocked: int) -> Answer:
        """Serve more of this read, of which ``clocked`` octets are gone."""

    def i2c_stop(self, cycles: int, clocked: int) -> None:
        """See STOP; ``clocked`` octets ended the read before."""

    def spi_exchange(self, cycles: int, octet: int, mode: int, hz: int) -> int:
        """Exchange an octet with whatever is selected."""

    def port(self, cycles: int, port: int, direction: int, value: int) -> None:
        """See what a port drives: outputs where ``direction`` is 1, pull-ups where it is 0."""


class Nothing:
    """Nobody is around: nothing acknowledges, MISO is pulled up."""

    def i2c_start(self, cycles: int, octet: int, is_repeated: bool, clocked: int) -> Answer:
        """Leave the address alone."""
        return Answer(False)

    def i2c_write(self, cycles: int, octet: int) -> Answer:
        """Leave the octet alone."""
        return Answer(False)

    def i2c_more(self, cycles: int, clocked: int) -> Answer:
        """Serve nothing."""
        return Answer(False)

    def i2c_stop(self, cycles: int, clocked: int) -> None:
        """Not notice."""

    def spi_exchange(self, cycles: int, octet: int, mode: int, hz: int) -> int:
        """Leave MISO alone."""
        return 0xFF

    def port(self, cycles: int, port: int, direction: int, value: int) -> None:
        """Not notice."""


class TargetOutcome(NamedTuple):
    """How a transaction of the bench with the board as target went."""

    status: Status
    #: index of the message that failed, or None
    failed: int | None
    #: octets that were acknowledged in it
    taken: int
    #: octets read, of all messages
    data: bytes
    #: the longest single hold of the clock, all of them, and the whole transaction, in cycles
    longest_cycles: int
    stretched_cycles: int
    cycles: int


class SPIOutcome(NamedTuple):
    """How an SPI transaction of the bench with the board as target went."""

    #: as many octets as were sent
    data: bytes
    #: the longest time between an octet and the board's answer, and the transaction, in cycles
    longest_cycles: int
    #: octets that began before the answer: they are what the bench had sent
    late: int
    cycles: int


class Wires:
    """The bench's end of the wires of one emulated board.

    One thread serves it (:meth:`service`), any other may command. A command that is made by the
    thread that serves, or by one where nobody serves, serves itself until it is answered.
    """

    def __init__(
        self,
        end: socket.socket,
        around: OnWires | None = None,
        on_baud: Callable[[int], None] | None = None,
    ) -> None:
        """``end``: our end of a SEQPACKET socket pair, which is then owned."""
        self._end = end
        self._on_baud = on_baud
        self.around: OnWires = around or Nothing()
        #: somebody else calls :meth:`service`
        self.is_served = False
        self.is_gone = False
        #: rate of the board's UART as its registers have it; 0: not told yet
        self.baud = 0
        #: clock of its processor at its last message
        self.cycles = 0
        self.counters = {"questions": 0, "answers_unheard": 0, "resets": 0}
        self._done: queue.SimpleQueue[tuple[Kind, Any]] = queue.SimpleQueue()

    def fileno(self) -> int:
        """Return the descriptor, to wait for messages."""
        return self._end.fileno()

    def close(self) -> None:
        """Close our end: the emulator ends."""
        self.is_gone = True
        self._end.close()

    def service(self, timeout_s: float = 0.0) -> None:
        """Answer whatever the board has said, waiting for it at most ``timeout_s``."""
        while not self.is_gone and select.select([self._end], [], [], timeout_s)[0]:
            timeout_s = 0.0
            try:
                octets = self._end.recv(MESSAGE_NBYTES)
            except OSError:
                octets = b""
            if not octets:
                self.is_gone = True
                return
            self._take(octets)

    def _take(self, octets: bytes) -> None:
        number, cycles = _HEAD.unpack_from(octets)
        self.cycles = cycles
        if number == Kind.START:
            octet, is_repeated, clocked = _START.unpack_from(octets, _HEAD.size)
            self._answer_i2c(number, self.around.i2c_start(cycles, octet, is_repeated, clocked))
        elif number == Kind.WRITE:
            self._answer_i2c(number, self.around.i2c_write(cycles, octets[_HEAD.size]))
        elif number == Kind.STOP:
            self.around.i2c_stop(cycles, *_STOP.unpack_from(octets, _HEAD.size))
        elif number == Kind.SPI:
            octet, mode, hz = _SPI.unpack_from(octets, _HEAD.size)
            answer = self.around.spi_exchange(cycles, octet, mode, hz)
            self._answer(bytes((number | ANSWER, answer)))
        else:
            self._take_rare(number, octets[_HEAD.size :])

    def _take_rare(self, number: int, octets: bytes) -> None:
        """Take what comes seldom enough to be read by its declaration."""
        try:
            kind = Kind(number)
            said = FROM_BOARD[kind].parse(octets)
        except (ValueError, KeyError):
            raise BoardError(
                f"the emulator sent message {number:#04x}, which is not wires 1"
            ) from None
        if kind is Kind.MORE:
            self._answer_i2c(number, self.around.i2c_more(self.cycles, said.clocked))
        elif kind is Kind.PORT:
            self.around.port(self.cycles, said.port, said.direction, said.value)
        elif kind is Kind.RATE:
            self.baud = said.baud
            if self._on_baud is not None:
                self._on_baud(said.baud)
        else:
            self.counters["resets"] += kind is Kind.RESET_DONE
            self._done.put((kind, said))

    def _answer_i2c(self, number: int, answer: Answer) -> None:
        is_acked, stretch_ns, data = answer
        self._answer(_ANSWER.pack(number | ANSWER, is_acked, stretch_ns) + data)

    def _answer(self, octets: bytes) -> None:
        self.counters["questions"] += 1
        try:
            self._end.send(octets)
        except OSError:
            self.counters["answers_unheard"] += 1
            self.is_gone = True

    # --- what the bench does to the board ------------------------------------------------------

    def _say(self, kind: Kind, **values: Any) -> None:
        try:
            self._end.send(bytes((kind,)) + TO_BOARD[kind].build(values))
        except OSError as error:
            raise BoardError(
                f"the emulated board is gone: {error.strerror}; start it anew"
            ) from None

    def _await(self, kind: Kind) -> Any:
        """Return the next message of a kind; raise :class:`BoardError` when none comes."""
        waited_s = 0.0
        while waited_s < PATIENCE_S and not self.is_gone:
            try:
                if self.is_served:
                    found, said = self._done.get(timeout=0.5)
                else:
                    found, said = self._done.get_nowait()
            except queue.Empty:
                waited_s += 0.5
                if not self.is_served:
                    self.service(0.5)
                continue
            if found is kind:
                return said
        state = "is gone" if self.is_gone else f"has not answered within {PATIENCE_S:g} s"
        raise BoardError(f"the emulated board {state}, asked for {kind.name}; start it anew")

    def reset(self, cause: int, is_held: bool = False) -> None:
        """Reset the board, with bits of MCUSR as cause; held, it stays off until the next reset."""
        while not self._done.empty():
            self._done.get_nowait()
        self._say(Kind.RESET, cause=cause, is_held=is_held)
        self._await(Kind.RESET_DONE)

    def hold(self, lines: int, clocks: int = 0) -> None:
        """Keep lines of the I2C bus low, SDA until ``clocks`` pulses of SCL; 0 lines: let go."""
        self._say(Kind.HOLD, lines=lines, clocks=clocks)

    def drive(self, port: int, mask: int, value: int) -> None:
        """Drive pins of a port from outside: those of ``mask``, and no others from now on."""
        self._say(Kind.DRIVE, port=port, mask=mask, value=value)

    def status(self) -> dict[str, int]:
        """Return the emulator's counters."""
        self._say(Kind.ASK_STATUS)
        return dict(zip(COUNTERS, self._await(Kind.STATUS).counters, strict=True))

    def transact(
        self,
        messages: Sequence[tuple[int, bytes | int]],
        hz: int = 100_000,
        limit_ms: int = HOLD_LIMIT_MS,
    ) -> TargetOutcome:
        """Run a transaction with the board as target.

        A message is a 7-bit address and the octets to write or how many to read. A board that holds
        the clock for longer than ``limit_ms`` ends it by TIMEOUT.
        """
        plan = [
            {"octet": address << 1 | 1, "length": what, "data": None}
            if isinstance(what, int)
            else {"octet": address << 1, "length": len(what), "data": what}
            for address, what in messages
        ]
        self._say(Kind.TRANSACT, hz=hz, limit_ms=limit_ms, messages=plan)
        done = self._await(Kind.TARGET_DONE)
        failed = None if done.failed == 0xFF else done.failed
        return TargetOutcome(
            Status(done.status),
            failed,
            done.taken,
            bytes(done.data),
            done.longest,
            done.stretched,
            done.cycles,
        )

    def spi_transact(
        self,
        octets: bytes,
        hz: int = 10_000,
        mode: int = 0,
        chip_select: int = 0,
        lead_ns: int = 200_000,
        gap_ns: int = 0,
    ) -> SPIOutcome:
        """Exchange octets under one chip select with the board as target.

        The clock begins ``lead_ns`` behind chip select, and rests for ``gap_ns`` between octets.
        """
        self._say(
            Kind.SPI_TRANSACT,
            hz=hz,
            mode=mode,
            chip_select=chip_select,
            lead_ns=lead_ns,
            gap_ns=gap_ns,
            data=octets,
        )
        done = self._await(Kind.SPI_DONE)
        return SPIOutcome(bytes(done.data), done.longest, done.late, done.cycles)
