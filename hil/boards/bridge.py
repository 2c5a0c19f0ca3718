"""Where the transactions of an I2C or SPI bus go when boards answer for some of its parts.

A route is on the lane of a bus (:class:`hil.transactions.Route`). A transaction to a part that a
board stands in for goes to the board; when its answer arrives the emulated bus runs it with targets
that give this answer. While the board is away the emulated bus runs it with nothing on the wire.
The emulated part stays where it is and hears of none of this.

The real part sees every transaction, also one that a fault of the emulated bus then spoils: faults
change what the payload computer is told.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from flightsw.codec import bus_payload
from flightsw.codec.wire import HEADER, HEADER_NBYTES, Flag, Status
from hil.boards.i2c_transaction import I2CTransaction, Line
from hil.boards.spi_transaction import SPIAnswer, SPITransaction
from hil.boards.targets import AnsweredPeripheral, AnsweredWire, I2CAnswer
from hil.buses.i2c_messages import READ, TEN_BIT, Message, refusal
from hil.buses.i2c_wire import Wire
from hil.buses.spi import CS_CHANGE
from hil.transactions import Call, Lane, Run, Transactor

Done = Callable[[int, Run], None]
_OK, _UNSUPPORTED = int(Status.OK), int(Status.UNSUPPORTED)


class Station(Line, Protocol):
    """A board as its run sees it."""

    name: str
    counters: Counter[str]

    @property
    def ready(self) -> bool:
        """Whether it can be asked."""

    def stamp(self, act: Callable[[int], None]) -> None:
        """Make what the board has just said an event of the virtual time that it is now."""

    def tell_once(self, name: str, **values: Any) -> None:
        """Put an event into the records, the first time that it happens."""


class Witness(Protocol):
    """Who compares what a real and an emulated part answer to the same."""

    def compare(
        self, t_ns: int, messages: list[Message], real: I2CAnswer, emulated: I2CAnswer
    ) -> None:
        """Take both answers to one transaction."""

    def skip(self) -> None:
        """Note a transaction that cannot be compared."""


class Seat:
    """A place on a bus that a board answers for: the board, and which of its buses it is."""

    def __init__(
        self, station: Station, bus: int, witness: Witness | None = None, shows_real: bool = False
    ) -> None:
        self.station = station
        self.bus = bus
        #: who compares it with the emulated part, which then answers as well
        self.witness = witness
        #: of the two the payload computer is told what the real one says
        self.shows_real = shows_real


class I2CRoute:
    """The way of one I2C bus's transactions. Addresses are ``(address, is ten-bit)``."""

    def __init__(self, lane: Lane, transactor: Transactor) -> None:
        self._lane = lane
        self._transactor = transactor
        self.seats: dict[tuple[int, bool], Seat] = {}
        #: stands in for the whole bus
        self.whole: Seat | None = None

    @property
    def is_empty(self) -> bool:
        """Whether no board answers for anything here."""
        return not self.seats and self.whole is None

    def _seat(self, message: Message) -> Seat | None:
        return self.seats.get((message[0], bool(message[1] & TEN_BIT)), self.whole)

    def begin(self, call: Call, t_ns: int, done: Done) -> bool:
        """Send a transaction on its way; False: the emulated bus runs it as it is."""
        messages = bus_payload.unpack_i2c(call.payload, reply=False)
        if refusal(self._lane.bus.profile, messages):
            return False
        seats = dict.fromkeys(map(self._seat, messages))
        seat = next((seat for seat in seats if seat is not None), None)
        if seat is None:
            return False
        station = seat.station
        if len(seats) > 1:
            station.counters["mixed"] += 1
            addresses = sorted({message[0] for message in messages})
            station.tell_once("BOARD_MIXED", bus=self._lane.bus.name, addresses=addresses)
            refused = self._transactor.refused
            done(t_ns, partial(refused, self._lane, call, _UNSUPPORTED, t_ns))
            return True
        if seat.witness is not None and not seat.shows_real:
            self._beside(seat, seat.witness, call, messages, t_ns, done)
            return True
        if not station.ready:
            station.counters["absent"] += 1
            done(t_ns, partial(self._run_alone, call))
            return True
        came = partial(self._came, seat, call, messages, t_ns, done)
        I2CTransaction(station, seat.bus, messages, came).begin()
        return True

    def _came(
        self,
        seat: Seat,
        call: Call,
        messages: list[Message],
        t_ns: int,
        done: Done,
        answer: I2CAnswer | None,
    ) -> None:
        """Bring the answer of a board, or the news that there is none, into virtual time."""
        station = seat.station

        def arrive(now_ns: int) -> None:
            if answer is None:
                station.counters["lost"] += 1
                done(now_ns, partial(self._run_alone, call))
                return
            station.counters["transactions"] += 1
            if seat.witness is not None:
                status, _, read = self._lane.bus.on_wire(t_ns, messages)
                seat.witness.compare(t_ns, messages, answer, emulated(messages, status, read))
            done(t_ns, partial(self._run, call, messages, answer, now_ns))

        station.stamp(arrive)

    def _beside(
        self,
        seat: Seat,
        witness: Witness,
        call: Call,
        messages: list[Message],
        t_ns: int,
        done: Done,
    ) -> None:
        """Let the emulated part answer, and put the same to the board."""
        said: list[I2CAnswer] = []

        def run(t_ns: int) -> tuple[int, bytes]:
            duration_ns, octets = call(t_ns)
            header = HEADER.unpack_from(octets)
            if not header[2] & Flag.FAULTED:
                replies = bus_payload.unpack_i2c(octets[HEADER_NBYTES:], reply=True)
                read = [what for _, flags, what in replies if flags & READ]
                said.append(emulated(messages, header[3], read))  # type: ignore[arg-type]
            return duration_ns, octets

        def came(answer: I2CAnswer | None) -> None:
            station.stamp(lambda now_ns: compare(answer))

        def compare(answer: I2CAnswer | None) -> None:
            station.counters["shadowed"] += 1
            if answer is None or not said:
                witness.skip()
            else:
                witness.compare(t_ns, messages, answer, said[0])

        station = seat.station
        done(t_ns, run)
        if station.ready:
            I2CTransaction(station, seat.bus, messages, came).begin()
        else:
            witness.skip()

    def _run(
        self, call: Call, messages: list[Message], answer: I2CAnswer, now_ns: int, t_ns: int
    ) -> tuple[int, bytes]:
        bus = self._lane.bus
        bus.lend(AnsweredWire(bus.profile, bus.duration_ns, messages, answer))
        try:
            return self._transactor.answered(self._lane, call, now_ns, t_ns)
        finally:
            bus.lend(None)

    def _run_alone(self, call: Call, t_ns: int) -> tuple[int, bytes]:
        """Run a transaction with nobody there: its board is away."""
        bus = self._lane.bus
        bus.lend(Wire(bus.profile, bus.duration_ns))
        try:
            return call(t_ns)
        finally:
            bus.lend(None)


