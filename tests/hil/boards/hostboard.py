"""The firmware's core in this process, a line of :mod:`hil.boards.line`, and a Link at its end.

Time is a number that :class:`Bench` moves from one thing that is due to the next.
"""

from __future__ import annotations

import atexit
import ctypes
import shutil
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path
from random import Random
from tempfile import mkdtemp

import pytest

from hil.boards.line import LinePair, Trouble, earliest
from hil.boards.link import Link, LinkState
from hil.boards.protocol import Event, Reply, Request

ROOT = Path(__file__).resolve().parents[3]
CORE = ROOT / "boards" / "firmware" / "core"
HERE = Path(__file__).resolve().parent / "hostcore"
MS, US = 1_000_000, 1_000
ROOM = 1 << 20


@cache
def built(window: int, max_frame: int) -> Path:
    """Compile the core with a HAL of buffers; the folder is gone when this process ends."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler here: the firmware's core cannot be built")
    folder = mkdtemp(prefix="hostcore-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    out = Path(folder) / "core.so"
    sources = [path for path in sorted(CORE.glob("*.c")) if path.stem not in ("main", "link")]
    flags = ["-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared"]
    flags += [f"-DHW_WINDOW={window}", f"-DHW_MAX_FRAME={max_frame}", f"-I{HERE}", f"-I{CORE}"]
    command = [compiler, *flags, "-o", str(out), str(HERE / "hal.c"), *map(str, sources)]
    subprocess.run(command, check=True)
    return out


class Core:
    """One board: a private copy of the core, so that several can be there at once."""

    def __init__(self, window: int = 4, max_frame: int = 136, baud: int = 115_200) -> None:
        self._folder = Path(mkdtemp(prefix="hostcore-"))
        copy = shutil.copy(built(window, max_frame), self._folder / "core.so")
        self._lib = ctypes.CDLL(str(copy))
        shutil.rmtree(self._folder)  # what is mapped stays
        self._out = ctypes.create_string_buffer(ROOM)
        for name in ("host_start", "host_run"):
            getattr(self._lib, name).restype = ctypes.c_size_t
        self.boots = 0
        ctypes.c_uint.in_dll(self._lib, "host_first_baud").value = baud

    def start(self, now_ns: int, boot_id: int | None = None, cause: int = 1) -> bytes:
        """Reset the board; return what it sends."""
        self.boots += 1
        boot_id = self.boots * 0x9E3779B1 & 0xFFFFFFFF if boot_id is None else boot_id
        now_us = now_ns // US & 0xFFFFFFFF
        return self._out[
            : self._lib.host_start(ctypes.c_uint32(boot_id), cause, now_us, self._out, ROOM)
        ]

    def run(self, octets: bytes, now_ns: int) -> bytes:
        """Give the board octets; return what it sends."""
        now_us = ctypes.c_uint32(now_ns // US & 0xFFFFFFFF)
        return self._out[: self._lib.host_run(octets, len(octets), now_us, self._out, ROOM)]

    def say(self, text: bytes) -> bytes:
        """Have the board send a LOG event."""
        n = ctypes.c_size_t()
        self._lib.host_say(text, self._out, ROOM, ctypes.byref(n))
        return self._out[: n.value]

    def clear(self) -> None:
        """Forget what was counted and written down."""
        self._lib.host_clear()

    def edge(self, count: int) -> None:
        """Have so many edges happen on a pin."""
        self._lib.host_edge(count)

    def lose(self) -> None:
        """Have the HAL say that it lost octets."""
        self._lib.host_lose()

    def number(self, name: str) -> int:
        """Return a number of the HAL."""
        return ctypes.c_uint32.in_dll(self._lib, name).value

    @property
    def executed(self) -> ctypes.Array[ctypes.c_uint8]:
        """How often each numbered request was done."""
        return (ctypes.c_uint8 * (1 << 20)).in_dll(self._lib, "host_executed")

    @property
    def log(self) -> str:
        """What was done on the buses."""
        text: bytes = (ctypes.c_char * (1 << 16)).in_dll(self._lib, "host_log").value
        return text.decode()

    @property
    def counters(self) -> list[int]:
        """The core's counters in the order of STATS."""
        return list((ctypes.c_uint16 * 10).in_dll(self._lib, "hw_counters"))


