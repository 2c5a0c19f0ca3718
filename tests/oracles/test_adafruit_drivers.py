"""Adafruit's drivers, unmodified, read the emulated parts and find what the world holds.

The drivers come from adafruit-circuitpython-ina3221, -tmp117 and -lsm6ds and know nothing of this
bench. :data:`BENCHES` says what stands behind their bus; whatever is added there must pass too.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import adafruit_ina3221
import adafruit_lsm6ds
import pytest
from adafruit_lsm6ds import AccelRange, GyroRange, Rate
from adafruit_lsm6ds.lsm6dsox import LSM6DSOX
from adafruit_tmp117 import TMP117, AverageCount

from flightsw.codec.wire import Status
from flightsw.hal.bench import DirectHal
from hil.board import load_board
from hil.buses.adapters import errno_for
from hil.buses.faults import BusFault
from hil.buses.i2c import I2CBus
from hil.digest import RecordStream
from hil.exchange import Exchange
from hil.faces.busio import I2C, virtual_sleep
from hil.parts.base import Part
from hil.parts.ina3221 import Ina3221
from hil.parts.lsm6dsox import Lsm6dsox
from hil.parts.tmp117 import Tmp117
from hil.testing.contracts.part import sweep
from hil.time.kernel import Kernel
from hil.time.transports.direct import DirectPort
from hil.wiring import Wiring

SHUNTS = (0.01, 0.01, 0.05)
POWER, TEMPERATURE, IMU = 0x40, 0x48, 0x6A


class Bench(Protocol):
    """What a test needs of whatever stands behind the driver's bus."""

    #: the emulated parts, by role: power, temp_board, imu
    parts: dict[str, Part]

    def transfer(self, address: int, write: bytes, nread: int) -> bytes:
        """Run one transaction; raises OSError with the adapter's errno."""

    def now_ns(self) -> int:
        """Return virtual time."""

    def sleep_until(self, t_ns: int) -> None:
        """Let virtual time pass."""


class BusBench:
    """The parts on an I2CBus in this process; time moves by the bus time and by sleeping."""

    def __init__(self) -> None:
        self.bus = I2CBus("i2c-1", 400_000, "bcm2835")
        self.parts: dict[str, Part] = {
            "power": Ina3221("power", seed=7, shunts=SHUNTS),
            "temp_board": Tmp117("temp_board", seed=7),
            "imu": Lsm6dsox("imu", seed=7),
        }
        for address, part in zip((POWER, TEMPERATURE, IMU), self.parts.values(), strict=True):
            self.bus.attach(address, part)  # type: ignore[arg-type]
        self._now_ns = 0

    def transfer(self, address: int, write: bytes, nread: int) -> bytes:
        status, duration_ns, data = self.bus.transfer(self._now_ns, address, write, nread)
        self._now_ns += duration_ns
        if status != Status.OK:
            code = errno_for(self.bus.profile, status)
            raise OSError(code, os.strerror(code))
        return data

    def now_ns(self) -> int:
        return self._now_ns

    def sleep_until(self, t_ns: int) -> None:
        self._now_ns = max(self._now_ns, t_ns)


BOARD = """
[board]
name = "three"
title = "three parts"
adapter = "bcm2835"
[bus.i2c-1]
kind = "i2c"
bitrate = "400 kHz"
[part.power]
type = "ina3221"
bus = "i2c-1"
address = 0x40
shunts = ["10 mohm", "10 mohm", "50 mohm"]
[part.temp_board]
type = "tmp117"
bus = "i2c-1"
address = 0x48
[part.imu]
type = "lsm6dsox"
bus = "i2c-1"
address = 0x6A
"""


