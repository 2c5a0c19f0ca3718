"""Many wire records at a time: where each begins, its topic, and its octets that count."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from flightsw.codec.errors import TruncatedError
from flightsw.codec.native import ffi, lib
from flightsw.codec.wire import HEADER_NBYTES
from hil.capture.topics import topic_of
from hil.replay.rules import Rules

#: offset and octets of the header fields that rules may be about
PLACES: Mapping[str, tuple[int, int]] = {
    "flags": (2, 1),
    "status": (3, 1),
    "t_ns": (8, 8),
    "duration_ns": (16, 8),
    "seq": (24, 4),
    "address": (28, 4),
}
#: those that may be tolerated by an amount before anything is decoded
TIMES = ("t_ns", "duration_ns")
SKIPPED = -1


class Topics:
    """The topics of a comparison, numbered as they come; records of one that is not compared have
    the number SKIPPED."""

    def __init__(self, rules: Rules, names: Mapping[int, str]) -> None:
        self._rules, self._names_by_channel = rules, names
        self.names: list[str] = []
        self._numbers: dict[str, int] = {}
        self._of_key = np.full(1 << 16, SKIPPED - 1, np.int32)
        #: by field: which topics have it masked
        self.masked: dict[str, list[bool]] = {field: [] for field in PLACES}
        self.slack: list[tuple[float, ...]] = []

    def of(self, keys: npt.NDArray[np.int64]) -> npt.NDArray[np.int32]:
        """Return the topic of each ``kind << 8 | channel``."""
        found = self._of_key[keys]
        if len(found) and found.min() < SKIPPED:
            for key in np.unique(keys[found < SKIPPED]).tolist():
                self._of_key[key] = self._add(
                    topic_of(key >> 8, key & 0xFF, self._names_by_channel)
                )
            found = self._of_key[keys]
        return found

    def _add(self, topic: str) -> int:
        if not self._rules.compares(topic):
            return SKIPPED
        if topic not in self._numbers:
            self._numbers[topic] = len(self.names)
            self.names.append(topic)
            slack = tuple(self._rules.amount(topic, field) for field in TIMES)
            self.slack.append(slack if any(slack) else ())
            for field, masked in self.masked.items():
                has_slack = field in TIMES and slack[TIMES.index(field)] > 0
                is_number = field == "seq" and not self._rules.compare_seq
                masked.append(has_slack or is_number or self._rules.ignores(topic, field))
        return self._numbers[topic]


class Batch:
    """Whole records, one after the other."""

    def __init__(self, octets: bytes, topics: Topics) -> None:
        self.octets = octets
        self.starts = starts(octets)
        view = np.frombuffer(octets, np.uint8)
        at = self.starts[:-1]
        self.topic = topics.of(view[at].astype(np.int64) << 8 | view[at + 1])
        self._topics = topics

    def __len__(self) -> int:
        return len(self.topic)

    def counts(self) -> npt.NDArray[np.int64]:
        """Return how many records there are of each topic, by its number."""
        ours = self.topic[self.topic >= 0]
        return np.bincount(ours, minlength=len(self._topics.names))

    def marks(self) -> bytes:
        """Return the octets with everything zero that does not count."""
        octets = np.frombuffer(bytearray(self.octets), np.uint8)
        for field, (offset, nbytes) in PLACES.items():
            which = np.array([*self._topics.masked[field], False])
            at = self.starts[:-1][which[self.topic]]
            for nth in range(offset, offset + nbytes) if len(at) else ():
                octets[at + nth] = 0
        return octets.tobytes()


def starts(octets: bytes) -> npt.NDArray[np.int64]:
    """Return the offset of every record, and of the end.

    Raises :class:`~flightsw.codec.errors.TruncatedError` if it ends inside a record.
    """
    room = len(octets) // HEADER_NBYTES + 1
    found = np.empty(room, np.uint64)
    count = lib.fs_wire_scan(
        ffi.from_buffer(octets), len(octets), ffi.from_buffer("uint64_t[]", found.data), room
    )
    if count < 0:
        raise TruncatedError(f"stream of {len(octets)} octets ends inside a wire record")
    found[count] = len(octets)
    return found[: count + 1].astype(np.int64)
