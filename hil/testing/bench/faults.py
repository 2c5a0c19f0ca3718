"""Faults that a test puts in while it runs: rows of fault plans, counted from now."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hil.buses.faults import FOREVER, BusFault, FaultTable
from hil.config import nearest
from hil.errors import UnknownNameError, UsageError
from hil.faults.plan import Plan, Row, apply, kill_ns, read_rows, time_ns
from hil.testing.bench.log import seconds

if TYPE_CHECKING:
    from hil.testing.bench.bench import Bench


@dataclass(frozen=True)
class PlantedFault:
    """A fault that was added; :meth:`remove` takes it out again."""

    row: str
    remove: Callable[[], None]
    #: how often it took effect; None: its bus does not count that
    hits: Callable[[], int | None]

    def __str__(self) -> str:
        hits = self.hits()
        return self.row if hits is None else f"{self.row} ({hits} hits)"


class _Counted(BusFault):
    """A row that counts where it acts, and acts on ``left`` transactions that it fits."""

    left: int = FOREVER
    done: int = 0

    def __eq__(self, other: object) -> bool:
        """Tell whether it is this very row: of two that say the same each is another one."""
        return self is other

    __hash__ = object.__hash__

    def hits(self, index: int, t_ns: int, address: int) -> bool:
        """Tell whether it acts on the transaction, and count it."""
        if not self.left or not super().hits(index, t_ns, address):
            return False
        self.left -= 1
        self.done += 1
        return True


class Faults:
    """Adds faults. Times and transactions of a row are counted from now.

    ``count=N`` is for the next N transactions that the row fits: ``i2c-1:nak,address=0x48,count=3``
    lets the part at 0x48 not answer three times, however often others are asked in between.
    """

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        #: what was added and not removed
        self.active: list[PlantedFault] = []
        #: kills that were asked for, done or to come
        self._kills: list[Any] = []

    def add(self, text: str, **values: Any) -> PlantedFault:
        """Add the fault of a row: ``BUS:KIND,KEY=VALUE,...``; ``values`` are more of its keys.

        Raises ``ConfigError`` for what is no fault here; it says what there is.
        """
        rig, now_ns = self._bench.emulation, self._bench.now_ns
        (row,) = read_rows([text])
        row = row._replace(values={**row.values, **values})
        if not row.on:
            return self._killing(text, kill_ns(row))
        count = self._count(row)
        part: Any = rig.wiring.parts.get(row.on)
        if part is not None and not hasattr(part, "pulse"):
            spec = next(one for one in rig.board.parts if one.name == row.on)
            raise UnknownNameError(
                f"fault {text!r}: {row.on} is a part, and faults are of buses; say "
                f"{spec.bus}:{row.kind}"
                + (f",address={spec.address:#x}" if isinstance(spec.address, int) else "")
            )
        if row.on not in rig.wiring.buses and part is None:
            known = [*rig.wiring.buses]
            raise UnknownNameError(
                f"fault {text!r}: board {self._bench.board} has no bus {row.on!r}"
                f"{nearest(row.on, known)}; it has {', '.join(known)}"
            )
        table = self._table(row.on)
        before = list(table)
        apply(Plan(rows=(self._absolute(row, table),)), _Now(self._bench))
        added = [one for one in table if not any(one is other for other in before)]
        planted = self._planted(text, table, added[-1], row, count)
        self.active.append(planted)
        self._bench.act("FAULT_ADDED", row=text, t_add_ns=now_ns)
        return planted

    @staticmethod
    def _count(row: Row) -> int:
        """Return for how many transactions a row is. Raises ``ConfigError``."""
        text = str(row.values.get("count", FOREVER)).strip()
        if not text.isdecimal() or int(text) < 1:
            raise row.complain("count", f"{text!r} is no number of transactions; give 1 or more")
        return int(text)

    def _killing(self, text: str, after_ns: int) -> PlantedFault:
        event = self.kill(after_ns)
        stops = self._bench.supervisor.stops
        before = stops["injected"]

        def remove() -> None:
            self._bench.emulation.kernel.cancel(event)
            self._bench.act("FAULT_REMOVED", row=text)

        return PlantedFault(text, remove, lambda: stops["injected"] - before)

    def _table(self, on: str) -> Any:
        wiring = self._bench.emulation.wiring
        bus = wiring.buses.get(on)
        part: Any = wiring.parts.get(on)
        return bus.faults if bus is not None else part.pulse.faults

    def _absolute(self, row: Row, table: Any) -> Row:
        """Return a row whose times and numbers are those of the run."""
        bench, values = self._bench, dict(row.values)
        for key in ("from", "until"):
            if key in values:
                values[key] = (time_ns(row, key) + bench.now_ns) / 1e9
        is_table = isinstance(table, FaultTable)
        if is_table:
            values.pop("count", None)
        numbered = [key for key in ("first", "last") if key in values and is_table]
        for key in numbered:
            begun = bench.emulation.wiring.buses[row.on].transfers
            values[key] = int(str(values[key]), 0) + begun
        if not numbered:
            values.setdefault("from", bench.now_ns / 1e9)
        return row._replace(values=values)

    def _planted(self, text: str, table: Any, fault: Any, row: Row, count: int) -> PlantedFault:
        if isinstance(table, FaultTable):
            fault = _swap(table, fault, count)

        bus = self._bench.emulation.wiring.buses.get(row.on)

        def remove() -> None:
            getattr(bus, "remove_fault", table.remove)(fault)
            self.active[:] = [one for one in self.active if one is not planted]
            self._bench.act("FAULT_REMOVED", row=text)

        def hits() -> int | None:
            if isinstance(fault, _Counted):
                return fault.done
            now = _hits(bus, table, row.kind)
            return None if now is None else now - (before or 0)

        before = _hits(bus, table, row.kind)

        planted = PlantedFault(text, remove, hits)
        return planted

    def clear(self) -> None:
        """Take out every fault that was added here, and every kill that is to come."""
        for planted in list(self.active):
            planted.remove()
        while self._kills:
            self._bench.emulation.kernel.cancel(self._kills.pop())

    def kill(self, after_ns: int = 0) -> Any:
        """SIGKILL the flight software, now or after so much virtual time.

        Raises ``UsageError`` for a time that is past, or behind the end of the run.
        """
        bench = self._bench
        t_ns = bench.now_ns + after_ns
        if not bench.now_ns <= t_ns <= bench.end_ns:
            raise UsageError(
                f"kill at {seconds(t_ns)}: it is {seconds(bench.now_ns)}, and the run ends at "
                f"{seconds(bench.end_ns)}"
            )
        bench.act("KILL", after_ns=after_ns)
        self._kills.append(bench.supervisor.inject_kill(t_ns))
        return self._kills[-1]


class _Now:
    """The rig, whose faults are put into the records now."""

    def __init__(self, bench: Bench) -> None:
        self.wiring = bench.emulation.wiring
        self._bench = bench

    def fault(self, t_ns: int, **values: Any) -> None:
        """Put a fault into the records."""
        self._bench.emulation.fault(self._bench.now_ns, **values)


def _hits(bus: Any, table: Any, kind: str) -> int | None:
    """Return how often faults of a kind took effect; None: the bus does not count that."""
    counted = table.hits if isinstance(table, FaultTable) else getattr(bus, "counters", {})
    return int(counted[kind]) if kind in counted else None


def _swap(table: FaultTable, fault: BusFault, count: int) -> _Counted:
    """Put a row that counts in the place of one that does not."""
    counting = _Counted(*fault)
    counting.left = count
    table.rows[next(i for i, one in enumerate(table.rows) if one is fault)] = counting
    return counting
