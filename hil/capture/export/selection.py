"""Which records of a capture are meant: by topic, time and sequence number."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import NamedTuple

import numpy as np

from flightsw.codec.wire import scan
from hil.capture.export.naming import chosen
from hil.capture.reader import Capture
from hil.errors import ConfigError, UsageError
from hil.units import parse_quantity

_SECOND = 10**9
#: where the number stands in a wire record
_SEQ_AT = (24, 28)
_SEQ = "seq="
_SEQ_DIGITS = 18  # more than a capture can hold


class Bound(NamedTuple):
    """An end of a selection: ns since the epoch of the mission, or a sequence number."""

    t_ns: int | None = None
    seq: int | None = None


def bound(text: str | None, option: str) -> Bound:
    """Read ``300``, ``5.5 min`` or ``seq=4711``; raises UsageError that names the option."""
    if text is None:
        return Bound()
    if text.startswith(_SEQ):
        if not text[len(_SEQ) :].isdecimal() or len(text) > len(_SEQ) + _SEQ_DIGITS:
            raise UsageError(f"{option} {text!r}: give a sequence number, as seq=4711")
        return Bound(seq=int(text[len(_SEQ) :]))
    try:
        seconds = float(text) if text.replace(".", "", 1).isdecimal() else parse_quantity(text, "s")
    except ConfigError as wrong:
        raise UsageError(f"{option}: {wrong}; seconds may stand alone, or give seq=4711") from None
    if not 0 <= seconds < 2**33:
        raise UsageError(f"{option} {text!r}: no time of a run; give seconds, as 300")
    return Bound(t_ns=round(seconds * _SECOND))


class Selection:
    """Records of ``capture`` on the topics that the words mean, from one bound up to another.

    Raises :class:`~hil.errors.UsageError` for a word that means no topic of the capture.
    """

    def __init__(
        self,
        capture: Capture,
        words: Collection[str] = (),
        begin: Bound = Bound(),  # noqa: B008  # a tuple of nothing
        end: Bound = Bound(),  # noqa: B008
    ) -> None:
        self.capture = capture
        every = sorted({channel.topic for channel in capture.channels.values()})
        self.topics = chosen(every, words)
        self.is_whole = not words
        self.begin, self.end = begin, end

    @property
    def is_cut_by_time(self) -> bool:
        """Tell whether a bound is a time: numbers at the edges may then be missing."""
        return self.begin.t_ns is not None or self.end.t_ns is not None

    def buffers(self, every_topic: bool = False) -> Iterator[bytes]:
        """Yield whole records in recorded order, many at a time."""
        topics = None if every_topic or self.is_whole else self.topics
        begin, end = self.begin, self.end
        for buffer in self.capture.pieces(topics, begin.t_ns or 0, end.t_ns, begin.seq or 0):
            kept = buffer if end.seq is None else self._cut(buffer, end.seq)
            if kept:
                yield kept

    @staticmethod
    def _cut(buffer: bytes, end: int) -> bytes:
        """Return the records of a buffer whose number is below ``end``."""
        at = np.array(scan(buffer), dtype=np.int64)
        if not len(at):
            return b""
        octets = np.frombuffer(buffer, dtype=np.uint8)
        seq = octets[at[:, None] + np.arange(*_SEQ_AT)].copy().view("<u4")[:, 0]
        kept = seq < end
        if kept.all():
            return buffer
        stops = np.append(at[1:], len(buffer))
        edges = np.flatnonzero(np.diff(np.concatenate(([False], kept, [False])).astype(np.int8)))
        runs = zip(edges[::2], edges[1::2], strict=True)
        return b"".join(buffer[at[first] : stops[last - 1]] for first, last in runs)
