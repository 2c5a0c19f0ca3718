"""Every kind of bus passes the public contract suite, and a broken one does not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hil.buses.base import Emit
from hil.buses.can import CANBus
from hil.buses.frames import FrameBus
from hil.buses.gpio import GPIOChip
from hil.buses.i2c import I2CBus
from hil.buses.onewire import OneWireBus
from hil.buses.spi import SPIBus
from hil.buses.uart import UARTBus
from hil.testing import check_bus
from hil.testing.check_bus import CHECKS
from hil.testing.simple_scheduler import SimpleScheduler

PINS = {"in": (0, "in"), "out": (1, "out")}


def i2c(target: Any, address: int) -> I2CBus:
    bus = I2CBus("i2c-1", 400_000, "ideal")
    bus.attach(address, target)
    return bus


def spi(part: Any) -> SPIBus:
    bus = SPIBus("spi-0", "ideal")
    bus.attach(0, part)
    return bus


def attached(bus: Any, devices: list[Any]) -> Any:
    for device in devices:
        bus.attach(device)
    return bus


def uart(scheduler: SimpleScheduler, emit: Emit, devices: list[Any]) -> UARTBus:
    return attached(UARTBus("uart", scheduler, 1, emit, 115_200), devices)


def can(scheduler: SimpleScheduler, emit: Emit, devices: list[Any]) -> CANBus:
    return attached(CANBus("can0", scheduler, 1, emit, 500_000), devices)


def can_fd(scheduler: SimpleScheduler, emit: Emit, devices: list[Any]) -> CANBus:
    bus = CANBus("can0", scheduler, 1, emit, 500_000, data_bitrate_hz=2_000_000)
    return attached(bus, devices)


def gpio(scheduler: SimpleScheduler, emit: Emit, devices: list[Any]) -> GPIOChip:
    chip = GPIOChip("gpio", scheduler, 1, emit, 8)
    for device in devices:
        chip.attach(device, PINS)
    return chip


def frames(scheduler: SimpleScheduler, emit: Emit, devices: list[Any]) -> FrameBus:
    return attached(FrameBus("csi0"), devices)


def onewire(scheduler: SimpleScheduler, emit: Emit, devices: list[Any]) -> OneWireBus:
    return attached(OneWireBus("w1"), devices)


MAKERS: list[tuple[str, Callable[..., Any]]] = [
    *(("i2c", i2c), ("spi", spi), ("uart", uart), ("can", can), ("can", can_fd)),
    *(("gpio", gpio), ("frames", frames), ("onewire", onewire)),
]


@pytest.mark.parametrize(("kind", "make"), MAKERS, ids=lambda value: getattr(value, "__name__", ""))
def test_every_kind_of_bus_keeps_its_contract(kind: str, make: Callable[..., Any]) -> None:
    """The public suite of the kind passes."""
    check_bus.check_bus(kind, make)


def test_there_is_a_suite_for_every_kind() -> None:
    """No kind of bus is without one, and this file tries them all."""
    assert set(CHECKS) == {kind for kind, _ in MAKERS}


class Selfish(CANBus):
    """Lets the payload computer win every arbitration."""

    def send(self, t_ns: int, can_id: int, data: bytes) -> None:
        super().send(t_ns, 0, data)


class Hasty(UARTBus):
    """Sends in half the time."""

    def line_time_ns(self, noctets: int) -> int:
        return super().line_time_ns(noctets) // 2


class Open(OneWireBus):
    """Passes everything by its interceptor."""

    def intercept(self, interceptor: object) -> None:
        return


@pytest.mark.parametrize(
    ("kind", "make", "message"),
    [
        (
            "can",
            lambda scheduler, emit, devices: attached(
                Selfish("can0", scheduler, 1, emit, 500_000), devices
            ),
            "by identifier",
        ),
        (
            "uart",
            lambda scheduler, emit, devices: attached(
                Hasty("uart", scheduler, 1, emit, 115_200), devices
            ),
            "last bit",
        ),
        (
            "onewire",
            lambda scheduler, emit, devices: attached(Open("w1"), devices),
            "blocked came through",
        ),
    ],
)
def test_a_broken_bus_does_not_pass(kind: str, make: Callable[..., Any], message: str) -> None:
    """A bus without arbitration, with wrong times or a way round its interceptor fails."""
    with pytest.raises(AssertionError, match=message):
        check_bus.check_bus(kind, make)
