"""What stands behind the header of a bus record: how payloads are laid out.

UART, CAN, GPIO and link records carry plain octets and need no layout. All integers are
little-endian. A request has no ``REPLY`` flag; the reply to it is also what the capture stores.

- I2C: per message ``u16 address, u16 flags, u16 length``, then data. A write always carries its
  data, a read only in a reply; after a failure the reply's read has length 0.
- SPI: per segment ``u32 length, u32 speed_hz, u8 bits_per_word, u8 flags, u16 delay_us``, then the
  octets sent and, in a reply, the octets received. A speed of 0 means the speed of the device.
- ONEWIRE: per step ``u8 op, u8 0, u16 length``, then octets. 0 is a reset, 1 a write with its
  octets, 2 a read of ``length`` octets, 3 a triplet of the search with the way to go in
  ``length``. A reply has behind each step the octets that it saw or, of a write, its own, and
  their number.
- FRAME: request ``u32 exposure_us``; reply ``u16 width, u16 height, u8 channels, u8 bits, u16 0``,
  then the pixels row by row.
- LOAD: request ``u32 units`` and the class of model in UTF-8; reply ``u64 duration_ns, u64
  energy_uj``, then the request again.
"""

from __future__ import annotations

import struct

from flightsw.codec.errors import SyncError, TruncatedError

I2C_MESSAGE = struct.Struct("<HHH")
I2C_READ = 1
I2C_TEN_BIT = 2
SPI_SEGMENT = struct.Struct("<IIBBH")
SPI_CS_CHANGE = 1
#: speed of the device, 8 bits, no flags, no delay
SPI_DEFAULTS = (0, 8, 0, 0)
ONEWIRE_STEP = struct.Struct("<BBH")
ONEWIRE_RESET, ONEWIRE_WRITE, ONEWIRE_READ, ONEWIRE_TRIPLET = range(4)
FRAME_REQUEST = struct.Struct("<I")
FRAME_HEADER = struct.Struct("<HHBBH")
LOAD_REQUEST = struct.Struct("<I")
#: in place of a class of model: ``units`` are the mW that the computer itself measures of itself
MEASURED_POWER = "measured_power_mw"
LOAD_REPLY = struct.Struct("<QQ")

#: One I2C message: (address, flags, data written or read; in a request the length to read).
I2CMessage = tuple[int, int, bytes | int]
#: One SPI segment: (octets sent, speed_hz, bits_per_word, flags, delay_us).
SPISegment = tuple[bytes, int, int, int, int]
#: One step on a 1-Wire bus: (op, octets written, or length to read or way to go).
OneWireStep = tuple[int, bytes | int]


def pack_i2c(address: int, write: bytes, nread: int) -> bytes:
    """Return the request payload of a write then read; both empty is the zero-length probe."""
    flags = I2C_TEN_BIT if address > 0x7F else 0
    payload = b""
    if write or not nread:
        payload = I2C_MESSAGE.pack(address, flags, len(write)) + write
    if nread:
        payload += I2C_MESSAGE.pack(address, flags | I2C_READ, nread)
    return payload


def i2c_failure(address: int, write: bytes, nread: int) -> bytes:
    """Return the reply payload of a write then read that failed: nothing was read."""
    payload = pack_i2c(address, write, nread)
    if nread:
        flags = I2C_READ | (I2C_TEN_BIT if address > 0x7F else 0)
        payload = payload[: -I2C_MESSAGE.size] + I2C_MESSAGE.pack(address, flags, 0)
    return payload


def unpack_i2c(payload: bytes, reply: bool) -> list[I2CMessage]:
    """Return the messages of an I2C record; raises ``TruncatedError`` if it ends inside one."""
    messages: list[I2CMessage] = []
    at = 0
    while at < len(payload):
        if at + I2C_MESSAGE.size > len(payload):
            raise TruncatedError(f"I2C record of {len(payload)} octets: message header cut at {at}")
        address, flags, length = I2C_MESSAGE.unpack_from(payload, at)
        at += I2C_MESSAGE.size
        if flags & I2C_READ and not reply:
            messages.append((address, flags, length))
            continue
        if at + length > len(payload):
            raise TruncatedError(f"I2C record of {len(payload)} octets: data cut at {at}")
        messages.append((address, flags, payload[at : at + length]))
        at += length
    if not messages:
        raise SyncError("I2C record without a message: the least is one zero-length write")
    return messages


