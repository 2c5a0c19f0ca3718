"""The page in which programs read how fast their clocks run, and the present that goes with it.

Under ``--pace xN`` virtual time passes N times as fast as the wall's, and so does the clock of the
program: to it the bench is as at ``real``. Six words of 64 bits in the byte order of the host: the
factor as a double; CLOCK_MONOTONIC of the wall when that began, which the program's shows then,
too; and what CLOCK_REALTIME, CLOCK_TAI, CLOCK_MONOTONIC_RAW and CLOCK_BOOTTIME showed then, in
nanoseconds.
"""

from __future__ import annotations

import struct
import time
from pathlib import Path

from hil.time.kernel import Kernel
from hil.time.present import Present

#: Name of the page's file, beside the bench's socket.
PAGE = "pace"
_LAYOUT = struct.Struct("=d5Q")
_CLOCKS = (time.CLOCK_REALTIME, time.CLOCK_TAI, time.CLOCK_MONOTONIC_RAW, time.CLOCK_BOOTTIME)


class PacedPresent(Present):
    """The present of programs whose own clocks run at the pace, too."""

    clock = "paced"

    def __init__(self, kernel: Kernel, pace: str, path: Path) -> None:
        """``path``: where to make the page."""
        super().__init__(kernel, pace)
        self._began_ns = time.monotonic_ns()
        began_ns = [time.clock_gettime_ns(clock) for clock in _CLOCKS]
        self._realtime_ns = began_ns[0] - self._began_ns
        path.write_bytes(_LAYOUT.pack(self._factor, self._began_ns, *began_ns))
        path.chmod(0o600)

    def wall_ns(self, t_ns: int, realtime: bool = False) -> int:
        """Return a program's CLOCK_MONOTONIC, or CLOCK_REALTIME, when it is or was ``t_ns``."""
        anchor_ns = self._began_ns + int((self._wall_ns - self._began_ns) * self._factor)
        return anchor_ns + t_ns - self._virtual_ns + (self._realtime_ns if realtime else 0)
