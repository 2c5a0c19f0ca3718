"""The scheduler of unit tests orders events as the bench does."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil.testing.simple_scheduler import SimpleScheduler
from hil.time.kernel import Kernel

events = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 4), st.integers(0, 3)), max_size=30)


@given(wanted=events)
def test_it_orders_events_as_the_kernel_does(wanted: list[tuple[int, int, int]]) -> None:
    """Time, phase, source, order of arrival: the same sequence as the virtual clock."""

    def played(
        at: Callable[[int, int, int, Callable[[int], None]], object],
        run_until: Callable[[int], object],
    ) -> list[tuple[int, int]]:
        seen: list[tuple[int, int]] = []
        for i, (t_ns, phase, source) in enumerate(wanted):
            at(t_ns, phase, source, partial(lambda i, now_ns: seen.append((i, now_ns)), i))
        run_until(10)
        return seen

    simple, kernel = SimpleScheduler(), Kernel()
    assert played(simple.at, simple.run_until) == played(kernel.at, kernel.run_until)
    assert simple.now_ns == kernel.now_ns == 10


def test_events_may_schedule_events_of_the_same_instant() -> None:
    """What an event adds for now still runs now; the count says how many ran."""
    scheduler = SimpleScheduler()
    seen: list[int] = []
    scheduler.at(5, 0, 0, lambda t_ns: scheduler.at(t_ns, 0, 0, seen.append))
    scheduler.at(6, 0, 0, seen.append)
    assert scheduler.run_until(5) == 2
    assert seen == [5]
    assert scheduler.pending == 1


def test_the_past_is_refused() -> None:
    """An event before the present is a mistake of the thing under test."""
    with pytest.raises(AssertionError, match="event for 4 ns, but it is 5 ns already"):
        SimpleScheduler(5).at(4, 0, 0, lambda t_ns: None)
