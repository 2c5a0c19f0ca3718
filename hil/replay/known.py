"""Whether a rule is about anything: a mistyped field would let nothing pass, and nobody would know.

A rule is known where a record that was recorded has such a field, or where the dictionary or the
board file knows one that no record happens to have.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from flightsw.codec import dictionary
from flightsw.codec.wire import Kind, unpack_all
from hil.board import Board
from hil.capture.reader import Capture
from hil.capture.topics import JSON_KINDS
from hil.config import nearest
from hil.errors import UsageError
from hil.replay.decode import Decoder
from hil.replay.diff import names_of
from hil.replay.flown import Flown
from hil.replay.rules import HEADER_FIELDS, UNIT_FIELDS, covers, plain

#: so many records of each capture are searched at most
SEARCH_LIMIT = 1_000_000
#: what a comparison itself makes fields of
_MADE = ("seq", "payload", "write", "read", "order", "image", "load", "can")
#: kinds of records that have the fields of a first word; of any other word, each may
_KINDS = {
    **dict.fromkeys(("tm", "frame", "idle"), (Kind.UART, Kind.TM)),
    **dict.fromkeys(("tc", "tcframe"), (Kind.UART, Kind.TC)),
    **dict.fromkeys(("ubx", "nmea"), (Kind.UART,)),
    **{Kind(kind).name.lower(): (Kind(kind),) for kind in JSON_KINDS},
    **{kind.name.lower(): (kind,) for kind in (Kind.I2C, Kind.SPI, Kind.CAN, Kind.GPIO)},
}


@dataclass
class _Asked:
    """A rule as it was given."""

    option: str
    topic: str
    field: str

    def covers(self, name: str) -> bool:
        """Tell whether the rule is about a field, whatever of several repeated things it names."""
        return covers(plain(self.field), "", name)


def check_fields(
    ignore: Iterable[str], tolerate: Iterable[str], runs: Sequence[Flown]
) -> list[str]:
    """Raise ``UsageError``, with the nearest name, for a rule about what none of the runs has.

    Returns a warning for each that a very long run may have behind what was searched of it.
    """
    options = [*(("--ignore", rule) for rule in ignore), *(("--tolerate", r) for r in tolerate)]
    asked = [_asked(option, rule, runs) for option, rule in options]
    fields = {name for run in runs for name in _could(run.board)}
    left = [one for one in asked if not any(map(one.covers, fields))]
    whole = True
    for run in runs if left else ():
        whole &= _search(run, left, fields)
    told = []
    for one in left:
        if whole:
            last = one.field.rpartition(".")[2]
            ends = {name.rpartition(".")[2] for name in fields}
            near = nearest(one.field, fields) or nearest(last, ends)
            raise UsageError(f"{one.option} {one.field!r}: no record has that field{near}")
        limit = f"the first {SEARCH_LIMIT:,} records"
        told.append(f"{one.option} {one.field}: none of {limit} has that field")
    return told


def _asked(option: str, rule: str, runs: Sequence[Flown]) -> _Asked:
    """Return what a rule is about. Raises ``UsageError`` where that is nothing."""
    topic, colon, field = rule.rpartition(":")
    if not field.strip(" ."):
        raise UsageError(f"{option} {rule!r}: names no field; give one, as t_ns or tm.power")
    if colon:
        known = {found for run in runs for found in _topics(run)}
        if topic not in known:
            near = nearest(topic, known) or f"; there are {', '.join(sorted(known)) or 'none'}"
            raise UsageError(f"{option} {rule!r}: no run has a topic {topic!r}{near}")
    return _Asked(option, topic, field)


def _topics(run: Flown) -> Iterator[str]:
    with Capture(run.capture, tolerant=not run.whole) as capture:
        yield from sorted({info.topic for info in capture.channels.values()})
    yield from (f"/bus/{bus.name}" for bus in run.board.buses)
    yield from (f"/{Kind(kind).name.lower()}" for kind in JSON_KINDS)


def _could(board: Board) -> Iterator[str]:
    """Yield the fields that a record may have though none has it."""
    yield from (*HEADER_FIELDS, *UNIT_FIELDS, *_MADE)
    yield from (Kind(kind).name.lower() for kind in JSON_KINDS)
    yield from (f"{kind}.{part.name}" for part in board.parts for kind in ("i2c", "spi", "gpio"))
    for structure in dictionary.STRUCTURE_BY_SID.values():
        yield from (f"tm.{structure.name}.{sub.name}" for sub in structure.struct.subcons)
    for event in dictionary.EVENT_BY_ID.values():
        lead = f"tm.event.{event.name}"
        yield from (lead, *(f"{lead}.{sub.name}" for sub in getattr(event.struct, "subcons", ())))
    for function in dictionary.FUNCTION_BY_ID.values():
        lead = f"tc.{function.name.lower()}"
        subs = getattr(function.struct, "subcons", ())
        yield from (lead, *(f"{lead}.{sub.name}" for sub in subs))


def _search(run: Flown, left: list[_Asked], fields: set[str]) -> bool:
    """Take from ``left`` what a record of a run has, and note its fields; False: it was not read
    to its end."""
    leads = [one.field.partition(".")[0].partition("[")[0] for one in left]
    every = any(lead not in _KINDS for lead in leads)
    kinds = {kind for lead in leads for kind in _KINDS.get(lead, ())}
    searched = 0
    with Capture(run.capture, tolerant=not run.whole) as capture:
        decoder = Decoder(run.board, run.mission, names_of(capture))
        for buffer in capture.buffers():
            for record in unpack_all(buffer):
                searched += 1
                if every or record.kind in kinds:
                    fields.update(map(plain, decoder.fields(record)))
            left[:] = [one for one in left if not any(map(one.covers, fields))]
            if not left or searched > SEARCH_LIMIT:
                return not left
    return True
