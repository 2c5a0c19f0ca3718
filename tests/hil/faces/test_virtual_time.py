"""The host of programs on virtual time: who goes on, when, and in which order."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from flightsw.codec import bus_payload
from flightsw.codec.wire import Flag, Kind, Record, pack, unpack_all, unpack_from
from hil.cli import main
from hil.faces.clock_page import MONOTONIC_NS, PAGE
from hil.faces.proctree import ProcessTree
from hil.faces.virtual_clock import VirtualHost
from hil.testing.contracts.bus import ADDRESS
from hil.testing.small_rig import SmallRig
from hil.time.kernel import NEVER_NS

SECOND = 1_000_000_000
END_NS = 3600 * SECOND
EPOCH_NS = 1_700_000_000 * SECOND
READ_TWO = bus_payload.pack_i2c(ADDRESS, b"\x10", 2)


class Thread:
    """A thread of a program, played by the test."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self.socket = bench.connect()
        self.socket.send(pack(Kind.OPEN, payload=b"clock"))
        self.ident = unpack_from(bench.answer(self.socket))[0].seq
        self._waits = 0

    def wait(self, until_ns: int, flags: int = 0) -> None:
        """Say until when this thread waits."""
        self._waits += 1
        self.socket.send(pack(Kind.NEXT, flags=flags, seq=self._waits, t_ns=until_ns))

    def ends(self) -> None:
        """Say that something else has ended the wait."""
        self.socket.send(pack(Kind.GRANT, seq=self._waits))

    def woken_ns(self) -> int | None:
        """Return when this thread was woken; None: it was not."""
        try:
            record = unpack_from(self.socket.recv(64))[0]
        except BlockingIOError:
            return None
        assert (record.kind, record.seq) == (Kind.GRANT, self._waits)
        return record.t_ns

    def read(self, device: socket.socket, t_ns: int) -> None:
        """Ask for two octets of a register."""
        device.send(pack(Kind.I2C, payload=READ_TWO, seq=self.ident, t_ns=t_ns))


