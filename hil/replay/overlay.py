"""Fields of two recorded runs over time, one over the other."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from flightsw.codec.wire import Record
from hil.capture.reader import Capture
from hil.replay.decode import Decoder
from hil.replay.decoding.lines import TelemetryLine
from hil.replay.rules import HEADER_FIELDS, UNIT_FIELDS, plain
from hil.replay.verdict import Verdict

#: charts of a page, and records of a topic and run that are decoded for them
CHARTS, RECORDS = 8, 6000
#: what is drawn where nothing differs: what a person would look at first
USUAL = ("tm.power.battery_mv", "tm.power.solar_mw", "tm.thermal.chip_cdeg", "tm.compute.work_ms")
#: multiplicative hash (Knuth, TAOCP 6.4): which records of many are taken, in both runs the same
_HASH, _RANGE = 2_654_435_761, 1 << 32


class Line(NamedTuple):
    """One field of one run: times in seconds, and values."""

    t_s: list[float]
    values: list[float]


class Overlay(NamedTuple):
    """One field of both runs, and the times of differences of its topic, seconds."""

    topic: str
    name: str
    old: Line
    new: Line
    marks: list[float]


def overlays(
    verdict: Verdict, captures: Sequence[Capture], decoders: Sequence[Decoder]
) -> list[Overlay]:
    """Return what is to be drawn: the fields that differ, or some usual ones. Of one capture there
    is nothing to lay over it."""
    wanted = _wanted(verdict) or _usual(captures, decoders[0])
    lines = [
        _lines(capture, decoder, wanted)
        for capture, decoder in zip(captures, decoders, strict=True)
    ]
    found = []
    for topic, name in wanted:
        both = [line[topic, name] for line in lines]
        if all(len(line.t_s) > 1 for line in both):
            old, new = (*both, Line([], []))[:2]
            marks = sorted({one.t_ns / 1e9 for one in verdict.listed if one.topic == topic})
            found.append(Overlay(topic, name, old, new, marks))
    return found[:CHARTS]


def _wanted(verdict: Verdict) -> list[tuple[str, str]]:
    """Return (topic, field) of the numbers that differ, those that differ first in front."""
    rows: list[tuple[str, str, object, object]] = []
    listed = [(unit.topic, unit.fields) for unit in verdict.listed_units]
    listed += [(one.topic, one.fields) for one in verdict.listed]
    for where, fields in listed:
        rows += ((where, plain(field.name), field.old, field.new) for field in fields)
    is_first = verdict.first.topic if verdict.first is not None else ""
    rows.sort(key=lambda row: row[0] != is_first)
    wanted: list[tuple[str, str]] = []
    for topic, name, old, new in rows:
        is_number = all(isinstance(value, int | float) for value in (old, new))
        is_octet = name in ("payload", "octets", "read", "write") or name in HEADER_FIELDS
        if is_number and not is_octet and (topic, name) not in wanted:
            wanted.append((topic, name))
    # The same packet on the line and on the air is drawn once.
    once = {name: topic for topic, name in reversed(wanted) if name.split(".")[0] in UNIT_FIELDS}
    return [row for row in wanted if once.get(row[1], row[0]) == row[0]][: 2 * CHARTS]


def _usual(captures: Sequence[Capture], decoder: Decoder) -> list[tuple[str, str]]:
    """Return the usual fields, on a topic that all captures have and that brings telemetry down."""
    there = [{info.topic for info in capture.channels.values()} for capture in captures]
    down = [
        info.topic
        for info in captures[0].channels.values()
        if isinstance(decoder.line((info.kind, info.channel, False)), TelemetryLine)
    ]
    shared = sorted((topic for topic in down if all(topic in one for one in there)), key=len)
    return [(topic, name) for topic in shared[:1] for name in USUAL]


def _lines(
    capture: Capture, decoder: Decoder, wanted: Sequence[tuple[str, str]]
) -> Mapping[tuple[str, str], Line]:
    """Return the fields that are wanted of one run."""
    lines = {row: Line([], []) for row in wanted}
    there = {info.topic for info in capture.channels.values()}
    for topic in {topic for topic, _ in wanted} & there:
        names = {name for where, name in wanted if where == topic}
        for record in _some(capture, topic, any(n.split(".")[0] in UNIT_FIELDS for n in names)):
            for name, value in decoder.fields(record).items():
                if (short := plain(name)) in names and isinstance(value, int | float):
                    line = lines[topic, short]
                    line.t_s.append(record.t_ns / 1e9)
                    line.values.append(_figure(value))
    return lines


def _figure(value: float) -> float:
    """Return a number as a float; whole ones of JSON may be larger than any, and infinite here."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _some(capture: Capture, topic: str, spans: bool) -> Iterator[Record]:
    """Yield the records of a topic, or enough of them; all, where something spans them."""
    count = sum(1 for _ in capture.records([topic])) if not spans else 0
    share = 1.0 if spans or count <= RECORDS else RECORDS / count
    for nth, record in enumerate(capture.records([topic])):
        if nth * _HASH % _RANGE < share * _RANGE:
            yield record
