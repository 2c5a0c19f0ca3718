"""Taking an MCAP file apart: its records in order, and the fields of those that we need."""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from typing import NamedTuple

from hil.capture.mcapfmt import FOOTER_NBYTES, MAGIC, RECORD_HEAD, Op
from hil.errors import CaptureError

#: a file, mapped or read
Octets = mmap.mmap | bytes


class Damage(CaptureError):  # noqa: N818 - a finding that a tolerant reader survives
    """The file stops making sense at an octet; what stands before it is good."""

    def __init__(self, at: int, reason: str) -> None:
        self.at = at
        super().__init__(f"octet {at}: {reason}")


class ChannelInfo(NamedTuple):
    """An MCAP channel and, in ``kind`` and ``channel``, the wire records that it holds."""

    id: int
    topic: str
    encoding: str
    kind: int
    channel: int


class ChunkInfo(NamedTuple):
    """Where a chunk stands and which log times it covers."""

    at: int
    start_ns: int
    end_ns: int


class AttachmentInfo(NamedTuple):
    """Where an attachment stands."""

    at: int
    name: str
    media_type: str


class Fields:
    """A cursor over the content of one record; ValueError or struct.error if it ends too soon."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.at = 0

    def take(self, form: str) -> tuple[int, ...]:
        """Return the fields of a struct format."""
        values = struct.unpack_from("<" + form, self.content, self.at)
        self.at += struct.calcsize("<" + form)
        return values

    def octets(self, nbytes: int) -> bytes:
        """Return the next ``nbytes`` octets."""
        if nbytes > len(self.content) - self.at:
            raise ValueError(f"{nbytes} octets wanted, {len(self.content) - self.at} there")
        self.at += nbytes
        return self.content[self.at - nbytes : self.at]

    def string(self) -> str:
        """Return a string with its length in front."""
        return self.octets(self.take("I")[0]).decode()

    def string_map(self) -> dict[str, str]:
        """Return a map of strings with its length in front."""
        inner = Fields(self.octets(self.take("I")[0]))
        pairs = {}
        while inner.at < len(inner.content):
            key = inner.string()
            pairs[key] = inner.string()
        return pairs


def walk(data: Octets, at: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Yield (opcode, offset of the record, offset of its content's end); raise Damage at the end
    of what can be read."""
    while at < end:
        if end - at < RECORD_HEAD.size:
            raise Damage(at, f"the file ends {end - at} octets into a record")
        op, length = RECORD_HEAD.unpack_from(data, at)
        stop = at + RECORD_HEAD.size + length
        if stop > end:
            raise Damage(at, f"the file ends {end - at} octets into a record of {stop - at}")
        yield op, at, stop
        at = stop


def content(data: Octets, at: int, stop: int) -> Fields:
    """Return the fields of the record at ``at``."""
    return Fields(bytes(data[at + RECORD_HEAD.size : stop]))


def record_at(data: Octets, at: int, wanted: Op) -> Fields:
    """Return the fields of the record at an offset that an index gave."""
    if not 0 <= at <= len(data) - RECORD_HEAD.size:
        raise Damage(at, "the index points outside of the file")
    op, length = RECORD_HEAD.unpack_from(data, at)
    stop = at + RECORD_HEAD.size + length
    if op != wanted or stop > len(data):
        raise Damage(at, f"the index points to something other than a {wanted.name} record")
    return content(data, at, stop)


def summary_start(data: Octets) -> int | None:
    """Return where the summary section starts, or None if the file was never finished."""
    tail = len(data) - FOOTER_NBYTES - len(MAGIC)
    if tail < len(MAGIC) or data[-len(MAGIC) :] != MAGIC:
        return None
    op, length = RECORD_HEAD.unpack_from(data, tail)
    if op != Op.FOOTER or length != FOOTER_NBYTES - RECORD_HEAD.size:
        return None
    start = int(struct.unpack_from("<Q", data, tail + RECORD_HEAD.size)[0])
    return start if len(MAGIC) <= start <= tail else None


def parse_channel(fields: Fields) -> ChannelInfo:
    """Return a Channel record."""
    mcap_id, _schema = fields.take("HH")
    topic, encoding, pairs = fields.string(), fields.string(), fields.string_map()
    kind, channel = int(pairs["kind"]), int(pairs["channel"])
    if not (0 <= kind <= 0xFF and 0 <= channel <= 0xFF):
        raise ValueError(f"kind {kind} or channel {channel} does not fit an octet")
    return ChannelInfo(mcap_id, topic, encoding, kind, channel)


def parse_attachment(fields: Fields, at: int) -> tuple[AttachmentInfo, bytes]:
    """Return an Attachment record and its data."""
    fields.take("QQ")
    name, media_type = fields.string(), fields.string()
    return AttachmentInfo(at, name, media_type), fields.octets(fields.take("Q")[0])
