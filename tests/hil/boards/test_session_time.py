"""How long a session waits, for what, and how often: the firmware's core in simulated time."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from flightsw.codec.serial.hilwire import Receiver, Sender
from hil.boards.lab import Instance
from hil.boards.ports import emulated_port
from hil.boards.protocol import REPLY, Request, ResetCause
from hil.boards.session import State
from tests.hil.boards.sessions import own_type
from tests.hil.boards.simulated import PATH, SimBench

BROWN_OUT, POWER_ON = 3, 1


def bench(parts: dict[str, str] | None = None, **link: Any) -> SimBench:
    """Return a bench for a board with the core's own names and this serial line."""
    kind = own_type(**link)
    kind = replace(kind, firmware=replace(kind.firmware, name="hilwire-host"))
    return SimBench(Instance("bench-1", kind, emulate="simulated", parts=parts or {}))


def uart(**link: Any) -> SimBench:
    """Return a bench for a board on a line with a rate."""
    return bench(**{"is_native_usb": False, "rates": (115200,), **link})


def test_a_board_on_usb_is_ready_at_once() -> None:
    """Replug to READY: one look at the ports, one HELLO, nothing waited for."""
    table = bench()
    table.wait_ms(100)
    for _ in range(3):
        table.plug()
        assert table.until_state(State.READY) <= 2
        table.unplug()
        assert table.until_state(State.LOST) <= 1000  # no traffic tells of it sooner here
    assert table.session.counters["reconnects"] == 2


def test_a_board_on_a_uart_is_ready_within_its_line_time() -> None:
    """At 115200 baud HELLO and identity take 8 ms or so, and nothing else is waited for."""
    table = uart()
    table.plug(baud=115_200)
    assert table.until_state(State.READY) <= 12


@pytest.mark.parametrize("loader_ms", [0, 700, 1800, 2400])
def test_a_boot_loader_is_waited_for(loader_ms: int) -> None:
    """A board that opening resets is READY as soon as its boot loader lets go, and not LOST."""
    table = uart(reset="dtr", boot_wait_s=2.5)
    table.plug(baud=115_200, loader_ms=loader_ms)
    assert loader_ms <= table.until_state(State.READY) <= loader_ms + 25
    assert table.session.counters["silent"] == 0
    assert table.board is not None
    assert table.board.opened == 1


def test_a_board_that_was_not_reset_is_not_waited_for() -> None:
    """Though its type has a boot loader, a board that runs already is READY at once."""
    table = uart(boot_wait_s=2.5)
    table.plug(baud=115_200)
    assert table.until_state(State.READY) <= 12


def test_a_board_falls_silent_and_is_noticed() -> None:
    """The keep-alive finds a dead UART within seconds, closes it, and looks again with patience."""
    table = uart()
    board = table.plug(baud=115_200)
    table.until_state(State.READY)
    table.wait_ms(5_000)
    board.silent = True
    assert table.until_state(State.LOST) <= 4_000
    opened = board.opened
    table.wait_ms(60_000)
    assert board.opened - opened <= 6
    board.silent = False
    assert table.until_state(State.READY) <= 30_000
    assert table.session.counters["lost"] == 1


def test_three_resets_in_fifteen_seconds_are_a_loop() -> None:
    """The third within 15 s is named with its cause, and the board left alone for 5 s exactly."""
    table = bench()
    board = table.plug()
    table.until_state(State.READY)
    for _ in range(2):
        table.wait_ms(7_000)
        board.reset(BROWN_OUT)
        table.until(lambda: table.session.counters["resets"])
        assert table.until_state(State.READY) <= 10
    table.wait_ms(500)
    board.reset(BROWN_OUT)
    table.until_state(State.LOST)
    assert "reset 3 times in 7.5 s (brown-out)" in table.session.why
    opened = board.opened
    assert table.until_state(State.READY) in range(5_000, 5_050)
    assert board.opened == opened + 1


def test_resets_that_are_rare_are_no_loop() -> None:
    """Three resets in more than 15 s are three resets: each is followed, none is punished."""
    table = bench()
    board = table.plug()
    table.until_state(State.READY)
    for count in range(6):
        table.wait_ms(7_600)
        board.reset(POWER_ON)
        table.until(lambda count=count: table.session.counters["resets"] > count)
        table.until_state(State.READY, 50)
    assert table.session.counters["reset_loops"] == 0


def test_each_loop_is_left_alone_for_longer() -> None:
    """A board whose supply stays bad is tried after 5, 10, 20, 40, then every 60 s."""
    table = bench()
    board = table.plug()
    waits = []
    for _ in range(6):
        table.until_state(State.READY)
        for _ in range(3):
            table.wait_ms(200)
            if table.session.state is State.READY:
                board.reset(BROWN_OUT)
        table.until_state(State.LOST)
        waits.append(int(table.session.why.rsplit("left alone for ", 1)[1].split()[0]))
        board.reset(POWER_ON)
    assert waits == [5, 10, 20, 40, 60, 60]
    table.until_state(State.READY)
    table.wait_ms(61_000)
    for _ in range(3):
        table.wait_ms(100)
        board.reset(BROWN_OUT)
    table.until_state(State.LOST)
    assert "left alone for 5 s" in table.session.why


def test_plugging_in_and_out_is_no_loop() -> None:
    """A user who replugs a board again and again is not told that its supply is bad."""
    table = bench()
    for _ in range(6):
        table.plug()
        table.until_state(State.READY)
        table.unplug()
        table.until_state(State.LOST)
    assert table.session.counters["resets"] == table.session.counters["reset_loops"] == 0


