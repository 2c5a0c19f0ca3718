"""What a program writes into a tty or stream, on its way into an emulated UART."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

#: A driver hands the UART this much at a time; the rest waits in the descriptor and blocks the
#: writer when that is full.
AHEAD_NBYTES: Final = 256


class Feed:
    """One way in. ``read(nbytes)`` returns what a program has written, nothing if there is nothing.

    ``present()`` is the virtual time of what a program does; ``before()`` is called in front of
    each write to the UART: to follow a rate that has changed.
    """

    def __init__(
        self,
        bus: Any,
        read: Callable[[int], bytes],
        present: Callable[[], int],
        before: Callable[[], None],
    ) -> None:
        self.bus = bus
        self._read = read
        self._present = present
        self._before = before
        bus.after_send.append(self.pump)

    def close(self) -> None:
        """Take no more."""
        self.bus.after_send.remove(self.pump)

    def pump(self, t_ns: int = -1) -> None:
        """Take what the program has written, as far as the UART can send it now.

        At ``t_ns``, when octets have left: so that those which follow close up to them.
        """
        while (room := AHEAD_NBYTES - self.bus.tx_backlog) > 0:
            octets = self._read(room)
            if not octets:
                return
            self._before()
            self.bus.write(t_ns if t_ns >= 0 else self._present(), octets)
