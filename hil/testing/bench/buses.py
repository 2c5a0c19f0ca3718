"""Buses: what went over them, decoded, and waiting for more of it."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from flightsw.codec.wire import Flag, Record, Status, unpack_all, unpack_from
from hil.config import nearest
from hil.errors import ExpectationError, UnknownNameError
from hil.replay.decode import Decoder
from hil.replay.decoding.flat import said
from hil.replay.naming import meant
from hil.replay.rules import HEADER_FIELDS
from hil.rig import channel_names
from hil.testing.bench.log import SECOND, Entry, Mark, seconds
from hil.testing.bench.telemetry import WIDTH, cut
from hil.testing.bench.wanted import fits, told

if TYPE_CHECKING:
    from hil.testing.bench.bench import Bench

#: of a failure: how many transactions are shown
SHOWN = 8
#: how like a known name one is that was meant to be it
_SLIP = 0.85


class RigBus:
    """One bus of the board. Transactions are entries called like the bus; their values are the
    fields that replay and diff know them by, such as ``temp_chip.temp_result``, and those of the
    record: ``address``, ``status``, ``flags``, ``duration_ns``."""

    def __init__(self, bench: Bench, name: str) -> None:
        self.name = name
        self._bench = bench
        #: the emulated bus itself
        self.emulated: Any = bench.emulation.wiring.buses[name]
        rig = bench.emulation
        self._index = next(one.index for one in rig.board.buses if one.name == name)
        self._decoder = Decoder(rig.board, rig.mission, channel_names(rig.board))
        self._entries: list[Transaction] = []
        #: batches of records that were taken, and the number of the next record to be
        self._batches = self._next = 0

    @property
    def counters(self) -> dict[str, int]:
        """What the bus counts of itself."""
        return dict(self.emulated.counters)

    def seen(self, since: Mark | None = None) -> list[Transaction]:
        """Return the transactions since a mark, or all of them."""
        first = 0 if since is None else since.number
        entries = self._catch_up()
        return entries[bisect_left(entries, first, key=lambda entry: entry.number) :]

    def expect(
        self,
        wanted: Mapping[str, Any] | Callable[[Transaction], Any] | None = None,
        *,
        within: int = 10 * SECOND,
        since: Mark | None = None,
        **fields: Any,
    ) -> Transaction:
        """Let virtual time pass until a transaction fits; return it.

        ``wanted`` are fields with what is wanted of each (see ``tm.expect``), or a function of the
        entry; ``fields`` are more of them: ``expect(address=0x48, status=Status.NAK_ADDRESS)``.
        Raises :class:`~hil.errors.ExpectationError` with the last transactions.
        """
        bench = self._bench
        mark = bench.log.acted if since is None else since
        fit = self._fit(wanted, fields)
        for entry in self.seen(mark):
            if fit(entry):
                return entry
        found = self._await(fit, within)
        if found is not None:
            return found
        seen = self.seen(mark)
        last = "\n".join(f"  {cut(str(entry))}" for entry in seen[-SHOWN:]) or "  none"
        raise ExpectationError(
            f"no transaction on {self.name} with {_asked(wanted, fields)} within "
            f"{seconds(within)}, after #{mark.number} at t={seconds(mark.t_ns)}\n"
            f"the last of {len(seen)} that came:\n{last}\n{bench.state()}"
        )

    def never(
        self,
        wanted: Mapping[str, Any] | Callable[[Transaction], Any] | None = None,
        *,
        for_: int,
        **fields: Any,
    ) -> None:
        """Let virtual time pass, and raise ``ExpectationError`` at once if such a one comes.

        Raises ``UsageError`` for a time ``for_`` that is none, or longer than the run.
        """
        bench = self._bench
        begun_ns = bench.now_ns
        found = self._await(self._fit(wanted, fields), bench.stay(for_))
        if found is None:
            return
        raise ExpectationError(
            f"{self.name}: {_asked(wanted, fields)} came {seconds(found.t_ns - begun_ns)} after it "
            f"was to stay away for {seconds(for_)}\n  {found}\n{bench.state()}"
        )

    def last(
        self, wanted: Mapping[str, Any] | Callable[[Transaction], Any] | None = None, **fields: Any
    ) -> Transaction | None:
        """Return the last transaction that fits, whenever it was; None: there was none."""
        fit = self._fit(wanted, fields)
        return next((entry for entry in reversed(self.seen()) if fit(entry)), None)

    def _fit(
        self,
        wanted: Mapping[str, Any] | Callable[[Transaction], Any] | None,
        fields: Mapping[str, Any],
    ) -> Callable[[Transaction], bool]:
        function = wanted if callable(wanted) else None
        pairs = _pairs(wanted, fields)
        for name, _ in pairs:
            self._check(name)

        def fit(entry: Transaction) -> bool:
            if function is not None and not function(entry):
                return False
            for name, one in pairs:
                found = meant(name, entry.values)
                if not found or not any(fits(one, entry.values[each]) for each in found):
                    return False
            return True

        return fit

    def _check(self, name: str) -> None:
        """Raise ``UnknownNameError`` for a field that is a slip of the pen: it would never fit."""
        known = (*HEADER_FIELDS, *self._bench.emulation.wiring.parts)
        head = name.partition(".")[0]
        if head in known or any(meant(name, entry.values) for entry in self._catch_up()):
            return
        near = get_close_matches(head[:WIDTH], known, n=1, cutoff=_SLIP)
        if near:
            raise UnknownNameError(
                f"{self.name}: no transaction has a field {name!r}; did you mean {near[0]!r}?"
            )

    def _await(self, fit: Callable[[Transaction], bool], within: int) -> Transaction | None:
        """Look at each record as it is made, and stop behind the one that fits."""
        bench = self._bench
        self._catch_up()  # what was before is known to the decoder, and is not lost to `seen`
        found: list[Transaction] = []
        wrong: list[Exception] = []

        def look(octets: bytes) -> None:
            entry = self._take(unpack_from(octets)[0])
            if entry is None or found or wrong:
                return
            try:
                if not fit(entry):
                    return
                found.append(entry)
            except Exception as error:  # noqa: BLE001 - raised in the test, which has asked
                wrong.append(error)
            bench.stop_now()

        with bench.watching(look):
            bench.wait(lambda entry: False, within)
        if wrong:
            raise wrong[0]
        return found[0] if found else None

    def _catch_up(self) -> list[Transaction]:
        """Take what was recorded since the last look; return everything until now."""
        batches = self._bench.records
        for octets in batches[self._batches :]:
            for record in unpack_all(octets):
                self._take(record)
        self._batches = len(batches)
        return self._entries

    def _take(self, record: Record) -> Transaction | None:
        """Decode a record of this bus, once: what a register read means depends on those before."""
        if record.channel != self._index or record.seq < self._next:
            return None
        self._next = record.seq + 1
        values = self._decoder.fields(record)
        entry = Transaction(record.seq, record.t_ns, self.name, values, payload=record.payload)
        self._entries.append(entry)
        return entry


def _pairs(wanted: Any, fields: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return [*(wanted.items() if isinstance(wanted, Mapping) else ()), *fields.items()]


def _asked(wanted: Any, fields: Mapping[str, Any]) -> str:
    said = ", ".join(f"{key} {told(one) or 'any'}" for key, one in _pairs(wanted, fields))
    return said or "what was asked"


@dataclass(frozen=True)
class Transaction(Entry):
    """One transaction, or what came in or went out by itself; ``payload`` as the record has it."""

    payload: bytes = b""

    def __str__(self) -> str:
        plain = {k: v for k, v in self.values.items() if k not in HEADER_FIELDS}
        way = "in" if self.values.get("flags", 0) & Flag.INPUT else ""
        status = int(self.values.get("status", 0))
        known = status in Status.__members__.values()
        what = (Status(status).name if known else f"status {status}") if status else ""
        head = f"#{self.number} t={seconds(self.t_ns)} {self.name} 0x{self.values['address']:02x}"
        return " ".join(word for word in (head, way, said(plain), what) if word)


def bus_named(bench: Bench, name: str) -> RigBus:
    """Return a bus, the same each time. Raises ``UnknownNameError`` for what the board has not."""
    buses = bench.emulation.wiring.buses
    if name not in buses:
        hint = nearest(name, buses)
        raise UnknownNameError(
            f"board {bench.board} has no bus {name!r}{hint}; it has {', '.join(buses)}"
        )
    if name not in bench.buses:
        bench.buses[name] = RigBus(bench, name)
    return bench.buses[name]
