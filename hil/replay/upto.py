"""A stream of records up to one of them."""

from __future__ import annotations

from collections.abc import Callable

from flightsw.codec.wire import HEADER_NBYTES, unpack_all


class Upto:
    """Hands on the records of a stream up to global number ``last``, and drops what follows."""

    def __init__(self, last: int, feed: Callable[[bytes], None]) -> None:
        self.last = last
        self._feed = feed
        self.over = False

    def feed(self, octets: bytes) -> None:
        """Take whole records, in order; views carry the number of the record that follows them."""
        if self.over:
            return
        end = 0
        for record in unpack_all(octets):
            if record.seq > self.last:
                self.over = True
                break
            end += HEADER_NBYTES + len(record.payload)
        if end:
            self._feed(octets[:end])
