"""The virtual clock: order of events, halts, gates."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil.time.kernel import AFTER_ALL, NEVER_NS, Kernel, PastEventError
from hil.time.phase import Phase

EVENTS = st.lists(
    st.tuples(st.integers(0, 20), st.sampled_from(list(Phase)), st.integers(0, 3)), max_size=40
)


@given(EVENTS)
def test_events_run_by_time_phase_source_and_order(events: list[tuple[int, int, int]]) -> None:
    """Events run in the order of (time, phase, source, scheduling), whatever order they came in."""
    kernel, ran = Kernel(), []
    for number, (t_ns, phase, source) in enumerate(events):
        key = (t_ns, int(phase), source, number)
        kernel.at(t_ns, phase, source, lambda now, key=key: ran.append((now, key)))
    kernel.run_until(20)
    keys = [(t, int(p), s, n) for n, (t, p, s) in enumerate(events)]
    assert ran == [(key[0], key) for key in sorted(keys)]
    assert kernel.now_ns == 20


@given(EVENTS, st.integers(0, 20), st.sampled_from(list(Phase)))
def test_run_before_stops_at_its_key(
    events: list[tuple[int, int, int]], t_ns: int, phase: int
) -> None:
    """Exactly the events before (t, phase) have run, and those after it run later."""
    kernel, ran = Kernel(), []
    for t, p, s in events:
        kernel.at(t, p, s, lambda now, key=(t, int(p)): ran.append(key))
    kernel.run_before(t_ns, phase)
    assert sorted(ran) == sorted((t, int(p)) for t, p, _ in events if (t, p) < (t_ns, phase))
    assert kernel.now_ns == t_ns
    kernel.run_until(20)
    assert len(ran) == len(events)


def test_an_event_may_schedule_earlier_phases_of_its_own_instant() -> None:
    """What an event schedules for its own instant runs at that instant, before later phases."""
    kernel, ran = Kernel(), []
    kernel.at(5, Phase.CHECK, 0, lambda t: ran.append("check"))
    kernel.at(
        5,
        Phase.BUS,
        0,
        lambda t: (ran.append("bus"), kernel.at(t, Phase.PHYSICS, 0, lambda t: ran.append("new"))),
    )
    kernel.run_until(5)
    assert ran == ["bus", "new", "check"]


def test_the_past_is_refused_by_name() -> None:
    """Scheduling before the present raises, naming the source and both times."""
    kernel = Kernel(now_ns=100)
    with pytest.raises(PastEventError, match=r"source 7 .* t=99 ns .* 100 ns"):
        kernel.at(99, Phase.BUS, 7, lambda t: None)


def test_a_cancelled_event_does_not_run() -> None:
    """A cancelled event does nothing and no longer counts as the next one."""
    kernel, ran = Kernel(), []
    event = kernel.at(5, Phase.BUS, 0, ran.append)
    kernel.at(6, Phase.BUS, 0, ran.append)
    kernel.cancel(event)
    assert kernel.next_key() == (6, Phase.BUS)
    kernel.run_until(10)
    assert ran == [6]
    kernel.cancel(event)
    assert kernel.next_key() == (NEVER_NS, AFTER_ALL)


def test_due_says_when_a_run_would_do_something() -> None:
    """``due_ns`` is never later than the next event, so that a caller may skip the call before."""
    kernel = Kernel()
    assert kernel.due_ns > 10**18
    kernel.at(50, Phase.BUS, 0, lambda t: None)
    assert kernel.due_ns == 50
    kernel.run_before(50, Phase.BUS)
    assert kernel.due_ns == 50
    kernel.run_until(50)
    assert kernel.due_ns > 10**18


def test_halt_stops_time_after_the_flight_phase_of_the_instant() -> None:
    """After a halt the rest of the instant up to FLIGHT runs, and time stands there."""
    kernel, ran = Kernel(), []
    kernel.at(5, Phase.PHYSICS, 0, lambda t: (ran.append("physics"), kernel.halt()))
    kernel.at(5, Phase.FLIGHT, 0, lambda t: ran.append("flight"))
    kernel.at(5, Phase.CHECK, 0, lambda t: ran.append("check"))
    kernel.at(6, Phase.PHYSICS, 0, lambda t: ran.append("later"))
    kernel.run_before(100, Phase.CHECK)
    assert (ran, kernel.now_ns) == (["physics", "flight"], 5)
    kernel.run_before(100, Phase.CHECK)
    assert (ran[2:], kernel.now_ns) == (["check", "later"], 100)


def test_a_halt_between_runs_is_seen_by_the_next() -> None:
    """A halt asked for while nothing runs makes the next run return at once."""
    kernel = Kernel()
    kernel.halt()
    assert kernel.due_ns < 0
    kernel.run_before(100, Phase.CHECK)
    assert kernel.now_ns == 0
    kernel.run_before(100, Phase.CHECK)
    assert kernel.now_ns == 100


def test_run_until_goes_on_after_a_halt() -> None:
    """Running to an end is not cut short by a halt on the way."""
    kernel, ran = Kernel(), []
    kernel.at(5, Phase.BUS, 0, lambda t: kernel.halt())
    kernel.at(9, Phase.CHECK, 0, ran.append)
    kernel.run_until(9)
    assert (ran, kernel.now_ns) == ([9], 9)


def test_the_gate_sees_every_step_of_time_once() -> None:
    """A gate is called before time moves, with where it moves to, and not for ties."""
    kernel, seen = Kernel(), []
    kernel.gate = lambda t: seen.append((kernel.now_ns, t))
    assert kernel.due_ns < 0, "a caller in a hurry must not pass the gate by"
    for t_ns in (5, 5, 7):
        kernel.at(t_ns, Phase.BUS, 0, lambda t: None)
    kernel.run_before(10, Phase.CHECK)
    assert seen == [(0, 5), (5, 7), (7, 10)]
    kernel.gate = None
    assert kernel.due_ns > 10


def test_a_gate_that_has_news_makes_the_kernel_look_again() -> None:
    """What a gate puts in front of the event that it holds back runs before it, at its own time."""
    kernel, ran = Kernel(), []
    news = [4, 8]

    def gate(t_ns: int) -> bool:
        if news and news[0] < t_ns:
            at_ns = news.pop(0)
            kernel.at(at_ns, Phase.BUS, 1, lambda t: ran.append(("news", t, kernel.now_ns)))
            return True
        return False

    kernel.gate = gate
    kernel.at(6, Phase.BUS, 0, lambda t: ran.append(("event", t, kernel.now_ns)))
    kernel.run_before(10, Phase.CHECK)
    assert ran == [("news", 4, 4), ("event", 6, 6), ("news", 8, 8)]
    assert kernel.now_ns == 10


def test_news_at_the_gate_may_make_time_stand() -> None:
    """News that halt the kernel leave time where it is: whoever runs it learns of them first."""
    kernel, ran = Kernel(), []

    def gate(t_ns: int) -> bool:
        if ran or t_ns <= 4:
            return False
        ran.append("told")
        kernel.at(4, Phase.BUS, 1, ran.append)
        kernel.halt()
        return True

    kernel.gate = gate
    kernel.run_before(10, Phase.CHECK)
    assert (kernel.now_ns, kernel.next_key()[0], ran) == (0, 4, ["told"])
    kernel.run_before(10, Phase.CHECK)
    assert (kernel.now_ns, ran) == (10, ["told", 4])
