"""Packets of one channel on their way into the data fields of frames, one behind the other."""

from __future__ import annotations

from collections import deque
from struct import Struct

from flightsw.codec.errors import SyncError
from flightsw.codec.packet.table import IDLE_APID, MIN_NBYTES

_IDLE_HEADER = Struct(">HHH")


class PacketQueue:
    """What one channel still has to send: octets, and where packets begin in them.

    ``starts`` counts from the first octet that the channel ever sent, as ``sent`` does. ``filler``
    is how many octets at the front are the rest of an idle packet.
    """

    __slots__ = ("filler", "idle_seq", "name", "queue", "sent", "starts", "total")

    def __init__(self, name: str) -> None:
        self.name = name
        self.queue = bytearray()
        self.starts: deque[int] = deque()
        self.sent = self.total = self.filler = self.idle_seq = 0

    @property
    def pending(self) -> int:
        """Octets of packets that are queued; idle fill does not count."""
        return len(self.queue) - self.filler

    def append(self, packet: bytes) -> None:
        """Queue one space packet; SyncError if it is none."""
        nbytes = len(packet)
        if nbytes < MIN_NBYTES or packet[0] >> 5 or (packet[4] << 8 | packet[5]) + 7 != nbytes:
            raise SyncError(
                f"{self.name}: {nbytes} octets that are not one space packet; its version must be 0"
                " and its length field tell the truth, or the receiver loses its place"
            )
        self._append(packet)

    def _append(self, packet: bytes) -> None:
        self.starts.append(self.total)
        self.queue += packet
        self.total += len(packet)

    def fill(self, nbytes: int, flush: bool) -> int | None:
        """Make ready to take ``nbytes``; return the idle packets that it took, None if it cannot.

        With ``flush`` an idle packet makes up what is missing, unless nothing is queued at all; its
        rest stays for the zone after.
        """
        queued = len(self.queue)
        if queued >= nbytes:
            self.filler = max(0, self.filler - nbytes)
            return 0
        if not flush or queued == self.filler:
            return None
        length = max(nbytes - queued, MIN_NBYTES)
        self.filler = length - (nbytes - queued)
        head = _IDLE_HEADER.pack(IDLE_APID, 0xC000 | self.idle_seq, length - MIN_NBYTES)
        self._append(head + bytes(length - len(head)))
        self.idle_seq = (self.idle_seq + 1) & 0x3FFF
        return 1

    def take(self, nbytes: int) -> tuple[bytes, int | None]:
        """Remove the next ``nbytes``; return them and where the first packet starts, or None."""
        starts, end = self.starts, self.sent + nbytes
        pointer = starts[0] - self.sent if starts and starts[0] < end else None
        while starts and starts[0] < end:
            starts.popleft()
        data = bytes(self.queue[:nbytes])
        del self.queue[:nbytes]
        self.sent = end
        return data, pointer
