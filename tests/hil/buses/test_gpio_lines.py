"""GPIO lines: bias, open drain and source, users, edges, debounce, hysteresis, faults."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flightsw.codec.wire import Flag, Status
from hil.buses.adapters import errno_for
from hil.buses.gpio import GPIOChip, PinFault, Settings
from hil.buses.gpio_line import BIASES, DRIVES, Line, driven
from hil.buses.intercept import BLOCKED, Crossing, Forward, Result
from hil.errors import ConfigError
from hil.testing.simple_scheduler import SimpleScheduler

Record = tuple[int, int, int, int, int, bytes]


class Pins:
    """A part with one pin of each direction; ``drive`` is what its output is."""

    def __init__(self, name: str = "pins", drive: str = "push_pull", idle: int = 0) -> None:
        self.name = name
        self.PIN_DRIVE = {"out": drive}
        self.PIN_IDLE = {"out": idle}
        self.seen: list[tuple[int, int]] = []
        self.gpio_drive: Callable[[int, str, int], None]
        self.gpio_drive_v: Callable[[int, str, float], None]

    def gpio_change(self, t_ns: int, pin: str, level: int) -> None:
        self.seen.append((t_ns, level))


class Bench:
    """A chip of four lines; line 1 is driven by the parts, line 0 is heard by the first."""

    def __init__(self, *parts: Pins) -> None:
        self.scheduler = SimpleScheduler()
        self.records: list[Record] = []
        self.chip = GPIOChip("gpio", self.scheduler, 1, self._emit, 4)
        self.parts = parts or (Pins(),)
        for part in self.parts:
            self.chip.attach(part, {"out": (1, "out"), "in": (0, "in")})

    def _emit(self, *record: object) -> None:
        assert record[0] == self.scheduler.now_ns
        self.records.append(record)  # type: ignore[arg-type]

    def drive(self, t_ns: int, level: int, part: int = 0) -> None:
        self.parts[part].gpio_drive(t_ns, "out", level)

    def run(self, until_ns: int = 10**9) -> list[tuple[int, int]]:
        """Return (time, level) of the edges that the payload computer was told of."""
        self.scheduler.run_until(until_ns)
        return [(r[0], r[5][0]) for r in self.records if r[2] & Flag.INPUT]


# Levels


@given(
    own=st.none() | st.tuples(st.integers(0, 1), st.sampled_from(DRIVES)),
    parts=st.lists(st.tuples(st.integers(0, 1), st.sampled_from(DRIVES)), max_size=3),
    bias=st.sampled_from(sorted(BIASES)),
    board=st.sampled_from((-1, 0, 1)),
)
def test_a_line_is_a_wired_node(
    own: tuple[int, str] | None, parts: list[tuple[int, str]], bias: str, board: int
) -> None:
    """Any driver that pulls low wins, then any that pulls high, then board, bias, and low."""
    line = Line()
    line.board_pull = board
    line.settings = Settings(bias=bias)
    drivers = list(parts)
    for number, (level, drive) in enumerate(parts):
        line.parts[str(number)] = (driven(level, drive), drive == "push_pull")
    if own is not None:
        line.payload, line.settings = own[0], Settings(bias=bias, drive=own[1])
        drivers.append(own)
    lows = any(level == 0 and drive != "open_source" for level, drive in drivers)
    highs = any(level == 1 and drive != "open_drain" for level, drive in drivers)
    pulled = board if board >= 0 else {"none": 0, "pull_up": 1, "pull_down": 0}[bias]
    level, conflict = line.resolve()
    assert level == (0 if lows else 1 if highs else pulled)
    assert conflict == ((lows and highs) or sum(d == "push_pull" for _, d in drivers) > 1)


@pytest.mark.parametrize(("bias", "level"), [("pull_up", 1), ("pull_down", 0), ("none", 0)])
def test_bias_decides_what_an_undriven_input_reads(bias: str, level: int) -> None:
    """Line 2 has no driver: it reads its bias, and 0 again once the user lets go."""
    chip = Bench().chip
    assert chip.request(0, 2, "app", Settings(bias=bias)) == Status.OK
    assert (chip.level(2), chip.read(2)) == (level, level)
    chip.free(0, 2, "app")
    assert chip.level(2) == 0


def test_a_resistor_of_the_board_beats_the_bias() -> None:
    """Kiloohms outside against tens of them inside."""
    chip = Bench().chip
    chip.pull(2, "pull_up")
    chip.request(0, 2, "app", Settings(bias="pull_down"))
    assert chip.level(2) == 1


def test_an_open_drain_output_lets_go_for_a_one() -> None:
    """Without a pull it stays low, with one it rises, and a part may hold it down."""
    bench = Bench(Pins(drive="open_drain", idle=1))
    chip = bench.chip
    chip.request(0, 1, "app", Settings(drive="open_drain"))
    chip.set(0, 1, 1)
    assert chip.level(1) == 0
    chip.pull(1, "pull_up")
    assert chip.level(1) == 1
    bench.drive(0, 0)
    assert chip.level(1) == 0
    assert chip.counters["conflict"] == 0


def test_an_open_source_output_drives_only_high() -> None:
    """A zero lets go, and the pull-down or a part decides."""
    chip = Bench(Pins(drive="open_source")).chip
    chip.request(0, 2, "app", Settings(drive="open_source", bias="pull_up"))
    chip.set(0, 2, 0)
    assert chip.level(2) == 1
    chip.set(0, 2, 1)
    assert chip.level(2) == 1


def test_two_open_drain_parts_share_a_line() -> None:
    """A wired alert line is low while one of two parts pulls it: one falling, one rising edge."""
    bench = Bench(Pins("one", "open_drain", 1), Pins("two", "open_drain", 1))
    bench.chip.pull(1, "pull_up")
    for t_ns, level, part in ((10, 0, 0), (20, 0, 1), (30, 1, 0), (40, 1, 1)):
        bench.drive(t_ns, level, part)
    assert bench.run() == [(10, 0), (40, 1)]


def test_a_push_pull_part_shares_with_nobody() -> None:
    """The second driver of a line is refused unless both are open."""
    with pytest.raises(ConfigError, match="two parts drive line 1"):
        Bench(Pins("one", "open_drain", 1), Pins("two"))


# Users


def test_a_second_user_of_a_line_is_told_busy() -> None:
    """EBUSY until the first lets go; the same user may ask again with other settings."""
    chip = Bench().chip
    assert chip.request(0, 1, "one") == Status.OK
    assert chip.request(0, 1, "two") == Status.BUSY
    assert errno_for("bcm2835", Status.BUSY) == 16
    assert (chip.counters["busy"], chip.user(1)) == (1, "one")
    assert chip.request(0, 1, "one", Settings(edges="rising")) == Status.OK
    assert chip.free(0, 1, "two") == Status.BUSY
    assert chip.free(0, 1, "one") == Status.OK
    assert chip.free(0, 1, "one") == Status.INVALID
    assert chip.request(0, 1, "two") == Status.OK


@pytest.mark.parametrize(
    ("line", "settings"),
    [
        (9, Settings()),
        (1, Settings(edges="all")),
        (1, Settings(bias="up")),
        (1, Settings(drive="strong")),
        (1, Settings(debounce_ns=-1)),
    ],
)
def test_what_no_line_has_is_invalid(line: int, settings: Settings) -> None:
    """A line or a setting that there is not leaves the line free."""
    chip = Bench().chip
    assert chip.request(0, line, "app", settings) == Status.INVALID
    assert chip.request(0, 1, "other") == Status.OK


def test_a_power_cut_frees_every_line() -> None:
    """Users, bias and drives are gone with the supply."""
    chip = Bench().chip
    chip.request(0, 2, "app", Settings(bias="pull_up"))
    chip.power_off()
    assert (chip.level(2), chip.user(2)) == (0, "")


# Edges


@pytest.mark.parametrize(
    ("edges", "expected"),
    [
        ("both", [(10, 1), (20, 0), (30, 1)]),
        ("rising", [(10, 1), (30, 1)]),
        ("falling", [(20, 0)]),
        ("none", []),
    ],
)
def test_only_the_edges_that_were_asked_for_are_reported(
    edges: str, expected: list[tuple[int, int]]
) -> None:
    """The others are counted, and the level is right all the same."""
    bench = Bench()
    bench.chip.request(0, 1, "app", Settings(edges=edges))
    for t_ns in (10, 20, 30):
        bench.drive(t_ns, t_ns // 10 & 1)
    assert bench.run() == expected
    assert bench.chip.counters["unreported"] == 3 - len(expected)
    assert bench.chip.level(1) == 1


def test_debounce_reports_a_change_once_it_is_stable() -> None:
    """Three bounces within the period are one edge, at the end of the stable period."""
    bench = Bench()
    bench.chip.request(0, 1, "app", Settings(debounce_ns=1_000))
    for t_ns, level in ((100, 1), (400, 0), (700, 1)):
        bench.drive(t_ns, level)
    bench.scheduler.run_until(1_699)
    assert (bench.chip.level(1), bench.chip.read(1)) == (1, 0)
    assert bench.run() == [(1_700, 1)]
    assert bench.chip.read(1) == 1
    assert bench.chip.counters["debounced"] == 2


def test_a_pulse_shorter_than_the_debounce_period_is_none() -> None:
    """A glitch of 999 ns is not reported, one of 1001 ns is, both its edges late."""
    bench = Bench()
    bench.chip.request(0, 1, "app", Settings(debounce_ns=1_000))
    for t_ns, level in ((0, 1), (999, 0), (10_000, 1), (11_001, 0)):
        bench.drive(t_ns, level)
    assert bench.run() == [(11_000, 1), (12_001, 0)]


def test_a_voltage_between_the_thresholds_changes_nothing() -> None:
    """High at 2.0 V, low at 0.8 V, and in between as it was: noise there makes no edges."""
    bench = Bench()
    volts = (0.0, 1.9, 2.0, 1.4, 0.81, 1.4, 0.8, 1.9, 0.9, 3.3)
    for n, value in enumerate(volts):
        bench.parts[0].gpio_drive_v(n, "out", value)
    assert bench.run() == [(2, 1), (6, 0), (9, 1)]


# Faults and interceptors


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (PinFault("delay", 1, value_ns=500), [(510, 1)]),
        (PinFault("duplicate", 1), [(10, 1), (10, 1)]),
        (PinFault("bounce", 1, times=2, value_ns=5), [(10, 1), (15, 0), (20, 1), (25, 0), (30, 1)]),
        (PinFault("missing_edge", 1), []),
        (PinFault("stuck", 1, level=0), []),
        (PinFault("inverted", 1), []),
    ],
    ids=lambda value: value.kind if isinstance(value, PinFault) else "",
)
def test_faults_change_the_edges_of_a_part(
    fault: PinFault, expected: list[tuple[int, int]]
) -> None:
    """Late, double, bouncing, hidden, stuck or inverted, flagged and counted."""
    bench = Bench()
    bench.chip.faults.add(fault)
    bench.drive(10, 1)
    assert bench.run() == expected
    assert all(record[2] & Flag.FAULTED for record in bench.records)
    assert bench.chip.counters[fault.kind] == 1


def test_debounce_swallows_a_bouncing_contact() -> None:
    """Ten bounces of 50 us are one edge behind a debounce of 1 ms."""
    bench = Bench()
    bench.chip.faults.add(PinFault("bounce", 1, times=10, value_ns=50_000))
    bench.chip.request(0, 1, "app", Settings(debounce_ns=1_000_000))
    bench.drive(0, 1)
    assert bench.run() == [(20 * 50_000 + 1_000_000, 1)]


def _later(crossing: Crossing, forward: Forward) -> Result:
    return forward(crossing._replace(t_ns=crossing.t_ns + 100, content=1 - crossing.content))


def _mimic(crossing: Crossing, forward: Forward) -> Result:
    return forward(crossing._replace(sender="gpio", address=0))


def test_an_interceptor_passes_blocks_modifies_and_mimics() -> None:
    """It sees what either side drives, by line, and what it forwards is what happens."""
    bench = Bench()
    chip = bench.chip
    chip.intercept(lambda crossing, forward: None)
    bench.drive(10, 1)
    chip.intercept(lambda crossing, forward: BLOCKED)
    bench.drive(20, 0)
    chip.set(20, 0, 1)
    chip.intercept(_later)
    bench.drive(30, 1)
    assert bench.run(1_000) == [(10, 1), (130, 0)]
    chip.intercept(_mimic)
    bench.drive(2_000, 1)
    bench.run()
    assert bench.records[-1] == (2_000, 0, Flag.FAULTED, 0, 0, b"\x01")
    assert bench.parts[0].seen == [(2_000, 1)]
    assert chip.counters["intercepted"] == 4


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (PinFault("stuck", 99), "fault 'stuck' has line 99; give 0 to"),
        (PinFault("stuck", 1, level=7), "has level 7; give 0 to 1"),
        (PinFault("bounce", 1, times=-4), "has times -4"),
    ],
)
def test_a_fault_of_no_line_is_refused(fault: PinFault, message: str) -> None:
    """A line that the chip has not, and numbers out of range, never get into the list."""
    bench = Bench()
    with pytest.raises(ConfigError, match=message):
        bench.chip.faults.add(fault)
