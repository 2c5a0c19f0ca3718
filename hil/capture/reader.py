"""Reading a capture back, whole or cut off.

A finished capture is opened by its summary. One without (the process was killed, the disk was full)
is walked from its start; ``tolerant=True`` gives everything up to the damage, which is then named
in :attr:`Capture.damage`.
"""

from __future__ import annotations

import mmap
import struct
import zlib
from collections.abc import Collection, Iterator
from pathlib import Path

import zstandard

from flightsw.codec.native import ffi, lib
from flightsw.codec.wire import Record, unpack_all
from hil.capture import topics as topic_table
from hil.capture.mcapfmt import MAGIC, Op
from hil.capture.mcapread import (
    AttachmentInfo,
    ChannelInfo,
    ChunkInfo,
    Damage,
    Fields,
    Octets,
    content,
    parse_attachment,
    parse_channel,
    record_at,
    summary_start,
    walk,
)
from hil.closing import Closing
from hil.errors import CaptureError

#: sources of fs_mcap_unpack (see csrc/record/mcap.h)
_SKIP, _RECORD = 0xFFFF, 0xFFFE
#: A chunk is 256 KiB, or one record with its head; nothing that a bus carries comes near this.
_CHUNK_LIMIT_NBYTES = 512 << 20
_MALFORMED = (struct.error, ValueError, KeyError, zstandard.ZstdError)


