"""Every bus part over its whole range through the flight driver, and every transaction failed."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from flightsw.codec.wire import Status
from flightsw.drivers import ina3221, lsm6dsox, tmp117, w25q
from flightsw.errors import BusError
from flightsw.hal import Device
from hil.buses.adapters import errno_for
from hil.buses.faults import BusFault
from hil.buses.i2c import I2CBus
from hil.buses.spi import SPIBus
from hil.parts.base import Part
from hil.parts.ina3221 import Ina3221
from hil.parts.lsm6dsox import Lsm6dsox
from hil.parts.tmp117 import Tmp117
from hil.parts.w25q import W25Q128
from hil.testing.contracts.part import check_part, sweep

SHUNTS = (0.01, 0.01, 0.05)


class Hal:
    """The buses of this process as flight code sees them; time moves by the bus time."""

    def __init__(self) -> None:
        self.i2c_bus = I2CBus("i2c-1", 400_000, "bcm2835")
        self.spi_bus = SPIBus("spi-0", "bcm2835")
        self.clock = self
        self._now_ns = 0

    def now_ns(self) -> int:
        return self._now_ns

    def sleep_until(self, t_ns: int) -> None:
        self._now_ns = max(self._now_ns, t_ns)

    def wait(self, seconds: float) -> None:
        self._now_ns += round(seconds * 1e9)

    def _take(self, outcome: tuple[int, int, bytes]) -> bytes:
        status, duration_ns, data = outcome
        self._now_ns += duration_ns
        if status:
            code = errno_for("bcm2835", status)
            raise BusError(code, os.strerror(code))
        return data

    def i2c(self, channel: str) -> Any:
        hal = self

        class Controller:
            def transfer(self, address: int, write: bytes, nread: int = 0) -> bytes:
                return hal._take(hal.i2c_bus.transfer(hal._now_ns, address, write, nread))

        return Controller()

    def spi(self, channel: str, chip_select: int) -> Any:
        hal = self

        class Controller:
            def transfer(self, tx: bytes) -> bytes:
                return hal._take(hal.spi_bus.transfer(hal._now_ns, chip_select, tx))

        return Controller()


class Case(NamedTuple):
    """One part, its driver, and how to get each quantity out of what the driver reads."""

    part: Callable[[], Part]
    driver: Callable[[Any, Device], Any]
    address: int
    #: quantity -> (of the driver's reading, quantum of the driver's unit, range or None)
    readings: dict[str, tuple[Callable[[Any], float], float, tuple[float, float] | None]]


def volts(n: int) -> Callable[[Any], float]:
    return lambda row: row[2 * n] / 1000


def amperes(n: int) -> Callable[[Any], float]:
    return lambda row: row[2 * n + 1] / 1000


def rate(n: int) -> Callable[[Any], float]:
    return lambda row: lsm6dsox.urad_s(row[1 + n]) / 1e6


def acceleration(n: int) -> Callable[[Any], float]:
    return lambda row: lsm6dsox.um_s2(row[4 + n]) / 1e6


CASES = {
    "ina3221": Case(
        lambda: Ina3221("power", 11, shunts=SHUNTS),
        ina3221.Ina3221,
        0x40,
        {
            **{f"bus{n + 1}_v": (volts(n), 0.001, None) for n in range(3)},
            **{
                f"current{n + 1}_a": (amperes(n), 0.001, (-0.163 / ohm, 0.163 / ohm))
                for n, ohm in enumerate(SHUNTS)
            },
        },
    ),
    "tmp117": Case(
        lambda: Tmp117("temp", 11),
        tmp117.Tmp117,
        0x48,
        {"temperature_c": (lambda raw: tmp117.centidegrees(raw) / 100, 0.01, None)},
    ),
    "lsm6dsox": Case(
        lambda: Lsm6dsox("imu", 11),
        lsm6dsox.Lsm6dsox,
        0x6A,
        {
            **{f"gyro_{a}_rad_s": (rate(n), 2e-6, (-8.7, 8.7)) for n, a in enumerate("xyz")},
            **{f"accel_{a}_m_s2": (acceleration(n), 2e-6, (-39, 39)) for n, a in enumerate("xyz")},
            "temperature_c": (lambda row: lsm6dsox.centidegrees(row[0]) / 100, 0.01, None),
        },
    ),
}


def start(name: str) -> tuple[Hal, Part, Any]:
    """Put a part on the bus and return it with its driver, not started."""
    case = CASES[name]
    hal, part = Hal(), case.part()
    hal.i2c_bus.attach(case.address, part)  # type: ignore[arg-type]
    params = {"shunts": SHUNTS} if name == "ina3221" else {}
    return hal, part, case.driver(hal, Device("role", name, "i2c-1", case.address, params))


@pytest.mark.parametrize(
    "make",
    [*(case.part for case in CASES.values()), lambda: W25Q128("flash", 11)],
    ids=[*CASES, "w25q"],
)
def test_contract(make: Callable[[], Part]) -> None:
    """Every part passes the public contract suite."""
    check_part(make)


@pytest.mark.parametrize(
    ("name", "quantity"), [(name, q) for name, case in CASES.items() for q in case.readings]
)
def test_sweep(name: str, quantity: str) -> None:
    """Over its range a quantity reads as set, within the part's epsilon and the driver's unit."""
    hal, part, driver = start(name)
    driver.start()
    pick, quantum, limits = CASES[name].readings[quantity]

    def read() -> float:
        hal.wait(2.0)
        return pick(driver.read())

    epsilon = part.QUANTITIES[quantity].epsilon + quantum
    sweep(part, quantity, read, points=17, epsilon=epsilon, limits=limits)


def test_every_quantity_is_swept() -> None:
    """No quantity of a part is left out of the sweep."""
    for case in CASES.values():
        assert set(case.readings) == set(case.part().QUANTITIES)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("kind", ["nak_address", "nak_data", "stuck_sda", "arbitration"])
def test_one_failed_transaction_is_retried(name: str, kind: str) -> None:
    """Fail the n-th transaction for n = 0, 1, ...: the driver reads the truth all the same."""
    for n in range(50):
        hal, part, driver = start(name)
        for quantity in ("bus1_v", "temperature_c"):
            if quantity in part.QUANTITIES:
                part.set(quantity, 5.0)
        hal.i2c_bus.add_fault(BusFault("i2c-1", kind, first=n, last=n))
        driver.start()
        hal.wait(2.0)
        row = driver.read()
        assert {"ina3221": 5000, "tmp117": 640, "lsm6dsox": -20 * 256}[name] == (
            row if isinstance(row, int) else row[0]
        )
        assert driver.traffic.retries == hal.i2c_bus.counters["faulted"]
        assert driver.traffic.errors == 0
        if not hal.i2c_bus.counters["faulted"]:
            return
    pytest.fail("the driver never got through without meeting the fault")


def failure(hal: Hal, driver: Any) -> BusError | None:
    """Start and read once; return what the driver raised."""
    try:
        driver.start()
        hal.wait(2.0)
        driver.read()
    except BusError as error:
        return error
    return None


@pytest.mark.parametrize("name", CASES)
def test_failure_that_lasts_is_reported(name: str) -> None:
    """Fail from the n-th transaction on, n = 0, 1, ...: the driver raises the adapter's errno."""
    for n in range(50):
        hal, _, driver = start(name)
        hal.i2c_bus.add_fault(BusFault("i2c-1", "absent", first=n))
        error = failure(hal, driver)
        if error is not None:
            assert error.errno == errno_for("bcm2835", Status.NAK_ADDRESS)
            assert driver.traffic.errors == 1
            continue
        assert hal.i2c_bus.transfers == n
        return
    pytest.fail("the driver never got through without meeting the fault")


def test_flash_keeps_what_the_driver_writes() -> None:
    """Erase, program over page borders and read give back what was written, busy times waited."""
    hal = Hal()
    part = W25Q128("flash", 11)
    hal.spi_bus.attach(0, part, mode=0, speed_hz=20_000_000)
    driver = w25q.W25q(hal, Device("flash", "w25q", "spi-0", 0, {}))
    driver.start()
    data = bytes(n * 31 % 256 for n in range(1000))
    for _ in range(2):
        driver.erase_sector(0x12345)
        driver.program(0x12345, data)
    assert driver.read(0x12345 - 1, 1002) == b"\xff" + data + b"\xff"
    assert part.store.wear[0x12] == 2
    assert not part.ignored
    assert driver.traffic.errors == 0
