"""The front end: a board answers a real controller on real wires in the place of emulated parts.

The board is an I2C or SPI target with a register image a part (``docs/board-protocol.md``,
target). Here the images are made from the parts' register tables, pushed where they have changed,
and touched where they have not, because an image that nobody renews is not served: a reading of a
world that stands still would look right. What the controller does comes back as events and is done
to the part, at the virtual time at which it was heard: octets written are written, and what a read
takes out of a part is taken. Each of these transactions crosses the emulated bus with the octets
that the image had, so its records, faults and counters are those of every other one.

An image is as old as the link is slow: between a write and the image that shows its effect lie a
round trip and a push, and a read that falls between a push and its reply is recorded with the image
before it. Parts without a register table, and those whose registers differ in width, are refused.

On SPI the first octet behind chip select has the register in its low seven bits and the direction
in its top bit, as the part's guide says. What a controller sends while it reads is not told, and
recorded as 00h; of a transaction that met a stale image nothing is known, and nothing is recorded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from flightsw.codec import bus_payload
from flightsw.codec.wire import Kind, Status
from hil.boards import protocol
from hil.boards.bridge import Station
from hil.boards.protocol import Event, EventType, Reply, Request
from hil.boards.targets import AnsweredPeripheral, AnsweredWire, I2CAnswer
from hil.errors import BoardError, ConfigError
from hil.parts.registers import RegisterFile, RegisterTarget
from hil.transactions import Lane, Transactor

#: Flag of TARGET_CONFIG: the pointer goes on across a read.
INCREMENT = 1
FRESH_MS = 250
#: of the time that an image lives, how long it goes without being renewed
_TOUCH_PART = 3
_IMAGE_HEAD_NBYTES = 3
#: changes that lie so close together are pushed as one
_GAP_NBYTES = 4
#: what a board has for an image at least
_SMALL_NBYTES = 128
_MS = 1_000_000
_OK, _BUSY, _INVALID = int(Status.OK), int(Status.BUSY), int(Status.INVALID)
_NAK_ADDRESS = int(Status.NAK_ADDRESS)
#: address of TARGET_CONFIG: an SPI target; its mode; the bit of direction is set in a read
_SPI_TARGET, _SPI_MODE_SHIFT, _SPI_READS_SET = 0x8000, 12, 0x0800
#: which bit of the first octet has the direction, and where that stands in the address
_DIRECTION_BIT, _DIRECTION_SHIFT = 7, 8
_REGISTER_MASK = 0x7F


def _ignore(reply: Reply | None) -> None:
    """Take a reply that changes nothing."""


class FrontStation(Station, Protocol):
    """A board as its run sees it, with what it says unasked."""

    hearers: dict[int, list[Callable[[Event], None]]]
    on_ready: list[Callable[[], None]]


class Face:
    """One part as the board plays it; ``image`` is what the board has, None: nothing yet."""

    #: register at the beginning of the image
    base = 0

    def __init__(self, slot: int, part: Any, lane: Lane, address: int, bus: int = 0) -> None:
        file = part.file
        widths = set(file.nbytes)
        if len(widths) != 1 or not widths <= {1, 2, 4}:
            raise ConfigError(
                f"part {part.name!r} has registers of {sorted(widths)} octets; a front end serves "
                "parts whose registers are all as wide, of 1, 2 or 4 octets"
            )
        self.slot = slot
        self.part = part
        self.lane = lane
        self.address = address
        self.bus = bus
        self.width: int = file.nbytes[0]
        self.increment = file.after[0] != 0
        #: octets of the image; less than the part's where the board has no room for more
        self.nbytes = (max(file.addresses()) + 1 - self.base) * self.width
        self.left_out: list[str] = []
        self.image: bytes | None = None
        #: the board has taken the configuration; None: it will not
        self.configured: bool | None = False
        self.pushing = 0
        self.renewed_ns = 0

    def registers(self, t_ns: int) -> bytes:
        """Return the image of the part's registers at ``t_ns``; nothing is read out of it."""
        self.part.refresh(t_ns)
        file, order = self.part.file, self.part.MAP.order
        values = file.values[self.base : self.base + self.nbytes // self.width]
        return b"".join(value.to_bytes(self.width, order) for value in values)

    def served(self, pointer: int, nbytes: int) -> bytes:
        """Return what the board has answered to a read of ``nbytes`` from a register on."""
        image, at = self.image or b"", pointer * self.width
        if not self.increment:
            word = image[at : at + self.width].ljust(self.width, b"\xff")
            return (word * (nbytes // self.width + 1))[:nbytes]
        return image[at : at + nbytes].ljust(nbytes, b"\xff")

    def shrink(self, nbytes: int) -> None:
        """Leave out the registers that do not fit into an image of ``nbytes``."""
        file, first = self.part.file, self.base + nbytes // self.width
        self.left_out = [file.names[at] for at in file.addresses() if at >= first]
        kept = [at for at in file.addresses() if at < first]
        self.nbytes = (max(kept, default=self.base - 1) + 1 - self.base) * self.width

    def changes(self, image: bytes, room: int) -> Iterator[tuple[int, bytes]]:
        """Yield what must be pushed so that the board has ``image``: offset, octets."""
        old = self.image
        if old is None:
            yield from ((at, image[at : at + room]) for at in range(0, len(image), room))
            return
        begin = end = -1
        for at in range(0, len(image), self.width):
            if image[at : at + self.width] == old[at : at + self.width]:
                continue
            if begin >= 0 and (at - end > _GAP_NBYTES or at + self.width - begin > room):
                yield begin, image[begin:end]
                begin = -1
            begin, end = (at if begin < 0 else begin), at + self.width
        if begin >= 0:
            yield begin, image[begin:end]

    @property
    def target(self) -> tuple[int, int]:
        """Address and pointer of TARGET_CONFIG."""
        return self.address, 1

    def read(self, transactor: Transactor, name: str, pointer: int, served: bytes, t: int) -> None:
        """Do a read of the controller at ``t`` ns to emulated bus and part; ``name``: the board."""
        register = bytes((pointer & 0xFF,))
        self._cross(transactor, name, register, served, t)
        self.part.i2c_write_read(t, register, len(served))
        self.part.i2c_stop(t)

    def write(self, transactor: Transactor, name: str, octets: bytes, t_ns: int) -> bool:
        """Do a write to both; return whether the part has taken all of it."""
        self._cross(transactor, name, octets, b"", t_ns)
        taken: int = self.part.i2c_write(t_ns, octets)
        self.part.i2c_stop(t_ns)
        return taken == len(octets)

    def refuse(self, transactor: Transactor, name: str, t_ns: int) -> None:
        """Let a transaction that the board did not acknowledge cross the emulated bus."""
        self._cross(transactor, name, b"", b"", t_ns, _NAK_ADDRESS)

    def _cross(
        self,
        transactor: Transactor,
        name: str,
        write: bytes,
        served: bytes,
        t_ns: int,
        status: int = _OK,
    ) -> None:
        """Let a transaction of the controller cross the emulated bus as it crossed the wires."""
        lane = self.lane
        payload = bus_payload.pack_i2c(self.address, write, len(served))
        call = transactor.call(int(Kind.I2C), lane, self.address, payload, name)
        messages = bus_payload.unpack_i2c(payload, reply=False)
        answer = I2CAnswer(status, {len(messages) - 1: served} if served else {})
        bus = lane.bus
        bus.lend(AnsweredWire(bus.profile, bus.duration_ns, messages, answer))
        try:
            transactor.answered(lane, call, t_ns, t_ns)
        finally:
            bus.lend(None)


class SPIFace(Face):
    """A part at a chip select (``address``); the board's own is its first one."""

    def __init__(self, slot: int, part: Any, lane: Lane, address: int, bus: int = 0) -> None:
        first = min(part.file.addresses())
        self.base = first & ~_REGISTER_MASK
        super().__init__(slot, part, lane, address, bus)
        self._read_bit, self._write_bit = part.GUIDE.spi

    @property
    def target(self) -> tuple[int, int]:
        """Address and pointer of TARGET_CONFIG: mode and direction, mask of the register."""
        mode = self.lane.bus.settings(self.address)[0] & 3
        address = _SPI_TARGET | mode << _SPI_MODE_SHIFT | _DIRECTION_BIT << _DIRECTION_SHIFT
        return address | (_SPI_READS_SET if self._read_bit else 0), _REGISTER_MASK

    def read(self, transactor: Transactor, name: str, pointer: int, served: bytes, t: int) -> None:
        """Do a read of the controller at ``t`` ns to emulated bus and part; ``name``: the board."""
        command = bytes((pointer & _REGISTER_MASK | self._read_bit,))
        self._exchange(transactor, name, command + bytes(len(served)), b"\xff" + served, t)

    def write(self, transactor: Transactor, name: str, octets: bytes, t_ns: int) -> bool:
        """Do a write to both; nothing on SPI says whether it was taken."""
        self._exchange(transactor, name, octets, b"\xff" * len(octets), t_ns)
        return True

    def refuse(self, transactor: Transactor, name: str, t_ns: int) -> None:
        """Leave the bus alone: what was sent to a stale image is not known."""

    def _exchange(
        self, transactor: Transactor, name: str, sent: bytes, received: bytes, t_ns: int
    ) -> None:
        lane, select = self.lane, self.address
        payload = bus_payload.pack_spi([(sent, *bus_payload.SPI_DEFAULTS)])
        call = transactor.call(int(Kind.SPI), lane, select, payload, name)
        peripheral = AnsweredPeripheral(name)
        peripheral.answer(received)
        there = lane.bus.replace(select, peripheral)
        try:
            transactor.answered(lane, call, t_ns, t_ns)
        finally:
            lane.bus.replace(select, there)
        self.part.spi_select(t_ns)
        self.part.spi_exchange(t_ns, sent)
        self.part.spi_deselect(t_ns)


def face_of(slot: int, part: Any, lane: Lane, address: int, bus: int) -> Face:
    """Return a part as a board can play it. Raises :class:`hil.errors.ConfigError` otherwise."""
    is_spi = lane.bus.kind == "spi"
    if is_spi and isinstance(getattr(part, "file", None), RegisterFile):
        return SPIFace(slot, part, lane, address, bus)
    if is_spi or not isinstance(part, RegisterTarget):
        raise ConfigError(
            f"part {part.name!r} has no register table; a front end serves parts that have one"
        )
    return Face(slot, part, lane, address, bus)


class FrontEnd:
    """The parts that one board plays; ``refresh`` keeps their images current."""

    def __init__(
        self, station: FrontStation, transactor: Transactor, fresh_ms: int = FRESH_MS
    ) -> None:
        """``fresh_ms``: an image that nothing renews is served for so long; 0: for ever."""
        self._station = station
        self._transactor = transactor
        self.fresh_ms = fresh_ms
        self.faces: list[Face] = []
        #: pushes, touches, octets pushed, busy, refused; events: reads, writes, stale, late and
        #: strange ones
        self.counters: Counter[str] = Counter()
        #: called with a part and the age of its image when a controller was not acknowledged
        self.on_stale: Callable[[Any, int], None] | None = None
        for kind in (EventType.TARGET_READ, EventType.TARGET_WRITE, EventType.TARGET_STALE):
            station.hearers.setdefault(kind, []).append(self._hear)
        station.on_ready.append(self.begin)

    def serve(self, part: Any, lane: Lane, address: int, bus: int = 0) -> Face:
        """Have the board play ``part``, which is at ``address`` of the bus of ``lane``.

        ``bus`` is the board's own, ``address`` on SPI the chip select. Raises
        :class:`hil.errors.ConfigError` for a part that a front end cannot play.
        """
        taken = {face.slot for face in self.faces}
        slot = next(n for n in range(len(taken) + 1) if n not in taken)
        face = face_of(slot, part, lane, address, bus)
        self.faces.append(face)
        if self._station.ready:
            self._configure(face)
        return face

    def release(self, face: Face) -> None:
        """Have the board play this part no more: nothing answers at its address."""
        self.faces.remove(face)
        if self._station.ready:
            face.nbytes = 0
            self._station.ask(Request.TARGET_CONFIG, self._configuration(face), _ignore)

    # --- images --------------------------------------------------------------------------------

    def begin(self) -> None:
        """Tell the board what it plays: it has just come, or come back, and knows nothing."""
        for face in self.faces:
            face.image = None
            face.pushing = 0
            face.configured = False
            self._configure(face)

    def _configuration(self, face: Face) -> bytes:
        address, pointer = face.target
        return protocol.build(
            Request.TARGET_CONFIG,
            slot=face.slot,
            bus=face.bus,
            address=address,
            width=face.width,
            pointer=pointer,
            flags=INCREMENT if face.increment else 0,
            fresh_ms=self.fresh_ms,
            size=face.nbytes,
        )

    def _configure(self, face: Face) -> None:
        def answered(reply: Reply | None) -> None:
            if reply is None:
                return
            if reply.status == _INVALID and face.nbytes > _SMALL_NBYTES:
                face.shrink(_SMALL_NBYTES)
                self._tell("FRONT_END_LEFT_OUT", face, registers=face.left_out)
                self._configure(face)
                return
            face.configured = True if reply.status == _OK else None
            if face.configured is None:
                self.counters["refused"] += 1
                status = protocol.status_name(reply.status)
                self._tell("FRONT_END_REFUSED", face, status=status, slot=face.slot)

        self._station.ask(Request.TARGET_CONFIG, self._configuration(face), answered)

    def refresh(self, t_ns: int, now_ns: int) -> None:
        """Push what the world has changed by ``t_ns``; ``now_ns`` is the time of the wall.

        To be called more often than :attr:`fresh_ms`. While a push is under way nothing is added
        to it: the line sets the rate.
        """
        for face in self.faces:
            if not face.configured or face.pushing or not self._station.ready:
                continue
            image = face.registers(t_ns)
            room = self._station.payload_nbytes - _IMAGE_HEAD_NBYTES
            pieces = list(face.changes(image, room - room % face.width))
            if pieces:
                face.renewed_ns = now_ns
                self.counters["pushes"] += len(pieces)
                self.counters["octets_pushed"] += sum(len(octets) for _, octets in pieces)
                self._push(face, pieces, image)
            elif self.fresh_ms and now_ns - face.renewed_ns > self.fresh_ms * _MS // _TOUCH_PART:
                face.renewed_ns = now_ns
                self.counters["touches"] += 1
                self._push(face, [(0, b"")], image)

    def _push(self, face: Face, pieces: list[tuple[int, bytes]], image: bytes) -> None:
        face.pushing = len(pieces)
        good = [True]

        def answered(reply: Reply | None) -> None:
            status = None if reply is None else reply.status
            if status == _BUSY:
                self.counters["busy"] += 1
            elif status not in (None, _OK):
                self.counters["refused"] += 1
            good[0] &= status == _OK
            face.pushing -= 1
            if not face.pushing:
                face.image = image if good[0] else None  # all of it again where one piece failed

        for offset, octets in pieces:
            payload = protocol.build(
                Request.IMAGE_WRITE, slot=face.slot, offset=offset, data=octets
            )
            self._station.ask(Request.IMAGE_WRITE, payload, answered)

    # --- what controllers do -------------------------------------------------------------------

    def _hear(self, event: Event) -> None:
        try:
            fields = event.fields()
            face = next(face for face in self.faces if face.slot == fields.slot)
        except (BoardError, StopIteration):
            self.counters["strange"] += 1
            return
        if event.type == EventType.TARGET_READ:
            self.counters["reads"] += 1
            served = face.served(fields.pointer, fields.n)
            self._station.stamp(lambda t_ns: self._read(face, fields.pointer, served, t_ns))
        elif event.type == EventType.TARGET_WRITE:
            self.counters["writes"] += 1
            octets = bytes(fields.octets)
            self._station.stamp(lambda t_ns: self._write(face, octets, t_ns))
        elif isinstance(face, SPIFace) and not fields.age_ms:
            self.counters["late"] += 1
            self._tell("FRONT_END_LATE", face)
        else:
            self.counters["stale"] += 1
            self._tell("FRONT_END_STALE", face)
            if self.on_stale is not None:
                self.on_stale(face.part, fields.age_ms)
            name = self._station.name
            self._station.stamp(lambda t_ns: face.refuse(self._transactor, name, t_ns))

    def _read(self, face: Face, pointer: int, served: bytes, t_ns: int) -> None:
        face.read(self._transactor, self._station.name, pointer, served, t_ns)

    def _write(self, face: Face, octets: bytes, t_ns: int) -> None:
        if not face.write(self._transactor, self._station.name, octets, t_ns):
            self.counters["not_taken"] += 1  # the board has acknowledged what the part would not

    def _tell(self, name: str, face: Face, **values: Any) -> None:
        self._station.tell_once(name, part=face.part.name, address=face.address, **values)
