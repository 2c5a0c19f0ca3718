"""What a user does to boards, row by row: real firmware, a virtual cable, real other programs."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from hil.boards.cable import Cable
from hil.boards.identity import PortInfo, Wanted
from hil.boards.lab import Instance
from hil.boards.ports import PortRegistry, emulated_port
from hil.boards.posix import firmware_path
from hil.boards.protocol import Request
from hil.boards.session import State
from hil.errors import BoardError, HostError
from hil.faces.terminal import speed_of
from tests.hil.boards.cabled import Cabled, Holder
from tests.hil.boards.sessions import Watched, own_type

try:
    firmware_path()
except HostError as missing:
    pytest.skip(str(missing), allow_module_level=True)

EMULATED = Instance("bench-1", own_type(), emulate="posix")
UID, OTHER = "00000000000000a1", "00000000000000b2"


@pytest.fixture
def ports() -> PortRegistry:
    """Return an empty bench."""
    return PortRegistry()


@pytest.fixture
def watched(ports: PortRegistry) -> Iterator[Watched]:
    """Return a session that looks for an emulated board and is in a hurry."""
    with Watched(EMULATED, ports, hurry=True) as watched:
        yield watched


def seeking(uid: str = UID, **link: Any) -> Instance:
    """Return an instance that is known by its uid alone."""
    return Instance("bench-1", own_type(**link), Wanted(uid=bytes.fromhex(uid)))


def echo(watched: Watched, octets: bytes = b"echo") -> bytes:
    """Return what a PING brings back; nothing: the link did not hold."""
    answers: list[bytes] = []
    watched.session.link.request(
        Request.PING, octets, lambda reply: answers.append(reply.payload if reply else b"")
    )
    watched.until(lambda: answers)
    return answers[0]


# --- unplug, replug, port move -------------------------------------------------------------------


def test_the_port_may_move(ports: PortRegistry, watched: Watched) -> None:
    """A board that comes back under another name is the same board; the move is counted."""
    with Cabled(ports) as board:
        watched.until_state(State.READY)
        first = board.port
        blocker = os.open(first, os.O_RDWR | os.O_NOCTTY)  # keeps the old name in use
        board.unplug()
        watched.until_state(State.LOST)
        assert f"{first} has gone" in watched.session.why
        board.replug()
        assert board.port != first
        watched.until_state(State.READY)
        os.close(blocker)
        assert watched.session.counters["port_moves"] == 1
        assert f"on {board.port}, before it was {first}" in watched.session.why
        assert echo(watched) == b"echo"


def test_the_old_descriptor_is_closed_at_once(ports: PortRegistry, watched: Watched) -> None:
    """With its old port closed, the board gets its old name again, as ttyACM0 stays ttyACM0."""
    with Cabled(ports) as board:
        watched.until_state(State.READY)
        first = board.port
        board.unplug()
        watched.until_state(State.LOST)
        board.replug()
        assert board.port == first
        watched.until_state(State.READY)
        assert watched.session.counters["port_moves"] == 0


def test_what_was_asked_when_it_went_is_told(ports: PortRegistry, watched: Watched) -> None:
    """A request that is on its way when the plug is pulled is answered with None, once."""
    with Cabled(ports) as board:
        watched.until_state(State.READY)
        board.freeze(True)
        answers: list[object] = []
        watched.session.link.request(Request.PING, b"?", answers.append)
        watched.session.service(watched.clock())
        board.freeze(False)
        board.unplug()
        watched.until_state(State.LOST)
        assert len(answers) == 1


# --- identity ------------------------------------------------------------------------------------


def test_a_board_is_found_by_its_uid_among_others(ports: PortRegistry) -> None:
    """Ports are asked one after the other, each once, and only the right board is kept open."""
    with (
        Cabled(ports, PortInfo("", usb_path=None), ("--uid", OTHER)),
        Cabled(ports, PortInfo(""), ("--uid", UID)) as board,
        Watched(seeking(), ports, hurry=True) as watched,
    ):
        watched.until_state(State.READY)
        assert watched.told[-1].port == board.port
        assert watched.session.counters["probes"] == 2
        board.unplug()
        watched.until_state(State.LOST)
        board.replug()
        watched.until_state(State.READY)
        assert watched.session.counters["probes"] == 3


def test_sessions_share_what_they_have_asked(ports: PortRegistry) -> None:
    """Two sessions that look for a uid each find their boards without asking any port twice."""
    uids = (UID, OTHER)
    with (
        Cabled(ports, PortInfo(""), ("--uid", OTHER)) as second,
        Cabled(ports, PortInfo(""), ("--uid", UID)) as first,
        Watched(seeking(uids[0]), ports, hurry=True) as one,
        Watched(seeking(uids[1]), ports, hurry=True) as other,
    ):
        both = (one.session, other.session)

        def holds() -> bool:
            other.session.service(other.clock())
            return all(session.state is State.READY for session in both)

        one.until(holds)
        assert [session.port.path for session in both if session.port] == [first.port, second.port]
        # Each asked the port that the other had not, and one of them the first one again.
        assert sum(session.counters["probes"] for session in both) <= 4
        assert sum(session.counters["silent"] for session in both) == 0


def test_two_boards_with_one_uid_are_neither(ports: PortRegistry) -> None:
    """Both are listed and none is taken; with one of them gone the other is used."""
    with (
        Cabled(ports, PortInfo(""), ("--uid", UID)) as one,
        Cabled(ports, PortInfo(""), ("--uid", UID)) as other,
        Watched(seeking(), ports, hurry=True) as watched,
    ):
        watched.until_state(State.REFUSED)
        assert f"2 boards say uid {UID}" in watched.session.why
        assert one.port in watched.session.why
        assert other.port in watched.session.why
        assert watched.session.fileno() is None
        other.unplug()
        watched.until_state(State.READY)
        assert watched.told[-1].port == one.port


def test_two_ports_with_one_identity_are_listed(ports: PortRegistry) -> None:
    """Two boards with the USB numbers of the type and nothing else: both listed, with a remedy."""
    kind = replace(own_type(), usb=((0x2341, 0x0043),))
    instance = Instance("bench-1", kind)
    shows = [PortInfo("", 0x2341, 0x0043, usb_path=f"1-{n}") for n in (1, 2)]
    with (
        Cabled(ports, shows[0]) as one,
        Cabled(ports, shows[1]) as other,
        Watched(instance, ports, hurry=True) as watched,
    ):
        watched.until_state(State.REFUSED)
        for text in (one.port, other.port, "USB path 1-1", "say usb_path in lab.toml"):
            assert text in watched.session.why
        one.unplug()
        watched.until_state(State.READY)


def test_another_board_in_its_place_is_refused(ports: PortRegistry) -> None:
    """At the same socket, but with another uid: refused, until the right one is back."""
    show = PortInfo("", 0x2341, 0x0043, usb_path="1-1")
    instance = Instance("bench-1", own_type(), Wanted(usb_path="1-1"))
    with (
        Cabled(ports, show, ("--uid", UID)) as board,
        Watched(instance, ports, hurry=True) as watched,
    ):
        watched.until_state(State.READY)
        board.unplug()
        board.replug(options=("--uid", OTHER))
        watched.until_state(State.REFUSED)
        assert f"another board is plugged in at {board.port}: uid {OTHER}" in watched.session.why
        board.unplug()
        board.replug(options=("--uid", UID))
        watched.until_state(State.READY)
        assert watched.session.counters["reconnects"] == 1


def test_no_board_has_the_uid(ports: PortRegistry) -> None:
    """Every port that was asked is told with what it has, and the session stays ABSENT."""
    with (
        Cabled(ports, PortInfo(""), ("--uid", OTHER)) as board,
        Watched(seeking(), ports, hurry=True) as watched,
    ):
        watched.until(lambda: "no board has uid" in watched.session.why)
        assert watched.session.state is State.ABSENT
        assert f"{board.port} has {OTHER}" in watched.session.why


# --- wrong firmware, wrong rate, silence ---------------------------------------------------------


def test_the_wrong_firmware_is_refused_with_the_command(ports: PortRegistry) -> None:
    """Another firmware's name: REFUSED, with what is there, what should be, and how to flash it."""
    instance = Instance("bench-1", own_type("uno"), Wanted(usb_path="1-1"))
    show = PortInfo("", 0x2341, 0x0043, usb_path="1-1")
    with Cabled(ports, show) as board, Watched(instance, ports, hurry=True) as watched:
        watched.until_state(State.REFUSED)
        assert "firmware 'hilwire-posix'" in watched.session.why
        assert "not 'hilwire-uno'" in watched.session.why
        assert f"hil boards flash --type uno --port {board.port}" in watched.session.why
        with pytest.raises(BoardError, match="REFUSED"):
            watched.session.wait_ready(1.0)


