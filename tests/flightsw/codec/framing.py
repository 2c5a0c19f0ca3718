"""What tests of frames share: packets that tell one from another, and what must always hold."""

from __future__ import annotations

import random
from collections.abc import Iterable

from flightsw.codec.coding.crc import crc16
from flightsw.codec.link import tm_frame
from flightsw.codec.link.frames import Frames
from flightsw.codec.link.receiver import FrameReceiver
from flightsw.codec.link.units import Units
from flightsw.codec.packet import space_packet

SCID = 0x2F6
OCF = bytes.fromhex("01000000")
FRAMES = Frames("tm", 256, SCID, ocf=True)

#: Of the unit tests of github.com/nasa/channel-emulator: an encapsulation packet with the first of
#: an IP datagram of 393 octets.
NASA_AOS = bytes.fromhex(
    "6ac1000157000000ea00018d2145000188000040003f118cc3c0a86428c0a8c82875307531017400"
    "00888888888888887788888877888888888877888888887777554444444433443344445555665588"
    "88888888887766776666776677666666555566666677888888778888777777777766777777777788"
    "88888877887793fd"
)


def packet(seq: int, nbytes: int, apid: int = 5) -> bytes:
    """Return a space packet of nbytes octets in all, with contents that tell it from others."""
    return space_packet.pack(apid, seq % 16384, random.Random(seq).randbytes(nbytes - 6))


def with_fecf(body: bytes) -> bytes:
    """Return a frame body with a right CRC, whatever else it says."""
    return body + crc16(body).to_bytes(2, "big")


def by_channel(units: Units) -> dict[tuple[int, int], list[bytes]]:
    """Return units by virtual channel and MAP, in order."""
    found: dict[tuple[int, int], list[bytes]] = {}
    for row, octets in zip(units.rows, units.each(), strict=True):
        found.setdefault((int(row["vcid"]), int(row["map"])), []).append(octets)
    return found


def balanced(receiver: FrameReceiver) -> bool:
    """Tell whether each octet given is accounted for, in a total of a channel or otherwise."""
    octets = receiver.octets
    given = octets.pop("given")
    return given == sum(octets.values())


def losses(receiver: FrameReceiver) -> dict[str, int]:
    """Return all counters that are not 0 but those of a clean link."""
    good = {"frames", "packets", "idle_packets", "idle_frames", "units", "encapsulation_packets"}
    good |= {"unpacketised_frames", "truncated_frames", "control_frames", "replayed_frames"}
    return {name: n for name, n in receiver.counters.items() if n and name not in good}


def in_order(got: Iterable[bytes], sent: Iterable[bytes]) -> bool:
    """Tell whether all of ``got`` was sent, in this order."""
    left = iter(sent)
    return all(any(one == other for other in left) for one in got)


def on_air(encoder: tm_frame.Encoder, packets: list[tuple[int, bytes]]) -> list[bytes]:
    """Return the CADUs of packets on their virtual channels, everything flushed."""
    units = []
    for vcid, octets in packets:
        encoder.add(vcid, octets)
        while frame := encoder.next_frame(vcid, OCF):
            units.append(tm_frame.cadu(frame))
    for vcid in sorted({vcid for vcid, _ in packets}):
        while frame := encoder.next_frame(vcid, OCF, flush=True):
            units.append(tm_frame.cadu(frame))
    return units


def units_of(count: int, nbytes: int = 300) -> tuple[list[tuple[int, bytes]], list[bytes]]:
    """Return packets of one channel, and their CADUs of 260 octets."""
    sent = [(0, packet(i, nbytes)) for i in range(count)]
    return sent, on_air(tm_frame.Encoder(FRAMES), sent)
