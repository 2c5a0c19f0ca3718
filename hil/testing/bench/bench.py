"""The bench that a test holds: virtual time under control, and everything on it by name."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from hil.boards.binding import taking_part
from hil.closing import Closing
from hil.errors import UsageError
from hil.faces.smbus2 import SMBus
from hil.faces.spidev import SpiDev
from hil.options import checked
from hil.supervisor import Flight
from hil.testing.bench.built import Built, WatchedStream, built
from hil.testing.bench.buses import RigBus, bus_named
from hil.testing.bench.faces import Faces
from hil.testing.bench.faults import Faults
from hil.testing.bench.flying import flight_of, folder
from hil.testing.bench.keeping import keep
from hil.testing.bench.lines import RigCAN, RigSerial
from hil.testing.bench.log import SECOND, Entry, Log, seconds
from hil.testing.bench.measures import Measurement, check, measured
from hil.testing.bench.options import BenchOptions
from hil.testing.bench.parts import RigPart, part_named
from hil.testing.bench.programs import Ran, run_program
from hil.testing.bench.telecommands import Telecommands
from hil.testing.bench.telemetry import Telemetry
from hil.testing.bench.turns import AloneTurns, Turns
from hil.time.pacing import Pacer
from hil.time.phase import Phase

#: Ties at one instant: a test acts after everything else.
SOURCE = 1 << 30


class Bench(Closing):
    """A bench under the control of a test. Made by :meth:`open`; a context manager.

    Virtual time stands while the test runs, and moves only in ``run_for``, ``run_until`` and what
    waits: ``tm.expect``, ``tc.send``, ``bus(...).expect``. Times are nanoseconds.
    """

    @classmethod
    def open(cls, options: BenchOptions | None = None, **changes: Any) -> Bench:
        """Return a bench of these options; ``changes`` are options by name.

        Raises ``UsageError`` or ``ConfigError`` for what cannot be, ``BoardError`` for a board that
        is not there.
        """
        return cls(replace(options or BenchOptions(), **changes))

    def __init__(self, options: BenchOptions) -> None:
        self.options = options
        self.opened_ns = time.monotonic_ns()
        self.measurements: list[Measurement] = []
        self._stack = ExitStack()
        self._closed = False
        #: what is awaited; None: nothing
        self._awaited: Callable[[Entry], bool] | None = None
        #: (part, quantity) that the test has set, with what it was before
        self.pinned: dict[tuple[str, str], float | None] = {}
        self._found: Entry | None = None
        self._complaint: Exception | None = None
        self._stop_event: Any = None
        run = options.as_options
        plan = checked(run)
        self._folder = folder()
        self._stack.callback(shutil.rmtree, self._folder, ignore_errors=True)
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
        self.tm = Telemetry(self)
        self.tc = Telecommands(self)
        self.faults = Faults(self)

    def _note(self, event: dict[str, Any]) -> None:
        self.log.event(event)

    def _take(self, packet: bytes) -> None:
        self.log.packet(packet)

    # --- what it is ---------------------------------------------------------------------------

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

    @property
    def seed(self) -> int:
        """The seed of everything random."""
        return self.options.seed

    @property
    def board(self) -> str:
        """The name of the board file."""
        return self.emulation.board.name

    @property
    def mission(self) -> str:
        """The name of the mission."""
        return self.emulation.mission.id

    @property
    def endpoint(self) -> str:
        """Where flight software from outside connects; "" where none is waited for."""
        listener = getattr(self._flight, "listener", None)
        return "" if listener is None else str(listener.endpoint)

    @property
    def keys(self) -> Path | None:
        """The folder of the keys of this bench; its ``client.key`` is for the flight software."""
        keys = getattr(self._flight, "keys", None)
        return keys if isinstance(keys, Path) else None

    @cached_property
    def kind(self) -> str:
        """What was real: ``emulated``, ``board: PART=BOARD``, ``remote: ENDPOINT``."""
        words = [f"board: {self._real}"] if self._real else []
        words += [f"remote: {self.endpoint}"] if self.options.flight_name == "remote" else []
        return "; ".join(words) or "emulated"

    @property
    def digest(self) -> str:
        """The digest of every record until now."""
        return self.emulation.stream.hexdigest()

    @property
    def has_dictionary(self) -> bool:
        """Our flight software flies: what it can say is known before it does."""
        return self.options.flight_name in ("flightsw", "process", "remote")

    def state(self) -> str:
        """Say in a few lines how things are, for whoever reads a failure."""
        rig, up = self.emulation, self.supervisor
        flies = "up" if up.alive else "down" if up.starts else "not started"
        mode = self.tm.last("status.mode")
        words = [
            f"t={seconds(self.now_ns)}",
            f"flight {self.options.flight_name} {flies}, starts {up.starts}",
            f"link {rig.station or 'down'}",
            *([f"mode {mode.value} (#{mode.number})"] if mode else []),
        ]
        lines = ["state: " + "; ".join(words)]
        if self.pinned:
            parts = rig.wiring.parts
            held = [f"{p}.{q} = {parts[p].values[q]:g}" for p, q in self.pinned]
            lines.append(f"set by the test: {', '.join(held)}")
        if self.faults.active:
            told = [f"{one.row} ({one.hits()} hits)" for one in self.faults.active]
            lines.append(f"faults: {'; '.join(told)}")
        return "\n".join(lines)

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
        try:
            self._turns.turn()
        finally:
            kernel.cancel(self._stop_event)

    def _stop(self, t_ns: int) -> None:
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

    # --- acting -------------------------------------------------------------------------------

    def act(self, name: str, **values: Any) -> None:
        """Put what the test does into the records; what is waited for next comes after it."""
        self.emulation.event(self.now_ns, "test", 1, name, **values)
        self.log.acted = self.log.mark()

    def part(self, name: str) -> RigPart:
        """Return a part by its name in the board file."""
        return part_named(self, name)

    def bus(self, name: str) -> RigBus:
        """Return a bus by its name in the board file."""
        return bus_named(self, name)

    # --- where nobody flies -------------------------------------------------------------------

    @cached_property
    def clock(self) -> Faces:
        """The clock of ``hil.faces.busio.virtual_sleep``, in which drivers sleep."""
        return Faces(self)

    def smbus(self, number: int) -> SMBus:
        """Return ``smbus2.SMBus(number)`` on the bus ``i2c-NUMBER``; for ``flight="none"``."""
        return self.clock.smbus(number)

    def busio(self, name: str) -> Any:
        """Return CircuitPython's ``busio.I2C`` or ``busio.SPI``; for ``flight="none"``."""
        return self.clock.busio(name)

    def spidev(self, number: int, device: int) -> SpiDev:
        """Return ``spidev.SpiDev`` on the bus ``spi-NUMBER``; for ``flight="none"``."""
        return self.clock.spidev(number, device)

    def serial(self, name: str, timeout: float | None = None) -> RigSerial:
        """Return a serial line like ``serial.Serial``; for ``flight="none"``."""
        return self.clock.serial(name, timeout)

    def can(self, name: str) -> RigCAN:
        """Return a CAN bus like ``can.Bus``; for ``flight="none"``."""
        return self.clock.can(name)

    def program(self, argv: Sequence[str], *, within: int = 60 * SECOND) -> Ran:
        """Run an unmodified program on the buses, in virtual time, to its end; for
        ``flight="none"``. Raises ``ExpectationError`` where it has not ended in time."""
        return run_program(self, argv, within)

    def measure(
        self,
        name: str,
        value: float,
        unit: str = "",
        limit: tuple[float | None, float | None] = (None, None),
    ) -> Measurement:
        """Keep a value that was measured, and return it. Raises ``LimitError`` outside limits.

        It is in ``run.json`` of a capture that is kept, and no part of the digest: what a test
        measures may be the wall's.
        """
        found = measured(name, value, unit, limit)
        self.measurements.append(found)
        self.emulation.events.append(
            {"t_s": round(self.now_ns / 1e9, 6), "source": "test"}
            | found.as_json()
            | {"name": "MEASURE", "measured": name}
        )
        check(found, self.state())
        return found

    # --- records ------------------------------------------------------------------------------

    @property
    def records(self) -> list[bytes]:
        """Every record until now: whole records, many at a time."""
        self._stream.flush()
        return self._stream.kept

    def keep(self, folder: Path) -> Path:
        """Write ``capture.mcap``, ``events.jsonl`` and ``run.json`` into a folder; return it."""
        return keep(self, folder)

    @contextmanager
    def watching(self, look: Callable[[bytes], None]) -> Iterator[None]:
        """Have ``look`` called with each record as it is made, while this lasts."""
        self._stream.told = look
        try:
            yield
        finally:
            self._stream.told = None

    # --- the end ------------------------------------------------------------------------------

    def close(self) -> None:
        """End the run now, as a run that has come to its end does, and let go of everything."""
        if self._closed:
            return
        self._closed = True
        try:
            self._end()
            if self.options.capture is not None:
                self.keep(self.options.capture)
        finally:
            self._stack.close()

    def _end(self) -> None:
        exchange = self.emulation.exchange
        try:
            if not self._turns.over:
                exchange.end_ns = self.now_ns
                self._turns.turn()
        finally:
            self._turns.end()
            self.emulation.finish()
