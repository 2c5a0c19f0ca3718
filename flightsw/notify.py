"""Words to a service manager: sd_notify(3), over the socket that it names; nothing without one."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Mapping


class Notifier:
    """Tells systemd that we are ready, well, and stopping.

    ``WATCHDOG_USEC`` is how long it waits for a sign of life; a quarter of that lies between ours,
    or more where we do something long, such as look for a bench.
    """

    def __init__(
        self,
        environ: Mapping[str, str] = os.environ,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path = environ.get("NOTIFY_SOCKET", "")
        usec = environ.get("WATCHDOG_USEC", "")
        ours = environ.get("WATCHDOG_PID", "") in ("", str(os.getpid()))
        self._every_s = int(usec) / 4e6 if usec.isdigit() and ours else None
        self._clock = clock
        self._told_s = float("-inf")
        #: words that could not be said
        self.unsaid = 0

    def ready(self, status: str) -> None:
        """Say that we have started."""
        self._say(f"READY=1\nSTATUS={status}")

    def status(self, text: str) -> None:
        """Say what we do, for whoever asks ``systemctl status``."""
        self._say(f"STATUS={text}")

    def stopping(self) -> None:
        """Say that we end."""
        self._say("STOPPING=1")

    def alive(self) -> None:
        """Say that we are well, as often as it is wanted; call it whenever something was done."""
        if self._every_s is None:
            return
        now_s = self._clock()
        if now_s - self._told_s >= self._every_s:
            self._told_s = now_s
            self._say("WATCHDOG=1")

    def _say(self, text: str) -> None:
        if not self._path.startswith(("/", "@")):
            return
        address = "\0" + self._path[1:] if self._path[0] == "@" else self._path
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
                out.setblocking(False)
                out.sendto(text.encode(), address)
        except OSError:
            self.unsaid += 1
