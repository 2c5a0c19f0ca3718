"""Foreign 1-Wire drivers, unmodified: adafruit_onewire and adafruit_ds18x20."""

from __future__ import annotations

import importlib
import sys

import pytest

from hil.buses.onewire import OneWireBus
from hil.faces.busio import virtual_sleep
from hil.faces.onewireio import look_alike
from hil.parts.ds18b20 import Ds18b20
from hil.testing.contracts.part import check_part, sweep

pytest.importorskip("adafruit_ds18x20")


class Clock:
    """Virtual time that only the driver moves."""

    def __init__(self) -> None:
        self.t_ns = 0

    def now_ns(self) -> int:
        return self.t_ns

    def sleep_until(self, t_ns: int) -> None:
        self.t_ns = max(self.t_ns, t_ns)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A clock, with ``onewireio`` on it."""
    clock = Clock()
    monkeypatch.setitem(sys.modules, "onewireio", look_alike(clock))
    monkeypatch.delitem(sys.modules, "adafruit_onewire.bus", raising=False)
    return clock


def test_the_driver_finds_and_reads_every_thermometer(clock: Clock) -> None:
    """Scan finds three parts, and each reads its own temperature over its whole range."""
    foreign = importlib.import_module("adafruit_onewire.bus")
    thermometer = importlib.import_module("adafruit_ds18x20").DS18X20
    parts = [Ds18b20(f"t{n}", serial=0x1234 * n + n) for n in range(3)]
    line = OneWireBus("w1")
    for part in parts:
        line.attach(part)
    bus = foreign.OneWireBus(line)
    found = {bytes(address.rom): address for address in bus.scan()}
    assert set(found) == {part.rom for part in parts}
    with virtual_sleep(clock):
        for part in parts:
            driver = thermometer(bus, found[part.rom])
            assert driver.resolution == 12
            sweep(part, "temperature_c", lambda d=driver: d.temperature, 7)


@pytest.mark.parametrize(("bits", "step"), [(9, 0.5), (10, 0.25), (11, 0.125)])
def test_the_driver_sets_the_resolution(clock: Clock, bits: int, step: float) -> None:
    """A reading is within one step below the temperature, and comes sooner."""
    foreign = importlib.import_module("adafruit_onewire.bus")
    thermometer = importlib.import_module("adafruit_ds18x20").DS18X20
    part = Ds18b20("t")
    line = OneWireBus("w1")
    line.attach(part)
    bus = foreign.OneWireBus(line)
    driver = thermometer(bus, bus.scan()[0])
    driver.resolution = bits
    part.set("temperature_c", 21.4375)
    before_ns = clock.t_ns
    reading = driver.temperature
    assert reading <= 21.4375 < reading + step
    assert clock.t_ns - before_ns < 750_000_000 / (1 << 12 - bits) + 30_000_000


def test_the_part_keeps_the_contract() -> None:
    """The DS18B20 passes the public suite for parts."""
    check_part(lambda: Ds18b20("t"))
