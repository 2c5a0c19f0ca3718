"""Chunks of a capture: where they stand, what is in them, and their content as wire records."""

from __future__ import annotations

import zlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import zstandard
from numpy.typing import NDArray

from flightsw.codec.native import ffi, lib
from flightsw.codec.wire import HEADER
from hil.capture import topics as topic_table
from hil.capture.mcapfmt import RECORD_HEAD
from hil.capture.mcapread import LIMIT_NBYTES, MALFORMED, ChannelInfo, Damage, Fields
from hil.errors import CaptureError

#: ``fs_mcap_place`` of ``csrc/record/mcap_read.h``: what the index says of a chunk
PLACE = np.dtype(
    [
        (name, "<u8")
        for name in (
            "at",
            "length",
            "start_ns",
            "end_ns",
            "packed",
            "size",
            "nmessages",
            "channels",
        )
    ]
)
#: octets of a Chunk record besides its head, the name of the compression and the content
FIXED_NBYTES = 8 + 8 + 8 + 4 + 4 + 8
_SKIP, _RECORD, _BARE = 0x10000, 0x20000, 0x30000
_FOREVER = (1 << 64) - 1
ANY_STEP = -(1 << 63)
#: head of a Message record: opcode, length, channel, sequence, log time, publish time
_MESSAGE_HEAD_NBYTES = 31
_EVERY_CHANNEL = (1 << 64) - 1


class Seen(NamedTuple):
    """What was seen in a chunk, wanted or not; times are log times, nanoseconds since 1970."""

    nmessages: int
    nstrange: int
    nrecords: int
    start_ns: int
    end_ns: int
    channels: int
    first_seq: int
    last_seq: int


@dataclass(frozen=True)
class Choice:
    """Which records of a chunk are wanted; ``least_step`` counts sequence numbers from the chunk's
    first message. Times are nanoseconds since the mission epoch, ``last_ns`` inclusive."""

    sources: NDArray[np.uint32]
    epoch_ns: int
    start_ns: int = 0
    last_ns: int = _FOREVER
    least_step: int = ANY_STEP


#: looks at everything and takes nothing
NOTHING = Choice(np.zeros(1 << 16, np.uint32), 0)


def sources_of(
    channels: Iterable[ChannelInfo], topics: Collection[str] | None = None
) -> tuple[NDArray[np.uint32], int]:
    """Return the table for ``fs_mcap_unpack`` that takes the channels of ``topics``, and the bits
    of ``PLACE["channels"]`` that they set."""
    sources, bits = np.zeros(1 << 16, np.uint32), 0
    for channel in channels:
        is_json = channel.encoding == topic_table.JSON_ENCODING
        mode = _BARE if is_json else _RECORD
        if topics is not None and channel.topic not in topics:
            mode = _SKIP
        else:
            bits |= 1 << (channel.id & 63)
        sources[channel.id] = mode | channel.kind << 8 | channel.channel
    return sources, _EVERY_CHANNEL if topics is None else bits


def decompressed(fields: Fields, at: int) -> bytes:
    """Return the content of the Chunk record at octet ``at``, its CRC checked; raises Damage."""
    nbytes = RECORD_HEAD.size + len(fields.content)
    try:
        fields.take("QQ")
        size, crc = fields.take("QI")
        compression = fields.string()
        packed = fields.octets(fields.take("Q")[0])
        if fields.at != len(fields.content):
            raise ValueError("its length contradicts what is in it")
        if size > LIMIT_NBYTES:
            raise ValueError(f"it claims {size} octets")
        content = _DECOMPRESS.get(compression, _unknown)(packed, size)
    except MALFORMED as wrong:
        raise Damage(at, f"the chunk cannot be decompressed: {wrong}", nbytes) from None
    if len(content) != size or zlib.crc32(content) != crc:
        raise Damage(at, "the CRC of the chunk does not match", nbytes)
    return content


def packed_in(chunk: bytes) -> tuple[str, bytes]:
    """Return compression and compressed octets of the content of a good Chunk record."""
    fields = Fields(chunk)
    fields.take("QQQI")
    return fields.string(), fields.octets(fields.take("Q")[0])


def _from_zstd(packed: bytes, size: int) -> bytes:
    # The library believes the size in a frame: ask before it takes the memory.
    claimed = zstandard.frame_content_size(packed)
    if claimed not in (-1, size):
        raise ValueError(f"its frame claims {claimed} octets, its head {size}")
    content = zstandard.ZstdDecompressor().decompress(packed, max_output_size=size or 1)
    return bytes(content)


def _from_lz4(packed: bytes, size: int) -> bytes:
    try:
        import lz4.frame
    except ModuleNotFoundError:
        raise CaptureError(
            "a chunk of the capture is compressed with lz4, which is not installed; "
            "run `pip install 'flatsat[lz4]'`"
        ) from None
    try:
        inside = lz4.frame.LZ4FrameDecompressor()
        return bytes(inside.decompress(packed, max_length=size + 1))
    except RuntimeError as wrong:
        raise ValueError(str(wrong)) from None


def _as_it_is(packed: bytes, size: int) -> bytes:
    return packed


def _unknown(packed: bytes, size: int) -> bytes:
    raise ValueError("its compression is none of zstd, lz4 and none")