class Bench:
    """A small rig behind a socket, served by the thread of the test."""

    def __init__(self, folder: Path) -> None:
        self.rig = SmallRig(END_NS)
        self.path = folder / "bench"
        self.host = VirtualHost(self.rig.exchange, self.path, EPOCH_NS)
        self.sockets: list[socket.socket] = []

    def connect(self) -> socket.socket:
        """Return a new connection."""
        one = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        one.connect(str(self.path))
        one.setblocking(False)
        self.sockets.append(one)
        return one

    def answer(self, one: socket.socket) -> bytes:
        """Serve until a message for ``one`` is there; return it."""
        for _ in range(1000):
            try:
                return one.recv(1 << 20)
            except BlockingIOError:
                self.host.step(0.001)
        raise AssertionError("no answer")

    def open(self, name: str) -> socket.socket:
        """Return a handle on a device."""
        one = self.connect()
        one.send(pack(Kind.OPEN, payload=name.encode()))
        assert unpack_from(self.answer(one))[0].kind == Kind.OPEN
        return one

    def settle(self) -> None:
        """Let time pass as far as it can."""
        for _ in range(80):
            self.host.step(0.0)

    @property
    def now_ns(self) -> int:
        """The time that programs see."""
        return struct.unpack_from("Q", (self.path.with_name(PAGE)).read_bytes())[0]

    def transactions(self) -> list[Record]:
        """Return what has crossed the buses."""
        self.rig.stream.flush()
        return list(unpack_all(bytes(self.rig.octets)))


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Give a bench whose programs are on virtual time."""
    bench = Bench(tmp_path)
    yield bench
    for one in bench.sockets:
        one.close()
    bench.host.close()


def test_the_page_holds_the_clocks(bench: Bench) -> None:
    """The page has the time and what the clocks show at time 0."""
    words = struct.unpack_from("5Q", bench.path.with_name(PAGE).read_bytes())
    assert words[:3] == (0, MONOTONIC_NS, EPOCH_NS)
    assert min(words[3:]) > 0
    assert (bench.path.with_name(PAGE).stat().st_mode & 0o777) == 0o600


def test_a_thread_that_sleeps_is_woken_at_its_time(bench: Bench) -> None:
    """Time passes to the end of the sleep at once, and the page shows it."""
    thread = Thread(bench)
    thread.wait(1800 * SECOND)
    bench.settle()
    assert thread.woken_ns() == 1800 * SECOND == bench.now_ns


def test_time_stands_while_a_thread_runs(bench: Bench) -> None:
    """As long as one thread has not said what it waits for, nobody is woken."""
    sleeper, runner = Thread(bench), Thread(bench)
    sleeper.wait(SECOND)
    bench.settle()
    assert (sleeper.woken_ns(), bench.now_ns) == (None, 0)
    runner.wait(2 * SECOND)
    bench.settle()
    assert (sleeper.woken_ns(), runner.woken_ns(), bench.now_ns) == (SECOND, None, SECOND)


def test_one_thread_goes_on_at_a_time(bench: Bench) -> None:
    """Of two that are due at one instant the second is woken when the first waits again."""
    first, second = Thread(bench), Thread(bench)
    second.wait(SECOND)
    first.wait(SECOND)
    bench.settle()
    assert (first.woken_ns(), second.woken_ns()) == (SECOND, None)
    first.wait(3 * SECOND)
    bench.settle()
    assert (first.woken_ns(), second.woken_ns()) == (None, SECOND)


def test_requests_run_in_order_of_time_then_of_key(bench: Bench) -> None:
    """It does not matter in which order requests arrive."""
    threads = [Thread(bench) for _ in range(3)]
    devices = [bench.open("/dev/i2c-1") for _ in threads]
    times = [50_000, 20_000, 20_000]
    for n in (2, 0, 1):
        threads[n].read(devices[n], times[n])
    replies = {}
    for n in (1, 2, 0):
        replies[n] = unpack_from(bench.answer(devices[n]))[0]
        threads[n].wait(SECOND)
    assert [reply.duration_ns for reply in replies.values()] == [120_000] * 3
    assert {n: reply.t_ns for n, reply in replies.items()} == {1: 20_000, 2: 140_000, 0: 260_000}
    bench.settle()
    assert [record.seq for record in bench.transactions()] == [0, 1, 2]


def test_a_transaction_takes_its_bus_time(bench: Bench) -> None:
    """The time after a reply is that of its end."""
    thread, device = Thread(bench), bench.open("/dev/i2c-1")
    thread.read(device, 7_000)
    bench.answer(device)
    assert bench.now_ns == 127_000


def test_what_else_is_waited_for_ends_a_wait(bench: Bench) -> None:
    """A thread that says so runs again; its old time does not wake it from its next wait."""
    thread, other = Thread(bench), Thread(bench)
    thread.wait(SECOND, Flag.WAKE)
    bench.settle()
    thread.ends()
    thread.wait(5 * SECOND)
    other.wait(9 * SECOND)
    bench.settle()
    assert (thread.woken_ns(), other.woken_ns()) == (5 * SECOND, None)


def test_a_wait_without_end_lets_time_pass_to_the_end_of_the_run(bench: Bench) -> None:
    """A thread that waits for what the bench may bring does so until the run is over."""
    Thread(bench).wait(NEVER_NS, Flag.WAKE)
    for _ in range(100):
        bench.host.step(0.0)
    assert bench.rig.exchange.over
    assert bench.rig.kernel.now_ns == END_NS


def test_a_thread_that_leaves_holds_nobody(bench: Bench) -> None:
    """Time goes on for the others when a thread ends, running or waiting."""
    sleeper, runner, waiter = Thread(bench), Thread(bench), Thread(bench)
    sleeper.wait(2 * SECOND)
    waiter.wait(SECOND)
    runner.socket.close()
    waiter.socket.close()
    bench.settle()
    assert sleeper.woken_ns() == 2 * SECOND


def test_a_thread_says_nothing_but_what_it_waits_for(bench: Bench) -> None:
    """Another record on the connection of a thread ends it with a reason."""
    thread = Thread(bench)
    thread.socket.send(pack(Kind.I2C))
    reply = unpack_from(bench.answer(thread.socket))[0]
    assert reply.kind == Kind.REFUSE
    assert b"NEXT or GRANT" in reply.payload


def test_the_counters_tell_sleeps_from_other_waits(bench: Bench) -> None:
    """Sleeps, waits for something else, and threads are counted."""
    thread = Thread(bench)
    thread.wait(SECOND)
    bench.settle()
    assert thread.woken_ns() == SECOND
    thread.wait(2 * SECOND, Flag.WAKE)
    bench.settle()
    counted = {name: count for name, count in bench.host.clock.items() if count}
    assert counted == {"threads": 1, "sleeps": 1, "waits": 1}


# --- threads of the host -------------------------------------------------------------------------


@pytest.fixture
def shell() -> Iterator[subprocess.Popen[bytes]]:
    """Give a shell that waits for a child, which reads what the test may send."""
    script = "sh -c 'read line; exec sleep 1000' & wait"
    with subprocess.Popen(
        ["sh", "-c", f"exec 3<&0; {script.replace('read line', 'read line <&3')}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        yield process
        process.kill()


def test_children_are_found_and_their_rest_is_seen(shell: subprocess.Popen[bytes]) -> None:
    """A shell that waits for a child that waits for input is at rest, though nobody says so."""
    tree = ProcessTree(shell.pid)
    try:
        resting: list[bool | None] = []
        while len(tree.pids()) < 2 or resting[-1:] != [None]:
            resting.append(tree.at_rest(()))
        keys = sorted(task.key for task in tree.tasks.values())
        assert keys == [((1,), 1), ((1, 1), 1)]
        assert tree.at_rest(set(tree.tasks)) is True
    finally:
        for pid in tree.pids()[1:]:
            os.kill(pid, 9)
        tree.close()


def test_a_thread_that_computes_is_not_at_rest() -> None:
    """A process in a loop can run, whatever it has said before."""
    with subprocess.Popen(["sh", "-c", "while :; do :; done"]) as process:
        tree = ProcessTree(process.pid)
        assert (
            tree.at_rest({process.pid, -1}) is True
        )  # alone, and it waits for us: no need to look
        assert tree.at_rest(()) is False
        process.kill()
        tree.close()


# --- the command ---------------------------------------------------------------------------------


@pytest.mark.parametrize("pace", ["real", "x10"])
def test_virtual_time_has_no_pace(pace: str, capsys: pytest.CaptureFixture[str]) -> None:
    """--virtual-time with a pace that follows the wall is wrong usage, in one line."""
    assert main(["run", "--virtual-time", "--pace", pace, "--", "true"]) == 2
    said = capsys.readouterr().err
    assert "--virtual-time" in said
    assert said.count("\n") == 1