class Capture(Closing):
    """An open capture; a context manager. Times are nanoseconds since the mission epoch."""

    def __init__(self, path: str | Path, tolerant: bool = False) -> None:
        self.path = Path(path)
        self.tolerant = tolerant
        self.channels: dict[int, ChannelInfo] = {}
        self.chunks: list[ChunkInfo] = []
        self.attachments: dict[str, AttachmentInfo] = {}
        self.metadata: dict[str, dict[str, str]] = {}
        #: where and why reading stopped; None for a whole capture
        self.damage: Damage | None = None
        self._data = _map(self.path)
        try:
            self._open()
        except Damage as damage:
            self.close()
            raise self._unreadable(str(damage)) from None

    def close(self) -> None:
        """Let go of the file."""
        if isinstance(self._data, mmap.mmap):
            self._data.close()

    @property
    def epoch_ns(self) -> int:
        """The mission epoch, nanoseconds since 1970-01-01 UTC."""
        return int(self.metadata["flatsat"]["epoch_ns"])

    def attachment(self, name: str) -> bytes:
        """Return the octets of a stored file; raises CaptureError if there is none of that name."""
        if name not in self.attachments:
            known = ", ".join(self.attachments) or "none"
            raise CaptureError(f"{self.path}: no attachment {name!r}; stored: {known}")
        fields = record_at(self._data, self.attachments[name].at, Op.ATTACHMENT)
        data = parse_attachment(fields, 0)[1]
        if zlib.crc32(fields.content[:-4]).to_bytes(4, "little") != fields.content[-4:]:
            raise CaptureError(
                f"{self.path}: attachment {name!r} is damaged: its CRC does not match"
            )
        return data

    def buffers(
        self,
        topics: Collection[str] | None = None,
        start_ns: int = 0,
        end_ns: int | None = None,
    ) -> Iterator[bytes]:
        """Yield the wire records of each chunk that touches ``start_ns <= t < end_ns``, as one
        buffer a chunk, in recorded order; chunks are not cut at the edges of the interval."""
        sources = self._sources(topics)
        lower = self.epoch_ns + start_ns
        upper = None if end_ns is None else self.epoch_ns + end_ns
        for chunk in self.chunks:
            if chunk.end_ns < lower or (upper is not None and chunk.start_ns >= upper):
                continue
            try:
                yield self._unpack(chunk, sources)
            except Damage as damage:
                if not self.tolerant:
                    raise self._unreadable(str(damage)) from None
                self.damage = damage
                return

    def records(
        self,
        topics: Collection[str] | None = None,
        start_ns: int = 0,
        end_ns: int | None = None,
        first_seq: int = 0,
    ) -> Iterator[Record]:
        """Yield records with ``start_ns <= t_ns < end_ns`` and ``seq >= first_seq``, in recorded
        order, which is that of their sequence numbers."""
        for buffer in self.buffers(topics, start_ns, end_ns):
            for record in unpack_all(buffer):
                in_time = record.t_ns >= start_ns and (end_ns is None or record.t_ns < end_ns)
                if in_time and record.seq >= first_seq:
                    yield record

    # --- opening ----------------------------------------------------------------------------------

    def _open(self) -> None:
        """Read the summary, or everything that a file without one still holds."""
        if self._data[: len(MAGIC)] != MAGIC:
            raise Damage(0, "not an MCAP file")
        start = summary_start(self._data)
        end = len(self._data)
        try:
            if start is None:
                self._scan(len(MAGIC), end)
                raise Damage(end, "the capture was never finished")
            self._check_summary(start)
            self._scan(start, end - len(MAGIC))
        except Damage as damage:
            if not self.tolerant:
                raise
            self.damage = damage
        if not self.metadata.get("flatsat", {}).get("epoch_ns", "").isdecimal():
            raise Damage(0, "not a capture of FlatSat: it does not state its epoch")

    def _check_summary(self, start: int) -> None:
        """Raise Damage if the summary's CRC does not match."""
        stored_at = len(self._data) - len(MAGIC) - 4
        (stored,) = struct.unpack_from("<I", self._data, stored_at)
        if stored != zlib.crc32(self._data[start:stored_at]):
            raise Damage(start, "the CRC of the summary does not match")

    def _scan(self, at: int, end: int) -> None:
        """Take in every record from ``at`` to ``end``, be it of the data or the summary section."""
        for op, where, stop in walk(self._data, at, end):
            try:
                self._take(op, where, content(self._data, where, stop))
            except _MALFORMED as wrong:
                raise Damage(where, f"a record is malformed: {wrong}") from None

    def _take(self, op: int, where: int, fields: Fields) -> None:
        """Take in one record."""
        if op == Op.CHANNEL:
            channel = parse_channel(fields)
            self.channels[channel.id] = channel
        elif op == Op.CHUNK:
            self.chunks.append(ChunkInfo(where, *fields.take("QQ")))
        elif op == Op.CHUNK_INDEX:
            start_ns, end_ns, chunk_at = fields.take("QQQ")
            self.chunks.append(ChunkInfo(chunk_at, start_ns, end_ns))
        elif op == Op.METADATA:
            self._add_metadata(fields)
        elif op == Op.METADATA_INDEX:
            self._add_metadata(record_at(self._data, fields.take("Q")[0], Op.METADATA))
        elif op == Op.ATTACHMENT:
            info = parse_attachment(fields, where)[0]
            self.attachments[info.name] = info
        elif op == Op.ATTACHMENT_INDEX:
            attachment_at = fields.take("QQQQQ")[0]
            info = AttachmentInfo(attachment_at, fields.string(), fields.string())
            self.attachments[info.name] = info

    def _add_metadata(self, fields: Fields) -> None:
        name = fields.string()
        self.metadata[name] = fields.string_map()

    # --- chunks -----------------------------------------------------------------------------------

    def _sources(self, topics: Collection[str] | None) -> object:
        """Return the table for fs_mcap_unpack that keeps the channels of ``topics``."""
        known = {channel.topic for channel in self.channels.values()}
        if unknown := set(topics or ()) - known:
            listed = ", ".join(sorted(known)) or "none"
            raise CaptureError(f"{self.path}: no topic {min(unknown)!r}; recorded: {listed}")
        sources = ffi.new("uint16_t[]", [_SKIP] * 65536)
        for channel in self.channels.values():
            if topics is None or channel.topic in topics:
                is_json = channel.encoding == topic_table.JSON_ENCODING
                sources[channel.id] = channel.kind << 8 | channel.channel if is_json else _RECORD
        return sources

    def _unpack(self, chunk: ChunkInfo, sources: object) -> bytes:
        """Return the wire records of a chunk; raises Damage."""
        try:
            raw = _decompress(record_at(self._data, chunk.at, Op.CHUNK), chunk.at)
        except _MALFORMED as wrong:
            raise Damage(chunk.at, f"the chunk cannot be decompressed: {wrong}") from None
        # A head of 31 octets becomes one of 32, so an octet a message is the most that it can grow.
        capacity = len(raw) + len(raw) // 31 + 1
        out = ffi.new("uint8_t[]", capacity)
        used = lib.fs_mcap_unpack(
            ffi.from_buffer(raw), len(raw), sources, self.epoch_ns, out, capacity
        )
        if used < 0:
            raise Damage(chunk.at, "the chunk holds a cut record")
        return bytes(ffi.buffer(out, used))

    def _unreadable(self, reason: str) -> CaptureError:
        return CaptureError(f"{self.path}: cannot be read: {reason}")


def _map(path: Path) -> Octets:
    """Return the file as octets without reading it yet."""
    try:
        with path.open("rb") as file:
            if path.stat().st_size == 0:
                return b""
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as wrong:
        raise CaptureError(f"{path}: cannot be read: {getattr(wrong, 'strerror', wrong)}") from None


def _decompress(fields: Fields, at: int) -> bytes:
    """Return the content of a Chunk record, its CRC checked."""
    _start_ns, _end_ns, size, crc = fields.take("QQQI")
    compression = fields.string()
    data = fields.octets(fields.take("Q")[0])
    if size > _CHUNK_LIMIT_NBYTES:
        raise Damage(at, f"the chunk claims {size} octets")
    if compression == "zstd":
        data = zstandard.ZstdDecompressor().decompress(data, max_output_size=size)
    elif compression:
        raise Damage(at, f"compression {compression!r} is not one of ours")
    if len(data) != size or zlib.crc32(data) != crc:
        raise Damage(at, "the CRC of the chunk does not match")
    return data
