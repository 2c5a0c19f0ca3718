"""Captures as a Value Change Dump (IEEE 1364-2005, section 18), for GTKWave, PulseView and others.

GPIO lines and chip selects are wires. Of every other bus there is a wire that is 1 while something
is on it, its address, and what it was, as a text; the values of the world are real numbers. On
demand serial lines are drawn bit by bit. A scope is a channel; times count from the epoch of the
mission in the coarsest unit that holds all of them, as some readers make a sample of each unit.
"""

from __future__ import annotations

import heapq
import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from flightsw.codec import bus_payload
from flightsw.codec.errors import FlatsatError
from flightsw.codec.wire import Flag, Kind, Record, unpack_all
from hil.capture.export.naming import Names

#: a change this far behind the newest record is written: none of an earlier time will come
HORIZON_NS = 10 * 10**9
#: order of changes at one time: what ends comes before what begins
_END, _BEGIN = 0, 1
_TEXT_MOST = 200
_TOLD = frozenset({Kind.EVENT, Kind.FAULT, Kind.LINK, Kind.ATTRIBUTE, Kind.LINES})
_ADDRESSED = {Kind.I2C: 10, Kind.CAN: 32}
_BITS_OF_AN_OCTET = 10  # start bit, eight bits of data, stop bit

#: units of time that the format has, in ns
TIMESCALES = {
    f"{count}{unit}": count * unit_ns
    for unit, unit_ns in (("ns", 1), ("us", 1000), ("ms", 10**6))
    for count in (1, 10, 100)
}

#: (channel, line) -> what the board file calls it
LineNames = Mapping[tuple[str, int], str]
#: (time, order, number, value, code of the variable)
Change = tuple[int, int, int, str, str]


#: Codes of variables are made of these: no token that a reader without texts skips half of begins
#: like a change or a time.
_DIGITS = "".join(
    c for c in map(chr, range(33, 127)) if c not in "#$%0123456789bBrRsSxXzZuUwWhHlL-"
)


