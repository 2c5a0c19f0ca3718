"""Making a whole capture of what a crash or an accident has left of one.

Every chunk that is whole is copied as it lies, compressed as it was; what stands around the chunks
is made anew. Nothing is guessed: a chunk that does not match its CRC is left out, and what is lost
is said by octet, time and sequence number, also in the metadata of the new file.
"""

from __future__ import annotations

import json
import struct
import zlib
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np

from flightsw.codec.native import ffi, lib
from hil.capture import topics
from hil.capture.capturefile import END_TABLE, CaptureFile, ClosedChunk
from hil.capture.chunks import (
    Choice,
    Seen,
    counts_of,
    decompressed,
    entries_of,
    packed_in,
    sources_of,
    unpack,
)
from hil.capture.contents import Contents, by_summary, by_walking, settle_epoch
from hil.capture.mcapfmt import MAGIC, RECORD_HEAD, Op
from hil.capture.mcapread import Damage, Source, number_in, parse_attachment
from hil.errors import CaptureError

#: metadata of a recovered capture: what it was made of, and what is lost
RECOVERED_TABLE = "flatsat.recovered"
SUFFIX = ".partial"
_INDEX_HEAD_NBYTES = 15
_SCHEMA_OF_CHANNEL = struct.Struct("<H")


@dataclass(frozen=True)
class Loss:
    """What is missing at one place; times in seconds since the epoch of the mission."""

    octet: int
    nbytes: int
    reason: str
    #: time of the latest record in front of it and of the earliest one behind it
    after_s: float | None = None
    before_s: float | None = None
    #: sequence numbers that are missing there; None where nothing follows that would tell
    missing: int | None = None

    def line(self) -> str:
        """Return it as one line."""
        where = {
            (True, True): f"between {_seconds(self.after_s)} and {_seconds(self.before_s)}",
            (True, False): f"from {_seconds(self.after_s)} on",
            (False, True): f"before {_seconds(self.before_s)}",
        }.get((self.after_s is not None, self.before_s is not None), "everything")
        what = f"octet {self.octet:,}: {self.reason}"
        if not self.nbytes and not self.missing:
            return what
        records = "" if self.missing is None else f", {self.missing:,} sequence numbers"
        return f"lost {where}: {self.nbytes:,} octets{records}; {what}"


@dataclass(frozen=True)
class Recovered:
    """What became of one capture. ``target`` is None if it was whole, and nothing was written."""

    source: Path
    target: Path | None
    records: int
    chunks: int
    until_s: float
    losses: tuple[Loss, ...]

    def lines(self) -> list[str]:
        """Return what a person reads."""
        held = f"{self.records:,} records until {_seconds(self.until_s)} in {self.chunks:,} chunks"
        if self.target is None:
            return [f"{self.source}: whole, {held}; nothing to recover"]
        return [
            f"{self.source}: {held} are in {self.target}",
            *(f"  {loss.line()}" for loss in self.losses),
        ]

    def as_json(self) -> dict[str, Any]:
        """Return it for programs."""
        target = None if self.target is None else str(self.target)
        return {**asdict(self), "source": str(self.source), "target": target}


def target_of(path: Path) -> Path:
    """Return where the recovered capture goes unless somebody says otherwise."""
    if path.name.endswith(SUFFIX):
        return path.with_name(path.name.removesuffix(SUFFIX))
    return path.with_name(f"{path.stem}.recovered{path.suffix}")


def recover(path: Path, out: Path | None = None, in_place: bool = False) -> Recovered:
    """Make a whole capture of ``path``, beside it or at ``out``; with ``in_place`` in its stead.

    The original is not touched unless ``in_place``; even then it is whole until its successor is on
    the disk. Raises CaptureError if nothing can be recovered or the target is there already, and
    RunDirectoryError if the disk does not take the new file.
    """
    target = out or target_of(path)
    replaced = path if in_place and not path.name.endswith(SUFFIX) else None
    target = replaced or target
    with Source(path) as source:
        try:
            contents = _examine(source)
        except Damage as damage:
            raise CaptureError(
                f"{path}: nothing can be recovered: {damage}; the file has {source.nbytes} octets"
            ) from None
        if not contents.damages and not path.name.endswith(SUFFIX) and out is None:
            return _whole(path, contents)
        if target.exists() and replaced is None:
            raise CaptureError(f"{target}: is there already; name another place with --out")
        work = target.with_name(target.name + ".recovered")
        rebuilding = _Rebuilding(source, contents, work)
        try:
            result = rebuilding.run(target)
            work.replace(target)
        except BaseException:
            rebuilding.file.remove()
            work.unlink(missing_ok=True)
            raise
    if in_place and path != target:
        path.unlink()
    return result


