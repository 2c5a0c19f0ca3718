"""A stream of records that goes on where a recorded one stood.

The state of a hash cannot be kept, so what was recorded before is hashed again: that takes what
reading the capture takes, and proves that the capture and the snapshot are of one run.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

from flightsw.codec.wire import Kind, scan
from hil.capture.reader import Capture
from hil.digest import RecordStream
from hil.errors import SnapshotError

S = TypeVar("S", bound=RecordStream)


def primed(stream: S, capture: Capture, seq: int, digest: bytes) -> S:
    """Return ``stream``, fresh until now, with the first ``seq`` records of a capture behind it.

    Raises :class:`SnapshotError` if they are not there or their BLAKE2b-256 is not ``digest``.
    """
    for count, octets in _first(capture, seq):
        stream.pass_over(count, octets)
    if stream.count != seq or stream.digest() != digest:
        raise SnapshotError(
            f"{capture.path}: its first {seq} records are not those that the snapshot stands "
            "behind; make the snapshots of this run anew with `hil snapshot`"
        )
    return stream


def _first(capture: Capture, count: int) -> Iterator[tuple[int, bytes]]:
    """Yield the first ``count`` records of the digest, as (number of them, octets)."""
    if not count:
        return
    topics = {c.topic for c in capture.channels.values() if c.kind != Kind.WORLD}
    for octets in capture.buffers(topics):
        starts = scan(octets)
        if len(starts) >= count:
            end = starts[count] if len(starts) > count else len(octets)
            yield count, octets[:end]
            return
        count -= len(starts)
        yield len(starts), octets


def payload_of(capture: Capture, seq: int) -> bytes:
    """Return the payload of record ``seq``; ``SnapshotError`` if there is none."""
    for record in capture.records(first_seq=seq):
        if record.kind != Kind.WORLD:
            if record.seq == seq & 0xFFFFFFFF:
                return record.payload
            break
    raise SnapshotError(f"{capture.path}: no record {seq}, which a snapshot names")