class RigBench:
    """The same parts from a board file, behind the exchange and the flight software's own hal."""

    def __init__(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "three.toml"
            path.write_text(BOARD)
            board = load_board(path)
        exchange = Exchange(Kernel(), RecordStream())
        self.wiring = Wiring(board, exchange, 7, {})
        self.parts = self.wiring.parts
        hal = DirectHal(DirectPort(exchange, exchange.join("foreign")))
        self.transfer = hal.i2c("i2c-1").transfer
        self.now_ns = hal.clock.now_ns
        self.sleep_until = hal.clock.sleep_until


BENCHES: dict[str, Callable[[], Bench]] = {"bus": BusBench, "rig": RigBench}


@pytest.fixture(params=sorted(BENCHES))
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """A fresh bench, with the drivers' sleeps in its virtual time."""
    bench = BENCHES[request.param]()
    with virtual_sleep(bench, adafruit_lsm6ds):
        yield bench


def after(bench: Bench, seconds: float, read: Callable[[], float]) -> Callable[[], float]:
    """Return ``read`` preceded by a wait, for a conversion to take in the new value."""

    def wait_and_read() -> float:
        bench.sleep_until(bench.now_ns() + round(seconds * 1e9))
        return read()

    return wait_and_read


def test_scan_finds_the_parts_and_nothing_else(bench: Bench) -> None:
    """A scan of the bus finds exactly the three parts of this board."""
    assert I2C(bench.transfer, bench).scan() == [POWER, TEMPERATURE, IMU]


def test_ina3221_identity_and_defaults(bench: Bench) -> None:
    """The driver's reset, channel and averaging set-up arrives, and the identities are TI's."""
    driver = adafruit_ina3221.INA3221(I2C(bench.transfer, bench), POWER)
    assert (driver.manufacturer_id, driver.die_id) == (0x5449, 0x3220)
    assert (driver.mode, driver.averaging_mode) == (7, 3)
    assert (driver.shunt_voltage_conv_time, driver.bus_voltage_conv_time) == (7, 7)
    assert [channel.enabled for channel in driver.channels] == [True] * 3


@pytest.mark.parametrize("channel", [0, 1, 2])
def test_ina3221_reads_volts_and_amperes(bench: Bench, channel: int) -> None:
    """Bus voltage and current of every channel are the world's, over their ranges.

    The driver takes negative words as ones' complement and so reads them one step high: negative
    currents get that step on top.
    """
    driver = adafruit_ina3221.INA3221(I2C(bench.transfer, bench), POWER)
    driver.averaging_mode = adafruit_ina3221.AVG_MODE.AVG_4_SAMPLES
    rail = driver[channel]
    rail.shunt_resistance = SHUNTS[channel]
    part, number = bench.parts["power"], channel + 1
    # 4 averages of 3 channels of 2 conversions of 8.244 ms, and the cycle under way
    sweep(part, f"bus{number}_v", after(bench, 0.4, lambda: rail.bus_voltage), points=14)
    full_a, step_a = 0.1638 / SHUNTS[channel], 40e-6 / SHUNTS[channel]
    current = after(bench, 0.4, lambda: rail.current / 1000)
    sweep(part, f"current{number}_a", current, 14, 0.51 * step_a, (0.0, full_a - step_a))
    sweep(part, f"current{number}_a", current, 14, 1.51 * step_a, (-full_a + step_a, -step_a))


def test_ina3221_keeps_the_last_value_until_a_cycle_ends(bench: Bench) -> None:
    """With the driver's own settings a cycle takes 3.17 s; before it ends nothing changes."""
    driver = adafruit_ina3221.INA3221(I2C(bench.transfer, bench), POWER)
    bench.parts["power"].set("bus1_v", 5.0)
    bench.sleep_until(bench.now_ns() + 3_100_000_000)
    assert driver[0].bus_voltage == 0
    bench.sleep_until(bench.now_ns() + 100_000_000)
    assert driver[0].bus_voltage == pytest.approx(5.0, abs=0.004)
    bench.parts["power"].set("bus1_v", 6.0)
    assert driver[0].bus_voltage == pytest.approx(5.0, abs=0.004)


def test_ina3221_alerts_and_limits(bench: Bench) -> None:
    """A current above the warning limit raises that channel's flag, and reading clears it."""
    driver = adafruit_ina3221.INA3221(I2C(bench.transfer, bench), POWER)
    driver.averaging_mode = adafruit_ina3221.AVG_MODE.AVG_1_SAMPLE
    driver[1].shunt_resistance = SHUNTS[1]
    driver[1].warning_alert_threshold = 2.0
    assert driver[1].warning_alert_threshold == pytest.approx(2.0, abs=0.004)
    driver.power_valid_limits = (4.0, 4.5)
    assert driver.power_valid_limits == pytest.approx((4.0, 4.5), abs=0.008)
    part = bench.parts["power"]
    for number in (1, 2, 3):
        part.set(f"bus{number}_v", 5.0)
    part.set("current2_a", 1.9)
    bench.sleep_until(bench.now_ns() + 200_000_000)
    flags = driver.flags
    assert flags & adafruit_ina3221.POWER_VALID
    assert not flags & adafruit_ina3221.WARN_CH2
    part.set("current2_a", 2.1)
    bench.sleep_until(bench.now_ns() + 200_000_000)
    assert driver.flags & adafruit_ina3221.WARN_CH2
    part.set("current2_a", 0.0)
    bench.sleep_until(bench.now_ns() + 200_000_000)
    driver.flags  # noqa: B018 - reading the register clears what it latched
    bench.sleep_until(bench.now_ns() + 200_000_000)
    assert not driver.flags & adafruit_ina3221.WARN_CH2


def test_tmp117_reads_temperature(bench: Bench) -> None:
    """The temperature is the world's over the part's whole range."""
    driver = TMP117(I2C(bench.transfer, bench), TEMPERATURE)
    part = bench.parts["temp_board"]
    sweep(part, "temperature_c", after(bench, 1.0, lambda: driver.temperature), points=42)


def test_tmp117_takes_as_long_as_its_averaging(bench: Bench) -> None:
    """A single measurement of 64 averages returns the new value and takes about a second."""
    driver = TMP117(I2C(bench.transfer, bench), TEMPERATURE)
    driver.averaged_measurements = AverageCount.AVERAGE_64X
    bench.parts["temp_board"].set("temperature_c", -12.5)
    before_ns = bench.now_ns()
    assert driver.take_single_measurement() == -12.5
    assert 1_000_000_000 <= bench.now_ns() - before_ns < 1_200_000_000


def test_tmp117_offset_limits_and_serial(bench: Bench) -> None:
    """Offset and limits are applied by the part; the serial number is its own and stays."""
    driver = TMP117(I2C(bench.transfer, bench), TEMPERATURE)
    serial = driver.serial_number
    driver.temperature_offset = 10.0
    driver.high_limit = 45.0
    driver.low_limit = 20.0
    bench.parts["temp_board"].set("temperature_c", 30.0)
    bench.sleep_until(bench.now_ns() + 2_000_000_000)
    assert driver.temperature == 40.0
    assert driver.alert_status == (False, False)
    bench.parts["temp_board"].set("temperature_c", 36.0)
    bench.sleep_until(bench.now_ns() + 2_000_000_000)
    assert driver.alert_status == (True, False)
    bench.parts["temp_board"].set("temperature_c", 5.0)
    bench.sleep_until(bench.now_ns() + 2_000_000_000)
    assert driver.alert_status == (False, True)
    driver.reset()
    bench.sleep_until(bench.now_ns() + 2_000_000_000)
    assert (driver.temperature, driver.high_limit) == (5.0, 192.0)
    assert driver.serial_number == serial != 0


GYRO_RANGES = {
    "RANGE_125_DPS": 2.17,
    "RANGE_250_DPS": 4.35,
    "RANGE_500_DPS": 8.71,
    "RANGE_1000_DPS": 17.4,
    "RANGE_2000_DPS": 34.9,
}


@pytest.mark.parametrize("name", GYRO_RANGES)
def test_lsm6dsox_reads_rates(bench: Bench, name: str) -> None:
    """The angular rate of each axis is the world's in every range, noise included."""
    driver = LSM6DSOX(I2C(bench.transfer, bench), IMU)
    driver.gyro_range = getattr(GyroRange, name)
    full = GYRO_RANGES[name]
    for axis, letter in enumerate("xyz"):
        read = after(bench, 0.02, lambda axis=axis: driver.gyro[axis])
        sweep(bench.parts["imu"], f"gyro_{letter}_rad_s", read, limits=(-full, full))


@pytest.mark.parametrize(("name", "g"), [("2G", 2), ("4G", 4), ("8G", 8), ("16G", 16)])
def test_lsm6dsox_reads_accelerations(bench: Bench, name: str, g: int) -> None:
    """The acceleration along each axis is the world's in every range, noise included."""
    driver = LSM6DSOX(I2C(bench.transfer, bench), IMU)
    driver.accelerometer_range = getattr(AccelRange, f"RANGE_{name}")
    full = (g - 0.06) * 9.80665
    for axis, letter in enumerate("xyz"):
        read = after(bench, 0.02, lambda axis=axis: driver.acceleration[axis])
        sweep(bench.parts["imu"], f"accel_{letter}_m_s2", read, limits=(-full, full))


def test_lsm6dsox_reads_temperature_at_another_rate(bench: Bench) -> None:
    """Temperature is the world's, and the driver's choice of rates arrives."""
    driver = LSM6DSOX(I2C(bench.transfer, bench), IMU)
    driver.accelerometer_data_rate = Rate.RATE_12_5_HZ
    driver.gyro_data_rate = Rate.RATE_SHUTDOWN
    assert driver.accelerometer_data_rate == Rate.RATE_12_5_HZ
    read = after(bench, 0.2, lambda: driver.temperature)
    sweep(bench.parts["imu"], "temperature_c", read, points=26)


def test_lsm6dsox_noise_has_the_stated_density(bench: Bench) -> None:
    """Over a thousand samples the spread is that of 3.8 mdps/rtHz and 75 ug/rtHz over 52 Hz."""
    driver = LSM6DSOX(I2C(bench.transfer, bench), IMU)
    rates, accelerations = [], []
    for _ in range(1000):
        bench.sleep_until(bench.now_ns() + 10_000_000)
        rates.append(driver.gyro[0])
        accelerations.append(driver.acceleration[2])
    for values, sigma in ((rates, 3.8e-3 * 0.0174533), (accelerations, 75e-6 * 9.80665)):
        mean = sum(values) / len(values)
        spread = (sum((v - mean) ** 2 for v in values) / len(values)) ** 0.5
        assert abs(mean) < 0.15 * sigma * 52.08**0.5
        assert spread == pytest.approx(sigma * 52.08**0.5, rel=0.08)


DRIVERS: dict[str, tuple[Callable[[I2C], object], Callable[[object], float], float]] = {
    "ina3221": (lambda i2c: adafruit_ina3221.INA3221(i2c, POWER), lambda d: d[0].bus_voltage, 5.0),
    "tmp117": (lambda i2c: TMP117(i2c, TEMPERATURE), lambda d: d.temperature, 31.25),
    "lsm6dsox": (lambda i2c: LSM6DSOX(i2c, IMU), lambda d: round(d.acceleration[2]), 10),
}


@pytest.mark.parametrize("name", DRIVERS)
def test_a_failed_transaction_is_never_a_wrong_reading(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Fail the n-th transaction for n = 0, 1, 2, ...: the driver raises or reads the truth.

    (The INA3221 driver prints the error and stumbles over its own None.)
    """
    start, read, truth = DRIVERS[name]
    raised = 0
    for n in range(400):
        bench = BusBench()
        bench.bus.add_fault(BusFault("i2c-1", "nak_address", first=n, last=n))
        bench.parts["power"].set("bus1_v", 5.0)
        bench.parts["temp_board"].set("temperature_c", 31.25)
        bench.parts["imu"].set("accel_z_m_s2", 9.80665)
        with virtual_sleep(bench, adafruit_lsm6ds):
            try:
                driver = start(I2C(bench.transfer, bench))
                bench.sleep_until(bench.now_ns() + 4_000_000_000)
                assert read(driver) == pytest.approx(truth, abs=0.004)
            except (OSError, TypeError):
                raised += 1
        if not bench.bus.counters["faulted"]:
            break
    else:
        pytest.fail("the driver never got through without meeting the fault")
    assert raised > 3
    capsys.readouterr()
