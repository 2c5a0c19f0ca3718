"""The virtual cable: line time and damage without any clock, then a real tty with a thread."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
from collections.abc import Iterator

import pytest

from hil.boards.cable import Cable
from hil.boards.line import Line, Trouble
from hil.errors import UsageError
from hil.faces.terminal import set_speed

LIMIT_S = 10.0
OCTET_115200_NS = 86_806  # ten bits, rounded up


def drain(line: Line) -> list[tuple[int, bytes]]:
    """Return what comes out of a line, and when, asking at the times that it names."""
    found = []
    while (due_ns := line.due_ns) is not None:
        found.append((due_ns, line.take(due_ns)))
    return found


def carried(line: Line, octets: bytes, piece: int) -> bytes:
    """Return what a line makes of octets that are put in pieces."""
    for at in range(0, len(octets), piece):
        line.put(octets[at : at + piece], 0)
    return b"".join(part for _, part in drain(line))


# --- the line, in simulated time ------------------------------------------------------------------


def test_each_octet_takes_its_ten_bits() -> None:
    """Octets of a burst arrive one octet time apart, to the nanosecond, and rounding never adds."""
    line = Line(115200)
    line.put(b"abc", 1_000)
    assert line.take(1_000 + OCTET_115200_NS - 1) == b""
    arrivals = [(t_ns - 1_000, part) for t_ns, part in drain(line)]
    assert arrivals == [(86_806, b"a"), (173_612, b"b"), (260_417, b"c")]
    line.put(bytes(11520), 0)
    assert drain(line)[-1][0] == 1_000 + 260_417 + 1_000_000_000


def test_a_busy_line_makes_the_next_burst_wait() -> None:
    """A second burst starts when the last bit of the first has gone, and a later one at once."""
    line = Line(1_000_000, grain=16)
    line.put(b"ab", 0)
    line.put(b"cd", 5_000)
    line.put(b"e", 100_000)
    assert drain(line) == [(20_000, b"ab"), (40_000, b"cd"), (110_000, b"e")]


def test_the_grain_wakes_at_whole_pieces_and_ends_of_bursts() -> None:
    """Whoever waits for the line is woken once a piece, and for what is left at the end."""
    line = Line(1_000_000, grain=16)
    line.put(bytes(20), 0)
    assert [len(part) for _, part in drain(line)] == [16, 4]


def test_latency_moves_everything_and_loses_nothing() -> None:
    """A latency delays each octet by itself, with and without a line rate."""
    for baud, first_ns in ((0, 5), (1_000_000, 10_005)):
        line = Line(baud, trouble=Trouble(latency_ns=5))
        line.put(b"ab", 0)
        assert line.take(first_ns - 1) == b""
        assert carried(line, b"", 1) == b"ab"
        assert line.counters["octets"] == 2


@pytest.mark.parametrize("piece", [1, 7, 1000])
def test_damage_is_the_same_however_the_octets_are_cut(piece: int) -> None:
    """Seed and octets decide what is hit; pieces do not, and every hit is counted."""
    trouble = Trouble(garble=0.02, drop=0.01, duplicate=0.01)
    octets = bytes(range(250)) * 20
    line, other = Line(seed=3, trouble=trouble), Line(seed=3, trouble=trouble)
    found = carried(line, octets, piece)
    assert found == carried(other, octets, 5000)
    counters = line.counters
    assert min(counters[name] for name in ("garbled", "dropped", "duplicated")) > 10
    assert len(found) == len(octets) - counters["dropped"] + counters["duplicated"]
    assert carried(Line(seed=4, trouble=trouble), octets, piece) != found


@pytest.mark.parametrize("kind", ["garble", "drop", "duplicate"])
def test_a_share_of_one_hits_every_octet(kind: str) -> None:
    """All octets are hit at a share of 1, none at 0, and the trouble can end in mid-stream."""
    line = Line(trouble=Trouble(**{kind: 1.0}))
    hit = carried(line, b"abcd", 4)
    assert {"drop": hit == b"", "duplicate": hit == b"aabbccdd"}.get(kind, True)
    assert not set(hit) & set(b"abcd") or kind == "duplicate" or len(hit) == 4
    assert sum(line.counters[name] for name in ("garbled", "dropped", "duplicated")) == 4
    line.trouble = Trouble()
    assert carried(line, b"abcd", 4) == b"abcd"


def test_another_rate_is_read_as_garbage() -> None:
    """A receiver more than 5 % off reads no octet right but a few by chance; within, all."""
    octets = bytes(range(256))
    line = Line(115200)
    line.read_baud = 118_000
    assert carried(line, octets, 16) == octets
    line.read_baud = 9600
    garbage = carried(line, octets, 256)
    assert len(garbage) < 64
    assert line.counters["baud_mismatch"] == 256
    line.read_baud = 250_000
    assert carried(line, octets, 256) != octets


def test_what_is_on_the_way_is_lost_when_the_line_is_cut() -> None:
    """A cut loses what has not arrived, counts it, and the line is free at once."""
    line = Line(1_000_000)
    line.put(bytes(10), 0)
    assert len(line.take(35_000)) == 3
    line.cut(35_000)
    assert line.counters["lost_unplugged"] == 7
    line.put(b"x", 35_000)
    assert drain(line) == [(45_000, b"x")]


@pytest.mark.parametrize("wrong", [{"drop": 1.5}, {"garble": -0.1}, {"garble": 0.6, "drop": 0.6}])
def test_shares_are_shares(wrong: dict[str, float]) -> None:
    """A share outside 0 to 1, or more than 1 in sum, is refused in one line."""
    with pytest.raises(UsageError):
        Trouble(**wrong)


@pytest.mark.parametrize("share", [1e-15, 1e-17, 5e-324])
def test_a_share_may_be_as_small_as_a_number_can_be(share: float) -> None:
    """A share that hits nothing within a run leaves every octet as it is."""
    line = Line(trouble=Trouble(garble=share))
    line.put(bytes(1000), 0)
    assert line.take(0) == bytes(1000)


# --- the cable, with a real tty -------------------------------------------------------------------


class Ends:
    """A running cable, a board that is our end of its socket pair, and what a program opens."""

    def __init__(self, baud: int = 0, **options: object) -> None:
        self.board, far = socket.socketpair()
        self.board.settimeout(LIMIT_S)
        self.cable = Cable(far, baud, **options).start()  # type: ignore[arg-type]

    def open(self, baud: int = 0) -> int:
        """Return a descriptor of the tty, at a rate."""
        assert self.cable.port is not None
        fd = os.open(self.cable.port, os.O_RDWR | os.O_NOCTTY)
        if baud:
            set_speed(fd, baud)
        return fd

    def heard(self, count: int) -> bytes:
        """Return ``count`` octets that the board gets."""
        octets = b""
        while len(octets) < count:
            octets += self.board.recv(count - len(octets))
        return octets


@contextlib.contextmanager
def cabled(baud: int = 0, **options: object) -> Iterator[Ends]:
    """Run a cable for the time of a test."""
    ends = Ends(baud, **options)
    with ends.cable:
        try:
            yield ends
        finally:
            ends.board.close()


def read(fd: int, count: int) -> bytes:
    """Return ``count`` octets from a tty."""
    octets = b""
    while len(octets) < count:
        assert select.select([fd], [], [], LIMIT_S)[0], f"{len(octets)} of {count} octets came"
        octets += os.read(fd, count - len(octets))
    return octets


@pytest.mark.parametrize("baud", [0, 3_000_000])
def test_octets_pass_both_ways_unharmed(baud: int) -> None:
    """All values of an octet, more than any buffer holds, arrive in order at both ends."""
    octets = bytes(range(256)) * 64
    with cabled(baud) as ends:
        fd = ends.open(baud)
        for at in range(0, len(octets), 2048):
            os.write(fd, octets[at : at + 2048])
            assert ends.heard(2048) == octets[at : at + 2048]
            ends.board.sendall(octets[at : at + 2048])
            assert read(fd, 2048) == octets[at : at + 2048]
        os.close(fd)
        assert ends.cable.counters["to_board.octets"] == len(octets)
        assert ends.cable.counters["to_host.octets"] == len(octets)


def test_a_blast_waits_and_loses_nothing_towards_the_board() -> None:
    """A program that writes faster than the board reads waits in its write, as on a slow line."""
    octets = bytes(range(250)) * 1600
    with cabled() as ends:
        fd = ends.open()
        os.set_blocking(fd, False)
        sent, heard = 0, b""
        while len(heard) < len(octets):
            with contextlib.suppress(BlockingIOError):
                sent += os.write(fd, octets[sent : sent + 4096])
            if select.select([ends.board], [], [], 0 if sent < len(octets) else LIMIT_S)[0]:
                heard += ends.board.recv(65536)
        os.close(fd)
        assert heard == octets


def test_unplugged_it_hangs_up_and_the_name_is_gone() -> None:
    """Who has the tty open reads its end or EIO at once, and nobody can open it any more."""
    with cabled() as ends:
        fd, path = ends.open(), ends.cable.port
        ends.cable.unplug()
        assert path is not None
        assert ends.cable.port is None
        assert select.select([fd], [], [], LIMIT_S)[0]
        with pytest.raises(OSError, match=os.strerror(errno.EIO)):
            os.write(fd, b"x")
        assert os.read(fd, 1) == b""
        with pytest.raises(FileNotFoundError):
            os.open(path, os.O_RDWR | os.O_NOCTTY)
        os.close(fd)
        assert ends.cable.counters["unplugged"] == 1


def test_the_port_moves_while_the_old_one_is_held_open() -> None:
    """Replugged, the tty has another name while the old one is open, as ttyACM0 and ttyACM1 do."""
    with cabled() as ends:
        fd, before = ends.open(), ends.cable.port
        ends.cable.unplug()
        after = ends.cable.replug()
        assert after != before
        new = ends.open()
        os.write(new, b"again")
        assert ends.heard(5) == b"again"
        os.close(fd)
        os.close(new)


def test_what_nobody_listens_to_is_lost_and_counted() -> None:
    """A board that talks before its tty is opened is not heard, as behind a USB bridge."""
    board, far = socket.socketpair()
    with Cable(far) as cable, board:
        assert cable.port is not None
        board.sendall(b"boot")
        cable.service(cable.clock())
        fd = os.open(cable.port, os.O_RDWR | os.O_NOCTTY)
        board.sendall(b"late")
        cable.service(cable.clock())
        assert read(fd, 4) == b"late"
        os.close(fd)
        assert cable.counters["rx_unopened"] == 4


@pytest.mark.parametrize("baud", [9600, 230_400, 250_000])
def test_the_rate_that_a_program_sets_decides(baud: int) -> None:
    """Octets pass both ways at the board's rate, which has no name of its own, and at no other."""
    board, far = socket.socketpair()
    with Cable(far, 250_000) as cable, board:
        assert cable.port is not None
        fd = os.open(cable.port, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        set_speed(fd, baud)
        os.write(fd, b"hello")
        board.sendall(b"hello")
        now_ns = 0
        cable.service(now_ns)
        while (due_ns := cable.due_ns) is not None:
            cable.service(now_ns := max(now_ns, due_ns))
        board.setblocking(False)
        heard = [b"", b""]
        with contextlib.suppress(BlockingIOError):
            heard[0] = board.recv(100)
        with contextlib.suppress(BlockingIOError):
            heard[1] = os.read(fd, 100)
        os.close(fd)
        is_right = baud == 250_000
        assert [octets == b"hello" for octets in heard] == [is_right, is_right]
        for way in ("to_board", "to_host"):
            assert cable.counters[f"{way}.baud_mismatch"] == (0 if is_right else 5)


def test_an_emulator_that_ends_takes_its_port_with_it() -> None:
    """The tty hangs up when the far end closes, and a new board can be plugged in behind it."""
    with cabled() as ends:
        fd = ends.open()
        ends.board.close()
        assert select.select([fd], [], [], LIMIT_S)[0]
        assert os.read(fd, 1) == b""
        os.close(fd)
        ends.board, far = socket.socketpair()
        ends.board.settimeout(LIMIT_S)
        ends.cable.replug(far)
        fd = ends.open()
        os.write(fd, b"new")
        assert ends.heard(3) == b"new"
        os.close(fd)
        assert ends.cable.counters["board_gone"] == 1


def test_a_cable_that_is_plugged_in_cannot_be_plugged_in() -> None:
    """To plug in twice is refused, to unplug twice is not, and closing twice does no harm."""
    with cabled() as ends:
        with pytest.raises(UsageError, match="unplug it first"):
            ends.cable.replug()
        ends.cable.unplug()
        ends.cable.unplug()
        assert ends.cable.counters["unplugged"] == 1
        ends.cable.close()


def test_a_loop_of_the_caller_can_run_it() -> None:
    """Without a thread, its descriptor and its due time are all that a loop needs."""
    board, far = socket.socketpair()
    with Cable(far, 1_000_000) as cable, board:
        assert cable.port is not None
        fd = os.open(cable.port, os.O_RDWR | os.O_NOCTTY)
        os.write(fd, b"abc")
        now_ns = cable.clock()
        while cable.counters["to_board.octets"] < 3:
            assert select.select([cable.fileno()], [], [], 0)[0] or cable.due_ns is not None
            cable.service(now_ns)
            now_ns = cable.due_ns or now_ns
        assert board.recv(3) == b"abc"
        os.close(fd)
