"""The records of an MCAP file that are written one at a time (https://mcap.dev/spec, version 0).

Messages and message indexes, of which there are millions, are made by ``csrc/record/mcap.c``.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from enum import IntEnum

MAGIC = b"\x89MCAP0\r\n"
RECORD_HEAD = struct.Struct("<BQ")
FOOTER_NBYTES = RECORD_HEAD.size + 20
#: key in the maps of Channel and Metadata records under which their own CRC stands
CRC_KEY = "crc"


class Op(IntEnum):
    """Opcodes."""

    HEADER = 0x01
    FOOTER = 0x02
    SCHEMA = 0x03
    CHANNEL = 0x04
    MESSAGE = 0x05
    CHUNK = 0x06
    MESSAGE_INDEX = 0x07
    CHUNK_INDEX = 0x08
    ATTACHMENT = 0x09
    ATTACHMENT_INDEX = 0x0A
    STATISTICS = 0x0B
    METADATA = 0x0C
    METADATA_INDEX = 0x0D
    SUMMARY_OFFSET = 0x0E
    DATA_END = 0x0F


def record(op: int, content: bytes) -> bytes:
    """Return one record: opcode, length, content."""
    return RECORD_HEAD.pack(op, len(content)) + content


def string(text: str) -> bytes:
    """Return a string with its length in front; what a file name has that is no text is ``?``."""
    raw = text.encode(errors="replace")
    return struct.pack("<I", len(raw)) + raw


def string_map(pairs: Mapping[str, str]) -> bytes:
    """Return a map of strings, keys sorted, with its length in front."""
    raw = b"".join(string(key) + string(pairs[key]) for key in sorted(pairs))
    return struct.pack("<I", len(raw)) + raw


def sealed(front: bytes, pairs: Mapping[str, str]) -> dict[str, str]:
    """Return ``pairs`` with a CRC over themselves and what stands in front of them in the record.

    MCAP protects chunks, attachments and the summary, but nothing else by a CRC that can be checked
    without reading the whole file. What our reader relies on outside of those brings its own.
    """
    assert CRC_KEY not in pairs, "the key is taken by the CRC of the record"
    return {**pairs, CRC_KEY: f"{zlib.crc32(front + string_map(pairs)):08x}"}


def is_intact(front: bytes, pairs: Mapping[str, str]) -> bool | None:
    """Tell whether a map that :func:`sealed` made is what it was; None: it has no CRC."""
    if CRC_KEY not in pairs:
        return None
    bare = {key: value for key, value in pairs.items() if key != CRC_KEY}
    return sealed(front, bare) == pairs


def header(library: str) -> bytes:
    """Return the Header record."""
    return record(Op.HEADER, string("") + string(library))


def schema(schema_id: int, name: str, encoding: str, data: bytes) -> bytes:
    """Return a Schema record."""
    body = struct.pack("<H", schema_id) + string(name) + string(encoding)
    return record(Op.SCHEMA, body + struct.pack("<I", len(data)) + data)


def channel(
    channel_id: int, schema_id: int, topic: str, encoding: str, metadata: Mapping[str, str]
) -> bytes:
    """Return a Channel record, its metadata sealed."""
    body = struct.pack("<HH", channel_id, schema_id) + string(topic) + string(encoding)
    return record(Op.CHANNEL, body + string_map(sealed(body, metadata)))


def chunk_head(
    start_ns: int, end_ns: int, size: int, crc: int, compressed_size: int, compression: str
) -> bytes:
    """Return a Chunk record up to where its compressed octets begin."""
    body = struct.pack("<QQQI", start_ns, end_ns, size, crc) + string(compression)
    body += struct.pack("<Q", compressed_size)
    return RECORD_HEAD.pack(Op.CHUNK, len(body) + compressed_size) + body


def chunk_index(
    times_ns: tuple[int, int],
    chunk_at: int,
    chunk_length: int,
    index_offsets: Mapping[int, int],
    index_length: int,
    sizes: tuple[int, int],
    compression: str,
) -> bytes:
    """Return a Chunk Index record; ``sizes`` are compressed and uncompressed octets."""
    offsets = b"".join(struct.pack("<HQ", *item) for item in index_offsets.items())
    body = struct.pack("<QQQQI", *times_ns, chunk_at, chunk_length, len(offsets)) + offsets
    body += struct.pack("<Q", index_length) + string(compression) + struct.pack("<QQ", *sizes)
    return record(Op.CHUNK_INDEX, body)


def attachment(name: str, media_type: str, time_ns: int, data: bytes) -> bytes:
    """Return an Attachment record, its CRC included."""
    body = struct.pack("<QQ", time_ns, time_ns) + string(name) + string(media_type)
    body += struct.pack("<Q", len(data)) + data
    return record(Op.ATTACHMENT, body + struct.pack("<I", zlib.crc32(body)))


def attachment_index(
    at: int, length: int, name: str, media_type: str, time_ns: int, size: int
) -> bytes:
    """Return an Attachment Index record."""
    body = struct.pack("<QQQQQ", at, length, time_ns, time_ns, size)
    return record(Op.ATTACHMENT_INDEX, body + string(name) + string(media_type))


def metadata(name: str, pairs: Mapping[str, str]) -> bytes:
    """Return a Metadata record, sealed."""
    return record(Op.METADATA, string(name) + string_map(sealed(string(name), pairs)))


def metadata_index(at: int, length: int, name: str) -> bytes:
    """Return a Metadata Index record."""
    return record(Op.METADATA_INDEX, struct.pack("<QQ", at, length) + string(name))


def statistics(
    counts: Mapping[int, int],
    times_ns: tuple[int, int],
    nschemas: int,
    nattachments: int,
    nmetadata: int,
    nchunks: int,
) -> bytes:
    """Return a Statistics record; ``counts`` holds messages of every channel."""
    per_channel = b"".join(struct.pack("<HQ", *item) for item in counts.items())
    body = struct.pack(
        "<QHIIIIQQI",
        sum(counts.values()),
        nschemas,
        len(counts),
        nattachments,
        nmetadata,
        nchunks,
        *times_ns,
        len(per_channel),
    )
    return record(Op.STATISTICS, body + per_channel)


def summary_tail(summary_at: int, groups: list[tuple[int, bytes]]) -> bytes:
    """Return summary groups, summary offsets, Footer and magic for a summary at ``summary_at``."""
    body, offsets = b"", b""
    for op, content in groups:
        if content:
            place = struct.pack("<BQQ", op, summary_at + len(body), len(content))
            offsets += record(Op.SUMMARY_OFFSET, place)
        body += content
    footer = RECORD_HEAD.pack(Op.FOOTER, 20)
    footer += struct.pack("<QQ", summary_at, summary_at + len(body))
    crc = zlib.crc32(body + offsets + footer)
    return body + offsets + footer + struct.pack("<I", crc) + MAGIC
