"""From octets to packets to columns, in one object on bounded memory.

    stream = Stream(channel)
    for chunk in chunks:                     of any size: the result is the same
        batch = stream.feed(chunk)
        batch.packets.apid, batch.columns["housekeeping"].columns["bus_v"]
        stream.counters                      readable at any time
    batch = stream.finish()

Nothing is dropped silently: what does not come out is in ``counters``, by stage.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from flightsw.codec.errors import FieldRangeError
from flightsw.codec.octets import Octets, view_of
from flightsw.codec.stream.batch import Batch, Part
from flightsw.codec.stream.channel import Channel
from flightsw.codec.stream.front import make_front
from flightsw.codec.stream.lines import Counters
from flightsw.codec.stream.sift import Sift

__all__ = ["CHUNK_NBYTES", "Batch", "Part", "Stream"]

CHUNK_NBYTES = 1 << 20


class Stream:
    """Runs a :class:`channel.Channel`.

    Raises FieldRangeError for a channel whose stages do not go together.
    """

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.octets = 0  #: fed so far
        self._front = make_front(channel)
        names = [rule.name for rule in channel.rules]
        if len(set(names)) < len(names):
            raise FieldRangeError(
                f"channel {channel.name}: layouts called {', '.join(names)}; each needs a name"
                " of its own"
            )
        self._sift = Sift(channel.packets, channel.rules)
        self._batch = self._sift.batch

    def feed(self, octets: Octets) -> Batch:
        """Return what ``octets`` complete.

        Raises CodecError for what are no octets, or bits that are neither 0 nor 1; none was taken.
        """
        nbytes = len(octets) if type(octets) is bytes else len(view_of("stream", octets))
        delivered = self._front.feed(octets)
        self.octets += nbytes
        return self._batch(delivered)

    def finish(self) -> Batch:
        """Return what waited for more; call it once, behind the last octet."""
        return self._batch(self._front.finish())

    def read(self, file: BinaryIO, chunk_nbytes: int = CHUNK_NBYTES) -> Iterator[Batch]:
        """Yield a batch for each piece of a file, and the last one at its end."""
        while chunk := file.read(chunk_nbytes):
            yield self.feed(chunk)
        yield self.finish()

    @property
    def counters(self) -> Counters:
        """Totals since the start, by stage and name; packets by APID as ``apid 5`` (telemetry) and
        ``apid 5 tc``, layouts as ``layout NAME``."""
        found = {"input": {"octets": self.octets}} | self._front.counters
        found["packets"] = self._sift.totals | self._sift.tracker.totals
        del found["packets"]["idle"]  # those are the idle_packets
        for (telecommand, apid), counters in self._sift.tracker.channels().items():
            found[f"apid {apid}{' tc' if telecommand else ''}"] = counters
        for rule in self._sift.rules:
            found[f"layout {rule.name}"] = rule.counters
        return found

    @property
    def reasons(self) -> dict[str, dict[str, int]]:
        """Why packets were undecodable, and how many, by the name of the layout."""
        return {rule.name: dict(rule.reasons) for rule in self._sift.rules}
