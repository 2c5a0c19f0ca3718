"""Service 11, time-based scheduling: telecommands that wait for their time (clause 6.11).

The schedule is saved after each change before the change is reported complete. An activity is
taken out and the schedule saved only after it was handed over; as the router remembers what it
accepted, a stop in between does not run it twice.
"""

from __future__ import annotations

import struct
from bisect import insort
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from flightsw.codec.dictionary import REPORTS, Failure
from flightsw.codec.dictionary.commands import TIME_NBYTES
from flightsw.codec.dictionary.events import ACTIVITY_LATE
from flightsw.codec.time_code import P_FIELD, pack_cuc, unpack_cuc
from flightsw.errors import StorageError
from flightsw.services.events import Events
from flightsw.services.telemetry import REPORT, Telemetry
from flightsw.services.verification import Refusal
from flightsw.storage import Storage

if TYPE_CHECKING:
    from flightsw.services.router import Request, Router

_SECOND_NS = 1_000_000_000
_NEVER_NS = 1 << 63
#: the time code counts seconds in 32 bits
_TIME_MAX_NS = (1 << 32) * _SECOND_NS - 1
_ENTRY = struct.Struct(">QH")
_PACKET_MIN_NBYTES = 13
#: activities in one TM[11,13], so that a report stays well within a packet
_SUMMARY_CHUNK = 60
_DETAIL_CHUNK_NBYTES = 4096

ActivityId = tuple[int, int, int]


class Activity(NamedTuple):
    """A telecommand packet and its release time; ordered by time, then as inserted."""

    release_ns: int
    order: int
    packet: bytes

    def id(self) -> ActivityId:
        """Return (source, APID, sequence count)."""
        word, sequence = struct.unpack_from(">HH", self.packet)
        source = int.from_bytes(self.packet[9:11], "big")
        return source, word & 0x7FF, sequence & 0x3FFF


