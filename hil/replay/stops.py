"""Stopping a replay at a record: where a condition begins to hold, or at each.

:class:`Stops` looks at every record as it is made. Where it stops, whoever made the record waits:
the debugger stands on top of the very call that made it, and everything is as it was then.
"""

from __future__ import annotations

import builtins
import io
import pdb
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple, TextIO

from flightsw.codec.wire import Kind, Record, unpack_all, unpack_from
from hil.capture.topics import topic_of
from hil.printable import printable
from hil.replay.condition import Condition, Value, parse
from hil.replay.decode import Decoder
from hil.replay.decoding.flat import said
from hil.replay.flown import Flown
from hil.replay.naming import HEADER, dictionary_words, meant, resolve, views
from hil.replay.outcome import ReplayOptions
from hil.rig import channel_names
from hil.verdict import plural

#: What spans records and is put together from them: decoded whether or not anybody asks.
_SPANNING = (Kind.UART, Kind.TM, Kind.TC)
#: So many records of the capture are searched for the fields of a condition: these at least, to
#: find out whether a name is that of several, and these at most, until each is found.
SEARCH_LEAST, SEARCH_LIMIT = 20_000, 1_000_000
_DIGITS = 18  # more than any run has records
#: characters of what a record says in its line; `p` shows everything
SHOWN_LIMIT = 300
#: fields of the header that a line does not repeat
_UNTOLD = ("t_ns", "seq", "t", "topic", "kind", "channel", "flags", "address", "duration_ns")
HELP = """enter   the next record
n 10    ten records on
c       on to the end, or to the next stop
p       every field of this record; p NAME: one of them
d       the debugger, with rig, app, record, fields and world at hand
q       leave: the verdict is on what came until here"""


class Left(BaseException):
    """Somebody left the replay in between. No error: nothing on its way may take it for one."""


@dataclass(frozen=True)
class Scene:
    """What there is to look at where a replay has stopped; None: this mode has none."""

    rig: Any = None
    app: Any = None
    world: Any = None


def about(
    record: Record, topic: str, names: Mapping[int, str] = MappingProxyType({})
) -> dict[str, Value]:
    """Return what is known of a record without decoding it."""
    return {
        "seq": record.seq,
        "t": record.t_ns / 1e9,
        "t_ns": record.t_ns,
        "duration_ns": record.duration_ns,
        "status": record.status,
        "flags": record.flags,
        "address": record.address,
        "kind": Kind(record.kind).name if record.kind in _KINDS else record.kind,
        "channel": names.get(record.channel, record.channel),
        "topic": topic,
    }


_KINDS = frozenset(Kind)


class Sought(NamedTuple):
    """A condition whose names are known, and the kinds of records that have its fields."""

    condition: Condition
    kinds: frozenset[int]
    text: str


def condition_of(
    text: str, recorded: Iterable[bytes], decoder: Decoder, names: Mapping[int, str]
) -> Sought:
    """Return the condition of a text, its names resolved among the fields that were recorded.

    Raises ``UsageError`` for what is no condition and for names that no record has.
    """
    condition = parse(text)
    wanted = {name.text for name in condition.names()}
    words = {*dictionary_words(), *Kind.__members__, *names.values()}
    #: field -> kinds of records that have it
    fields: dict[str, set[int]] = {name: set() for name in HEADER}
    values: dict[str, set[str]] = {}
    searched = 0
    for buffer in recorded if not wanted <= {*HEADER, *words} else ():
        for record in unpack_all(buffer):
            found = decoder.fields(record)
            for view in views(found):
                for name in view:
                    fields.setdefault(name, set()).add(record.kind)
            texts = {name: value for name, value in found.items() if isinstance(value, str)}
            words.update(texts.values())
            for name, value in texts.items():
                values.setdefault(name, set()).add(value)
            words.add(topic_of(record.kind, record.channel, names))
            searched += 1
        known = all(name in words or meant(name, fields) for name in wanted)
        if searched > (SEARCH_LEAST if known else SEARCH_LIMIT):
            break
    resolve(condition, fields, words, values)
    has = (fields[name.field] for name in condition.names() if name.field not in ("", *HEADER))
    return Sought(condition, frozenset(kind for kinds in has for kind in kinds), text)


def stops_of(
    options: ReplayOptions,
    flown: Flown,
    recorded: Callable[[], Iterable[bytes]],
    scene: Callable[[], Scene],
) -> Stops | None:
    """Return what stops a replay as its options ask; None: nothing does.

    ``recorded()`` gives the capture, where the names in a condition are looked up.
    """
    if options.break_at is None and not options.step:
        return None
    names = channel_names(flown.board)

    def decoder() -> Decoder:
        return Decoder(flown.board, flown.mission, names)

    sought = None
    if options.break_at is not None:
        sought = condition_of(options.break_at, recorded(), decoder(), names)
    return Stops(sought, options.step, decoder(), names, scene, options.start or 0)


class Debugger(pdb.Pdb):
    """The debugger of Python. Leaving it leaves the replay, wherever one has gone from the stop.

    ``at_hand`` are names that every frame has, but for those that it has itself.
    """

    at_hand: Mapping[str, Any] = MappingProxyType({})

    def interaction(self, *args: Any, **kwargs: Any) -> None:
        """Ask, with the names at hand where Python looks last: behind those of any frame."""
        added = {name: one for name, one in self.at_hand.items() if not hasattr(builtins, name)}
        vars(builtins).update(added)
        try:
            super().interaction(*args, **kwargs)
        finally:
            for name in added:
                vars(builtins).pop(name, None)

    def set_quit(self) -> None:
        """Leave, past everything that catches errors."""
        super().set_quit()
        raise Left


