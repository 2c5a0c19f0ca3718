"""Taking an MCAP file apart: its octets, the fields of its records, and what is wrong with it."""

from __future__ import annotations

import os
import stat
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import zstandard

from hil.capture import mcapfmt
from hil.capture.mcapfmt import FOOTER_NBYTES, MAGIC, RECORD_HEAD, Op
from hil.closing import Closing
from hil.errors import CaptureError

#: what reading fields that make no sense may raise
MALFORMED = (struct.error, ValueError, KeyError, zstandard.ZstdError)
#: A chunk is 256 KiB, or one record with its head, and a message of the bench has at most 64 MiB.
LIMIT_NBYTES = 128 << 20
_ATTACHMENT_LIMIT_NBYTES = 1 << 30
#: 256 MiB of summary is a million chunks.
_SUMMARY_LIMIT_NBYTES = 256 << 20
_TOPIC_LIMIT = 255
_DIGITS = 20  # of 2^64


class Damage(CaptureError):  # noqa: N818 - a finding that a tolerant reader survives
    """The file stops making sense at an octet; ``nbytes`` of it cannot be used."""

    def __init__(self, at: int, reason: str, nbytes: int = 0) -> None:
        self.at = at
        self.reason = reason
        self.nbytes = nbytes
        super().__init__(f"octet {at}: {reason}")


class ChannelInfo(NamedTuple):
    """An MCAP channel and, in ``kind`` and ``channel``, the wire records that it holds."""

    id: int
    topic: str
    encoding: str
    kind: int
    channel: int


class AttachmentInfo(NamedTuple):
    """Where an attachment stands."""

    at: int
    name: str
    media_type: str


class Source(Closing):
    """The octets of a file by offset.

    They are read and not mapped: a file that someone cuts while it is open costs an error here, and
    a signal that ends the process there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd: int | None = None
        try:
            # A pipe without a writer would keep us waiting.
            self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            state = os.fstat(self._fd)
            if not stat.S_ISREG(state.st_mode):
                kind = "a directory" if stat.S_ISDIR(state.st_mode) else "a pipe or a device"
                raise ValueError(f"it is {kind}, and captures are files")
            self.nbytes = state.st_size
            os.pread(self._fd, 1, 0)  # some files open, but do not read
        except (OSError, ValueError) as wrong:
            self.close()
            reason = getattr(wrong, "strerror", None) or wrong
            raise CaptureError(f"{path}: cannot be read: {reason}") from None
        self.octets_read = 0

    def close(self) -> None:
        """Let go of the file."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def refresh(self) -> int:
        """Look how large the file is now; return that."""
        self.nbytes = os.fstat(self._open()).st_size
        return self.nbytes

    def read(self, at: int, nbytes: int) -> bytes:
        """Return ``nbytes`` octets from offset ``at``; raises Damage if they are not there."""
        if not (0 <= at <= at + nbytes <= self.nbytes):
            raise Damage(at, f"{nbytes} octets wanted, the file ends at octet {self.nbytes}")
        try:
            raw = os.pread(self._open(), nbytes, at)
            while 0 < len(raw) < nbytes:
                more = os.pread(self._open(), nbytes - len(raw), at + len(raw))
                raw = raw + more if more else b""
        except OSError as wrong:
            raise Damage(at, f"the disk does not give it: {wrong.strerror}") from None
        if len(raw) < nbytes:
            raise Damage(at, "the file was cut while it was read")
        self.octets_read += nbytes
        return raw

    def head(self, at: int, end: int) -> tuple[int, int]:
        """Return opcode and end of the record at ``at``; raises Damage if ``end`` comes first."""
        if end - at < RECORD_HEAD.size:
            raise Damage(at, f"the file ends {max(end - at, 0)} octets into a record")
        op, length = RECORD_HEAD.unpack(self.read(at, RECORD_HEAD.size))
        stop = at + RECORD_HEAD.size + length
        if stop > end:
            raise Damage(at, f"the file ends {end - at} octets into a record of {stop - at}")
        return op, stop

    def record(self, at: int, wanted: Op) -> Fields:
        """Return the fields of the record at an offset that an index gave; raises Damage."""
        op, stop = self.head(at, self.nbytes)
        if op != wanted:
            raise Damage(at, f"the index points to something other than a {wanted.name} record")
        limit = _ATTACHMENT_LIMIT_NBYTES if wanted == Op.ATTACHMENT else LIMIT_NBYTES
        return self.fields(at, stop, limit)

    def fields(self, at: int, stop: int, limit_nbytes: int = LIMIT_NBYTES) -> Fields:
        """Return the fields of the record from ``at`` to ``stop``; raises Damage if it is longer
        than any of ours, as a file of holes may say at no cost."""
        if stop - at > limit_nbytes:
            raise Damage(at, f"a record of {stop - at} octets is none of ours", stop - at)
        begin = at + RECORD_HEAD.size
        return Fields(self.read(begin, stop - begin))

    def _open(self) -> int:
        if self._fd is None:
            raise CaptureError(f"{self.path}: the capture is closed; open it again to read on")
        return self._fd


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

    def sealed_map(self) -> tuple[dict[str, str], bool]:
        """Return the map that ends the record without its CRC, and whether it had one.

        Raises ValueError if there is one and it does not match.
        """
        front = self.content[: self.at]
        pairs = self.string_map()
        if self.at != len(self.content):
            raise ValueError(f"{len(self.content) - self.at} octets behind the last field")
        intact = mcapfmt.is_intact(front, pairs)
        if intact is False:
            raise ValueError("its CRC does not match")
        pairs.pop(mcapfmt.CRC_KEY, None)
        return pairs, intact is not None


