"""The boards of one run: sessions, emulations that stand in for boards, what each is bound to.

:class:`Boards` is what the rest of the bench knows of boards. It is looked after while the run
waits for the wall clock (:class:`hil.time.pacing.Watch`), or by the loop of a host. Boards keep
their own time: nothing is ever held back for them, so they need the pace of the wall.
"""

from __future__ import annotations

import contextlib
import select
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import Any

from hil.boards.binding import EMULATED, Binding, check_overlap, resolve
from hil.boards.fronts import Fronts
from hil.boards.lab import Instance, Lab
from hil.boards.protocol import Event, EventType, log_text
from hil.boards.seating import Seating
from hil.boards.session import Session, State, Transition
from hil.boards.shadow import SHOWS
from hil.boards.sources import Sources
from hil.boards.station import BoardStation, Stamp
from hil.errors import BoardError, HilError, UsageError
from hil.rig import SECOND, Rig

#: Place of the first board among ties at one instant; parts end before (see hil.wiring).
BOARD_SOURCE = 400
#: ``shadow PART off``
OFF = "off"
#: Longest wait at a time for boards that are to be there when a run begins, seconds.
_SLICE_S = 0.05
#: How bad it is to become so.
_SEVERITY = {State.READY: 1, State.LOST: 3, State.REFUSED: 3}


class Outages:
    """When a board was there: how often it was lost and came back, and for how long it was away."""

    def __init__(self) -> None:
        self.losses = self.reconnects = 0
        self.away_ns = 0
        self._was_ready = False
        self._lost_ns: int | None = None

    def moved(self, t_ns: int, ready: bool) -> None:
        """Note that a board has become ready, or is no more; before it first was, nothing is."""
        if ready:
            if self._lost_ns is not None:
                self.reconnects += 1
                self.away_ns += t_ns - self._lost_ns
            self._lost_ns, self._was_ready = None, True
        elif self._was_ready and self._lost_ns is None:
            self.losses += 1
            self._lost_ns = t_ns

    def total_ns(self, now_ns: int) -> int:
        """Return how long it was away by now."""
        return self.away_ns + (0 if self._lost_ns is None else now_ns - self._lost_ns)


