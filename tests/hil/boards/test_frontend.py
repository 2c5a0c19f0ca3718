"""A board in the place of emulated parts: a controller on its wires reads what the world makes."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from frontbench import Front, posix_front, uno_front

from flightsw.codec import bus_payload
from flightsw.codec.wire import Flag, Kind, Status, unpack_all
from hil.board import BusSpec, PartSpec
from hil.boards.emulate_simavr import missing
from hil.boards.silicon import Silicon
from hil.errors import ConfigError
from hil.parts.ina3221 import CVRF, MASK_ENABLE

MONITOR, THERMOMETER, MEMORY = 0x40, 0x48, 0x50
PARTS = (
    PartSpec("monitor", "ina3221", "i2c-1", MONITOR),
    PartSpec("thermometer", "tmp117", "i2c-1", THERMOMETER),
    PartSpec("memory", "at24c256", "i2c-1", MEMORY),
)
BUSES = (BusSpec("i2c-1", "i2c", 0, {"bitrate_hz": 400_000, "high_speed_hz": 0}),)


@pytest.fixture
def records() -> bytearray:
    """Give the octets of all records of the emulated buses."""
    return bytearray()


@pytest.fixture
def front(records: bytearray) -> Iterator[Front]:
    """Give a board that plays an INA3221 and a TMP117."""
    with Silicon.of(PARTS, BUSES) as silicon:
        silicon.exchange.recorder.sink = records.extend
        with posix_front(silicon) as front:
            front.play("monitor")
            front.play("thermometer")
            yield front


def crossed(front: Front, records: bytearray) -> list[tuple[int, int, bytes]]:
    """Return status, address and payload of every I2C record, which must all be a board's."""
    front.silicon.exchange.recorder.flush()
    found = [record for record in unpack_all(bytes(records)) if record.kind == Kind.I2C]
    assert all(record.flags & Flag.BOARD for record in found)
    return [(record.status, record.address, record.payload) for record in found]


def test_controller_reads_the_world(front: Front) -> None:
    """A controller reads bus voltage, current and temperature from the images, as they change."""
    monitor, thermometer = front.silicon.parts["monitor"], front.silicon.parts["thermometer"]
    assert front.read(MONITOR, 0xFE).data == b"TI"
    assert front.read(THERMOMETER, 0x0F).data == b"\x01\x17"
    for volts, celsius in ((5.0, 21.5), (4.6, -8.25), (12.0, 60.0)):
        monitor.set("bus2_v", volts)
        thermometer.set("temperature_c", celsius)
        front.settle(after_s=3)
        raw = int.from_bytes(front.read(MONITOR, 0x04).data, "big")
        assert raw >> 3 == round(volts / 8e-3)
        degrees = int.from_bytes(front.read(THERMOMETER, 0x00).data, "big", signed=True)
        assert degrees == celsius * 128


def test_only_changes_are_pushed(front: Front) -> None:
    """A world that stands still costs no octets of image; one register that changes costs it."""
    front.settle(after_s=2)
    before = front.front.counters["octets_pushed"]
    front.settle()
    assert front.front.counters["octets_pushed"] == before
    front.silicon.parts["thermometer"].set("temperature_c", 77.0)
    front.settle(after_s=2)
    assert 0 < front.front.counters["octets_pushed"] - before <= 8


def test_writes_reach_the_part(front: Front) -> None:
    """What a controller writes is written to the part, and read back from the next image."""
    assert front.wires.transact([(MONITOR, b"\x07\x12\x38")]).status == 0
    front.until(lambda: front.front.counters["writes"])
    assert front.silicon.parts["monitor"].file.values[7] == 0x1238
    front.settle()
    assert front.read(MONITOR, 0x07).data == b"\x12\x38"


def test_reads_take_out_of_the_part(front: Front) -> None:
    """A flag that reading clears is clear in the part and in the next image, as on silicon."""
    front.silicon.parts["monitor"].set("bus1_v", 3.3)
    front.settle(after_s=1)
    assert int.from_bytes(front.read(MONITOR, MASK_ENABLE).data, "big") & CVRF
    front.until(lambda: front.front.counters["reads"])
    assert not front.silicon.parts["monitor"].file.values[MASK_ENABLE] & CVRF
    front.settle()
    assert not int.from_bytes(front.read(MONITOR, MASK_ENABLE).data, "big") & CVRF


