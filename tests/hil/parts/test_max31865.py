"""MAX31865 at register level, against its data sheet."""

from __future__ import annotations

import pytest

from hil.buses.spi import SPIBus
from hil.parts.max31865 import Max31865, platinum_ratio
from hil.testing.contracts.part import check_part

MS = 1_000_000


class Converter:
    """The part on a bus, and the time."""

    def __init__(self, mode: int = 1, reference_ohm: float = 430.0) -> None:
        self.part = Max31865("rtd", 3, reference_ohm=reference_ohm)
        self.bus = SPIBus("spi-0", "ideal")
        self.bus.attach(0, self.part, mode=mode, speed_hz=5_000_000)
        self.t_ns = 0

    def write(self, address: int, *values: int) -> None:
        self.bus.transfer(self.t_ns, 0, bytes((0x80 | address, *values)))

    def read(self, address: int, nread: int = 1) -> bytes:
        return self.bus.transfer(self.t_ns, 0, bytes((address, *bytes(nread))))[2][1:]

    @property
    def rtd(self) -> int:
        return int.from_bytes(self.read(1, 2), "big")


@pytest.fixture
def rtd() -> Converter:
    return Converter()


def test_contract() -> None:
    """The part passes the public contract suite."""
    check_part(lambda: Max31865("rtd", 3))


def test_reset_values_and_addresses(rtd: Converter) -> None:
    """Table 1: thresholds at the ends of the scale, all else 0; further addresses read ones."""
    assert rtd.read(0, 8) == b"\x00\x00\x00\xff\xff\x00\x00\x00"
    assert rtd.read(6, 4) == b"\x00\x00\xff\xff"
    rtd.write(3, 0x12, 0x34, 0x56, 0x78)
    assert rtd.read(3, 4) == b"\x12\x34\x56\x78"


@pytest.mark.parametrize(("mode", "works"), [(0, False), (1, True), (2, False), (3, True)])
def test_modes(mode: int, works: bool) -> None:
    """Modes 1 and 3 work, the others do not."""
    rtd = Converter(mode)
    rtd.write(0, 0x81)
    assert (rtd.read(0) == b"\x81") == works


@pytest.mark.parametrize(
    ("celsius", "ohm"),
    [(-200, 18.52), (-100, 60.26), (0, 100.0), (100, 138.51), (400, 247.09), (850, 390.48)],
)
def test_platinum_is_that_of_iec_60751(celsius: float, ohm: float) -> None:
    """Resistances of the table of IEC 60751 to its last digit."""
    assert 100 * platinum_ratio(celsius) == pytest.approx(ohm, abs=0.006)


@pytest.mark.parametrize(("filter_bit", "ns"), [(0, 52 * MS), (1, 62_500_000)])
def test_one_shot_takes_its_time(rtd: Converter, filter_bit: int, ns: int) -> None:
    """A one-shot clears its bit at once and latches after 52 or 62.5 ms."""
    rtd.part.set("temperature_c", 0.0)
    rtd.write(0, 0x80 | filter_bit)
    rtd.write(0, 0xA0 | filter_bit)
    assert rtd.read(0) == bytes((0x80 | filter_bit,))
    started_ns = rtd.t_ns
    rtd.t_ns = started_ns + ns - 1000
    assert rtd.rtd == 0
    rtd.t_ns = started_ns + ns + 1000
    assert rtd.rtd >> 1 == round(100 / 430 * 32768)


@pytest.mark.parametrize(("filter_bit", "period_ns"), [(0, 16_666_667), (1, 20 * MS)])
def test_automatic_mode_follows(rtd: Converter, filter_bit: int, period_ns: int) -> None:
    """In automatic mode a new value shows within a period, and not after it is switched off."""
    rtd.write(0, 0xC0 | filter_bit)
    rtd.t_ns = 100 * MS
    first = rtd.rtd
    rtd.part.set("temperature_c", 100.0)
    rtd.t_ns += period_ns
    assert rtd.rtd > first
    rtd.write(0, 0x80 | filter_bit)
    rtd.part.set("temperature_c", -100.0)
    last = rtd.rtd
    rtd.t_ns += 1000 * MS
    assert rtd.rtd == last


def test_thresholds_raise_faults_until_they_are_cleared(rtd: Converter) -> None:
    """A result beyond a threshold sets its bit and bit 0 of the result; D1 clears them."""
    rtd.write(3, 0x3A, 0x00, 0x10, 0x00)
    rtd.part.set("temperature_c", 50.0)
    rtd.write(0, 0xA0)
    rtd.t_ns += 60 * MS
    assert rtd.read(7) == b"\x80"
    assert rtd.rtd & 1
    rtd.write(0, 0x82)
    assert (rtd.read(7), rtd.read(0)) == (b"\x00", b"\x80")
    rtd.write(5, 0x3A, 0x00)
    rtd.part.set("temperature_c", -200.0)
    rtd.write(0, 0xA0)
    rtd.t_ns += 60 * MS
    assert rtd.read(7) == b"\x40"


def test_an_open_element_is_found_by_the_fault_cycle(rtd: Converter) -> None:
    """It reads full scale; the cycle of 550 us sets D5 and clears its bits."""
    rtd.part.set("open_circuit", 1.0)
    rtd.write(0, 0xA0)
    rtd.t_ns += 60 * MS
    assert rtd.rtd >> 1 == 0x7FFF
    rtd.write(0, 0x84)
    assert rtd.read(0) == b"\x84"
    rtd.t_ns += MS
    assert rtd.read(0) == b"\x80"
    assert rtd.read(7)[0] & 0x20


def test_no_bias_no_reading(rtd: Converter) -> None:
    """A conversion without bias reads 0 and is counted."""
    rtd.write(0, 0x20)
    rtd.t_ns += 60 * MS
    assert rtd.rtd >> 1 == 0
    assert rtd.part.snapshot()["unbiased"] == 1


def test_a_small_reference_saturates() -> None:
    """A resistance above the reference reads full scale and is counted."""
    rtd = Converter(reference_ohm=100.0)
    rtd.part.set("temperature_c", 20.0)
    rtd.write(0, 0xA0)
    rtd.t_ns += 60 * MS
    assert rtd.rtd >> 1 == 0x7FFF
    assert rtd.part.snapshot()["saturated"] == 1
