"""Faults and interceptors on the I2C bus."""

from __future__ import annotations

import pytest

from flightsw.codec.wire import Status
from hil.buses.faults import BusFault
from hil.buses.i2c import READ, I2CBus
from hil.buses.intercept import Crossing, Forward, Result
from hil.errors import ConfigError
from hil.testing.contracts.bus import I2CMemory

CLEAN = (Status.OK, 57 * 2500, b"\x10\x11\x12")


def make(profile: str = "ideal") -> tuple[I2CBus, I2CMemory]:
    bus = I2CBus("i2c-1", 400_000, profile)
    part = I2CMemory()
    bus.attach(0x50, part)
    return bus, part


def read(bus: I2CBus, t_ns: int = 0) -> tuple[int, int, bytes]:
    return bus.transfer(t_ns, 0x50, b"\x10", 3)


@pytest.mark.parametrize(
    ("kind", "args", "outcome"),
    [
        ("absent", {}, (Status.NAK_ADDRESS, 11 * 2500, b"")),
        ("nak_address", {}, (Status.NAK_ADDRESS, 11 * 2500, b"")),
        ("nak_data", {"after": 0}, (Status.NAK_DATA, 20 * 2500, b"")),
        ("stuck_sda", {}, (Status.STUCK, 10**9, b"")),
        ("stuck_scl", {}, (Status.TIMEOUT, 10**9, b"")),
        ("arbitration", {}, (Status.ARBITRATION_LOST, 10 * 2500, b"")),
        ("bit_flip", {"octet": 1, "bit": 7}, (Status.OK, 57 * 2500, b"\x10\x91\x12")),
        ("bit_flip", {"octet": 0, "bit": 0, "write": 1}, (Status.OK, 57 * 2500, b"\x11\x12\x13")),
        ("truncate", {"after": 1}, (Status.OK, 57 * 2500, b"\x10\xff\xff")),
        ("stretch", {"ns": 7000}, (Status.OK, 57 * 2500 + 7000, b"\x10\x11\x12")),
        ("stretch", {"ns": 2 * 10**9}, (Status.TIMEOUT, 10**9, b"")),
        ("delay", {"ns": 7000}, (Status.OK, 57 * 2500 + 7000, b"\x10\x11\x12")),
        ("duplicate", {}, (Status.OK, 2 * 57 * 2500, b"\x10\x11\x12")),
        ("spam", {"times": 3, "octets": 2}, (Status.OK, (57 + 3 * 29) * 2500, b"\x10\x11\x12")),
    ],
)
def test_each_kind_does_what_it_says(
    kind: str, args: dict[str, int], outcome: tuple[int, int, bytes]
) -> None:
    """A fault has its effect, marks the transaction, is counted, and is over when removed."""
    bus, _ = make()
    assert read(bus) == CLEAN
    fault = BusFault("i2c-1", kind, 0x50, args=args)
    bus.add_fault(fault)
    assert read(bus) == outcome
    assert bus.faulted
    assert bus.faults.hits[kind] == bus.counters["faulted"] == 1
    bus.remove_fault(fault)
    assert read(bus) == CLEAN
    assert not bus.faulted


def test_fault_hits_only_its_address_and_its_transactions() -> None:
    """Index and address of a row select the transactions; the rest stay untouched and unmarked."""
    bus, _ = make()
    bus.attach(0x52, I2CMemory())
    bus.add_fault(BusFault("i2c-1", "nak_address", 0x50, first=2, last=3))
    statuses = [bus.transfer(0, 0x52 if n == 2 else 0x50, b"\x00", 1)[0] for n in range(5)]
    assert statuses == [Status.OK, Status.OK, Status.OK, Status.NAK_ADDRESS, Status.OK]
    assert bus.counters["faulted"] == 1


def test_fault_in_a_range_of_time() -> None:
    """A row may select by virtual time instead, both ends included."""
    bus, _ = make()
    bus.add_fault(BusFault("i2c-1", "absent", unit="t_ns", first=100, last=200))
    statuses = [read(bus, t_ns)[0] == Status.OK for t_ns in (99, 100, 200, 201)]
    assert statuses == [True, False, False, True]


