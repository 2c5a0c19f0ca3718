"""A CAN bus of the payload computer bound to an SLCAN stick: python-can at both ends of the bench.

The stick is emulated, on a tty; on its bus a node answers frames of even identifiers.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("can", reason="python-can is not installed")

from flightsw.codec.wire import Flag, Kind
from hil.boards.cable import Cable
from hil.boards.identity import PortInfo
from hil.boards.ports import FolderPorts
from hil.boards.stick import StickBoard
from hil.capture.reader import Capture
from hil.hosting import SHIM

ROOT = Path(__file__).resolve().parents[2]
LAB = """
schema = 1
[[instance]]
id = "stick"
type = "slcan"
usb_serial = "C0FFEE"
buses = { can0 = "can0" }
"""
#: Sends a frame every 20 ms, prints what the stick's bus has answered, and ends at a word.
PROGRAM = """
import can, sys, threading
over = threading.Event()
threading.Thread(target=lambda: (sys.stdin.readline(), over.set()), daemon=True).start()
with can.Bus(interface="hil", channel="can0") as bus:
    count = 0
    while not over.is_set():
        bus.send(can.Message(arbitration_id=0x200, data=count.to_bytes(2, "big"),
                             is_extended_id=False))
        count = count + 1 & 0xFFFF
        while (heard := bus.recv(0.02)) is not None:
            if heard.arbitration_id == 0x201:
                print(int.from_bytes(heard.data, "big"), flush=True)
"""
#: For a stick that never answers; no test comes near it.
LIMIT_S = 60.0

pytestmark = pytest.mark.skipif(
    not (ROOT / "hil" / "faces" / SHIM).is_file(), reason="the preload shim was not built"
)


class Plug:
    """An emulated stick on a tty, among the ports that programs of this user show each other."""

    def __init__(self, folder: Path) -> None:
        self.ports = FolderPorts(folder)
        self.stick = StickBoard()
        self.cable = Cable(os.dup(self.stick.end.fileno())).start()
        self.show()

    def show(self) -> None:
        """Let it be found."""
        assert self.cable.port is not None
        self.ports.plug(
            PortInfo(self.cable.port, vid=0xAD50, pid=0x60C4, serial="C0FFEE", interface=0)
        )

    def pull(self) -> None:
        """Pull it out."""
        assert self.cable.port is not None
        self.ports.pull(self.cable.port)
        self.cable.unplug()

    def again(self) -> None:
        """Plug it in again."""
        self.cable.replug()
        self.show()

    def close(self) -> None:
        """Take its power away."""
        self.cable.close()
        self.stick.close()


@pytest.fixture
def plug(tmp_path: Path) -> Iterator[Plug]:
    """Give a stick that is plugged in."""
    plug = Plug(tmp_path / "ports")
    yield plug
    plug.close()


def numbers(bench: subprocess.Popen[str], least: int) -> list[int]:
    """Return the next answers that the program has heard, at least so many."""
    assert bench.stdout is not None
    begin = time.monotonic()
    found: list[int] = []
    while len(found) < least:
        line = bench.stdout.readline()
        assert line, bench.stderr and bench.stderr.read()
        assert time.monotonic() < begin + LIMIT_S
        found.append(int(line))
    return found


def test_frames_cross_a_stick_both_ways_before_and_after_it_was_pulled_out(
    tmp_path: Path, plug: Plug
) -> None:
    """What a program sends is answered on the real bus; away, nothing is heard; then it goes on.

    The capture says which frames a board has brought, and run.json that it was lost once.
    """
    (tmp_path / "lab.toml").write_text(LAB)
    words = [sys.executable, "-m", "hil", "run", "-q", "--pace", "real", "--duration", "120"]
    words += ["--lab", "lab.toml", "--out", str(tmp_path / "run")]
    around = {**os.environ, "PYTHONPATH": str(ROOT), "HIL_PORTS": str(tmp_path / "ports")}
    bench = subprocess.Popen(
        [*words, "--", sys.executable, "-c", PROGRAM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env=around,
    )
    try:
        first = numbers(bench, 3)
        plug.pull()
        plug.again()
        rest = numbers(bench, 10)
        printed, told = bench.communicate("over\n", LIMIT_S)
    finally:
        bench.kill()
        bench.wait()
    assert bench.returncode == 0, told
    heard = [*first, *rest, *map(int, printed.split())]
    assert heard == sorted(heard)
    known = json.loads((tmp_path / "run" / "run.json").read_text())
    assert known["boards"]["real"] == ["can0 by stick:can0"]
    stick = known["boards"]["boards"]["stick"]
    assert (stick["losses"], stick["reconnects"], stick["firmware"]) == (1, 1, "slcan 0.10.13")
    with Capture(tmp_path / "run" / "capture.mcap") as capture:
        frames = [one for one in capture.records() if one.kind == Kind.CAN]
    answers = [one for one in frames if one.address == 0x201]
    # One more may have come while the program ended.
    assert [int.from_bytes(one.payload, "big") for one in answers][: len(heard)] == heard
    assert all(one.flags & Flag.BOARD for one in answers)
    assert not any(one.flags & Flag.BOARD for one in frames if one.address == 0x200)
