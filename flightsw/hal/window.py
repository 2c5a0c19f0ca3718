"""Scheduled transactions: ask now for what shall happen later, and collect after the next sleep.

One exchange then covers a window of time, however many transactions lie in it. Transactions of one
channel happen in order of (time, ticket), and what comes back on a channel is in that order too.
"""

from __future__ import annotations

from bisect import insort
from collections import deque

from flightsw.codec.wire import HEADER, Kind
from flightsw.hal.ports import BenchI2C
from flightsw.hal.session import Header

_MEMO_LIMIT = 4096


class I2CWindow:
    """The scheduled transactions of one I2C channel."""

    def __init__(self, port: BenchI2C) -> None:
        self._port = port
        self._session = port.session
        self._pending: deque[tuple[int, int, int, int]] = deque()
        self._done: dict[int, tuple[int, int, bytes]] = {}
        # (address, write, nread) -> (head of the record, payload of the request)
        self._heads: dict[tuple[int, bytes, int], tuple[bytes, bytes]] = {}
        self._session.sinks[port.index] = self._take

    def schedule(self, t_ns: int, address: int, write: bytes, nread: int) -> int:
        """Ask for a transaction at ``t_ns``, the present or later; return its ticket."""
        pending = self._pending
        head, request = self._heads.get((address, write, nread)) or self._learn(
            address, write, nread
        )
        ticket = self._session.post_at(t_ns, head, address, request)
        entry = (t_ns, ticket, address, len(request))
        if not pending or pending[-1][0] <= t_ns:
            pending.append(entry)
        else:
            insort(pending, entry)
        return ticket

    def _learn(self, address: int, write: bytes, nread: int) -> tuple[bytes, bytes]:
        if len(self._heads) >= _MEMO_LIMIT:
            self._heads.clear()
        request = self._port.request(address, write, nread)
        head = HEADER.pack(Kind.I2C, self._port.index, 0, 0, len(request), 0, 0, 0, 0)[:8]
        self._heads[address, write, nread] = known = (head, request)
        return known

    def result(self, ticket: int) -> bytes:
        """Return the octets read by a transaction that has ended; raises its ``BusError``.

        ``LookupError`` for one that has not ended, or whose result was taken.
        """
        if ticket not in self._done:
            self._session.sync()
            if ticket not in self._done:
                raise LookupError(
                    f"{self._port.name}: transaction {ticket} has no result: sleep until it has "
                    "ended, and take each result once"
                )
        status, address, data = self._done.pop(ticket)
        if status:
            self._port.fail(status, f"transfer with 0x{address:02x}")
        return data

    def _take(self, header: Header, message: bytes, at: int) -> None:
        _, ticket, address, nrequest = self._pending.popleft()
        self._done[ticket] = (header[3], address, message[at + nrequest : at + header[4]])
