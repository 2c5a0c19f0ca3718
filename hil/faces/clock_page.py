"""The page of memory in which programs on virtual time read the clock, and the present behind it.

Five numbers of 64 bits in the byte order of the host: the virtual time, what CLOCK_MONOTONIC and
CLOCK_REALTIME show at virtual time 0, what a look at the clock costs, and how far a thread may be
ahead of the bench by such looks; all in nanoseconds.
"""

from __future__ import annotations

import mmap
from pathlib import Path

from hil.time.kernel import NEVER_NS, Kernel
from hil.time.present import Present

#: Name of the page's file, beside the bench's socket.
PAGE = "clock"
#: CLOCK_MONOTONIC at virtual time 0: the host has been up for a while, as they all are.
MONOTONIC_NS = 1_000_000_000_000
#: What a look at the clock costs, the first 4096 since the last wait excepted: a loop that only
#: waits for the clock comes to its end.
READ_NS = 10_000
#: A thread that has only looked at the clock for so long waits for the others.
AHEAD_NS = 100_000


class VirtualPresent(Present):
    """Virtual time as the kernel has it; the wall clock plays no part."""

    clock = "virtual"

    def __init__(self, kernel: Kernel, path: Path, epoch_ns: int) -> None:
        """``path``: where to make the page; ``epoch_ns``: CLOCK_REALTIME at virtual time 0."""
        super().__init__(kernel, "max")
        self.wait = True
        self._epoch_ns = epoch_ns
        with path.open("w+b") as file:
            path.chmod(0o600)
            file.truncate(mmap.PAGESIZE)
            self._memory = mmap.mmap(file.fileno(), mmap.PAGESIZE)
        # As numbers of 64 bits: nobody may read half of the old and half of the new time.
        self._words = memoryview(self._memory).cast("Q")
        for place, ns in enumerate((kernel.now_ns, MONOTONIC_NS, epoch_ns, READ_NS, AHEAD_NS)):
            self._words[place] = ns

    def show(self) -> int:
        """Show programs the time that it is; return it."""
        self._words[0] = now_ns = self._kernel.now_ns
        return now_ns

    def now_ns(self) -> int:
        """Return the virtual time now."""
        return self._kernel.now_ns

    def jump(self, t_ns: int) -> None:
        """Do nothing: time passes when all wait."""

    def wait_s(self, t_ns: int) -> float:
        """Return 0 s: nothing is ever waited for."""
        return 3600.0 if t_ns >= NEVER_NS else 0.0

    def wall_ns(self, t_ns: int, realtime: bool = False) -> int:
        """Return a program's CLOCK_MONOTONIC, or CLOCK_REALTIME, at ``t_ns``."""
        return t_ns + (self._epoch_ns if realtime else MONOTONIC_NS)

    def snapshot(self) -> dict[str, int | str]:
        """Return the pace; nothing can be late."""
        return {"pace": "max"}

    def close(self) -> None:
        """Let go of the page."""
        self._words.release()
        self._memory.close()
