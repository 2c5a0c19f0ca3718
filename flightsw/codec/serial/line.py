"""Frames on serial lines, for :mod:`cobs`, :mod:`slip` and :mod:`hdlc`: what the three share.

A frame's content is any octets, at least one. On the line a delimiter ends each frame and never
stands inside one, so that a receiver finds its place again at the next one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from flightsw.codec.errors import ChecksumError, FieldRangeError, SyncError, TruncatedError
from flightsw.codec.native import ffi, lib
from flightsw.codec.octets import Octets, bytes_of, joined

COUNTERS = (
    "frames",
    "bad_frames",
    "bad_checks",
    "aborted_frames",
    "overlong_frames",
    "good_octets",
    "bad_octets",
    "idle_octets",
)

#: Longest content of a frame that a decoder may be asked to hold, in octets.
MAX_NBYTES = 1 << 24

_ROWS = 1024
_OCTETS = 1 << 18
_NAMES = {lib.FS_COBS: "COBS", lib.FS_SLIP: "SLIP", lib.FS_HDLC: "HDLC"}


def enframe(kind: int, check: int, contents: Iterable[Octets], lead: bool) -> bytes:
    """Return frames of ``contents`` one behind the other, in one call to C."""
    parts = [bytes_of(f"{_NAMES[kind]} frame", content) for content in contents]
    lengths = [len(part) for part in parts]
    if 0 in lengths:
        raise TruncatedError(
            f"{_NAMES[kind]} frame: no content; an empty frame is idle fill to a receiver"
        )
    offsets, end = [], 0
    for nbytes in lengths:
        offsets.append(end)
        end += nbytes
    capacity = sum(lib.fs_enframe_capacity(kind, check, nbytes) for nbytes in lengths)
    out = ffi.new("uint8_t[]", capacity)
    made = lib.fs_enframe(
        kind,
        check,
        lead,
        b"".join(parts),
        end,
        ffi.new("uint64_t[]", offsets),
        ffi.new("uint32_t[]", lengths),
        len(parts),
        out,
        capacity,
    )
    assert made >= 0
    return bytes(ffi.buffer(out, made))


class Deframer:
    """Takes octets off a line, in chunks of any size, and gives the content of good frames.

    ``max_nbytes`` bounds the memory that a frame without end may take. With ``joined`` the line may
    be in the middle of a frame at the start, and what stands before the first delimiter is idle.
    Every octet is in one of ``counters``: good, bad or idle octets, or still in ``held_nbytes``.
    """

    def __init__(self, kind: int, check: int, max_nbytes: int, joined: bool) -> None:
        self._state = ffi.new("fs_deframer *")
        if (
            not 0 < max_nbytes <= MAX_NBYTES
            or lib.fs_deframer_reset(self._state, kind, check, max_nbytes, joined) < 0
        ):
            raise FieldRangeError(
                f"{_NAMES[kind]} decoder: frames of at most {max_nbytes} octets with a check of"
                f" {check}; lengths go from 1 to {MAX_NBYTES}, checks are 0, 2 or 4 (HDLC only)"
            )
        self._nout = max(_OCTETS, lib.fs_deframer_room(self._state))
        self._out = ffi.new("uint8_t[]", self._nout)
        self._out_view = ffi.buffer(self._out)
        self._rows = ffi.new("fs_content_row[]", _ROWS)
        self._consumed = ffi.new("uint64_t *")
        self._held = b""

    def feed(self, octets: Octets) -> list[bytes]:
        """Return the content of each good frame that ``octets`` complete, in order."""
        held = joined("deframer", self._held, octets)
        view, at, left, contents = ffi.from_buffer(held), 0, len(held), []
        rows, out = self._rows, self._out_view
        while left:
            found = lib.fs_deframe(
                self._state, view + at, left, self._consumed, rows, _ROWS, self._out, self._nout
            )
            assert found >= 0
            for row in rows[0:found]:
                contents.append(out[row.offset : row.offset + row.nbytes])
            consumed = self._consumed[0]
            at, left = at + consumed, left - consumed
            if not consumed:
                break
        self._held = held[at:]
        return contents

    @property
    def held_nbytes(self) -> int:
        """Octets of an unfinished frame."""
        return len(self._held)

    @property
    def counters(self) -> dict[str, int]:
        """Totals since the start, by name."""
        state: Any = self._state
        return {name: getattr(state, name) for name in COUNTERS}


def decode_one(decoder: Deframer, delimiter: bytes, frame: bytes) -> bytes:
    """Return the content of one frame, whose delimiters may be there or not.

    Raises SyncError for what is not one frame, ChecksumError for a wrong frame check sequence.
    """
    body = frame.strip(delimiter)
    contents = decoder.feed(body + delimiter)
    if (
        len(contents) == 1
        and decoder.counters["frames"] == 1
        and not decoder.counters["bad_octets"]
    ):
        return contents[0]
    if decoder.counters["bad_checks"]:
        raise ChecksumError(f"frame of {len(frame)} octets: frame check sequence does not match")
    wrong = [name for name, value in decoder.counters.items() if value and name != "bad_octets"]
    raise SyncError(
        f"frame of {len(frame)} octets is not one frame: {', '.join(wrong) or 'no content'}; feed a"
        " stream of frames to a Decoder"
    )
