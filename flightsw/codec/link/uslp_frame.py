"""USLP transfer frames (CCSDS 732.1-B-3): :func:`pack` makes one, :class:`Encoder` makes frames of
packets, units and octet streams, and :class:`Receiver` does the reverse in C.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import IntEnum

from flightsw.codec.coding.crc import crc16
from flightsw.codec.errors import FieldRangeError
from flightsw.codec.link.receiver import OCF_NBYTES, FrameReceiver
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
    fecf: int = 2,
    truncated: bool = False,
) -> bytes:
    """Return one frame around a data zone.

    ``count`` has ``count_nbytes`` octets, 0 to 7; ``fecf`` is 0, 2 (CRC-16) or 4 (CRC-32).
    ``pointer`` belongs to the rules 0 to 2. A truncated frame (annex D) has neither count nor
    flags, insert zone and control field, and holds whole packets or one unit. FieldRangeError for
    what does not fit, or does not go together.
    """
    _check_header(scid, vcid, map_id, rule, protocol, pointer, count, count_nbytes)
    if len(ocf) not in (0, OCF_NBYTES) or fecf not in (0, 2, 4) or not data:
        raise FieldRangeError(
            f"USLP frame: control field of {len(ocf)} octets (0 or 4), frame check of {fecf} (0, 2"
            f" or 4), data zone of {len(data)} (at least 1)"
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
        nbytes = HEADER_NBYTES + count_nbytes + len(insert) + len(field) + len(ocf) + fecf
        if nbytes > MAX_NBYTES:
            raise FieldRangeError(f"USLP frame of {nbytes} octets: at most {MAX_NBYTES}")
        head += (nbytes - 1).to_bytes(2, "big") + bytes((flags,))
        head += count.to_bytes(count_nbytes, "big")
    return _closed(head + insert + field + ocf, fecf)


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


def _closed(frame: bytes, fecf: int) -> bytes:
    """Return a frame with its check."""
    if fecf == 2:
        return frame + crc16(frame).to_bytes(2, "big")
    crc = lib.fs_crc32_uslp(frame, len(frame), 0) if fecf else 0
    return frame + int(crc).to_bytes(fecf, "big")


class Encoder:
    """Makes the frames of one spacecraft on a physical channel.

    Frames have ``nbytes`` octets, or, with ``variable``, at most that many. All have counts of
    ``count_nbytes`` octets for each virtual channel, a check of ``fecf`` octets (0, 2, 4), with
    ``ocf`` a control field, and an insert zone of ``insert_nbytes``, which frames of varying length
    cannot have. ``counters`` counts frames, idle frames, packets and idle packets.

    :meth:`add` and :meth:`next_frame` are for packets across frames of one length, and
    :meth:`packets_frame` for frames of whole packets; :meth:`unit_frames` serves both.
    """

    def __init__(
        self,
        scid: int,
        nbytes: int,
        *,
        variable: bool = False,
        count_nbytes: int = 2,
        insert_nbytes: int = 0,
        ocf: bool = False,
        fecf: int = 2,
        destination: bool = False,
    ) -> None:
        overhead = HEADER_NBYTES + count_nbytes + insert_nbytes + OCF_NBYTES * ocf + fecf
        self.field_nbytes = nbytes - overhead
        fits = 0 <= scid < 65536 and 0 <= count_nbytes < 8 and nbytes <= MAX_NBYTES
        fits = fits and insert_nbytes >= 0 and fecf in (0, 2, 4)
        if not fits or self.field_nbytes < 4 or (variable and insert_nbytes):
            raise FieldRangeError(
                f"USLP encoder: spacecraft {scid} (at most 65535), frames of {nbytes} octets (at"
                f" most {MAX_NBYTES}) leave {self.field_nbytes} for the data field (at least 4),"
                f" count of {count_nbytes} octets (at most 7), insert zone of {insert_nbytes} (0"
                f" where lengths vary), frame check of {fecf} (0, 2 or 4)"
            )
        self.scid, self.nbytes, self.variable = scid, nbytes, variable
        self.counters = {"frames": 0, "idle_frames": 0, "idle_packets": 0, "packets": 0}
        self._count_nbytes, self._insert_nbytes = count_nbytes, insert_nbytes
        self._ocf_nbytes, self._fecf, self._destination = OCF_NBYTES * ocf, fecf, destination
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
        queued. ``ocf`` and ``insert`` have as many octets as the encoder was made for.
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
        room = self.field_nbytes - (1 if self.variable else 3)
        pieces = [unit[at : at + room] for at in range(0, len(unit), room)]
        frames = []
        for i, piece in enumerate(pieces):
            first, last, pointer = i == 0, i == len(pieces) - 1, None
            if self.variable:
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
        if variable not in (None, self.variable):
            raise FieldRangeError(
                "USLP encoder: packets across frames need frames of one length, whole packets and"
                " octet streams frames of varying length; this encoder was made for the other"
            )
        if len(ocf) != self._ocf_nbytes or len(insert) != self._insert_nbytes:
            raise FieldRangeError(
                f"USLP encoder: control field of {len(ocf)} and insert zone of {len(insert)}"
                f" octets, {self._ocf_nbytes} and {self._insert_nbytes} in every frame of this"
                " encoder"
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
            fecf=self._fecf,
        )
        self._counts[vcid, bypass] = (count + 1) % (1 << 8 * self._count_nbytes)
        self.counters["frames"] += 1
        return frame


class Receiver(FrameReceiver):
    """Takes USLP frames and gives packets, units, octet streams and control commands.

    ``nbytes`` is the length of every frame, or with ``variable`` of the longest;
    ``truncated_nbytes`` that of truncated frames, without which they are refused. ``insert_nbytes``
    is the insert zone, ``fecf`` the octets of the frame check: 0, 2 (CRC-16) or 4 (CRC-32). ``ocf``
    says that frames should hold a control field; their flag decides. ``scid`` None takes frames of
    any spacecraft. Channel 63 is idle, and so is protocol 31.

    Each frame says how it is constructed; ``opaque`` in ``services`` gives data zones of a virtual
    channel as they are. Frames with and without sequence control are counted apart. In counts of
    two octets and more, a jump to 0 is a restart of that channel and a step back a frame repeated
    or late; neither is a loss.
    """

    KIND = lib.FS_FRAME_USLP
    NAME = "USLP"

    def __init__(
        self,
        scid: int | None,
        nbytes: int,
        *,
        variable: bool = False,
        truncated_nbytes: int = 0,
        insert_nbytes: int = 0,
        ocf: bool = False,
        fecf: int = 2,
        channels: int = 8,
        services: Mapping[int, str] | None = None,
        keep_idle: bool = False,
    ) -> None:
        super().__init__(
            scid,
            nbytes,
            channels=channels,
            services=services,
            variable=variable,
            truncated_nbytes=truncated_nbytes,
            insert_nbytes=insert_nbytes,
            ocf=ocf,
            fecf=fecf,
            keep_idle=keep_idle,
        )

    def _stride(self) -> int:
        return (
            0
            if self._state.settings.variable or self._state.settings.truncated_nbytes
            else self.nbytes
        )
