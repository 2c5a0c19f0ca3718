"""Boards on a real USB bus: enumeration, hot plug and port moves by the kernel of a guest."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent / "vm"))

from machine import Kernel, Machine, require_vm

#: serial number, VID, PID and the path of the USB ports that the guest's boards hang on
SERIAL_NUMBER = "E6614103E7452D2F"
PICO = [SERIAL_NUMBER, 0x2E8A, 0x000A]
PATHS = ["1-1:1.0", "2-1:1.0"]


@pytest.fixture(scope="module")
def kernel() -> Kernel:
    """Give the kernel for the guests."""
    return require_vm()


def test_a_plugged_board_is_the_same_by_its_serial_number_wherever_its_port_goes(
    kernel: Kernel,
) -> None:
    """Three plugs, the second with the old port held open: ttyACM0, 1, 0, and one identity."""
    with Machine(kernel) as guest:
        seen = guest.run("plain.py")
    assert isinstance(seen, dict)
    identity = [*PICO, PATHS[0]]
    assert seen["cycles"] == [
        ["/dev/ttyACM0", identity, True],
        ["/dev/ttyACM1", identity, True],
        ["/dev/ttyACM0", identity, True],
    ]
    twins = [one[1:] for one in seen["twins"]]
    assert sorted(twins, key=str) == [[*PICO, path] for path in PATHS]
