"""The busio.SPI face: chip select edges, slices, settings, lock."""

from __future__ import annotations

import pytest

from hil.buses.spi import CS_CHANGE, SPIBus
from hil.errors import UsageError
from hil.faces.busio_spi import SPI, ChipSelect, Pin
from hil.testing.contracts.bus import SPIShifter


class Log:
    """A transfer function that notes its segments and answers 1, 2, 3, ..."""

    def __init__(self) -> None:
        self.calls: list[tuple[int, bytes, int, int]] = []

    def __call__(self, chip_select: int, segments: list[tuple[bytes, int, int, int, int]]):
        for tx, speed_hz, _, flags, _ in segments:
            self.calls.append((chip_select, tx, speed_hz, flags))
        return [bytes(range(1, len(segment[0]) + 1)) for segment in segments]


def test_edges_go_to_the_bus_where_they_happen() -> None:
    """A falling chip select is an empty held segment, a rising one an empty released segment."""
    log = Log()
    spi = SPI(log)
    select = ChipSelect(spi, 2)
    select.switch_to_output(value=True)
    assert log.calls == []
    select.value = False
    spi.write(b"ab")
    select.value = True
    select.value = True
    assert [(cs, tx, flags) for cs, tx, _, flags in log.calls] == [
        (2, b"", CS_CHANGE),
        (2, b"ab", CS_CHANGE),
        (2, b"", 0),
    ]


def test_the_part_sees_one_selection_over_several_transfers() -> None:
    """On an emulated bus the part is selected once for all transfers between the edges."""
    part = SPIShifter()
    bus = SPIBus("spi-0", "ideal")
    bus.attach(0, part)
    spi = SPI(lambda cs, segments: bus.transfer_segments(0, cs, segments)[2], bus.configure)
    select = ChipSelect(spi, 0)
    for _ in range(3):
        select.value = False
        spi.write(b"\x01\x02")
        into = bytearray(2)
        spi.readinto(into)
        assert into == b"\x02\x00"  # the shifter answers each octet with the one before
        select.value = True
    assert (part.selects, part.deselects) == (3, 3)


def test_slices_are_taken_on_both_sides() -> None:
    """``start`` and ``end`` choose what is written and where what is read goes."""
    log = Log()
    spi = SPI(log)
    ChipSelect(spi, 0).value = False
    into = bytearray(b"......")
    spi.write(b"abcdef", start=1, end=3)
    spi.readinto(into, start=4, write_value=0x55)
    spi.write_readinto(b"xyz", into, out_end=2, in_start=1, in_end=3)
    assert [tx for _, tx, _, _ in log.calls] == [b"", b"bc", b"\x55\x55", b"xy"]
    assert into == b".\x01\x02.\x01\x02"
    with pytest.raises(ValueError, match="differ in length"):
        spi.write_readinto(b"xyz", into)


def test_nobody_selected_reads_ones() -> None:
    """Without a chip select the line idles high, and the transfer is counted."""
    log = Log()
    spi = SPI(log)
    into = bytearray(3)
    spi.readinto(into)
    assert (into, log.calls, spi.unselected) == (b"\xff\xff\xff", [], 1)


def test_two_chips_at_once_is_an_error() -> None:
    """A second chip select that falls while one is low would short two outputs."""
    spi = SPI(Log())
    ChipSelect(spi, 0).value = False
    with pytest.raises(UsageError, match="chip select 1 falls while 0 is low"):
        ChipSelect(spi, 1).value = False


def test_settings_reach_the_controller() -> None:
    """Clock and mode set under the lock hold for what follows."""
    log = Log()
    settings: list[tuple[int, dict[str, int]]] = []
    spi = SPI(log, lambda cs, **given: settings.append((cs, given)))
    with pytest.raises(RuntimeError, match="without lock"):
        spi.configure(baudrate=1)
    assert spi.try_lock()
    assert not spi.try_lock()
    spi.configure(baudrate=5_000_000, polarity=1, phase=1)
    spi.unlock()
    with pytest.raises(ValueError, match="without lock"):
        spi.unlock()
    select = ChipSelect(spi, 3)
    select.value = False
    spi.write(b"a")
    assert settings == [(3, {"mode": 3, "speed_hz": 5_000_000, "bits": 8})]
    assert (log.calls[-1][2], spi.frequency) == (5_000_000, 5_000_000)


def test_a_plain_pin_drives_what_it_was_given() -> None:
    """Each level that a driver sets goes to the function of the pin."""
    levels: list[bool] = []
    pin = Pin(levels.append)
    pin.switch_to_output(value=True)
    pin.value = 0
    assert (levels, pin.value) == ([True, False], False)
