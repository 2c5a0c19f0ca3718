"""Words to a service manager: sd_notify(3), over the socket that it names; nothing without one.

As ``flightsw.notify``, of which a bench may use nothing.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Mapping


class Notifier:
    """Tells systemd that a bench is ready, well, and stopping."""

    def __init__(
        self,
        environ: Mapping[str, str] = os.environ,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        path, usec = environ.get("NOTIFY_SOCKET", ""), environ.get("WATCHDOG_USEC", "")
        self._address = "\0" + path[1:] if path.startswith("@") else path
        ours = environ.get("WATCHDOG_PID", "") in ("", str(os.getpid()))
        # A quarter of what it waits for a sign of life lies between ours, at least.
        self._every_s = int(usec) / 4e6 if usec.isdigit() and ours else None
        self._clock = clock
        self._told_s = float("-inf")
        #: words that could not be said
        self.unsaid = 0

    def say(self, *words: str) -> None:
        """Say ``READY=1``, ``STATUS=...`` or ``STOPPING=1``."""
        if not self._address.startswith(("/", "\0")):
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
                out.setblocking(False)
                out.sendto("\n".join(words).encode(), self._address)
        except OSError:
            self.unsaid += 1

    def alive(self) -> None:
        """Say that we are well, as often as it is wanted; call it whenever something was done."""
        if self._every_s is None:
            return
        now_s = self._clock()
        if now_s - self._told_s >= self._every_s:
            self._told_s = now_s
            self.say("WATCHDOG=1")