def test_octets_before_a_data_nak_reach_the_part() -> None:
    """A write cut by a NAK has written what was acknowledged, as on the wire."""
    bus, part = make()
    bus.add_fault(BusFault("i2c-1", "nak_data", args={"after": 2}))
    status, duration_ns, _ = bus.transfer(0, 0x50, b"\x20\xaa\xbb", 0)
    assert (status, duration_ns) == (Status.NAK_DATA, (11 + 3 * 9) * 2500)
    assert (part.cells[0x20], part.cells[0x21]) == (0xAA, 0x21)
    assert part.stops == 1


def test_stuck_bus_keeps_the_part_out() -> None:
    """While a line is stuck the part sees neither octets nor stop."""
    bus, part = make()
    bus.add_fault(BusFault("i2c-1", "stuck_sda"))
    bus.transfer(0, 0x50, b"\x20\xaa", 0)
    assert (part.cells[0x20], part.stops) == (0x20, 0)


def test_stretched_clock_garbles_on_the_broadcom_controller() -> None:
    """The adapter with the clock-stretching defect waits, and reads a wrong top bit."""
    bus, _ = make("bcm2835")
    bus.add_fault(BusFault("i2c-1", "stretch", args={"ns": 7000}))
    assert read(bus) == (Status.OK, 57 * 2500 + 7000, b"\x90\x11\x12")


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (BusFault("i2c-2", "absent"), "names bus 'i2c-2'"),
        (BusFault("i2c-1", "gremlin"), "not a fault of this kind of bus"),
        (BusFault("i2c-1", "stuck_miso"), "not a fault of this kind of bus"),
        (BusFault("i2c-1", "absent", args={"after": 1}), "argument 'after' is not known"),
        (BusFault("i2c-1", "delay", args={"ns": -1}), "has ns -1; give 0 to"),
        (BusFault("i2c-1", "nak_data", args={"after": -1}), "has after -1; give 0 to"),
        (BusFault("i2c-1", "bit_flip", args={"bit": 8}), "has bit 8; give 0 to 7"),
        (BusFault("i2c-1", "absent", unit="s"), "neither 'index' nor 't_ns'"),
        (BusFault("i2c-1", "absent", first=2, last=1), "ends before it starts"),
    ],
)
def test_rows_that_make_no_sense_are_refused(fault: BusFault, message: str) -> None:
    """A wrong row is a configuration error when it is added, not a fault that never comes."""
    bus, _ = make()
    with pytest.raises(ConfigError, match=message):
        bus.add_fault(fault)
    assert read(bus) == CLEAN


def test_removing_a_row_that_is_not_there_is_an_error() -> None:
    """Taking out a fault twice is told."""
    bus, _ = make()
    with pytest.raises(ConfigError, match="not active"):
        bus.remove_fault(BusFault("i2c-1", "absent"))


def blocker(crossing: Crossing, forward: Forward) -> Result | None:
    return int(Status.NAK_ADDRESS), 27_500, []


def modifier(crossing: Crossing, forward: Forward) -> Result | None:
    status, duration_ns, data = forward(crossing)
    return status, duration_ns, [part[::-1] for part in data]


def mimic(crossing: Crossing, forward: Forward) -> Result | None:
    return int(Status.OK), 1, [bytes(what) for _, flags, what in crossing.content if flags & READ]


def passer(crossing: Crossing, forward: Forward) -> Result | None:
    return None


@pytest.mark.parametrize(
    ("interceptor", "outcome", "faulted", "stops"),
    [
        (passer, CLEAN, False, 1),
        (blocker, (Status.NAK_ADDRESS, 27_500, b""), True, 0),
        (modifier, (Status.OK, 57 * 2500, b"\x12\x11\x10"), True, 1),
        (mimic, (Status.OK, 1, b"\x00\x00\x00"), True, 0),
    ],
)
def test_interceptor(
    interceptor: object, outcome: tuple[int, int, bytes], faulted: bool, stops: int
) -> None:
    """An interceptor passes, blocks, modifies or mimics; all but passing mark the transaction."""
    bus, part = make()
    bus.intercept(interceptor)  # type: ignore[arg-type]
    assert read(bus) == outcome
    assert (bus.faulted, part.stops) == (faulted, stops)
    bus.intercept(None)
    assert read(bus) == CLEAN
    assert not bus.faulted


def test_interceptor_sees_faults_behind_it() -> None:
    """An interceptor forwards to a bus that still has its faults."""
    bus, _ = make()
    bus.add_fault(BusFault("i2c-1", "bit_flip", args={"octet": 0, "bit": 0}))
    bus.intercept(modifier)
    assert read(bus)[2] == b"\x12\x11\x11"