_DECOMPRESS = {"zstd": _from_zstd, "lz4": _from_lz4, "": _as_it_is}

_REASONS = {
    lib.FS_E_SHORT: "the chunk holds a cut record",
    lib.FS_E_FORMAT: "the chunk holds a message without a whole wire record",
    lib.FS_E_CHECK: "the chunk contradicts its channel or the epoch of the capture",
}


def unpack(content: bytes, choice: Choice, at: int) -> tuple[bytes, Seen]:
    """Return the chosen wire records of a chunk's content, and what was seen; raises Damage."""
    # A head of 31 octets becomes one of 32, so an octet a message is the most that it can grow.
    capacity = len(content) + len(content) // 31 + 1
    out = np.empty(capacity, np.uint8)
    seen = ffi.new("fs_mcap_seen *")
    chosen = ffi.new("fs_mcap_choice *")
    chosen.sources = ffi.from_buffer("uint32_t[]", choice.sources)
    chosen.epoch_ns = choice.epoch_ns
    chosen.start_ns, chosen.last_ns = choice.start_ns, choice.last_ns
    chosen.least_step = choice.least_step
    used = lib.fs_mcap_unpack(
        ffi.from_buffer(content), len(content), chosen, ffi.from_buffer(out), capacity, seen
    )
    if used < 0:
        raise Damage(at, _REASONS[used])
    return out[:used].tobytes(), Seen(*(int(getattr(seen, name)) for name in Seen._fields))


def places_in(summary: bytes) -> tuple[NDArray[Any], NDArray[np.uint64]]:
    """Return the chunk indexes of a summary section as an array of :data:`PLACE`, and the offsets
    of its other records; raises ValueError."""
    counts = ffi.new("uint64_t[2]")
    places, others = np.empty(0, PLACE), np.empty(0, np.uint64)
    for _ in range(2):  # once to count, once to fill
        found = lib.fs_mcap_summary(
            ffi.from_buffer(summary),
            len(summary),
            ffi.cast("fs_mcap_place *", ffi.from_buffer(places)),
            len(places),
            ffi.cast("uint64_t *", ffi.from_buffer(others)),
            len(others),
            counts,
        )
        if found < 0:
            raise ValueError("the summary is malformed")
        if len(places) != counts[0] or len(others) != counts[1]:
            places, others = np.empty(counts[0], PLACE), np.empty(counts[1], np.uint64)
    return places, others


def check_places(places: NDArray[Any], end: int) -> NDArray[Any]:
    """Return the places in the order of the file; raises ValueError if they cannot be true.

    ``end`` is where the data section ends at the latest. None may overlap: an index that names a
    chunk twice would give its records twice.
    """
    ordered = places[np.argsort(places["at"], kind="stable")]
    at, length = ordered["at"], ordered["length"]
    smallest = RECORD_HEAD.size + FIXED_NBYTES
    if np.any(at > end) or np.any(length > end) or np.any(at + length > end):
        raise ValueError("the index points outside of the file")
    if np.any(at < 8) or np.any(length < smallest) or np.any(at[1:] < (at + length)[:-1]):
        raise ValueError("chunks overlap in the index")
    if np.any(ordered["packed"] > length) or np.any(ordered["size"] > LIMIT_NBYTES):
        raise ValueError("the index names impossible sizes")
    if np.any(ordered["nmessages"] > ordered["size"] // 31):
        raise ValueError("the index names more messages than a chunk can hold")
    return ordered


#: ``fs_mcap_entry``: a message in a chunk
ENTRY = np.dtype([("time_ns", "<u8"), ("offset", "<u4"), ("id", "<u2"), ("zero", "<u2")])


def entries_of(content: bytes, seen: Seen) -> NDArray[Any]:
    """Return the messages of a chunk's content as an array of :data:`ENTRY`."""
    entries = np.empty(seen.nmessages, ENTRY)
    found = lib.fs_mcap_entries(
        ffi.from_buffer(content),
        len(content),
        ffi.cast("fs_mcap_entry *", ffi.from_buffer(entries)),
        len(entries),
    )
    assert found == len(entries), "both walk the same messages"
    return entries


def epoch_in(content: bytes, channels: Mapping[int, ChannelInfo]) -> int | None:
    """Return the epoch by the first message of a chunk that is a whole wire record: log time is
    the epoch plus what the record says; None if there is no such message."""
    seen = unpack(content, NOTHING, 0)[1]
    for entry in entries_of(content, seen).tolist():
        log_ns, offset, mcap_id, _zero = entry
        channel = channels.get(mcap_id)
        begin = offset + _MESSAGE_HEAD_NBYTES
        if channel and channel.encoding != topic_table.JSON_ENCODING and begin + 32 <= len(content):
            epoch_ns = int(log_ns) - int(HEADER.unpack_from(content, begin)[5])
            return epoch_ns if epoch_ns >= 0 else None
    return None


def counts_of(entries: NDArray[Any]) -> dict[int, int]:
    """Return the number of messages by MCAP channel."""
    ids, counts = np.unique(entries["id"], return_counts=True)
    return dict(zip(ids.tolist(), counts.tolist(), strict=True))
