"""A run whose emulated parts a board plays: another computer reads the world of the flight."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from flying import Flown

from flightsw.codec.wire import Flag, Kind
from hil.board import load_board
from hil.boards.binding import bindings
from hil.boards.desk import Boards
from hil.boards.lab import load_lab
from hil.boards.ports import FolderPorts, PortInfo
from hil.boards.posix import PosixBoard
from hil.boards.wires import TargetOutcome, Wires
from hil.errors import UsageError

UID = "f00dfeedf00dfeed"
LAB = f"""schema = 1

[[instance]]
id = "player"
type = "posix"
uid = "{UID}"
"""
MONITOR = 0x40


def test_another_computer_reads_a_part_of_the_flight(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A controller on the wires of a board reads the flight's power monitor while the flight
    software reads it, too; both are in the records, the controller's with the board's mark."""
    monkeypatch.setenv("HIL_PORTS", str(tmp_path / "ports"))
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        options = ["--uid", UID, "--target-wires", str(theirs.fileno())]
        board = PosixBoard(options, pass_fds=(theirs.fileno(),))
    wires, read = Wires(ours), list[TargetOutcome]()

    def look(boards: Boards) -> None:
        read.append(wires.transact([(MONITOR, b"\x02"), (MONITOR, 2)]))

    with board:
        FolderPorts().plug(PortInfo(board.port, serial=UID, driver="posix"))
        flown = Flown(tmp_path, lab=LAB, front=("power_monitor=player",))
        flown.at(2.0, look)
        flown.at(3.0, look)
        outcome = flown.fly()
    wires.close()
    assert all(one.good for one in outcome.verdict.conditions if one.name != "delivery")
    (played,) = outcome.boards["front"]
    assert (played["board"], played["parts"]) == ("player", ["power_monitor"])
    assert played["counters"]["reads"] == 2
    assert [one.status for one in read] == [0, 0]
    volts = [int.from_bytes(one.data, "big") / 8 * 8e-3 for one in read]
    assert all(1.0 < volt < 26.0 for volt in volts), volts
    i2c = [one for one in flown.records() if one.kind == Kind.I2C and one.address == MONITOR]
    marks = [bool(one.flags & Flag.BOARD) for one in i2c]
    assert marks.count(True) == 2
    assert marks.count(False) > 2
    assert [one.payload[-2:] for one in i2c if one.flags & Flag.BOARD] == [one.data for one in read]


def test_a_part_is_played_or_bound_but_not_both(tmp_path: Path) -> None:
    """What a board plays is emulated here: bound as well it is refused, with the way out."""
    (tmp_path / "lab.toml").write_text(LAB)
    board, lab = load_board("raspberrypi4"), load_lab(tmp_path / "lab.toml")
    (played,) = bindings(board, lab, [], ["power_monitor=player"])
    assert played.front
    with pytest.raises(UsageError, match="--bind power_monitor=emulated"):
        bindings(board, lab, ["power_monitor=player"], ["power_monitor=player"])
    with pytest.raises(UsageError, match="no part on an I2C or SPI bus"):
        bindings(board, lab, [], ["i2c-1=player"])