def _examine(source: Source) -> Contents:
    """Return what a file still holds, every octet of it looked at; raises Damage if that is
    nothing."""
    contents = by_walking(source)
    if source.nbytes < len(MAGIC) or source.read(0, len(MAGIC)) != MAGIC:
        contents.damages.insert(0, Damage(0, "the file does not begin as an MCAP file"))
    settle_epoch(source, contents, ask=True)
    try:
        by_summary(source)
    except Damage as damage:
        contents.damages.append(damage)
    if contents.data_end is not None and not contents.damages:
        end, stated = contents.data_end
        if stated not in (0, _crc_until(source, end)):
            reason = "the CRC of the data section does not match; all records are good"
            contents.damages.append(Damage(end, reason))
    return contents


def _crc_until(source: Source, end: int) -> int:
    crc = at = 0
    while at < end:
        piece = source.read(at, min(1 << 20, end - at))
        crc, at = zlib.crc32(piece, crc), at + len(piece)
    return crc


def _whole(path: Path, contents: Contents) -> Recovered:
    places, epoch_ns = contents.places, int(contents.metadata["flatsat"]["epoch_ns"])
    end_ns = int(places["end_ns"].max()) if len(places) else epoch_ns
    count = int(places["nmessages"].sum())
    return Recovered(path, None, count, len(places), (end_ns - epoch_ns) / 1e9, ())


