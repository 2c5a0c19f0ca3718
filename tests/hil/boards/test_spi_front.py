"""A board in the place of emulated SPI parts: octets under a chip select, and an image."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from frontbench import Front, posix_front, uno_front
from unobench import UnoBench, wants_simavr

from flightsw.codec import bus_payload
from flightsw.codec.wire import Flag, Kind, Status, unpack_all
from hil.board import BusSpec, PartSpec
from hil.boards.protocol import Capability, EventType, Request
from hil.boards.silicon import Silicon
from hil.parts.max31865 import platinum_ratio

PARTS = (
    PartSpec("thermometer", "max31865", "spi-0", 0, spi={"mode": 1, "speed_hz": 1_000_000}),
    PartSpec("weather", "bme280", "spi-0", 1, spi={"mode": 0, "speed_hz": 1_000_000}),
)
BUSES = (BusSpec("spi-0", "spi", 0, {}),)
#: bias on, over and over
ON = 0xC0
#: mode 0, bit 7 set in a read, chip select 0
TARGET = 0x8F00
#: at which the Uno answers in time without a pause between octets, and with 30 us of it
GAPLESS_HZ, PAUSED_HZ, PAUSE_NS = 20_000, 8_000_000, 30_000


def counts(celsius: float) -> int:
    """Return what the thermometer's two registers say of a temperature."""
    return round(100 * platinum_ratio(celsius) / 430 * 32768) << 1


@pytest.fixture
def records() -> bytearray:
    """Give the octets of all records of the emulated bus."""
    return bytearray()


@pytest.fixture
def front(records: bytearray) -> Iterator[Front]:
    """Give a board that plays the thermometer, switched on."""
    with Silicon.of(PARTS, BUSES) as silicon:
        silicon.exchange.recorder.sink = records.extend
        with posix_front(silicon) as front:
            front.play("thermometer")
            switch_on(front)
            yield front


def switch_on(front: Front) -> None:
    """Have the controller write CONFIG, and wait until the part and its image have it."""
    before = front.front.counters["writes"]
    front.wires.spi_transact(bytes((0x80, ON)), mode=1)
    front.until(lambda: front.front.counters["writes"] > before)
    front.settle(after_s=1)


def test_controller_reads_the_world(front: Front) -> None:
    """A controller writes CONFIG and reads resistance from the image, as the world changes."""
    thermometer = front.silicon.parts["thermometer"]
    assert thermometer.file.values[0] == ON
    for celsius in (21.5, -40.0, 300.0):
        thermometer.set("temperature_c", celsius)
        front.settle(after_s=1)
        read = front.wires.spi_transact(bytes((0x01, 0, 0)), mode=1)
        assert read.data == b"\xff" + counts(celsius).to_bytes(2, "big")
    beyond = front.wires.spi_transact(bytes((0x07, 0, 0, 0)), mode=1)
    assert beyond.data == b"\xff\x00\xff\xff", "there is nothing behind the last register"


def test_other_modes_and_selects_are_not_the_parts(front: Front) -> None:
    """Under another chip select, or in another mode, nobody answers, and nothing is told."""
    before = dict(front.front.counters)
    for other in ({"mode": 0}, {"mode": 1, "chip_select": 1}):
        assert front.wires.spi_transact(bytes(3), **other).data == b"\xff\xff\xff"
    front.settle()
    told = ("reads", "writes", "stale")
    assert [front.front.counters[key] for key in told] == [before.get(key, 0) for key in told]


def test_records_hold_what_crossed_the_wires(front: Front, records: bytearray) -> None:
    """Write and read of the controller are records of the emulated bus, with the board's mark."""
    front.wires.spi_transact(bytes((0x03, 0, 0)), mode=1)
    front.until(lambda: front.front.counters["reads"])
    front.silicon.exchange.recorder.flush()
    found = [record for record in unpack_all(bytes(records)) if record.kind == Kind.SPI]
    assert all(record.flags & Flag.BOARD for record in found)
    seen = [bus_payload.unpack_spi(record.payload, reply=True) for record in found]
    assert [(sent[0][0], got[0]) for sent, got in seen] == [
        (bytes((0x80, ON)), b"\xff\xff"),
        (bytes((0x03, 0, 0)), b"\xff\xff\xff"),
    ]


