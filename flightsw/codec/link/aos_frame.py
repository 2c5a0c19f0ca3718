"""AOS transfer frames (CCSDS 732.0-B-4): :func:`pack` makes one, :class:`Encoder` multiplexes
packets, bitstreams and fields as they are into frames of one length, and :class:`Receiver` does the
reverse in C.
"""

from __future__ import annotations

from collections.abc import Mapping

from flightsw.codec.coding.crc import crc16
from flightsw.codec.errors import FieldRangeError
from flightsw.codec.link.receiver import OCF_NBYTES, FrameReceiver
from flightsw.codec.native import lib
from flightsw.codec.packet.queue import PacketQueue

HEADER_NBYTES = 6
FHEC_NBYTES = 2
FECF_NBYTES = 2
MAX_NBYTES: int = lib.FS_FRAME_NBYTES
IDLE_VCID = 63

POINTER_NONE = 0x7FF
POINTER_IDLE = 0x7FE
#: In the header of a B_PDU: all bits are valid, or none.
BITS_ALL = 0x3FFF
BITS_NONE = 0x3FFE


def pack(
    scid: int,
    vcid: int,
    count: int,
    field: bytes,
    *,
    replay: bool = False,
    cycle: int | None = None,
    insert: bytes = b"",
    ocf: bytes = b"",
    fhec: bool = False,
    fecf: bool = True,
) -> bytes:
    """Return one frame around a data field (M_PDU, B_PDU, or octets as they are).

    ``scid`` beyond 255 uses the two bits of the signalling field that older issues leave 0;
    ``cycle`` 0 to 15 continues the count of 24 bits. FieldRangeError for what does not fit.
    """
    fits = 0 <= scid < 1024 and 0 <= vcid < 64 and 0 <= count < 1 << 24
    if not (fits and (cycle is None or 0 <= cycle < 16) and len(ocf) in (0, OCF_NBYTES)):
        raise FieldRangeError(
            f"AOS frame: spacecraft {scid} (at most 1023), virtual channel {vcid} (63), count"
            f" {count} (16777215), cycle {cycle} (15) or control field of {len(ocf)} octets (0 or"
            " 4) do not fit"
        )
    first = 1 << 14 | (scid & 0xFF) << 6 | vcid
    signalling = replay << 7 | (cycle is not None) << 6 | scid >> 8 << 4 | (cycle or 0)
    head = first.to_bytes(2, "big") + count.to_bytes(3, "big") + bytes((signalling,))
    if fhec:
        head += int(lib.fs_aos_fhec(first, signalling)).to_bytes(FHEC_NBYTES, "big")
    frame = head + insert + field + ocf
    if fecf:
        frame += crc16(frame).to_bytes(FECF_NBYTES, "big")
    if not field or len(frame) > MAX_NBYTES:
        raise FieldRangeError(
            f"AOS frame: {len(field)} octets of data field make a frame of {len(frame)}, at most"
            f" {MAX_NBYTES} and at least one of data field"
        )
    return frame


class _Channel(PacketQueue):
    """The packets of one virtual channel, and the count of its next frame."""

    __slots__ = ("count",)

    def __init__(self, vcid: int) -> None:
        super().__init__(f"AOS encoder, virtual channel {vcid}")
        self.count = 0