class Boards:
    """The boards of a rig. Close it when the run is over.

    ``stamp(source, act)`` makes ``act(t_ns)`` an event of the virtual time that it is on the wall.
    ``clock`` counts nanoseconds and never steps.
    """

    def __init__(self, rig: Rig, lab: Lab, clock: Callable[[], int], stamp: Stamp) -> None:
        self._rig = rig
        self._lab = lab
        self._clock = clock
        self._stamp = stamp
        self.sources = Sources(rig)
        self._seating = Seating(rig)
        self._fronts = Fronts(rig)
        self.stations: dict[str, BoardStation] = {}
        self.bound: dict[str, Binding] = {}
        #: what was real, and when it became so or ceased to be
        self.history: list[dict[str, Any]] = []
        self._outages: dict[str, Outages] = {}
        #: why boards that have not been ready since then were refused
        self._refusals: dict[str, str] = {}
        self._epoll = select.epoll()
        self._watched: dict[int, Callable[[], None]] = {}
        self._fds: dict[str, int] = {}

    # --- set-up -----------------------------------------------------------------------------------

    def open(self, bindings: Iterable[Binding], wait_s: float) -> None:
        """Bind what is to be real, and wait until every board is ready; 0: begin at once.

        Raises :class:`~hil.errors.BoardError` for a board that is not ready by then.
        """
        wanted = list(bindings)
        self.sources.expect(wanted)
        for binding in wanted:
            self._bind(binding)
        until_ns = self._clock() + round(wait_s * SECOND)
        while wait_s and not all(station.ready for station in self.stations.values()):
            if self._clock() >= until_ns:
                raise BoardError(self._not_ready(wait_s))
            self.wait(_SLICE_S)

    def _not_ready(self, wait_s: float) -> str:
        station = next(one for one in self.stations.values() if not one.ready)
        status = station.session.status
        refused = self._refusals.get(station.name)
        if refused and station.session.state is not State.REFUSED:  # it is just tried again
            status = f"{station.name}: {State.REFUSED.value}: {refused}"
        what = ", ".join(
            name for name, one in self.bound.items() if one.instance.id == station.name
        )
        return (
            f"{status}; it is to be {what} and is not ready after {wait_s:g} s: see `hil boards "
            "doctor`, or begin without it by --boards-wait 0"
        )

    def _station(self, instance: Instance) -> BoardStation:
        """Return the station of a board, which is sought from now on."""
        station = self.stations.get(instance.id)
        if station is None:
            session = Session(instance, self.sources.ports(instance), self._clock)
            source = BOARD_SOURCE + len(self.stations)
            station = BoardStation(session, self._clock, self._stamp, source, self._tell)
            self.stations[instance.id] = station
            self._outages[instance.id] = Outages()
            self._rig.exchange.counted[f"board.{instance.id}"] = station.counters
            session.on_change = lambda transition: self._changed(station, transition)
            session.on_event = station.hear
            station.hearers[EventType.LOG] = [partial(self._log, station)]
            station.served = partial(self._follow, station)
            station.serve()
        return station

    def close(self) -> None:
        """Let go of every board, and end the emulations."""
        for station in self.stations.values():
            station.session.close()
        self.sources.close()
        self._epoll.close()

    # --- what is bound ----------------------------------------------------------------------------

    def _bind(self, binding: Binding) -> None:
        station = self._station(binding.instance)
        if binding.front:
            self._fronts.put(binding, station)
        else:
            self._seating.put(binding, station)
        self.bound[binding.name] = binding
        how = "front" if binding.front else "shadow" if binding.shadow else "real"
        self._note(binding.name, binding.where, "real" if binding.shows_real else how)

    def _release(self, name: str) -> None:
        (self._fronts if self.bound[name].front else self._seating).take(name)
        del self.bound[name]

    def _note(self, name: str, where: str, how: str) -> None:
        t_ns = self._rig.kernel.now_ns
        row = {"t_s": round(t_ns / SECOND, 6), "what": name, "by": where, "how": how}
        self.history.append(row)
        self._rig.event(t_ns, "bench", 1, "BOARD_BOUND", what=name, by=where, how=how)

    def swap(self, name: str, where: str) -> None:
        """Bind part or bus ``name`` to ``where`` (``INSTANCE[:BUS]``, or ``emulated``) from now on.

        Raises ``UsageError`` or ``ConfigError`` for what cannot be, and leaves all as it was.
        """
        if where == EMULATED:
            self._emulate(name)
        else:
            self._rebind(resolve(self._rig.board, self._lab, name, where))

    def shadow(self, name: str, where: str, shows: str = "emulated") -> None:
        """Let ``where`` run beside the emulated ``name`` from now on; ``off``: no more.

        ``shows`` says which of the two the payload computer hears. Raises as :meth:`swap`.
        """
        if where == OFF:
            self._emulate(name)
            return
        if shows not in SHOWS:
            raise UsageError(f"shadow shows {shows[:64]!r}: say {' or '.join(SHOWS)}")
        binding = resolve(self._rig.board, self._lab, name, where, shadow=True)
        self._rebind(replace(binding, shows_real=shows == "real"))

    def _emulate(self, name: str) -> None:
        if name not in self.bound:
            known = ", ".join(self.bound) or "nothing"
            raise UsageError(f"no board is at {name[:64]!r}; boards are at: {known}")
        self._release(name)
        self._note(name, EMULATED, EMULATED)

    def _rebind(self, binding: Binding) -> None:
        others = [one for one in self.bound.values() if one.name != binding.name]
        check_overlap([*others, binding])
        self.sources.expect([*others, binding])
        before = self.bound.get(binding.name)
        if before is not None:
            self._release(binding.name)
        try:
            self._bind(binding)
        except HilError:
            if before is not None:
                self._bind(before)
            raise

    # --- what boards say --------------------------------------------------------------------------

    def _tell(self, severity: int, name: str, values: dict[str, Any]) -> None:
        self._rig.event(self._rig.kernel.now_ns, "bench", severity, name, **values)

    def _log(self, station: BoardStation, event: Event) -> None:
        """Put what a board says in words into the records."""
        text = log_text(event.payload)
        station.stamp(lambda t_ns: station.quote(t_ns, 1, "BOARD_LOG", text=text))

    def _changed(self, station: BoardStation, transition: Transition) -> None:
        """Put what became of a board into the records, and tell it what it must know anew."""
        ready = transition.after is State.READY
        if transition.after is State.REFUSED:
            self._refusals[station.name] = transition.why
        elif ready:
            self._refusals.pop(station.name, None)
        severity = _SEVERITY.get(transition.after, 1)
        name = f"BOARD_{transition.after.name}"

        def note(t_ns: int) -> None:
            self._outages[station.name].moved(t_ns, ready)
            station.tell(severity, name, reason=transition.why)

        station.stamp(note)
        if ready:
            for told in list(station.on_ready):
                told()

    # --- the wall ---------------------------------------------------------------------------------

    def fileno(self) -> int:
        """Return a descriptor that can be read whenever :meth:`serve` has something to do."""
        return self._epoll.fileno()

    def watch(self, fd: int, ready: Callable[[], None]) -> None:
        """Call ``ready()`` whenever ``fd`` can be read, until :meth:`unwatch`."""
        self._watched[fd] = ready
        self._epoll.register(fd, select.EPOLLIN)

    def unwatch(self, fd: int) -> None:
        """Look at ``fd`` no more; it may be closed already."""
        self._watched.pop(fd, None)
        with contextlib.suppress(OSError, ValueError):
            self._epoll.unregister(fd)

    def wait(self, seconds: float) -> None:
        """Serve what is there, or comes within this time; return once something was served."""
        seconds = min(seconds, self.idle_s())
        if seconds > 0:
            select.select([self._epoll], [], [], seconds)
        self.serve()

    def idle_s(self) -> float:
        """Return how long nothing has to be done unless something is heard, at most."""
        dues = [station.session.due_ns for station in self.stations.values()]
        idle_s = max(min(dues) - self._clock(), 0) / 1e9 if dues else 3600.0
        return min(idle_s, self._fronts.period_s)

    def serve(self) -> None:
        """Serve every board that speaks, or whose time has come."""
        for fd, _ in self._epoll.poll(0):
            ready = self._watched.get(fd)
            if ready is not None:
                ready()
        now_ns = self._clock()
        for station in self.stations.values():
            if station.session.due_ns <= now_ns:
                station.serve()
        self._fronts.refresh(now_ns)

    def _follow(self, station: BoardStation) -> None:
        """Watch the descriptor that a session has now."""
        fd, before = station.session.fileno(), self._fds.get(station.name)
        if fd == before and fd is not None and self._is_watched(fd):
            return
        if before is not None:
            self.unwatch(before)
            del self._fds[station.name]
        if fd is not None:
            self.watch(fd, station.serve)
            self._fds[station.name] = fd

    def _is_watched(self, fd: int) -> bool:
        """Tell whether a descriptor is watched still: one that was closed is not."""
        try:
            self._epoll.modify(fd, select.EPOLLIN)
        except OSError:
            return False
        return True

    # --- afterwards -------------------------------------------------------------------------------

    @property
    def real(self) -> list[str]:
        """Every part and bus that was real at some time, and by which board."""
        rows = [row for row in self.history if row["how"] == "real"]
        return list(dict.fromkeys(f"{row['what']} by {row['by']}" for row in rows))

    def state(self) -> dict[str, Any]:
        """Return what is bound now, and how each board is."""
        return {
            "bound": {name: one.where for name, one in self.bound.items()},
            "shadow": [name for name, one in self.bound.items() if one.shadow],
            "boards": {name: one.session.state.name for name, one in self.stations.items()},
        }

    def as_json(self) -> dict[str, Any]:
        """Return what the boards were and did, for run.json and the report."""
        return {
            "real": self.real,
            "history": self.history,
            "boards": {name: self._board_json(one) for name, one in self.stations.items()},
            "shadow": [
                {**one.as_json(), "skipped": witness.skipped}
                for witness in self._seating.witnesses
                for one in witness.comparisons.values()
            ],
            "front": self._fronts.as_json(),
        }

    def _board_json(self, station: BoardStation) -> dict[str, Any]:
        session, outages = station.session, self._outages[station.name]
        identity, latency = session.identity, station.latency
        residual_ns = session.link.clock.residual_ns
        found: dict[str, Any] = {
            "type": session.instance.type.name,
            "emulated_by": session.instance.emulate,
            "state": session.state.name,
            "losses": outages.losses,
            "reconnects": outages.reconnects,
            "away_s": round(outages.total_ns(self._rig.kernel.now_ns) / SECOND, 6),
            "round_trips": latency.total,
            "round_trip_p50_us": latency.percentile_ns(50) / 1000,
            "round_trip_p99_us": latency.percentile_ns(99) / 1000,
            "round_trip_max_us": latency.max_ns / 1000,
            "clock_residual_us": None if residual_ns is None else round(residual_ns / 1000, 3),
            "session": {name: count for name, count in session.all_counters().items() if count},
            "counters": {name: count for name, count in station.counters.items() if count},
        }
        if identity is not None:
            found |= {
                "firmware": f"{identity.firmware} {identity.version_text}",
                "uid": identity.uid.hex(),
                "reset_cause": identity.reset_cause.name,
            }
        return found