def test_stale_image_reads_as_nothing_and_is_told(front: Front) -> None:
    """When the bench stands still every octet is FFh, never an old value, and the run is told."""
    outcomes: list[bytes] = []

    def is_refused() -> bool:
        outcomes.append(front.wires.spi_transact(bytes((0x00, 0)), mode=1).data)
        return outcomes[-1] != bytes((0xFF, ON))

    front.until(is_refused)
    assert outcomes[-1] == b"\xff\xff"
    front.until(lambda: front.front.counters["stale"])
    assert ("FRONT_END_STALE", {"part": "thermometer", "address": 0}) in front.told
    front.settle()
    assert front.wires.spi_transact(bytes((0x00, 0)), mode=1).data == bytes((0xFF, ON))


def test_registers_that_need_the_bit_of_direction() -> None:
    """A BME280, whose registers have bit 7 set and whose writes have it clear, is played, too."""
    with Silicon.of(PARTS, BUSES) as silicon, posix_front(silicon) as front:
        front.play("weather")
        assert front.wires.spi_transact(bytes((0xD0, 0))).data == b"\xff\x60"
        front.wires.spi_transact(bytes((0x74, 0x27)))
        front.until(lambda: front.front.counters["writes"])
        front.settle(after_s=1)
        assert front.wires.spi_transact(bytes((0xF4, 0))).data == b"\xff\x27"
        assert silicon.parts["weather"].file.values[0xF4] == 0x27


@wants_simavr()
def test_uno_plays_a_part() -> None:
    """The Uno's image plays a thermometer on SPI; a bench that stands still is noticed."""
    with Silicon.of(PARTS, BUSES) as silicon, uno_front(silicon) as front:
        front.play("thermometer")
        switch_on(front)
        for celsius in (50.0, -10.0):
            silicon.parts["thermometer"].set("temperature_c", celsius)
            front.settle(after_s=1)
            read = front.wires.spi_transact(bytes((0x01, 0, 0)), mode=1)
            assert read.data == b"\xff" + counts(celsius).to_bytes(2, "big")
        front.until(lambda: front.front.counters["reads"] == 2)
        front.until(lambda: front.wires.spi_transact(bytes((0x00, 0)), mode=1).data == b"\xff\xff")
        front.until(lambda: front.front.counters["stale"])


@pytest.fixture
def uno() -> Iterator[UnoBench]:
    """Give an emulated Uno in a session."""
    with UnoBench() as uno:
        uno.open()
        yield uno


def as_target(uno: UnoBench, address: int = TARGET, size: int = 32, fresh_ms: int = 0) -> int:
    """Make the Uno an SPI target of ``size`` registers; return the status."""
    return uno.ask(
        Request.TARGET_CONFIG,
        slot=0,
        bus=0,
        address=address,
        width=1,
        pointer=0x7F,
        flags=1,
        fresh_ms=fresh_ms,
        size=size,
    ).status


def with_image(uno: UnoBench, **how: int) -> bytes:
    """Make the Uno an SPI target with an image; return that."""
    image = bytes(range(0x40, 0x60))
    assert as_target(uno, **how) == 0
    assert uno.ask(Request.IMAGE_WRITE, slot=0, offset=0, data=image).ok
    return image


