"""The board on this computer on SocketCAN: virtual CAN interfaces of a guest's kernel."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent / "vm"))

from machine import CAN_MODULES, Machine, require_vm
from socketcan import BURST, FRAMES, told

from flightsw.codec.wire import Status
from hil.boards.posix import FIRMWARE

ROOT = Path(__file__).resolve().parents[2]
ACTIVE, WARNING, PASSIVE, OFF = range(4)


@pytest.fixture(scope="module")
def seen() -> Mapping[str, Any]:
    """Give what a board in a guest and the users of its kernel's CAN saw of each other."""
    kernel = require_vm(CAN_MODULES)
    if not (ROOT / "hil" / "boards" / FIRMWARE).is_file():
        pytest.skip("the firmware for this computer was not built")
    for program in ("ip", "setpriv"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    with Machine(kernel) as guest:
        found = guest.run("socketcan.py")
    assert isinstance(found, dict)
    return found


def _by(seen: Mapping[str, Any], way: str, program: str) -> Any:
    if seen[way][program] is None:
        pytest.skip(f"{program} is not installed")
    return seen[way][program]


def test_a_board_sends_every_kind_of_frame(seen: Mapping[str, Any]) -> None:
    """Classic and FD, standard and extended, remote: a socket of the kernel has them unchanged."""
    assert set(seen["frames_out"]["statuses"]) == {Status.OK}
    assert seen["frames_out"]["socket"] == told(list(FRAMES))
    assert "ip link" in seen["frames_out"]["log"]


def test_candump_shows_what_a_board_sends(seen: Mapping[str, Any]) -> None:
    """Every frame stands in candump's log as its notation has it."""
    assert _by(seen, "frames_out", "candump") == [frame.text for frame in FRAMES]


def test_python_can_hears_what_a_board_sends(seen: Mapping[str, Any]) -> None:
    """python-can's own interface to the kernel has every frame, kinds and flags included."""
    assert _by(seen, "frames_out", "python-can") == told(list(FRAMES))


@pytest.mark.parametrize("program", ["socket", "cansend", "python-can"])
def test_a_board_tells_every_kind_of_frame(seen: Mapping[str, Any], program: str) -> None:
    """What others send on the interface comes as CAN_RX, in order and unchanged."""
    assert _by(seen, "frames_in", program) == told(list(FRAMES))


def test_a_frame_that_cannot_be_is_invalid(seen: Mapping[str, Any]) -> None:
    """An error frame, which is the driver's own, and a remote frame of CAN FD are not sent."""
    assert seen["frames_out"]["refused"] == [Status.INVALID, Status.INVALID]


def test_a_board_counts_frames_that_the_kernel_had_no_room_for(seen: Mapping[str, Any]) -> None:
    """Heard and lost are all that was sent while the board stood still."""
    assert seen["burst"]["lost"] > 0
    assert seen["burst"]["heard"] + seen["burst"]["lost"] == BURST


def test_a_board_tells_the_state_of_the_controller(seen: Mapping[str, Any]) -> None:
    """Error frames of a driver come as CAN_STATE; bus-off refuses to send until it has ended."""
    assert seen["states"] == {
        "warning": [0, WARNING, 97, 3, Status.OK],
        "passive": [0, PASSIVE, 130, 4, Status.OK],
        "bus-off": [0, OFF, 255, 0, Status.BUS_OFF],
        "restarted": [0, ACTIVE, 0, 0, Status.OK],
        "bus-off again": [0, OFF, 255, 0, Status.BUS_OFF],
        "heard again": [0, ACTIVE, 0, 0, Status.OK],
    }


def test_an_interface_that_goes_down_or_away_is_off_until_it_is_back(
    seen: Mapping[str, Any],
) -> None:
    """CAN_STATE tells both ways, sends say which of the two it is, and nobody has to ask again."""
    told_of = seen["outages"]
    assert told_of["before"] == [Status.OK, Status.OK]
    assert told_of["down"] == [0, OFF, 0, 0, Status.BUS_OFF, Status.ABSENT]
    assert told_of["down log"] == "can0: vcan0: Network is down"
    assert told_of["gone"] == [0, OFF, 0, 0, Status.ABSENT, Status.ABSENT]
    assert told_of["gone log"] == "can0: vcan0: No such device"
    assert told_of["up"] == told_of["back"] == [0, ACTIVE, 0, 0, Status.OK]
    assert told_of["heard"] == [[0x20, 0, "02"]]


def test_a_board_without_privilege_uses_what_the_administrator_has_set_up(
    seen: Mapping[str, Any],
) -> None:
    """As nobody: ABSENT while the interface is down, OK when it is up, and the log says why."""
    nobody, status, log, sent = seen["unprivileged"]["down"]
    assert (nobody, status, sent) == (65534, Status.ABSENT, Status.INVALID)
    assert log == "can0: vcan1: Network is down"
    nobody, status, log, sent = seen["unprivileged"]["up"]
    assert (nobody, status, sent) == (65534, Status.OK, Status.OK)
    assert "ip link" in log
