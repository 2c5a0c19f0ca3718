"""The stream of records of a run: numbered, packed, hashed, and handed on in batches.

The digest of a run is BLAKE2b-256 over the octets of its bus, link and event records in order of
their global number. Records outside the digest (time protocol, WORLD samples) are a view: they
carry the number of the next digest record and take none, so that watching more closely does not
change the digest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Protocol

from flightsw.codec.wire import FIRST_DIGEST_KIND, HEADER, Kind

DIGEST_NBYTES = 32
_BATCH_MASK = 0xFF  # a batch is 256 records: long enough for hashing to cost what octets cost
_LARGE_NBYTES = 4096  # a payload of this size closes the batch, so that frames do not pile up


class Recorder(Protocol):
    """Where every record of a run goes."""

    def record(
        self,
        kind: int,
        channel: int,
        flags: int,
        status: int,
        t_ns: int,
        duration_ns: int,
        address: int,
        payload: bytes,
    ) -> bytes:
        """Number, pack and keep one record; return its octets."""


class RecordStream:
    """The recorder of a run. ``sink`` gets whole records, many at a time, in order.

    Whoever flushes a stream from another thread than the one that records gives it a ``guard``,
    which is held while records go out, and learns by ``held()`` that the stream keeps some back.
    """

    __slots__ = ("_batch", "_hash", "_seq", "guard", "held", "sink")

    def __init__(self, sink: Callable[[bytes], None] | None = None) -> None:
        self._seq = 0
        self._batch: list[bytes] = []
        self._hash = hashlib.blake2b(digest_size=DIGEST_NBYTES)
        self.sink = sink
        self.guard: AbstractContextManager[Any] | None = None
        self.held: Callable[[], None] | None = None

    @property
    def count(self) -> int:
        """Number of records in the digest so far."""
        return self._seq

    def record(
        self,
        kind: int,
        channel: int,
        flags: int,
        status: int,
        t_ns: int,
        duration_ns: int,
        address: int,
        payload: bytes,
    ) -> bytes:
        """Number, pack and keep one record; return its octets.

        ``t_ns`` is the start and ``duration_ns`` the bus time, nanoseconds of virtual time.
        """
        seq = self._seq
        octets = (
            HEADER.pack(
                kind,
                channel,
                flags,
                status,
                len(payload),
                t_ns,
                duration_ns,
                seq & 0xFFFFFFFF,
                address,
            )
            + payload
        )
        if kind < FIRST_DIGEST_KIND or kind == Kind.WORLD:
            self.flush()
            if self.sink is not None:
                self.sink(octets)
            return octets
        batch = self._batch
        if not batch and self.held is not None:
            self.held()
        batch.append(octets)
        self._seq = seq = seq + 1
        if not seq & _BATCH_MASK or len(payload) > _LARGE_NBYTES:
            self.flush()
        return octets

    def pass_over(self, count: int, octets: bytes) -> None:
        """Hash and number ``count`` whole records that somebody has recorded before."""
        assert not self._batch, "what was recorded before comes before what is made"
        self._hash.update(octets)
        self._seq += count

    def flush(self) -> None:
        """Hash the records kept back and hand them to the sink."""
        if self.guard is not None:
            with self.guard:  # also for nothing: another thread may be handing on what there was
                self.hand_on()
        elif self._batch:
            self.hand_on()

    def hand_on(self) -> None:
        """Do what :meth:`flush` does; the guard, if there is one, is ours."""
        batch = self._batch
        # Whoever records may add one while another thread is here: it stays, and is made known.
        count = len(batch)
        octets = b"".join(batch[:count])
        del batch[:count]
        if batch and self.held is not None:
            self.held()
        if octets:
            self._hash.update(octets)
            if self.sink is not None:
                self.sink(octets)

    def digest(self) -> bytes:
        """Return the digest of everything recorded so far, 32 octets."""
        self.flush()
        return self._hash.digest()

    def hexdigest(self) -> str:
        """Return the digest as text."""
        return self.digest().hex()
