"""Foreign drivers of SPI parts, unmodified, find what the world holds."""

from __future__ import annotations

import adafruit_max31865
import pytest

from hil.faces.busio import virtual_sleep
from hil.parts.max31865 import Max31865, platinum_ratio
from hil.testing.contracts.part import sweep
from hil.testing.driver_bench import DriverBench


@pytest.mark.parametrize(("nominal", "reference"), [(100.0, 430.0), (1000.0, 4300.0)])
@pytest.mark.parametrize("hz", [50, 60])
def test_adafruit_max31865_reads_resistance(nominal: float, reference: float, hz: int) -> None:
    """adafruit_max31865 reads the resistance of PT100 and PT1000 over the whole range."""
    part = Max31865("rtd", 3, nominal_ohm=nominal, reference_ohm=reference)
    bench = DriverBench(spi=part)
    with virtual_sleep(bench):
        driver = adafruit_max31865.MAX31865(
            *bench.circuit_spi(), rtd_nominal=nominal, ref_resistor=reference, filter_frequency=hz
        )
        for celsius in range(-200, 851, 25):
            part.set("temperature_c", celsius)
            ohm = nominal * platinum_ratio(celsius)
            assert driver.resistance == pytest.approx(ohm, abs=reference / 65536 + 1e-9)
        assert driver.fault == (False,) * 6


def rtd() -> tuple[DriverBench, Max31865, adafruit_max31865.MAX31865]:
    part = Max31865("rtd", 3)
    bench = DriverBench(spi=part)
    return bench, part, adafruit_max31865.MAX31865(*bench.circuit_spi())


def test_adafruit_max31865_reads_temperature() -> None:
    """It reads temperatures above freezing within half a count, those below by its polynomial."""
    bench, part, driver = rtd()
    with virtual_sleep(bench):
        sweep(part, "temperature_c", lambda: driver.temperature, points=18, limits=(0.0, 850.0))
        sweep(
            part,
            "temperature_c",
            lambda: driver.temperature,
            points=21,
            limits=(-200.0, -1.0),
            epsilon=0.06,
        )


def test_adafruit_max31865_in_automatic_mode() -> None:
    """With automatic conversion the driver reads what came last, without waiting."""
    bench, part, driver = rtd()
    with virtual_sleep(bench):
        driver.auto_convert = True
        bench.wait(0.1)
        sweep(part, "temperature_c", bench.after(0.02, lambda: driver.temperature), 9, 0.06)


def test_adafruit_max31865_reports_an_open_element() -> None:
    """An open element shows as the fault of the high threshold."""
    bench, part, driver = rtd()
    with virtual_sleep(bench):
        part.set("open_circuit", 1.0)
        driver.read_rtd()
        assert driver.fault[0]
        part.set("open_circuit", 0.0)
        driver.clear_faults()
        driver.read_rtd()
        assert driver.fault == (False,) * 6