def test_an_old_firmware_is_refused(ports: PortRegistry) -> None:
    """A version below the least of the type is told with the version that is needed."""
    kind = own_type()
    kind = replace(kind, firmware=replace(kind.firmware, least=(1, 9, 0)))
    with (
        Cabled(ports),
        Watched(replace(EMULATED, type=kind), ports, hurry=True) as watched,
    ):
        watched.until_state(State.REFUSED)
        assert "needs 1.9.0 or later of 1.x" in watched.session.why


@pytest.mark.parametrize("baud", [250_000, 57_600])
def test_a_board_at_another_rate_is_found(ports: PortRegistry, baud: int) -> None:
    """Silence at the rate of the type: the rates are tried in turn, and the one found is told."""
    instance = replace(EMULATED, type=own_type(is_native_usb=False, rates=(115200, 250000, 57600)))
    with Cabled(ports, baud=baud), Watched(instance, ports, hurry=True) as watched:
        watched.until_state(State.READY)
        assert watched.session.baud == baud
        assert f"at {baud} baud; its type says 115200 baud" in watched.session.why
        assert watched.session.counters["baud_scans"] == (1 if baud == 250_000 else 2)
        assert echo(watched) == b"echo"


def test_silence_at_every_rate_is_told(ports: PortRegistry) -> None:
    """A board that answers at no rate is REFUSED with all of them and what to do."""
    instance = replace(EMULATED, type=own_type(is_native_usb=False, rates=(115200, 250000)))
    with Cabled(ports) as board, Watched(instance, ports, hurry=True) as watched:
        board.freeze(True)
        watched.until_state(State.REFUSED)
        assert "no answer to HELLO at 115200, 250000 baud" in watched.session.why
        assert watched.session.counters["silent"] == 1
        board.freeze(False)
        watched.until_state(State.READY)