def emulated(messages: list[Message], status: int, read: list[bytes]) -> I2CAnswer:
    """Return what an emulated bus answered, in the form in which a board's answer is."""
    numbers = (nth for nth, (_, flags, _) in enumerate(messages) if flags & READ)
    return I2CAnswer(status, dict(zip(numbers, read, strict=False)))


class SPISeat(Seat):
    """A chip select that a board answers for, by one of its own."""

    def __init__(self, station: Station, bus: int, chip_select: int, name: str) -> None:
        super().__init__(station, bus)
        self.chip_select = chip_select
        self.peripheral = AnsweredPeripheral(name)
        #: mode and clock that the board was last told; None after it came anew
        self.told: tuple[int, int] | None = None


def _is_plain(segment: bus_payload.SPISegment) -> bool:
    """Tell whether a segment has words of 8 bits on a line for each direction."""
    return segment[2] in (0, 8) and not segment[3] & ~CS_CHANGE


class SPIRoute:
    """The way of one SPI bus's transactions, by chip select."""

    def __init__(self, lane: Lane, transactor: Transactor) -> None:
        self._lane = lane
        self._transactor = transactor
        self.seats: dict[int, SPISeat] = {}

    @property
    def is_empty(self) -> bool:
        """Whether no board answers for anything here."""
        return not self.seats

    def begin(self, call: Call, t_ns: int, done: Done) -> bool:
        """Send a transaction on its way; False: the emulated bus runs it as it is."""
        seat = self.seats.get(call.address)
        if seat is None:
            return False
        segments, _ = bus_payload.unpack_spi(call.payload, reply=False)
        bus, station = self._lane.bus, seat.station
        seat.peripheral.answer(b"")
        if bus.refusal(segments) or not station.ready:
            station.counters["absent"] += not station.ready
            return False
        mode, speed_hz, plain = bus.settings(call.address)
        if not plain or any(
            bits not in (0, 8) or flags & ~CS_CHANGE for _, _, bits, flags, _ in segments
        ):
            station.counters["unsupported"] += 1
            station.tell_once("BOARD_SPI_UNSUPPORTED", bus=bus.name, chip_select=call.address)
            done(t_ns, partial(self._transactor.refused, self._lane, call, _UNSUPPORTED, t_ns))
            return True
        came = partial(self._came, seat, call, t_ns, done)
        SPITransaction(seat, mode & 3, speed_hz, segments, came).begin()
        return True

    def _came(
        self, seat: SPISeat, call: Call, t_ns: int, done: Done, answer: SPIAnswer | None
    ) -> None:
        station = seat.station

        def arrive(now_ns: int) -> None:
            if answer is None:
                station.counters["lost"] += 1
                done(now_ns, partial(self._run, seat, call))
                return
            station.counters["transactions"] += 1
            if answer.status != _OK:
                refused = self._transactor.refused
                done(t_ns, partial(refused, self._lane, call, answer.status, now_ns))
                return
            seat.peripheral.answer(answer.octets)
            run = partial(self._transactor.answered, self._lane, call, now_ns)
            done(t_ns, partial(self._run, seat, run))

        station.stamp(arrive)

    def _run(self, seat: SPISeat, run: Run, t_ns: int) -> tuple[int, bytes]:
        """Run what was put to a board, also when another part has taken the place since then."""
        bus, select = self._lane.bus, seat.chip_select
        if self.seats.get(select) is seat:
            return run(t_ns)
        there = bus.replace(select, seat.peripheral)
        try:
            return run(t_ns)
        finally:
            bus.replace(select, there)
