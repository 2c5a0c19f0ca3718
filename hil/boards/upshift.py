"""SET_BAUD: how both ends of a line change its rate without losing one another.

The board answers at the old rate and switches; it goes back when no good frame has come within
500 ms. So the bench switches when the answer is there and says PING. If nothing answers for those
500 ms it goes back too, and the same PING, sent on at the old rate, finds the board there.
"""

from __future__ import annotations

from collections.abc import Callable

from hil.boards.protocol import REQUESTS, Reply, Request, packer
from hil.boards.window import MS, Pending, Window

#: The board goes back to the old rate when it has heard nothing at the new one for so long.
FALLBACK_NS = 500 * MS
#: Longest time that the board may take to answer SET_BAUD: the answer may have been damaged, and
#: then the board is away until it falls back.
BUSY_NS = FALLBACK_NS + 100 * MS
_SET_BAUD = packer(REQUESTS[Request.SET_BAUD])


class Upshift:
    """One change of rate; ``done`` learns whether the line runs at the new one."""

    def __init__(
        self,
        window: Window,
        old: int,
        new: int,
        switch: Callable[[int], None],
        done: Callable[[bool], None],
    ) -> None:
        self._window, self._switch, self._done = window, switch, done
        self._old, self._new = old, new
        self.until_ns: int | None = None  #: when to go back, while the new rate is on trial

    def start(self, now_ns: int) -> None:
        """Ask the board; everything behind waits until the rate is settled."""
        payload = _SET_BAUD.pack(self._new)
        asked = Pending(Request.SET_BAUD, payload, self._answered, BUSY_NS, last=True)
        self._window.submit(asked, now_ns)

    def _answered(self, reply: Reply | None) -> None:
        if reply is None:
            self._done(False)
        elif not reply.ok:
            self._window.reopen(reply.received_ns)
            self._done(False)
        else:
            self.until_ns = reply.received_ns + FALLBACK_NS
            self._switch(self._new)
            probe = Pending(Request.PING, b"", self._probed, 0, last=True)
            self._window.submit_first(probe, reply.received_ns)

    def _probed(self, reply: Reply | None) -> None:
        kept = reply is not None and self.until_ns is not None
        self.until_ns = None
        if reply is not None:
            self._window.reopen(reply.received_ns)
        self._done(kept)

    def service(self, now_ns: int) -> None:
        """Go back when the trial is over; the PING that is under way is repeated there."""
        if self.until_ns is not None and now_ns >= self.until_ns:
            self.until_ns = None
            self._window.heard(now_ns)  # what was silent was the new rate, not the board
            self._switch(self._old)
