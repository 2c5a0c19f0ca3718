"""USLP transfer frames (CCSDS 732.1-B-3): :func:`pack` makes one, and :class:`Encoder` makes frames
of packets, units and octet streams. :class:`flightsw.codec.link.receiver.FrameReceiver` does the
reverse.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

from flightsw.codec.errors import FieldRangeError
from flightsw.codec.link.frames import FECF_NBYTES, OCF_NBYTES, Frames, closed
from flightsw.codec.native import lib
from flightsw.codec.packet.queue import PacketQueue

HEADER_NBYTES = 7  # without the count
TRUNCATED_HEADER_NBYTES = 4
MAX_NBYTES: int = lib.FS_FRAME_NBYTES
IDLE_VCID = 63
#: As a pointer: no packet starts, or the unit does not end in this frame.
POINTER_NONE = 0xFFFF


class Rule(IntEnum):
    """How a data zone is constructed (section 4.1.4.2.2.2); the first three have a pointer."""

    PACKETS = 0  #: packets across frames of one length, by first header pointer
    SDU_BEGINS = 1  #: first portion of a unit, by last valid octet
    SDU_GOES_ON = 2
    OCTETS = 3  #: portion of an octet stream
    FIRST = 4  #: segments of a unit
    CONTINUING = 5
    LAST = 6
    WHOLE = 7  #: whole packets, or one whole unit


class Protocol(IntEnum):
    """What a data zone carries (SANA registry "USLP Protocol Identifier")."""

    PACKETS = 0
    COP_1 = 1
    COP_P = 2
    SDLS = 3
    OCTETS = 4
    SDU = 5  #: mission-specific unit
    IDLE = 31


def pack(
    scid: int,
    vcid: int,
    map_id: int,
    data: bytes,
    *,
    rule: int = Rule.WHOLE,
    protocol: int = Protocol.PACKETS,
    pointer: int | None = None,
    count: int = 0,
    count_nbytes: int = 0,
    destination: bool = False,
    bypass: bool = False,
    control: bool = False,
    insert: bytes = b"",
    ocf: bytes = b"",
    fecf: str | None = "crc16",
    truncated: bool = False,
) -> bytes:
    """Return one frame around a data zone.

    ``count`` has ``count_nbytes`` octets, 0 to 7; ``fecf`` is ``"crc16"``, ``"crc32"`` or None.
    ``pointer`` belongs to the rules 0 to 2. A truncated frame (annex D) has neither count nor
    flags, insert zone and control field, and holds whole packets or one unit. FieldRangeError for
    what does not fit, or does not go together.
    """
    _check_header(scid, vcid, map_id, rule, protocol, pointer, count, count_nbytes)
    if len(ocf) not in (0, OCF_NBYTES) or fecf not in FECF_NBYTES or not data:
        raise FieldRangeError(
            f"USLP frame: control field of {len(ocf)} octets (0 or 4), frame check {fecf!r} (crc16,"
            f" crc32 or None), data zone of {len(data)} octets (at least 1)"
        )
    if truncated and (rule != Rule.WHOLE or ocf or insert or count_nbytes or bypass or control):
        raise FieldRangeError(
            "USLP truncated frame: no room for count, flags, insert zone and control field, and its"
            " construction rule is 7; send a frame with a whole header"
        )
    tail = b"" if pointer is None else pointer.to_bytes(2, "big")
    field = bytes((rule << 5 | protocol,)) + tail + data
    word = 12 << 28 | scid << 12 | destination << 11 | vcid << 5 | map_id << 1 | truncated
    head = word.to_bytes(TRUNCATED_HEADER_NBYTES, "big")
    if not truncated:
        flags = bypass << 7 | control << 6 | bool(ocf) << 3 | count_nbytes
        nbytes = HEADER_NBYTES + count_nbytes + len(insert) + len(field) + len(ocf)
        nbytes += FECF_NBYTES[fecf]
        if nbytes > MAX_NBYTES:
            raise FieldRangeError(f"USLP frame of {nbytes} octets: at most {MAX_NBYTES}")
        head += (nbytes - 1).to_bytes(2, "big") + bytes((flags,))
        head += count.to_bytes(count_nbytes, "big")
    return closed(head + insert + field + ocf, fecf)


def _check_header(
    scid: int,
    vcid: int,
    map_id: int,
    rule: int,
    protocol: int,
    pointer: int | None,
    count: int,
    count_nbytes: int,
) -> None:
    fits = 0 <= scid < 65536 and 0 <= vcid < 64 and 0 <= map_id < 16
    fits = fits and 0 <= rule < 8 and 0 <= protocol < 32
    if not (fits and 0 <= count_nbytes < 8 and 0 <= count < 1 << 8 * count_nbytes):
        raise FieldRangeError(
            f"USLP frame: spacecraft {scid} (at most 65535), virtual channel {vcid} (63), MAP"
            f" {map_id} (15), rule {rule} (7), protocol {protocol} (31) or count {count} of"
            f" {count_nbytes} octets (7) do not fit"
        )
    if (rule <= Rule.SDU_GOES_ON) != (pointer is not None) or not 0 <= (pointer or 0) < 65536:
        raise FieldRangeError(
            f"USLP frame: pointer {pointer} under construction rule {rule}; the rules 0 to 2 have"
            " one of 16 bits, the others none"
        )


class Encoder:
    """Makes the frames of one spacecraft on a physical channel.

    All have counts of ``count_nbytes`` octets for each virtual channel; with ``destination`` the
    spacecraft is where they go. ``counters`` counts frames, idle frames, packets and idle packets.
    FieldRangeError for frames of another kind, of varying length with an insert zone, or with a
    data field of fewer than four octets. An encoder belongs to one thread at a time.

    :meth:`add` and :meth:`next_frame` are for packets across frames of one length, and
    :meth:`packets_frame` for frames of whole packets; :meth:`unit_frames` serves both.
    """

    def __init__(self, frames: Frames, *, count_nbytes: int = 2, destination: bool = False) -> None:
        self.settings, self.scid, self.nbytes = frames, frames.sender("uslp"), frames.nbytes
        overhead = HEADER_NBYTES + count_nbytes + frames.insert_nbytes
        self.field_nbytes = frames.nbytes - overhead - frames.ocf_nbytes - frames.fecf_nbytes
        wrong = frames.variable and frames.insert_nbytes
        if not 0 <= count_nbytes < 8 or self.field_nbytes < 4 or wrong:
            raise FieldRangeError(
                f"USLP encoder: {frames} and counts of {count_nbytes} octets (at most 7) leave"
                f" {self.field_nbytes} for the data field (at least 4); frames of varying length"
                " have no insert zone"
            )
        self.counters = {"frames": 0, "idle_frames": 0, "idle_packets": 0, "packets": 0}
        self._count_nbytes, self._destination = count_nbytes, destination
        self._counts: dict[tuple[int, bool], int] = {}
        self._queues: dict[tuple[int, int], PacketQueue] = {}

    @property
    def data_nbytes(self) -> int:
        """Octets of packets across frames that one frame holds."""
        return self.field_nbytes - 3

    def add(self, vcid: int, packet: bytes, map_id: int = 0) -> None:
        """Queue one space packet on a MAP of a virtual channel."""
        self._queue(vcid, map_id).append(packet)
        self.counters["packets"] += 1

    def pending(self, vcid: int, map_id: int = 0) -> int:
        """Return the octets of packets that are queued; idle fill does not count."""
        return self._queue(vcid, map_id).pending

    def next_frame(
        self,
        vcid: int,
        map_id: int = 0,
        ocf: bytes = b"",
        *,
        insert: bytes = b"",
        bypass: bool = False,
        flush: bool = False,
    ) -> bytes | None:
        """Return the next frame of a channel, or None if its packets do not fill one.

        With ``flush`` an idle packet fills the frame; the answer is then None only if nothing is
        queued. ``ocf`` and ``insert`` have as many octets as the frames' settings say.
        """
        self._check(ocf, insert, variable=False)
        queue = self._queue(vcid, map_id)
        filled = queue.fill(self.data_nbytes, flush)
        if filled is None:
            return None
        self.counters["idle_packets"] += filled
        data, first = queue.take(self.data_nbytes)
        pointer = POINTER_NONE if first is None else first
        return self._frame(
            vcid, map_id, data, Rule.PACKETS, Protocol.PACKETS, pointer, ocf, insert, bypass
        )

    def packets_frame(
        self,
        vcid: int,
        packets: Sequence[bytes],
        map_id: int = 0,
        ocf: bytes = b"",
        *,
        bypass: bool = False,
    ) -> bytes:
        """Return a frame of whole packets, as long as they need."""
        self._check(ocf, b"", variable=True)
        for packet in packets:
            PacketQueue(f"USLP encoder, virtual channel {vcid}").append(packet)
        frame = self._frame(
            vcid, map_id, b"".join(packets), Rule.WHOLE, Protocol.PACKETS, None, ocf, b"", bypass
        )
        self.counters["packets"] += len(packets)
        return frame

    def unit_frames(
        self,
        vcid: int,
        unit: bytes,
        map_id: int = 0,
        ocf: bytes = b"",
        *,
        protocol: int = Protocol.SDU,
        insert: bytes = b"",
        bypass: bool = False,
    ) -> list[bytes]:
        """Return the frames that one unit needs; in frames of one length 0 fills the last."""
        self._check(ocf, insert, variable=None)
        if not 0 < len(unit) <= lib.FS_FRAME_UNIT_NBYTES:
            raise FieldRangeError(
                f"USLP encoder: unit of {len(unit)} octets, 1 to {lib.FS_FRAME_UNIT_NBYTES}"
            )
        room = self.field_nbytes - (1 if self.settings.variable else 3)
        pieces = [unit[at : at + room] for at in range(0, len(unit), room)]
        frames = []
        for i, piece in enumerate(pieces):
            first, last, pointer = i == 0, i == len(pieces) - 1, None
            if self.settings.variable:
                whole = Rule.WHOLE if first else Rule.LAST
                rule = whole if last else Rule.FIRST if first else Rule.CONTINUING
            else:
                rule = Rule.SDU_BEGINS if first else Rule.SDU_GOES_ON
                pointer = len(piece) - 1 if last else POINTER_NONE
                piece = piece.ljust(room, b"\0")
            frames.append(
                self._frame(vcid, map_id, piece, rule, protocol, pointer, ocf, insert, bypass)
            )
        return frames

    def octets_frame(
        self,
        vcid: int,
        octets: bytes,
        map_id: int = 0,
        ocf: bytes = b"",
        *,
        bypass: bool = False,
    ) -> bytes:
        """Return a frame with a portion of an octet stream, as long as that needs."""
        self._check(ocf, b"", variable=True)
        return self._frame(
            vcid, map_id, octets, Rule.OCTETS, Protocol.OCTETS, None, ocf, b"", bypass
        )

    def idle_frame(self, ocf: bytes = b"", *, insert: bytes = b"") -> bytes:
        """Return a frame of channel 63, which holds only idle data, to keep the link in lock."""
        self._check(ocf, insert, variable=None)
        self.counters["idle_frames"] += 1
        data = bytes(self.field_nbytes - 1)
        return self._frame(IDLE_VCID, 0, data, Rule.WHOLE, Protocol.IDLE, None, ocf, insert, True)

    def _queue(self, vcid: int, map_id: int) -> PacketQueue:
        if not (0 <= vcid < IDLE_VCID and 0 <= map_id < 16):
            raise FieldRangeError(
                f"USLP encoder: virtual channel {vcid}, MAP {map_id}, must be 0 to 62 and 0 to 15"
            )
        name = f"USLP encoder, virtual channel {vcid}, MAP {map_id}"
        return self._queues.setdefault((vcid, map_id), PacketQueue(name))

    def _check(self, ocf: bytes, insert: bytes, variable: bool | None) -> None:
        if variable not in (None, self.settings.variable):
            raise FieldRangeError(
                "USLP encoder: packets across frames need frames of one length, whole packets and"
                " octet streams frames of varying length; this encoder was made for the other"
            )
        of = self.settings
        if len(ocf) != of.ocf_nbytes or len(insert) != of.insert_nbytes:
            raise FieldRangeError(
                f"USLP encoder: control field of {len(ocf)} and insert zone of {len(insert)}"
                f" octets, {of.ocf_nbytes} and {of.insert_nbytes} in every frame of this encoder"
            )

    def _frame(
        self,
        vcid: int,
        map_id: int,
        data: bytes,
        rule: int,
        protocol: int,
        pointer: int | None,
        ocf: bytes,
        insert: bytes,
        bypass: bool,
    ) -> bytes:
        head = 1 if pointer is None else 3
        if len(data) > self.field_nbytes - head:
            raise FieldRangeError(
                f"USLP encoder: {len(data)} octets in a data zone of {self.field_nbytes - head};"
                " send them in several frames"
            )
        count = self._counts.get((vcid, bypass), 0)
        frame = pack(
            self.scid,
            vcid,
            map_id,
            data,
            rule=rule,
            protocol=protocol,
            pointer=pointer,
            count=count,
            count_nbytes=self._count_nbytes,
            destination=self._destination,
            bypass=bypass,
            insert=insert,
            ocf=ocf,
            fecf=self.settings.fecf,
        )
        self._counts[vcid, bypass] = (count + 1) % (1 << 8 * self._count_nbytes)
        self.counters["frames"] += 1
        return frame
