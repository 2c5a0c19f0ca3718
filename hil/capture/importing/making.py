"""Writing imported units as a capture."""

from __future__ import annotations

import heapq
import json
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from flightsw.codec.wire import FIRST_DIGEST_KIND, Kind, pack
from hil import __version__
from hil.capture.importing.unit import TIME_LIMIT_NS, Source, Unit
from hil.capture.writer import CaptureWriter
from hil.errors import CaptureError, RunDirectoryError, UsageError

#: Channel numbers from here on belong to no bus.
CHANNELS_LIMIT = 0xF0
LINK_CHANNEL = 0xF0
_BATCH = 512
#: buses that an error names
_BUSES_TOLD = 8
_LINK_KINDS = frozenset(int(k) for k in (Kind.TM, Kind.TC, Kind.LINK, Kind.EVENT, Kind.FAULT))


@dataclass
class Made:
    """What an import came to: records by topic, counters and damage by file."""

    path: Path
    records: int = 0
    epoch_ns: int = 0
    first_ns: int = 0
    last_ns: int = 0
    topics: Counter[str] = field(default_factory=Counter)
    counters: dict[str, dict[str, int]] = field(default_factory=dict)
    damage: dict[str, str] = field(default_factory=dict)
    #: buses that were left out by choice, as the files call them
    left_out: set[str] = field(default_factory=set)


class NothingImportedError(CaptureError):
    """Nothing in the files became a record: they were looked at, and there is no capture."""

    exit_code = 1


@dataclass(frozen=True)
class Choice:
    """Which units are taken and what their buses are called: ``names`` old to new, "" any."""

    names: Mapping[str, str] = field(default_factory=dict)
    only: Collection[str] = ()

    def name_of(self, name: str) -> str | None:
        """Return what a bus is called in the capture; None: it is left out."""
        if self.only and name not in self.only:
            return None
        return self.names.get(name, self.names.get("", name))


class _Channels:
    """The channel numbers of an import: those that records had, where they are free."""

    def __init__(self) -> None:
        self.names: dict[int, str] = {}
        self._numbers: dict[tuple[int, str], int] = {}

    def number(self, kind: int, name: str, wanted: int) -> int:
        """Return the number of a bus. Raises ``UsageError`` if there are too many."""
        if wanted >= CHANNELS_LIMIT or kind in _LINK_KINDS:
            return LINK_CHANNEL if wanted < 0 else wanted
        key = (kind, name)
        if key not in self._numbers:
            number = wanted
            if wanted < 0 or self.names.get(wanted, name) != name:
                number = next((n for n in range(CHANNELS_LIMIT) if n not in self.names), -1)
            if number < 0:
                raise UsageError(
                    f"more than {CHANNELS_LIMIT} buses in what is imported; choose with --only"
                )
            self.names[number] = name
            self._numbers[key] = number
        return self._numbers[key]


def make(
    path: Path,
    sources: Sequence[Source],
    choice: Choice,
    about: Mapping[str, str],
    attachments: Mapping[str, bytes],
    start_ns: int | None = None,
) -> Made:
    """Write what the sources give as the capture ``path``.

    ``start_ns``: when files without a date began, nanoseconds since 1970. Raises what the writer
    raises, and ``UsageError`` for files that cannot be one capture.
    """
    units = merged(sources)
    first = next(units, None)
    epoch_ns = start_ns or 0
    if first is not None and first.epoch_ns >= 0:
        epoch_ns = first.epoch_ns
    elif first is not None and sources[0].absolute:
        epoch_ns = first.t_ns
    made = Made(path, epoch_ns=epoch_ns)
    channels = _Channels()
    facts = {"version": __version__, **about}
    with CaptureWriter(path, epoch_ns, channels.names, facts) as writer, _whole(writer):
        writer.names = channels.names
        for name, data in attachments.items():
            media = "application/toml" if name.endswith(".toml") else "application/octet-stream"
            writer.add_attachment(name, media, data)
        if first is not None:
            base_ns = epoch_ns if sources[0].absolute else 0
            _write(writer, _chained(first, units), choice, channels, made, base_ns)
        for nth, source in enumerate(sources):
            key = f"{nth}:{source.name}" if len(sources) > 1 else source.name
            made.counters[key] = {k: v for k, v in sorted(source.counters.items()) if v}
            if source.damage is not None:
                made.damage[key] = str(source.damage)
        if not made.records:
            raise NothingImportedError(_nothing(made, sources, choice))
        told = {"counters": made.counters, "damage": made.damage}
        writer.add_metadata("import", {k: json.dumps(v, sort_keys=True) for k, v in told.items()})
    return made


