"""Every transaction of every foreign I2C driver fails once: it raises, or it reads the truth.

A driver may swallow an error where its reading stays right. What reads wrong after an error is a
defect of the driver, and stands here by name and reason.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any, NamedTuple

import adafruit_bme280.basic
import adafruit_ds3231
import adafruit_ina219
import adafruit_ina228
import adafruit_mcp9808
import adafruit_pca9685
import adafruit_pct2075
import adafruit_veml7700
import bme280
import mcp23017
import pytest
from adafruit_ads1x15.ads1115 import ADS1115
from adafruit_ads1x15.analog_in import AnalogIn
from adafruit_mcp230xx.mcp23017 import MCP23017

from hil.buses.faults import BusFault
from hil.faces.busio import I2C, virtual_sleep
from hil.faces.smbus2 import Adapter, look_alike
from hil.parts import part_class
from hil.testing.driver_bench import DriverBench


class Case(NamedTuple):
    """A part, what its world holds, its driver, and how far its reading may be from that."""

    part: str
    address: int
    world: dict[str, float]
    start: Callable[[Any, DriverBench], Any]
    read: Callable[[Any], Any]
    expected: Any
    epsilon: float = 0.01


def circuit(kind: Callable[..., Any], *arguments: Any) -> Callable[[Any, DriverBench], Any]:
    return lambda i2c, bench: kind(i2c, *arguments)


def smbus(bench: DriverBench) -> Any:
    return look_alike({1: Adapter(bench.transfer)}).SMBus(1)


def sampled(bus: Any) -> float:
    return bme280.sample(bus, 0x76, bme280.load_calibration_params(bus, 0x76)).temperature


def pin_is_high(driver: Any) -> bool:
    driver.pin_mode(mcp23017.GPB3, mcp23017.INPUT)
    return driver.digital_read(mcp23017.GPB3) == mcp23017.HIGH


def driven(driver: Any) -> int:
    driver.frequency = 50
    driver.channels[5].duty_cycle = 0x4000
    return driver.channels[5].duty_cycle


CASES = {
    "adafruit-ina219": Case(
        *("ina219", 0x40, {"bus_v": 5.0}, circuit(adafruit_ina219.INA219)),
        *(lambda d: d.bus_voltage, 5.0),
    ),
    "adafruit-ina228": Case(
        *("ina228", 0x40, {"bus_v": 5.0}, circuit(adafruit_ina228.INA228)),
        *(lambda d: d.bus_voltage, 5.0),
    ),
    "adafruit-bme280": Case(
        *("bme280", 0x77, {"pressure_pa": 90_000.0}),
        *(circuit(adafruit_bme280.basic.Adafruit_BME280_I2C), lambda d: d.pressure, 900.0, 0.02),
    ),
    "RPi.bme280": Case(
        *("bme280", 0x76, {"temperature_c": 12.0}, lambda i2c, bench: smbus(bench), sampled, 12.0)
    ),
    "adafruit-ads1x15": Case(
        *("ads1115", 0x48, {"ain2_v": 2.0}, circuit(ADS1115)),
        *(lambda d: AnalogIn(d, 2).voltage, 2.0),
    ),
    "adafruit-ds3231": Case(
        *("ds3231", 0x68, {"temperature_c": 12.0}, circuit(adafruit_ds3231.DS3231)),
        *(lambda d: (d.datetime.tm_year, d.temperature), (2000, 12.0)),
    ),
    "adafruit-pct2075": Case(
        *("lm75", 0x48, {"temperature_c": 12.0}, circuit(adafruit_pct2075.PCT2075, 0x48)),
        *(lambda d: d.temperature, 12.0),
    ),
    "adafruit-mcp9808": Case(
        *("mcp9808", 0x18, {"temperature_c": 12.0}, circuit(adafruit_mcp9808.MCP9808)),
        *(lambda d: d.temperature, 12.0),
    ),
    "adafruit-veml7700": Case(
        *("veml7700", 0x10, {"light_lx": 500.0}, circuit(adafruit_veml7700.VEML7700)),
        *(lambda d: d.autolux, 500.0, 5.0),
    ),
    "adafruit-mcp230xx": Case(
        *("mcp23017", 0x20, {"gpb3": 1.0}, circuit(MCP23017)),
        *(lambda d: d.get_pin(11).value, True),
    ),
    "mcp23017": Case(
        *("mcp23017", 0x20, {"gpb3": 1.0}),
        *(lambda i2c, bench: mcp23017.MCP23017(0x20, smbus(bench)), pin_is_high, True),
    ),
    "adafruit-pca9685": Case(
        "pca9685", 0x40, {}, circuit(adafruit_pca9685.PCA9685), driven, 0x4000
    ),
}


# RPi.bme280 stamps its samples with datetime.utcnow, which newer Pythons deprecate.
@pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("kind", ["nak_address", "nak_data", "stuck_sda", "arbitration"])
def test_a_failed_transaction_is_never_a_wrong_reading(name: str, kind: str) -> None:
    """Fail the n-th transaction for n = 0, 1, ... until one run is clean."""
    case = CASES[name]
    code = {"stuck_sda": errno.ETIMEDOUT, "arbitration": errno.EIO}.get(kind, errno.EREMOTEIO)
    raised: set[str] = set()
    for n in range(400):
        part = part_class(case.part)(case.part, 7)
        for quantity, value in case.world.items():
            part.set(quantity, value)
        bench = DriverBench({case.address: part})
        bench.i2c_bus.add_fault(BusFault("i2c-1", kind, first=n, last=n))
        with virtual_sleep(bench, adafruit_bme280.basic):
            try:
                driver = case.start(I2C(bench.transfer, bench), bench)
                bench.wait(1.0)
                assert case.read(driver) == pytest.approx(case.expected, abs=case.epsilon), n
            except OSError as error:
                raised.add(f"errno {error.errno}")
        if not bench.i2c_bus.counters["faulted"]:
            break
    else:
        pytest.fail("the driver never got through without meeting the fault")
    assert raised == {f"errno {code}"}