class Encoder:
    """Makes the frames of one spacecraft: a queue of packets for each virtual channel, 0 to 62.

    Every frame has ``nbytes`` octets, an insert zone of ``insert_nbytes``, with ``fhec`` the error
    control of its header, with ``ocf`` a control field, with ``fecf`` a CRC. With ``cycle`` counts
    have 28 bits. ``counters`` counts frames, idle frames, packets and idle packets.
    """

    def __init__(
        self,
        scid: int,
        nbytes: int,
        *,
        insert_nbytes: int = 0,
        fhec: bool = False,
        ocf: bool = False,
        fecf: bool = True,
        cycle: bool = False,
    ) -> None:
        overhead = HEADER_NBYTES + FHEC_NBYTES * fhec + insert_nbytes
        self.field_nbytes = nbytes - overhead - OCF_NBYTES * ocf - FECF_NBYTES * fecf
        fits = 0 <= scid < 1024 and insert_nbytes >= 0
        if not fits or self.field_nbytes < 3 or nbytes > MAX_NBYTES:
            raise FieldRangeError(
                f"AOS encoder: spacecraft {scid} (at most 1023), frames of {nbytes} octets (at most"
                f" {MAX_NBYTES}) with an insert zone of {insert_nbytes} leave {self.field_nbytes}"
                " for the data field, at least 3"
            )
        self.scid, self.nbytes = scid, nbytes
        self.counters = {"frames": 0, "idle_frames": 0, "idle_packets": 0, "packets": 0}
        self._insert_nbytes, self._ocf_nbytes = insert_nbytes, OCF_NBYTES * ocf
        self._fhec, self._fecf, self._cycle = fhec, fecf, cycle
        self._channels: dict[int, _Channel] = {}

    @property
    def data_nbytes(self) -> int:
        """Octets of packets that one frame holds."""
        return self.field_nbytes - 2

    def add(self, vcid: int, packet: bytes) -> None:
        """Queue one space packet on a virtual channel."""
        self._channel(vcid).append(packet)
        self.counters["packets"] += 1

    def pending(self, vcid: int) -> int:
        """Return the octets of packets that are queued; idle fill does not count."""
        return self._channel(vcid).pending

    def next_frame(
        self,
        vcid: int,
        ocf: bytes = b"",
        *,
        insert: bytes = b"",
        replay: bool = False,
        flush: bool = False,
    ) -> bytes | None:
        """Return the next frame of a channel, or None if its packets do not fill one.

        With ``flush`` an idle packet fills the frame; the answer is then None only if nothing is
        queued. ``ocf`` and ``insert`` have as many octets as the encoder was made for.
        """
        self._check(ocf, insert)
        channel = self._channel(vcid)
        filled = channel.fill(self.data_nbytes, flush)
        if filled is None:
            return None
        self.counters["idle_packets"] += filled
        data, pointer = channel.take(self.data_nbytes)
        head = (POINTER_NONE if pointer is None else pointer).to_bytes(2, "big")
        return self._frame(vcid, head + data, ocf, insert, replay)

    def bits_frame(
        self,
        vcid: int,
        bits: bytes,
        nbits: int | None = None,
        ocf: bytes = b"",
        *,
        insert: bytes = b"",
        replay: bool = False,
    ) -> bytes:
        """Return a frame with a B_PDU of the first ``nbits`` (default: all) of ``bits``."""
        room = 8 * self.data_nbytes
        count = 8 * len(bits) if nbits is None else nbits
        if not 0 <= count <= min(room, 8 * len(bits)) or (count < room and count > BITS_NONE):
            raise FieldRangeError(
                f"AOS encoder: {count} bits of {len(bits)} octets for a bitstream zone of {room}"
                f" bits; if they do not fill it, at most {BITS_NONE} can be told"
            )
        pointer = BITS_ALL if count == room else BITS_NONE if not count else count - 1
        field = pointer.to_bytes(2, "big") + bits[: (count + 7) // 8].ljust(room // 8, b"\0")
        return self._checked_frame(vcid, field, ocf, insert, replay)

    def opaque_frame(
        self,
        vcid: int,
        field: bytes,
        ocf: bytes = b"",
        *,
        insert: bytes = b"",
        replay: bool = False,
    ) -> bytes:
        """Return a frame whose data field is ``field`` as it is, of ``field_nbytes`` octets."""
        if len(field) != self.field_nbytes:
            raise FieldRangeError(
                f"AOS encoder: data field of {len(field)} octets, must be {self.field_nbytes}"
            )
        return self._checked_frame(vcid, field, ocf, insert, replay)

    def idle_frame(self, ocf: bytes = b"", *, insert: bytes = b"") -> bytes:
        """Return a frame of channel 63, which holds only idle data, to keep the link in lock."""
        self._check(ocf, insert)
        self.counters["idle_frames"] += 1
        return self._frame(IDLE_VCID, bytes(self.field_nbytes), ocf, insert, False)

    def _channel(self, vcid: int) -> _Channel:
        if not 0 <= vcid < IDLE_VCID:
            raise FieldRangeError(f"AOS encoder: virtual channel {vcid}, must be 0 to 62")
        if vcid not in self._channels:
            self._channels[vcid] = _Channel(vcid)
        return self._channels[vcid]

    def _check(self, ocf: bytes, insert: bytes) -> None:
        if len(ocf) != self._ocf_nbytes or len(insert) != self._insert_nbytes:
            raise FieldRangeError(
                f"AOS encoder: control field of {len(ocf)} and insert zone of {len(insert)} octets,"
                f" {self._ocf_nbytes} and {self._insert_nbytes} in every frame of this encoder"
            )

    def _checked_frame(
        self, vcid: int, field: bytes, ocf: bytes, insert: bytes, replay: bool
    ) -> bytes:
        self._check(ocf, insert)
        self._channel(vcid)
        return self._frame(vcid, field, ocf, insert, replay)

    def _frame(self, vcid: int, field: bytes, ocf: bytes, insert: bytes, replay: bool) -> bytes:
        channel = self._channels.setdefault(vcid, _Channel(vcid))
        count = channel.count
        channel.count = (count + 1) & (0xFFFFFFF if self._cycle else 0xFFFFFF)
        self.counters["frames"] += 1
        return pack(
            self.scid,
            vcid,
            count & 0xFFFFFF,
            field,
            replay=replay,
            cycle=count >> 24 if self._cycle else None,
            insert=insert,
            ocf=ocf,
            fhec=self._fhec,
            fecf=self._fecf,
        )


class Receiver(FrameReceiver):
    """Takes AOS frames of one length and gives packets, bitstreams or data fields as they are.

    ``scid`` None takes frames of any spacecraft; numbers beyond 255 use the two bits of the
    signalling field that older issues leave 0. ``insert_nbytes`` is the insert zone, ``fhec`` says
    that headers have their own error control, which is used to correct them, ``ocf`` that frames
    hold a control field. ``services`` names what a virtual channel carries if that is not packets:
    ``bitstream`` (B_PDU) or ``opaque``. Channel 63 is idle.

    Counts have 24 bits, or 28 where frames use the cycle. A jump to 0 is a restart of that channel,
    a step back of less than half the range a frame repeated or late; neither is a loss.
    """

    KIND = lib.FS_FRAME_AOS
    NAME = "AOS"

    def __init__(
        self,
        scid: int | None,
        nbytes: int,
        *,
        insert_nbytes: int = 0,
        fhec: bool = False,
        ocf: bool = False,
        fecf: bool = True,
        channels: int = 8,
        services: Mapping[int, str] | None = None,
        keep_idle: bool = False,
    ) -> None:
        super().__init__(
            scid,
            nbytes,
            channels=channels,
            services=services,
            insert_nbytes=insert_nbytes,
            fhec=fhec,
            ocf=ocf,
            fecf=2 * fecf,
            keep_idle=keep_idle,
        )