class Schedule:
    """The schedule; call :meth:`poll` in the control group."""

    def __init__(
        self,
        telemetry: Telemetry,
        events: Events,
        storage: Storage,
        router: Router,
        parameter: Callable[[], dict[str, float]],
        limit: int,
    ) -> None:
        """``limit`` activities at most; ``parameter()`` returns the on-board parameters."""
        self._telemetry = telemetry
        self._events = events
        self._storage = storage
        self._router = router
        self._parameter = parameter
        self._limit = limit
        self.enabled = False
        self.entries: list[Activity] = []
        self._order = 0
        #: release time of the first activity, far away when there is none or it is disabled
        self.next_ns = _NEVER_NS
        self.released = 0
        self.late = 0
        self.unsaved = 0
        self.now_ns = 0
        self._load()
        for subtype, handler in {
            1: self._enable,
            2: self._disable,
            3: self._reset,
            4: self._insert,
            5: self._delete,
            9: self._detail,
            12: self._summary,
            16: self._detail,
            17: self._summary,
        }.items():
            router.add(11, subtype, handler)
        router.add(11, 7, self._shift, redo=False)
        router.add(11, 15, self._shift, redo=False)

    def poll(self, now_ns: int) -> None:
        """Hand over every activity whose time has come."""
        self.now_ns = now_ns
        while self.next_ns <= now_ns:
            activity = self.entries[0]
            late_s = (now_ns - activity.release_ns) // _SECOND_NS
            if late_s > self._parameter()["late_activity_s"]:
                self.late += 1
                self._events.report(ACTIVITY_LATE, activity.id()[2], late_s)
            else:
                self.released += 1
                self._router.receive(activity.packet)
            # The router may have changed the schedule: only this very activity goes.
            self.entries = [entry for entry in self.entries if entry is not activity]
            try:
                self._save()
            except StorageError:
                # A restart would offer it again, and the router would know it.
                self.unsaved += 1

    def _save(self) -> None:
        self.next_ns = self.entries[0].release_ns if self.entries and self.enabled else _NEVER_NS
        body = b"".join(
            _ENTRY.pack(entry.release_ns, len(entry.packet)) + entry.packet
            for entry in self.entries
        )
        self._storage.save("schedule", bytes((self.enabled,)) + body, durable=True)

    def _load(self) -> None:
        blob = self._storage.load("schedule")
        if blob is None:
            return
        self.enabled = bool(blob[0])
        at = 1
        while at < len(blob):
            release_ns, length = _ENTRY.unpack_from(blob, at)
            at += _ENTRY.size
            self.entries.append(Activity(release_ns, self._order, blob[at : at + length]))
            self._order += 1
            at += length
        if self.entries and self.enabled:
            self.next_ns = self.entries[0].release_ns

    def _change(self, entries: Iterable[Activity]) -> None:
        self.entries = sorted(entries)
        self._save()

    def _switch(self, enabled: bool) -> None:
        self.enabled = enabled
        self._save()

    def _enable(self, request: Request, arguments: Any) -> Callable[[], None]:
        return lambda: self._switch(True)

    def _disable(self, request: Request, arguments: Any) -> Callable[[], None]:
        return lambda: self._switch(False)

    def _reset(self, request: Request, arguments: Any) -> Callable[[], None]:
        def run() -> None:
            self.enabled = False
            self._change(())

        return run

    def _insert(self, request: Request, arguments: Any) -> Callable[[], None]:
        held = {entry.id(): entry for entry in self.entries}
        fresh: list[Activity] = []
        for release_ns, packet in _split(arguments.count, arguments.activities):
            activity = Activity(release_ns, 0, packet)
            known = held.get(activity.id())
            if known is not None:
                if (known.release_ns, known.packet) == (release_ns, packet):
                    continue  # already there: ground said it twice, or it is done again
                raise Refusal(Failure.ALREADY_EXISTS, activity.id()[2])
            if release_ns <= self.now_ns and not request.redo:
                raise Refusal(Failure.TIME_IN_PAST, release_ns // _SECOND_NS)
            self._router.accept(packet)  # what could never be accepted is refused now
            held[activity.id()] = activity
            fresh.append(activity)
        if len(held) > self._limit:
            raise Refusal(Failure.FULL, self._limit)

        def run() -> None:
            for activity in fresh:
                self._order += 1
                insort(self.entries, activity._replace(order=self._order))
            self._save()

        return run

    def _wanted(self, arguments: Any) -> list[Activity]:
        """Return the activities that a request names, all if it names none by its layout."""
        if "activities" not in arguments:
            return list(self.entries)
        held = {entry.id(): entry for entry in self.entries}
        wanted = []
        for row in arguments.activities:
            entry = held.get((row.source, row.apid, row.sequence & 0x3FFF))
            if entry is None:
                raise Refusal(Failure.UNKNOWN_ID, row.sequence)
            wanted.append(entry)
        return wanted

    def _delete(self, request: Request, arguments: Any) -> Callable[[], None]:
        wanted = set(self._wanted(arguments))
        return lambda: self._change(entry for entry in self.entries if entry not in wanted)

    def _shift(self, request: Request, arguments: Any) -> Callable[[], None]:
        wanted = set(self._wanted(arguments))
        shift_ns = arguments.shift_s * _SECOND_NS
        for entry in wanted:
            if entry.release_ns + shift_ns <= self.now_ns:
                raise Refusal(Failure.TIME_IN_PAST, entry.id()[2])
            if entry.release_ns + shift_ns > _TIME_MAX_NS:
                raise Refusal(Failure.OUT_OF_RANGE, entry.id()[2])
        return lambda: self._change(
            entry._replace(release_ns=entry.release_ns + shift_ns) if entry in wanted else entry
            for entry in self.entries
        )

    def _summary(self, request: Request, arguments: Any) -> Callable[[], None]:
        wanted = sorted(self._wanted(arguments))

        def run() -> None:
            for first in range(0, len(wanted) or 1, _SUMMARY_CHUNK):
                rows = []
                for entry in wanted[first : first + _SUMMARY_CHUNK]:
                    source, apid, sequence = entry.id()
                    row = {"source": source, "apid": apid, "sequence": sequence}
                    rows.append({"release": pack_cuc(entry.release_ns), **row})
                body = REPORTS[11, 13].build({"activities": rows})
                self._telemetry.report(REPORT, 11, 13, body)

        return run

    def _detail(self, request: Request, arguments: Any) -> Callable[[], None]:
        wanted = sorted(self._wanted(arguments))

        def send(chunk: list[bytes]) -> None:
            row = {"count": len(chunk), "activities": b"".join(chunk)}
            self._telemetry.report(REPORT, 11, 10, REPORTS[11, 10].build(row))

        def run() -> None:
            chunk: list[bytes] = []
            for entry in wanted:
                chunk.append(pack_cuc(entry.release_ns) + entry.packet)
                if sum(map(len, chunk)) > _DETAIL_CHUNK_NBYTES:
                    send(chunk)
                    chunk = []
            if chunk or not wanted:
                send(chunk)

        return run


def _split(count: int, body: bytes) -> list[tuple[int, bytes]]:
    """Return (release time, packet) of each activity; raises Refusal."""
    found: list[tuple[int, bytes]] = []
    at = 0
    for _ in range(count):
        head = at + TIME_NBYTES
        if head + _PACKET_MIN_NBYTES > len(body):
            raise Refusal(Failure.BAD_LAYOUT, len(body))
        if body[at] != P_FIELD:  # another time code than the one that telemetry carries
            raise Refusal(Failure.BAD_LAYOUT, at)
        release_ns = unpack_cuc(body[at:head])
        end = head + int.from_bytes(body[head + 4 : head + 6], "big") + 7
        if end > len(body) or end - head < _PACKET_MIN_NBYTES:
            raise Refusal(Failure.BAD_LAYOUT, len(body))
        found.append((release_ns, body[head:end]))
        at = end
    if at != len(body):
        raise Refusal(Failure.BAD_LAYOUT, len(body))
    return found
