"""A participant: something outside the kernel that runs on virtual time.

The kernel waits for it whenever it runs and never lets time pass meanwhile. Between two of its
messages a participant is *blocked*: it has said what it waits for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from flightsw.codec.wire import Kind
from hil.digest import DIGEST_NBYTES
from hil.time.kernel import NEVER_NS

if TYPE_CHECKING:
    from hil.time.transports import Channel

#: A participant acts after everything else of its phase at one instant, in order of its id.
FIRST_SOURCE = 1 << 20
#: Octets of input that wait for one participant at most; what is beyond is dropped and counted.
INPUT_LIMIT_NBYTES = 64 << 20
_BATCH = 256


def _no_channel(*message: bytes) -> bytes | None:
    raise AssertionError("a participant that calls the exchange directly has no channel")


def _no_claim(told: Any) -> str:
    return "nothing here can be its computer's own"


class Participant:
    """One incarnation of one participant, as the exchange and the coordinator see it.

    ``died`` returns None while the process behind it lives, else how it ended (one clause).
    ``channels`` are the indices whose inputs it hears; None: all.
    """

    __slots__ = (
        "_heard",
        "_octets",
        "channel",
        "channels",
        "claim",
        "counters",
        "died",
        "end_ns",
        "gone",
        "id",
        "inputs",
        "inputs_limit_nbytes",
        "inputs_nbytes",
        "last",
        "name",
        "own",
        "pid",
        "ready",
        "received",
        "recv",
        "results",
        "send",
        "source",
        "tail",
        "waiting",
        "wake",
        "wall_limit_s",
        "want_ns",
    )

    def __init__(
        self,
        ident: int,
        name: str,
        channel: Channel | None = None,
        died: Callable[[], str | None] | None = None,
        wall_limit_s: float = 60.0,
        channels: frozenset[int] | None = None,
    ) -> None:
        self.id = ident
        self.name = name
        self.source = FIRST_SOURCE + ident
        self.channel = channel
        self.recv = _no_channel if channel is None else channel.recv
        self.send = _no_channel if channel is None else channel.send
        self.died = died
        self.wall_limit_s = wall_limit_s
        self.channels = channels
        #: indices of the buses that are its computer's own
        self.own: frozenset[int] = frozenset()
        #: takes the buses that it says are its own, name -> device; returns what is wrong with them
        self.claim: Callable[[Any], str] = _no_claim
        #: process id that it told in its greeting, 0 before
        self.pid = 0
        #: no act of its at or after this time counts; -1 once it is gone
        self.end_ns = NEVER_NS
        self.gone = ""
        #: what its next reply will carry
        self.inputs: list[bytes] = []
        self.inputs_nbytes = 0
        self.inputs_limit_nbytes = INPUT_LIMIT_NBYTES
        self.results: list[tuple[int, bytes]] = []
        self.tail = b""
        self.ready = False
        #: it waits for ``want_ns``: for ``tail`` or, without one, a grant; with ``wake`` for the
        #: first input at the latest
        self.waiting = False
        self.want_ns = 0
        self.wake = False
        #: (kind, channel, t_ns, seq) of the last record that it sent
        self.last = (0, 0, 0, 0)
        #: ``messages`` came over a channel; the exchange sums up over the incarnations of a name
        self.counters = {"messages": 0, "inputs_dropped": 0, "after_end": 0}
        #: number of records with REPLY or INPUT that were sent to it
        self.received = 0
        self._heard: Any = hashlib.blake2b(digest_size=DIGEST_NBYTES)
        self._octets: list[bytes] = []

    def hear(self, octets: bytes) -> None:
        """Queue one input record for its next reply."""
        if self.inputs_nbytes > self.inputs_limit_nbytes:
            self.counters["inputs_dropped"] += 1
            return
        self.inputs.append(octets)
        self.inputs_nbytes += len(octets)

    def take(self, now_ns: int) -> list[bytes]:
        """Return the finished results, then the inputs, that the next reply carries."""
        records: list[bytes] = []
        if self.results:
            results = self.results
            late = [result for result in results if result[0] > now_ns]
            records = [octets for done_ns, octets in results if done_ns <= now_ns]
            self.results = late
        if self.inputs:
            records += self.inputs
            self.inputs = []
            self.inputs_nbytes = 0
        return records

    def account(self, records: list[bytes]) -> None:
        """Count and hash records sent, for the comparison with what the participant received.

        Those of one who calls directly are only counted.
        """
        self.received += len(records)
        if self._heard is not None:
            self._octets += records
            if len(self._octets) >= _BATCH:
                self._flush()

    def account_one(self, octets: bytes) -> None:
        """Do :meth:`account` for a reply of one record."""
        self.received += 1
        if self._heard is not None:
            self._octets.append(octets)
            if len(self._octets) >= _BATCH:
                self._flush()

    def forget_received(self) -> None:
        """Begin the comparison anew: something that was sent was lost, and both ends know it."""
        self.received = 0
        self._octets.clear()
        self._heard = hashlib.blake2b(digest_size=DIGEST_NBYTES)
        self.inputs_limit_nbytes = INPUT_LIMIT_NBYTES

    def call_directly(self) -> None:
        """Note that nothing lies between it and the bench that could lose what is sent to it."""
        self._heard = None

    def sent_digest(self) -> bytes:
        """Return the BLAKE2b-256 over the octets of every record sent with REPLY or INPUT."""
        assert self._heard is not None, "a participant that calls directly is not compared"
        self._flush()
        return bytes(self._heard.digest())

    def _flush(self) -> None:
        self._heard.update(b"".join(self._octets))
        self._octets.clear()

    def describe_last(self) -> str:
        """Say what the participant last sent, for messages to a person."""
        kind, channel, t_ns, seq = self.last
        if not kind:
            return "it has not sent anything yet"
        try:
            name = Kind(kind).name
        except ValueError:
            name = f"kind 0x{kind:02x}"
        where = f" on channel {channel}" if kind >= Kind.I2C else ""
        return f"its last record was {name}{where}, number {seq}, at t={t_ns / 1e9:.6f} s"
