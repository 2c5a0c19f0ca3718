"""Foreign drivers of motion and magnetic sensors, unmodified, find what the world holds."""

from __future__ import annotations

import math
import sys
import types
from collections.abc import Iterator

import adafruit_icm20x
import adafruit_lis3mdl
import adafruit_mmc56x3
import adafruit_mpu6050
import icm20948
import pytest

from hil.faces.busio import I2C, virtual_sleep
from hil.faces.smbus2 import Adapter, look_alike
from hil.parts.icm20948 import Icm20948
from hil.parts.lis3mdl import Lis3mdl
from hil.parts.mmc5603 import Mmc5603
from hil.parts.mpu6050 import GYRO_MAX_DPS, Mpu6050
from hil.testing.contracts.part import sweep
from hil.testing.driver_bench import DriverBench

G = 9.80665


def smbus(bench: DriverBench) -> types.ModuleType:
    """The look-alike of smbus2 with the bench as its bus 1."""
    return look_alike({1: Adapter(bench.transfer)})


@pytest.fixture
def mpu() -> Iterator[tuple[DriverBench, Mpu6050]]:
    """An MPU-6050 on a bench."""
    part = Mpu6050("imu", 7)
    bench = DriverBench({0x68: part})
    with virtual_sleep(bench, adafruit_mpu6050):
        yield bench, part


@pytest.mark.parametrize(("code", "g"), [(0, 2), (1, 4), (2, 8), (3, 16)])
def test_adafruit_mpu6050_reads_accelerations(mpu, code: int, g: int) -> None:
    """adafruit_mpu6050 reads the acceleration along each axis in every range."""
    bench, part = mpu
    driver = adafruit_mpu6050.MPU6050(I2C(bench.transfer, bench))
    driver.accelerometer_range = code
    for axis, letter in enumerate("xyz"):
        read = bench.after(0.01, lambda axis=axis: driver.acceleration[axis])
        full = (g - 0.04) * G
        sweep(part, f"accel_{letter}_m_s2", read, limits=(-full, full))
    assert not part.counts.saturated


@pytest.mark.parametrize(("code", "dps"), [(0, 248), (1, 498), (2, 996), (3, GYRO_MAX_DPS)])
def test_adafruit_mpu6050_reads_rates_and_temperature(mpu, code: int, dps: float) -> None:
    """adafruit_mpu6050 reads the rate about each axis in every range, and the temperature."""
    bench, part = mpu
    driver = adafruit_mpu6050.MPU6050(I2C(bench.transfer, bench))
    driver.gyro_range = code
    full = math.radians(dps)
    for axis, letter in enumerate("xyz"):
        read = bench.after(0.01, lambda axis=axis: driver.gyro[axis])
        sweep(part, f"gyro_{letter}_rad_s", read, limits=(-full, full))
    sweep(part, "temperature_c", bench.after(0.01, lambda: driver.temperature), points=26)


def test_adafruit_mpu6050_reads_its_fifo(mpu) -> None:
    """The driver's FIFO calls find ten records of acceleration after ten samples."""
    bench, part = mpu
    driver = adafruit_mpu6050.MPU6050(I2C(bench.transfer, bench))
    part.set("accel_z_m_s2", G)
    driver.filter_bandwidth = adafruit_mpu6050.Bandwidth.BAND_5_HZ
    driver.sample_rate_divisor = 99
    driver.fifo_en = driver.fiforst = driver.accel_fifo_en = True
    bench.wait(1.0)
    octets = driver.read_whole_fifo()
    assert len(octets) in (60, 66)
    assert int.from_bytes(octets[4:6], "big") == pytest.approx(16384, rel=0.01)


@pytest.fixture
def mpu_raspberrypi(mpu, monkeypatch: pytest.MonkeyPatch):
    """The driver ``mpu6050``, which imports the C module ``smbus``, with ours in its place."""
    bench, part = mpu
    monkeypatch.setitem(sys.modules, "smbus", smbus(bench))
    monkeypatch.delitem(sys.modules, "mpu6050.mpu6050", raising=False)
    monkeypatch.delitem(sys.modules, "mpu6050", raising=False)
    from mpu6050 import mpu6050

    return bench, part, mpu6050(0x68)


