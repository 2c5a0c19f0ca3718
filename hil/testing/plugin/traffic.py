"""The last things on the buses before a test failed, as lines: when, where, which way, what."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

from flightsw.codec import bus_payload
from flightsw.codec.errors import FlatsatError
from flightsw.codec.wire import Flag, Kind, Record, unpack_all
from hil.config import visible
from hil.replay.decoding.flat import said, troubles
from hil.replay.rules import HEADER_FIELDS

if TYPE_CHECKING:
    from hil.replay.decode import Decoder

BUSES: Final = frozenset(
    {Kind.I2C, Kind.SPI, Kind.UART, Kind.CAN, Kind.GPIO, Kind.ONEWIRE, Kind.FRAME}
)
_SHOWN = BUSES | {Kind.FAULT, Kind.EVENT}
#: records that are decoded before the first that is shown: a register read needs its pointer
_WARM_NBYTES = 1 << 18
_OCTETS, _WIDTH = 24, 180
HEAD: Final = f"{'number':>8} {'time s':>13}  {'bus':<9} {'way':<3} {'id':<8} octets, decoded"


def last_records(kept: Sequence[bytes], nbytes: int = _WARM_NBYTES) -> list[Record]:
    """Return the records at the end of what was kept, whole batches of at least ``nbytes``."""
    end: deque[bytes] = deque()
    for batch in reversed(kept):
        end.appendleft(batch)
        nbytes -= len(batch)
        if nbytes <= 0:
            break
    return [record for batch in end for record in unpack_all(batch)]


def lines(records: Iterable[Record], decoder: Decoder, count: int) -> list[str]:
    """Return the last ``count`` bus events, a line each, under a line that names the columns."""
    told: deque[str] = deque(maxlen=count)
    for record in records:
        if record.kind not in _SHOWN:
            continue
        words = _said(record, decoder)
        if record.kind in BUSES or record.kind == Kind.FAULT or '"test"' in _text(record):
            told.append(_line(record, words, decoder))
    return [HEAD, *told] if told else []


def _said(record: Record, decoder: Decoder) -> str:
    """Return what a record says; of a serial line, what its octets have completed."""
    if record.kind != Kind.UART:
        return decoder.says(record)
    fields = decoder.fields(record)
    plain = (*HEADER_FIELDS, "payload")
    return said({name: fields[name] for name in fields if not name.startswith(plain)})


def _text(record: Record) -> str:
    return record.payload[:64].decode("utf-8", "replace") if record.kind == Kind.EVENT else ""


def _line(record: Record, decoded: str, decoder: Decoder) -> str:
    bus = decoder.names.get(record.channel, "") if record.kind in BUSES else ""
    octets = _octets(record)
    if decoded.startswith(("payload ", "in payload ")) and octets:
        decoded = ""
    words = [octets, decoded.removeprefix("in "), *troubles(record)]
    head = f"{record.seq:>8} {record.t_ns / 1e9:>13.6f}  {bus or Kind(record.kind).name.lower():<9}"
    line = f"{head} {_way(record):<3} {_id(record):<8} {'  '.join(w for w in words if w)}"
    line = visible(line.rstrip())
    return line if len(line) <= _WIDTH else f"{line[: _WIDTH - 3]}..."


def _way(record: Record) -> str:
    """Return which way octets went, as the payload computer sees it."""
    if record.kind in (Kind.UART, Kind.CAN, Kind.GPIO, Kind.FRAME):
        return "in" if record.flags & Flag.INPUT or record.kind == Kind.FRAME else "out"
    if record.kind == Kind.I2C:
        try:
            messages = bus_payload.unpack_i2c(record.payload, reply=True)
        except FlatsatError:
            return "?"
        reads = [bool(flags & 1) for _, flags, _ in messages]
        return "both" if any(reads) and not all(reads) else ("in" if all(reads) else "out")
    return "both" if record.kind in (Kind.SPI, Kind.ONEWIRE) else ""


def _id(record: Record) -> str:
    if record.kind == Kind.I2C:
        return f"0x{record.address:02x}"
    if record.kind == Kind.CAN:
        wide = bool(record.address >> 31)
        return f"{record.address & 0x1FFFFFFF:08X}" if wide else f"{record.address & 0x7FF:03X}"
    return {Kind.SPI: f"cs{record.address}", Kind.GPIO: f"line {record.address}"}.get(
        Kind(record.kind), ""
    )


def _octets(record: Record) -> str:
    """Return the octets that went over the bus; what was written and what was read apart."""
    try:
        if record.kind == Kind.I2C:
            messages = bus_payload.unpack_i2c(record.payload, reply=True)
            return " | ".join(_hex(data) for _, _, data in messages if isinstance(data, bytes))
        if record.kind == Kind.SPI:
            segments, received = bus_payload.unpack_spi(record.payload, reply=True)
            sent = b"".join(segment[0] for segment in segments)
            return f"{_hex(sent)} | {_hex(b''.join(received))}"
    except FlatsatError:
        return _hex(record.payload)
    return "" if record.kind not in (Kind.UART, Kind.CAN) else _hex(record.payload)


def _hex(data: bytes) -> str:
    return data[:_OCTETS].hex(" ") + (f" (+{len(data) - _OCTETS})" if len(data) > _OCTETS else "")
