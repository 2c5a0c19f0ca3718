"""The log of a bench: everything worth waiting for, in order, with the number of its record.

An entry is made where something is *known on the ground*: a telemetry packet has come down whole,
an event of bench, ground or test has been recorded. Its number is that of the record in the capture
at which that was so; several entries may come of one record.

A *mark* is a place in the log. What lies before it is old, and so is a sample that was taken on
board before it and came down later: neither can satisfy who waits from the mark on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from flightsw.codec import dictionary
from hil.replay.decoding import packets
from hil.replay.decoding.flat import flat, said
from hil.replay.naming import meant

SECOND = 1_000_000_000
_LEAD = "tm."
#: what every packet has, and nobody waits for
_HEADER = frozenset(
    f"tm.{name}"
    for name in ("apid", "seq", "service", "subtype", "counter", "destination", "t_ns", "name")
)
#: reports of service 1: name -> what it says of a telecommand
REPORTS = (
    *("accepted", "refused", "started", "start_failed", "progressed", "progress_failed"),
    *("completed", "completion_failed", "routing_failed"),
)


class Mark(NamedTuple):
    """A place in the log: the number that the next record will have, and the virtual time."""

    number: int
    t_ns: int
    #: how many entries lie before it
    entries: int


@dataclass(frozen=True)
class Entry:
    """One thing that happened: ``name`` such as ``power`` or ``event.BOOT``, and its values."""

    number: int
    t_ns: int
    name: str
    values: Mapping[str, Any] = field(default_factory=dict)
    #: when it was so on board, where that is another time than ``t_ns``
    sampled_ns: int | None = None

    def __str__(self) -> str:
        words = said({k: v for key, one in self.values.items() for k, v in flat(key, one).items()})
        return f"#{self.number} t={seconds(self.t_ns)} {self.name} {words}".rstrip()


@dataclass(frozen=True)
class Evidence:
    """What satisfied an expectation."""

    number: int
    t_ns: int
    name: str
    value: Any
    entry: Entry

    def __str__(self) -> str:
        shown = f"{self.value:.6g}" if isinstance(self.value, float) else str(self.value)
        if isinstance(self.value, Mapping):
            return str(self.entry)
        value = f" {shown}"
        return f"#{self.number} t={seconds(self.t_ns)} {self.name}{value}"


class Name(NamedTuple):
    """What a name in a test means: an entry, or one value of it."""

    entry: str
    field: str | None

    def __str__(self) -> str:
        return self.entry if self.field is None else f"{self.entry}.{self.field}"

    def of(self, entry: Entry) -> Evidence | None:
        """Return what an entry says under this name; None: it says nothing."""
        if entry.name != self.entry:
            return None
        if self.field is None:
            return Evidence(entry.number, entry.t_ns, str(self), entry.values, entry)
        if self.field not in entry.values:
            return None
        return Evidence(entry.number, entry.t_ns, str(self), entry.values[self.field], entry)


def seconds(t_ns: int) -> str:
    """Return a time as seconds, without zeros that say nothing; one too short for that as it is."""
    if 0 < abs(t_ns) < 1_000:
        return f"{t_ns} ns"
    text = f"{t_ns / SECOND:.6f}".rstrip("0")
    return f"{text}0 s" if text.endswith(".") else f"{text} s"


class Log:
    """The log. ``now()`` gives (number of the next record, virtual time)."""

    def __init__(self, now: Callable[[], tuple[int, int]]) -> None:
        self.entries: list[Entry] = []
        #: told of each entry as it is made
        self.heard: Callable[[Entry], None] = lambda entry: None
        self._now = now
        #: the place where everything is still to come
        self.start = Mark(0, 0, 0)
        #: the last act of the test
        self.acted = self.start
        #: names of entries that have come, with the names of their values
        self._seen: dict[str, set[str]] = {}

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries)

    def mark(self) -> Mark:
        """Return the place that the log has come to."""
        number, t_ns = self._now()
        return Mark(number, t_ns, len(self.entries))

    def since(self, mark: Mark) -> list[Entry]:
        """Return what came after a mark, samples that were taken before it left out."""
        return [entry for entry in self.entries[mark.entries :] if not is_stale(entry, mark)]

    def stale(self, mark: Mark) -> list[Entry]:
        """Return what came after a mark and was sampled before it."""
        return [entry for entry in self.entries[mark.entries :] if is_stale(entry, mark)]

    def add(self, name: str, values: Mapping[str, Any], sampled_ns: int | None = None) -> Entry:
        """Make an entry of now."""
        number, t_ns = self._now()
        entry = Entry(max(0, number - 1), t_ns, name, values, sampled_ns)
        self.entries.append(entry)
        self._seen.setdefault(name, set()).update(values)
        self.heard(entry)
        return entry

    def packet(self, packet: bytes) -> Entry:
        """Make an entry of a telemetry packet that has come down."""
        told = packets.telemetry(packet)
        name = str(told.get("tm.name", "packet"))
        lead = f"tm.{name}."
        values = {
            key.removeprefix(lead).removeprefix(_LEAD): value
            for key, value in told.items()
            if key not in _HEADER
        }
        sampled = told.get("tm.t_ns")
        return self.add(name, values, sampled if isinstance(sampled, int) else None)

    def event(self, event: Mapping[str, Any]) -> Entry | None:
        """Make an entry of an event of bench, ground or test, or of a fault."""
        source = str(event.get("source", ""))
        name = str(event.get("name") or event.get("kind") or "")
        if source == "ground" and name in EVENT_NAMES:
            return None  # a report of the flight software: its packet is in the log already
        values = {k: v for k, v in event.items() if k not in ("t_s", "source", "name")}
        return self.add(f"{source}.{name}", values)

    def meant(self, text: str) -> list[Name]:
        """Return what a name may mean: none, one, or several that are as good."""
        names = self.names()
        text = text.removeprefix(_LEAD)
        found = meant(text, names)
        return [names[each] for each in found]

    def names(self) -> dict[str, Name]:
        """Return every name that there is, of the dictionary and of what has come."""
        found = dict(DICTIONARY)
        for name in BENCH:
            found[name] = Name(name, None)
        for name, values in self._seen.items():
            found.setdefault(name, Name(name, None))
            for value in values:
                found.setdefault(f"{name}.{value}", Name(name, value))
        return found


def is_stale(entry: Entry, mark: Mark) -> bool:
    """Tell whether an entry says how things were before a mark."""
    return entry.sampled_ns is not None and entry.sampled_ns < mark.t_ns


_LAYOUTS = {one.name: one.struct for one in dictionary.STRUCTURES} | {
    f"event.{one.name}": one.struct for one in dictionary.EVENTS
}


def words_of(entry: str, field: str) -> Mapping[int, str]:
    """Return the names of the values of a field of the dictionary; nothing: they have none."""
    struct = _LAYOUTS.get(entry)
    return {} if struct is None else packets.labels_of(struct).get(f".{field}", {})


def _dictionary() -> Iterable[tuple[str, Name]]:
    for name, struct in _LAYOUTS.items():
        yield name, Name(name, None)
        for each in struct.subcons:
            yield f"{name}.{each.name}", Name(name, each.name)
    for report in REPORTS:
        yield report, Name(report, None)


#: what bench and ground say of themselves
BENCH = (
    *(f"bench.{name}" for name in ("UUT_START", "UUT_LOST", "WATCHDOG_RESET", "EPS_SWITCH")),
    *(f"bench.{name}" for name in ("BROWN_OUT", "SUPPLY", "ROLES_MISSING")),
    *(f"ground.{name}" for name in ("CONTACT_BEGIN", "CONTACT_END", "PRODUCT_RECEIVED")),
    *(f"ground.{name}" for name in ("TELECOMMAND_FAILED", "TELECOMMAND_GIVEN_UP")),
    *("ground.PACKET_REFUSED", "fault.kill"),
)
#: every name that the dictionary has
DICTIONARY: Mapping[str, Name] = dict(_dictionary())
EVENT_NAMES = frozenset(event.name for event in dictionary.EVENTS)
