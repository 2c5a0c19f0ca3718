"""The UBX protocol: framing, checksum, and the messages that the receiver model speaks.

u-blox M9 interface description (UBX-19035940), chapter "UBX protocol": frame structure, checksum,
and the messages by name. NAV-PVT has the same 92 octets on M8 (UBX-13003221, "UBX-NAV-PVT").
"""

from __future__ import annotations

import struct
from functools import reduce
from operator import xor
from typing import Final, NamedTuple

from construct import Int8ul, Int16sl, Int16ul, Int32sl, Int32ul, Struct

SYNC: Final = b"\xb5\x62"
HEADER_NBYTES: Final = 6
CHECKSUM_NBYTES: Final = 2
#: A frame that claims more payload than this is noise: the longest message to a receiver is a
#: CFG-VALSET of 64 eight-octet values.
PAYLOAD_MAX_NBYTES: Final = 1024
#: A line that is longer is no sentence; NMEA 0183 allows 82 characters, PUBX,03 has more.
SENTENCE_MAX_NBYTES: Final = 1024

# Class and number of the messages that code names; messages.py has all that are sent.
NAV_PVT: Final = (0x01, 0x07)
ACK_NAK: Final = (0x05, 0x00)
ACK_ACK: Final = (0x05, 0x01)
CFG_PRT: Final = (0x06, 0x00)
CFG_MSG: Final = (0x06, 0x01)
CFG_INF: Final = (0x06, 0x02)
CFG_RST: Final = (0x06, 0x04)
CFG_RATE: Final = (0x06, 0x08)
CFG_CFG: Final = (0x06, 0x09)
CFG_NAV5: Final = (0x06, 0x24)
CFG_TP5: Final = (0x06, 0x31)
CFG_GNSS: Final = (0x06, 0x3E)
CFG_VALSET: Final = (0x06, 0x8A)
CFG_VALGET: Final = (0x06, 0x8B)
CFG_VALDEL: Final = (0x06, 0x8C)
MON_VER: Final = (0x0A, 0x04)
MON_GNSS: Final = (0x0A, 0x28)
SEC_UNIQID: Final = (0x27, 0x03)
NMEA_GGA: Final = (0xF0, 0x00)
NMEA_RMC: Final = (0xF0, 0x04)
#: stands for the class and number of an NMEA sentence among what was received
NMEA_LINE: Final = (0x24, 0x00)

#: UBX-NAV-PVT. Angles 1e-7 degree, lengths mm, speeds mm/s, headings 1e-5 degree, pDOP 0.01.
NAV_PVT_FIELDS: Final = Struct(
    "itow_ms" / Int32ul,
    "year" / Int16ul,
    "month" / Int8ul,
    "day" / Int8ul,
    "hour" / Int8ul,
    "minute" / Int8ul,
    "second" / Int8ul,
    "valid" / Int8ul,
    "t_acc_ns" / Int32ul,
    "nano" / Int32sl,
    "fix_type" / Int8ul,
    "flags" / Int8ul,
    "flags2" / Int8ul,
    "num_sv" / Int8ul,
    "lon_1e7" / Int32sl,
    "lat_1e7" / Int32sl,
    "height_mm" / Int32sl,
    "msl_mm" / Int32sl,
    "h_acc_mm" / Int32ul,
    "v_acc_mm" / Int32ul,
    "vel_n_mm_s" / Int32sl,
    "vel_e_mm_s" / Int32sl,
    "vel_d_mm_s" / Int32sl,
    "ground_mm_s" / Int32sl,
    "head_motion_1e5" / Int32sl,
    "s_acc_mm_s" / Int32ul,
    "head_acc_1e5" / Int32ul,
    "pdop_centi" / Int16ul,
    "flags3" / Int16ul,
    "reserved" / Int32ul,
    "head_vehicle_1e5" / Int32sl,
    "mag_dec_centi" / Int16sl,
    "mag_acc_centi" / Int16ul,
)
# construct's FormatField keeps the struct code of each field, so the fast packer cannot drift.
_NAV_PVT = struct.Struct("<" + "".join(field.subcon.fmtstr[-1] for field in NAV_PVT_FIELDS.subcons))
assert _NAV_PVT.size == NAV_PVT_FIELDS.sizeof() == 92


class NavPvt(NamedTuple):
    """The fields of UBX-NAV-PVT in their order and units; see :data:`NAV_PVT_FIELDS`."""

    itow_ms: int
    year: int
    month: int
    day: int
    hour: int
    minute: int
    second: int
    valid: int
    t_acc_ns: int
    nano: int
    fix_type: int
    flags: int
    flags2: int
    num_sv: int
    lon_1e7: int
    lat_1e7: int
    height_mm: int
    msl_mm: int
    h_acc_mm: int
    v_acc_mm: int
    vel_n_mm_s: int
    vel_e_mm_s: int
    vel_d_mm_s: int
    ground_mm_s: int
    head_motion_1e5: int
    s_acc_mm_s: int
    head_acc_1e5: int
    pdop_centi: int
    flags3: int = 0
    reserved: int = 0
    head_vehicle_1e5: int = 0
    mag_dec_centi: int = 0
    mag_acc_centi: int = 0