def summary_of(source: Source) -> tuple[int, bytes] | None:
    """Return where the summary section starts and its octets, None if the file was never finished;
    raises Damage if they do not match their CRC."""
    tail = source.nbytes - FOOTER_NBYTES - len(MAGIC)
    if tail < len(MAGIC):
        return None
    footer = source.read(tail, FOOTER_NBYTES + len(MAGIC))
    op, length, start, _offsets, crc = struct.unpack_from("<BQQQI", footer)
    if not footer.endswith(MAGIC) or (op, length) != (Op.FOOTER, FOOTER_NBYTES - RECORD_HEAD.size):
        return None
    if not len(MAGIC) <= start <= tail:
        raise Damage(tail, "the footer points outside of the file")
    if tail - start > _SUMMARY_LIMIT_NBYTES:
        raise Damage(start, f"a summary of {tail - start} octets is none of ours")
    raw = source.read(start, tail - start)
    if crc != zlib.crc32(footer[: FOOTER_NBYTES - 4], zlib.crc32(raw)):
        raise Damage(start, "the CRC of the summary does not match")
    return start, raw


def number_in(text: str) -> int | None:
    """Return the number of 64 bits that a text of the file states; None if it states none."""
    is_number = text.isascii() and text.isdecimal() and len(text) <= _DIGITS
    return int(text) if is_number and int(text) < 1 << 64 else None


def stated_epoch(about: Mapping[str, str]) -> int | None:
    """Return the epoch that the metadata "flatsat" states, nanoseconds since 1970; None if that is
    no number of 64 bits."""
    return number_in(about.get("epoch_ns", ""))


def parse_channel(fields: Fields) -> tuple[ChannelInfo, bool]:
    """Return a Channel record, and whether its CRC says that it is what was written."""
    mcap_id, _schema = fields.take("HH")
    topic, encoding = fields.string(), fields.string()
    pairs, sealed = fields.sealed_map()
    if not topic.isprintable() or len(topic) > _TOPIC_LIMIT:  # it goes to terminals and lines
        raise ValueError(f"{topic[:60]!r} is no name of a topic")
    if not {"kind", "channel"} <= pairs.keys():
        raise ValueError(f"channel {topic!r} does not say which records of FlatSat it holds")
    kind, channel = int(pairs["kind"]), int(pairs["channel"])
    if not (0 <= kind <= 0xFF and 0 <= channel <= 0xFF):
        raise ValueError(f"kind {kind} or channel {channel} does not fit an octet")
    return ChannelInfo(mcap_id, topic, encoding, kind, channel), sealed


def parse_attachment(fields: Fields, at: int) -> tuple[AttachmentInfo, bytes]:
    """Return an Attachment record and its data; raises ValueError if its CRC does not match."""
    fields.take("QQ")
    name, media_type = fields.string(), fields.string()
    data = fields.octets(fields.take("Q")[0])
    if fields.take("I")[0] != zlib.crc32(fields.content[: fields.at - 4]):
        raise ValueError("its CRC does not match")
    return AttachmentInfo(at, name, media_type), data
