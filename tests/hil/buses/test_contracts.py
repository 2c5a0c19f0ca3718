"""Every kind of bus passes the public contract suite, on every transport; a broken one does not."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from remote_bus import remote

from hil.buses.base import Emit
from hil.buses.can import CANBus
from hil.buses.frames import FrameBus
from hil.buses.gpio import GPIOChip
from hil.buses.i2c import I2CBus
from hil.buses.onewire import OneWireBus
from hil.buses.spi import SPIBus
from hil.buses.uart import UARTBus
from hil.options import TRANSPORTS
from hil.testing.contracts import bus as check_bus
from hil.testing.contracts.bus import CHECKS
from hil.testing.simple_scheduler import SimpleScheduler
from hil.time.transports.keys import make_keys

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


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("bench") / "keys"
    make_keys(directory)
    return directory


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize(("kind", "make"), MAKERS, ids=lambda value: getattr(value, "__name__", ""))
def test_a_bus_keeps_its_contract_over_a_transport(
    kind: str, make: Callable[..., Any], transport: str, keys: Path
) -> None:
    """The public suite of the kind passes on a bus that is reached by records alone."""
    with ExitStack() as sessions:
        check_bus.check_bus(kind, remote(kind, make, transport, sessions, keys))


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_broken_bus_is_seen_over_a_transport(transport: str, keys: Path) -> None:
    """A controller that drops the last octet of a write fails there too."""

    class Forgetful(I2CBus):
        def transfer(self, t_ns: int, address: int, write: bytes, nread: int) -> Any:
            return super().transfer(t_ns, address, write if nread else write[:-1], nread)

    def make(target: Any, address: int) -> I2CBus:
        bus = Forgetful("i2c-1", 400_000, "ideal")
        bus.attach(address, target)
        return bus

    with ExitStack() as sessions, pytest.raises(AssertionError, match="read back"):
        check_bus.check_bus("i2c", remote("i2c", make, transport, sessions, keys))
