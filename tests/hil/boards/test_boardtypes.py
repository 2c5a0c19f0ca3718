"""Types of dev board: the files that ship, and what is said of a wrong one."""

from __future__ import annotations

from pathlib import Path

import pytest

from hil.board import board_names
from hil.boards.boardtype import load_type, type_names
from hil.errors import ConfigError

LEAST = """schema = 1
[board]
name = "my"
title = "My board"
mcu = "any"
[firmware]
name = "hilwire"
[buses]
i2c0 = { sda = "1", scl = "2", max = "400 kHz" }
[emulate]
posix = {}
"""


def write(folder: Path, text: str) -> Path:
    """Return the path of a new type file."""
    path = folder / "my.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("name", type_names())
def test_every_type_that_ships_is_whole(name: str) -> None:
    """Each file loads, is named as its file is, and can be run with no board at all."""
    kind = load_type(name)
    assert kind.name == name
    assert kind.emulations
    assert kind.link.rates[0] == kind.link.baud <= kind.link.max_baud


@pytest.mark.parametrize("name", type_names())
def test_the_image_of_a_type_is_its_own(name: str) -> None:
    """Where a type names an image it lies in the folder of boards, and is its firmware's."""
    kind = load_type(name)
    if kind.firmware.file is None:
        assert kind.firmware.flash is None
        return
    image = kind.path.parents[1] / kind.firmware.file
    assert image.is_file()
    assert image.stem in (kind.firmware.name, "hilwire")


def test_the_boards_of_the_book_are_there() -> None:
    """Each board that the manual promises has a type, and none of them is a payload computer."""
    promised = {"uno", "pico", "microbit", "nucleo_f4", "posix", "micropython", "slcan"}
    assert promised <= set(type_names())
    assert not set(board_names()) & set(type_names())


def test_a_type_says_what_is_on_it(tmp_path: Path) -> None:
    """Pins, rates and the number of a bus in the protocol come out as the file has them."""
    kind = load_type(write(tmp_path, LEAST))
    bus = kind.bus("i2c0")
    assert (bus.kind, bus.index, bus.max_hz) == ("i2c", 0, 400_000)
    assert bus.pins == {"sda": "1", "scl": "2"}
    assert kind.link.reset == "none"
    assert 115200 in kind.link.rates


def test_the_flash_command_is_a_list_of_words() -> None:
    """Port and image stand in the command as one word each, whatever blanks they hold."""
    words = load_type("uno").firmware.command("/dev/my port", "an image.hex")
    assert words is not None
    assert words[0] == "avrdude"
    assert "/dev/my port" in words
    assert "flash:w:an image.hex:i" in words


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("schema = 1", "schema = 2", ":1: schema: form 2 is newer than 1"),
        ("mcu =", "mci =", "'mcu'"),
        ("[firmware]", "[firmwares]", "did you mean 'firmware'"),
        ("posix = {}", "posixx = {}", "did you mean 'posix'"),
        ("posix = {}", "", "at least one emulation"),
        ("posix = {}", "posix = { imagee = 'x' }", "did you mean 'image'"),
        ("posix = {}", "posix = { pace = 'wal' }", "did you mean 'wall'"),
        ("sda =", "sdaa =", "did you mean 'sda'"),
        ("i2c0 =", "twi0 =", "a bus is i2c, spi"),
        ('"400 kHz"', '"400 V"', "max"),
        ("[firmware]", "[link]\nbaud = 10\n[firmware]", "10 is outside"),
        ("[firmware]", "[link]\nmax_baud = 9600\n[firmware]", "below the 115200"),
        ("[firmware]", "[link]\nreset = 'dtrr'\n[firmware]", "did you mean 'dtr'"),
        ("[firmware]", "[link]\nboot_wait_s = -1\n[firmware]", "outside 0 to 30 s"),
        ("[firmware]", "[match]\nusb = ['2341']\n[firmware]", "vendor:product"),
        ("[firmware]", "[match]\ntty = 'ttyACM0'\n[firmware]", "unknown key"),
        ('name = "hilwire"', 'name = "x"\nmin = "new"', "no version"),
        ('name = "hilwire"', 'name = "x"\nflash = "a {prt}"', "{port} and {image}"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    tmp_path: Path, old: str, new: str, complaint: str
) -> None:
    """A wrong type file is one line that names the file and the key or the nearest known word."""
    assert old in LEAST
    path = write(tmp_path, LEAST.replace(old, new, 1))
    with pytest.raises(ConfigError) as caught:
        load_type(path)
    assert str(caught.value).startswith(str(path))
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_type_names_the_nearest() -> None:
    """Whoever mistypes a type is told the one that was meant."""
    with pytest.raises(ConfigError, match="did you mean 'nucleo_f4'"):
        load_type("nucleo_f")


@pytest.mark.parametrize(
    ("name", "numbers"), [("uno", [2, 3, 4]), ("pico", [2, 3, 6]), ("posix", [0, 1, 2])]
)
def test_pins_have_their_printed_numbers(name: str, numbers: list[int]) -> None:
    """The firmware knows a pin by what is printed beside it, a chip of lines by its place."""
    bus = load_type(name).bus("gpio0")
    assert [bus.pin_number(place) for place in range(3)] == numbers