@wants_simavr()
@pytest.mark.parametrize(("hz", "gap_ns"), [(GAPLESS_HZ, 0), (PAUSED_HZ, PAUSE_NS)])
def test_uno_answers_in_time(uno: UnoBench, hz: int, gap_ns: int) -> None:
    """At its highest clocks the Uno has every octet ready before the next one begins, in all modes,
    and tells what was read and written."""
    for mode in range(4):
        image = with_image(uno, address=TARGET | mode << 12)
        read = uno.wires.spi_transact(bytes((0x83, *bytes(8))), hz, mode, gap_ns=gap_ns)
        assert (read.late, read.data) == (0, b"\xff" + image[3:11])
        assert 0 < read.longest_cycles < 16_000_000 // hz // 2 + gap_ns * 16 // 1000
        written = uno.wires.spi_transact(b"\x05\xca\xfe", hz, mode, gap_ns=gap_ns)
        assert (written.late, written.data) == (0, b"\xff\xff\xff")
    uno.until(lambda: len(uno.of_type(EventType.TARGET_WRITE)) == 4)
    assert {event.fields().octets for event in uno.of_type(EventType.TARGET_WRITE)} == {
        b"\x05\xca\xfe"
    }
    reads = [event.fields() for event in uno.of_type(EventType.TARGET_READ)]
    assert [(one.slot, one.pointer, one.n) for one in reads] == [(0, 3, 8)] * 4
    assert not uno.of_type(EventType.TARGET_STALE)


@wants_simavr()
def test_too_fast_a_clock_is_told(uno: UnoBench) -> None:
    """Where the clock does not wait the controller reads its own octets, nothing of the image, and
    the board says that its answer was late."""
    image = with_image(uno)
    read = uno.wires.spi_transact(bytes((0x83, *bytes(4))), 4_000_000)
    assert read.late > 0
    assert not set(read.data) & set(image)
    uno.until(lambda: uno.of_type(EventType.TARGET_STALE))
    assert uno.of_type(EventType.TARGET_STALE)[0].fields().age_ms == 0
    again = uno.wires.spi_transact(bytes((0x83, 0)), GAPLESS_HZ)
    assert (again.late, again.data) == (0, b"\xff" + image[3:4]), "the next one is whole"


@wants_simavr()
def test_uno_without_a_fresh_image(uno: UnoBench) -> None:
    """Before its image is whole, and when it is old, each transaction reads FFh and is told."""
    assert as_target(uno, fresh_ms=50) == 0
    assert uno.wires.spi_transact(bytes((0x80, 0, 0))).data == b"\xff\xff\xff"
    uno.until(lambda: len(uno.of_type(EventType.TARGET_STALE)) == 1)
    assert uno.of_type(EventType.TARGET_STALE)[0].fields().age_ms == 0xFFFF
    with_image(uno, fresh_ms=50)
    uno.until(lambda: uno.wires.spi_transact(bytes((0x80, 0, 0))).data == b"\xff\xff\xff")
    uno.until(lambda: len(uno.of_type(EventType.TARGET_STALE)) == 2)
    assert uno.of_type(EventType.TARGET_STALE)[1].fields().age_ms >= 50


@wants_simavr()
def test_controller_and_target_exclude_each_other(uno: UnoBench) -> None:
    """The Uno has one SPI: as target it is no controller, and not while it holds a chip select."""
    config = {"bus": 0, "cs": 0, "mode": 0, "hz": 1_000_000}
    assert uno.ask(Request.SPI_CONFIG, **config).ok
    assert uno.ask(Request.SPI_XFER, bus=0, cs=0, flags=1, data=b"\x9f").ok
    assert as_target(uno) == Status.BUSY
    assert uno.ask(Request.SPI_XFER, bus=0, cs=0, flags=0, data=b"\x9f").ok
    with_image(uno)
    assert uno.ask(Request.SPI_CONFIG, **config).status == Status.INVALID
    assert uno.ask(Request.SPI_XFER, bus=0, cs=0, flags=0, data=b"\x9f").status == Status.BUSY
    assert as_target(uno, address=TARGET + 1) == Status.INVALID, "one chip select"
    assert as_target(uno, size=0) == 0
    assert uno.ask(Request.SPI_CONFIG, **config).ok
    assert uno.link.identity is not None
    assert uno.link.identity.capabilities & Capability.SPI_TARGET