def test_records_hold_what_crossed_the_wires(front: Front, records: bytearray) -> None:
    """Each transaction of the controller is a record of the emulated bus, with the board's mark."""
    front.read(MONITOR, 0xFF)
    front.wires.transact([(THERMOMETER, b"\x02\x34\x56")])
    front.until(lambda: front.front.counters["writes"])
    want = [
        (0, MONITOR, bus_payload.pack_i2c(MONITOR, b"\xff", 2) + b"\x32\x20"),
        (0, THERMOMETER, bus_payload.pack_i2c(THERMOMETER, b"\x02\x34\x56", 0)),
    ]
    assert crossed(front, records) == want


def test_stale_image_is_reported_and_never_served(front: Front, records: bytearray) -> None:
    """When the bench stands still the controller is not acknowledged, and the run is told so."""
    seen = []
    front.front.on_stale = lambda part, age_ms: seen.append((part.name, age_ms))
    outcomes = [front.read(MONITOR, 0xFE)]

    def is_refused() -> bool:
        outcomes.append(front.read(MONITOR, 0xFE))
        return outcomes[-1].status != 0

    front.until(is_refused)
    *served, refused = outcomes
    assert {outcome.data for outcome in served} <= {b"TI"}
    assert (refused.status, refused.data) == (Status.NAK_ADDRESS, b"")
    front.until(lambda: seen)
    assert seen[0][0] == "monitor"
    assert seen[0][1] >= front.front.fresh_ms
    assert ("FRONT_END_STALE", {"part": "monitor", "address": MONITOR}) in front.told
    assert crossed(front, records)[-1][:2] == (Status.NAK_ADDRESS, MONITOR)
    front.settle()
    assert front.read(MONITOR, 0xFE).data == b"TI", "renewed, and served again"


def test_board_that_comes_back_is_told_again(front: Front) -> None:
    """After a reset the board knows no image; the front end gives it all of them anew."""
    front.link.hello(time.monotonic_ns())
    front.until(lambda: front.ready)
    front.silicon.parts["monitor"].set("bus3_v", 9.0)
    for begin in front.on_ready:
        begin()
    front.until(lambda: all(face.configured for face in front.front.faces))
    assert front.read(MONITOR, 0xFE).status == Status.NAK_ADDRESS, "no image yet"
    front.settle(after_s=1)
    assert front.read(MONITOR, 0x06).data == (round(9.0 / 8e-3) << 3).to_bytes(2, "big")


def test_parts_without_registers_are_refused(front: Front) -> None:
    """A part that has no register table cannot be played, and the error says why."""
    with pytest.raises(ConfigError, match="'memory' has no register table"):
        front.front.serve(front.silicon.parts["memory"], front.lane, MEMORY)


@pytest.mark.skipif(missing() is not None, reason=str(missing()))
def test_uno_plays_a_part() -> None:
    """The Uno's image plays an INA3221: what fits into its memory is served as the world changes,
    what does not is named, and a bench that stands still is noticed."""
    with Silicon.of(PARTS, BUSES) as silicon, uno_front(silicon) as front:
        front.play("monitor")
        left_out = ["MANUFACTURER_ID", "DIE_ID"]
        told = {"part": "monitor", "address": MONITOR, "registers": left_out}
        assert front.told == [("FRONT_END_LEFT_OUT", told)]
        for volts in (5.0, 3.3):
            silicon.parts["monitor"].set("bus1_v", volts)
            front.settle(after_s=1)
            raw = int.from_bytes(front.read(MONITOR, 0x02).data, "big")
            assert raw >> 3 == round(volts / 8e-3)
        front.until(lambda: front.front.counters["stale"])
        assert front.read(MONITOR, 0x02).status == Status.NAK_ADDRESS
        front.play("thermometer")
        assert front.told[-1][0] == "FRONT_END_REFUSED", "an Uno has one slot"