class Signals:
    """The variables of a dump: declared once, in scopes, each with its short code."""

    def __init__(self) -> None:
        self._codes: dict[tuple[str, str], str] = {}
        self._declared: dict[str, list[str]] = {}
        self._first: list[str] = []

    def add(
        self, scope: str, name: str, kind: str = "wire", nbits: int = 1, first: str = "bx "
    ) -> None:
        """Declare a variable, unless it is there; ``first`` is its value before any change."""
        if (scope, name) in self._codes:
            return
        number, code = len(self._codes), ""
        while not code or number:
            number, digit = divmod(number, len(_DIGITS))
            code += _DIGITS[digit]
        self._codes[scope, name] = code
        plain = re.sub(r"\W", "_", name)
        self._declared.setdefault(scope, []).append(f"$var {kind} {nbits} {code} {plain} $end")
        self._first.append({"string": "s ", "real": "r0 "}.get(kind, first) + code)

    def code(self, scope: str, name: str) -> str:
        """Return the code of a variable; ``""`` if it was not declared."""
        return self._codes.get((scope, name), "")

    def head(self, epoch_ns: int, timescale: str) -> str:
        """Return the head of the dump, up to the first values."""
        epoch = datetime.fromtimestamp(epoch_ns // 10**9, UTC).isoformat()
        lines = [f"$date {epoch} $end", "$version FlatSat $end"]
        lines.append(f"$timescale {timescale[:-2]} {timescale[-2:]} $end")
        lines.append("$comment times count from the date: the epoch of the mission $end")
        for scope, declared in self._declared.items():
            plain = re.sub(r"\W", "_", scope)
            lines += [f"$scope module {plain} $end", *declared, "$upscope $end"]
        return "\n".join([*lines, "$enddefinitions $end\n"])

    def first(self) -> str:
        """Return the values before anything is known."""
        return "\n".join(["$dumpvars", *self._first, "$end\n"])


class VcdWriter:
    """Writes a dump of records that are given twice: to :meth:`declare`, then to :meth:`write`."""

    def __init__(
        self,
        put: Callable[[bytes], object],
        names: Names,
        lines: LineNames,
        epoch_ns: int,
        waveforms: bool = False,
        timescale: str | None = None,
    ) -> None:
        self._put, self._names, self._lines = put, names, lines
        self._epoch_ns, self._waveforms = epoch_ns, waveforms
        self._signals = Signals()
        self._pending: list[Change] = []
        self._number = 0
        self._at = -1
        self._newest_ns = 0
        self._timescale = timescale
        self._unit_ns = 1 if timescale is None else TIMESCALES[timescale]
        #: what divides every time
        self._common_ns = 0
        #: code -> time of its last change, as it was and as it is written
        self._last: dict[str, tuple[int, int]] = {}
        #: changes, and those that came too late for their place
        self.counters: Counter[str] = Counter()

    # --- first pass -------------------------------------------------------------------------------

    def declare(self, buffers: Iterable[bytes]) -> None:
        """Find out which variables there are, and write the head."""
        for record in _records(buffers):
            scope = self._names.name(record.kind, record.channel)
            if self._timescale is None:
                self._common_ns = math.gcd(self._common_ns, *self._times(record))
            if record.kind == Kind.GPIO:
                self._signals.add(scope, self._line(scope, record.address))
            elif record.kind == Kind.WORLD:
                for name in _numbers(record.payload):
                    self._signals.add(scope, name, "real", 64)
            else:
                self._declare_bus(scope, record)
        if self._timescale is None:
            fit = [name for name, ns in TIMESCALES.items() if not self._common_ns % ns]
            self._timescale = fit[-1] if self._common_ns else fit[0]
            self._unit_ns = TIMESCALES[self._timescale]
        head = self._signals.head(self._epoch_ns, self._timescale)
        self._put((head + self._signals.first()).encode())

    def _times(self, record: Record) -> Iterator[int]:
        """Yield the times at which a record changes something."""
        yield record.t_ns
        if record.kind not in (Kind.GPIO, Kind.WORLD, *_TOLD):
            yield record.t_ns + record.duration_ns
        if record.kind == Kind.UART and self._waveforms:
            yield from (t_ns for t_ns, _ in _bits(record))

    def _declare_bus(self, scope: str, record: Record) -> None:
        add = self._signals.add
        if record.kind == Kind.SPI:
            add(scope, f"cs{record.address}", first="1")
        elif record.kind not in _TOLD:
            add(scope, self._way(record, "busy"), first="0")
        if record.kind in _ADDRESSED:
            add(scope, "address", "wire", _ADDRESSED[Kind(record.kind)])
        if record.kind == Kind.UART and self._waveforms:
            add(scope, "rx" if record.flags & Flag.INPUT else "tx", first="1")
        add(scope, self._way(record, "text"), "string")

    # --- second pass ------------------------------------------------------------------------------

    def write(self, buffers: Iterable[bytes]) -> None:
        """Write the changes of the records, in order of their time."""
        for record in _records(buffers):
            self._newest_ns = max(self._newest_ns, record.t_ns)
            self._take(record)
            if len(self._pending) > 4096:
                self._flush(self._newest_ns - HORIZON_NS)
        self._flush(None)

    def _take(self, record: Record) -> None:
        """Note the changes that a record makes."""
        scope, begin = self._names.name(record.kind, record.channel), record.t_ns
        end = begin + record.duration_ns
        if record.kind == Kind.GPIO:
            level = "x" if not record.payload else "1" if record.payload[0] else "0"
            self._bit(begin, _BEGIN, scope, self._line(scope, record.address), level)
            return
        if record.kind == Kind.WORLD:
            for name, value in _numbers(record.payload).items():
                self._change(begin, _BEGIN, scope, name, f"r{value!r} ")
            return
        if record.kind == Kind.SPI:
            self._bit(begin, _BEGIN, scope, f"cs{record.address}", "0")
            self._bit(end, _END, scope, f"cs{record.address}", "1")
        elif record.kind not in _TOLD:
            self._bit(begin, _BEGIN, scope, self._way(record, "busy"), "1")
            self._bit(end, _END, scope, self._way(record, "busy"), "0")
        if record.kind in _ADDRESSED:
            self._change(begin, _BEGIN, scope, "address", f"b{record.address:b} ")
        if record.kind == Kind.UART and self._waveforms:
            self._draw(scope, record)
        self._change(begin, _BEGIN, scope, self._way(record, "text"), f"s{_text(record)} ")

    def _draw(self, scope: str, record: Record) -> None:
        """Draw the octets of a serial line: start bit, eight bits from the lowest on, stop bit."""
        name = "rx" if record.flags & Flag.INPUT else "tx"
        if not record.payload or not record.duration_ns:
            self.counters["serial records without octets or time"] += 1
        for t_ns, level in _bits(record):
            self._bit(t_ns, _BEGIN, scope, name, str(int(level)))

    @staticmethod
    def _way(record: Record, name: str) -> str:
        """Return the name of a variable that there is for each way of a serial line."""
        if record.kind != Kind.UART:
            return name
        return f"{'rx' if record.flags & Flag.INPUT else 'tx'}_{name}"

    def _line(self, scope: str, line: int) -> str:
        return self._lines.get((scope, line), f"line{line}")

    def _bit(self, t_ns: int, order: int, scope: str, name: str, level: str) -> None:
        self._change(t_ns, order, scope, name, level)

    def _change(self, t_ns: int, order: int, scope: str, name: str, value: str) -> None:
        self._number += 1
        code = self._signals.code(scope, name)
        assert code, "declared in the first pass"
        heapq.heappush(self._pending, (t_ns, order, self._number, value, code))

    def _round(self, t_ns: int, code: str) -> None:
        """Count a change that is not at its own time, and one that takes the place of another."""
        at = self._unit(t_ns)
        if at * self._unit_ns != t_ns:
            self.counters[f"changes moved to a multiple of {self._timescale}"] += 1
        last_ns, last = self._last.get(code, (t_ns, -1))
        if last == at and last_ns != t_ns:
            self.counters[f"changes merged within {self._timescale}"] += 1
        self._last[code] = t_ns, at

    def _unit(self, t_ns: int) -> int:
        """Return a time in units of the dump, the nearest."""
        return (t_ns + self._unit_ns // 2) // self._unit_ns

    def _flush(self, before_ns: int | None) -> None:
        """Write the changes up to a time, None: all."""
        lines = []
        pending = self._pending
        while pending and (before_ns is None or pending[0][0] <= before_ns):
            t_ns, _, _, value, code = heapq.heappop(pending)
            self._round(t_ns, code)
            at = self._unit(t_ns)
            if at > self._at:
                lines.append(f"#{at}")
                self._at = at
            elif at < self._at:
                self.counters["changes that came too late for their place"] += 1
            lines.append(value + code)
            self.counters["changes"] += 1
        if lines:
            self._put(("\n".join(lines) + "\n").encode())


def _records(buffers: Iterable[bytes]) -> Iterator[Record]:
    for buffer in buffers:
        yield from unpack_all(buffer)


def _bits(record: Record) -> Iterator[tuple[int, bool]]:
    """Yield when the line changes that carries the octets of a serial record, and to what."""
    nbits = _BITS_OF_AN_OCTET * len(record.payload) if record.duration_ns else 0
    before = None
    for at in range(nbits):
        octet, bit = record.payload[at // _BITS_OF_AN_OCTET], at % _BITS_OF_AN_OCTET
        level = bit == 9 or (bit > 0 and bool(octet >> (bit - 1) & 1))
        if level != before:
            yield record.t_ns + at * record.duration_ns // nbits, level
        before = level


def _numbers(payload: bytes) -> dict[str, float]:
    """Return the numbers of a sample of the world; none if it cannot be read."""
    try:
        values: Any = json.loads(payload)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(values, dict):
        return {}
    return {
        str(name): float(value)
        for name, value in values.items()
        if isinstance(value, int | float) and abs(value) < 1e300
    }


def _text(record: Record) -> str:
    """Return what a record is, in one word without blanks."""
    try:
        said = _said(record)
    except FlatsatError:
        said = record.payload[:_TEXT_MOST].hex()
    plain = re.sub(r"[^!-~]", "_", said[:_TEXT_MOST])
    return f"{plain}{f'!{record.status}' if record.status else ''}"


def _said(record: Record) -> str:
    payload = record.payload[: 4 * _TEXT_MOST]
    if record.kind == Kind.I2C:
        parts = bus_payload.unpack_i2c(record.payload, reply=bool(record.flags & Flag.REPLY))
        return "_".join(f"{'R' if f & bus_payload.I2C_READ else 'W'}{_hex(d)}" for _, f, d in parts)
    if record.kind == Kind.SPI:
        sent, got = bus_payload.unpack_spi(record.payload, reply=bool(record.flags & Flag.REPLY))
        pairs = zip(sent, got or [b""] * len(sent), strict=True)
        return "_".join(f"{_hex(s[0])}>{_hex(r)}" for s, r in pairs)
    if record.kind in _TOLD:
        return payload.decode(errors="replace")
    text = payload.strip().decode("latin-1")
    is_words = record.kind == Kind.UART and text.isascii() and text.isprintable()
    return text if is_words else payload.hex()


def _hex(data: bytes | int) -> str:
    return data.hex() if isinstance(data, bytes) else f"{data}?"
