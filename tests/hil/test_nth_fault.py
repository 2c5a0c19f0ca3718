"""Fail the n-th transaction for every n until a run is clean: our drivers, the flight software.

Whatever fails, nothing hangs, nothing ends in a traceback, and no event is lost: what went wrong
is a retry or an error that its driver has counted, and every event waits for the ground.
"""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import Any

import pytest

from flightsw.app import App, create
from flightsw.drivers import make_driver
from flightsw.errors import BusError, Shutdown
from flightsw.hal.bench import DirectHal
from hil.buses.faults import BusFault
from hil.rig import Rig
from hil.testing.booted import booted
from hil.time.transports.direct import DirectPort

SECOND = 1_000_000_000
BUSES = ("i2c-1", "spi-0")
#: every way in which a controller learns that a transaction has failed
KINDS = ("nak_address", "nak_data", "arbitration", "stuck_sda", "stuck_scl")
#: what only the data shows: SPI has no acknowledge
SILENT = ("absent", "bit_flip", "truncate", "wrong_mode")
#: more transactions than any run here has
MOST = 2_000
#: seconds within which a part that went missing is tried again
BACK_S = 11.5


def make_rig(duration_s: float, folder: Path) -> Rig:
    """Return a rig as it was built: once, and thawed for each run. ``folder`` stays empty."""
    return booted(duration_s=duration_s).thaw(folder).rig


def hal_of(rig: Rig) -> DirectHal:
    return DirectHal(DirectPort(rig.exchange, rig.exchange.join("fsw")))


def fail(rig: Rig, bus: str, kind: str, n: int) -> None:
    rig.wiring.buses[bus].add_fault(BusFault(bus, kind, None, "index", n, n))


def hits(rig: Rig, bus: str, kind: str) -> int:
    taken: int = rig.wiring.buses[bus].faults.hits[kind]
    return taken


# --- drivers --------------------------------------------------------------------------------------


def use(hal: DirectHal, driver: Any, read: str) -> Any:
    """Start a driver and read it twice, a second apart."""
    driver.start()
    for _ in range(2):
        hal.clock.sleep_until(hal.clock.now_ns() + SECOND)
        row = getattr(driver, read)()
    return row


#: role in the device table -> what its driver reads with
READS = {
    "power": "read",
    "temp_board": "read",
    "temp_chip": "read",
    "imu": "read",
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("role", READS)
def test_every_failed_transaction_of_a_driver_is_counted(
    role: str, kind: str, tmp_path: Path
) -> None:
    """For every n the driver raises BusError with an errno, or reads on; and it has counted."""
    for n in count():
        assert n < MOST, "no run was ever clean"
        rig = make_rig(30.0, tmp_path)
        hal = hal_of(rig)
        (device,) = (one for one in hal.devices if one.role == role)
        fail(rig, device.channel, kind, n)
        driver = make_driver(hal, device)
        code: int | None = None
        try:
            row = use(hal, driver, READS[role])
        except BusError as error:
            row, code = None, error.errno
        traffic = driver.traffic
        if not hits(rig, device.channel, kind):
            assert (traffic.retries, traffic.errors) == (0, 0)
            assert row is not None
            return
        counted = traffic.retries + traffic.errors
        assert counted, f"transaction {n}: the driver does not know of its failure"
        if row is None:
            assert traffic.errors == 1
            assert code, f"transaction {n}: an error without errno"
        # Once it is over, it is over.
        use(hal, driver, READS[role])
        assert traffic.retries + traffic.errors == counted


# --- flight software ------------------------------------------------------------------------------


def fly(rig: Rig, storage: Path) -> App:
    """Fly to the end of the run; return the flight software as it was then."""
    app = create(hal_of(rig), storage)
    app.run()
    return app


def events_waiting(app: App) -> int:
    """Return how many event reports (service 5) wait for the ground."""
    total = 0
    while (packet := app.store.take()) is not None:
        # primary header of 6 octets, then version, service, subtype (ECSS-E-ST-70-41C 7.4.3.1)
        total += packet[7] == 5
    return total


def check_flight(rig: Rig, bus: str, kind: str, storage: Path, settled: bool) -> bool:
    """Fly with what is failed already; tell whether the fault took effect.

    ``settled``: it comes so early that a missing part has to be back at the end.
    """
    app = fly(rig, storage)
    hit = hits(rig, bus, kind) > 0
    told = sum(s.driver.traffic.retries + s.driver.traffic.errors for s in app.parts.slots.values())
    missing = app.events.counts["PART_MISSING"]
    if hit and kind not in SILENT and (settled or not kind.startswith("stuck")):
        # A bus that hangs at the very end outlasts the run.
        assert told + missing, "nobody knows of the failure"
    if not hit:
        assert (told, missing) == (0, 0), "a clean run counted a failure"
    assert app.store.dropped == 0
    assert events_waiting(app) == app.events.total, "an event was lost"
    if settled:
        assert app.events.counts["PART_BACK"] == missing, "a part stayed missing"
        assert app.parts.mask() == 0
    return hit


def loop(bus: str, kind: str, tmp_path: Path, duration_s: float, stride: int) -> int:
    """Fly for every ``stride``-th n until a run is clean; return how many runs were hit."""
    clean = make_rig(duration_s - BACK_S, tmp_path / "rig")
    fly(clean, tmp_path / "clean")
    early: int = clean.wiring.buses[bus].counters["transfers"]
    for runs, n in enumerate(range(0, MOST, stride)):
        rig = make_rig(duration_s, tmp_path / "rig")
        fail(rig, bus, kind, n)
        if not check_flight(rig, bus, kind, tmp_path / f"{bus}-{kind}-{n}", n < early):
            return runs
    raise AssertionError("no run was ever clean")


@pytest.mark.parametrize(
    ("bus", "kind"),
    [("i2c-1", "nak_address"), ("i2c-1", "stuck_sda"), ("spi-0", "absent"), ("spi-0", "bit_flip")],
)
def test_the_flight_software_survives_any_failed_transaction(
    bus: str, kind: str, tmp_path: Path
) -> None:
    """Fifteen seconds from power-on, one transaction failed: it flies on, and no event is lost."""
    assert loop(bus, kind, tmp_path, 15.0, 1 if bus == "spi-0" else 4) > 10


@pytest.mark.soak
@pytest.mark.parametrize(
    ("bus", "kind"), [("i2c-1", k) for k in (*KINDS, *SILENT[:3])] + [("spi-0", k) for k in SILENT]
)
def test_the_flight_software_survives_every_failed_transaction(
    bus: str, kind: str, tmp_path: Path
) -> None:
    """The same for every n and every kind of failure."""
    assert loop(bus, kind, tmp_path, 30.0, 1) > 10


def test_a_run_ends_while_a_transaction_fails(tmp_path: Path) -> None:
    """A run that is over while a part is being tried again ends as any other."""
    rig = make_rig(2.0, tmp_path / "rig")
    for bus in BUSES:
        kind = "stuck_sda" if bus.startswith("i2c") else "absent"
        rig.wiring.buses[bus].add_fault(BusFault(bus, kind, None, "t_ns", SECOND))
    app = create(hal_of(rig), tmp_path)
    app.run()
    with pytest.raises(Shutdown):
        app.hal.clock.sleep_until(10 * SECOND)
