"""Consistent overhead byte stuffing (Cheshire and Baker, IEEE/ACM Transactions on Networking 7(2),
1999): no zero inside a frame, at most one octet of overhead for each 254 begun, zero as delimiter.
"""

from __future__ import annotations

from collections.abc import Iterable

from flightsw.codec.native import lib
from flightsw.codec.octets import Octets
from flightsw.codec.serial.line import Deframer, decode_one, enframe

DELIMITER = b"\0"


def encode(content: Octets) -> bytes:
    """Return ``content`` (1 octet or more) without zeros and without delimiter."""
    return enframe(lib.FS_COBS, 0, [content], False)[:-1]


def frames(contents: Iterable[Octets], *, lead: bool = False) -> bytes:
    """Return a stream of frames, each ended (with ``lead`` also begun) by the delimiter."""
    return enframe(lib.FS_COBS, 0, contents, lead)


def decode(frame: bytes) -> bytes:
    """Return the content of one frame, with or without delimiters; SyncError if it is none."""
    return decode_one(Decoder(max(len(frame), 1)), DELIMITER, frame)


class Decoder(Deframer):
    """Streaming decoder: :meth:`feed` chunks of any size, read ``counters``."""

    def __init__(self, max_nbytes: int = 65_536, *, joined: bool = False) -> None:
        super().__init__(lib.FS_COBS, 0, max_nbytes, joined)
