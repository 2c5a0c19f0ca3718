"""Fronts of a stream whose packets are few: frames on serial lines, telecommands off an uplink."""

from __future__ import annotations

import numpy as np

from flightsw.codec.coding import cltu
from flightsw.codec.errors import ChecksumError, CodecError, FieldRangeError, TruncatedError
from flightsw.codec.link import tc_frame
from flightsw.codec.link.units import UNIT_DTYPE, Units
from flightsw.codec.native import ffi
from flightsw.codec.octets import Octets
from flightsw.codec.packet.table import MIN_NBYTES
from flightsw.codec.serial import cobs, hdlc, slip
from flightsw.codec.serial.line import Deframer
from flightsw.codec.stream.batch import Delivered
from flightsw.codec.stream.channel import Channel

Counters = dict[str, dict[str, int]]
DEFRAMERS = {"cobs": cobs.Decoder, "slip": slip.Decoder, "hdlc": hdlc.Decoder}


#: A delivery without units.
NOTHING = Delivered(b"", 0, 0, ffi.NULL, ffi.NULL)


def packet_nbytes(octets: bytes, at: int = 0) -> int:
    """Return the length of the space packet at ``at`` as its header says, 0 if there is none."""
    if len(octets) - at < MIN_NBYTES or octets[at] >> 5:
        return 0
    nbytes = (octets[at + 4] << 8 | octets[at + 5]) + MIN_NBYTES
    return nbytes if at + nbytes <= len(octets) else 0


def delivered(units: Units) -> Delivered:
    """Return units as a front gives them."""
    rows = ffi.from_buffer("fs_frame_row[]", units.rows)
    return Delivered(units.octets, len(units.octets), len(rows), rows, ffi.NULL)


def units_of(packets: list[tuple[int, bytes]]) -> Delivered:
    """Return packets, each with its virtual channel, as a frame receiver would give them."""
    rows = np.zeros(len(packets), UNIT_DTYPE)
    lengths = np.array([len(packet) for _, packet in packets], np.uint64)
    rows["vcid"] = [vcid for vcid, _ in packets]
    rows["nbytes"] = lengths
    rows["offset"][1:] = np.cumsum(lengths)[:-1]
    octets = np.frombuffer(b"".join(packet for _, packet in packets), np.uint8)
    return delivered(Units(rows, octets, None))


class SerialLine:
    """One packet a frame of COBS, SLIP or HDLC."""

    def __init__(self, channel: Channel) -> None:
        self._deframer: Deframer = DEFRAMERS[channel.input](channel.packets.max_nbytes)
        self._not_packets = self._packets = 0

    def feed(self, octets: Octets) -> Delivered:
        """Return the packets that ``octets`` complete."""
        contents = self._deframer.feed(octets)
        good = [(0, each) for each in contents if packet_nbytes(each) == len(each)]
        self._packets += len(good)
        self._not_packets += len(contents) - len(good)
        return units_of(good)

    def finish(self) -> Delivered:
        """Return nothing: a frame without its end is no frame."""
        return NOTHING

    @property
    def counters(self) -> Counters:
        """Totals since the start."""
        line = self._deframer.counters | {"held_octets": self._deframer.held_nbytes}
        return {"line": line | {"packets": self._packets, "not_packets": self._not_packets}}


class Uplink:
    """Link units, telecommand frames in them, segments put together, packets.

    Frames are taken as they came, in any order of their sequence numbers: a spacecraft's FARM-1
    decides what it takes, a recording shows all that was sent. Repeated packets are counted as
    duplicates by their own sequence counts.
    """

    def __init__(self, channel: Channel) -> None:
        frames = channel.frames
        if frames is None or frames.kind != "tc" or channel.reed_solomon is not None:
            raise FieldRangeError(
                f"channel {channel.name}: input 'cltu' has frames of kind 'tc' and no Reed-Solomon"
                " code"
            )
        if channel.randomiser not in (None, "tc"):
            raise FieldRangeError(
                f"channel {channel.name}: randomiser {channel.randomiser!r} on an uplink; 'tc' or"
                " none"
            )
        self._frames = frames
        self._cltu = cltu.Receiver(randomised=channel.randomiser == "tc")
        self._segments = tc_frame.SegmentReceiver()
        self._counters = {
            "frames": 0,
            "control_frames": 0,
            "bad_fecf": 0,
            "bad_frames": 0,
            "short_frames": 0,
            "foreign_frames": 0,
            "packets": 0,
            "bad_packet_octets": 0,
        }

    def feed(self, octets: Octets) -> Delivered:
        """Return the packets that ``octets`` complete."""
        packets: list[tuple[int, bytes]] = []
        for unit in self._cltu.feed(octets):
            frame = self._frame(unit)
            if frame is not None and (whole := self._segments.accept(frame)) is not None:
                packets += [(frame.vcid, packet) for packet in self._packets_of(whole)]
        return units_of(packets)

    def finish(self) -> Delivered:
        """Return nothing: a unit without its end is none."""
        return NOTHING

    def _frame(self, unit: bytes) -> tc_frame.TcFrame | None:
        """Return the frame in a link unit if it carries data for this spacecraft."""
        frame, reason = None, "frames"
        try:
            frame = tc_frame.unpack(unit, self._frames.segment_header)
            if self._frames.scid not in (None, frame.scid):
                frame, reason = None, "foreign_frames"
            elif frame.control:
                frame, reason = None, "control_frames"
        except ChecksumError:
            reason = "bad_fecf"
        except TruncatedError:
            reason = "short_frames"
        except CodecError:
            reason = "bad_frames"
        self._counters[reason] += 1
        return frame

    def _packets_of(self, whole: bytes) -> list[bytes]:
        packets, at = [], 0
        while nbytes := packet_nbytes(whole, at):
            packets.append(whole[at : at + nbytes])
            at += nbytes
        self._counters["packets"] += len(packets)
        self._counters["bad_packet_octets"] += len(whole) - at
        return packets

    @property
    def counters(self) -> Counters:
        """Totals since the start, by stage."""
        return {
            "cltu": self._cltu.counters | {"held_octets": self._cltu.held_nbytes},
            "link": dict(self._counters),
            "segments": self._segments.counters | {"held_octets": self._segments.held_nbytes},
        }
