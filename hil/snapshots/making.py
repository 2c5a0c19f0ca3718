"""Making snapshots: of a run as it flies, or of a recorded one by flying it once more.

A run that is flown once more is held against its capture, octet by octet: a snapshot that is made
lies on the line that was recorded, or none is made.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from flightsw.codec.wire import HEADER, HEADER_NBYTES, Kind, scan, unpack_from
from hil.capture.reader import Capture
from hil.capture.topics import topic_of
from hil.digest import RecordStream
from hil.errors import SnapshotError, UsageError
from hil.replay.flown import Flown
from hil.replay.stepped import Stepped
from hil.rig import SECOND, channel_names
from hil.snapshots.pool import RECORDED_NBYTES
from hil.snapshots.store import Entry, Store, anew

#: virtual time between snapshots
EVERY_NS = 300 * SECOND


class Making:
    """Makes a snapshot of a run at intervals of virtual time, from its start on.

    Whoever flies calls :meth:`look` between two steps, and :meth:`note` with the records.
    """

    def __init__(self, store: Store, every_ns: int = EVERY_NS) -> None:
        if every_ns < SECOND:
            raise UsageError(f"a snapshot every {every_ns / SECOND:g} s: give 1 s or more")
        self._store = store
        self._every_ns = every_ns
        #: when the next is due
        self.due_ns = 0

    def note(self, octets: bytes) -> None:
        """Look for records whose payload need not be kept twice."""
        if len(octets) < RECORDED_NBYTES:
            return
        for at in scan(octets):
            kind, _, _, _, length, _, _, seq, _ = HEADER.unpack_from(octets, at)
            if length >= RECORDED_NBYTES and kind != Kind.WORLD:
                body = at + HEADER_NBYTES
                self._store.pool.note_record(seq, octets[body : body + length])

    def look(self, stepped: Stepped) -> Entry | None:
        """Make a snapshot if one is due; call between two steps."""
        now_ns = stepped.now_ns
        if now_ns < self.due_ns:
            return None
        self.due_ns = now_ns - now_ns % self._every_ns + self._every_ns
        return self._store.add(stepped)


class OnTheLine:
    """Compares records with those that were recorded, as they come; ``SnapshotError`` where one
    differs."""

    def __init__(self, recorded: Iterator[bytes], names: dict[int, str]) -> None:
        self._recorded = recorded
        self._names = names
        self._rest = memoryview(b"")

    def feed(self, octets: bytes) -> None:
        """Take whole records."""
        at, made = 0, memoryview(octets)
        while at < len(made):
            if not self._rest:
                self._rest = memoryview(next(self._recorded, b""))
            count = min(len(made) - at, len(self._rest))
            if not count or made[at : at + count] != self._rest[:count]:
                other = (n for n in range(count) if made[at + n] != self._rest[n])
                raise self._parted(octets, at + next(other, 0))
            self._rest = self._rest[count:]
            at += count

    def finish(self) -> None:
        """Note the end of the run."""
        if len(self._rest) or next(self._recorded, b""):
            raise SnapshotError(
                "the recorded run went on where this installation ends it: snapshots would be of "
                "another; `hil replay` says what differs"
            )

    def _parted(self, octets: bytes, at: int) -> SnapshotError:
        """Return the error of the record that octet ``at`` belongs to."""
        start = max(start for start in scan(octets) if start <= at)
        record, _ = unpack_from(octets, start)
        topic = topic_of(record.kind, record.channel, self._names)
        return SnapshotError(
            f"record {record.seq} at {record.t_ns / SECOND:.6f} s on {topic} is not as it was "
            "recorded: this installation flies the run otherwise, and snapshots would be of "
            "another; `hil replay` says what differs"
        )


def make(
    flown: Flown,
    every_ns: int = EVERY_NS,
    say: Callable[[Entry], None] = lambda entry: None,
    at: Callable[[int], None] = lambda t_ns: None,
) -> list[Entry]:
    """Fly a recorded run once more and make its snapshots; return them. ``say`` hears of each, and
    ``at`` of the time between steps.

    Raises :class:`SnapshotError` where the run does not come out as recorded, and ``UsageError``
    for one that cannot be flown again.
    """
    _check(flown)
    with (
        tempfile.TemporaryDirectory(prefix="flatsat-", ignore_cleanup_errors=True) as folder,
        Capture(flown.capture, tolerant=not flown.whole) as capture,
        anew(flown.path, capture) as store,
    ):
        making = Making(store, every_ns)
        line = OnTheLine(capture.buffers(), channel_names(flown.board))

        def sink(octets: bytes) -> None:
            line.feed(octets)
            making.note(octets)

        # What a run that was cut off has not recorded cannot be proven.
        last = None if flown.whole else capture.last_seq
        stepped = Stepped(flown, Path(folder) / "payload", RecordStream(sink))
        while last is None or stepped.seq < last:
            entry = making.look(stepped)
            if entry is not None:
                say(entry)
            at(stepped.now_ns)
            if not stepped.step():
                stepped.finish()
                line.finish()
                break
        return store.entries


def _check(flown: Flown) -> None:
    """Raise ``UsageError`` for a run that cannot be flown again."""
    if not flown.path.is_dir():
        raise UsageError(f"{flown.path}: snapshots lie in the directory of a run; give that")
    if flown.imported:
        raise UsageError(f"{flown.path}: was brought in from elsewhere; there is no run to freeze")
    if flown.program is not None:
        raise UsageError(
            f"{flown.path}: {flown.program[0]} flew: what is in a foreign program cannot be kept"
        )
    if not flown.repeatable:
        raise UsageError(
            f"{flown.path}: something real or from outside took part, and will not do it again"
        )
