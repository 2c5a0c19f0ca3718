"""Foreign drivers of sensors of the environment, unmodified, find what the world holds."""

from __future__ import annotations

import random
from collections.abc import Iterator

import adafruit_bme280.advanced
import adafruit_bme280.basic
import bme280
import pytest

from hil.faces.busio import I2C, virtual_sleep
from hil.faces.smbus2 import Adapter, look_alike
from hil.parts.bme280 import Bme280
from hil.testing.check_part import sweep
from hil.testing.driver_bench import DriverBench

SEEDS = (1, 2, 3, 4)


@pytest.fixture(params=SEEDS)
def bme(request: pytest.FixtureRequest) -> Iterator[tuple[DriverBench, Bme280]]:
    """A BME280 on a bench; each seed has trimming values of its own."""
    part = Bme280("environment", request.param)
    bench = DriverBench({0x77: part})
    with virtual_sleep(bench, adafruit_bme280.basic):
        yield bench, part


def corners(part: Bme280) -> Iterator[tuple[float, float, float]]:
    """Set temperature, pressure, humidity to points of the whole range, in no order."""
    source = random.Random(5)
    for _ in range(60):
        point = (source.uniform(-40, 85), source.uniform(300e2, 1100e2), source.uniform(0, 100))
        for quantity, value in zip(part.QUANTITIES, point, strict=True):
            part.set(quantity, value)
        yield point


def test_adafruit_bme280(bme: tuple[DriverBench, Bme280]) -> None:
    """adafruit_bme280 reads all three at once over the range, whatever the trimming values."""
    bench, part = bme
    driver = adafruit_bme280.basic.Adafruit_BME280_I2C(I2C(bench.transfer, bench))
    sweep(part, "temperature_c", lambda: driver.temperature, points=26)
    for temperature, pascals, percent in corners(part):
        assert driver.temperature == pytest.approx(temperature, abs=0.01)
        assert driver.pressure * 100 == pytest.approx(pascals, abs=2.0)
        assert driver.humidity == pytest.approx(percent, abs=0.02)
    assert not part.touched


def test_adafruit_bme280_in_normal_mode_with_the_filter(bme: tuple[DriverBench, Bme280]) -> None:
    """In normal mode with the strongest filter a step arrives after a while, not at once."""
    bench, part = bme
    driver = adafruit_bme280.advanced.Adafruit_BME280_I2C(I2C(bench.transfer, bench))
    driver.standby_period = adafruit_bme280.advanced.STANDBY_TC_10
    driver.iir_filter = adafruit_bme280.advanced.IIR_FILTER_X16
    driver.overscan_temperature = adafruit_bme280.advanced.OVERSCAN_X2
    driver.mode = adafruit_bme280.advanced.MODE_NORMAL
    bench.wait(1.0)
    assert driver.temperature == pytest.approx(25.0, abs=0.01)
    part.set("temperature_c", 35.0)
    bench.wait(driver.measurement_time_typical / 1000 + 0.01)
    assert 25.1 < driver.temperature < 30.0
    bench.wait(20.0)
    assert driver.temperature == pytest.approx(35.0, abs=0.01)
    assert driver.pressure * 100 == pytest.approx(101_325, abs=1.0)


# It stamps its samples with datetime.utcnow, which newer Pythons deprecate.
@pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")
def test_rpi_bme280(bme: tuple[DriverBench, Bme280]) -> None:
    """RPi.bme280 reads all three at once over the range, at every oversampling."""
    bench, part = bme
    bus = look_alike({1: Adapter(bench.transfer)}).SMBus(1)
    trim = bme280.load_calibration_params(bus, 0x77)
    for number, (temperature, pascals, percent) in enumerate(corners(part)):
        sample = bme280.sample(bus, 0x77, trim, 1 + number % 5)
        assert sample.temperature == pytest.approx(temperature, abs=0.01)
        assert sample.pressure * 100 == pytest.approx(pascals, abs=2.0)
        assert sample.humidity == pytest.approx(percent, abs=0.02)
