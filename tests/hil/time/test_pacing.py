"""Paces, on a wall clock of the test's own."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil.errors import UsageError
from hil.time.kernel import Kernel
from hil.time.pacing import OVERRUN_NS, SLACK_NS, SLICE_NS, Histogram, Pacer, parse_pace
from hil.time.phase import Phase


class Wall:
    """A wall clock that moves when somebody sleeps, plus what each sleep oversleeps."""

    def __init__(self, oversleep_ns: int = 0) -> None:
        self.now_ns = 1_000
        self.oversleep_ns = oversleep_ns
        self.sleeps: list[float] = []

    def clock(self) -> int:
        return self.now_ns

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.now_ns += round(seconds * 1e9) + self.oversleep_ns


def paced(pace: str, wall: Wall, period_ns: int, count: int) -> tuple[Kernel, Pacer, list[int]]:
    """Return a kernel with periodic events, its pacer, and when on the wall each event ran."""
    kernel, released = Kernel(), []
    pacer = Pacer(kernel, pace, clock=wall.clock, sleep=wall.sleep)
    for n in range(1, count + 1):
        kernel.at(n * period_ns, Phase.BUS, 0, lambda t: released.append(wall.now_ns - 1_000))
    return kernel, pacer, released


@pytest.mark.parametrize(("pace", "factor"), [("real", 1), ("x10", 10), ("x0.5", 0.5)])
def test_events_are_released_on_the_wall_at_their_time(pace: str, factor: float) -> None:
    """An event of virtual time t runs at t/factor of the wall, to within the slack."""
    wall = Wall()
    kernel, pacer, released = paced(pace, wall, 10_000_000, 20)
    kernel.run_until(200_000_000)
    for n, wall_ns in enumerate(released, 1):
        assert abs(wall_ns - n * 10_000_000 / factor) <= SLACK_NS
    assert pacer.overruns == 0


def test_late_wake_ups_do_not_add_up() -> None:
    """A sleep that ends late delays its own step only: targets are absolute."""
    wall = Wall(oversleep_ns=3_000_000)
    kernel, pacer, released = paced("real", wall, 10_000_000, 100)
    kernel.run_until(1_000_000_000)
    assert released[-1] <= 1_000_000_000 + 3_000_000
    assert 2_900_000 <= pacer.lateness.percentile_ns(50) <= 3_300_000
    assert pacer.lateness.max_ns == 3_000_000


def test_lateness_beyond_the_limit_is_an_overrun() -> None:
    """Every step released later than the limit is counted, and shown with the histogram."""
    wall = Wall(oversleep_ns=OVERRUN_NS + 1)
    kernel, pacer, _ = paced("real", wall, 50_000_000, 4)
    kernel.run_until(200_000_000)
    shown = pacer.snapshot()
    assert shown["overruns"] == pacer.overruns == 4
    assert shown["steps"] == 4
    assert shown["lateness_max_ns"] == OVERRUN_NS + 1
    assert shown["lateness_p99_9_ns"] == OVERRUN_NS + 1


@pytest.mark.parametrize(("pace", "factor"), [("real", 1), ("x10", 10)])
def test_the_lateness_of_the_present_is_in_virtual_time(pace: str, factor: int) -> None:
    """A step that is 3 ms late on the wall is that much of virtual time late, and due before."""
    wall = Wall(oversleep_ns=3_000_000)
    kernel, pacer, _ = paced(pace, wall, 50_000_000, 1)
    kernel.run_until(50_000_000)
    assert pacer.lateness_now_ns() == 3_000_000 * factor
    assert pacer.due_ns(50_000_000) == 1_000 + 50_000_000 // factor


def test_the_p999_is_between_the_p99_and_the_worst() -> None:
    """One late step in two hundred shows in the p99.9 and not in the p99."""
    histogram = Histogram()
    for n in range(1000):
        histogram.add(5_000_000 if n % 200 == 7 else 1_000)
    assert histogram.percentile_ns(99) < 2_000 < histogram.percentile_ns(99.9) == 5_000_000


def test_max_leaves_the_kernel_free() -> None:
    """At pace max nobody sleeps and the kernel has no gate after its first step."""
    wall = Wall()
    kernel, pacer, released = paced("max", wall, 10_000_000, 3)
    kernel.run_until(30_000_000)
    assert (wall.sleeps, kernel.gate, len(released)) == ([], None, 3)
    assert pacer.lateness.total == 0


def test_the_pace_changes_while_a_step_waits() -> None:
    """A change of pace is taken over during a long sleep, from the present virtual time on."""
    wall = Wall()
    kernel, pacer, released = paced("real", wall, 100_000_000_000, 1)
    pacer.idle = lambda: pacer.set_pace("max")
    kernel.run_until(100_000_000_000)
    assert released == [SLICE_NS]
    assert pacer.pace == "max"


def test_a_run_that_changes_from_max_to_real_is_paced_from_there() -> None:
    """Time that passed at pace max is not owed to the wall."""
    wall = Wall()
    kernel, pacer, released = paced("max", wall, 10_000_000, 2)
    kernel.run_until(10_000_000)
    pacer.set_pace("real")
    kernel.run_until(20_000_000)
    assert released == [0, 10_000_000]


@pytest.mark.parametrize("text", ["", "fast", "x", "x0", "x-3", "xnan", "10", "xinf"])
def test_what_is_no_pace_is_refused(text: str) -> None:
    """A word that is no pace raises with the words that are."""
    with pytest.raises(UsageError, match="use max, real, or xN"):
        parse_pace(text)


@given(st.lists(st.integers(0, 10**10), min_size=1, max_size=200), st.sampled_from([1, 50, 99]))
def test_percentiles_are_within_a_bucket(values: list[int], percent: int) -> None:
    """A percentile is at least the true one and at most an eighth above it."""
    histogram = Histogram()
    for value in values:
        histogram.add(value)
    rank = max(1, -(-percent * len(values) // 100))
    true = sorted(values)[rank - 1]
    assert true <= histogram.percentile_ns(percent) <= true + true // 8 + 1
    assert histogram.max_ns == max(values)


class Bell:
    """Something real that rings at times of the wall, and is looked after while a run waits."""

    def __init__(self, wall: Wall, rings_ns: list[int]) -> None:
        self.wall, self.rings_ns = wall, rings_ns
        self.looks = 0
        self.ring = lambda: None

    def wait(self, seconds: float) -> None:
        self.looks += 1
        until_ns = self.wall.now_ns + round(seconds * 1e9)
        if self.rings_ns and self.rings_ns[0] <= until_ns:
            self.wall.now_ns = max(self.wall.now_ns, self.rings_ns.pop(0))
            self.ring()
        else:
            self.wall.now_ns = until_ns


def test_what_happens_while_a_run_waits_is_stamped_with_the_wall() -> None:
    """A real thing is an event at the virtual time of its moment, and runs before what was due."""
    wall = Wall()
    kernel, pacer, _ = paced("x10", wall, 10_000_000, 4)
    stamped: list[int] = []
    pacer.watch = bell = Bell(wall, [1_000 + 300_000, 1_000 + 2_500_000])
    bell.ring = lambda: pacer.stamp(7, stamped.append)
    kernel.run_until(40_000_000)
    assert stamped == [3_000_000, 25_000_000]
    assert kernel.now_ns == 40_000_000


def test_a_late_run_still_looks_after_what_is_real() -> None:
    """However late the steps of a run are, each looks once; what came is stamped no later than due.

    Nothing is stamped in the future of the step, and no step waits for it.
    """
    wall = Wall()
    kernel, pacer, released = paced("real", wall, 1_000_000, 3)
    kernel.run_until(1_000_000)
    wall.now_ns += 1_000_000_000
    stamped: list[int] = []
    pacer.watch = bell = Bell(wall, [0])
    bell.ring = lambda: pacer.stamp(7, stamped.append)
    kernel.run_until(3_000_000)
    assert stamped == [2_000_000]
    assert bell.looks >= 3, "one a step, and one that had news"
    assert len(released) == 3


def test_lost_time_stays_lost_while_something_real_is_watched() -> None:
    """A run that was held up goes on at the pace of the wall: what is real is as fast as it was.

    A thing that takes 2 ms of the wall after a hold-up of 1 s takes 2 ms of the run.
    """
    wall = Wall()
    kernel, pacer, released = paced("real", wall, 10_000_000, 4)
    pacer.watch = bell = Bell(wall, [])
    stamped: list[int] = []
    bell.ring = lambda: pacer.stamp(7, stamped.append)
    kernel.run_until(10_000_000)
    wall.now_ns += 1_000_000_000
    kernel.run_until(20_000_000)
    bell.rings_ns.append(wall.now_ns + 2_000_000)
    kernel.run_until(40_000_000)
    assert stamped == [22_000_000]
    assert pacer.slipped_ns == pacer.snapshot()["slipped_ns"] == 990_000_000
    assert released[-1] == 40_000_000 + 990_000_000


def test_what_never_falls_silent_does_not_hold_time_back() -> None:
    """Something real that has news at every look is heard once a step, and the run goes on."""
    wall = Wall()
    kernel, pacer, released = paced("real", wall, 1_000_000, 50)
    heard: list[int] = []

    class Babbler:
        looks = 0

        def wait(self, seconds: float) -> None:
            self.looks += 1
            assert self.looks < 10_000, "time stands still"
            wall.now_ns += 200_000
            pacer.stamp(7, heard.append)

    pacer.watch = babbler = Babbler()
    kernel.run_until(50_000_000)
    assert (kernel.now_ns, len(released)) == (50_000_000, 50)
    assert len(heard) == babbler.looks >= 50
    assert wall.now_ns < 1_000 + 60_000_000
