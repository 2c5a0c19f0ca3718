"""The Uno's image on the emulated ATmega328P: link, buses, reset causes, front end."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from unobench import UnoBench, parts, wants_simavr

from hil.boards import emulators
from hil.boards.emulate_simavr import CAUSES, missing, runner
from hil.boards.link import LinkState
from hil.boards.protocol import STALE, Capability, EventType, Request, ResetCause
from hil.boards.silicon import Silicon
from hil.boards.wires import SCL, SDA, Answer, Nothing
from hil.errors import HostError
from hil.testing.contracts.board import open_session, opened
from hil.testing.contracts.board_bench import BoardBench

pytestmark = wants_simavr()

MONITOR, THERMOMETER, ABSENT = 0x40, 0x48, 0x23
#: SMBus 3.2 section 4.2.2: a target may hold the clock so long in one message, and so long at all
HOLD_LIMIT_CYCLES, ALL_HOLDS_LIMIT_CYCLES = 10 * 16_000, 25 * 16_000
TARGET = 0x2A
UID = bytes.fromhex("5f3c9a0012d4e801")


@pytest.fixture
def silicon() -> Iterator[Silicon]:
    """Parts for one board."""
    with parts() as built:
        yield built


@pytest.fixture
def uno(silicon: Silicon) -> Iterator[UnoBench]:
    """A board whose session is open, as fast as it goes."""
    with UnoBench(silicon) as bench:
        bench.open()
        yield bench


@pytest.mark.parametrize("pace", ["wall", "free"])
def test_uno_reads_parts_through_its_own_registers(silicon: Silicon, pace: str) -> None:
    """The image reads an INA3221, a TMP117 and a W25Q by TWI and SPI, at either pace."""
    silicon.parts["thermometer"].set("temperature_c", 31.5)
    with UnoBench(silicon, pace) as uno:
        uno.open()
        assert uno.ask(Request.I2C_CONFIG, bus=0, hz=400_000).fields().hz == 400_000
        ids = uno.xfer((MONITOR, b"\xfe"), (MONITOR, 2)).fields()
        assert (ids.data, ids.failed) == (b"TI", 0xFF)
        assert uno.xfer((THERMOMETER, b"\x0f"), (THERMOMETER, 2)).fields().data == b"\x01\x17"
        raw = uno.xfer((THERMOMETER, b"\x00"), (THERMOMETER, 2)).fields().data
        assert int.from_bytes(raw, "big") == 31.5 * 128
        assert (
            uno.ask(Request.SPI_CONFIG, bus=0, cs=0, mode=0, hz=5_000_000).fields().hz == 4_000_000
        )
        jedec = uno.ask(Request.SPI_XFER, bus=0, cs=0, flags=0, data=b"\x9f\0\0\0").fields().data
        assert jedec[1:] == b"\xef\x40\x15"


def test_write_and_read_are_one_transaction(uno: UnoBench, silicon: Silicon) -> None:
    """Messages of one request are joined by repeated STARTs: the parts see one transaction."""
    counted = silicon.exchange.counted["wires"]
    uno.xfer((MONITOR, b"\xff"), (MONITOR, 2), (THERMOMETER, b"\x0f"), (THERMOMETER, 2))
    assert counted["transactions"] == 1
    uno.xfer((MONITOR, b"\xff"), flags=1)  # HOLD: no STOP
    assert uno.xfer((MONITOR, 2)).fields().data == b"\x32\x20"
    assert counted["transactions"] == 2
    assert counted["late_naks"] == counted["diverged"] == 0


def test_written_register_is_read_back(uno: UnoBench, silicon: Silicon) -> None:
    """What the board writes to a part is in the part, and no more is read than was asked for."""
    uno.xfer((MONITOR, b"\x00\x71\x27"))
    assert uno.xfer((MONITOR, b"\x00"), (MONITOR, 2)).fields().data == b"\x71\x27"
    assert silicon.exchange.counted["wires"]["diverged"] == 0


@pytest.mark.parametrize("message", [b"", b"\x01\x02", 3], ids=["probe", "write", "read"])
def test_absent_address_is_not_acknowledged(uno: UnoBench, message: bytes | int) -> None:
    """An address without a part is NAK_ADDRESS, and the bus is free afterwards."""
    reply = uno.xfer((MONITOR, b"\xff"), (ABSENT, message))
    assert reply.status == 1
    assert reply.payload[4:6] == b"\x00\x01"  # nothing taken, in message 1
    assert uno.xfer((MONITOR, b"\xff"), (MONITOR, 2)).fields().data == b"\x32\x20"


def micros(uno: UnoBench) -> int:
    """Return the board's clock."""
    composed: int = uno.ask(Request.TIME).fields().composed_us
    return composed


