"""The file of a capture: MCAP records in order, and a summary that always finds room.

The file grows as ``capture.mcap.partial`` and takes its name only when its summary is written and
on the disk, so a file without the suffix is always whole. The summary grows with the chunks. Room
for it is taken before each chunk, so a disk that fills up ends the recording, not the file: the
chunk that did not fit is left out and the summary is written. Where the file system reserves
nothing, the last chunks make room instead, and the file says how many records that cost.
"""

from __future__ import annotations

import os
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from hil import __version__
from hil.capture import mcapfmt, topics
from hil.capture.compression import compressor, wire_name
from hil.capture.mcapfmt import Op
from hil.capture.reserve import Reserve
from hil.errors import CaptureError, DiskFullError, RunDirectoryError

#: table of strings that every finished capture ends with: how recording ended, what is missing
END_TABLE = "flatsat.recording"
WHOLE = "whole"
#: octets that lie somewhere
Buffer = Any
#: the most that the summary and the end table need besides what grows with the file
_TAIL_NBYTES = 4096
#: the most that a channel needs there besides its own record: statistics, counts of the lost
_CHANNEL_NBYTES = 96
#: chunks that can be taken back to make room
_MARKS = 256
_INDEXES = (Op.CHUNK_INDEX, Op.ATTACHMENT_INDEX, Op.METADATA_INDEX)


class ClosedChunk(NamedTuple):
    """Messages of a chunk, ready to be compressed and written."""

    #: Channel records of the channels that came up in it, which stand in front of it
    channels: tuple[bytes, ...]
    messages: Buffer
    #: Message Index records, and of each channel how many messages it has and where its index is
    indexes: bytes
    counts: dict[int, int]
    places: dict[int, int]
    times_ns: tuple[int, int]
    #: to be called when the messages are no longer looked at
    release: Callable[[], None] = lambda: None


class _Mark(NamedTuple):
    """What the file was before a chunk."""

    at: int
    crc: int
    lengths: tuple[int, ...]
    times_ns: tuple[int, int] | None
    counts: dict[int, int]


