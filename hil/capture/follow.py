"""Following a capture while it is written: what a live tap reads. The run pays nothing for it."""

from __future__ import annotations

from pathlib import Path

from hil.capture.chunks import Choice, decompressed, sources_of, unpack
from hil.capture.mcapfmt import MAGIC, RECORD_HEAD, Op
from hil.capture.mcapread import (
    MALFORMED,
    ChannelInfo,
    Damage,
    Fields,
    Source,
    parse_channel,
    stated_epoch,
)
from hil.closing import Closing
from hil.errors import CaptureError


class Follower(Closing):
    """Reads a growing capture chunk by chunk; a context manager.

    The file may be renamed and even removed meanwhile: its descriptor is kept. ``metadata`` and
    ``channels`` (by MCAP channel) hold what has come so far, and are complete for every record that
    :meth:`poll` has returned.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.channels: dict[int, ChannelInfo] = {}
        self.metadata: dict[str, dict[str, str]] = {}
        #: whether the writer has ended the file, and everything of it was returned
        self.finished = False
        self.counters = {"chunks": 0, "octets": 0}
        self._source = Source(self.path)
        self._at = len(MAGIC)
        self._choice: Choice | None = None

    def close(self) -> None:
        """Let go of the file."""
        self._source.close()

    @property
    def epoch_ns(self) -> int:
        """The mission epoch, nanoseconds since 1970-01-01 UTC; KeyError before it was written."""
        return int(self.metadata["flatsat"]["epoch_ns"])

    def poll(self, most_nbytes: int = 16 << 20) -> bytes:
        """Return the wire records of the chunks that were closed since the last call, in recorded
        order; nothing if there are none.

        Stops early once it holds ``most_nbytes``: call again until nothing comes. Raises
        CaptureError if what was written is no capture or damaged, once what stands in front of the
        damage was given; it never waits.
        """
        found, nbytes = [], 0
        if self._source.refresh() < self._at and self._at > len(MAGIC):
            self.finished = True  # a full disk: the writer took its last chunks back
        try:
            while not self.finished and nbytes < most_nbytes:
                stop = self._whole_record()
                if stop is None:
                    break
                octets = self._take(stop)
                found.append(octets)
                nbytes += len(octets)
        except Damage as damage:
            if not nbytes:  # else the next call meets it again
                raise CaptureError(f"{self.path}: cannot be followed: {damage}") from None
        self.counters["octets"] += nbytes
        return b"".join(found)

    def _whole_record(self) -> int | None:
        """Return where the next record ends, or None if it is not all there yet; raises Damage."""
        source, at = self._source, self._at
        if at == len(MAGIC) and source.nbytes >= at and source.read(0, at) != MAGIC:
            raise Damage(0, "not an MCAP file")
        if source.nbytes - at < RECORD_HEAD.size:
            return None
        _op, length = RECORD_HEAD.unpack(source.read(at, RECORD_HEAD.size))
        stop = at + RECORD_HEAD.size + length
        return int(stop) if stop <= source.nbytes else None

    def _take(self, stop: int) -> bytes:
        """Take in the record that ends at ``stop``; return the wire records in it."""
        at, octets = self._at, b""
        op, _stop = self._source.head(at, stop)
        try:
            if op == Op.CHANNEL:
                channel, _sealed = parse_channel(self._source.fields(at, stop))
                self.channels[channel.id] = channel
                self._choice = None
            elif op == Op.METADATA:
                fields = self._source.fields(at, stop)
                name = fields.string()
                pairs, _sealed = fields.sealed_map()
                if name == "flatsat" and stated_epoch(pairs) is None:
                    raise ValueError("it states no epoch")
                self.metadata[name] = pairs
            elif op == Op.CHUNK:
                octets = self._chunk(self._source.fields(at, stop), at)
            else:
                Op(op)  # ValueError if that is none
        except MALFORMED as wrong:
            raise Damage(at, f"a record is malformed: {wrong}") from None
        self.finished = op == Op.DATA_END
        self._at = stop
        return octets

    def _chunk(self, fields: Fields, at: int) -> bytes:
        """Return the wire records of a chunk."""
        if self._choice is None:
            self._choice = Choice(sources_of(self.channels.values())[0], self.epoch_ns)
        octets, seen = unpack(decompressed(fields, at), self._choice, at)
        if seen.nstrange:
            raise Damage(at, f"{seen.nstrange} records of channels that nothing describes")
        self.counters["chunks"] += 1
        return octets
