"""Judging a mock: what the payload computer did, held against what it did then."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hil.capture.topics import topic_of
from hil.replay.compare import Comparison
from hil.replay.decode import Decoder
from hil.replay.mockrecord import Recording
from hil.replay.rules import Rules
from hil.replay.verdict import TopicCount, Verdict


class Judge:
    """Keeps what is done, and compares it when the flight is over."""

    def __init__(
        self, recording: Recording, decoder: Decoder, rules: Rules, names: Mapping[int, str]
    ) -> None:
        self._recording = recording
        self._decoder = decoder
        self._rules = rules
        self._names = names
        self._new: list[bytes] = []

    def feed(self, octets: bytes) -> None:
        """Take whole records of what is done."""
        self._new.append(octets)

    def verdict(self, stopped: bool = False) -> Verdict:
        """Return the verdict; ``stopped``: nothing is missing behind the end of the new stream."""
        recorded = self._recording.joined_acts()
        if b"".join(self._new) == recorded:
            return Verdict(None, self._counts(), same_octets=True)
        comparison = Comparison([recorded], self._decoder, self._rules, self._names)
        for octets in self._new:
            comparison.feed(octets)
        return comparison.finish(stopped)

    def _counts(self) -> dict[str, TopicCount]:
        """Return how many records there are by topic, where all are the same."""
        heads = self._recording.heads[self._recording.is_act]
        counts: dict[str, TopicCount] = {}
        pairs = heads["kind"].astype(np.uint16) << 8 | heads["channel"]
        for pair, number in zip(*np.unique(pairs, return_counts=True), strict=True):
            topic = topic_of(int(pair) >> 8, int(pair) & 0xFF, self._names)
            if self._rules.compares(topic):
                count = counts.setdefault(topic, TopicCount())
                count.recorded += int(number)
                count.replayed += int(number)
        return counts