@pytest.mark.parametrize("lines", [SDA, SCL, SDA | SCL], ids=["SDA", "SCL", "both"])
def test_stuck_bus_is_told_within_bounds(uno: UnoBench, lines: int) -> None:
    """With a line held low a transfer ends by STUCK, within 100 ms of the board's own clock."""
    before = micros(uno)
    uno.wires.hold(lines)
    assert uno.xfer((MONITOR, b"\xff"), (MONITOR, 2)).status == 5
    assert micros(uno) - before < 100_000
    uno.wires.hold(0)
    assert uno.xfer((MONITOR, b"\xff"), (MONITOR, 2)).ok


def test_recovery_frees_a_bus_that_clocks_can_free(uno: UnoBench) -> None:
    """Nine clocks free a bus whose part lets SDA go after seven, and not one that never does."""
    uno.wires.hold(SDA, clocks=7)
    assert uno.ask(Request.I2C_RECOVER, bus=0).ok
    assert uno.xfer((MONITOR, b"\xff"), (MONITOR, 2)).ok
    uno.wires.hold(SDA)
    assert uno.ask(Request.I2C_RECOVER, bus=0).status == 5
    uno.wires.hold(0)


def test_line_rate_goes_up_to_a_megabaud(uno: UnoBench) -> None:
    """Each rate that the board takes is the rate of its UART then, and requests pass."""
    for baud in (250_000, 500_000, 1_000_000):
        kept: list[bool] = []
        uno.link.set_baud(baud, kept.append, time.monotonic_ns())
        uno.until(lambda kept=kept: kept)
        assert kept == [True]
        uno.wires.status()  # behind what the board has told of its rate
        assert uno.wires.baud == baud
        assert uno.ask(Request.PING, data=bytes(100)).payload == bytes(100)
    assert uno.ask(Request.SET_BAUD, baud=3_000_000).status != 0


@pytest.mark.parametrize(
    ("cause", "seen"),
    [
        ("power-on", ResetCause.POWER_ON),
        ("external", ResetCause.EXTERNAL),
        ("brown-out", ResetCause.BROWN_OUT),
        ("watchdog", ResetCause.WATCHDOG),
    ],
)
def test_reset_cause_is_told(uno: UnoBench, cause: str, seen: ResetCause) -> None:
    """BOOT names the cause that MCUSR had, and another boot than before."""
    before = uno.link.identity
    assert before is not None
    uno.board.reset(cause)
    uno.until(lambda: uno.link.state is LinkState.OPEN and uno.link.identity is not before)
    assert uno.link.identity is not None
    assert uno.link.identity.reset_cause is seen
    assert uno.link.identity.boot_id != before.boot_id


def test_asked_reset_is_a_software_reset(uno: UnoBench) -> None:
    """RESET resets the processor by its watchdog, and says that it was asked to."""
    assert uno.ask(Request.RESET, kind=0).ok
    uno.until(lambda: uno.link.counters["resets"] == 1 and uno.link.state is LinkState.OPEN)
    assert uno.link.identity is not None
    assert uno.link.identity.reset_cause is ResetCause.SOFTWARE