def test_a_board_that_falls_silent_is_lost_and_found(ports: PortRegistry, watched: Watched) -> None:
    """No unplug is seen on a UART: the keep-alive finds out, and READY again when it talks."""
    with Cabled(ports) as board:
        watched.until_state(State.READY)
        board.freeze(True)
        watched.until_state(State.LOST)
        assert "no answer" in watched.session.why
        assert board.port in watched.session.why
        board.freeze(False)
        watched.until_state(State.READY)
        assert watched.session.counters["reconnects"] == 1


@pytest.mark.parametrize("follows", [True, False])
def test_the_rate_goes_up_where_both_can(ports: PortRegistry, follows: bool) -> None:
    """Fast where line and board can, back at the first rate where the line cannot follow."""
    instance = replace(
        EMULATED, type=own_type(is_native_usb=False, rates=(115200,), max_baud=500_000)
    )
    baud = 0 if follows else 115_200
    with (
        Cabled(ports, options=("--set-baud",), baud=baud) as board,
        Watched(instance, ports, hurry=True) as watched,
    ):
        counters = watched.session.counters
        watched.until(lambda: counters["upshifts"] + counters["upshifts_failed"])
        assert counters["upshifts"] == follows
        assert echo(watched) == b"echo"
        fd = os.open(board.port, os.O_RDWR | os.O_NOCTTY)
        assert speed_of(fd) == watched.session.baud == (500_000 if follows else 115_200)
        os.close(fd)
        assert watched.session.state is State.READY


# --- other programs ------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [("lock",), ("lock", "alone")])
def test_a_busy_port_names_its_holder(
    ports: PortRegistry, watched: Watched, words: tuple[str, ...]
) -> None:
    """A port that another program has locked: REFUSED with its name, and taken once it is free."""
    with Cabled(ports) as board:
        with Holder(board.port, *words) as holder:
            watched.until_state(State.REFUSED)
            assert f"{board.port} is busy: it is held by" in watched.session.why
            assert f"({holder.process.pid})" in watched.session.why
            assert watched.session.fileno() is None
        watched.until_state(State.READY)
        assert watched.session.counters["busy"] >= 1


def test_a_daemon_that_writes_is_noise_and_nothing_else(
    ports: PortRegistry, watched: Watched
) -> None:
    """AT commands of a daemon on our port: the board answers us all the same, and it is named."""
    with Cabled(ports) as board:
        watched.until_state(State.READY)
        with Holder(board.port) as daemon:
            for _ in range(8):
                daemon.do(r"write b'AT\r\nATI\r\n'")
                assert echo(watched) == b"echo"
            watched.until(lambda: watched.session.disturber)
            assert f"({daemon.process.pid})" in watched.session.status
            assert watched.session.counters["disturbed"] == 1
        assert watched.session.state is State.READY
        assert watched.session.counters["ready"] == 1


def test_a_port_that_stays_busy_is_told_once(ports: PortRegistry, watched: Watched) -> None:
    """However often a busy port is tried, it is news once, and again when it can be had."""
    with Cabled(ports) as board:
        with Holder(board.port, "lock"):
            watched.until(lambda: watched.session.counters["busy"] >= 4)
            assert watched.states == [State.OPENING, State.REFUSED]
        watched.until_state(State.READY)
        assert watched.states[2:] == [State.OPENING, State.SYNCING, State.READY]


def test_a_daemon_that_reads_is_named(ports: PortRegistry, watched: Watched) -> None:
    """A program that takes our answers away makes the board LOST, and is named until it ends."""
    with Cabled(ports) as board:
        watched.until_state(State.READY)
        with Holder(board.port) as daemon:
            board.freeze(True)  # as good as an answer that somebody else has read
            watched.until_state(State.LOST)
            board.freeze(False)
            watched.until_state(State.REFUSED)
            assert f"({daemon.process.pid})" in watched.session.why
            assert "is busy" in watched.session.why
        watched.until_state(State.READY)


def test_noise_of_what_is_no_board_is_shown(ports: PortRegistry, watched: Watched) -> None:
    """Something else talks on the port: its text is shown with the silence, and counted."""
    console, far = socket.socketpair()
    with Cable(far).start() as cable, console:
        assert cable.port is not None
        ports.plug(emulated_port("bench-1", cable.port))
        watched.until(lambda: watched.session.fileno() is not None)
        console.sendall(b"Debian GNU/Linux login: ")
        watched.until_state(State.REFUSED)
        assert "there is noise: 'Debian GNU/Linux login: '" in watched.session.why
        assert watched.session.counters["octets_in"] == 24
        watched.session.close()
