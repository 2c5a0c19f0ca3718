"""TM transfer frames (CCSDS 132.0-B-3) and the synchronisation layer around them (131.0-B-5).

:class:`Encoder` multiplexes packets of up to eight virtual channels into frames of one length,
:func:`cadu` makes of a frame what goes on the air, and :class:`Receiver` does the reverse in C:
marker, randomiser, frame check, counts, packets across frames.
"""

from __future__ import annotations

from functools import cached_property
from struct import Struct
from typing import Any

from flightsw.codec.coding.crc import crc16
from flightsw.codec.coding.randomiser import tm_randomise
from flightsw.codec.errors import FieldRangeError
from flightsw.codec.link import sync
from flightsw.codec.link.chain import Line
from flightsw.codec.link.frames import Frames
from flightsw.codec.link.receiver import FrameReceiver
from flightsw.codec.native import lib
from flightsw.codec.packet.queue import PacketQueue

ASM = sync.ASM
HEADER_NBYTES = 6
MAX_NBYTES: int = lib.FS_TM_FRAME_NBYTES
VIRTUAL_CHANNELS = 8
#: Virtual channel of frames that hold nothing but idle data.
IDLE_VCID = 7

POINTER_NONE = 0x7FF
POINTER_IDLE = 0x7FE

COUNTERS = (
    "frames",
    "bad_fecf",
    "bad_version",
    "foreign_frames",
    "ocf_mismatches",
    "marker_bit_errors",
    "skipped_octets",
    "mc_gaps",
    "mc_lost_frames",
    "vc_gaps",
    "vc_lost_frames",
    "restarts_seen",
    "repeated_frames",
    "idle_frames",
    "unpacketised_frames",
    "pointer_errors",
    "unaligned_octets",
    "bad_packets",
    "packets",
    "idle_packets",
    "packets_lost_pieces",
    "broken_frames",
    "no_slot_frames",
    "oversize_units",
    "encapsulation_packets",
    "units",
)

_HEADER = Struct(">HBBH")
_FECF = Struct(">H")
_SEGMENT_ID = 3 << 11  # what a frame without packet order and segments sets


def cadu(frame: bytes) -> bytes:
    """Return what goes on the air for ``frame``: marker, then the frame under the randomiser."""
    if len(frame) > MAX_NBYTES:
        raise FieldRangeError(f"TM frame of {len(frame)} octets, at most {MAX_NBYTES}; split it")
    return ASM + tm_randomise(frame)


class _Channel(PacketQueue):
    """The packets of one virtual channel, and the count of its next frame."""

    __slots__ = ("count",)

    def __init__(self, vcid: int) -> None:
        super().__init__(f"TM encoder, virtual channel {vcid}")
        self.count = 0