class CaptureFile:
    """One file that is being written. Raises :class:`~hil.errors.RunDirectoryError` when the
    system does not take it, :class:`~hil.errors.DiskFullError` when it is full."""

    def __init__(
        self, path: Path, epoch_ns: int, compression: str, schema: bytes | None = None
    ) -> None:
        self.path = path
        self.partial = path.with_name(path.name + ".partial")
        self.epoch_ns = epoch_ns
        #: messages by MCAP channel
        self.counts: dict[int, int] = {}
        #: topics by MCAP channel, from 1 on; whoever makes the channels adds to it
        self.topics: list[str] = []
        self.chunks = 0
        #: octets written
        self.at = 0
        #: messages that were taken and are not in the file, by topic
        self.lost: dict[str, int] = {}
        self.failure: RunDirectoryError | None = None
        self._compress = compressor(compression)
        self._compression = wire_name(compression)
        #: how recording ended, as the end table will say
        self.ended = WHOLE
        self._schema = schema or mcapfmt.schema(
            topics.SCHEMA_ID, topics.SCHEMA_NAME, topics.SCHEMA_ENCODING, topics.SCHEMA_TEXT
        )
        self._channels: list[bytes] = []
        self._groups: dict[int, list[bytes]] = {op: [] for op in _INDEXES}
        self._times_ns: tuple[int, int] | None = None
        self._crc = 0
        self._growing = 0  # octets of the summary that grow with the file
        self._marks: deque[_Mark] = deque(maxlen=_MARKS)
        self._fd: int | None = self._open()
        self._reserve = Reserve(self._fd)
        try:
            self._put((mcapfmt.MAGIC, mcapfmt.header(f"flatsat {__version__}"), self._schema))
        except RunDirectoryError:
            self.remove()
            raise

    @property
    def is_open(self) -> bool:
        """False once it was finished or abandoned."""
        return self._fd is not None

    def add_metadata(self, name: str, pairs: Mapping[str, str]) -> None:
        """Store a named table of strings."""
        data = mcapfmt.metadata(name, pairs)
        index = mcapfmt.metadata_index(self.at, len(data), name)
        self._put((data,), index)
        self._groups[Op.METADATA_INDEX].append(index)

    def add_attachment(self, name: str, media_type: str, data: bytes) -> None:
        """Store a file."""
        raw = mcapfmt.attachment(name, media_type, self.epoch_ns, data)
        index = mcapfmt.attachment_index(
            self.at, len(raw), name, media_type, self.epoch_ns, len(data)
        )
        self._put((raw,), index)
        self._groups[Op.ATTACHMENT_INDEX].append(index)

    def store(self, chunk: ClosedChunk) -> None:
        """Compress a chunk and write it, behind its channels and in front of its indexes."""
        try:
            self._store(chunk)
        finally:
            chunk.release()

    def _store(self, chunk: ClosedChunk) -> None:
        self._check_usable()
        self.store_packed(chunk, self._compress(chunk.messages), self._compression)

    def store_packed(self, chunk: ClosedChunk, packed: bytes, compression: str) -> None:
        """Write a chunk whose messages were compressed to ``packed``; ``compression`` is the name
        in the file."""
        size, crc = len(chunk.messages), zlib.crc32(chunk.messages)
        head = mcapfmt.chunk_head(*chunk.times_ns, size, crc, len(packed), compression)
        front = sum(map(len, chunk.channels))
        length = len(head) + len(packed)
        offsets = {
            mcap_id: self.at + front + length + place for mcap_id, place in chunk.places.items()
        }
        index = mcapfmt.chunk_index(
            chunk.times_ns,
            self.at + front,
            length,
            offsets,
            len(chunk.indexes),
            (len(packed), size),
            compression,
        )
        self._marks.append(self._mark(chunk.counts))
        room = len(index) + front + _CHANNEL_NBYTES * len(chunk.channels)
        try:
            self._put((*chunk.channels, head, packed, chunk.indexes), index, room)
        except RunDirectoryError:
            self._marks.pop()
            self.lose(chunk.counts)
            raise
        self._channels += chunk.channels
        self._groups[Op.CHUNK_INDEX].append(index)
        for mcap_id, count in chunk.counts.items():
            self.counts[mcap_id] = self.counts.get(mcap_id, 0) + count
        self.chunks += 1
        first, last = self._times_ns or chunk.times_ns
        self._times_ns = min(first, chunk.times_ns[0]), max(last, chunk.times_ns[1])

    def lose(self, counts: Mapping[int, int]) -> None:
        """Note messages that will not be in the file, by MCAP channel."""
        for mcap_id, count in counts.items():
            topic = self.topics[mcap_id - 1]
            if topic not in self.lost:
                self._growing += _CHANNEL_NBYTES + len(topic)
            self.lost[topic] = self.lost.get(topic, 0) + count

    def finish(self) -> None:
        """Write the summary, make sure of it, and give the file its name.

        A file that failed for want of room is finished, too: it ends with the last whole chunk.
        Where even the summary finds no room, the last chunks give theirs, and that is a failure.
        """
        assert self._fd is not None
        while True:
            at = self.at
            try:
                self._write(self._tail())
                os.ftruncate(self._fd, self.at)  # what was reserved and is not needed
                os.fsync(self._fd)
                self.partial.rename(self.path)
            except OSError as error:
                self._cut(at)
                if not self._take_back(error):
                    self.abandon()
                    self._fail(error)
            else:
                break
        self.abandon()

    def abandon(self) -> None:
        """Stop without a summary; what was recorded stays in the partial file."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def remove(self) -> None:
        """Take away a file that has not even begun."""
        self.abandon()
        self.partial.unlink(missing_ok=True)

    # --- the end of the file ----------------------------------------------------------------------

    def _tail(self) -> tuple[bytes, ...]:
        """Return what stands behind the last chunk: end table, Data End, summary."""
        pairs = {"ended": self.ended, "records": str(sum(self.counts.values()))}
        pairs |= {f"lost {topic}": str(count) for topic, count in sorted(self.lost.items())}
        table = mcapfmt.metadata(END_TABLE, pairs)
        index = mcapfmt.metadata_index(self.at, len(table), END_TABLE)
        data_end = mcapfmt.record(Op.DATA_END, zlib.crc32(table, self._crc).to_bytes(4, "little"))
        groups = {op: b"".join(items) for op, items in self._groups.items()}
        groups[Op.METADATA_INDEX] += index
        statistics = mcapfmt.statistics(
            self.counts,
            self._times_ns or (0, 0),
            1,
            len(self._groups[Op.ATTACHMENT_INDEX]),
            len(self._groups[Op.METADATA_INDEX]) + 1,
            self.chunks,
        )
        summary = mcapfmt.summary_tail(
            self.at + len(table) + len(data_end),
            [
                (Op.SCHEMA, self._schema),
                (Op.CHANNEL, b"".join(self._channels)),
                (Op.STATISTICS, statistics),
                *groups.items(),
            ],
        )
        return table, data_end, summary

    def _mark(self, counts: dict[int, int]) -> _Mark:
        lengths = (len(self._channels), *(len(self._groups[op]) for op in _INDEXES))
        return _Mark(self.at, self._crc, lengths, self._times_ns, counts)

    def _take_back(self, error: OSError) -> bool:
        """Give up the last chunk to make room for the summary; False if there is none."""
        if not self._marks or error.errno not in DiskFullError.CODES:
            return False
        mark = self._marks.pop()
        self.ended = error.strerror or str(error)
        self.failure = self.failure or self._failure(error)
        self.lose(mark.counts)
        for mcap_id, count in mark.counts.items():
            self.counts[mcap_id] -= count
            if not self.counts[mcap_id]:
                del self.counts[mcap_id]
        del self._channels[mark.lengths[0] :]
        for op, length in zip(_INDEXES, mark.lengths[1:], strict=True):
            del self._groups[op][length:]
        self.chunks = len(self._groups[Op.CHUNK_INDEX])
        self._crc, self._times_ns = mark.crc, mark.times_ns
        self._cut(mark.at)
        return True

    # --- octets -----------------------------------------------------------------------------------

    def _open(self) -> int:
        """Create the partial file; it must not exist."""
        if self.path.exists():
            raise RunDirectoryError(
                f"{self.path}: is there already; remove it, or choose another --out"
            )
        try:
            return os.open(self.partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        except OSError as error:
            reason = error.strerror or str(error)
            raise RunDirectoryError(
                f"{self.partial}: cannot be created: {reason}; choose another --out"
            ) from None

    def _put(self, parts: Iterable[Buffer], index: bytes = b"", room: int | None = None) -> None:
        """Write ``parts`` whole, with room left for the summary, or fail for good.

        ``index`` is what they add to the summary, ``room`` what that and all else of theirs takes.
        """
        self._check_usable()
        parts = tuple(parts)
        growing = self._growing + (len(index) if room is None else room)
        tail = growing + len(self._schema) + _TAIL_NBYTES
        at = self.at
        try:
            self._reserve.extend(at, at + sum(map(len, parts)) + tail)
            self._write(parts)
        except OSError as error:
            if self.at != at:
                self._cut(at)
                with suppress(OSError):  # then the last chunks make room
                    self._reserve.extend(at, at + tail)
            self._fail(error)
        self._growing = growing
        for part in parts:
            self._crc = zlib.crc32(part, self._crc)

    def _write(self, parts: Iterable[Buffer]) -> None:
        assert self._fd is not None
        for part in parts:
            view = memoryview(part)
            while view:
                done = os.write(self._fd, view)
                self.at += done
                view = view[done:]

    def _cut(self, at: int) -> None:
        """Take everything from ``at`` on back; blocks that were reserved go with it."""
        assert self._fd is not None
        os.ftruncate(self._fd, at)
        os.lseek(self._fd, at, os.SEEK_SET)
        self.at = at
        self._reserve.end = 0

    def _check_usable(self) -> None:
        """Raise again if writing has failed, or if the file is closed."""
        if self.failure is not None:
            raise self.failure
        if self._fd is None:
            raise CaptureError(f"{self.path}: the capture is closed; nothing more can be added")

    def _fail(self, error: OSError) -> None:
        """Note why nothing more is taken, and raise that; every later call raises the same."""
        self.ended = error.strerror or str(error)
        self.failure = self._failure(error)
        raise self.failure from None

    def _failure(self, error: OSError) -> RunDirectoryError:
        kind = DiskFullError if error.errno in DiskFullError.CODES else RunDirectoryError
        return kind(
            f"{self.partial}: cannot be written: {error.strerror or error} after {self.at} octets; "
            "make room, or choose another --out"
        )