class Stops:
    """Looks at every record: :meth:`check`. ``scene`` gives what there is to look at.

    ``step``: stop at each record (with a condition: from where that begins to hold). Records
    before the global number ``start`` pass.
    """

    def __init__(
        self,
        sought: Sought | None,
        step: bool,
        decoder: Decoder,
        names: Mapping[int, str],
        scene: Callable[[], Scene],
        start: int = 0,
        talk: TextIO | None = None,
    ) -> None:
        self._condition = None if sought is None else sought.condition
        self._text = "" if sought is None else sought.text
        self._looked_at = 0
        self._has_held = False
        self._steps = step
        self._stepping = step and sought is None
        self._decoder, self._names, self._scene = decoder, names, scene
        self._start = start
        self._skip = 0
        self._held = False
        self._talk = talk or sys.stderr or io.StringIO()
        #: where commands come from; None: stdin was closed when we started, so none come
        self._typed = sys.stdin or io.StringIO()
        self._debugger: Debugger | None = None
        self._kinds = frozenset(_SPANNING) | (frozenset() if sought is None else sought.kinds)
        #: how often it has stopped
        self.count = 0
        #: the number of the last record that it saw
        self.seq = -1

    def check(self, octets: bytes) -> None:
        """Look at one record that was just made; stop there if that is asked.

        Raises :class:`Left` where somebody leaves.
        """
        record, _ = unpack_from(octets)
        self.seq = record.seq
        fields = about(record, topic_of(record.kind, record.channel, self._names), self._names)
        decodes = self._stepping or record.kind in self._kinds
        if decodes:
            fields |= self._decoder.fields(record)
        if record.seq < self._start:
            return
        self._looked_at += 1
        if not self._stops(fields):
            return
        if not decodes:
            fields |= self._decoder.fields(record)
        self.count += 1
        if self._steps:
            self._ask(record, fields)
        else:
            self._look(record, fields)

    def notes(self) -> list[str]:
        """Say that the condition never held, if that is so: nothing else would."""
        if self._condition is None or self._has_held:
            return []
        told = f"never held ({plural(self._looked_at, 'record')} looked at)"
        return [f"--break-at {printable(repr(self._text))}: {told}"]

    def _stops(self, fields: Mapping[str, Value]) -> bool:
        """Tell whether this is a place to stop: where the condition begins to hold, or any."""
        if self._condition is not None:
            held = self._held
            self._held = any(self._condition.holds(view) for view in views(fields))
            self._has_held |= self._held
            if self._held and not held:
                self._stepping = self._steps
                self._skip = 0
                return True
        if not self._stepping:
            return False
        self._skip -= self._skip > 0
        return not self._skip

    # --- at the stop --------------------------------------------------------------------------

    def _ask(self, record: Record, fields: dict[str, Value]) -> None:
        """Show a record, and do what is asked until it is to go on."""
        print(line(fields), file=self._talk)
        while True:
            print("(step) ", end="", file=self._talk, flush=True)
            words = self._typed.readline()
            if not words:
                raise Left
            command, _, rest = words.strip().partition(" ")
            if command in ("", "n"):
                self._skip = int(rest[:_DIGITS]) if rest.isdecimal() else 1
                return
            if command == "c":
                self._stepping = False
                return
            if command == "q":
                raise Left
            if command == "d":
                self._look(record, fields)
            elif command == "p":
                self._print(rest.strip(), fields)
            else:
                print(HELP, file=self._talk)

    def _print(self, name: str, fields: Mapping[str, Value]) -> None:
        found = meant(name, fields) if name else list(fields)
        for each in found:
            print(printable(f"  {each} = {fields[each]}"), file=self._talk)
        if not found:
            print(f"this record has no field {name!r}; `p` shows those it has", file=self._talk)

    def _look(self, record: Record, fields: dict[str, Value]) -> None:
        """Open the debugger on top of whoever made the record."""
        if self._debugger is None:
            is_terminal = self._typed.isatty() and self._talk.isatty()
            ends = (None, None) if is_terminal else (self._typed, self._talk)
            self._debugger = Debugger(stdin=ends[0], stdout=ends[1], nosigint=True)
        if not self._steps:
            print(line(fields), file=self._talk)
        scene = self._scene()
        self._debugger.at_hand = {
            **vars(scene),
            "record": record,
            "fields": fields,
            "t": record.t_ns / 1e9,
        }
        stop(self._debugger, scene.rig, scene.app, record, fields, scene.world)


def stop(
    debugger: pdb.Pdb, rig: Any, app: Any, record: Record, fields: Mapping[str, Value], world: Any
) -> None:
    """Open the debugger here, with everything at hand; ``up`` leads to who made the record."""
    debugger.set_trace(sys._getframe())
    return  # everything is as it was when the record was made


def line(fields: Mapping[str, Value]) -> str:
    """Return a record as one line: number, time, topic, and what it says."""
    words = said({name: value for name, value in fields.items() if name not in _UNTOLD})
    if len(words) > SHOWN_LIMIT:
        words = words[:SHOWN_LIMIT] + "..."
    return f"#{fields['seq']} {float(fields['t']):.9f} s {fields['topic']} {words}"


class Looked(list[int | bytes]):
    """What a mock keeps of the new stream, with somebody who looks at each as it is kept."""

    def __init__(self, stops: Stops, octets: Callable[[int | bytes], bytes]) -> None:
        super().__init__()
        self._stops, self._octets = stops, octets

    def append(self, kept: int | bytes) -> None:
        """Keep one, and look at it."""
        super().append(kept)
        self._stops.check(self._octets(kept))
