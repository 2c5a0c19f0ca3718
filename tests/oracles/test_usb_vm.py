"""Boards on a real USB bus: enumeration, hot plug and port moves by the kernel of a guest."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent / "vm"))

from machine import Machine, require_vm

from hil.boards.posix import FIRMWARE

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def seen() -> Mapping[str, Any]:
    """Give what sessions in a guest saw of boards that were plugged in and pulled out."""
    kernel = require_vm()
    if not (ROOT / "hil" / "boards" / FIRMWARE).is_file():
        pytest.skip("the firmware for this computer was not built")
    with Machine(kernel) as guest:
        found = guest.run("boards.py")
    assert isinstance(found, dict)
    return found


def test_a_session_follows_a_board_by_its_serial_number_from_port_to_port(
    seen: Mapping[str, Any], record_property: pytest.RecordProperty
) -> None:
    """Plugged three times, the second while its old name is taken: ttyACM0, ttyACM1, ttyACM0.

    How long each plug took to READY is reported (-s shows it) and not asserted.
    """
    plugs = seen["plugs"]
    record_property("plug_to_ready_s", plugs["took_s"])
    print("plug to READY:", *(f"{took['READY']:g} s" for took in plugs["took_s"]))
    states = [
        [state, port]
        for port in ("/dev/ttyACM0", "/dev/ttyACM1", "/dev/ttyACM0")
        for state in ("OPENING", "SYNCING", "READY", "LOST")
    ]
    assert [row for row in plugs["seen"] if row[0] != "ABSENT"] == states
    told = {name: plugs["counters"][name] for name in ("ready", "reconnects", "port_moves", "lost")}
    assert told == {"ready": 3, "reconnects": 2, "port_moves": 2, "lost": 3}
    assert plugs["counters"]["refused"] == plugs["counters"]["probes"] == 0


def test_two_boards_of_one_identity_are_refused_until_their_places_tell_them_apart(
    seen: Mapping[str, Any],
) -> None:
    """Equal serial numbers: the error lists both with their USB paths, and a path settles it."""
    why = seen["twins"]["why"]
    for words in ("2 ports fit", "/dev/ttyACM0", "/dev/ttyACM1", "USB path 1-1", "USB path 2-1"):
        assert words in why
    assert why.endswith("say usb_path in lab.toml")
    assert seen["twins"]["usb_path"] == "2-1"


def test_the_commands_find_the_board_and_nothing_that_keeps_it_away(
    seen: Mapping[str, Any],
) -> None:
    """`list` has the board as there, `identify` asks it by its id, `doctor` finds nothing."""
    code, printed, told = seen["commands"]["identify"]
    assert code == 0, told
    identity = json.loads(printed)
    assert (identity["port"], identity["firmware"]) == ("/dev/ttyACM0", "hilwire-posix")
    code, printed, told = seen["commands"]["list"]
    assert code == 0, told
    rows = [json.loads(line) for line in printed.splitlines()]
    (board,) = [row for row in rows if row["id"] == "bench-pico-1"]
    assert (board["state"], board["where"].partition(" ")[0]) == ("there", "/dev/ttyACM0")
    code, printed, told = seen["commands"]["doctor"]
    assert code == 0, told
    (ports,) = [check for check in json.loads(printed)["checks"] if check["name"] == "serial ports"]
    assert (ports["state"], ports["detail"]) == ("good", "/dev/ttyACM0 (2e8a:000a)")
