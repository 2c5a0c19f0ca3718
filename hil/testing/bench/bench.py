"""The bench that a test holds: virtual time under control, and everything on it by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from flightsw.codec.dictionary import Role
from hil.config import nearest
from hil.errors import UsageError
from hil.faces.smbus2 import SMBus
from hil.faces.spidev import SpiDev
from hil.testing.bench.buses import RigBus, bus_named
from hil.testing.bench.faces import Faces
from hil.testing.bench.faults import Faults
from hil.testing.bench.keeping import keep
from hil.testing.bench.lines import RigCAN, RigSerial
from hil.testing.bench.log import SECOND, seconds
from hil.testing.bench.measures import Measurement, check, measured
from hil.testing.bench.options import BenchOptions
from hil.testing.bench.parts import RigPart, part_named
from hil.testing.bench.programs import Ran, run_program
from hil.testing.bench.running import Running
from hil.testing.bench.telecommands import Telecommands
from hil.testing.bench.telemetry import Telemetry


class Bench(Running):
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
        known = [one.name for one in fields(BenchOptions)]
        for name in changes:
            if name not in known:
                hint = nearest(name, known) or f"; there are {', '.join(known)}"
                raise UsageError(f"a bench has no option {name!r}{hint}")
        return cls(replace(options or BenchOptions(), **changes))

    def __init__(self, options: BenchOptions) -> None:
        super().__init__(options)
        self.measurements: list[Measurement] = []
        #: (part, quantity) that the test has set, with what it was before
        self.pinned: dict[tuple[str, str], float | None] = {}
        #: the buses that were asked for
        self.buses: dict[str, RigBus] = {}
        self.tm = Telemetry(self)
        self.tc = Telecommands(self)
        self.faults = Faults(self)

    # --- what it is ---------------------------------------------------------------------------

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

    @property
    def kind(self) -> str:
        """What was real: ``emulated``, or ``board: PART=BOARD``, ``remote: ENDPOINT`` and
        ``local: BUS=DEVICE``.

        A bus is known to be the flight software's own once that has greeted.
        """
        own = self.emulation.exchange.observed.buses
        words = [f"board: {self._real}"] if self._real else []
        words += [f"remote: {self.endpoint}"] if self.options.flight_name == "remote" else []
        words += [f"local: {', '.join(f'{bus}={at}' for bus, at in own.items())}"] if own else []
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
        has_radio = rig.wiring.of_type("ttc") is not None
        link = rig.station or "down" if has_radio else "none: this board has no TT&C radio"
        words = [
            f"t={seconds(self.now_ns)}",
            f"flight {self.options.flight_name} {flies}, starts {up.starts}",
            f"link {link}",
            *([f"mode {mode.value} (#{mode.number})"] if mode else []),
        ]
        mask = self.tm.last("status.parts_missing")
        missing = [role.name for role in Role if mask and int(mask.value) >> role & 1]
        words += [f"parts missing: {', '.join(missing)}"] if missing else []
        lines = ["state: " + "; ".join(words)]
        if self.pinned:
            parts = rig.wiring.parts
            held = [f"{p}.{q} = {parts[p].values[q]:g}" for p, q in self.pinned]
            lines.append(f"set by the test: {', '.join(held)}")
        if self.faults.active:
            lines.append(f"faults: {'; '.join(map(str, self.faults.active))}")
        return "\n".join(lines)

    # --- acting -------------------------------------------------------------------------------

    def act(self, name: str, **values: Any) -> None:
        """Put what the test does into the records; what is waited for next comes after it.

        Raises ``UsageError`` where the bench is closed.
        """
        if self._closed:
            raise UsageError(f"{name}: this bench is closed; open another one")
        self.emulation.event(self.now_ns, "test", 1, name, **values)
        self.log.acted = self.log.mark()

    def part(self, name: str) -> RigPart:
        """Return a part by its name in the board file."""
        return part_named(self, name)

    def unplug(self) -> None:
        """Cut the link to the ground, as pulling the umbilical does."""
        self.act("UNPLUG")
        self.emulation.cut_link(True)

    def plug(self) -> None:
        """Let the link to the ground be up again."""
        self.act("PLUG")
        self.emulation.cut_link(False)

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

    def keep(self, folder: Path | str) -> Path:
        """Write ``capture.mcap``, ``events.jsonl`` and ``run.json`` into a folder; return it."""
        return keep(self, Path(folder))

    @contextmanager
    def watching(self, look: Callable[[bytes], None]) -> Iterator[None]:
        """Have ``look`` called with each record as it is made, while this lasts."""
        self._stream.told = look
        try:
            yield
        finally:
            self._stream.told = None

    def _ended(self) -> None:
        if self.options.capture is not None:
            self.keep(self.options.capture)
