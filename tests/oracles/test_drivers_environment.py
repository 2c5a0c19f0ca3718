"""Foreign drivers of sensors of the environment, unmodified, find what the world holds."""

from __future__ import annotations

import random
from collections.abc import Iterator

import adafruit_bme280.advanced
import adafruit_bme280.basic
import adafruit_mcp9808
import adafruit_pct2075
import adafruit_veml7700
import bme280
import pytest

from hil.faces.busio import I2C, virtual_sleep
from hil.faces.smbus2 import Adapter, look_alike
from hil.parts.bme280 import Bme280
from hil.parts.lm75 import Lm75
from hil.parts.mcp9808 import Mcp9808
from hil.parts.veml7700 import Veml7700
from hil.testing.contracts.part import sweep
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


def test_adafruit_bme280_over_spi() -> None:
    """The same driver over SPI reads the same world."""
    part = Bme280("environment", 9)
    bench = DriverBench(spi=part)
    with virtual_sleep(bench, adafruit_bme280.basic):
        driver = adafruit_bme280.basic.Adafruit_BME280_SPI(*bench.circuit_spi())
        for temperature, pascals, percent in corners(part):
            assert driver.temperature == pytest.approx(temperature, abs=0.01)
            assert driver.pressure * 100 == pytest.approx(pascals, abs=2.0)
            assert driver.humidity == pytest.approx(percent, abs=0.02)


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


def test_adafruit_pct2075_reads_an_lm75() -> None:
    """adafruit_pct2075, of a part that is an LM75 and more, reads it and sets its limits."""
    part = Lm75("temperature", 7)
    bench = DriverBench({0x48: part})
    driver = adafruit_pct2075.PCT2075(I2C(bench.transfer, bench), 0x48)
    assert (driver.high_temperature_threshold, driver.temperature_hysteresis) == (80.0, 75.0)
    sweep(part, "temperature_c", bench.after(0.11, lambda: driver.temperature), points=37)
    part.set("temperature_c", 20.0)
    bench.wait(0.11)
    driver.temperature  # noqa: B018 - brings the part up to now
    driver.high_temperature_threshold = 40.5
    driver.temperature_hysteresis = 30.0
    for celsius, is_active in ((40.0, False), (41.0, True), (31.0, True), (29.0, False)):
        part.set("temperature_c", celsius)
        bench.wait(0.11)
        assert driver.temperature == celsius
        assert part.os_active == is_active
    driver.shutdown = True
    part.set("temperature_c", 0.0)
    bench.wait(1.0)
    assert driver.temperature == 29.0


@pytest.fixture
def mcp() -> tuple[DriverBench, Mcp9808, adafruit_mcp9808.MCP9808]:
    """An MCP9808 and its driver."""
    part = Mcp9808("temperature", 7)
    bench = DriverBench({0x18: part})
    return bench, part, adafruit_mcp9808.MCP9808(I2C(bench.transfer, bench))


Mcp = tuple[DriverBench, Mcp9808, adafruit_mcp9808.MCP9808]


@pytest.mark.parametrize(("code", "step"), [(0, 0.5), (1, 0.25), (2, 0.125), (3, 0.0625)])
def test_adafruit_mcp9808(mcp: Mcp, code: int, step: float) -> None:
    """adafruit_mcp9808 reads the temperature over the range in every resolution."""
    bench, part, driver = mcp
    driver.resolution = code
    sweep(part, "temperature_c", bench.after(0.26, lambda: driver.temperature), 34, step)


def test_adafruit_mcp9808_limits(mcp: Mcp) -> None:
    """Limits above zero arrive, and the three flags follow the temperature."""
    bench, part, driver = mcp
    driver.lower_temperature, driver.upper_temperature = 10, 40
    driver.critical_temperature = 60
    assert (driver.lower_temperature, driver.upper_temperature) == (10.0, 40.0)
    for celsius, flags in ((5, (0, 0, 1)), (20, (0, 0, 0)), (41, (0, 1, 0)), (60, (1, 1, 0))):
        part.set("temperature_c", celsius)
        bench.wait(0.26)
        assert (driver.above_critical, driver.above_upper, driver.below_lower) == flags


@pytest.mark.xfail(
    strict=True,
    reason="adafruit-circuitpython-mcp9808 3.3.32: writes a limit below zero as sign and magnitude",
)
def test_adafruit_mcp9808_limit_below_zero(mcp: Mcp) -> None:
    """A limit below zero reads back as it was set."""
    _, _, driver = mcp
    driver.lower_temperature = -10
    assert driver.lower_temperature == -10.0


@pytest.fixture
def light() -> Iterator[tuple[DriverBench, Veml7700, adafruit_veml7700.VEML7700]]:
    """A VEML7700 and its driver."""
    part = Veml7700("light", 7)
    bench = DriverBench({0x10: part})
    with virtual_sleep(bench):
        yield bench, part, adafruit_veml7700.VEML7700(I2C(bench.transfer, bench))


Light = tuple[DriverBench, Veml7700, adafruit_veml7700.VEML7700]


@pytest.mark.parametrize("gain", [0, 1])
@pytest.mark.parametrize("time", [0b1100, 0b1000, 0, 1, 2, 3])
def test_adafruit_veml7700(light: Light, gain: int, time: int) -> None:
    """adafruit_veml7700 reads lux in every setting that is linear, up to the end of its range."""
    bench, part, driver = light
    driver.light_gain, driver.light_integration_time = gain, time
    step = driver.resolution()
    sweep(part, "light_lx", bench.after(1.7, lambda: driver.lux), 9, step, (0.0, 65535 * step))
    white = bench.after(1.7, lambda: driver.white * step)
    sweep(part, "white_lx", white, 9, step, (0.0, 65535 * step))
    assert not part.saturated


@pytest.mark.parametrize("lx", [0.01, 0.3, 5.0, 60.0, 1000.0, 8000.0, 50_000.0, 120_000.0])
def test_adafruit_veml7700_finds_its_setting(light: Light, lx: float) -> None:
    """The driver's automatic setting and correction read any light within a percent or a step."""
    bench, part, driver = light
    part.set("light_lx", lx)
    bench.wait(1.0)
    assert driver.autolux == pytest.approx(lx, rel=0.01, abs=0.0042)


def test_adafruit_veml7700_window(light: Light) -> None:
    """Light outside the window raises the flag of that end, and reading clears both."""
    bench, part, driver = light
    driver.light_low_threshold, driver.light_high_threshold = 100, 1000
    driver.light_interrupt = True
    part.set("light_lx", 20.0)
    bench.wait(0.3)
    driver.light  # noqa: B018 - brings the part up to now
    assert driver.light_interrupt_low
    part.set("light_lx", 1000.0)
    bench.wait(0.3)
    driver.light  # noqa: B018 - the same
    assert driver.light_interrupt_high
    assert not driver.light_interrupt_high