def _nothing(made: Made, sources: Sequence[Source], choice: Choice) -> str:
    """Say why there is no record to make a capture of."""
    said = f"{', '.join(source.name for source in sources)}: "
    if made.left_out:
        wanted, there = ", ".join(choice.only), ", ".join(sorted(made.left_out)[:_BUSES_TOLD])
        said += f"no record is of --only {wanted}; the buses in it are {there}"
    elif made.damage:
        said += next(iter(made.damage.values()))
    else:
        forms = ", ".join(dict.fromkeys(source.form for source in sources))
        skipped = sum(source.counters["skipped_lines"] for source in sources)
        said += f"nothing in it is {forms}" + (f", {skipped} lines skipped" if skipped else "")
        said += "; say with --as what it is"
    return f"{said}; no capture was made"


@contextmanager
def _whole(writer: CaptureWriter) -> Iterator[None]:
    """Leave no capture that lacks what an error or Ctrl-C kept from it; of a full disk, which is
    told in the capture, what it took."""
    try:
        yield
    except RunDirectoryError:
        raise
    except BaseException:
        writer.file.remove()
        raise


def merged(sources: Sequence[Source]) -> Iterator[Unit]:
    """Return the units of all sources: in order of time where all have dates, else by file."""
    dated = [source.absolute for source in sources]
    if any(dated) and not all(dated):
        names = ", ".join(s.name for s in sources if not s.absolute)
        raise UsageError(f"{names}: without dates, beside files with dates; import them apart")
    if all(dated):
        return heapq.merge(*sources, key=lambda unit: unit.t_ns)
    return _one_by_one(sources)


def _one_by_one(sources: Sequence[Source]) -> Iterator[Unit]:
    """Yield what the files hold, each from the end of the one before."""
    base_ns = end_ns = 0
    for source in sources:
        base_ns = end_ns
        for unit in source:
            end_ns = max(end_ns, base_ns + unit.t_ns + unit.duration_ns)
            yield unit._replace(t_ns=base_ns + unit.t_ns)


def _chained(first: Unit, units: Iterator[Unit]) -> Iterator[Unit]:
    yield first
    yield from units


def _write(
    writer: CaptureWriter,
    units: Iterator[Unit],
    choice: Choice,
    channels: _Channels,
    made: Made,
    base_ns: int,
) -> None:
    """Number and write units; a record that had a number keeps it while it rises."""
    batch: list[bytes] = []
    seq, counters = 0, Counter[str]()
    made.first_ns, put = -1, writer.write
    topic: Callable[[int, str], str] = _topics()
    for unit in units:
        name = choice.name_of(unit.name)
        if name is None:
            counters["left_out_by_choice"] += 1
            if len(made.left_out) < CHANNELS_LIMIT:
                made.left_out.add(unit.name)
            continue
        t_ns = unit.t_ns - base_ns
        if t_ns < 0:
            counters["times_before_the_first_set_to_it"] += 1
            t_ns = 0
        if t_ns + writer.epoch_ns >= 2 * TIME_LIMIT_NS:  # what a capture can say
            counters["skipped_for_times_that_are_none"] += 1
            continue
        number = channels.number(unit.kind, name, unit.channel)
        if unit.seq > seq:
            seq = unit.seq
        batch.append(
            pack(
                *(unit.kind, number, unit.flags, unit.status, t_ns, unit.duration_ns),
                *(seq & 0xFFFFFFFF, unit.address, unit.payload),
            )
        )
        seq += unit.kind >= FIRST_DIGEST_KIND and unit.kind != Kind.WORLD
        made.records += 1
        made.topics[topic(unit.kind, name)] += 1
        made.first_ns = t_ns if made.first_ns < 0 else made.first_ns
        made.last_ns = max(made.last_ns, t_ns + unit.duration_ns)
        if len(batch) >= _BATCH:
            put(b"".join(batch))
            batch.clear()
    put(b"".join(batch))
    made.first_ns = max(made.first_ns, 0)
    if counters:
        made.counters["capture"] = dict(counters)


def _topics() -> Callable[[int, str], str]:
    """Return what gives the topic of a kind and a name, and remembers it."""
    from hil.capture.topics import topic_of

    known: dict[tuple[int, str], str] = {}

    def topic(kind: int, name: str) -> str:
        key = (kind, name)
        if key not in known:
            known[key] = topic_of(kind, 0, {0: name})
        return known[key]

    return topic
