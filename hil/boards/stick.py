"""An emulated SLCAN stick on a CAN bus of its own, at the pace of the wall.

``python -m hil.boards.stick FD`` speaks the LAWICEL protocol on an open descriptor, one end of a
socket pair; a virtual cable makes a tty of the other (:mod:`hil.boards.cable`). The stick itself is
:class:`hil.faces.slcan.SlcanAdapter`. On its bus there is one more node, which acknowledges every
frame and answers data frames of an even identifier with the next one and the same octets, so that
there is something to hear.
"""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Callable

from hil.boards.ending import end
from hil.buses.can import CANBus
from hil.buses.can_frame import REMOTE_FLAG
from hil.errors import BoardError
from hil.faces.slcan import SlcanAdapter
from hil.time.kernel import NEVER_NS, Kernel
from hil.time.phase import Phase

BITRATE_HZ, DATA_BITRATE_HZ = 500_000, 2_000_000
_READ_NBYTES = 4096


class Echo:
    """The other node."""

    can_send: Callable[[int, int, bytes], None]
    can_fd = True
    name = "echo"

    def can_receive(self, t_ns: int, can_id: int, data: bytes) -> None:
        """Answer a data frame of an even identifier."""
        if not can_id & (REMOTE_FLAG | 1):
            self.can_send(t_ns, can_id + 1, data)


class EmulatedStick:
    """A stick on the descriptor ``fd``; ``clock`` counts nanoseconds and never steps."""

    def __init__(
        self, fd: int, clock: Callable[[], int] = time.monotonic_ns, bitrate_hz: int = BITRATE_HZ
    ) -> None:
        self._fd = fd
        self._clock = clock
        self._begin_ns = clock()
        self.kernel = Kernel()
        self.bus = CANBus(
            *("stick", self.kernel, int(Phase.BUS), lambda *record: None, bitrate_hz),
            data_bitrate_hz=DATA_BITRATE_HZ,
        )
        self.bus.attach(Echo())
        self.adapter = SlcanAdapter(self.bus, self._say, name="adapter")
        self._out = bytearray()

    def _now_ns(self) -> int:
        return max(self._clock() - self._begin_ns, self.kernel.now_ns)

    def _say(self, octets: bytes) -> None:
        self._out += octets

    def serve(self, wait_s: float) -> bool:
        """Serve the line for at most this long; False when its other end has gone."""
        due_ns = self.kernel.next_key()[0]
        if due_ns < NEVER_NS:
            wait_s = min(wait_s, max(due_ns - self._now_ns(), 0) / 1e9)
        if self._out:
            _, writable, _ = select.select([], [self._fd], [], 0)
            if writable:
                del self._out[: os.write(self._fd, self._out[:_READ_NBYTES])]
        readable, _, _ = select.select([self._fd], [], [], 0 if self._out else wait_s)
        self.kernel.run_until(self._now_ns())
        if readable:
            octets = os.read(self._fd, _READ_NBYTES)
            if not octets:
                return False
            self.adapter.feed(self.kernel.now_ns, octets)
        return True


class StickBoard:
    """An emulated stick as a process of its own; ``end`` is our end of its line.

    It ends when that is closed, so it never outlives whoever has started it.
    """

    def __init__(self) -> None:
        self.end, line = socket.socketpair()
        with line:
            fd = line.fileno()
            command = [sys.executable, "-m", __name__, str(fd)]
            self._process = subprocess.Popen(command, pass_fds=(fd,))  # noqa: S603 - ourselves

    @property
    def is_running(self) -> bool:
        """Tell whether it has not ended."""
        return self._process.poll() is None

    def reset(self, cause: str) -> None:
        """Refuse: a stick has no button. Raises ``BoardError``."""
        raise BoardError(f"an SLCAN stick has no reset ({cause}): unplug it, and replug it")

    def close(self) -> None:
        """Take its power away."""
        self.end.close()
        end(self._process)


def main(words: list[str]) -> int:
    """Serve the descriptor given until its other end is closed."""
    stick = EmulatedStick(int(words[0]))
    try:
        os.write(int(words[0]), b"\r")  # it is up
        while stick.serve(1.0):
            pass
    except (OSError, KeyboardInterrupt):
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