class Bench:
    """A Link, a line and a board, in simulated time."""

    def __init__(
        self,
        baud: int = 0,
        seed: int = 1,
        trouble: Trouble | None = None,
        window: int = 4,
        max_frame: int = 136,
        clock_period_ns: int = 1_000 * MS,
    ) -> None:
        self.core = Core(window, max_frame, baud or 115_200)
        self.core.clear()
        self.lines = LinePair(baud, seed, trouble, grain=16)
        self.link = Link(baud=baud or None, random=Random(seed), clock_period_ns=clock_period_ns)
        self.now_ns = 1_000 * MS
        self.plugged = self.powered = True
        self.skew_ppm, self.offset_us = 0.0, 0
        self.events: list[Event] = []
        self.states: list[tuple[LinkState, str]] = []
        self.watch: Callable[[], None] = lambda: None
        self.link.on_event = self.events.append
        self.link.on_state = lambda state, reason: self.states.append((state, reason))
        self.link.on_baud = self._host_rate

    # --- the world ----------------------------------------------------------------------------

    def _host_rate(self, baud: int) -> None:
        self._write()
        self.lines.to_board.baud = baud
        self.lines.to_host.read_baud = baud

    def _board_rate(self) -> None:
        if self.lines.to_host.baud:
            self.lines.to_host.baud = self.core.number("host_baud")
            self.lines.to_board.read_baud = self.lines.to_host.baud

    def board_ns(self) -> int:
        """Return the time on the board's own counter, ns."""
        return int(self.now_ns * (1 + self.skew_ppm * 1e-6)) + self.offset_us * US

    def reset_board(self, cause: int = 2, boot_id: int | None = None) -> None:
        """Reset the board; what it was sending is out already."""
        said = self.core.start(self.board_ns(), boot_id, cause)
        self._board_rate()
        self.board_says(said)

    def board_says(self, octets: bytes) -> None:
        """Put octets of the board on the line."""
        if self.plugged:
            self.lines.to_host.put(octets, self.now_ns)

    def unplug(self) -> None:
        """Pull the line out."""
        self.plugged = False
        self.lines.each(lambda line: line.cut(self.now_ns))

    # --- time ---------------------------------------------------------------------------------

    def _write(self) -> None:
        octets = self.link.output()
        if octets and self.plugged:
            self.lines.to_board.put(octets, self.now_ns)

    def step(self, until_ns: int) -> None:
        """Move to the next thing that is due, or to ``until_ns``, and do it."""
        self._write()
        due = earliest(self.lines.due_ns, self.link.due_ns, until_ns)
        assert due is not None
        self.now_ns = max(self.now_ns, due)
        heard = self.lines.to_board.take(self.now_ns)
        said = self.core.run(heard, self.board_ns())
        self.board_says(said)
        self._board_rate()
        octets = self.lines.to_host.take(self.now_ns)
        if octets:
            self.link.feed(octets, self.now_ns)
        self.link.service(self.now_ns)
        self.watch()

    def run(self, until: Callable[[], bool], limit_ms: int = 5_000) -> bool:
        """Run until something holds; return whether it does within the limit."""
        end = self.now_ns + limit_ms * MS
        while not until() and self.now_ns < end:
            self.step(end)
        return until()

    def wait_ms(self, ms: int) -> None:
        """Let time pass."""
        self.run(lambda: False, ms)

    def open(self, limit_ms: int = 5_000) -> Bench:
        """Start the board, open a session, and let the first clock samples pass."""
        self.reset_board(cause=1)
        self.link.hello(self.now_ns)
        assert self.run(lambda: self.link.state is LinkState.OPEN, limit_ms), self.states
        self.wait_ms(500)  # the clock samples of the beginning are through, the next is not due
        return self

    def ask(self, type_: Request, payload: bytes = b"", limit_ms: int = 5_000) -> Reply | None:
        """Ask the board and wait for the answer."""
        got: list[Reply | None] = []
        self.link.request(type_, payload, got.append, now_ns=self.now_ns)
        assert self.run(lambda: bool(got), limit_ms), self.states
        return got[0]


def numbered(number: int, more: bytes = b"") -> bytes:
    """Return the payload of a UART_WRITE that the board counts."""
    return b"\0" + number.to_bytes(4, "little") + more


def submit(bench: Bench, numbers: range) -> list[tuple[int, Reply | None]]:
    """Ask for numbered requests; return the list that takes their replies."""
    got: list[tuple[int, Reply | None]] = []

    def taker(number: int) -> Callable[[Reply | None], None]:
        return lambda reply: got.append((number, reply))

    for number in numbers:
        bench.link.request(Request.UART_WRITE, numbered(number), taker(number), now_ns=bench.now_ns)
    return got


def answered(got: list[tuple[int, Reply | None]]) -> list[int]:
    """Return the numbers that were answered, in the order of their answers."""
    return [number for number, reply in got if reply is not None and reply.ok]


def submit_and_run(bench: Bench, numbers: range) -> list[tuple[int, Reply | None]]:
    """Ask for numbered requests and wait for all of them."""
    got = submit(bench, numbers)
    assert bench.run(lambda: len(got) == len(numbers)), bench.states
    return got


def came(got: list[Reply | None]) -> Callable[[], bool]:
    """Return what tells whether something came."""
    return lambda: bool(got)
