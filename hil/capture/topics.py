"""Which MCAP channel a wire record belongs to: topic, encoding and schema."""

from __future__ import annotations

from collections.abc import Mapping

from flightsw.codec.wire import Kind

RECORD_ENCODING = "flatsat-record"
JSON_ENCODING = "json"
SCHEMA_ID = 1
SCHEMA_NAME = "flatsat.Record"
SCHEMA_ENCODING = "text"

#: stored in every capture, so that it can be read when this program is long gone
SCHEMA_TEXT = b"""One wire record: a header of 32 octets, little-endian, then `length` octets.
 offset type field
      0 u8   kind         what it is, see below
      1 u8   channel      index in the channel table (metadata "channel" of the MCAP channel)
      2 u8   flags        1 completed, 2 towards the unit under test, 4 changed by a fault,
                          8 wake on input (only on NEXT, which is never stored); of CAN
                          16 bit rate switched, 32 error passive sender, 64 CAN FD;
                          128 a real board answered or sent it
      3 u8   status       0 good, 1 address not acknowledged, 2 data not acknowledged,
                          3 arbitration lost, 4 timeout, 5 stuck, 6 unsupported, 7 invalid,
                          8 bus off, 9 overrun, 10 framing, 11 damaged, 12 absent, 13 busy,
                          14 protocol broken
      4 u32  length       octets of payload
      8 u64  t_ns         start, nanoseconds since the epoch of the mission
     16 u64  duration_ns  time that it took
     24 u32  seq          global sequence number
     28 u32  address      I2C address, SPI chip select, CAN identifier with the SocketCAN flags,
                          GPIO line
kinds and payloads:
  0x09 ATTRIBUTE address 0 read, 1 written; JSON: path, errno, text
  0x0A LINES JSON: modem lines, rate and format of a serial line from now on
  0x10 I2C   a message: u16 address, u16 flags (1 read, 2 ten-bit, 4 length
             first), u16 length, data
  0x11 SPI   a segment: u32 length, u32 speed_hz, u8 bits, u8 flags, u16 delay_us, tx, rx
  0x12 UART  octets      0x13 CAN data        0x14 GPIO one octet, the level
  0x15 FRAME u16 width, u16 height, u8 channels, u8 bits, u16 zero, pixels by rows
  0x16 LOAD  u64 duration_ns, u64 energy_uj, then the request: u32 units, model class in UTF-8
  0x17 ONEWIRE a step: u8 op (0 reset, 1 write, 2 read, 3 triplet), u8 zero, u16 length, octets
  0x20 TM    transfer frame with marker       0x21 TC    CLTU
  0x22 LINK, 0x30 EVENT, 0x31 WORLD, 0x32 FAULT: JSON
"""

JSON_KINDS = frozenset({Kind.LINK, Kind.EVENT, Kind.WORLD, Kind.FAULT})

_FIXED = {
    Kind.TM: "/link/tm",
    Kind.TC: "/link/tc",
    Kind.LINK: "/link/state",
    Kind.EVENT: "/event",
    Kind.WORLD: "/world",
    Kind.FAULT: "/fault",
    Kind.LOAD: "/load",
    Kind.ATTRIBUTE: "/attribute",
}
_FOLDERS = {Kind.GPIO: "/gpio/", Kind.FRAME: "/camera/", Kind.LINES: "/lines/"}


def topic_of(kind: int, channel: int, names: Mapping[int, str]) -> str:
    """Return the topic of records of ``kind`` on channel ``channel``; ``names`` by index."""
    if kind in _FIXED:
        return _FIXED[Kind(kind)]
    name = names.get(channel, f"channel-{channel}")
    if kind in Kind.__members__.values():
        return _FOLDERS.get(Kind(kind), "/bus/") + name
    return f"/kind-{kind:#04x}/{name}"
