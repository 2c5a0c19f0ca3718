"""The link to a dev board: round trips, a replug, damaged frames, bulk; on this computer's board.

The board is the firmware as a process on a pseudo-terminal. Floors are taken in the same run: of a
round trip a bare echo of as many octets between two processes over a pseudo-terminal, of one at a
line rate the time on the line, of a replug the start of the process to its first octet.
The limit of a row is in the column of the peer.
"""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
import time
import tty
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from random import Random
from statistics import median
from typing import Any

from flightsw.codec.serial.hilwire import Receiver, enframe, on_line_nbytes
from hil.boards.boardtype import load_type
from hil.boards.cable import Cable
from hil.boards.lab import Instance
from hil.boards.link import Link, LinkState
from hil.boards.ports import PortRegistry, emulated_port
from hil.boards.posix import PosixBoard
from hil.boards.protocol import Reply, Request
from hil.boards.session import Session, State
from hil.errors import BoardError

PING_NBYTES = 4
BULK_NBYTES = 240
BAUD = 115_200
US, MS, SECOND = 1_000, 1_000_000, 1_000_000_000
#: What is promised: a round trip, one at a line rate beyond the time on the line, a replug.
ROUND_TRIP_US, BEYOND_LINE_US, REPLUG_MS = 100.0, 500.0, 10.0


