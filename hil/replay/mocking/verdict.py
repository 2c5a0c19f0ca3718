"""Judging a mock: what the payload computer did, held against what it did then."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from hil.capture.topics import topic_of
from hil.replay.compare import Comparison
from hil.replay.decode import Decoder
from hil.replay.mocking.stream import MockStream
from hil.replay.rules import Rules
from hil.replay.verdict import TopicCount, Verdict
from hil.time.kernel import NEVER_NS

#: Records that are compared at a time.
_BATCH = 4096


class Judge:
    """Compares what a mock came to with what was recorded."""

    def __init__(
        self, stream: MockStream, decoder: Decoder, rules: Rules, names: Mapping[int, str]
    ) -> None:
        self._stream = stream
        self._recording = stream.recording
        self._decoder = decoder
        self._rules = rules
        self._names = names

    def verdict(self, end_ns: int = NEVER_NS, beyond: bool = False) -> Verdict:
        """Return the verdict.

        The new run was ended at ``end_ns``: what was not over by then need not be there. What is
        done ``beyond`` the end of a recording that breaks off is nothing that it could know.
        """
        stream, recording = self._stream, self._recording
        if beyond:
            del stream.kept[stream.matched :]
        acts = self._expected(end_ns)
        if stream.kept == acts:
            return Verdict(None, self._counts(acts), same_octets=True)
        recorded = (recording.joined(acts[n : n + _BATCH]) for n in range(0, len(acts), _BATCH))
        comparison = Comparison(recorded, self._decoder, self._rules, self._names)
        for octets in self.new():
            comparison.feed(octets)
        return comparison.finish()

    def _expected(self, end_ns: int) -> list[int]:
        """Return the indices of what was done then and is to be done again by ``end_ns``, or was
        done again all the same."""
        stream, heads = self._stream, self._recording.heads
        expected = heads["t_ns"] + heads["duration_ns"] < end_ns
        expected[[kept for kept in stream.kept if isinstance(kept, int)]] = True
        expected[sorted(stream.moved)] = True
        found: list[int] = np.flatnonzero(self._recording.is_act & expected).tolist()
        return found

    def new(self) -> Iterator[bytes]:
        """Yield what was done this time, many records at once."""
        stream = self._stream
        for n in range(0, len(stream.kept), _BATCH):
            yield b"".join(map(stream.octets, stream.kept[n : n + _BATCH]))

    def _counts(self, acts: list[int]) -> dict[str, TopicCount]:
        """Return how many records there are by topic, where all are the same."""
        heads = self._recording.heads[acts]
        counts: dict[str, TopicCount] = {}
        pairs = heads["kind"].astype(np.uint16) << 8 | heads["channel"]
        for pair, number in zip(*np.unique(pairs, return_counts=True), strict=True):
            topic = topic_of(int(pair) >> 8, int(pair) & 0xFF, self._names)
            if self._rules.compares(topic):
                count = counts.setdefault(topic, TopicCount())
                count.recorded += int(number)
                count.replayed += int(number)
        return counts