class _Rebuilding:
    """One capture being made of another."""

    def __init__(self, source: Source, contents: Contents, work: Path) -> None:
        self.source, self.contents = source, contents
        self.epoch_ns = int(contents.metadata["flatsat"]["epoch_ns"])
        self.choice = Choice(sources_of(contents.channels.values())[0], self.epoch_ns)
        work.with_name(work.name + SUFFIX).unlink(missing_ok=True)
        work.unlink(missing_ok=True)
        schema = None if contents.schema_at is None else self._raw(contents.schema_at)
        self.file = CaptureFile(work, self.epoch_ns, "zstd", schema)
        last = max(contents.channels, default=0)
        topics = {mcap_id: channel.topic for mcap_id, channel in contents.channels.items()}
        self.file.topics = [topics.get(mcap_id, "") for mcap_id in range(1, last + 1)]
        self.damages = list(contents.damages)
        #: of each chunk copied: where it stood, what was seen in it
        self.copied: list[tuple[int, Seen]] = []

    def run(self, target: Path) -> Recovered:
        """Copy what is good, and say what is not; return that."""
        contents, file = self.contents, self.file
        for name, pairs in contents.metadata.items():
            if name not in (END_TABLE, RECOVERED_TABLE):
                file.add_metadata(name, pairs)
        for name in contents.attachments:
            info = contents.attachments[name]
            fields = self.source.record(info.at, Op.ATTACHMENT)
            file.add_attachment(name, info.media_type, parse_attachment(fields, info.at)[1])
        for place in contents.places:
            self._copy(int(place["at"]), int(place["length"]))
        losses = tuple(self._losses())
        told = json.dumps([asdict(loss) for loss in losses], sort_keys=True)
        file.add_metadata(RECOVERED_TABLE, {"from": self.source.path.name, "lost": told})
        self._end()
        file.finish()
        end_ns = max((seen.end_ns for _, seen in self.copied), default=self.epoch_ns)
        records = sum(file.counts.values())
        until_s = self._since_s(end_ns)
        return Recovered(self.source.path, target, records, file.chunks, until_s, losses)

    def _copy(self, at: int, nbytes: int) -> None:
        """Copy the chunk at ``at``, or note why it is left out."""
        fields = self.source.record(at, Op.CHUNK)
        try:
            content = decompressed(fields, at)
            _records, seen = unpack(content, self.choice, at)
        except Damage as damage:
            self.damages.append(Damage(at, damage.reason, nbytes))
            return
        entries = entries_of(content, seen)
        compression, packed = packed_in(fields.content)
        if seen.nstrange:
            why = f"{seen.nstrange} records of channels that nothing describes"
            self.damages.append(Damage(at, why, nbytes))
            known = np.isin(entries["id"], list(self.contents.channels))
            content = b"".join(_messages(content, entries["offset"][known].tolist()))
            compression, packed = "", content
            seen = unpack(content, self.choice, at)[1]
            entries = entries_of(content, seen)
        if not seen.nmessages:
            return
        self.file.store_packed(self._closed(content, entries, seen), packed, compression)
        self.copied.append((at, seen))

    def _closed(self, content: bytes, entries: np.ndarray[Any, Any], seen: Seen) -> ClosedChunk:
        """Return the content of a chunk with its indexes and the channels that are new in it."""
        counts = counts_of(entries)
        nids = max(counts) + 1
        ncounts, places = ffi.new("uint32_t[]", nids), ffi.new("uint64_t[]", nids)
        room = np.empty(16 * len(entries) + _INDEX_HEAD_NBYTES * len(counts), np.uint8)
        given = ffi.cast("fs_mcap_entry *", ffi.from_buffer(entries))
        used = lib.fs_mcap_index(
            given, len(entries), ncounts, places, nids, ffi.from_buffer(room), len(room)
        )
        assert used == len(room), "room was made for just these indexes"
        ends = {mcap_id: int(places[mcap_id]) for mcap_id in counts}
        begins = {i: ends[i] - 16 * counts[i] - _INDEX_HEAD_NBYTES for i in counts}
        fresh = sorted(set(counts) - set(self.file.counts))
        channels = tuple(self._channel(self.contents.channels_at[mcap_id]) for mcap_id in fresh)
        times_ns = (seen.start_ns, seen.end_ns)
        return ClosedChunk(channels, content, room.tobytes(), counts, begins, times_ns)

    def _channel(self, at: int) -> bytes:
        """Return a Channel record, of the one schema that there is, or of none."""
        raw, schema_id = self._raw(at), _SCHEMA_OF_CHANNEL
        if schema_id.unpack_from(raw, RECORD_HEAD.size + 2)[0] not in (0, topics.SCHEMA_ID):
            patched = bytearray(raw)
            schema_id.pack_into(patched, RECORD_HEAD.size + 2, topics.SCHEMA_ID)
            return bytes(patched)
        return raw

    def _raw(self, at: int) -> bytes:
        """Return a whole record as it stands in the file."""
        return self.source.read(at, self.source.head(at, self.source.nbytes)[1] - at)

    def _end(self) -> None:
        """Let the end table say how the recording ended, and what it had lost itself."""
        before = self.contents.metadata.get(END_TABLE, {})
        self.file.ended = ", ".join(filter(None, (before.get("ended"), "recovered")))
        for key, count in before.items():
            if key.startswith("lost ") and (number := number_in(count)) is not None:
                self.file.lost[key.removeprefix("lost ")] = number

    def _losses(self) -> Iterator[Loss]:
        """Yield what is lost in the order of the file."""
        places = [at for at, _ in self.copied]
        ends = list(accumulate((seen.end_ns for _, seen in self.copied), max))
        starts = list(accumulate((seen.start_ns for _, seen in reversed(self.copied)), min))[::-1]
        for damage in sorted(self.damages, key=lambda damage: damage.at):
            before = bisect_left(places, damage.at)
            behind = bisect_right(places, damage.at)
            after_s = before_s = missing = None
            if before:
                after_s = self._since_s(ends[before - 1])
            if behind < len(places):
                before_s = self._since_s(starts[behind])
            if before and behind < len(places):
                step = self.copied[behind][1].first_seq - self.copied[before - 1][1].last_seq
                missing = max(step % 2**32 - 1, 0)
            yield Loss(damage.at, damage.nbytes, damage.reason, after_s, before_s, missing)

    def _since_s(self, log_ns: int) -> float:
        return (log_ns - self.epoch_ns) / 1e9


def _messages(content: bytes, offsets: list[int]) -> Iterator[bytes]:
    """Yield the Message records at these offsets of a chunk's content."""
    for at in offsets:
        length = RECORD_HEAD.unpack_from(content, at)[1]
        yield content[at : at + RECORD_HEAD.size + length]


def _seconds(time_s: float | None) -> str:
    return "" if time_s is None else f"{time_s:.6f} s"
