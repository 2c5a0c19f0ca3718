"""The busio face: slices, lock, scan, and sleeps in virtual time."""

from __future__ import annotations

import errno
import time
import types

import pytest

from hil.errors import UsageError
from hil.faces.busio import I2C, virtual_sleep


class Log:
    """A transfer function that notes its calls and answers 0, 1, 2, ..."""

    def __init__(self, present: frozenset[int] = frozenset({0x40}), quick: bool = True) -> None:
        self.calls: list[tuple[int, bytes, int]] = []
        self.present = present
        self.quick = quick

    def __call__(self, address: int, write: bytes, nread: int) -> bytes:
        if address not in self.present:
            raise OSError(errno.ENXIO, "not there")
        if not write and not nread and not self.quick:
            raise OSError(errno.EOPNOTSUPP, "no quick write")
        self.calls.append((address, write, nread))
        return bytes(range(nread))


class Clock:
    """Virtual time that sleeping moves."""

    t_ns = 0

    def now_ns(self) -> int:
        return self.t_ns

    def sleep_until(self, t_ns: int) -> None:
        self.t_ns = t_ns


def test_slices_are_taken_on_both_sides() -> None:
    """``start`` and ``end`` choose what is written and where what is read goes."""
    log = Log()
    bus = I2C(log)
    into = bytearray(b"......")
    bus.writeto(0x40, bytearray(b"abcdef"), start=1, end=3)
    bus.readfrom_into(0x40, into, start=4)
    bus.writeto_then_readfrom(0x40, b"xyz", into, out_end=1, in_start=1, in_end=3)
    assert log.calls == [(0x40, b"bc", 0), (0x40, b"", 2), (0x40, b"x", 2)]
    assert into == b".\x00\x01.\x00\x01"


def test_reading_nothing_is_no_transaction() -> None:
    """An empty buffer to read into asks nothing of the bus."""
    log = Log()
    I2C(log).readfrom_into(0x40, bytearray())
    assert log.calls == []


def test_lock_is_exclusive() -> None:
    """The lock can be taken once, and giving it back untaken is an error."""
    with I2C(Log()) as bus:
        assert bus.try_lock()
        assert not bus.try_lock()
        bus.unlock()
        with pytest.raises(ValueError, match="without lock"):
            bus.unlock()
        assert bus.try_lock()
    assert bus.try_lock()


@pytest.mark.parametrize("quick", [True, False])
def test_scan_probes_as_the_adapter_allows(quick: bool) -> None:
    """Where quick writes are refused the scan reads an octet, and finds the same parts."""
    assert I2C(Log(frozenset({0x40, 0x77, 0x78}), quick)).scan() == [0x40, 0x77]


def test_errors_of_the_bus_pass_through() -> None:
    """An OSError of the transfer function reaches the driver with its errno."""
    with pytest.raises(OSError, match="not there") as error:
        I2C(Log()).writeto(0x41, b"\x00")
    assert error.value.errno == errno.ENXIO


def test_sleep_passes_in_virtual_time_and_is_put_back() -> None:
    """Inside the block every known ``sleep`` moves the clock; afterwards all are as before."""
    real = time.sleep
    module = types.ModuleType("driver")
    module.sleep = real  # type: ignore[attr-defined]
    clock = Clock()

    def stop_halfway() -> None:
        with virtual_sleep(clock, module):
            time.sleep(1)
            module.sleep(0.25)
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        stop_halfway()
    assert clock.t_ns == 1_250_000_000
    assert time.sleep is real
    assert module.sleep is real


def test_module_without_sleep_is_refused() -> None:
    """Naming a module that holds no ``time.sleep`` is an error, not a sleep that stays real."""
    real = time.sleep
    sleeping = virtual_sleep(Clock(), types.ModuleType("driver"))
    with pytest.raises(UsageError, match=r"module driver holds no time\.sleep"):
        sleeping.__enter__()
    assert time.sleep is real
