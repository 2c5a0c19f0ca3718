"""The recorder's end of the capture: wire records in, chunks of MCAP messages out.

Records are packed in C, one call a record or a batch. A chunk that is full goes to the file
(:mod:`hil.capture.capturefile`), or to whoever takes it there (:mod:`hil.capture.recording`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

from flightsw.codec.errors import TruncatedError
from flightsw.codec.native import ffi, lib
from flightsw.codec.wire import HEADER
from hil.capture import mcapfmt, topics
from hil.capture.capturefile import CaptureFile, ClosedChunk
from hil.capture.compression import DEFAULT
from hil.capture.mcapread import LIMIT_NBYTES
from hil.errors import CaptureError, RunDirectoryError

CHUNK_NBYTES = 256 * 1024
#: A message takes at least 31 octets of head, so a chunk of the usual size cannot hold more.
_ENTRY_CAPACITY = CHUNK_NBYTES // 31 + 1
_JSON_OFFSET = 65536
_append = lib.fs_mcap_fill


class CaptureWriter:
    """Writes one capture; a context manager.

    ``epoch_ns`` is the mission epoch, nanoseconds since 1970-01-01 UTC; ``names`` are the channel
    names by index. The same records give the same file, octet for octet. Raises
    :class:`~hil.errors.RunDirectoryError` where the disk does not take it.
    """

    def __init__(
        self,
        path: Path,
        epoch_ns: int,
        names: Mapping[int, str],
        metadata: Mapping[str, str],
        compression: str = DEFAULT,
    ) -> None:
        self.epoch_ns = epoch_ns
        self.names = dict(names)
        self.file = CaptureFile(path, epoch_ns, compression)
        self.path, self.partial = self.file.path, self.file.partial
        #: where closed chunks go, in order
        self.store: Callable[[ClosedChunk], None] = self.file.store
        self._ids = ffi.new("uint16_t[]", 2 * _JSON_OFFSET)
        self._entries = ffi.new("fs_mcap_entry[]", _ENTRY_CAPACITY)
        self._index = ffi.new("uint8_t[]", 16 * _ENTRY_CAPACITY + 16 * 1024)
        self._filler = ffi.new(
            "fs_mcap_filler *",
            {
                "ids": self._ids,
                "epoch_ns": epoch_ns,
                "soft_limit": CHUNK_NBYTES,
                "entries": self._entries,
                "entry_capacity": _ENTRY_CAPACITY,
            },
        )
        #: buffers of the usual size that are free, to be filled again: fresh memory costs more
        self._free: list[Any] = []
        self._take_buffer(CHUNK_NBYTES)
        # Channel records that no chunk has brought to the file yet
        self._fresh: list[bytes] = []
        try:
            self.file.add_metadata("flatsat", {**metadata, "epoch_ns": str(epoch_ns)})
        except RunDirectoryError:
            self.file.remove()
            raise

    def __enter__(self) -> CaptureWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end(error)

    @property
    def counters(self) -> dict[str, int]:
        """Records taken; chunks and octets written."""
        file = self.file
        return {"records": int(self._filler.records), "chunks": file.chunks, "octets": file.at}

    @property
    def counts(self) -> dict[int, int]:
        """Messages in the file, by MCAP channel."""
        return self.file.counts

    @property
    def pending(self) -> int:
        """Number of records in the chunk that is being filled."""
        return int(self._filler.state.nentries)

    def add_metadata(self, name: str, pairs: Mapping[str, str]) -> None:
        """Store a named table of strings."""
        self.file.add_metadata(name, pairs)

    def add_attachment(self, name: str, media_type: str, data: bytes) -> None:
        """Store a file, such as the board file of the run."""
        self.file.add_attachment(name, media_type, data)

    def write(self, records: bytes | bytearray | memoryview) -> None:
        """Append wire records, one after the other in one buffer.

        Raises :class:`~flightsw.codec.errors.TruncatedError` if the buffer ends inside a record.
        """
        try:
            left = _append(self._filler, records, len(records))
        except TypeError:  # not bytes: cffi wants to be told what it is
            left = _append(self._filler, ffi.from_buffer(records), len(records))
        if left:
            self._write_rest(records)

    def flush(self) -> None:
        """Close the chunk that is being filled and pass it on."""
        if self._filler.state.nentries:
            self._close_chunk()

    def drop(self, chunk: ClosedChunk) -> None:
        """Leave out a chunk that was closed just now; its channels go with the next."""
        self._fresh[:0] = chunk.channels
        chunk.release()

    def close(self) -> None:
        """Finish the file: last chunk, summary, its name. A second call does nothing.

        A file that failed is finished, too, up to the last chunk that it took; then this raises
        again why it failed.
        """
        if not self.file.is_open:
            return
        with suppress(RunDirectoryError):  # noted by the file, and raised when it is finished
            if self.file.failure is None:
                self.flush()
        self._lose_rest()
        self.finish()

    def finish(self) -> None:
        """Write the summary behind what the file holds; raise what the file failed of."""
        self.file.finish()
        if self.file.failure is not None:
            raise self.file.failure

    def end(self, error: BaseException | None) -> None:
        """Finish the file; ``error`` is under way, and says more than one raised here would."""
        try:
            self.close()
        except Exception:
            if error is None:
                raise

    def abandon(self) -> None:
        """Stop without a summary; what was recorded stays in the partial file."""
        self.file.abandon()

    # --- chunks -----------------------------------------------------------------------------------

    def _write_rest(self, records: bytes | bytearray | memoryview) -> None:
        """Append what the first call has left: a record waits for a channel, or for room."""
        view = memoryview(records).cast("B")
        view = view[self._filler.state.consumed :]
        while view:
            self._make_room(view)
            left = _append(self._filler, ffi.from_buffer(view), len(view))
            view = view[self._filler.state.consumed :]
            if left < 0:
                break
        if view:
            raise TruncatedError(f"capture: {len(view)} octets end inside a wire record")

    def _make_room(self, view: memoryview) -> None:
        """Do what the record at the head of ``view`` is waiting for."""
        if len(view) < HEADER.size:
            return
        kind, channel, flags, status, length, *_, address = HEADER.unpack_from(view)
        is_json = kind in topics.JSON_KINDS and not (flags or status or address)
        key = (_JSON_OFFSET if is_json else 0) + (kind << 8 | channel)
        if self._ids[key] == 0:
            self._add_channel(key, kind, channel, is_json)
        elif self._filler.state.nentries:
            self._close_chunk()
        elif len(view) >= HEADER.size + length:
            if length > LIMIT_NBYTES - 128:
                raise CaptureError(f"{self.path}: a record of {length} octets: none reads it back")
            self._take_buffer(length + 64)

    def _lose_rest(self) -> None:
        """Count what is in the chunk that is being filled as lost: the file takes no more."""
        state = self._filler.state
        self.file.lose(Counter(self._entries[i].id for i in range(state.nentries)))
        state.used = state.nentries = 0

    def _take_buffer(self, capacity: int) -> None:
        """Have a buffer for at least ``capacity`` octets of one chunk, the next one to fill."""
        usual = capacity <= CHUNK_NBYTES
        self._chunk = (
            self._free.pop()
            if usual and self._free
            else ffi.new("uint8_t[]", CHUNK_NBYTES if usual else capacity)
        )
        self._filler.chunk, self._filler.capacity = self._chunk, len(self._chunk)

    def _give_back(self, buffer: Any) -> None:
        """Take a buffer back whose chunk is done with."""
        if len(buffer) == CHUNK_NBYTES:
            self._free.append(buffer)

    def _add_channel(self, key: int, kind: int, channel: int, is_json: bool) -> None:
        """Register the MCAP channel for ``key``; its record goes in front of the chunk."""
        mcap_id = len(self.file.topics) + 1
        assert mcap_id < 0xFFFE, "an MCAP channel has 16 bits, and the reader keeps two for itself"
        topic = topics.topic_of(kind, channel, self.names)
        raw = mcapfmt.channel(
            mcap_id,
            0 if is_json else topics.SCHEMA_ID,
            topic,
            topics.JSON_ENCODING if is_json else topics.RECORD_ENCODING,
            {"kind": str(int(kind)), "channel": str(channel)},
        )
        self._fresh.append(raw)
        self.file.topics.append(topic)
        self._counts = ffi.new("uint32_t[]", mcap_id + 1)
        self._places = ffi.new("uint64_t[]", mcap_id + 1)
        self._ids[key] = mcap_id

    def _close_chunk(self) -> None:
        """Index the chunk and pass it on."""
        state, nids = self._filler.state, len(self.file.topics) + 1
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
        counts, places = {}, {}
        for mcap_id in range(1, nids):
            if count := self._counts[mcap_id]:
                counts[mcap_id] = count
                places[mcap_id] = self._places[mcap_id] - 16 * count - 15
        chunk = ClosedChunk(
            tuple(self._fresh),
            ffi.buffer(self._chunk, state.used),
            bytes(ffi.buffer(self._index, index_nbytes)),
            counts,
            places,
            (state.start_ns, state.end_ns),
            partial(self._give_back, self._chunk),
        )
        self._fresh.clear()
        state.used = state.nentries = 0
        self._take_buffer(CHUNK_NBYTES)
        self.store(chunk)
