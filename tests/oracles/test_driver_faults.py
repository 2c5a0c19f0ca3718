"""Fail the n-th transaction of a foreign driver for every n: it raises, or reads the truth."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import adafruit_24lc32
import adafruit_fram
import adafruit_icm20x
import adafruit_lis3mdl
import adafruit_mmc56x3
import adafruit_mpu6050
import icm20948
import pytest

from hil.buses.faults import BusFault
from hil.faces.busio import I2C, virtual_sleep
from hil.faces.smbus2 import Adapter, look_alike
from hil.parts.at24 import Lc2432
from hil.parts.base import Part
from hil.parts.icm20948 import Icm20948
from hil.parts.lis3mdl import Lis3mdl
from hil.parts.mb85rc import Mb85rc256
from hil.parts.mmc5603 import Mmc5603
from hil.parts.mpu6050 import Mpu6050
from hil.testing.driver_bench import DriverBench

G = 9.80665


class Case(NamedTuple):
    """A part, what is set on it, its driver, and what the driver reads then."""

    part: Callable[[], Part]
    address: int
    inputs: dict[str, float]
    start: Callable[[DriverBench], Any]
    read: Callable[[Any], float]
    truth: float
    margin: float


def circuit(bench: DriverBench) -> I2C:
    return I2C(bench.transfer, bench)


def write_and_read(memory: Any) -> float:
    memory[100:104] = b"\x01\x02\x03\x04"
    return float(int.from_bytes(memory[100:104], "big"))


CASES = {
    "mpu6050": Case(
        lambda: Mpu6050("imu", 7),
        0x68,
        {"accel_z_m_s2": G},
        lambda bench: adafruit_mpu6050.MPU6050(circuit(bench)),
        lambda driver: driver.acceleration[2],
        G,
        0.32,
    ),
    "icm20948 (Adafruit)": Case(
        lambda: Icm20948("imu", 7),
        0x69,
        {"mag_z_t": 48e-6, "accel_z_m_s2": G},
        lambda bench: adafruit_icm20x.ICM20948(circuit(bench)),
        lambda driver: driver.acceleration[2] + driver.magnetic[2],
        G + 48,
        0.4,
    ),
    "icm20948 (Pimoroni)": Case(
        lambda: Icm20948("imu", 7),
        0x69,
        {"mag_z_t": 48e-6},
        lambda bench: icm20948.ICM20948(0x69, look_alike({1: Adapter(bench.transfer)}).SMBus(1)),
        lambda driver: driver.read_magnetometer_data()[2],
        48,
        0.16,
    ),
    "lis3mdl": Case(
        lambda: Lis3mdl("mag", 7),
        0x1C,
        {"mag_y_t": 48e-6},
        lambda bench: adafruit_lis3mdl.LIS3MDL(circuit(bench)),
        lambda driver: driver.magnetic[1],
        48,
        2,
    ),
    "mmc5603": Case(
        lambda: Mmc5603("mag", 7),
        0x30,
        {"mag_y_t": 48e-6},
        lambda bench: adafruit_mmc56x3.MMC5603(circuit(bench)),
        lambda driver: driver.magnetic[1],
        48,
        2.2,
    ),
    "24lc32": Case(
        lambda: Lc2432("eeprom", 7),
        0x50,
        {},
        lambda bench: adafruit_24lc32.EEPROM_I2C(circuit(bench)),
        write_and_read,
        0x01020304,
        0,
    ),
    "mb85rc256": Case(
        lambda: Mb85rc256("fram", 7),
        0x50,
        {},
        lambda bench: adafruit_fram.FRAM_I2C(circuit(bench)),
        write_and_read,
        0x01020304,
        0,
    ),
}


@pytest.mark.parametrize("kind", ["nak_address", "nak_data", "arbitration", "stuck_sda"])
@pytest.mark.parametrize("name", CASES)
def test_a_failed_transaction_is_never_a_wrong_reading(name: str, kind: str) -> None:
    """For every n up to a run without the fault: OSError, or the true reading."""
    case = CASES[name]
    raised = 0
    for n in range(400):
        part = case.part()
        for quantity, value in case.inputs.items():
            part.set(quantity, value)
        bench = DriverBench({case.address: part})
        bench.i2c_bus.add_fault(BusFault("i2c-1", kind, first=n, last=n))
        with virtual_sleep(bench, adafruit_icm20x, adafruit_lis3mdl, adafruit_mpu6050):
            try:
                driver = case.start(bench)
                bench.wait(0.2)
                assert case.read(driver) == pytest.approx(case.truth, abs=case.margin)
            except (OSError, ValueError):  # ValueError: its probe found nobody
                raised += 1
        if not bench.i2c_bus.counters["faulted"]:
            break
    else:
        pytest.fail("the driver never got through without meeting the fault")
    assert raised > 3