class Encoder:
    """Makes the frames of one spacecraft: a queue of packets for each virtual channel.

    ``counters`` counts frames, idle frames, packets and idle packets. FieldRangeError for frames of
    another kind. An encoder belongs to one thread at a time.
    """

    def __init__(self, frames: Frames) -> None:
        scid = frames.sender("tm")
        self.settings, self.nbytes = frames, frames.nbytes
        self.data_nbytes = frames.nbytes - HEADER_NBYTES - frames.ocf_nbytes - frames.fecf_nbytes
        self.counters = {"frames": 0, "idle_frames": 0, "idle_packets": 0, "packets": 0}
        self._word = scid << 4 | int(frames.ocf)
        self._ocf_nbytes = frames.ocf_nbytes
        self._fecf = frames.fecf is not None
        self._mc_count = 0
        self._channels = [_Channel(vcid) for vcid in range(VIRTUAL_CHANNELS)]

    def add(self, vcid: int, packet: bytes) -> None:
        """Queue one space packet on a virtual channel."""
        self._channel(vcid).append(packet)
        self.counters["packets"] += 1

    def pending(self, vcid: int) -> int:
        """Return the octets of packets that are queued; idle fill does not count."""
        return self._channel(vcid).pending

    def next_frame(self, vcid: int, ocf: bytes = b"", *, flush: bool = False) -> bytes | None:
        """Return the next frame of a channel, or None if its packets do not fill one.

        With ``flush`` an idle packet fills the frame; the answer is then None only if nothing is
        queued. ``ocf`` has four octets, or none if the encoder was made without.
        """
        channel, room = self._checked(vcid, ocf), self.data_nbytes
        filled = channel.fill(room, flush)
        if filled is None:
            return None
        self.counters["idle_packets"] += filled
        data, pointer = channel.take(room)
        return self._frame(vcid, data, POINTER_NONE if pointer is None else pointer, ocf)

    def idle_frame(self, ocf: bytes = b"", *, vcid: int = IDLE_VCID) -> bytes:
        """Return a frame that holds only idle data, to keep the link in lock."""
        self._checked(vcid, ocf)
        self.counters["idle_frames"] += 1
        return self._frame(vcid, bytes(self.data_nbytes), POINTER_IDLE, ocf)

    def _channel(self, vcid: int) -> _Channel:
        if not 0 <= vcid < VIRTUAL_CHANNELS:
            raise FieldRangeError(f"TM encoder: virtual channel {vcid}, must be 0 to 7")
        return self._channels[vcid]

    def _checked(self, vcid: int, ocf: bytes) -> _Channel:
        if len(ocf) != self._ocf_nbytes:
            raise FieldRangeError(
                f"TM encoder: operational control field of {len(ocf)} octets, {self._ocf_nbytes}"
                " in every frame of this encoder; its settings say whether there is one"
            )
        return self._channel(vcid)

    def _frame(self, vcid: int, data: bytes, pointer: int, ocf: bytes) -> bytes:
        channel, mc_count = self._channels[vcid], self._mc_count
        head = _HEADER.pack(self._word | vcid << 1, mc_count, channel.count, _SEGMENT_ID | pointer)
        self._mc_count = (mc_count + 1) & 0xFF
        channel.count = (channel.count + 1) & 0xFF
        self.counters["frames"] += 1
        frame = head + data + ocf
        return frame + _FECF.pack(crc16(frame)) if self._fecf else frame


class Receiver(FrameReceiver):
    """Takes what comes off the air, in chunks of any size, and gives packets by virtual channel.

    It stands behind the marker and the randomiser that :func:`cadu` puts around frames; for others,
    and for codes, there is :class:`flightsw.codec.link.chain.Chain`. Frames without marker and
    randomiser go to :meth:`frame` and :meth:`frames`.
    """

    COUNTERS = COUNTERS

    def __init__(self, frames: Frames) -> None:
        if frames.kind != "tm":
            raise FieldRangeError(f"TM receiver: frames of kind {frames.kind!r}, must be 'tm'")
        super().__init__(frames)

    @cached_property
    def _line(self) -> Line:
        """What stands in front of frames that :meth:`feed` takes off the air."""
        return Line(self._state, sync.Marker(step=8))

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy needs to go on from here."""
        state = super().__getstate__()
        line = state.pop("_line", None)
        return {**state, "_kept_line": line and line.kept()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        kept = state["_kept_line"]
        super().__setstate__({k: v for k, v in state.items() if k != "_kept_line"})
        if kept is not None:
            self.__dict__["_line"] = Line.again(self._state, kept)

    def feed(self, octets: bytes) -> list[tuple[int, bytes]]:
        """Return (virtual channel, packet) for each packet that ``octets`` complete, in order."""
        packets: list[tuple[int, bytes]] = []
        sink = self._sink

        def collect() -> None:
            if sink.rows_used:
                packets.extend(self._collect(sink.rows_used))
            sink.rows_used = sink.octets_used = 0

        sink.rows_used = sink.octets_used = 0  # what a single frame gave
        self._line.feed(octets, sink, collect)
        collect()
        return packets

    def _counted(self) -> dict[str, int]:
        line = self._line.state.sync
        found = super()._counted()
        found["marker_bit_errors"] = int(line.wrong_marker_bits)
        found["skipped_octets"] = int(line.skipped_bits) // 8
        return found
