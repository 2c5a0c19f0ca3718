"""I2C, GPIO and camera of the flight software on drivers of a real kernel, in a guest."""

from __future__ import annotations

import errno
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent / "vm"))

from machine import Machine, require_vm

from flightsw.codec.wire import Status

MODULES = ("i2c_dev", "uhid", "hid_mcp2221", "vivid")
TEMPERATURE_C = 41.5
#: bars of three quarters: white, yellow, cyan, green, magenta, red, blue, black
BARS = [
    [191 * (not number & 2), 191 * (not number & 4), 191 * (not number & 1)] for number in range(8)
]

pytestmark = pytest.mark.soak


@pytest.fixture(scope="module")
def seen() -> Mapping[str, Any]:
    """Give what the flight software's buses found in a guest."""
    with Machine(require_vm(MODULES)) as guest:
        found = guest.run("mcp2221.py")
    assert isinstance(found, dict)
    return found


def test_transactions_pass_through_an_adapter_of_the_kernel(seen: Mapping[str, Any]) -> None:
    """A hundred octets written and read back with a repeated start, reading goes on, and what the
    adapter's driver refuses has its errno."""
    i2c = seen["i2c"]
    assert i2c["functions"] == 1
    assert i2c["memory"]
    assert i2c["goes on"] == "7475"
    assert i2c["refused"][:2] == [errno.ENXIO, errno.ENXIO]
    assert i2c["refused"][2] == errno.EOPNOTSUPP
    assert i2c["statuses"][:5] == [0, 0, 0, Status.NAK_ADDRESS, Status.NAK_ADDRESS]
    assert i2c["times"] > 0


def test_a_driver_reads_its_part_behind_the_adapter(seen: Mapping[str, Any]) -> None:
    """The TMP117 driver finds its part and reads what was set."""
    assert seen["driver"] == TEMPERATURE_C


def test_lines_of_a_chip_without_interrupts_have_levels_and_no_edges(
    seen: Mapping[str, Any],
) -> None:
    """Outputs drive, an input is one, edges stay away, and a line that is held is refused."""
    gpio = seen["gpio"]
    assert gpio["out"] == [[1, 0], [0, 0], [1, 0]], "level and direction of the output"
    assert (gpio["in"], gpio["edges"], gpio["has"]) == ([0, 1], 0, False)
    assert "is held by flightsw" in gpio["held"]


def test_a_camera_of_the_kernel_delivers_pixels_in_every_format(seen: Mapping[str, Any]) -> None:
    """The bars of the kernel's test picture come out in their colours, from RGB, grey and YUYV.

    Each frame is stamped with a time of its own and told as a frame of its size.
    """
    found = seen["camera"]
    for name in ("RGB3", "YUYV"):
        assert found[name]["shape"] == [480, 640, 3]
        off = [
            abs(a - b)
            for got, bar in zip(found[name]["bars"], BARS, strict=True)
            for a, b in zip(got, bar, strict=True)
        ]
        assert max(off) <= 3, name
    grey = [level for (level,) in found["GREY"]["bars"]]
    assert grey == sorted(grey, reverse=True)
    assert len(set(grey)) == len(BARS)
    for name, nbytes in (("RGB3", 3), ("GREY", 1), ("YUYV", 3)):
        before_ns, first_ns, second_ns, after_ns = found[name]["times"]
        assert before_ns <= first_ns < second_ns <= after_ns
        assert found[name]["told"] == [[0, True, 8 + 640 * 480 * nbytes]] * 2
