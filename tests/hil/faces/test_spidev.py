"""The spidev face: what spidev 3.x does with lists, tuples, blocks, modes and paths."""

from __future__ import annotations

import errno
import sys
from typing import Any

import pytest

from hil.buses.spi import RECEIVE, SPIBus
from hil.faces import spidev
from hil.testing.contracts.bus import SPIShifter


class Bench:
    """A shifter (each octet answers the one before) at chip select 1 of bus 0."""

    def __init__(self, profile: str = "ideal") -> None:
        self.part = SPIShifter()
        self.bus = SPIBus("spi-0", profile)
        self.bus.attach(1, self.part)
        self.segments: list[Any] = []

    def connect(self, bus: int, device: int) -> tuple[Any, Any]:
        if (bus, device) != (0, 1):
            raise FileNotFoundError(errno.ENOENT, "no such device")
        return self.transfer, self.bus.configure

    def transfer(self, chip_select: int, segments: list[Any]) -> list[bytes]:
        self.segments += segments
        return self.bus.transfer_segments(0, chip_select, segments)[2]


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.fixture
def device(bench: Bench) -> spidev.SpiDev:
    return spidev.bound(bench.connect)(0, 1)


def test_a_list_is_overwritten_and_a_tuple_is_not(device: spidev.SpiDev) -> None:
    """``xfer`` and ``xfer2`` return what they were given: the same list, or a new tuple."""
    values = [1, 2, 3]
    assert device.xfer2(values) is values
    assert values == [0, 1, 2]
    given = (1, 2, 3)
    assert device.xfer(given) == (0, 1, 2)
    assert given == (1, 2, 3)


def test_each_call_is_one_selection(bench: Bench, device: spidev.SpiDev) -> None:
    """Chip select rises after every call."""
    device.xfer2([1])
    device.writebytes([1, 2])
    device.readbytes(2)
    assert (bench.part.selects, bench.part.deselects) == (3, 3)


def test_settings_of_one_call(bench: Bench, device: spidev.SpiDev) -> None:
    """Speed, delay and word size of a call win over those of the device."""
    device.max_speed_hz = 2_000_000
    device.xfer2([1], 5_000_000, 7, 8)
    device.xfer2([1])
    assert bench.segments == [(b"\x01", 5_000_000, 8, 0, 7), (b"\x01", 2_000_000, 8, 0, 0)]


def test_blocks(bench: Bench, device: spidev.SpiDev) -> None:
    """Above 4096 octets ``xfer`` and ``writebytes`` refuse, ``xfer3`` and ``writebytes2`` split."""
    for call in (device.xfer, device.xfer2, device.writebytes):
        with pytest.raises(OverflowError, match="4096"):
            call([0] * 4097)
    data = bytes(n % 251 for n in range(5000))
    got = device.xfer3(data)
    assert isinstance(got, tuple)
    assert got[:3] + got[4096:4098] == (0, 0, 1, 0, data[4096])
    device.writebytes2(memoryview(data))
    assert [len(segment[0]) for segment in bench.segments] == [4096, 904] * 2
    assert len(device.readbytes(9999)) == 4096
    assert len(device.readbytes(0)) == 1


def test_wrong_values(device: spidev.SpiDev) -> None:
    """Nothing, no sequence and no number are TypeErrors; numbers are cut to eight bits."""
    for wrong in ([], None, ["a"]):
        with pytest.raises(TypeError):
            device.xfer2(wrong)  # type: ignore[type-var]
    assert device.xfer2([0x1FF, 0]) == [0, 0xFF]


def test_modes(bench: Bench, device: spidev.SpiDev) -> None:
    """Mode and the flags beside it are one word; the controller is told of them."""
    device.mode = 3
    device.cshigh = True
    assert (device.mode, device.cshigh, device.loop) == (3, True, False)
    assert device.xfer2([1, 2]) == [0xFF, 0xFF]
    device.cshigh = False
    device.loop = True
    assert device.xfer2([1, 2]) == [1, 2]
    with pytest.raises(TypeError, match="between 0 and 3"):
        device.mode = 4
    assert bench.bus.describe()["chip_selects"]["1"]["mode"] == 3
    device.loop = False
    device.no_cs = True
    assert device.xfer2([1, 2]) == [0xFF, 0xFF]
    assert bench.bus.counters["octets"] == 2  # only with the wrong chip select polarity


def test_three_wire(bench: Bench, device: spidev.SpiDev) -> None:
    """On a single line a read has the controller let go of it."""
    device.threewire = True
    device.readbytes(2)
    device.writebytes([1])
    assert [segment[3] for segment in bench.segments] == [RECEIVE, 0]


def test_bit_order_that_the_adapter_cannot_do() -> None:
    """An adapter that shifts the high bit first only refuses the other order with EINVAL."""
    device = spidev.bound(Bench("bcm2835").connect)(0, 1)
    with pytest.raises(OSError, match="low bit first") as raised:
        device.lsbfirst = True
    assert (raised.value.errno, device.lsbfirst) == (errno.EINVAL, False)
    assert device.xfer2([1, 2]) == [0, 1]


def test_opening_and_closing(bench: Bench) -> None:
    """A path opens as its numbers do; a closed device and a wrong place are OSErrors."""
    made = spidev.bound(bench.connect)
    device = made()
    with pytest.raises(OSError, match=r".") as raised:
        device.xfer2([1])
    assert raised.value.errno == errno.EBADF
    device.open_path("/dev/spidev0.1")
    assert device.xfer2([1]) == [0]
    device.close()
    assert device.max_speed_hz == 0
    with pytest.raises(FileNotFoundError):
        made(0, 0)
    with pytest.raises(FileNotFoundError):
        made().open_path("/dev/i2c-1")
    with made(0, 1) as device, pytest.raises(OSError, match="no file"):
        device.fileno()


def test_it_stands_in_for_the_module(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that says ``import spidev`` gets the emulated bus."""
    monkeypatch.setitem(sys.modules, "spidev", spidev.module(bench.connect))
    scope: dict[str, Any] = {}
    exec("import spidev\nspi = spidev.SpiDev(0, 1)\ngot = spi.xfer2([5, 6])", scope)
    assert scope["got"] == [0, 5]


@pytest.mark.parametrize(
    ("name", "value"), [("bits_per_word", 12), ("max_speed_hz", 0), ("lsbfirst", True)]
)
def test_a_setting_that_the_controller_cannot_do_changes_nothing(name: str, value: int) -> None:
    """What is refused is EINVAL; the settings before it hold, and further ones are taken."""
    device = spidev.bound(Bench("bcm2835").connect)(0, 1)
    before = getattr(device, name)
    with pytest.raises(OSError, match=r"\[Errno 22\]"):
        setattr(device, name, value)
    assert getattr(device, name) == before
    device.max_speed_hz, device.mode = 1_000_000, 1
    assert device.xfer2([1, 2]) == [0, 1]