def sweep_raspberrypi(bench: DriverBench, part: Mpu6050, driver) -> None:
    driver.set_accel_range(driver.ACCEL_RANGE_16G)
    driver.set_gyro_range(driver.GYRO_RANGE_2000DEG)
    for letter in "xyz":
        read = bench.after(0.3, lambda letter=letter: driver.get_accel_data()[letter])
        sweep(part, f"accel_{letter}_m_s2", read)
        read = bench.after(0.3, lambda letter=letter: math.radians(driver.get_gyro_data()[letter]))
        sweep(part, f"gyro_{letter}_rad_s", read)
    sweep(part, "temperature_c", bench.after(0.3, driver.get_temp), points=26)


def test_mpu6050_raspberrypi_reads_all(mpu_raspberrypi) -> None:
    """mpu6050-raspberrypi reads acceleration, rate and temperature where samples come slowly."""
    bench, part, driver = mpu_raspberrypi
    driver.set_filter_range(driver.FILTER_BW_5)
    bench.transfer(0x68, b"\x19\xff", 0)
    sweep_raspberrypi(bench, part, driver)
    assert (driver.read_accel_range(), driver.read_gyro_range()) == (16, 2000)


@pytest.mark.xfail(
    reason="the driver reads the two octets of a word in two transactions: at the 8 kHz of its own "
    "set-up a sample comes in between and the word is torn",
    raises=AssertionError,
)
def test_mpu6050_raspberrypi_tears_words(mpu_raspberrypi) -> None:
    """mpu6050-raspberrypi reads everything as it sets the part up."""
    sweep_raspberrypi(*mpu_raspberrypi)


@pytest.fixture
def icm() -> Iterator[tuple[DriverBench, Icm20948]]:
    """An ICM-20948 on a bench."""
    part = Icm20948("imu", 7)
    bench = DriverBench({0x69: part})
    with virtual_sleep(bench, adafruit_icm20x):
        yield bench, part


@pytest.mark.parametrize(("code", "g"), [(0, 2), (1, 4), (2, 8), (3, 16)])
def test_adafruit_icm20948_reads_accelerations(icm, code: int, g: int) -> None:
    """adafruit_icm20x reads the acceleration along each axis in every range."""
    bench, part = icm
    driver = adafruit_icm20x.ICM20948(I2C(bench.transfer, bench))
    driver.accelerometer_range = code
    for axis, letter in enumerate("xyz"):
        read = bench.after(0.05, lambda axis=axis: driver.acceleration[axis])
        full = (g - 0.02) * G
        sweep(part, f"accel_{letter}_m_s2", read, limits=(-full, full))
    assert not part.counts.saturated


@pytest.mark.parametrize(("code", "dps"), [(0, 248), (1, 498), (2, 997), (3, GYRO_MAX_DPS)])
def test_adafruit_icm20948_reads_rates(icm, code: int, dps: float) -> None:
    """adafruit_icm20x reads the rate about each axis in every range."""
    bench, part = icm
    driver = adafruit_icm20x.ICM20948(I2C(bench.transfer, bench))
    driver.gyro_range = code
    full = math.radians(dps)
    for axis, letter in enumerate("xyz"):
        read = bench.after(0.05, lambda axis=axis: driver.gyro[axis])
        sweep(part, f"gyro_{letter}_rad_s", read, limits=(-full, full))


def test_adafruit_icm20948_reads_the_magnetic_field(icm) -> None:
    """adafruit_icm20x sets the magnetometer up by slave 4 and reads it by slave 0."""
    bench, part = icm
    driver = adafruit_icm20x.ICM20948(I2C(bench.transfer, bench))
    for axis, letter in enumerate("xyz"):
        read = bench.after(0.05, lambda axis=axis: driver.magnetic[axis] * 1e-6)
        sweep(part, f"mag_{letter}_t", read, points=17)
    assert part.snapshot()["auxiliary_nacks"] == 0


@pytest.fixture
def pimoroni(icm):
    """Pimoroni's driver on a bench."""
    bench, part = icm
    return bench, part, icm20948.ICM20948(0x69, smbus(bench).SMBus(1))


def test_pimoroni_icm20948_reads_motion(pimoroni) -> None:
    """icm20948 reads acceleration and rate over the whole ranges that it sets."""
    bench, part, driver = pimoroni
    driver.set_gyro_full_scale(2000)

    def read(n: int, unit: float):
        return bench.after(0.05, lambda: driver.read_accelerometer_gyro_data()[n] * unit)

    for axis, letter in enumerate("xyz"):
        sweep(part, f"accel_{letter}_m_s2", read(axis, G))
        sweep(part, f"gyro_{letter}_rad_s", read(3 + axis, math.radians(1.0)))


