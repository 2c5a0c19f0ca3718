"""PUS packets of any mission: PUS-C (ECSS-E-ST-70-41C section 7.4) or PUS-A (ECSS-E-70-41A section
5.3), one at a time and as columns over many.

    MISSION = PusFormat(version=PUS_VERSION_A, counter_nbytes=1, time=TimeFormat("cds", 2, 0))
    octets = MISSION.pack_tm(5, 0, 3, 25, b"housekeeping", t_ns=0)
    MISSION.unpack_tm(octets).data
    columns = MISSION.tm_columns(scan(octets))
    columns.service, columns.subtype, columns.t_ns, columns.fault

The standards leave widths and the form of the time to the mission; a format says them once. The
functions of :mod:`pus` are those of the one format that our own spacecraft speaks.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from flightsw.codec.coding.crc import crc16
from flightsw.codec.errors import CodecError, FieldRangeError, TruncatedError
from flightsw.codec.native import ffi, lib
from flightsw.codec.packet.pus import PusVersionError, TcPacket, TmPacket, check_packet
from flightsw.codec.packet.table import HEADER_NBYTES, PacketTable, apid_bits
from flightsw.codec.time_code import TimeFormat

PUS_VERSION_A, PUS_VERSION_C = 1, 2

#: Four octets of seconds, three of fraction: what :mod:`pus` writes.
MISSION_TIME = TimeFormat("cuc", 4, 3)

_from_buffer = ffi.from_buffer
_FIXED_NBYTES = 9  # primary header, version, service, subtype
_PEC_NBYTES = 2
_TIMES = {"cuc": lib.FS_PUS_TIME_CUC, "cds": lib.FS_PUS_TIME_CDS}
_COLUMNS = (
    ("uint8_t[]", np.uint8),
    ("uint8_t[]", np.uint8),
    ("uint8_t[]", np.uint8),
    ("uint8_t[]", np.uint8),
    ("uint32_t[]", np.uint32),
    ("uint32_t[]", np.uint32),
    ("int64_t[]", np.int64),
    ("uint64_t[]", np.uint64),
    ("uint32_t[]", np.uint32),
)


class PusFault(IntEnum):
    """Why a packet in columns has no PUS header of the format."""

    GOOD = lib.FS_PUS_GOOD
    OTHER_TYPE = lib.FS_PUS_OTHER_TYPE
    NO_HEADER = lib.FS_PUS_NO_HEADER
    VERSION = lib.FS_PUS_VERSION
    SHORT = lib.FS_PUS_SHORT
    TIME = lib.FS_PUS_TIME


class PusColumns(NamedTuple):
    """One element a packet; rows whose ``fault`` is not 0 are all 0 otherwise.

    ``status`` is the time reference status of telemetry (uint8, 4 bits) or the acknowledgement
    flags of a telecommand; ``party`` its destination or source (uint32). ``t_ns`` (int64) counts
    from the epoch of the time code. Data stand at ``data_offset`` (uint64) of the table's buffer
    and have ``data_nbytes`` (uint32) octets; a layout takes these offsets.
    """

    fault: npt.NDArray[np.uint8]
    status: npt.NDArray[np.uint8]
    service: npt.NDArray[np.uint8]
    subtype: npt.NDArray[np.uint8]
    counter: npt.NDArray[np.uint32]
    party: npt.NDArray[np.uint32]
    t_ns: npt.NDArray[np.int64]
    data_offset: npt.NDArray[np.uint64]
    data_nbytes: npt.NDArray[np.uint32]

    @property
    def good(self) -> npt.NDArray[np.bool_]:
        """True where there is a header."""
        return np.equal(self.fault, 0)


@dataclass(frozen=True)
class PusFormat:
    """What a mission writes in its secondary headers; widths in octets, 0 leaves a field out.

    ``time`` None leaves the time out; ``preamble_sent`` says whether its preamble stands in front
    of it. Raises FieldRangeError for widths above 4 or another version.
    """

    version: int = PUS_VERSION_C
    counter_nbytes: int = 2
    destination_nbytes: int = 2
    source_nbytes: int = 2
    time: TimeFormat | None = MISSION_TIME
    preamble_sent: bool = True
    tm_spare_nbytes: int = 0
    tc_spare_nbytes: int = 0
    error_control: bool = True

    def __post_init__(self) -> None:
        widths = (self.counter_nbytes, self.destination_nbytes, self.source_nbytes)
        spares = (self.tm_spare_nbytes, self.tc_spare_nbytes)
        if (
            self.version not in (PUS_VERSION_A, PUS_VERSION_C)
            or not all(0 <= width <= 4 for width in widths)
            or not all(0 <= spare <= 255 for spare in spares)
        ):
            raise FieldRangeError(
                f"PUS format: version {self.version} (1 is PUS-A, 2 PUS-C), fields of {widths} (at"
                f" most 4) and spares of {spares} octets (at most 255)"
            )

    @cached_property
    def _preamble(self) -> bytes:
        return self.time.preamble() if self.time is not None and self.preamble_sent else b""

    @cached_property
    def time_nbytes(self) -> int:
        """Octets of the time field, with its preamble if that is sent."""
        return 0 if self.time is None else len(self._preamble) + self.time.nbytes

    @property
    def tm_header_nbytes(self) -> int:
        """Octets in front of a report's data."""
        widths = self.counter_nbytes + self.destination_nbytes + self.time_nbytes
        return _FIXED_NBYTES + widths + self.tm_spare_nbytes

    @property
    def tc_header_nbytes(self) -> int:
        """Octets in front of a telecommand's data."""
        return _FIXED_NBYTES + self.source_nbytes + self.tc_spare_nbytes

    def pack_tm(
        self,
        apid: int,
        seq: int,
        service: int,
        subtype: int,
        data: bytes,
        *,
        t_ns: int | None = None,
        counter: int = 0,
        destination: int = 0,
        time_status: int = 0,
    ) -> bytes:
        """Return a report; ``t_ns`` since the epoch of the time code, None if there is no time.

        Raises FieldRangeError for what does not fit, and writes nothing.
        """
        if (t_ns is None) != (self.time is None):
            raise FieldRangeError(
                f"TM[{service},{subtype}] of APID {apid}: time {t_ns} ns, and the format's time is"
                f" {self.time}; give a time exactly where there is one"
            )
        time = b"" if self.time is None or t_ns is None else self.time.pack(t_ns)
        fields = (
            self._number("message counter", counter, self.counter_nbytes),
            self._number("destination", destination, self.destination_nbytes),
            self._preamble + time + bytes(self.tm_spare_nbytes),
        )
        return self._pack(0x0800, apid, seq, time_status, service, subtype, b"".join(fields) + data)

    def pack_tc(
        self,
        apid: int,
        seq: int,
        service: int,
        subtype: int,
        data: bytes,
        *,
        ack: int = 0b1111,
        source: int = 0,
    ) -> bytes:
        """Return a telecommand that asks for the reports in ``ack``; raises as :meth:`pack_tm`."""
        head = self._number("source", source, self.source_nbytes) + bytes(self.tc_spare_nbytes)
        return self._pack(0x1800, apid, seq, ack, service, subtype, head + data)

    def unpack_tm(self, packet: bytes) -> TmPacket:
        """Take a report apart; raises as :func:`pus.unpack_tm` does."""
        self._check(packet, self.tm_header_nbytes, telecommand=False)
        at = _FIXED_NBYTES + self.counter_nbytes
        counter = int.from_bytes(packet[_FIXED_NBYTES:at], "big")
        end = at + self.destination_nbytes
        destination = int.from_bytes(packet[at:end], "big")
        at, end = end, end + self.time_nbytes
        t_ns = None
        if self.time is not None:
            sent = packet[at : at + len(self._preamble)]
            if sent != self._preamble:
                raise PusVersionError(
                    f"telemetry packet: its time has preamble {sent.hex()}, the format"
                    f" {self._preamble.hex()}"
                )
            t_ns = self.time.unpack(packet[at + len(self._preamble) : end])
        data = self._data(packet, self.tm_header_nbytes)
        return TmPacket(*_primary(packet), packet[7], packet[8], counter, destination, t_ns, data)

    def unpack_tc(self, packet: bytes) -> TcPacket:
        """Take a telecommand apart; raises as :func:`pus.unpack_tc` does."""
        self._check(packet, self.tc_header_nbytes, telecommand=True)
        source = int.from_bytes(packet[_FIXED_NBYTES : _FIXED_NBYTES + self.source_nbytes], "big")
        data = self._data(packet, self.tc_header_nbytes)
        return TcPacket(*_primary(packet), packet[6] & 15, packet[7], packet[8], source, data)

    def tm_columns(self, table: PacketTable, apids: Iterable[int] | None = None) -> PusColumns:
        """Return the headers of the reports in ``table``, of ``apids`` or of all with a header.

        Error control is a column of the table, not looked at here. Raises CodecError for a time of
        more than 4 octets of seconds or of fraction, TruncatedError if a packet is not in the
        table's buffer.
        """
        return self._columns(table, apids, telecommand=False)

    def tc_columns(self, table: PacketTable, apids: Iterable[int] | None = None) -> PusColumns:
        """Return the headers of the telecommands in ``table``, as :meth:`tm_columns`."""
        return self._columns(table, apids, telecommand=True)

    def _number(self, name: str, value: int, nbytes: int) -> bytes:
        if not 0 <= value < 1 << 8 * nbytes and (nbytes or value):
            raise FieldRangeError(
                f"PUS packet: {name} {value} does not fit {nbytes} octets; nothing was written"
            )
        return value.to_bytes(nbytes, "big")

    def _pack(
        self, kind: int, apid: int, seq: int, status: int, service: int, subtype: int, rest: bytes
    ) -> bytes:
        nbytes = _FIXED_NBYTES + len(rest) + _PEC_NBYTES * self.error_control
        status_limit = 16 if self.version == PUS_VERSION_C or kind & 0x1000 else 1
        if not (
            0 <= apid < 2048
            and 0 <= seq < 16_384
            and 0 <= status < status_limit
            and 0 <= service < 256
            and 0 <= subtype < 256
            and nbytes <= lib.FS_PACKET_NBYTES
        ):
            raise FieldRangeError(
                f"PUS packet [{service},{subtype}] of APID {apid}: a header value does not fit its"
                f" field (sequence {seq}, status or flags {status}, {nbytes} octets); nothing was"
                " written"
            )
        head = (kind | apid) << 32 | (0xC000 | seq) << 16 | nbytes - HEADER_NBYTES - 1
        second = bytes((self.version << 4 | status, service, subtype))
        body = head.to_bytes(HEADER_NBYTES, "big") + second + rest
        return body + crc16(body).to_bytes(_PEC_NBYTES, "big") if self.error_control else body

    def _data(self, packet: bytes, at: int) -> bytes:
        return packet[at : len(packet) - _PEC_NBYTES * self.error_control]

    def _check(self, packet: bytes, header_nbytes: int, telecommand: bool) -> None:
        """Raise what is wrong with a packet, the most basic fault first."""
        check_packet(
            packet,
            header_nbytes,
            telecommand=telecommand,
            version=self.version,
            error_control=self.error_control,
        )

    def _columns(
        self, table: PacketTable, apids: Iterable[int] | None, telecommand: bool
    ) -> PusColumns:
        n, octets = len(table), _from_buffer(table.buf)
        arrays: list[npt.NDArray[Any]] = [np.empty(n, dtype) for _, dtype in _COLUMNS]
        pointers = [
            _from_buffer(kind, array) for (kind, _), array in zip(_COLUMNS, arrays, strict=True)
        ]
        offset = np.ascontiguousarray(table.offset, np.uint64)
        nbytes = np.ascontiguousarray(table.nbytes, np.uint32)
        code = lib.fs_pus_decode_columns(
            self.described(telecommand),
            ffi.NULL if apids is None else apid_bits(apids),
            octets,
            len(octets),
            _from_buffer("uint64_t[]", offset),
            _from_buffer("uint32_t[]", nbytes),
            n,
            ffi.new("fs_pus_columns *", pointers),
        )
        if code == lib.FS_E_RANGE:
            raise CodecError(
                f"PUS columns: {self.time} is not read into columns; unpack one by one"
            )
        if code < 0:
            raise TruncatedError(f"PUS columns: a packet ends behind the {len(octets)} octets")
        return PusColumns(*arrays)

    def described(self, telecommand: bool) -> Any:
        """Return the format as the C code takes it."""
        time = None if telecommand else self.time
        values: dict[str, Any] = {
            "version": self.version,
            "telecommand": telecommand,
            "counter_nbytes": 0 if telecommand else self.counter_nbytes,
            "party_nbytes": self.source_nbytes if telecommand else self.destination_nbytes,
            "spare_nbytes": self.tc_spare_nbytes if telecommand else self.tm_spare_nbytes,
            "check_nbytes": _PEC_NBYTES * self.error_control,
        }
        if time is not None:
            values |= {
                "time": _TIMES[time.code],
                "preamble_nbytes": len(self._preamble),
                "preamble": list(self._preamble),
                "coarse_nbytes": time.coarse,
                "fine_nbytes": time.fine,
            }
        return ffi.new("fs_pus_format *", values)


#: PUS-A without the fields that it leaves to the mission.
PUS_A = PusFormat(PUS_VERSION_A, counter_nbytes=0, destination_nbytes=0, source_nbytes=0)
#: PUS-C with the time of our own spacecraft.
PUS_C = PusFormat()


def _primary(packet: bytes) -> tuple[int, int]:
    return (packet[0] & 7) << 8 | packet[1], (packet[2] & 0x3F) << 8 | packet[3]