assert list(NavPvt._fields) == [field.name for field in NAV_PVT_FIELDS.subcons]

# NAV-PVT bits.
VALID_DATE, VALID_TIME, FULLY_RESOLVED = 0x01, 0x02, 0x04
GNSS_FIX_OK = 0x01
#: confirmedAvai, confirmedDate, confirmedTime
CONFIRMED = 0xE0
INVALID_LLH = 0x01
FIX_NONE, FIX_3D = 0, 3


def checksum(body: bytes) -> bytes:
    """Return the two octets of the 8-bit Fletcher checksum over class to payload (RFC 1145)."""
    a = b = 0
    for octet in body:
        a = (a + octet) & 0xFF
        b = (b + a) & 0xFF
    return bytes((a, b))


def frame(message: tuple[int, int], payload: bytes = b"") -> bytes:
    """Return the whole UBX frame of (class, id) and payload."""
    body = bytes(message) + len(payload).to_bytes(2, "little") + payload
    return SYNC + body + checksum(body)


def nav_pvt(solution: NavPvt) -> bytes:
    """Return the UBX-NAV-PVT frame of a solution."""
    return frame(NAV_PVT, _NAV_PVT.pack(*solution))


class Splitter:
    """Finds UBX frames and NMEA sentences in a stream of octets; what it skips is counted."""

    __slots__ = ("_buffer", "counters")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self.counters: dict[str, int] = dict.fromkeys(("skipped_octets", "bad_checksum"), 0)

    def feed(self, data: bytes) -> list[tuple[tuple[int, int], bytes]]:
        """Take octets; return each whole message as ((class, id), payload).

        A sentence is (:data:`NMEA_LINE`, what stands between ``$`` and ``*``).
        """
        buffer = self._buffer
        buffer += data
        found: list[tuple[tuple[int, int], bytes]] = []
        while True:
            starts = [at for at in (buffer.find(SYNC), buffer.find(b"$")) if at >= 0]
            at = min(starts, default=len(buffer) - buffer.endswith(SYNC[:1]))
            if at:
                self._skip(at)
            find = self._sentence if buffer.startswith(b"$") else self._frame
            length = find(found)
            if not length:
                return found
            del buffer[:length]

    def _frame(self, found: list[tuple[tuple[int, int], bytes]]) -> int:
        """Return how many octets the frame at the start takes; 0: more must come."""
        buffer = self._buffer
        if len(buffer) < HEADER_NBYTES:
            return 0
        end = HEADER_NBYTES + int.from_bytes(buffer[4:6], "little") + CHECKSUM_NBYTES
        if end > HEADER_NBYTES + PAYLOAD_MAX_NBYTES + CHECKSUM_NBYTES:
            return self._give_up(len(SYNC))
        if len(buffer) < end:
            return 0
        if checksum(bytes(buffer[2 : end - 2])) != buffer[end - 2 : end]:
            self.counters["bad_checksum"] += 1
            return self._give_up(len(SYNC))
        found.append(((buffer[2], buffer[3]), bytes(buffer[6 : end - 2])))
        return end

    def _sentence(self, found: list[tuple[tuple[int, int], bytes]]) -> int:
        """Return how many octets the sentence at the start takes; 0: more must come."""
        buffer = self._buffer
        end = buffer.find(b"\n", 0, SENTENCE_MAX_NBYTES)
        line = bytes(buffer[: end if end >= 0 else SENTENCE_MAX_NBYTES])
        if not all(0x20 <= octet < 0x7F for octet in line.removesuffix(b"\r")) or b"$" in line[1:]:
            return self._give_up(1)
        if end < 0:
            return 0 if len(buffer) < SENTENCE_MAX_NBYTES else self._give_up(1)
        body, star, told = line[1:].rstrip(b"\r").partition(b"*")
        if not star or told.upper() != f"{reduce(xor, body, 0):02X}".encode():
            self.counters["bad_checksum"] += 1
            return self._give_up(1)
        found.append((NMEA_LINE, body))
        return end + 1

    def _skip(self, count: int) -> None:
        self.counters["skipped_octets"] += count
        del self._buffer[:count]

    def _give_up(self, count: int) -> int:
        """Give up what seemed to start here and look for the next marker."""
        self.counters["skipped_octets"] += count
        return count