def test_pimoroni_icm20948_reads_the_magnetic_field(pimoroni) -> None:
    """icm20948 starts single measurements through slave 0 and reads the field."""
    bench, part, driver = pimoroni
    for axis, letter in enumerate("xyz"):
        read = bench.after(0.05, lambda axis=axis: driver.read_magnetometer_data()[axis] * 1e-6)
        sweep(part, f"mag_{letter}_t", read)


@pytest.mark.xfail(
    reason="the driver takes RoomTemp_Offset for 21 counts; the data sheet's is 0 counts at 21 "
    "degrees, so it reads 0.063 degrees too low",
    raises=AssertionError,
)
def test_pimoroni_icm20948_is_off_in_temperature(pimoroni) -> None:
    """icm20948 reads the temperature."""
    bench, part, driver = pimoroni
    sweep(part, "temperature_c", bench.after(0.05, driver.read_temperature))


def test_pimoroni_icm20948_reads_temperature_within_its_own_offset(pimoroni) -> None:
    """Its offset of 21 counts apart, icm20948 reads the temperature."""
    bench, part, driver = pimoroni
    read = bench.after(0.05, lambda: driver.read_temperature() + 21 / 333.87)
    sweep(part, "temperature_c", read, points=26)


@pytest.mark.parametrize(("code", "gauss"), [(0, 4), (1, 8), (2, 12), (3, 16)])
def test_adafruit_lis3mdl_reads_the_magnetic_field(code: int, gauss: int) -> None:
    """adafruit_lis3mdl reads each axis in every range."""
    part = Lis3mdl("mag", 7)
    bench = DriverBench({0x1C: part})
    with virtual_sleep(bench, adafruit_lis3mdl):
        driver = adafruit_lis3mdl.LIS3MDL(I2C(bench.transfer, bench), range_=code)
        for axis, letter in enumerate("xyz"):
            read = bench.after(0.02, lambda axis=axis: driver.magnetic[axis] * 1e-6)
            full = gauss * 1e-4
            sweep(part, f"mag_{letter}_t", read, points=17, limits=(-full, full))
    assert not part.counts.saturated


@pytest.mark.parametrize("rate", sorted(adafruit_lis3mdl.Rate.string))
def test_adafruit_lis3mdl_sets_every_rate(rate: int) -> None:
    """At each rate that the driver knows a new field shows after one period."""
    part = Lis3mdl("mag", 7)
    bench = DriverBench({0x1C: part})
    with virtual_sleep(bench, adafruit_lis3mdl):
        driver = adafruit_lis3mdl.LIS3MDL(I2C(bench.transfer, bench), data_rate=rate)
        bench.wait(2 / adafruit_lis3mdl.Rate.string[rate])
        part.set("mag_x_t", 50e-6)
        bench.wait(1.01 / adafruit_lis3mdl.Rate.string[rate])
        assert driver.magnetic[0] == pytest.approx(50, abs=2.1)


def mmc5603(rate: int) -> tuple[DriverBench, Mmc5603, adafruit_mmc56x3.MMC5603]:
    part = Mmc5603("mag", 7)
    bench = DriverBench({0x30: part})
    with virtual_sleep(bench):
        driver = adafruit_mmc56x3.MMC5603(I2C(bench.transfer, bench))
        if rate:
            driver.data_rate = rate
            driver.continuous_mode = True
    return bench, part, driver


@pytest.mark.parametrize("rate", [0, 10, 75, 1000])
@pytest.mark.parametrize(
    "unit",
    [
        100 / 16384 / 0.00625 * 1e-6,
        pytest.param(
            1e-6,
            marks=pytest.mark.xfail(
                reason="the driver takes 0.0625 mG a count, which the data sheet's headline rounds "
                "from the 16384 counts a gauss of its table: it reads 2.4 % too much",
                raises=AssertionError,
            ),
        ),
    ],
    ids=["counts", "own"],
)
def test_adafruit_mmc5603_reads_the_magnetic_field(rate: int, unit: float) -> None:
    """adafruit_mmc56x3 reads each axis, on demand and in continuous mode."""
    bench, part, driver = mmc5603(rate)
    with virtual_sleep(bench):
        for axis, letter in enumerate("xyz"):
            read = bench.after(0.2, lambda axis=axis: driver.magnetic[axis] * unit)
            sweep(part, f"mag_{letter}_t", read, points=17)


def test_adafruit_mmc5603_reads_temperature() -> None:
    """adafruit_mmc56x3 reads the temperature over its range."""
    bench, part, driver = mmc5603(0)
    with virtual_sleep(bench):
        sweep(part, "temperature_c", lambda: driver.temperature, points=26)
