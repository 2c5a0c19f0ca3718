"""Serial lines and pins of a flight behind real firmware, which has the parts on its own wires."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from flying import Flown
from unobench import wants_simavr

from flightsw.codec.wire import Flag, Kind, Status
from hil.boards.emulator import Cabled
from hil.boards.wires import Nothing

UNO = """schema = 1

[[instance]]
id = "bench"
type = "uno"
emulate = "simavr"
"""
KICK, RESET = 2, 3  # pins of port D: D2 and D3, the first two of the type's list
PORT_D = 2
HEARD = Flag.INPUT | Flag.BOARD


def heard(flown: Flown, kind: Kind, address: int | None = None) -> list[tuple[float, bytes]]:
    """Return (time, payload) of what came in by a board."""
    return [
        (record.t_ns / 1e9, bytes(record.payload))
        for record in flown.records()
        if record.kind == kind
        and record.flags & HEARD == HEARD
        and (address is None or record.address == address)
    ]


def test_a_receiver_streams_through_a_board(tmp_path: Path) -> None:
    """A receiver behind the firmware's tty is set up and heard, but for while it is unplugged."""
    flown = Flown(tmp_path, bind=("gnss=bench",), duration_s=5.0)
    kept: list[Any] = []
    flown.at(0.5, lambda boards: kept.append(boards.sources.emulators["bench"].silicon))
    flown.at(2.2, lambda boards: boards.sources.unplug("bench"))
    flown.at(2.6, lambda boards: boards.sources.replug("bench"))
    outcome = flown.fly()
    chunks = heard(flown, Kind.UART)
    lost_s, back_s = (
        next(e["t_s"] for e in flown.events() if e["name"] == name and e["t_s"] > 1.0)
        for name in ("BOARD_LOST", "BOARD_READY")
    )
    assert [t_s for t_s, _ in chunks if t_s < lost_s], "heard before"
    assert not [t_s for t_s, _ in chunks if lost_s + 0.1 < t_s < back_s], "silence while away"
    assert [t_s for t_s, _ in chunks if t_s > back_s], "and heard again"
    before = b"".join(octets for t_s, octets in chunks if t_s < lost_s)
    assert before.count(b"\xb5\x62\x01\x07") >= 1, "UBX-NAV-PVT, which the driver has asked for"
    assert kept[0].parts["gnss"].snapshot()["counters"]
    board = outcome.boards["boards"]["bench"]
    assert (board["losses"], board["reconnects"]) == (1, 1)
    assert not board["counters"].get("events_lost")


def test_kicks_reach_a_watchdog_behind_a_board(tmp_path: Path) -> None:
    """Each edge of the flight software's kick is one at the part on the firmware's own lines."""
    flown = Flown(tmp_path, bind=("watchdog=bench",))
    kept: list[Any] = []
    flown.at(0.5, lambda boards: kept.append(boards.sources.emulators["bench"].silicon))
    flown.fly()
    assert flown.session is not None
    gpio = flown.session.rig.wiring.buses["gpiochip0"]
    edges = [r for r in flown.records() if r.kind == Kind.GPIO and r.address == 24]
    assert edges
    counters = kept[0].parts["watchdog"].counters
    assert counters["kicks"] + counters["ignored"] == len(edges)
    assert gpio.level(25) == 1, "the output of a watchdog at rest is high"


class Watched(Nothing):
    """What port D of an Uno drives, as it changes."""

    def __init__(self) -> None:
        self.kicks: list[int] = []

    def port(self, cycles: int, port: int, direction: int, value: int) -> None:
        if port == PORT_D and direction >> KICK & 1:
            level = value >> KICK & 1
            if not self.kicks or self.kicks[-1] != level:
                self.kicks.append(level)


@wants_simavr()
def test_pins_of_an_uno_are_pins_of_a_flight(tmp_path: Path) -> None:
    """Edges on the wires of an Uno's image reach the flight, and the flight's edges the wires."""
    flown = Flown(tmp_path, UNO, bind=("watchdog=bench",), boards_wait_s=30.0)
    watched = Watched()

    def wires(boards: Any) -> Any:
        emulator = boards.sources.emulators["bench"]
        assert isinstance(emulator, Cabled)
        return emulator._machine.wires  # type: ignore[union-attr]

    def around(boards: Any) -> None:
        wires(boards).around = watched

    flown.at(0.1, around)
    for t_s, level in ((1.0, 1), (1.5, 0), (2.0, 1)):
        flown.at(t_s, lambda b, level=level: wires(b).drive(PORT_D, 1 << RESET, level << RESET))
    flown.fly()
    edges = heard(flown, Kind.GPIO, 25)
    assert [octets[0] for t_s, octets in edges if t_s > 1.0][-2:] == [0, 1]
    times = [t_s for t_s, _ in edges][-2:]
    assert times[0] > 1.5
    assert times[1] > 2.0
    sent = [r for r in flown.records() if r.kind == Kind.GPIO and r.address == 24]
    assert sent
    assert len(watched.kicks) >= len(sent) - 2, "those before we watched left out"


@pytest.mark.skipif(Path("/sys/class/net/can0").exists(), reason="this computer has a can0")
def test_a_can_bus_is_an_interface_of_this_computer(tmp_path: Path) -> None:
    """The firmware on this computer looks for the interface that the bus is named after."""
    flown = Flown(tmp_path, bind=("can0=bench",), duration_s=1.0)
    flown.fly()
    assert [e["status"] for e in flown.events("BOARD_CONFIG_REFUSED")] == [int(Status.ABSENT)]
    said = [e["text"] for e in flown.events("BOARD_LOG")]
    assert said
    assert all(text.startswith("can0: ") for text in said), "no tty, as an emulated bus has"
