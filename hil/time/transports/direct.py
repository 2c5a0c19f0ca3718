"""The transport that is none: the participant's loop calls the exchange.

A :class:`DirectPort` is what a hal in the same process holds. The usual calls take their arguments
as they are and return results as they are; nothing is packed but the record itself. Whatever else
goes through :meth:`DirectPort.request`, as octets, so that both ways meet in one place.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from flightsw.codec.bus_payload import i2c_failure, pack_i2c
from flightsw.codec.wire import HEADER, HEADER_NBYTES, Flag, Kind, pack
from hil.exchange import Exchange
from hil.time.participant import Participant
from hil.time.phase import Phase
from hil.transactions import MEMO_LIMIT

#: Instead of a bus status: the run is over, or this incarnation of the participant is.
ENDED = (-1, 0, b"")

_CHECK = int(Phase.CHECK)
_I2C = int(Kind.I2C)
_REPLY = int(Flag.REPLY)
_REPLY_FAULTED = int(Flag.REPLY | Flag.FAULTED)


class DirectPort:
    """The exchange as its only participant calls it."""

    def __init__(self, exchange: Exchange, participant: Participant) -> None:
        self._exchange = exchange
        self.participant = participant
        participant.call_directly()
        #: what a WELCOME record would say
        self.welcome: dict[str, Any] = exchange.welcome()

    def sleep(self, t_ns: int) -> bool:
        """Let time pass to ``t_ns``; False if the run is over by then."""
        kernel = self._exchange.kernel
        participant = self.participant
        if t_ns < participant.end_ns:
            if kernel.due_ns > t_ns:
                kernel.now_ns = t_ns
                return True
            # A halt leaves time short of where it should be: go on unless it concerns us.
            while t_ns < participant.end_ns:
                kernel.run_before(t_ns, _CHECK)
                if kernel.now_ns >= t_ns and t_ns < participant.end_ns:
                    return True
        if not participant.gone:
            self._exchange.finish()
        return False

    def late_ns(self) -> int:
        """Return how late the present is by the wall's clock."""
        return self._exchange.late_ns()

    def inputs(self) -> bytes:
        """Return the records that came in since the last call: results, then inputs."""
        participant = self.participant
        if not participant.inputs and not participant.results:
            return b""
        return b"".join(participant.take(self._exchange.kernel.now_ns))

    def request(self, message: bytes) -> bytes:
        """Do what a message asks; the reply, or nothing if the run is over for the caller."""
        if self._exchange.over or self.participant.gone:
            return b""
        return self._exchange.handle(self.participant, message)

    def post(self, message: bytes) -> None:
        """Do what a record that nobody waits for asks (UART, CAN, GPIO, scheduled requests)."""
        if self._exchange.over or self.participant.gone:
            self.participant.counters["after_end"] += 1
        else:
            self._exchange.begin(self.participant, message, posted=True)

    def i2c(self, index: int) -> Callable[[int, int, bytes, int], tuple[int, int, bytes]]:
        """Return ``transfer(t_ns, address, write, nread) -> (status, end_ns, data)`` of a channel.

        A status of -1 says that the run is over.
        """
        exchange, participant, sleep = self._exchange, self.participant, self.sleep
        kernel = exchange.kernel
        lane = exchange.lanes[index]
        bus = lane.bus
        bus_transfer = bus.transfer
        record = exchange.recorder.record
        memo: dict[tuple[int, bytes, int], bytes] = {}
        by_message = partial(self._by_message, index)

        def transfer(t_ns: int, address: int, write: bytes, nread: int) -> tuple[int, int, bytes]:
            while True:
                if kernel.due_ns > t_ns < participant.end_ns:
                    kernel.now_ns = t_ns
                elif not sleep(t_ns):
                    return ENDED
                if lane.busy_ns <= t_ns:
                    break
                t_ns = lane.busy_ns
            if not lane.quick:
                return by_message(t_ns, address, write, nread)
            status, duration_ns, data = bus_transfer(t_ns, address, write, nread)
            if status:
                payload = i2c_failure(address, write, nread)
            else:
                try:
                    payload = memo[address, write, nread] + data
                except KeyError:
                    if len(memo) >= MEMO_LIMIT:
                        memo.clear()
                    memo[address, write, nread] = prefix = pack_i2c(address, write, nread)
                    payload = prefix + data
            flags = _REPLY_FAULTED if bus.faulted else _REPLY
            record(_I2C, index, flags, status, t_ns, duration_ns, address, payload)
            lane.busy_ns = done_ns = t_ns + duration_ns
            if kernel.due_ns > done_ns < participant.end_ns:
                kernel.now_ns = done_ns
            elif not sleep(done_ns):
                return ENDED
            return status, done_ns, data

        return transfer

    def _by_message(
        self, index: int, t_ns: int, address: int, write: bytes, nread: int
    ) -> tuple[int, int, bytes]:
        """Do what the short way does, on a bus whose transactions something real may answer."""
        request = pack_i2c(address, write, nread)
        message = pack(Kind.I2C, index, t_ns=t_ns, address=address, payload=request)
        reply = self.request(message)
        if not reply:
            return ENDED
        at = end = 0
        while end < len(reply):
            at = end
            header = HEADER.unpack_from(reply, at)
            end += HEADER_NBYTES + header[4]
        if at:
            self.participant.inputs.insert(0, reply[:at])
        end_ns, body = header[5] + header[6], reply[at + HEADER_NBYTES :]
        return header[3], end_ns, body[len(request) :] if nread and not header[3] else b""
