"""HILwire 1, the frames between bench and dev boards: a body of head, type, seq and payload, a fold
and a CRC-16 behind it, all of it COBS between two zeros. ``docs/board-protocol.md`` is the
specification; what types and payloads mean is the business of :mod:`hil.boards`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from flightsw.codec.errors import FieldRangeError
from flightsw.codec.native import ffi, lib
from flightsw.codec.octets import Octets, bytes_of
from flightsw.codec.serial.line import COUNTERS as LINE_COUNTERS

#: Octets behind a body: fold and CRC.
CHECK_NBYTES: int = lib.FS_HILWIRE_CHECK
#: Octets of the shortest body, and of the longest with its check.
LEAST_NBYTES: int = lib.FS_HILWIRE_LEAST
MOST_NBYTES: int = lib.FS_HILWIRE_MOST
#: Octets on the line beside body and check: two delimiters and the one code of COBS.
FRAMING_NBYTES = 3

#: ``bad_folds`` are those of ``bad_checks`` that CRC-16 alone would have let through.
COUNTERS = (*(name for name in LINE_COUNTERS if name != "aborted_frames"), "bad_folds")

_LINE: int = lib.FS_HILWIRE_LINE
_ROWS = 64


def fold(body: Octets) -> int:
    """Return the second sum of Fletcher's checksum mod 256 of ``body``, the first from 1."""
    data = bytes_of("HILwire body", body)
    value: int = lib.fs_hilwire_fold(data, len(data))
    return value


def on_line_nbytes(payload_nbytes: int) -> int:
    """Return the octets that a frame with so long a payload takes on the line."""
    return LEAST_NBYTES + payload_nbytes + CHECK_NBYTES + FRAMING_NBYTES


class Sender:
    """Makes frames; holds the room for one, because the way of a request is short."""

    def __init__(self) -> None:
        self._offset = ffi.new("uint64_t *")
        self._length = ffi.new("uint32_t *")
        self._out = ffi.new("uint8_t[]", _LINE)
        self._view = ffi.buffer(self._out)

    def frame(self, body: bytes) -> bytes:
        """Return the frame of one body of 3 to 249 octets; FieldRangeError for another length."""
        nbytes = len(body)
        length = self._length
        length[0] = nbytes
        made = lib.fs_hilwire_enframe(body, nbytes, self._offset, length, 1, self._out, _LINE)
        if made < 0:
            raise _length_error(nbytes)
        framed: bytes = self._view[0:made]
        return framed


def enframe(bodies: Iterable[Octets]) -> bytes:
    """Return the frames of ``bodies``, 3 to 249 octets each, one behind the other."""
    parts = [bytes_of("HILwire body", body) for body in bodies]
    lengths = [len(part) for part in parts]
    offsets, end = [], 0
    for nbytes in lengths:
        if not LEAST_NBYTES <= nbytes <= MOST_NBYTES - CHECK_NBYTES:
            raise _length_error(nbytes)
        offsets.append(end)
        end += nbytes
    capacity = _LINE * len(parts)
    out = ffi.new("uint8_t[]", capacity)
    at, n = ffi.new("uint64_t[]", offsets), ffi.new("uint32_t[]", lengths)
    made = lib.fs_hilwire_enframe(b"".join(parts), end, at, n, len(parts), out, capacity)
    assert made >= 0
    return bytes(ffi.buffer(out, made))


def _length_error(nbytes: int) -> FieldRangeError:
    return FieldRangeError(
        f"HILwire frame: a body of {nbytes} octets; it has {LEAST_NBYTES} to"
        f" {MOST_NBYTES - CHECK_NBYTES}, so send the payload in parts"
    )


class Receiver:
    """Takes octets off a line in chunks of any size and gives the bodies of good frames.

    ``max_nbytes`` is that of a body with its check. Every octet is in one of ``counters``: good,
    bad or idle octets (in front of the first delimiter, or delimiters alone), or still in
    ``held_nbytes``.
    """

    def __init__(self, max_nbytes: int = MOST_NBYTES) -> None:
        self._state = ffi.new("fs_hilwire *")
        self.max_nbytes = max_nbytes
        self.reset()
        self._rows = ffi.new("fs_content_row[]", _ROWS)
        self._out = ffi.new("uint8_t[]", _LINE * _ROWS)
        self._view = ffi.buffer(self._out)
        self._consumed = ffi.new("uint64_t *")

    def reset(self) -> None:
        """Forget everything, the counters too; raises FieldRangeError for a ``max_nbytes``."""
        if lib.fs_hilwire_reset(self._state, self.max_nbytes) < 0:
            raise FieldRangeError(
                f"HILwire receiver: frames of at most {self.max_nbytes} octets; give"
                f" {LEAST_NBYTES + CHECK_NBYTES} to {MOST_NBYTES}"
            )

    def feed(self, octets: bytes) -> list[bytes]:
        """Return the body of each good frame that ``octets`` complete, in order."""
        bodies: list[bytes] = []
        state, rows, out, consumed = self._state, self._rows, self._out, self._consumed
        left, view = len(octets), self._view
        while left:
            found = lib.fs_hilwire_feed(
                state, octets, left, consumed, rows, _ROWS, out, _LINE * _ROWS
            )
            for nth in range(found):
                row = rows[nth]
                at = row.offset
                bodies.append(view[at : at + row.nbytes])
            taken = consumed[0]
            if taken == left:
                break
            octets = octets[taken:]
            left -= taken
        return bodies

    @property
    def held_nbytes(self) -> int:
        """Octets of an unfinished frame."""
        held: int = self._state.nheld
        return held

    @property
    def counters(self) -> dict[str, int]:
        """Totals since the last reset, by name."""
        state: Any = self._state
        line = state.line
        counts = {name: int(getattr(line, name)) for name in COUNTERS[:-1]}
        counts["bad_folds"] = int(state.bad_folds)
        return counts
