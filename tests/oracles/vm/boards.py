"""Inside the guest: sessions of the bench, real USB devices, and the firmware of a board.

A board is hilwire-posix on the device's own end of the line. Three plugs, the second while somebody
holds the old name, and two boards of one identity. Writes what became of the sessions to ``result``
in the working folder, and how long each plug took to READY.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from usb import PRODUCT, VENDOR, Gadget, wait_for

from hil.boards.lab import load_lab
from hil.boards.ports import MachinePorts
from hil.boards.posix import firmware_path
from hil.boards.session import Session
from hil.boards.states import State, Transition

SERIAL_NUMBER = "E6614103E7452D2F"
TYPE = f"""
schema = 1
board = {{ name = "usbpico", title = "Pico on the guest's USB", mcu = "rp2040" }}
link = {{ native_usb = true }}
match = {{ usb = ["{VENDOR}:{PRODUCT}"] }}
firmware = {{ name = "hilwire-posix", min = "1.0" }}
buses.i2c0 = {{}}
emulate.posix = {{}}
"""
LAB = """
schema = 1
[[instance]]
id = "bench-pico-1"
type = "usbpico.toml"
{known}
"""
BY_SERIAL, BY_PATH = f'usb_serial = "{SERIAL_NUMBER}"', 'usb_path = "2-1"'
LIMIT_S = 60.0


class Board:
    """A board on a cable: its firmware runs while it is plugged in."""

    def __init__(self, number: int) -> None:
        self.gadget = Gadget(number, SERIAL_NUMBER)
        self.firmware: subprocess.Popen[bytes] | None = None

    def plug(self) -> float:
        """Plug it in; return when that was."""
        # Its firmware is up long before the host has asked for the first descriptor.
        self.firmware = subprocess.Popen([str(firmware_path()), "--tty", self.gadget.tty])
        while not any(Path(f"/proc/{self.firmware.pid}/fd").glob("[3-9]")):
            time.sleep(0.001)
        began = time.monotonic()
        self.gadget.plug()
        return began

    def unplug(self) -> None:
        """Pull it out."""
        self.gadget.unplug()
        assert self.firmware is not None
        self.firmware.kill()
        self.firmware.wait()


class Seat:
    """A session of the one board of a lab, and what became of it."""

    def __init__(self, known: str) -> None:
        Path("lab.toml").write_text(LAB.format(known=known))
        instance = load_lab("lab.toml").instance("bench-pico-1")
        self.session = Session(instance, MachinePorts(), time.monotonic_ns)
        self.seen: list[tuple[str, str | None]] = []
        #: when it last came into each state, seconds of the guest
        self.at_s: dict[str, float] = {}
        self.session.on_change = self._changed

    def _changed(self, change: Transition) -> None:
        self.seen.append((change.after.value, change.port))
        self.at_s[change.after.value] = time.monotonic()

    def serve(self, until: Callable[[], bool]) -> None:
        """Serve the session until something is so. Raises ``TimeoutError`` with its state."""
        session, limit = self.session, time.monotonic() + LIMIT_S
        while not until():
            if time.monotonic() > limit:
                raise TimeoutError(session.status)
            fd = session.fileno()
            wait_s = max(session.due_ns - time.monotonic_ns(), 0) / 1e9
            select.select([] if fd is None else [fd], [], [], min(wait_s, 0.05))
            session.service(time.monotonic_ns())

    def become(self, state: State) -> None:
        """Serve the session until it is in a state."""
        self.serve(lambda: self.session.state is state)


def three_plugs(board: Board) -> dict[str, object]:
    """Plug, pull out, and once more while its old name is taken, and once more when it is not."""
    seat, held = Seat(BY_SERIAL), -1
    took_s: list[dict[str, float]] = []
    for hold in (True, False, False):
        began = board.plug()
        seat.become(State.READY)
        states = (State.OPENING, State.READY)
        took_s.append({one.value: round(seat.at_s[one.value] - began, 3) for one in states})
        assert seat.session.port is not None
        before, held = held, -1
        if before >= 0:
            os.close(before)
        if hold:
            held = os.open(seat.session.port.path, os.O_RDWR | os.O_NOCTTY)
        board.unplug()
        seat.become(State.LOST)
    wait_for(0)
    counters = dict(seat.session.counters)
    seat.session.close()
    return {"seen": seat.seen, "took_s": took_s, "counters": counters}


def twins(board: Board, twin: Board) -> dict[str, object]:
    """Plug two boards of one identity: neither is taken until something tells them apart."""
    board.plug()
    twin.plug()
    wait_for(2)
    seat = Seat(BY_SERIAL)
    seat.become(State.REFUSED)
    why = seat.session.why
    seat.session.close()
    told_apart = Seat(BY_PATH)
    told_apart.become(State.READY)
    port = told_apart.session.port
    told_apart.session.close()
    board.unplug()
    twin.unplug()
    return {"why": why, "usb_path": port and port.usb_path}


def commands(board: Board) -> dict[str, object]:
    """Run what a user would, with one board plugged in: what was printed, and the exit codes."""
    Path("lab.toml").write_text(LAB.format(known=BY_SERIAL))
    board.plug()
    wait_for(1)
    found: dict[str, object] = {}
    for name, words in (
        ("identify", ("identify", "bench-pico-1", "--json")),
        ("list", ("list", "--json")),
        ("doctor", ("doctor", "--json")),
    ):
        command = [sys.executable, "-m", "hil", "boards", *words]
        done = subprocess.run(command, capture_output=True, text=True)
        found[name] = done.returncode, done.stdout, done.stderr
    board.unplug()
    return found


def main() -> None:
    """Do all of it, and leave the result."""
    Path("usbpico.toml").write_text(TYPE)
    board = Board(0)
    result = {"plugs": three_plugs(board), "commands": commands(board)}
    result["twins"] = twins(board, Board(1))
    Path("result").write_text(json.dumps(result))


if __name__ == "__main__":
    main()