def pack_i2c_reply(messages: list[I2CMessage], read: list[bytes]) -> bytes:
    """Return the reply payload of a request's messages with what each read message got."""
    parts: list[bytes] = []
    nth = 0
    for address, flags, data in messages:
        if flags & I2C_READ:
            octets = read[nth] if nth < len(read) else b""
            nth += 1
        else:
            assert isinstance(data, bytes)
            octets = data
        parts.append(I2C_MESSAGE.pack(address, flags, len(octets)))
        parts.append(octets)
    return b"".join(parts)


def pack_spi(segments: list[SPISegment], received: list[bytes] | None = None) -> bytes:
    """Return an SPI payload: a request, or with ``received`` octets a segment, a reply."""
    parts: list[bytes] = []
    for nth, (tx, speed_hz, bits, flags, delay_us) in enumerate(segments):
        parts.append(SPI_SEGMENT.pack(len(tx), speed_hz, bits, flags, delay_us))
        parts.append(tx)
        if received is not None:
            # A reply always has both halves, so that its length alone says where the next begins.
            rx = received[nth] if nth < len(received) else b""
            parts.append(rx.ljust(len(tx), b"\0"))
    return b"".join(parts)


def unpack_spi(payload: bytes, reply: bool) -> tuple[list[SPISegment], list[bytes]]:
    """Return the segments of an SPI record and, of a reply, what each received."""
    segments: list[SPISegment] = []
    received: list[bytes] = []
    at = 0
    while at < len(payload):
        if at + SPI_SEGMENT.size > len(payload):
            raise TruncatedError(f"SPI record of {len(payload)} octets: segment cut at {at}")
        length, speed_hz, bits, flags, delay_us = SPI_SEGMENT.unpack_from(payload, at)
        at += SPI_SEGMENT.size
        end = at + (2 * length if reply else length)
        if end > len(payload):
            raise TruncatedError(f"SPI record of {len(payload)} octets: octets cut at {at}")
        segments.append((payload[at : at + length], speed_hz, bits, flags, delay_us))
        if reply:
            received.append(payload[at + length : end])
        at = end
    return segments, received


def pack_onewire(steps: list[OneWireStep], seen: list[bytes] | None = None) -> bytes:
    """Return a 1-Wire payload: a request, or with what each step but a write saw, a reply."""
    parts: list[bytes] = []
    answers = iter(seen or ())
    for op, what in steps:
        octets = what if isinstance(what, bytes) else b""
        number = len(octets) if isinstance(what, bytes) else what
        if seen is not None and op != ONEWIRE_WRITE:
            octets = next(answers, b"")
            number = len(octets)
        parts.append(ONEWIRE_STEP.pack(op, 0, number))
        parts.append(octets)
    return b"".join(parts)


def unpack_onewire(payload: bytes, reply: bool) -> list[OneWireStep]:
    """Return the steps of a 1-Wire record; of a reply each with its octets.

    Raises ``TruncatedError`` if it ends inside one, ``SyncError`` for a step that there is not.
    """
    steps: list[OneWireStep] = []
    at = 0
    while at < len(payload):
        if at + ONEWIRE_STEP.size > len(payload):
            raise TruncatedError(f"1-Wire record of {len(payload)} octets: step cut at {at}")
        op, _, number = ONEWIRE_STEP.unpack_from(payload, at)
        at += ONEWIRE_STEP.size
        if op > ONEWIRE_TRIPLET:
            raise SyncError(f"1-Wire record: step {op} at octet {at} is none of 0 to 3")
        if op == ONEWIRE_WRITE or reply:
            if at + number > len(payload):
                raise TruncatedError(f"1-Wire record of {len(payload)} octets: data cut at {at}")
            steps.append((op, payload[at : at + number]))
            at += number
        else:
            steps.append((op, b"" if op == ONEWIRE_RESET else number))
    if not steps:
        raise SyncError("1-Wire record without a step: the least is a reset")
    return steps


def crc8(octets: bytes) -> int:
    """Return the CRC of 1-Wire parts over ``octets`` (Maxim 19-7487, "CRC generation").

    Over octets and their CRC it is 0.
    """
    register = 0
    for octet in octets:
        register ^= octet
        for _ in range(8):  # x^8 + x^5 + x^4 + 1, low bit first
            register = register >> 1 ^ (0x8C if register & 1 else 0)
    return register
