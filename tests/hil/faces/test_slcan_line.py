"""A serial CAN adapter behind a pseudo-terminal: what nobody reads, what is held, who may come."""

from __future__ import annotations

import contextlib
import os
import random
import select
import tty
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hil.buses.can import CANBus
from hil.faces.host import Host
from hil.faces.slcan_line import SlcanLine
from hil.faces.slcan_port import FIFO_NFRAMES
from hil.testing.small_rig import SmallRig
from hil.time.kernel import Kernel

SECOND = 1_000_000_000


class Peer:
    """Another node on the bus."""

    can_send: Callable[[int, int, bytes], None]

    def __init__(self) -> None:
        self.heard: list[int] = []

    def can_receive(self, t_ns: int, can_id: int, data: bytes) -> None:
        self.heard.append(can_id)


class Bench:
    """A line on a bus with a peer, in virtual time, and what a program does with its tty."""

    def __init__(self) -> None:
        self.kernel = Kernel()
        self.bus = CANBus("can0", self.kernel, 1, lambda *_: None, 500_000)
        self.peer = Peer()
        self.bus.attach(self.peer)
        self.line = SlcanLine(self.kernel, self.bus, lambda: self.kernel.now_ns)
        self.counters = self.line.counters
        self.fd = -1

    def open(self) -> None:
        """Open the tty as a program does."""
        self.fd = os.open(self.line.path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        tty.setraw(self.fd)

    def shut(self) -> None:
        """Close the tty."""
        if self.fd >= 0:
            os.close(self.fd)
        self.fd = -1

    def write(self, octets: bytes) -> None:
        """Write to the tty, and let the line take it."""
        assert os.write(self.fd, octets) == len(octets)
        self.line.pump()

    def read(self) -> bytes:
        """Read everything that is there."""
        found = b""
        try:
            while part := os.read(self.fd, 65536):
                found += part
        except BlockingIOError:
            return found
        return found

    def run(self, seconds: float) -> None:
        """Let virtual time pass."""
        self.kernel.run_until(self.kernel.now_ns + round(seconds * SECOND))


@pytest.fixture
def bench() -> Iterator[Bench]:
    """Give a bench."""
    bench = Bench()
    yield bench
    bench.shut()
    bench.line.close()


def test_a_program_writes_commands_and_reads_answers(bench: Bench) -> None:
    """The tty carries lines both ways, whatever is in them."""
    bench.open()
    bench.write(b"V\rO\rt12")
    bench.write(b"30\r")
    bench.run(0.01)
    bench.peer.can_send(bench.kernel.now_ns, 0x321, b"\x0d\x0a\x04\x7f")
    bench.run(0.01)
    assert bench.read() == b"V1013\r\rz\rt32140D0A047F\r"
    assert bench.peer.heard == [0x123]


def test_a_program_that_writes_much_is_held_and_loses_nothing(bench: Bench) -> None:
    """Frames beyond the FIFO stay in the tty until there is room, and go out in order."""
    bench.open()
    bench.write(b"O\r" + b"".join(f"t{n:03X}0\r".encode() for n in range(500)))
    assert bench.counters["sent"] == FIFO_NFRAMES
    bench.run(1)
    assert bench.peer.heard == list(range(500))
    assert bench.counters["overflow"] == 0


def test_lines_for_a_closed_tty_are_dropped_and_the_channel_stays_open(bench: Bench) -> None:
    """What is heard while nobody has the tty open is counted; the next program hears the next."""
    bench.open()
    bench.write(b"O\r")
    assert bench.read() == b"\r"
    bench.shut()
    for can_id in (1, 2):
        bench.peer.can_send(bench.kernel.now_ns, can_id, b"")
    bench.run(0.01)
    assert bench.counters["unopened"] == 2
    bench.open()
    bench.peer.can_send(bench.kernel.now_ns, 3, b"")
    bench.run(0.01)
    assert bench.read() == b"t0030\r"
    assert bench.counters["opened"] == 2


def test_a_program_that_does_not_read_loses_whole_lines(bench: Bench) -> None:
    """When the tty is full lines are dropped and counted; what is read then has no cut line."""
    bench.open()
    bench.write(b"O\r")
    for n in range(4000):
        bench.peer.can_send(bench.kernel.now_ns, n & 0x7FF, n.to_bytes(2, "big"))
    bench.run(2)
    assert bench.counters["received"] == 4000
    said = bench.read()
    bench.peer.can_send(bench.kernel.now_ns, 0x7FF, b"last")
    bench.run(0.01)
    said += bench.read()
    lines = said.split(b"\r")[1:-1]
    assert bench.counters["unread"] == 4001 - len(lines) > 0
    assert {len(line) for line in lines[:-1]} == {9}
    assert lines[-1] == b"t7FF46C617374"


def overfill(rig: SmallRig, host: Host) -> int:
    """Open the tty of a host and let it hear more than there is room for; return the descriptor."""
    fd = os.open(host.lines["/dev/ttyCAN0"].path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    tty.setraw(fd)
    os.write(fd, b"O\r")
    host.step(0)
    peer = Peer()
    rig.can.attach(peer)
    counters = host.lines["/dev/ttyCAN0"].counters
    while not counters["unread"]:
        peer.can_send(rig.kernel.now_ns, 0x123, b"12345678")
        rig.kernel.run_until(rig.kernel.now_ns + 1_000_000)
    return fd


def test_the_rest_of_a_line_follows_when_the_program_reads(tmp_path: Path) -> None:
    """A program that empties a full tty has the whole of its last line with no other behind it."""
    rig = SmallRig(1000 * SECOND)
    host = Host(rig.exchange, tmp_path / "bench", "max")
    fd = overfill(rig, host)
    counters = host.lines["/dev/ttyCAN0"].counters
    whole, said = counters["received"] - counters["unread"], b""
    while len(said) < 1 + 22 * whole and select.select([fd], [], [], 5)[0]:
        said += os.read(fd, 65536)
        host.step(0)
    os.close(fd)
    host.close()
    lines = said.split(b"\r")
    assert (lines[0], lines[-1], {len(line) for line in lines[1:-1]}) == (b"", b"", {21})
    assert len(lines) == whole + 2


def test_the_rest_of_a_line_is_for_nobody_else(tmp_path: Path) -> None:
    """Who opens the tty next reads no line without its head; the line is counted."""
    rig = SmallRig(1000 * SECOND)
    host = Host(rig.exchange, tmp_path / "bench", "max")
    os.close(overfill(rig, host))
    line = host.lines["/dev/ttyCAN0"]
    host.step(0)
    assert line.counters["unopened"] == 1
    host.close()


def test_the_bus_can_be_served_again_when_a_host_has_gone(tmp_path: Path) -> None:
    """A host that closes gives the controller back, and the next one has a tty on it."""
    rig = SmallRig(SECOND)
    for name in ("one", "two"):
        host = Host(rig.exchange, tmp_path / name, "max")
        assert rig.can.controller.device is not None
        assert "/dev/ttyCAN0" in host.lines
        host.close()
        assert rig.can.controller.device is None


@pytest.mark.soak
def test_a_million_random_commands_end_nothing() -> None:
    """10^6 commands of random letters, digits and octets: the line answers a good one after."""
    chance = random.Random(5)
    letters = b"OCLSVvNtTrRFMmZYsXWdDbB0123456789ABCDEFabcdef"
    bench = Bench()
    bench.open()
    try:
        for number in range(1_000_000):
            most = chance.randrange(1, 30)
            if chance.random() < 0.8:
                command = bytes(chance.choice(letters) for _ in range(most))
            else:
                command = chance.randbytes(most)
            os.write(bench.fd, command + b"\r")
            bench.line.pump()
            if number % 8 == 0:
                bench.kernel.run_until(bench.kernel.now_ns + 10_000_000)
                with contextlib.suppress(BlockingIOError):
                    os.read(bench.fd, 1 << 16)
        os.write(bench.fd, b"\rC\rV\r")
        heard = b""
        for _ in range(1000):
            bench.line.pump()
            bench.line.flush()
            bench.kernel.run_until(bench.kernel.now_ns + 10_000_000)
            with contextlib.suppress(BlockingIOError):
                heard += os.read(bench.fd, 1 << 16)
        assert b"V1013\r" in heard
    finally:
        bench.shut()