def test_board_without_power_is_silent(uno: UnoBench) -> None:
    """Held in reset the board answers nothing; let go it boots."""
    uno.board.reset("power-on", is_held=True)
    uno.link.hello(time.monotonic_ns())
    uno.until(lambda: uno.link.state is LinkState.LOST)
    uno.board.reset("power-on")
    uno.open()


def test_identity_lasts(tmp_path: Path) -> None:
    """A uid that was written is there after a power cycle, and each start is another boot."""
    eeprom = tmp_path / "eeprom"  # not there: as it comes from the factory
    with UnoBench(eeprom=eeprom) as uno:
        first = uno.open()
        assert first.uid == bytes(8)
        assert Capability.UID_WRITABLE in first.capabilities
        assert uno.ask(
            Request.WRITE, 50_000_000, space=1, offset=0, data=b"\x5f\x3c\x9a\0\x12\xd4\xe8\x01"
        ).ok
    with UnoBench(eeprom=eeprom) as uno:
        second = uno.open()
    assert second.uid == UID
    assert second.boot_id != first.boot_id


def test_what_was_written_outlasts_the_plug() -> None:
    """An identity that the host has given is there when the emulation is replugged."""
    with emulators.start("uno", "simavr", uid=UID, pace="free") as board:
        with opened(board.port) as fd:
            bench = BoardBench(fd)
            assert open_session(bench).uid == UID
            bench.request(Request.WRITE, b"\x01\0\0\0\0" + UID[::-1])
        board.unplug()
        with opened(board.replug()) as fd:
            assert open_session(BoardBench(fd)).uid == UID[::-1]


def test_pins_are_read_written_and_watched(uno: UnoBench) -> None:
    """GPIO: pull-up, level from outside, an edge with its time, an output that the bench sees."""
    seen: list[tuple[int, int, int]] = []
    around = uno.wires.around

    class Watch:
        def __getattr__(self, name: str) -> object:
            return getattr(around, name)

        def port(self, cycles: int, port: int, direction: int, value: int) -> None:
            seen.append((port, direction, value))

    uno.wires.around = Watch()  # type: ignore[assignment]
    assert uno.ask(Request.GPIO_CONFIG, pin=2, mode=1, edges=3).fields().level == 1
    uno.wires.drive(2, 0b100, 0)
    uno.until(lambda: uno.of_type(EventType.GPIO_EDGE))
    edge = uno.of_type(EventType.GPIO_EDGE)[0].fields()
    assert (edge.pin, edge.level) == (2, 0)
    assert uno.ask(Request.GPIO_READ, pin=2).fields().level == 0
    assert uno.ask(Request.GPIO_CONFIG, pin=9, mode=3, edges=0).fields().level == 0
    assert uno.ask(Request.GPIO_WRITE, pin=9, level=1).ok
    uno.wires.status()
    assert seen[-1] == (0, seen[-1][1] | 2, seen[-1][2] | 2)
    assert uno.ask(Request.GPIO_CONFIG, pin=2, mode=2, edges=0).status == 6  # no pull-downs
    assert uno.ask(Request.GPIO_CONFIG, pin=0, mode=0, edges=0).status == 7  # the link's own


def as_front_end(uno: UnoBench, fresh_ms: int = 0, width: int = 2) -> bytes:
    """Make the board a target of 16 registers; return its image."""
    image = bytes(range(0x10, 0x30))
    assert uno.ask(
        Request.TARGET_CONFIG,
        slot=0,
        bus=0,
        address=TARGET,
        width=width,
        pointer=1,
        flags=1,
        fresh_ms=fresh_ms,
        size=len(image),
    ).ok
    assert uno.ask(Request.IMAGE_WRITE, slot=0, offset=0, data=image).ok
    return image