def test_a_brown_out_that_drops_off_usb_counts() -> None:
    """A board that comes back from a brown-out by itself was not unplugged by anybody."""
    table = bench()
    table.plug()
    for _ in range(3):
        table.until_state(State.READY)
        table.unplug()
        table.until_state(State.LOST)
        table.plug().reset(BROWN_OUT)
    table.until(lambda: table.session.counters["reset_loops"])
    assert "brown-out" in table.session.why


def test_the_scan_takes_120_ms_a_rate() -> None:
    """A board at another rate is found after its HELLO limit and one short try a rate."""
    rates = (115200, 57600, 230400, 500000, 250000)
    table = uart(rates=rates)
    table.plug(baud=250_000)
    took_ms = table.until_state(State.READY)
    line_ms = sum(1300 * 1000 / rate for rate in rates[1:])
    assert 1_500 + 3 * 120 <= took_ms <= 1_500 + 4 * 120 + line_ms
    assert table.session.counters["baud_scans"] == 4
    assert table.session.baud == 250_000


def test_a_silent_port_is_tried_ever_more_rarely() -> None:
    """Nobody answers: tried again after 5, 10, 20, then each 30 s, and at once when replugged."""
    table = bench()
    board = table.plug()
    board.silent = True
    times_ms = []
    for count in range(1, 6):
        table.until(lambda count=count: table.session.counters["silent"] >= count)
        times_ms.append(table.now_ns // 1_000_000)
    gaps = [later - before for before, later in pairwise(times_ms)]
    assert [round((gap - 1_500) / 1_000) for gap in gaps] == [5, 10, 20, 30]
    assert table.session.state is State.REFUSED
    table.unplug()
    table.wait_ms(100)
    assert table.session.state is State.ABSENT
    table.plug()
    assert table.until_state(State.READY) <= 30


def test_the_rate_goes_up_and_down_with_the_board() -> None:
    """Raised after READY; a reset puts the board back to its first rate, and it is found there."""
    table = uart(max_baud=500_000, rates=(115200, 500_000))
    board = table.plug(baud=115_200)
    table.until(lambda: table.session.counters["upshifts"])
    assert table.session.baud == board.lines.to_board.read_baud == 500_000
    table.wait_ms(2_000)
    assert table.session.state is State.READY
    board.reset(BROWN_OUT)
    table.until(lambda: table.session.counters["upshifts"] == 2)
    assert table.session.identity is not None
    assert table.session.identity.reset_cause is ResetCause.BROWN_OUT
    assert table.session.counters["resets"] == 1


def test_a_firmware_without_a_bus_that_is_bound_is_refused() -> None:
    """Bound to a CAN bus, and the firmware has none: REFUSED, naming what it lacks."""
    table = bench(parts={"node": "can0", "power_monitor": "i2c0"})
    table.plug()
    table.until_state(State.REFUSED)
    assert "without can, which is bound to it" in table.session.why
    assert "put hilwire-host on it" in table.session.why


class NextMajor:
    """A board of the protocol's next major version: it answers HELLO."""

    def __init__(self) -> None:
        self._receiver, self._sender = Receiver(), Sender()

    def start(self, *_: object) -> bytes:
        """Say nothing at the start."""
        return b""

    def run(self, octets: bytes, _: int) -> bytes:
        """Answer each HELLO in the other version."""
        bodies = self._receiver.feed(octets)
        return b"".join(
            self._sender.frame(bytes((0x20, body[1] | REPLY, body[2], 0))) for body in bodies
        )


def test_another_major_version_is_refused() -> None:
    """A board that speaks HILwire 2 is REFUSED with both versions and the remedy."""
    table = bench()
    board = table.plug()
    board.core = NextMajor()  # type: ignore[assignment]
    table.until_state(State.REFUSED)
    assert "the board speaks HILwire 2, this bench 1" in table.session.why
    assert f"{PATH}: " in table.session.why


def test_a_port_that_is_listed_and_not_there_is_told_once() -> None:
    """A stale entry, or a path of the user's that is absent, is tried on and on without news."""
    table = bench()
    table.ports.plug(emulated_port("bench-1", PATH))
    table.wait_ms(3_000)
    assert [step.after for step in table.told] == [State.OPENING, State.ABSENT]
    assert table.session.why == f"{PATH} is gone"
    table.plug()
    assert table.until_state(State.READY) <= 30


def test_requests_are_told_of_every_outage() -> None:
    """Whatever is asked while the board is away, or when it goes, is answered once, by None."""
    table = bench()
    answers: list[object] = []
    table.session.link.request(Request.PING, b"", answers.append)
    assert answers == [None]
    board = table.plug()
    table.until_state(State.READY)
    board.silent = True
    for _ in range(10):
        table.session.link.request(Request.PING, b"", answers.append)
    table.until_state(State.LOST)
    assert answers == [None] * 11


def test_every_change_says_when_where_and_why() -> None:
    """Each transition follows on the one before, with its time, its port and a reason."""
    table = bench()
    table.plug()
    table.until_state(State.READY)
    table.unplug()
    table.until_state(State.LOST)
    table.session.close()
    states = [State.ABSENT, *(step.after for step in table.told)]
    assert [step.before for step in table.told] == states[:-1]
    assert [step.at_ns for step in table.told] == sorted(step.at_ns for step in table.told)
    assert all(step.why and step.instance == "bench-1" for step in table.told)
    assert {step.port for step in table.told if step.after is not State.ABSENT} == {PATH}
    assert table.session.state is State.ABSENT
