"""AOS transfer frames (CCSDS 732.0-B-4): :func:`pack` makes one, and :class:`Encoder` multiplexes
packets, bitstreams and fields as they are into frames of one length.
:class:`flightsw.codec.link.receiver.FrameReceiver` does the reverse.
"""

from __future__ import annotations

from flightsw.codec.errors import FieldRangeError
from flightsw.codec.link.frames import OCF_NBYTES, Frames, closed
from flightsw.codec.native import lib
from flightsw.codec.packet.queue import PacketQueue

HEADER_NBYTES = 6
FHEC_NBYTES = 2
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
    fecf: str | None = "crc16",
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
    frame = closed(head + insert + field + ocf, fecf)
    if not field or len(frame) > MAX_NBYTES or fecf == "crc32":
        raise FieldRangeError(
            f"AOS frame: {len(field)} octets of data field make a frame of {len(frame)}, at most"
            f" {MAX_NBYTES} and at least one of data field; its check is crc16 or None"
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

    With ``cycle`` counts have 28 bits. ``counters`` counts frames, idle frames, packets and idle
    packets. FieldRangeError for frames of another kind, or with a data field of fewer than three
    octets. An encoder belongs to one thread at a time.
    """

    def __init__(self, frames: Frames, *, cycle: bool = False) -> None:
        self.settings, self.scid, self.nbytes = frames, frames.sender("aos"), frames.nbytes
        overhead = HEADER_NBYTES + FHEC_NBYTES * frames.fhec + frames.insert_nbytes
        self.field_nbytes = frames.nbytes - overhead - frames.ocf_nbytes - frames.fecf_nbytes
        if self.field_nbytes < 3:
            raise FieldRangeError(
                f"AOS encoder: {frames} leave {self.field_nbytes} octets for the data field, at"
                " least 3"
            )
        self.counters = {"frames": 0, "idle_frames": 0, "idle_packets": 0, "packets": 0}
        self._cycle = cycle
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
        queued. ``ocf`` and ``insert`` have as many octets as the frames' settings say.
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
        of = self.settings
        if len(ocf) != of.ocf_nbytes or len(insert) != of.insert_nbytes:
            raise FieldRangeError(
                f"AOS encoder: control field of {len(ocf)} and insert zone of {len(insert)} octets,"
                f" {of.ocf_nbytes} and {of.insert_nbytes} in every frame of this encoder"
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
            fhec=self.settings.fhec,
            fecf=self.settings.fecf,
        )