def test_front_end_answers_within_stretch_limits(uno: UnoBench) -> None:
    """As target the board answers from its image, and holds the clock as briefly as SMBus wants."""
    image = as_front_end(uno)
    for hz in (100_000, 400_000):
        outcome = uno.wires.transact([(TARGET, b"\x03"), (TARGET, 6)], hz)
        assert (outcome.status, outcome.data) == (0, image[6:12])
        assert 0 < outcome.longest_cycles < HOLD_LIMIT_CYCLES
        assert outcome.stretched_cycles < ALL_HOLDS_LIMIT_CYCLES
    uno.until(lambda: len(uno.of_type(EventType.TARGET_READ)) == 2)
    read = uno.of_type(EventType.TARGET_READ)[0].fields()
    assert (read.slot, read.pointer, read.n) == (0, 3, 6)
    assert not uno.of_type(EventType.TARGET_WRITE), "a pointer alone is no write"


def test_front_end_tells_what_was_written(uno: UnoBench) -> None:
    """What a controller writes comes as an event, the pointer first."""
    as_front_end(uno)
    assert uno.wires.transact([(TARGET, b"\x05\xca\xfe")]).status == 0
    uno.until(lambda: uno.of_type(EventType.TARGET_WRITE))
    assert uno.of_type(EventType.TARGET_WRITE)[0].fields().octets == b"\x05\xca\xfe"


def test_stale_image_is_not_served(uno: UnoBench) -> None:
    """An image that nobody renews is not acknowledged from then on, which is told; a new one is."""
    as_front_end(uno, fresh_ms=50)
    assert uno.wires.transact([(TARGET, b"\x00"), (TARGET, 2)]).status == 0
    uno.until(lambda: uno.of_type(EventType.TARGET_STALE))
    assert uno.of_type(EventType.TARGET_STALE)[0].fields().age_ms >= 50
    outcome = uno.wires.transact([(TARGET, b"\x00"), (TARGET, 2)])
    assert (outcome.status, outcome.failed, outcome.data) == (1, 0, b"")
    as_front_end(uno)
    assert uno.wires.transact([(TARGET, b"\x00"), (TARGET, 2)]).status == 0
    assert STALE == 0x10


def test_other_addresses_are_not_the_boards(uno: UnoBench) -> None:
    """A target leaves other addresses alone, and can still be controller in between."""
    as_front_end(uno)
    assert uno.wires.transact([(TARGET + 1, b"\x00")]).status == 1
    assert uno.xfer((MONITOR, b"\xff"), (MONITOR, 2)).fields().data == b"\x32\x20"
    assert uno.wires.transact([(TARGET, b"\x01"), (TARGET, 1)]).data == b"\x12"


def test_absent_library_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where the runner cannot be built, one line says what to install."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(HostError, match="apt-get install gcc libsimavr-dev") as caught:
        runner()
    assert "\n" not in str(caught.value)
    assert missing() == str(caught.value)


def test_causes_are_the_bits_of_mcusr() -> None:
    """The causes are those of the data sheet's section 11.9.1, one bit each."""
    assert sorted(CAUSES.values()) == [1, 2, 4, 8]


class Clocked(Nothing):
    """A part that takes everything and notes when, in cycles of the board's 16 MHz."""

    def __init__(self) -> None:
        self.at: list[int] = []

    def i2c_start(self, cycles: int, octet: int, is_repeated: bool, clocked: int) -> Answer:
        return Answer(True)

    def i2c_write(self, cycles: int, octet: int) -> Answer:
        self.at.append(cycles)
        return Answer(True)


def test_bus_starts_at_100_khz(uno: UnoBench) -> None:
    """Before anybody has configured it the bus runs at the 100 kHz that every part can do."""
    uno.wires.around = clocked = Clocked()
    assert uno.xfer((ABSENT, bytes(8))).ok
    octets = [later - at for at, later in pairwise(clocked.at)]
    assert all(0 <= cycles - 9 * 160 < 600 for cycles in octets), octets
