"""A bench while it runs: put together, let go on to an instant, ended."""

from __future__ import annotations

import shutil
import time
import warnings
import weakref
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from hil.boards.binding import taking_part
from hil.closing import Closing
from hil.errors import UsageError
from hil.options import checked
from hil.supervisor import Flight
from hil.testing.bench.built import Built, WatchedStream, built
from hil.testing.bench.flying import flight_of, folder
from hil.testing.bench.log import Entry, Log, seconds
from hil.testing.bench.options import BenchOptions
from hil.testing.bench.turns import AloneTurns, Turns
from hil.time.pacing import Pacer
from hil.time.phase import Phase

#: Ties at one instant: a test acts after everything else.
SOURCE = 1 << 30
#: what is shorter was meant to be longer: a number without its unit
LEAST_STAY_NS = 1_000


def _forget(folder: Path) -> None:
    """Take away what a bench has left that nobody has closed, and say so."""
    shutil.rmtree(folder, ignore_errors=True)
    warnings.warn("a bench was never closed: open it with `with`", ResourceWarning, stacklevel=2)


class Running(Closing):
    """Rig, flight and log of a bench, and its time."""

    def __init__(self, options: BenchOptions) -> None:
        self.options = options
        self.opened_ns = time.monotonic_ns()
        self._stack = ExitStack()
        self._closed = False
        #: parts that a board plays
        self.real: frozenset[str] = frozenset()
        #: what is awaited; None: nothing
        self._awaited: Callable[[Entry], bool] | None = None
        self._found: Entry | None = None
        self._complaint: Exception | None = None
        self._stop_event: Any = None
        #: the present turn came to the instant that it was to come to
        self._is_there = False
        #: what ended the flight before its time
        self._failure = ""
        run = options.as_options
        plan = checked(run)
        self._folder = folder()
        self._stack.callback(shutil.rmtree, self._folder, ignore_errors=True)
        forgotten = weakref.finalize(self, _forget, self._folder)
        self._stack.callback(forgotten.detach)
        #: where the flight software writes
        self.storage = self._folder / "payload"
        stream = WatchedStream()
        self._stream = stream
        try:
            self._built: Built = built(options, plan, self.storage, stream)
            self.emulation = self._built.rig
            self.supervisor = self._built.supervisor
            self._flight = self._find_flight()
            self._pacer = None if run.pace == "max" else Pacer(self.emulation.kernel, run.pace)
            self._take_boards()
            self._listen()
        except BaseException:
            self._stack.close()
            raise
        self._turns: Turns | AloneTurns = Turns(self._fly)
        if self._flight is None:
            self._turns = AloneTurns(self.emulation.exchange)

    # --- putting together ---------------------------------------------------------------------

    def _find_flight(self) -> Flight | None:
        flight = self._built.flight
        if flight is None:
            flight = flight_of(self.options, self.supervisor, self.storage, self._folder / "keys")
        self.supervisor.flight = flight
        if flight is not None:
            self._stack.callback(flight.close)
        return flight

    def _take_boards(self) -> None:
        """Have the boards that take part at hand."""
        self._boards: Any = None
        self._real = ""
        taking = taking_part(self.options.as_options, self.emulation.board)
        if taking is None:
            return
        self._real = ", ".join(f"{one.name}={one.instance.id}" for one in taking[1])
        bound = {one.bus for one in taking[1] if one.part is None}
        parts = self.emulation.board.parts
        self.real = frozenset(
            [one.name for one in taking[1] if one.part is not None]
            + [part.name for part in parts if part.bus in bound]
        )
        from hil.boards.taking import boards_at_hand

        assert self._pacer is not None, "boards take part at the pace of the wall"
        wait_s = self.options.boards_wait_s
        desk = boards_at_hand(
            self.emulation, taking, wait_s, self._folder, time.monotonic_ns, self._pacer.stamp
        )
        self._boards = self._pacer.watch = self._stack.enter_context(desk)

    def _listen(self) -> None:
        """Fill the log from now on, and with what has come before."""
        rig = self.emulation
        self.log = Log(lambda: (rig.stream.count, rig.kernel.now_ns))
        for event in rig.events:
            self.log.event(event)
        for received in rig.ground.archive:
            self.log.packet(received.packet)
        self.log.heard = self._heard
        rig.heard = lambda t_ns, event: self._note(event)
        rig.ground.heard = lambda t_ns, packet: self._take(packet)

    def _note(self, event: dict[str, Any]) -> None:
        self.log.event(event)

    def _take(self, packet: bytes) -> None:
        self.log.packet(packet)

    @property
    def now_ns(self) -> int:
        """Virtual time now."""
        return self.emulation.kernel.now_ns

    @property
    def end_ns(self) -> int:
        """How far virtual time can go."""
        return self.emulation.end_ns

    @property
    def over(self) -> bool:
        """Virtual time has come to its end."""
        return self.now_ns >= self.end_ns or self._turns.over

    # --- time ---------------------------------------------------------------------------------

    def run_for(self, duration_ns: int) -> None:
        """Let so much virtual time pass. Raises ``UsageError`` for more than there is."""
        self.run_until(self.now_ns + duration_ns)

    def run_until(self, t_ns: int) -> None:
        """Let virtual time pass until ``t_ns``. Raises ``UsageError`` for no time of this run."""
        if t_ns != int(t_ns):
            raise UsageError(f"time {t_ns!r}: give whole nanoseconds, such as 10 * s or 50 * ms")
        if t_ns < self.now_ns:
            raise UsageError(f"time {seconds(t_ns)} is past: it is {seconds(self.now_ns)}")
        if t_ns > self.end_ns:
            raise UsageError(
                f"time {seconds(int(t_ns))} lies behind the end of the run at "
                f"{seconds(self.end_ns)}: open the bench with a longer duration_s"
            )
        self._run_to(int(t_ns))

    def stay(self, for_ns: int) -> int:
        """Return a time in which something is to stay away, if it is one and the run has it.

        Raises ``UsageError``: in no time, or behind the end of the run, everything stays away.
        """
        if for_ns != int(for_ns) or for_ns < LEAST_STAY_NS:
            raise UsageError(
                f"for_={for_ns!r} nanoseconds: nothing can come; say 10 * s or 50 * ms"
            )
        if self.now_ns + for_ns > self.end_ns:
            raise UsageError(
                f"for_={seconds(int(for_ns))} from {seconds(self.now_ns)} on: the run ends at "
                f"{seconds(self.end_ns)}; open the bench with a longer duration_s"
            )
        return int(for_ns)

    def wait(self, fits: Callable[[Entry], bool], within_ns: int) -> Entry | None:
        """Let virtual time pass until an entry of the log fits; None: none did in time."""
        self._awaited, self._found, self._complaint = fits, None, None
        try:
            self._run_to(min(self.now_ns + max(0, int(within_ns)), self.end_ns))
        finally:
            self._awaited = None
        if self._complaint is not None:
            raise self._complaint
        return self._found

    def _run_to(self, t_ns: int) -> None:
        if self._closed:
            raise UsageError("this bench is closed; open another one")
        kernel = self.emulation.kernel
        self._stop_event = kernel.at(t_ns, Phase.CHECK, SOURCE, self._stop)
        if self._pacer is not None:
            self._pacer.anew()  # the test has had its time, for which the run is not late
        self._is_there = False
        try:
            self._turns.turn()
        except Exception as error:
            self._failure = f" by {type(error).__name__}: {error}"
            raise
        finally:
            kernel.cancel(self._stop_event)
        if not self._is_there and self.now_ns < t_ns:
            raise UsageError(
                f"time stands at {seconds(self.now_ns)}: the flight was ended{self._failure}; "
                "open another bench"
            )

    def _stop(self, t_ns: int) -> None:
        self._is_there = True
        self._turns.back()

    def _heard(self, entry: Entry) -> None:
        """Look at a new entry; stop at this very instant if it is what is awaited."""
        awaited = self._awaited
        if awaited is None:
            return
        try:
            if not awaited(entry):
                return
            self._found = entry
        except Exception as error:  # noqa: BLE001 - raised in the test, which has asked
            self._complaint = error
        self.stop_now()

    def stop_now(self) -> None:
        """Give the turn back to the test when everything of this instant has happened."""
        self._awaited = None
        kernel = self.emulation.kernel
        kernel.cancel(self._stop_event)
        self._stop_event = kernel.at(kernel.now_ns, Phase.CHECK, SOURCE, self._stop)

    def _fly(self) -> None:
        """Fly to the end of the run; in the bench's turns."""
        assert self._flight is not None, "where nobody flies the test has all turns"
        self._flight.run()

    # --- the end ------------------------------------------------------------------------------

    def close(self) -> None:
        """End the run now, as a run that has come to its end does, and let go of everything."""
        if self._closed:
            return
        self._closed = True
        try:
            self._end()
            self._ended()
        finally:
            self._stack.close()

    def _ended(self) -> None:
        """Do what is to be done with what was recorded."""

    def _end(self) -> None:
        exchange = self.emulation.exchange
        try:
            # One that never began need not begin to end, and one that was interrupted cannot.
            if self._turns.is_parked:
                exchange.end_ns = self.now_ns
                self._turns.turn()
        finally:
            self._turns.end()
            self.emulation.finish()
