"""The recorder's end of the capture: wire records in, one MCAP file out.

The file grows as ``capture.mcap.partial`` and takes its name only when its summary is written and
on the disk, so a file without the suffix is always whole. What was recorded before a crash or a
full disk stays in the partial file up to the last closed chunk; ``hil.capture.reader`` reads it.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType

import zstandard

from flightsw.codec.errors import TruncatedError
from flightsw.codec.native import ffi, lib
from flightsw.codec.wire import HEADER
from hil import __version__
from hil.capture import mcapfmt, topics
from hil.capture.mcapfmt import Op
from hil.errors import CaptureError, RunDirectoryError

CHUNK_NBYTES = 256 * 1024
CHUNK_AGE_NS = 100_000_000
#: A message takes at least 31 octets of head, so a chunk of the usual size cannot hold more.
_ENTRY_CAPACITY = CHUNK_NBYTES // 31 + 1
_SCHEMA_ID = 1
_JSON_OFFSET = 65536
_SHORT = -1


class CaptureWriter:
    """Writes one capture.

    ``epoch_ns`` is the mission epoch, nanoseconds since 1970-01-01 UTC; ``names`` are the channel
    names by index. ``clock`` gives nanoseconds of recording (wall time when it matters how much a
    crash may cost): a chunk older than 100 ms is closed at the next write. Without a clock only
    size closes chunks, and the same records give the same file, octet for octet.
    """

    def __init__(
        self,
        path: Path,
        epoch_ns: int,
        names: Mapping[int, str],
        metadata: Mapping[str, str],
        clock: Callable[[], int] | None = None,
    ) -> None:
        self.path = path
        self.partial = path.with_name(path.name + ".partial")
        self.epoch_ns = epoch_ns
        self.names = dict(names)
        self.counts: dict[int, int] = {}
        self.counters = {"records": 0, "chunks": 0, "octets": 0}
        self._clock = clock
        self._chunk_due_ns = 0
        self._compressor = zstandard.ZstdCompressor(level=1)
        self._ids = ffi.new("uint16_t[]", 2 * _JSON_OFFSET)
        self._entries = ffi.new("fs_mcap_entry[]", _ENTRY_CAPACITY)
        self._state = ffi.new("fs_mcap_chunk *")
        self._grow(CHUNK_NBYTES)
        self._channels: list[bytes] = []
        self._groups: dict[int, list[bytes]] = {Op.CHUNK_INDEX: []}
        self._groups |= {Op.ATTACHMENT_INDEX: [], Op.METADATA_INDEX: []}
        self._times_ns: tuple[int, int] | None = None
        self._at = 0
        self._crc = 0
        self._failure: str | None = None
        self._schema = mcapfmt.schema(
            _SCHEMA_ID, topics.SCHEMA_NAME, topics.SCHEMA_ENCODING, topics.SCHEMA_TEXT
        )
        self._fd: int | None = self._open()
        self._put(mcapfmt.MAGIC + mcapfmt.header(f"flatsat {__version__}"))
        self.add_metadata("flatsat", {**metadata, "epoch_ns": str(epoch_ns)})

    def __enter__(self) -> CaptureWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # The error under way says more than the one that a second failure here would raise.
        if self._failure is None or kind is None:
            self.close()
        else:
            self.abandon()

    def add_metadata(self, name: str, pairs: Mapping[str, str]) -> None:
        """Store a named table of strings."""
        data = mcapfmt.metadata(name, pairs)
        index = mcapfmt.metadata_index(self._at, len(data), name)
        self._put(data)
        self._groups[Op.METADATA_INDEX].append(index)

    def add_attachment(self, name: str, media_type: str, data: bytes) -> None:
        """Store a file, such as the board file of the run."""
        raw = mcapfmt.attachment(name, media_type, self.epoch_ns, data)
        index = mcapfmt.attachment_index(
            self._at, len(raw), name, media_type, self.epoch_ns, len(data)
        )
        self._put(raw)
        self._groups[Op.ATTACHMENT_INDEX].append(index)

    def write(self, records: bytes | bytearray | memoryview) -> None:
        """Append wire records, one after the other in one buffer.

        Raises :class:`~flightsw.codec.errors.TruncatedError` if the buffer ends inside a record,
        and :class:`~hil.errors.RunDirectoryError` if the disk does not take it.
        """
        view = memoryview(records).cast("B")
        state = self._state
        while view:
            taken = lib.fs_mcap_pack(
                ffi.from_buffer(view),
                len(view),
                self._ids,
                self.epoch_ns,
                CHUNK_NBYTES,
                self._chunk,
                self._capacity,
                self._entries,
                _ENTRY_CAPACITY,
                state,
            )
            if taken == _SHORT:
                raise TruncatedError(f"capture: {len(view)} octets end inside a wire record")
            self.counters["records"] += taken
            view = view[state.consumed :]
            if view:
                self._make_room(view)
        if self._clock is not None and state.nentries:
            self._close_if_old(self._clock())

    def flush(self) -> None:
        """Close the chunk that is being filled and hand it to the system."""
        if self._state.nentries:
            self._close_chunk()

    def close(self) -> None:
        """Finish the file: last chunk, summary, its name. A second call does nothing."""
        if self._fd is None:
            return
        self._check_usable()
        self.flush()
        whole_at = self._at
        data_end = mcapfmt.record(Op.DATA_END, self._crc.to_bytes(4, "little"))
        summary = mcapfmt.summary_tail(self._at + len(data_end), self._summary())
        self._put(data_end + summary)
        try:
            os.fsync(self._fd)
            self.partial.rename(self.path)
        except OSError as error:
            self._at = whole_at
            self._fail(error)
        self.abandon()

    def abandon(self) -> None:
        """Stop without a summary; what was recorded stays in the partial file."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    # --- chunks -----------------------------------------------------------------------------------

    def _make_room(self, view: memoryview) -> None:
        """Do what the record at the head of ``view`` is waiting for."""
        kind, channel, flags, status, length, *_, address = HEADER.unpack_from(view)
        is_json = kind in topics.JSON_KINDS and not (flags or status or address)
        key = (_JSON_OFFSET if is_json else 0) + (kind << 8 | channel)
        if self._ids[key] == 0:
            self._add_channel(key, kind, channel, is_json)
        elif self._state.nentries:
            self._close_chunk()
        else:
            self._grow(length + 64)

    def _grow(self, capacity: int) -> None:
        """Allocate chunk and index buffers for at least ``capacity`` octets of one chunk."""
        assert self._state.used == 0
        self._capacity = capacity
        self._chunk = ffi.new("uint8_t[]", capacity)
        self._chunk_view = memoryview(ffi.buffer(self._chunk))
        self._index = ffi.new("uint8_t[]", 16 * _ENTRY_CAPACITY + 16 * 1024)

    def _add_channel(self, key: int, kind: int, channel: int, is_json: bool) -> None:
        """Register the MCAP channel for ``key`` and write its record, outside of any chunk."""
        mcap_id = len(self._channels) + 1
        assert mcap_id < 0xFFFE, "an MCAP channel has 16 bits, and the reader keeps two for itself"
        raw = mcapfmt.channel(
            mcap_id,
            0 if is_json else _SCHEMA_ID,
            topics.topic_of(kind, channel, self.names),
            topics.JSON_ENCODING if is_json else topics.RECORD_ENCODING,
            {"kind": str(int(kind)), "channel": str(channel)},
        )
        # Outside of chunks: a reader of a damaged file knows it even if the chunk is lost.
        self._put(raw if self._channels else self._schema + raw)
        self._channels.append(raw)
        self.counts[mcap_id] = 0
        self._counts = ffi.new("uint32_t[]", mcap_id + 1)
        self._places = ffi.new("uint64_t[]", mcap_id + 1)
        self._ids[key] = mcap_id

    def _close_if_old(self, now_ns: int) -> None:
        """Close the chunk if it has been open for 100 ms of recording."""
        if self._chunk_due_ns == 0:
            self._chunk_due_ns = now_ns + CHUNK_AGE_NS
        elif now_ns >= self._chunk_due_ns:
            self._close_chunk()

    def _close_chunk(self) -> None:
        """Compress the chunk and write it with its message indexes."""
        state, nids = self._state, len(self._channels) + 1
        size, times_ns = state.used, (state.start_ns, state.end_ns)
        raw = self._chunk_view[:size]
        packed = self._compressor.compress(raw)
        index_nbytes = lib.fs_mcap_index(
            self._entries,
            state.nentries,
            self._counts,
            self._places,
            nids,
            self._index,
            len(self._index),
        )
        assert index_nbytes > 0
        head = mcapfmt.chunk_head(*times_ns, size, zlib.crc32(raw), len(packed))
        chunk_at, index_at = self._at, self._at + len(head) + len(packed)
        self._put(head + packed + bytes(ffi.buffer(self._index, index_nbytes)))
        offsets: dict[int, int] = {}
        for mcap_id in range(1, nids):
            if count := self._counts[mcap_id]:
                offsets[mcap_id] = index_at + self._places[mcap_id] - 16 * count - 15
                self.counts[mcap_id] += count
        self._groups[Op.CHUNK_INDEX].append(
            mcapfmt.chunk_index(
                times_ns, chunk_at, index_at - chunk_at, offsets, index_nbytes, (len(packed), size)
            )
        )
        self.counters["chunks"] += 1
        first, last = self._times_ns or times_ns
        self._times_ns = min(first, times_ns[0]), max(last, times_ns[1])
        state.used = state.nentries = 0
        self._chunk_due_ns = 0

    def _summary(self) -> list[tuple[int, bytes]]:
        """Return the groups of the summary section in order."""
        index = {op: b"".join(items) for op, items in self._groups.items()}
        statistics = mcapfmt.statistics(
            self.counts,
            self._times_ns or (0, 0),
            1 if self._channels else 0,
            len(self._groups[Op.ATTACHMENT_INDEX]),
            len(self._groups[Op.METADATA_INDEX]),
            self.counters["chunks"],
        )
        return [
            (Op.SCHEMA, self._schema if self._channels else b""),
            (Op.CHANNEL, b"".join(self._channels)),
            (Op.STATISTICS, statistics),
            (Op.CHUNK_INDEX, index[Op.CHUNK_INDEX]),
            (Op.ATTACHMENT_INDEX, index[Op.ATTACHMENT_INDEX]),
            (Op.METADATA_INDEX, index[Op.METADATA_INDEX]),
        ]

    # --- the file ---------------------------------------------------------------------------------

    def _open(self) -> int:
        """Create the partial file; it must not exist."""
        try:
            if self.path.exists():
                raise FileExistsError(17, "a capture is there already")
            return os.open(self.partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        except OSError as error:
            reason = error.strerror or str(error)
            raise RunDirectoryError(
                f"{self.partial}: cannot be created: {reason}; choose another --out"
            ) from None

    def _put(self, data: bytes) -> None:
        """Write ``data`` whole, or fail for good."""
        self._check_usable()
        assert self._fd is not None
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._fd, view) :]
        except OSError as error:
            self._fail(error)
        self._at += len(data)
        self.counters["octets"] = self._at
        self._crc = zlib.crc32(data, self._crc)

    def _check_usable(self) -> None:
        """Raise again if the writer has failed, or if it is closed."""
        if self._failure is not None:
            raise RunDirectoryError(self._failure)
        if self._fd is None:
            raise CaptureError(f"{self.path}: the capture is closed; nothing more can be added")

    def _fail(self, error: OSError) -> None:
        """Cut the file back to what is whole and raise; every later call raises the same."""
        reason = error.strerror or str(error)
        self._failure = (
            f"{self.partial}: cannot be written: {reason} after {self._at} octets; make room, or "
            "choose another --out"
        )
        if self._fd is not None:
            os.ftruncate(self._fd, self._at)
            self.abandon()
        raise RunDirectoryError(self._failure) from None
