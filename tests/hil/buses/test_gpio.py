"""GPIO chip: who drives a line, and when it changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import pytest

from flightsw.codec.wire import Flag, Status
from hil.buses.gpio import GPIOChip, PinFault
from hil.errors import ConfigError
from hil.parts.base import GPIODevice
from hil.testing.simple_scheduler import SimpleScheduler

Record = tuple[int, int, int, int, int, bytes]


class Probe:
    """A part with an input and an output pin that idles high."""

    PIN_IDLE: ClassVar = {"alarm": 1}

    def __init__(self) -> None:
        self.seen: list[tuple[int, str, int]] = []
        self.gpio_drive: Callable[[int, str, int], None] = lambda t_ns, pin, level: None

    def gpio_change(self, t_ns: int, pin: str, level: int) -> None:
        self.seen.append((t_ns, pin, level))


@pytest.fixture
def bench() -> tuple[SimpleScheduler, GPIOChip, Probe, list[Record]]:
    scheduler = SimpleScheduler()
    records: list[Record] = []
    chip = GPIOChip("gpio", scheduler, 1, lambda *record: records.append(record), 8)
    probe = Probe()
    chip.attach(probe, {"enable": (3, "in"), "alarm": (4, "out")})
    return scheduler, chip, probe, records


Bench = tuple[SimpleScheduler, GPIOChip, Probe, list[Record]]


def test_an_output_reaches_the_part_when_it_changes(bench: Bench) -> None:
    """Every set is recorded; the part sees only changes, at the time of the set."""
    scheduler, chip, probe, records = bench
    assert isinstance(probe, GPIODevice)
    for t_ns, level in ((0, 1), (100, 1), (200, 0)):
        chip.set(t_ns, 3, level)
    scheduler.run_until(1_000)
    assert records == [
        (0, 0, 0, 0, 3, b"\x01"),
        (100, 0, 0, 0, 3, b"\x01"),
        (200, 0, 0, 0, 3, b"\x00"),
    ]
    assert probe.seen == [(0, "enable", 1), (200, "enable", 0)]
    assert (chip.direction(3), chip.direction(4)) == ("out", "in")


def test_an_edge_of_a_part_is_an_input_at_its_own_time(bench: Bench) -> None:
    """A part may announce an edge ahead; it is emitted at the edge, and only if the level moves."""
    scheduler, _, probe, records = bench
    probe.gpio_drive(0, "alarm", 1)
    probe.gpio_drive(500, "alarm", 0)
    assert records == []
    scheduler.run_until(1_000)
    assert records == [(500, 0, Flag.INPUT, 0, 4, b"\x00")]


def test_an_idle_level_is_there_from_the_start(bench: Bench) -> None:
    """A pin that idles high is high before anything has happened, without an edge."""
    _, chip, _, records = bench
    assert chip.level(4) == 1
    assert chip.describe() == {"lines": 8, "levels": [0, 0, 0, 0, 1, 0, 0, 0]}
    assert records == []


def test_two_drivers_are_a_counted_conflict_that_reads_low(bench: Bench) -> None:
    """A line driven from both sides counts each clash and reads low while one pulls low."""
    _, chip, _, _ = bench
    chip.set(0, 4, 0)
    assert (chip.counters["conflict"], chip.level(4)) == (1, 0)
    chip.set(0, 4, 1)
    assert (chip.counters["conflict"], chip.level(4)) == (2, 1)


def test_a_released_line_is_an_input_again(bench: Bench) -> None:
    """After a release the line shows what the part drives, without a conflict."""
    scheduler, chip, probe, records = bench
    chip.set(0, 4, 0)
    chip.release(4)
    probe.gpio_drive(0, "alarm", 0)
    probe.gpio_drive(0, "alarm", 1)
    scheduler.run_until(10)
    assert chip.level(4) == 1
    assert chip.counters["conflict"] == 1
    assert records[-1] == (0, 0, Flag.INPUT, 0, 4, b"\x01")


def test_a_stuck_line_does_not_move(bench: Bench) -> None:
    """A stuck line keeps its level towards both sides while the fault holds."""
    scheduler, chip, probe, records = bench
    chip.faults.add(PinFault("stuck", 3, 0, 1_000, level=0))
    chip.set(0, 3, 1)
    assert probe.seen == []
    assert records[0][2] == Flag.FAULTED
    scheduler.run_until(2_000)
    chip.set(2_000, 3, 1)
    assert probe.seen == [(2_000, "enable", 1)]
    assert chip.counters["stuck"] == 1


def test_a_missing_edge_is_hidden_and_counted(bench: Bench) -> None:
    """An edge that the payload computer does not see is counted."""
    scheduler, chip, probe, records = bench
    chip.faults.add(PinFault("missing_edge", 4, 0, 1_000))
    probe.gpio_drive(0, "alarm", 0)
    scheduler.run_until(2_000)
    assert records == []
    assert chip.counters["missing_edge"] == 1


def test_lines_and_pins_that_do_not_exist_are_counted(bench: Bench) -> None:
    """A set of line 99 is recorded as invalid; a drive of an unknown pin is counted."""
    _, chip, probe, records = bench
    chip.set(0, 99, 1)
    probe.gpio_drive(0, "lamp", 1)
    assert records == [(0, 0, 0, Status.INVALID, 99, b"\x01")]
    assert (chip.counters["no_such_line"], chip.counters["no_such_pin"]) == (1, 1)


@pytest.mark.parametrize(
    ("pins", "message"),
    [
        ({"a": (8, "in")}, "lines are 0..7"),
        ({"a": (4, "out")}, "two parts drive line 4"),
        ({"a": (1, "output")}, "say 'in' or 'out'"),
    ],
)
def test_bad_wiring_is_refused(
    bench: Bench, pins: dict[str, tuple[int, str]], message: str
) -> None:
    """Wrong lines, clashes and directions are errors that say what to do."""
    with pytest.raises(ConfigError, match=message):
        bench[1].attach(Probe(), pins)


def test_a_power_cut_makes_every_line_an_input(bench: Bench) -> None:
    """Lines that the payload computer drove fall, and the part sees it."""
    scheduler, chip, probe, _ = bench
    chip.set(0, 3, 1)
    scheduler.run_until(50)
    chip.power_off()
    assert probe.seen == [(0, "enable", 1), (50, "enable", 0)]
    assert chip.direction(3) == "in"
