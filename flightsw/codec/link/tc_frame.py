"""Telecommand transfer frames (CCSDS 232.0-B-4), and the segments of units that go through several.

:mod:`flightsw.codec.link.cop1` says which frames a spacecraft takes.
"""

from __future__ import annotations

from struct import Struct
from typing import NamedTuple

from flightsw.codec.coding.crc import crc16
from flightsw.codec.errors import ChecksumError, FieldRangeError, SyncError, TruncatedError

HEADER_NBYTES = 5
FECF_NBYTES = 2
MAX_NBYTES = 1024
#: Segment header flags: a portion of a packet, or (3) a segment that holds whole packets.
CONTINUING = 0
FIRST = 1
LAST = 2
UNSEGMENTED = 3
#: Octets of the longest packet, which is the longest unit that segments may make up.
UNIT_NBYTES = 65_542

_HEADER = Struct(">HHB")
_FECF = Struct(">H")


class TcFrame(NamedTuple):
    """One telecommand frame taken apart.

    ``map_id`` and ``segment_flags`` are of the segment header; without one they say 0 and 3.
    """

    scid: int
    vcid: int
    seq: int
    bypass: bool
    control: bool
    map_id: int
    segment_flags: int
    data: bytes


def pack(
    scid: int,
    vcid: int,
    seq: int,
    data: bytes,
    *,
    bypass: bool = False,
    control: bool = False,
    map_id: int = 0,
    segment_flags: int = UNSEGMENTED,
    segment_header: bool = True,
) -> bytes:
    """Return one frame with its CRC.

    Control commands (``control``) bypass the sequence check and have no segment header.
    """
    segment = (
        bytes((segment_flags << 6 | map_id,))
        if segment_header and not control and 0 <= map_id < 64 and 0 <= segment_flags < 4
        else b""
    )
    fits = 0 <= scid < 1024 and 0 <= vcid < 64 and 0 <= seq < 256 and 0 <= map_id < 64
    if not (fits and 0 <= segment_flags < 4):
        raise FieldRangeError(
            f"TC frame: spacecraft {scid} (at most 1023), virtual channel {vcid} (63), sequence"
            f" {seq} (255), MAP {map_id} (63) or segment flags {segment_flags} (3) do not fit"
        )
    nbytes = HEADER_NBYTES + len(segment) + len(data) + FECF_NBYTES
    if not data or nbytes > MAX_NBYTES:
        raise FieldRangeError(
            f"TC frame: {len(data)} octets of data make a frame of {nbytes}, at most {MAX_NBYTES}"
            " and at least one of data; segment it"
        )
    word = (bypass or control) << 13 | control << 12 | scid
    frame = _HEADER.pack(word, vcid << 10 | nbytes - 1, seq) + segment + data
    return frame + _FECF.pack(crc16(frame))


def unpack(frame: bytes, segment_header: bool = True) -> TcFrame:
    """Take a frame apart; octets behind its declared length, the fill of its CLTU, are ignored.

    Raises TruncatedError if octets are missing, SyncError for a wrong fixed field, ChecksumError if
    the CRC does not match.
    """
    if len(frame) < HEADER_NBYTES + 1 + FECF_NBYTES:
        raise TruncatedError(f"TC frame of {len(frame)} octets: the shortest has 8")
    word, vcid_length, seq = _HEADER.unpack_from(frame)
    nbytes = (vcid_length & 0x3FF) + 1
    if nbytes > len(frame):
        raise TruncatedError(f"TC frame: says {nbytes} octets, {len(frame)} are there")
    if nbytes < HEADER_NBYTES + 1 + FECF_NBYTES:
        raise SyncError(f"TC frame: says {nbytes} octets, the shortest has 8")
    if crc16(frame[:nbytes]):
        raise ChecksumError(f"TC frame of {nbytes} octets: frame check does not match")
    bypass, control = bool(word & 0x2000), bool(word & 0x1000)
    if word >> 14 or word & 0x0C00:
        raise SyncError(f"TC frame: version {word >> 14} and spare {word >> 10 & 3}, must be 0")
    if control and not bypass:
        raise SyncError("TC frame: control command without the bypass flag")
    at, map_id, flags = HEADER_NBYTES, 0, UNSEGMENTED
    if segment_header and not control:
        map_id, flags = frame[at] & 0x3F, frame[at] >> 6
        at += 1
    data = frame[at : nbytes - FECF_NBYTES]
    return TcFrame(word & 0x3FF, vcid_length >> 10, seq, bypass, control, map_id, flags, data)


def segments(unit: bytes, room: int) -> list[tuple[int, bytes]]:
    """Return (segment flags, portion) for a unit in frames that hold ``room`` octets of data each.

    A unit that fits is one segment, with the flags 3 (section 4.1.3.2.2.2).
    """
    if room < 1 or not 0 < len(unit) <= UNIT_NBYTES:
        raise FieldRangeError(
            f"TC segments: unit of {len(unit)} octets (1 to {UNIT_NBYTES}) in frames that hold"
            f" {room} (at least 1)"
        )
    pieces = [unit[at : at + room] for at in range(0, len(unit), room)]
    flags = [CONTINUING] * len(pieces)
    flags[0], flags[-1] = FIRST, LAST
    if len(pieces) == 1:
        flags = [UNSEGMENTED]
    return list(zip(flags, pieces, strict=True))


class SegmentReceiver:
    """Puts the segments of accepted frames together, for each MAP of each virtual channel.

    Frames come in the order in which FARM-1 lets them through; one with bypass may lie between.
    ``counters`` tells what was put together and what was not: ``lost_pieces`` are units begun whose
    rest did not come, ``orphans`` segments whose begin did not, ``oversize`` units longer than
    ``limit``; ``lost_octets`` is what these held.
    """

    def __init__(self, limit: int = UNIT_NBYTES) -> None:
        self.limit = limit
        self.counters = {
            "segments": 0,
            "units": 0,
            "lost_pieces": 0,
            "orphans": 0,
            "oversize": 0,
            "lost_octets": 0,
        }
        self._begun: dict[tuple[int, int], bytearray] = {}

    def pending(self, vcid: int = 0, map_id: int = 0) -> int:
        """Return the octets of the unit that is being put together on a MAP."""
        return len(self._begun.get((vcid, map_id), b""))

    @property
    def held_nbytes(self) -> int:
        """Octets of all units that are being put together."""
        return sum(map(len, self._begun.values()))

    def accept(self, frame: TcFrame) -> bytes | None:
        """Return the unit that the frame completes, or None.

        The unit of an unsegmented frame is its data, which may be several packets.
        """
        self.counters["segments"] += 1
        key = (frame.vcid, frame.map_id)
        if frame.segment_flags & FIRST:
            self._drop(key, "lost_pieces")
            begun = bytearray()
        elif key in self._begun:
            begun = self._begun.pop(key)
        else:
            self.counters["orphans"] += 1
            self.counters["lost_octets"] += len(frame.data)
            return None
        begun += frame.data
        if len(begun) > self.limit:
            self.counters["oversize"] += 1
            self.counters["lost_octets"] += len(begun)
            return None
        if frame.segment_flags & LAST:
            self.counters["units"] += 1
            return bytes(begun)
        self._begun[key] = begun
        return None

    def _drop(self, key: tuple[int, int], reason: str) -> None:
        lost = self._begun.pop(key, None)
        if lost is not None:
            self.counters[reason] += 1
            self.counters["lost_octets"] += len(lost)
