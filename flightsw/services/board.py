"""The flight software's own computer: its readings as housekeeping, its heat for the governor.

Exists only where the configuration asks for it. The zones are read once a second, everything else
when housekeeping is made. What the computer does not tell has no bit in ``valid``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from flightsw.codec.bus_payload import MEASURED_POWER
from flightsw.codec.dictionary import ComputerKind, ThermalSource
from flightsw.computer.kinds import Computer
from flightsw.computer.rails import board_mw
from flightsw.computer.reading import Reading, Result
from flightsw.computer.zones import GPU, PROCESSOR, hottest
from flightsw.hal import Processor

if TYPE_CHECKING:
    from flightsw.app import App
    from flightsw.config import FlightConfig

#: fields that are a reading as it is: bit of ``valid`` -> name
_PLAIN = {
    2: "pi.throttled",
    4: "host.busy",
    5: "host.load",
    6: "host.memory_used",
    7: "host.memory_total",
    15: "gpu0.memory_used",
    16: "gpu0.memory_total",
    17: "gpu0.power",
    18: "gpu0.ecc_corrected",
    19: "gpu0.ecc_uncorrected",
    20: "gpu0.throttle",
}
_NFIELDS = 21
_RAIL = 9
_NRAILS = 3


def wanted(config: FlightConfig) -> bool:
    """Tell whether the configuration asks for anything that this module tells."""
    return (config.computer, config.thermal, config.providers) != ("none", "bench", "cpu")


class Board:
    """The computer, and which of its temperatures counts: ``bench``, ``board`` or ``max``."""

    def __init__(self, computer: Computer, thermal: str) -> None:
        self.computer = computer
        self.thermal = thermal
        self.source = ThermalSource.NONE
        #: what it draws, as of the last look; what has been told of it
        self.power_mw: int | None = None
        self.power_told = 0
        self.bench_cdeg: int | None = None
        self.board_cdeg: int | None = None

    def govern(self, bench_cdeg: int | None) -> int | None:
        """Return the temperature of the processor that the governor is to act on; None: none.

        ``bench_cdeg`` is that of the part on the bench. A board that does not tell leaves it to
        the bench, and the other way round.
        """
        zones = self.computer.temperatures()
        mdegc = hottest(zones, PROCESSOR)
        mdegc = hottest(zones) if mdegc is None else mdegc
        board_cdeg = None if mdegc is None else mdegc // 10
        self.bench_cdeg, self.board_cdeg = bench_cdeg, board_cdeg
        told = {ThermalSource.BENCH: bench_cdeg, ThermalSource.BOARD: board_cdeg}
        there = {source: cdeg for source, cdeg in told.items() if cdeg is not None}
        if not there or (self.thermal == "bench" and bench_cdeg is None):
            self.source = ThermalSource.NONE
            return None
        if self.thermal == "max":
            self.source = max(there, key=lambda source: there[source])
        else:
            first = ThermalSource.BOARD if self.thermal == "board" else ThermalSource.BENCH
            self.source = first if first in there else next(iter(there))
        return there[self.source]

    def tell_power(self, cpu: Processor) -> None:
        """Tell the bench what the computer draws, where it knows."""
        if self.power_mw:
            cpu.begin(MEASURED_POWER, self.power_mw)
            self.power_told += 1

    def row(self, found: Sequence[Result]) -> tuple[int, ...]:
        """Return ``absent``, ``valid`` and the fields behind it, in wire order."""
        values = fields(found)
        self.power_mw = values[17] if values[8] is None else values[8]
        values |= {0: self.bench_cdeg, 1: self.board_cdeg}
        there = {bit: value for bit, value in values.items() if value is not None}
        valid = sum(1 << bit for bit in there)
        absent = sum(not isinstance(one, Reading) for one in found)
        return (absent, valid, *(there.get(bit, 0) for bit in range(_NFIELDS)))


def fields(found: Sequence[Result]) -> dict[int, int | None]:
    """Return the fields that readings make, by the bit that says they are there."""
    numbers = {
        one.name: one.value
        for one in found
        if isinstance(one, Reading) and isinstance(one.value, int)
    }

    def times(name: str, factor: int, divisor: int = 1) -> int | None:
        value = numbers.get(name)
        return None if value is None else value * factor // divisor

    row = {bit: numbers.get(name) for bit, name in _PLAIN.items()}
    clocks = [value for name, value in numbers.items() if name.startswith("clock.")]
    row[3] = max(clocks, default=None)
    row[8] = board_mw(list(found))
    rails = [value for name, value in numbers.items() if name.startswith("rail.")]
    row |= {_RAIL + n: value for n, value in enumerate(rails[:_NRAILS])}
    zone = hottest(list(found), GPU)
    celsius = times("gpu0.temperature", 100)
    row[12] = celsius if zone is None else zone // 10
    hertz, megahertz = times("gpu.clock", 1, 1000), times("gpu0.clock", 1000)
    row[13] = megahertz if hertz is None else hertz
    permille, percent = numbers.get("gpu.load"), times("gpu0.busy", 10)
    row[14] = percent if permille is None else permille
    return row


def collect(app: App, board: Board) -> Sequence[int]:
    """Return structure 7."""
    segmenter = app.segmenter
    found = board.computer.read() if board.computer.kind != "none" else []
    return (
        ComputerKind[board.computer.kind.upper()],
        segmenter.provider_number,
        len(segmenter.fallbacks),
        board.source,
        *board.row(found),
    )
