"""Watchdog: when it resets, when it does not."""

from __future__ import annotations

from hil.parts.base import Active, GPIODevice
from hil.parts.watchdog import Watchdog
from hil.testing.simple_scheduler import SimpleScheduler

SECOND_NS = 10**9


class Bench:
    """A started watchdog with what its pin does and when it resets."""

    def __init__(self, **params: float) -> None:
        self.scheduler = SimpleScheduler()
        self.dog = Watchdog("watchdog", **params)
        self.pin: list[tuple[int, int]] = []
        self.resets: list[int] = []
        self.dog.gpio_drive = lambda t_ns, pin, level: self.pin.append((t_ns, level))
        self.dog.on_reset = self.resets.append
        self.dog.start(self.scheduler, 1)

    def kick(self, *times_s: float) -> None:
        """Give one edge at each time, with alternating levels."""
        for i, t_s in enumerate(times_s):
            self.scheduler.run_until(round(t_s * SECOND_NS))
            self.dog.gpio_change(self.scheduler.now_ns, "kick", 1 - i % 2)

    def until(self, t_s: float) -> list[float]:
        """Run on; return the times of the resets in seconds."""
        self.scheduler.run_until(round(t_s * SECOND_NS))
        return [t_ns / SECOND_NS for t_ns in self.resets]


def test_edges_in_time_keep_it_quiet() -> None:
    """Either edge within the timeout clears the timer; the last one sets the deadline."""
    bench = Bench(startup_s=5.0)
    assert isinstance(bench.dog, GPIODevice)
    assert isinstance(bench.dog, Active)
    bench.kick(6, 15.9, 25.8, 35.7)
    assert bench.until(45.6) == []
    assert bench.until(45.8) == [45.7]
    assert bench.dog.counters == {"kicks": 4, "ignored": 0, "resets": 1}


def test_the_pulse_is_low_for_its_width() -> None:
    """WDO falls at the timeout and rises 100 ms later."""
    bench = Bench(startup_s=5.0)
    bench.until(16)
    assert bench.pin == [(15 * SECOND_NS, 0), (15_100_000_000, 1)]


def test_software_that_never_starts_is_caught_after_the_startup_delay() -> None:
    """With no edge at all the first reset comes at delay plus timeout, and again and again."""
    bench = Bench(startup_s=60.0)
    assert bench.until(150) == [70.0, 140.1]


def test_edges_in_the_startup_delay_do_not_count() -> None:
    """The delay ignores edges, so a kick in it does not move the deadline."""
    bench = Bench(startup_s=60.0)
    bench.kick(10, 59)
    assert bench.until(71) == [70.0]
    assert bench.dog.counters["ignored"] == 2


def test_after_a_reset_the_startup_delay_begins_anew() -> None:
    """A restarted payload computer has delay and timeout again before the next reset."""
    bench = Bench(startup_s=20.0, timeout_s=2.0)
    bench.kick(21)
    assert bench.until(23.05) == [23.0]
    bench.kick(23.06)
    assert bench.dog.counters["ignored"] == 1
    bench.kick(44)
    assert bench.until(45.9) == [23.0]
    assert bench.until(46.1) == [23.0, 46.0]


def test_the_first_edge_setting_waits_for_ever() -> None:
    """With no startup delay the timer stands still until the first edge."""
    bench = Bench(startup_s=0.0)
    assert bench.until(1_000) == []
    bench.kick(1_001)
    assert bench.until(1_012) == [1_011.0]
    assert bench.until(2_000) == [1_011.0]


def test_frequent_kicks_leave_one_event_outstanding() -> None:
    """A thousand kicks do not fill the scheduler."""
    bench = Bench(startup_s=0.0)
    bench.kick(*(i / 100 for i in range(1, 1_000)))
    assert bench.scheduler.pending == 1
