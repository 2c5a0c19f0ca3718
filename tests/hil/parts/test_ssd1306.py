"""SSD1306 at command level, against its data sheet."""

from __future__ import annotations

import numpy as np
import pytest

from hil.parts.ssd1306 import Ssd1306
from hil.testing.contracts.part import check_part

UPRIGHT = bytes((0x00, 0xA1, 0xC8, 0x8D, 0x14, 0xAF))


def lit(part: Ssd1306) -> list[tuple[int, int]]:
    """Return (row, column) of the lit pixels."""
    return [(int(row), int(column)) for row, column in np.argwhere(part.image())]


def command(part: Ssd1306, *octets: int) -> None:
    part.i2c_write(0, bytes((0x00, *octets)))


def data(part: Ssd1306, *octets: int) -> None:
    part.i2c_write(0, bytes((0x40, *octets)))


@pytest.fixture
def oled() -> Ssd1306:
    part = Ssd1306("oled")
    part.i2c_write(0, UPRIGHT)
    return part


def test_contract() -> None:
    """The part passes the public contract suite."""
    check_part(lambda: Ssd1306("oled"), 1000)


def test_dark_until_it_is_on_with_its_pump() -> None:
    """Display on (AFh) and charge pump (8Dh) are both needed, or a voltage from outside."""
    part = Ssd1306("oled")
    data(part, 0xFF)
    for octets in ((0xAF,), (0xAE, 0x8D, 0x14)):
        command(part, *octets)
        assert not part.image().any()
    command(part, 0xAF)
    assert part.image().sum() == 8
    part = Ssd1306("oled", external_vcc=True)
    data(part, 0xFF)
    command(part, 0xAF)
    assert part.image().sum() == 8


def test_page_addressing(oled: Ssd1306) -> None:
    """Page and column commands set the pointer; at the end the column starts over on its page."""
    command(oled, 0xB3, 0x0E, 0x17)
    data(oled, 0x01, 0x80, 0x02)
    assert lit(oled) == [(24, 126), (25, 0), (31, 127)]


def test_horizontal_addressing_goes_on_in_the_window(oled: Ssd1306) -> None:
    """At the end of the window's columns the next page follows, at its end the first."""
    command(oled, 0x20, 0x00, 0x21, 10, 11, 0x22, 2, 3)
    data(oled, 1, 2, 4, 8, 16)
    assert oled.memory[2:4, 127 - 11 : 127 - 9].tolist() == [[2, 16], [8, 4]]


def test_vertical_addressing_goes_down_first(oled: Ssd1306) -> None:
    """At the end of the window's pages the next column follows."""
    command(oled, 0x20, 0x01, 0x21, 0, 1, 0x22, 0, 1)
    data(oled, 1, 2, 4, 8)
    assert [oled.memory[page, 127 - column] for column in (0, 1) for page in (0, 1)] == [1, 2, 4, 8]


def test_remapping_turns_the_picture(oled: Ssd1306) -> None:
    """C0h turns rows at once; A0h turns columns of what is written from then on."""
    data(oled, 0x01)
    assert lit(oled) == [(0, 0)]
    command(oled, 0xC0)
    assert lit(oled) == [(63, 0)]
    command(oled, 0xA0, 0x00, 0x10)
    assert lit(oled) == [(63, 0)]
    data(oled, 0x01)
    assert lit(oled) == [(63, 0), (63, 127)]


def test_start_line_offset_and_multiplex(oled: Ssd1306) -> None:
    """Start line and offset move rows up; a multiplex of 32 shows the first 32."""
    command(oled, 0xB1)
    data(oled, 0x01)
    assert lit(oled) == [(8, 0)]
    command(oled, 0x43)
    assert lit(oled) == [(5, 0)]
    command(oled, 0xD3, 0x05)
    assert lit(oled) == [(0, 0)]
    command(oled, 0xA8, 0x1F, 0xA5)
    assert oled.image().sum() == 32 * 128


def test_inversion_and_all_on(oled: Ssd1306) -> None:
    """A7h turns pixels over, A5h lights all."""
    command(oled, 0xA7)
    assert oled.image().all()
    command(oled, 0xA6, 0xA5)
    assert oled.image().all()


def test_control_octets_mix_commands_and_data(oled: Ssd1306) -> None:
    """With Co each octet has its own control; without, the rest of the message is of one kind."""
    oled.i2c_write(0, bytes((0x80, 0xB2, 0xC0, 0x01, 0x80, 0x81, 0x80, 0x33, 0x40, 0x02, 0x04)))
    assert oled.contrast == 0x33
    assert oled.memory[2, [127, 126, 125]].tolist() == [1, 2, 4]


def test_status_says_whether_it_is_on(oled: Ssd1306) -> None:
    """A read gives 40h while the display is off."""
    assert oled.i2c_read(0, 1) == b"\x00"
    command(oled, 0xAE)
    assert oled.i2c_read(0, 2) == b"\x40\x40"


def test_reset_pin_restores_all_but_the_memory(oled: Ssd1306) -> None:
    """While RES# is low nothing is taken; after it the display is off and in page mode."""
    data(oled, 0x01)
    oled.gpio_change(0, "reset", 0)
    command(oled, 0xAF)
    oled.gpio_change(0, "reset", 1)
    assert not oled.display_on
    oled.i2c_write(0, UPRIGHT)
    assert lit(oled) == [(0, 0)]


def test_a_narrow_glass_shows_the_middle() -> None:
    """A glass of 64 by 32 pixels shows columns 32 to 95."""
    part = Ssd1306("oled", width=64, height=32)
    part.i2c_write(0, UPRIGHT)
    command(part, 0xA8, 0x1F, 0x00, 0x12)
    data(part, 0x01)
    assert part.image().shape == (32, 64)
    assert lit(part) == [(0, 0)]


def test_scrolling_and_unknown_commands_are_counted(oled: Ssd1306) -> None:
    """What is not modelled shows in the report, with its arguments taken."""
    command(oled, 0x26, 0, 0, 0, 7, 0, 0xFF, 0xFF, 0xA7)
    assert oled.touched == {"scroll 26h": 1, "command FFh": 1}
    assert oled.inverted
