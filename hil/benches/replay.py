"""How late recorded stimulus is at 5,000 records a second, when it is played in real time.

Every record has its instant on the wall; its lateness is taken where it enters the bus, the line or
the ground endpoint. The figure is p99, in microseconds, of the best repeat. The floor is a loop
that sleeps to the same instants and does nothing else; the peer is python-can's ``MessageSync``,
where it is installed, with the same messages. Nobody spins: all of them sleep. Ours and the floor
are first in line for a processor (SCHED_FIFO) where the host allows that, but for flight software,
which computes.
"""

from __future__ import annotations

import contextlib
import io
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from flightsw.codec.wire import Flag, Kind, pack
from hil.capture.writer import CaptureWriter
from hil.replay.flown import flown
from hil.replay.outcome import PLAY, ReplayOptions
from hil.replay.playing.mode import replay
from hil.time.pacing import Histogram, fine_sleep, first_in_line

SECOND = 1_000_000_000
RATE_HZ = 5000
#: a program that reads a serial line until nothing comes for a while
READER = """
import os, select, sys, tty
fd = os.open("/dev/ttyAMA1", os.O_RDWR | os.O_NOCTTY)
tty.setraw(fd)
count = 0
while count < int(sys.argv[1]) and select.select([fd], [], [], 5)[0]:
    count += len(os.read(fd, 4096))
"""


def run(quick: bool = False) -> list[dict[str, Any]]:
    """Return one row a listener; ``ours`` is the best p99 of several repeats."""
    seconds, repeats = (1, 2) if quick else (4, 3)
    with tempfile.TemporaryDirectory(prefix="flatsat-bench-") as folder:
        path = make_capture(Path(folder) / "stimulus.mcap", seconds * RATE_HZ)
        frames = make_capture(Path(folder) / "frames.mcap", seconds * RATE_HZ, Kind.TM)
        reader = (sys.executable, "-c", READER, str(seconds * RATE_HZ))
        floor = _best(repeats, lambda: sleeping(seconds * RATE_HZ))
        peer = _best(repeats, lambda: message_sync(seconds * RATE_HZ))
        cases: list[tuple[str, Callable[[], float | None]]] = [
            ("serial octets into a program", lambda: _played(path, program=reader)),
            ("serial octets into flight software", lambda: _played(path)),
            ("frames into the ground", lambda: _played(frames, to="ground")),
        ]
        return [row(op, _best(repeats, measure), floor, peer) for op, measure in cases]


def row(op: str, ours: float | None, floor: float | None, peer: float | None) -> dict[str, Any]:
    """Return a row of the table; less is better."""
    assert ours is not None
    assert floor is not None
    return {
        "op": f"{op}, {RATE_HZ} a second",
        "ours": ours,
        "unit": "us late, p99",
        "floor": floor,
        "peer": peer,
        "peer_name": None if peer is None else "python-can MessageSync",
        "ratio_to_floor": ours / floor if floor else None,
        "ratio_to_peer": None if peer is None else ours / peer,
    }


def _best(repeats: int, measure: Callable[[], float | None]) -> float | None:
    found = [figure for _ in range(repeats) if (figure := measure()) is not None]
    return min(found, default=None)


def make_capture(path: Path, count: int, kind: Kind = Kind.UART) -> Path:
    """Write a capture of one stimulus every 200 us: an octet of a line, or a frame of 64."""
    octets = b"$" if kind == Kind.UART else bytes(64)
    flags = int(Flag.INPUT) if kind == Kind.UART else 0
    name = "ttyAMA1" if kind == Kind.UART else "link"
    step_ns = SECOND // RATE_HZ
    about = {"imported": '["bench"]', "forms": '["frames"]'}
    with CaptureWriter(path, 0, {0: name}, about) as writer:
        if kind == Kind.TM:
            writer.add_attachment("channel.toml", "application/toml", _CHANNEL)
        for i in range(count):
            writer.write(pack(kind, 0, flags, 0, i * step_ns, 0, i, 0, octets))
    return path


_CHANNEL = b"""[channel]
name = "bench"
input = "frames"
[frames]
kind = "tm"
nbytes = 64
fecf = "none"
"""


def _played(path: Path, **options: Any) -> float:
    """Play a capture in real time; return the p99 of its lateness in microseconds."""
    wish = ReplayOptions(mode=PLAY, pace="real", **options)
    with flown(path) as run, contextlib.redirect_stderr(io.StringIO()):
        figures = replay(run, wish, lambda text: None).figures
    assert "lateness_us" in figures, "stimulus goes on when what it is for is up"
    return float(figures["lateness_us"]["p99"])


def _p99_us(late_ns: Iterator[int]) -> float:
    found = Histogram()
    for ns in late_ns:
        found.add(ns)
    return found.percentile_ns(99) / 1000


def sleeping(count: int) -> float:
    """Sleep to ``count`` instants; return the p99 of how late that ends, microseconds."""

    def late_ns() -> Iterator[int]:
        begin_ns = time.monotonic_ns()
        for i in range(count):
            due_ns = begin_ns + i * SECOND // RATE_HZ
            left_ns = due_ns - time.monotonic_ns()
            if left_ns > 0:
                time.sleep(left_ns / 1e9)
            yield time.monotonic_ns() - due_ns

    with fine_sleep(), first_in_line():
        return _p99_us(late_ns())


def message_sync(count: int) -> float | None:
    """Return the same of python-can's player; None where it is not installed."""
    try:
        import can
    except ModuleNotFoundError:
        return None
    messages = [
        can.Message(timestamp=i / RATE_HZ, arbitration_id=1, data=b"\0") for i in range(count)
    ]

    def late_ns() -> Iterator[int]:
        first_ns = None
        for i, _ in enumerate(can.MessageSync(messages, gap=1e-9)):
            now_ns = time.monotonic_ns()
            first_ns = now_ns if first_ns is None else first_ns
            yield now_ns - first_ns - i * SECOND // RATE_HZ

    return _p99_us(late_ns())