def run(quick: bool = False) -> list[dict[str, Any]]:
    """Return one row an operation; the best median of several repeats."""
    repeats, trips, replugs = (2, 1_000, 5) if quick else (5, 5_000, 20)
    return [
        round_trips(repeats, trips),
        round_trips_at_rate(repeats, trips // 50),
        bulk(repeats, trips),
        damaged(repeats, 2_000 if quick else 20_000),
        replugged(replugs),
    ]


def row(
    op: str, ours: float, unit: str, floor: float | None, limit: float | None, name: str = ""
) -> dict[str, Any]:
    """Return a row of the table; ``limit``: what is promised, in the column of the peer."""
    return {
        "op": op,
        "ours": ours,
        "unit": unit,
        "floor": floor,
        "peer": limit,
        "peer_name": name or None,
        "ratio_to_floor": None if floor is None else ours / floor,
        "ratio_to_peer": None if limit is None else ours / limit,
    }


# --- round trips ----------------------------------------------------------------------------------


class Caller:
    """A link on an open terminal, with a plain loop of ``select``, ``os.read`` and ``os.write``."""

    def __init__(self, path: str, baud: int | None = None) -> None:
        self.fd = os.open(path, os.O_RDWR | os.O_NOCTTY)
        tty.setraw(self.fd)
        self.link = Link(baud=baud, clock_period_ns=3_600 * SECOND)
        self.link.hello(time.monotonic_ns())
        self.until(lambda: self.link.state is LinkState.OPEN)
        quiet_ns = time.monotonic_ns() + 300 * MS  # the first clock samples pass
        self.until(lambda: time.monotonic_ns() > quiet_ns)

    def until(self, holds: Callable[[], bool]) -> None:
        """Serve the link until something holds; BoardError if that takes 5 s."""
        link, fd, clock = self.link, self.fd, time.monotonic_ns
        limit_ns = clock() + 5 * SECOND
        while not holds():
            octets = link.output()
            if octets:
                os.write(fd, octets)
            if select.select([fd], [], [], 0.05)[0]:
                link.feed(os.read(fd, 4096), clock())
            link.service(clock())
            if clock() > limit_ns:
                raise BoardError(f"the board of the benchmark: {link.reason}; run it again")

    def trips_us(self, count: int) -> float:
        """Return the median of so many round trips of a PING, us."""
        link, fd, clock = self.link, self.fd, time.monotonic_ns
        payload, taken = bytes(PING_NBYTES), []
        got: list[Reply | None] = []
        for _ in range(count):
            begin = clock()
            link.request(Request.PING, payload, got.append, now_ns=begin)
            os.write(fd, link.output())
            while not got:
                select.select([fd], [], [])
                link.feed(os.read(fd, 4096), clock())
            taken.append(clock() - begin)
            if got.pop() is None:
                raise BoardError(f"the board of the benchmark: {link.reason}; run it again")
        return median(taken) / US

    def bulk_mb_s(self, count: int) -> float:
        """Return the speed of PINGs as long as frames allow, a window at a time, MB/s each way."""
        link, fd, clock = self.link, self.fd, time.monotonic_ns
        payload = bytes(i % 256 for i in range(BULK_NBYTES))
        left = answered = 0
        begin = clock()

        def done(reply: Reply | None) -> None:
            nonlocal answered
            answered += reply is not None

        while answered < count:
            while left < count and link.unanswered < 4:
                link.request(Request.PING, payload, done, now_ns=clock())
                left += 1
            octets = link.output()
            if octets:
                os.write(fd, octets)
            select.select([fd], [], [])
            link.feed(os.read(fd, 4096), clock())
        return count * BULK_NBYTES / (clock() - begin) * 1_000

    def close(self) -> None:
        """Give the terminal back."""
        os.close(self.fd)


_ECHO = """
import os, sys
fd = int(sys.argv[1])
while octets := os.read(fd, 4096):
    os.write(fd, octets)
"""


@contextmanager
def bare_echo() -> Iterator[int]:
    """Give a terminal behind which another process returns every octet."""
    master, slave = os.openpty()
    tty.setraw(slave)
    process = subprocess.Popen([sys.executable, "-c", _ECHO, str(master)], pass_fds=[master])
    os.close(master)
    try:
        yield slave
    finally:
        process.kill()
        process.wait()
        os.close(slave)


def echo_us(fd: int, count: int, nbytes: int) -> float:
    """Return the median of so many round trips of bare octets, us."""
    octets, taken, clock = b"x" * nbytes, [], time.monotonic_ns
    for _ in range(count):
        begin = clock()
        os.write(fd, octets)
        left = nbytes
        while left:
            select.select([fd], [], [])
            left -= len(os.read(fd, 4096))
        taken.append(clock() - begin)
    return median(taken) / US


def by_turns(
    repeats: int, ours: Callable[[], float], floor: Callable[[], float]
) -> tuple[float, float]:
    """Return the least of some figures of both, taken by turns."""
    pairs = [(ours(), floor()) for _ in range(repeats)]
    return min(pair[0] for pair in pairs), min(pair[1] for pair in pairs)


def round_trips(repeats: int, count: int) -> dict[str, Any]:
    """Measure a PING of 4 octets on a terminal without a rate."""
    nbytes = on_line_nbytes(PING_NBYTES)
    with PosixBoard() as board, closing(Caller(board.port)) as caller, bare_echo() as fd:
        echo_us(fd, 100, nbytes)
        ours, floor = by_turns(
            repeats, lambda: caller.trips_us(count), lambda: echo_us(fd, count, nbytes)
        )
    op = f"PING of {PING_NBYTES} octets, POSIX"
    return row(op, ours, "us", floor, ROUND_TRIP_US, f"limit, {ROUND_TRIP_US:g} us")


@contextmanager
def cabled(baud: int) -> Iterator[str]:
    """Give the terminal of a board behind a virtual cable of a rate."""
    far, near = socket.socketpair()
    with (
        closing(far),
        PosixBoard(["--fd", str(far.fileno())], pass_fds=[far.fileno()]),
        Cable(near, baud=baud) as cable,
    ):
        cable.start()
        assert cable.port is not None
        yield cable.port


def round_trips_at_rate(repeats: int, count: int) -> dict[str, Any]:
    """Measure a PING of 4 octets across a cable of 115200 baud."""
    octets = on_line_nbytes(PING_NBYTES) + on_line_nbytes(1 + PING_NBYTES)
    line_us = octets * 10 * 1e6 / BAUD
    with cabled(BAUD) as path, closing(Caller(path, BAUD)) as caller:
        ours = min(caller.trips_us(count) for _ in range(repeats))
    op = f"PING of {PING_NBYTES} octets, {BAUD} baud"
    limit = line_us + BEYOND_LINE_US
    return row(op, ours, "us", line_us, limit, f"limit, line + {BEYOND_LINE_US:g} us")


def bulk(repeats: int, count: int) -> dict[str, Any]:
    """Measure long PINGs on a terminal without a rate; the floor has as many octets each way."""
    with PosixBoard() as board, closing(Caller(board.port)) as caller, bare_echo() as fd:
        nbytes = 4 * on_line_nbytes(BULK_NBYTES)
        speeds = [
            (caller.bulk_mb_s(count), 4 * BULK_NBYTES / echo_us(fd, count // 4, nbytes))
            for _ in range(repeats)
        ]
    ours, floor = (max(speed[nth] for speed in speeds) for nth in (0, 1))
    return row(f"PINGs of {BULK_NBYTES} octets, 4 at a time", ours, "MB/s each way", floor, None)


# --- what is damaged, and who comes back ----------------------------------------------------------


def damaged_stream(count: int) -> bytes:
    """Return frames with payloads of 16 octets, each with one bit other than it was."""
    random = Random(1)  # noqa: S311 - damage, not a secret
    stream = bytearray()
    for nth in range(count):
        frame = bytearray(enframe([bytes((0x10, 0x82, nth % 256)) + random.randbytes(16)]))
        frame[random.randrange(1, len(frame) - 1)] ^= 1 << random.randrange(8)
        stream += frame
    return bytes(stream)


def damaged(repeats: int, count: int) -> dict[str, Any]:
    """Measure how fast damaged frames are found out."""
    stream = damaged_stream(count)
    chunks = [stream[at : at + 4096] for at in range(0, len(stream), 4096)]
    best = 0.0
    for _ in range(repeats):
        receiver = Receiver()
        begin = time.perf_counter()
        for chunk in chunks:
            receiver.feed(chunk)
        best = max(best, count / (time.perf_counter() - begin))
        counts = receiver.counters
        assert counts["frames"] == 0
        assert counts["bad_checks"] + counts["bad_frames"] >= count * 9 // 10
    return row("damaged frames of 16 octets", best, "frames/s", None, None)


def replugged(count: int) -> dict[str, Any]:
    """Measure from the board's start to READY of a session that has lost it before."""
    kind = load_type("posix")
    ports, ours, floors = PortRegistry(), [], []
    with Session(Instance("bench", kind, emulate="posix"), ports, time.monotonic_ns) as session:
        for _ in range(count):
            begin = time.monotonic_ns()
            with PosixBoard() as board:
                ports.plug(emulated_port("bench", board.port))
                serve(session, State.READY)
                ours.append(time.monotonic_ns() - begin)
            serve(session, State.LOST)
            ports.pull(board.port)
            begin = time.monotonic_ns()
            with PosixBoard() as board:
                fd = os.open(board.port, os.O_RDWR | os.O_NOCTTY)
                select.select([fd], [], [])
                floors.append(time.monotonic_ns() - begin)
                os.close(fd)
    name = f"limit, {REPLUG_MS:g} ms"
    return row("replug to READY, POSIX", _ms(ours), "ms", _ms(floors), REPLUG_MS, name)


def _ms(times_ns: list[int]) -> float:
    return median(times_ns) / MS


def serve(session: Session, state: State) -> None:
    """Serve a session as a loop would until it is in a state; BoardError if that takes 5 s."""
    limit_ns = time.monotonic_ns() + 5 * SECOND
    while session.state is not state:
        session.service(time.monotonic_ns())
        if session.state is state:
            return
        now_ns, fd = time.monotonic_ns(), session.fileno()
        if now_ns > limit_ns:
            raise BoardError(f"the board of the benchmark: {session.status}; run it again")
        wait_s = max(session.due_ns - now_ns, 0) / SECOND
        select.select([] if fd is None else [fd], [], [], min(wait_s, 0.05))
