"""The firmware of this computer behind a virtual cable, shown to a registry of ports."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from dataclasses import replace
from typing import Any

from hil.boards.cable import Cable
from hil.boards.identity import PortInfo
from hil.boards.ports import PortRegistry
from hil.boards.posix import PosixBoard

#: What a program does with a port, in a process of its own; it ends when its input does.
HOLD = """
import fcntl, os, sys, termios
fd = os.open(sys.argv[1], os.O_RDWR | os.O_NOCTTY)
if "lock" in sys.argv: fcntl.flock(fd, fcntl.LOCK_EX)
if "alone" in sys.argv: fcntl.ioctl(fd, termios.TIOCEXCL)
print("open", flush=True)
for line in sys.stdin:
    if line.startswith("write "): os.write(fd, eval(line[6:]))
    if line.startswith("read"): os.read(fd, 4096)
    print("done", flush=True)
"""


class Cabled:
    """A board with a cable; ``show`` is what the listing of ports says of it."""

    def __init__(
        self,
        ports: PortRegistry,
        show: PortInfo | None = None,
        options: tuple[str, ...] = (),
        **cable: Any,
    ) -> None:
        self.ports, self.options = ports, options
        self.show = show or PortInfo("", device="emulated:bench-1")
        self.board: PosixBoard | None = None
        self.cable = Cable(self._power(), **cable).start()
        self._shown()

    def _power(self) -> socket.socket:
        """Start the firmware; return our end of its line."""
        end, link = socket.socketpair()
        with link:
            words = (*self.options, "--fd", str(link.fileno()))
            self.board = PosixBoard(words, pass_fds=(link.fileno(),))
        return end

    def _shown(self) -> None:
        assert self.cable.port is not None
        self.port = self.cable.port
        self.ports.plug(replace(self.show, path=self.port))

    def unplug(self) -> None:
        """Pull the plug: no port, no power."""
        assert self.board is not None
        self.cable.unplug()
        self.ports.pull(self.port)
        self.board.close()

    def replug(self, show: PortInfo | None = None, options: tuple[str, ...] | None = None) -> None:
        """Plug a board in again, perhaps another one or elsewhere."""
        self.show = show or self.show
        self.options = self.options if options is None else options
        self.cable.replug(self._power())
        self._shown()

    def freeze(self, frozen: bool) -> None:
        """Stop the firmware where it stands, or have it go on."""
        assert self.board is not None
        self.board.process.send_signal(signal.SIGSTOP if frozen else signal.SIGCONT)

    def __enter__(self) -> Cabled:
        return self

    def __exit__(self, *error: object) -> None:
        self.cable.close()
        if self.board is not None:
            self.freeze(False)
            self.board.close()


class Holder:
    """Another program that has a port open; ``words``: ``lock`` takes its lock, ``alone`` all."""

    def __init__(self, port: str, *words: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOLD, port, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.heard()

    def heard(self) -> str:
        """Return what it says next."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def do(self, what: str) -> None:
        """Have it do something, and wait until it has."""
        assert self.process.stdin is not None
        self.process.stdin.write(what + "\n")
        self.process.stdin.flush()
        assert self.heard() == "done"

    def __enter__(self) -> Holder:
        return self

    def __exit__(self, *error: object) -> None:
        self.process.communicate()
