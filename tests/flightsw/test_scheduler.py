"""Rate groups and one-shot tasks on a virtual clock."""

from __future__ import annotations

import pytest
from fake_hal import SECOND, Clock
from hypothesis import given, settings
from hypothesis import strategies as st

from flightsw.errors import Shutdown
from flightsw.scheduler import Group, Scheduler, Spec

MS = 1_000_000


def _run(scheduler: Scheduler) -> None:
    with pytest.raises(Shutdown):
        scheduler.run()


def _scheduler(clock: Clock) -> tuple[Scheduler, list[tuple[str, int]]]:
    overruns: list[tuple[str, int]] = []
    return Scheduler(clock, lambda g, late: overruns.append((g.spec.name, late))), overruns


def test_groups_run_on_the_grid_of_their_period_and_offset() -> None:
    """A group started between two releases waits for the next multiple of its period."""
    clock = Clock(250 * MS, SECOND)
    scheduler, overruns = _scheduler(clock)
    seen: list[int] = []
    scheduler.add_group(Spec(0, "fast", 100 * MS, 20 * MS)).tasks.append(seen.append)
    _run(scheduler)
    assert seen == [t * MS for t in (320, 420, 520, 620, 720, 820, 920)]
    assert overruns == []


def test_the_shorter_period_goes_first_whatever_the_order_of_adding() -> None:
    """At a common release the fast group runs before the slow one, and one-shots run last."""
    clock = Clock(0, 350 * MS)
    scheduler, _ = _scheduler(clock)
    seen: list[str] = []
    scheduler.at(100 * MS, lambda t: seen.append("once"))
    scheduler.add_group(Spec(1, "slow", 300 * MS, 100 * MS)).tasks.append(
        lambda t: seen.append("slow")
    )
    scheduler.add_group(Spec(0, "fast", 100 * MS, 100 * MS)).tasks.append(
        lambda t: seen.append("fast")
    )
    _run(scheduler)
    assert seen == ["fast", "fast", "slow", "once", "fast", "fast"]


def test_an_overrun_is_counted_reported_and_not_piled_up() -> None:
    """A group that takes 2.5 periods skips one release and runs the next at once."""
    clock = Clock(0, 900 * MS)
    scheduler, overruns = _scheduler(clock)
    starts: list[int] = []

    def task(now_ns: int) -> None:
        starts.append(now_ns)
        if len(starts) == 2:
            clock.advance(250 * MS)

    group = scheduler.add_group(Spec(0, "fast", 100 * MS))
    group.tasks.append(task)
    _run(scheduler)
    assert starts[:5] == [t * MS for t in (0, 100, 350, 400, 500)]
    assert overruns == [("fast", 150 * MS)]
    assert (group.overruns, group.skipped) == (1, 1)


def test_ending_exactly_at_the_next_release_is_in_time() -> None:
    """A group that uses its whole period and no more has not overrun."""
    clock = Clock(0, 350 * MS)
    scheduler, overruns = _scheduler(clock)
    group = scheduler.add_group(Spec(0, "fast", 100 * MS))
    group.tasks.append(lambda t: clock.advance(100 * MS if t < 250 * MS else 0))
    _run(scheduler)
    assert overruns == []
    assert group.worst_ns == 100 * MS
    assert group.runs >= 3


def test_one_shot_tasks_run_in_order_of_time_then_of_asking() -> None:
    """Equal times keep the order in which the tasks were given."""
    clock = Clock(0, SECOND)
    scheduler, _ = _scheduler(clock)
    seen: list[str] = []
    for name, t_ms in (("c", 30), ("a", 10), ("b1", 20), ("b2", 20)):
        scheduler.at(t_ms * MS, lambda t, name=name: seen.append(name))
    scheduler.add_group(Spec(0, "idle", 500 * MS))
    _run(scheduler)
    assert seen == ["a", "b1", "b2", "c"]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 350), min_size=1, max_size=12))
def test_no_release_is_lost_from_the_books(durations_ms: list[int]) -> None:
    """Runs and skipped releases together are every release up to the end."""
    clock = Clock(0, 5 * SECOND)
    scheduler, _ = _scheduler(clock)
    group: Group = scheduler.add_group(Spec(0, "fast", 100 * MS))
    left = list(durations_ms)
    group.tasks.append(lambda t: clock.advance((left.pop() if left else 1) * MS))
    _run(scheduler)
    assert group.runs + group.skipped == group.next_ns // (100 * MS)


class WallClock(Clock):
    """Virtual time that tells how late it is by a wall; sleeping makes up for it."""

    def __init__(self, start_ns: int, end_ns: int, lost_ns: dict[int, int]) -> None:
        super().__init__(start_ns, end_ns)
        #: mission time -> what the wall loses there
        self.lost_ns = lost_ns
        self._late_ns = 0

    def late_ns(self) -> int:
        return self._late_ns

    def sleep_until(self, t_ns: int) -> None:
        passed_ns = t_ns - self.t_ns
        super().sleep_until(t_ns)
        self._late_ns = max(0, self._late_ns - passed_ns) + self.lost_ns.pop(self.t_ns, 0)


def test_lateness_on_the_wall_is_an_overrun() -> None:
    """A release that comes 2.5 periods late by the wall overruns, and covers two others."""
    clock = WallClock(0, SECOND, {300 * MS: 250 * MS})
    scheduler, overruns = _scheduler(clock)
    starts: list[int] = []
    group = scheduler.add_group(Spec(0, "fast", 100 * MS))
    group.tasks.append(starts.append)
    _run(scheduler)
    assert starts == [t * MS for t in (0, 100, 200, 300, 500, 600, 700, 800, 900)]
    assert overruns == [("fast", 150 * MS)]
    assert (group.overruns, group.skipped) == (1, 1)


def test_what_the_start_of_the_program_took_is_no_overrun() -> None:
    """A clock that was late before the first release overruns nothing, and still counts later."""
    clock = WallClock(0, SECOND, {0: 0, 600 * MS: 400 * MS})
    clock._late_ns = 450 * MS
    scheduler, overruns = _scheduler(clock)
    group = scheduler.add_group(Spec(0, "fast", 100 * MS))
    group.tasks.append(lambda t: None)
    _run(scheduler)
    assert overruns == [("fast", 300 * MS)]
    assert group.overruns == 1
