"""Reading a capture back, whole or damaged, by topic, time and sequence number.

A finished capture is opened by its summary: the index of its chunks becomes columns, so opening and
finding costs next to nothing however large the file is. ``tolerant=True`` also opens a file without
a summary, or a damaged one: it gives every record whose chunk is whole, and names what it passed
over in :attr:`Capture.damages`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flightsw.codec.wire import Record, unpack_all
from hil.capture.chunks import (
    ANY_STEP,
    NOTHING,
    Choice,
    Seen,
    decompressed,
    sources_of,
    unpack,
)
from hil.capture.contents import Contents, by_summary, by_walking, settle_epoch
from hil.capture.mcapfmt import MAGIC, Op
from hil.capture.mcapread import MALFORMED, Damage, Source, parse_attachment
from hil.capture.table import Table, table_of
from hil.closing import Closing
from hil.errors import CaptureError

_TURN = 1 << 32  # sequence numbers of a record have 32 bits
_FOREVER = _TURN * _TURN - 1


class Capture(Closing):
    """An open capture; a context manager. Times are nanoseconds since the mission epoch.

    A sequence number is counted on where the 32 bits of a record begin anew: the record behind
    number 2^32 - 1 is number 2^32 for :attr:`first_seq`, :attr:`last_seq` and every ``first_seq``.
    """

    def __init__(self, path: str | Path, tolerant: bool = False) -> None:
        self.path = Path(path)
        self.tolerant = tolerant
        #: what reading has cost so far
        self.counters = {"chunks_read": 0}
        self._found: dict[int, Damage] = {}
        self._first_seqs: dict[int, tuple[int, int] | None] = {}
        #: the chunk read last and its content: who looks for its numbers wants its records next
        self._held: tuple[int, bytes] | None = None
        #: what the sequence number of the first record is or would be, and up to which chunk it
        #: was looked for
        self._base: int | None = None
        self._looked = 0
        self._source = Source(self.path)
        try:
            contents = self._open()
            self.channels = contents.channels
            self.attachments = contents.attachments
            self.metadata = contents.metadata
            #: the chunks in the order of the file, an array of ``chunks.PLACE``
            self.places = contents.places
            self._counts = contents.counts
            settle_epoch(self._source, contents, self.tolerant)
            self._found = {damage.at: damage for damage in reversed(contents.damages)}
        except BaseException as error:
            self.close()
            if isinstance(error, Damage):
                raise self._unreadable(error) from None
            raise

    def close(self) -> None:
        """Let go of the file."""
        self._source.close()

    # --- what there is ----------------------------------------------------------------------------

    @property
    def damages(self) -> list[Damage]:
        """What was found to be damaged so far, in the order of the file: octet, reason, octets."""
        return [self._found[at] for at in sorted(self._found)]

    @property
    def damage(self) -> Damage | None:
        """The first damage of the file; None as long as everything read was good."""
        return next(iter(self.damages), None)

    @property
    def epoch_ns(self) -> int:
        """The mission epoch, nanoseconds since 1970-01-01 UTC."""
        return int(self.metadata["flatsat"]["epoch_ns"])

    @property
    def octets_read(self) -> int:
        """Octets of the file that were read so far."""
        return self._source.octets_read

    @property
    def count(self) -> int:
        """Number of records, by the index."""
        return int(self.places["nmessages"].sum())

    @property
    def times_ns(self) -> tuple[int, int]:
        """Start times of the earliest and the latest record; (0, 0) if there is none."""
        if not self.count:
            return 0, 0
        held = self.places[self.places["nmessages"] > 0]
        first, last = int(held["start_ns"].min()), int(held["end_ns"].max())
        return first - self.epoch_ns, last - self.epoch_ns

    @property
    def topics(self) -> dict[str, int]:
        """Number of records by topic, in the order in which topics first came."""
        counts: dict[str, int] = {}
        for mcap_id, channel in sorted(self.channels.items()):
            counts[channel.topic] = counts.get(channel.topic, 0) + self._counts.get(mcap_id, 0)
        return counts

    @property
    def first_seq(self) -> int | None:
        """Sequence number of the first record; None if there is none."""
        return self._seq_at(range(len(self.places)), 0)

    @property
    def last_seq(self) -> int | None:
        """Sequence number of the last record; None if there is none."""
        return self._seq_at(range(len(self.places) - 1, -1, -1), 1)

    def attachment(self, name: str) -> bytes:
        """Return the octets of a stored file; raises CaptureError if there is none of that name."""
        if name not in self.attachments:
            known = ", ".join(self.attachments) or "none"
            raise CaptureError(f"{self.path}: no attachment {name!r}; stored: {known}")
        at = self.attachments[name].at
        try:
            return parse_attachment(self._source.record(at, Op.ATTACHMENT), at)[1]
        except (Damage, *MALFORMED) as wrong:
            raise CaptureError(
                f"{self.path}: attachment {name!r} at octet {at} is damaged: {wrong}"
            ) from None

    # --- records ----------------------------------------------------------------------------------

    def buffers(
        self,
        topics: Collection[str] | None = None,
        start_ns: int = 0,
        end_ns: int | None = None,
        first_seq: int = 0,
    ) -> Iterator[bytes]:
        """Yield the wire records of each chunk that may hold some with ``start_ns <= t < end_ns``
        and ``seq >= first_seq``, as one buffer a chunk, in recorded order; chunks are not cut at
        the edges of the interval."""
        sources, bits = self._sources(topics)
        for number in self._numbers(bits, start_ns, end_ns, first_seq):
            octets = self._records_of(number, Choice(sources, self.epoch_ns))
            if octets:
                yield octets

    def pieces(
        self,
        topics: Collection[str] | None = None,
        start_ns: int = 0,
        end_ns: int | None = None,
        first_seq: int = 0,
    ) -> Iterator[bytes]:
        """Yield exactly the records with ``start_ns <= t_ns < end_ns`` and ``seq >= first_seq`` as
        wire records, one buffer a chunk, in recorded order."""
        if end_ns is not None and end_ns <= start_ns:
            return
        sources, bits = self._sources(topics)
        last_ns, begun = _FOREVER if end_ns is None else end_ns - 1, False
        for number in self._numbers(bits, start_ns, end_ns, first_seq):
            # Of the chunks left, only the first can begin before the number.
            least = ANY_STEP if begun else self._least_step(number, first_seq)
            begun = True
            choice = Choice(sources, self.epoch_ns, max(start_ns, 0), max(last_ns, 0), least)
            octets = self._records_of(number, choice)
            if octets:
                yield octets

    def records(
        self,
        topics: Collection[str] | None = None,
        start_ns: int = 0,
        end_ns: int | None = None,
        first_seq: int = 0,
    ) -> Iterator[Record]:
        """Yield records with ``start_ns <= t_ns < end_ns`` and ``seq >= first_seq``, in recorded
        order, which is that of their sequence numbers."""
        for buffer in self.pieces(topics, start_ns, end_ns, first_seq):
            yield from unpack_all(buffer)

    def table(
        self,
        topics: Collection[str] | None = None,
        start_ns: int = 0,
        end_ns: int | None = None,
        first_seq: int = 0,
    ) -> Table:
        """Return the same records as one table of columns, all of it in memory."""
        return table_of(self.pieces(topics, start_ns, end_ns, first_seq), self.channels.values())

    def tables(
        self,
        topics: Collection[str] | None = None,
        start_ns: int = 0,
        end_ns: int | None = None,
        first_seq: int = 0,
    ) -> Iterator[Table]:
        """Yield the same records as tables, one a chunk: the memory of one chunk, however many."""
        for buffer in self.pieces(topics, start_ns, end_ns, first_seq):
            yield table_of([buffer], self.channels.values())

    # --- opening ----------------------------------------------------------------------------------

    def _open(self) -> Contents:
        """Read the summary, or everything that a file without one still holds; raises Damage."""
        source, finding = self._source, None
        if source.nbytes < len(MAGIC) or source.read(0, len(MAGIC)) != MAGIC:
            finding = Damage(0, "not an MCAP file", len(MAGIC))
        contents = None
        try:
            contents = None if finding else by_summary(source)
            if contents is None and not finding:
                reason = "the capture was never finished; `hil recover` makes a whole one of it"
                finding = Damage(source.nbytes, reason)
        except Damage as damage:
            finding = damage
        if finding is not None and not self.tolerant:
            raise finding
        if contents is None:
            contents = by_walking(source)
            if finding is not None and not contents.damages:
                contents.damages.append(finding)
            if finding is not None and finding.at == 0:
                contents.damages.append(finding)
        if contents.damages and not self.tolerant:
            raise contents.damages[0]
        return contents

    # --- chunks -----------------------------------------------------------------------------------

    def _sources(self, topics: Collection[str] | None) -> tuple[NDArray[np.uint32], int]:
        """Return the table for ``fs_mcap_unpack`` that keeps the channels of ``topics``, and their
        bits in the index."""
        known = {channel.topic for channel in self.channels.values()}
        if unknown := set(topics or ()) - known:
            listed = ", ".join(sorted(known)) or "none"
            raise CaptureError(f"{self.path}: no topic {min(unknown)!r}; recorded: {listed}")
        return sources_of(self.channels.values(), topics)

    def _numbers(
        self, bits: int, start_ns: int, end_ns: int | None, first_seq: int
    ) -> Iterator[int]:
        """Yield the numbers of the chunks that may hold what is wanted."""
        places = self.places
        lower = min(max(self.epoch_ns + start_ns, 0), _FOREVER)
        wanted = places["end_ns"] >= np.uint64(lower)
        wanted &= places["channels"] & np.uint64(bits) != 0
        if end_ns is not None:
            upper = min(max(self.epoch_ns + end_ns, 0), _FOREVER)
            wanted &= places["start_ns"] < np.uint64(upper)
        if first_seq > 0:
            wanted[: self._chunk_of(first_seq)] = False
        yield from np.flatnonzero(wanted).tolist()

    def _content(self, number: int) -> bytes | None:
        """Return the content of a chunk, or None where it is damaged and that is tolerated."""
        if self._held is not None and self._held[0] == number:
            return self._held[1]
        at = int(self.places["at"][number])
        self.counters["chunks_read"] += 1
        try:
            self._held = number, decompressed(self._source.record(at, Op.CHUNK), at)
            return self._held[1]
        except Damage as damage:
            nbytes = damage.nbytes or int(self.places["length"][number])
            self._meet(Damage(at, damage.reason, nbytes))
            return None

    def _records_of(self, number: int, choice: Choice) -> bytes:
        """Return the chosen wire records of a chunk, none where it is damaged."""
        content = self._content(number)
        if content is None:
            return b""
        at = int(self.places["at"][number])
        try:
            octets, seen = unpack(content, choice, at)
        except Damage as damage:
            self._meet(Damage(at, damage.reason, int(self.places["length"][number])))
            return b""
        if seen.nstrange:
            self._meet(Damage(at, f"{seen.nstrange} records of channels that nothing describes"))
        return octets

    def _meet(self, damage: Damage) -> None:
        """Note a damage, or raise it as the error of a reader that is not tolerant."""
        if not self.tolerant:
            raise self._unreadable(damage) from None
        self._note(damage)

    def _note(self, damage: Damage) -> None:
        self._found.setdefault(damage.at, damage)

    def _unreadable(self, damage: Damage) -> CaptureError:
        return CaptureError(f"{self.path}: cannot be read: {damage}")

    # --- sequence numbers -------------------------------------------------------------------------

    def _seqs_of(self, number: int) -> tuple[int, int] | None:
        """Return the sequence numbers of the first and the last record of a chunk, counted on;
        None if the chunk is empty or damaged."""
        while self._base is None and self._looked < number:
            self._count_on(self._looked)
            self._looked += 1
        self._count_on(number)
        return self._first_seqs[number]

    def _count_on(self, number: int) -> None:
        """Look into a chunk, unless that was done, and note its sequence numbers."""
        if number in self._first_seqs:
            return
        content = self._content(number)
        seen = None if content is None else _look(content, int(self.places["at"][number]))
        if seen is None or not seen.nmessages:
            self._first_seqs[number] = None
            return
        # The nearest number with these 32 bits to where the count of records would be.
        before = int(self.places["nmessages"][:number].sum())
        if self._base is None:
            self._base = seen.first_seq - before
        turns = (self._base + before - seen.first_seq + _TURN // 2) // _TURN
        first = seen.first_seq + max(turns, 0) * _TURN
        last = first + (seen.last_seq - seen.first_seq) % _TURN
        self._first_seqs[number] = first, last

    def _seq_at(self, numbers: range, which: int) -> int | None:
        """Return the first (0) or last (1) sequence number of the first chunk that tells it."""
        found = (self._seqs_of(number) for number in numbers)
        return next((seqs[which] for seqs in found if seqs is not None), None)

    def _chunk_of(self, first_seq: int) -> int:
        """Return the number of the chunk in which ``first_seq`` may be at the earliest, by
        bisection: the last one that begins before it."""
        low, high = 0, len(self.places)
        while low < high:
            middle = asked = (low + high) // 2
            while asked < high and self._seqs_of(asked) is None:
                asked += 1
            seqs = self._seqs_of(asked) if asked < high else None
            if seqs is None or seqs[0] >= first_seq:
                high = middle
            else:
                low = asked + 1
        return max(low - 1, 0)

    def _least_step(self, number: int, first_seq: int) -> int:
        """Return how far behind the first record of a chunk the first wanted one stands."""
        if first_seq <= 0:
            return ANY_STEP
        seqs = self._seqs_of(number)
        return ANY_STEP if seqs is None else min(first_seq - seqs[0], _TURN)


def _look(content: bytes, at: int) -> Seen | None:
    try:
        return unpack(content, NOTHING, at)[1]
    except Damage:
        return None
