"""A run flown step by step: rig and flight software in this process, and nothing on a stack.

A step is what :meth:`hil.uut.DirectFlight.step` does: one step of the scheduler of the flight
software, the start of an incarnation, or time passing while there is none. Between two steps the
whole state of the run lies in objects, so that is where one may look, stop, or keep a copy.

A step makes any number of records, none to thousands (a start). Who must stop *at* a record brings
a stream whose ``record`` looks at each as it is made; :attr:`Stepped.seq` says how many there are.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple, Protocol

from hil.board import Board
from hil.digest import RecordStream
from hil.faults.plan import NOTHING, Plan, apply
from hil.missions.mission import Mission
from hil.options import Options
from hil.rig import Rig
from hil.supervisor import Supervisor
from hil.uut import DirectFlight


class Flyable(Protocol):
    """What a run is made of, as a capture or a command line tells it."""

    @property
    def options(self) -> Options: ...
    @property
    def board(self) -> Board: ...
    @property
    def mission(self) -> Mission: ...
    @property
    def plan(self) -> Plan: ...


class Course(NamedTuple):
    """A run to be flown that no capture tells of."""

    options: Options
    board: Board
    mission: Mission
    plan: Plan = NOTHING


class Stepped:
    """A run between two steps. ``storage`` is the folder that the flight software writes to.

    ``stream`` takes the records (see :class:`~hil.digest.RecordStream`); transport and pace of the
    options play no part. Raises what building a rig raises, and ``UsageError`` for a kill after the
    end of the run.
    """

    def __init__(self, course: Flyable, storage: Path, stream: RecordStream | None = None) -> None:
        options = course.options
        storage.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.rig = Rig(
            course.board,
            course.mission,
            seed=options.seed,
            duration_s=options.duration_s,
            inference=options.inference,
            umbilical=options.umbilical,
            stream=stream,
        )
        self.supervisor = Supervisor(self.rig)
        apply(course.plan, self.rig)
        self.supervisor.inject_kills(course.plan.kills)
        self.flight = DirectFlight(self.supervisor, storage)
        self.supervisor.flight = self.flight
        self.steps = 0

    @classmethod
    def around(cls, flight: DirectFlight, rig: Rig) -> Stepped:
        """Return the run of a flight that somebody else has built, and steps."""
        made = cls.__new__(cls)
        made.rig, made.flight, made.steps = rig, flight, 0
        assert rig is flight.supervisor.rig, "a flight is one of its rig"
        assert isinstance(flight.supervisor, Supervisor), "a run has a supervisor"
        made.supervisor = flight.supervisor
        return made

    @property
    def app(self) -> Any:
        """The flight software as it runs; None: it is down, or starts with the next step."""
        return self.flight.app

    @property
    def seq(self) -> int:
        """How many records the digest has by now: the number that the next one will have."""
        return self.rig.stream.count

    @property
    def now_ns(self) -> int:
        """Virtual time now, nanoseconds since the epoch of the mission."""
        return self.rig.kernel.now_ns

    @property
    def over(self) -> bool:
        """The run is over: no step does anything."""
        return self.rig.exchange.over and self.flight.app is None

    def step(self) -> bool:
        """Do one step; False: the run was over before it."""
        if not self.supervisor.starts:
            self.flight.start()
        self.steps += 1
        return self.flight.step()

    def run_to_seq(self, seq: int) -> bool:
        """Go on until record number ``seq`` was made; False: the run ended before.

        Others of the same step may be behind it: :attr:`seq` says so.
        """
        stream, step = self.rig.stream, self.step
        while stream.count <= seq:
            if not step():
                return False
        return True

    def run_to_ns(self, t_ns: int) -> bool:
        """Go on until virtual time has reached ``t_ns``; False: the run ended before."""
        kernel, step = self.rig.kernel, self.step
        while kernel.now_ns < t_ns:
            if not step():
                return False
        return True

    def run(self) -> None:
        """Go on to the end of the run, and hand on every record."""
        step = self.step
        while step():
            pass
        self.finish()

    def finish(self) -> None:
        """Close the books of the rig; call once, when the run is over or is to go no further."""
        self.flight.close()
        self.rig.finish()
