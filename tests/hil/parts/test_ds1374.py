"""DS1374 at register level, against its data sheet (19-5707)."""

from __future__ import annotations

import pytest

from hil.parts.ds1374 import Ds1374
from hil.testing.contracts.part import check_part
from hil.testing.simple_scheduler import SimpleScheduler

SECOND, MS = 1_000_000_000, 1_000_000


class Bench:
    """A part on a scheduler, and what its pins did."""

    def __init__(self) -> None:
        self.part = Ds1374("dog")
        self.clock = SimpleScheduler()
        self.edges: list[tuple[int, str, int]] = []
        self.resets: list[int] = []
        self.part.gpio_drive = lambda t_ns, pin, level: self.edges.append((t_ns, pin, level))
        self.part.on_reset = self.resets.append
        self.part.start(self.clock, 200)

    def write(self, address: int, *octets: int) -> int:
        return self.part.i2c_write(self.clock.now_ns, bytes((address, *octets)))

    def read(self, address: int, nread: int) -> bytes | None:
        answer = self.part.i2c_write_read(self.clock.now_ns, bytes((address,)), nread)
        return answer if isinstance(answer, bytes) else None

    def dog(self, ticks: int, control: int = 0x60) -> None:
        self.write(4, *ticks.to_bytes(3, "little"))
        self.write(7, control)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_contract() -> None:
    """The part passes the public contract suite."""
    check_part(lambda: Ds1374("dog", 3))


def test_reset_values(bench: Bench) -> None:
    """Table 2: rate select bits and the oscillator stop flag after power-up, counting from 0."""
    assert bench.read(0, 10) == bytes(7) + b"\x06\x80\x00"


def test_time_of_day(bench: Bench) -> None:
    """Four octets count seconds from what was written, the lowest first."""
    bench.write(0, 0xFE, 0xFF, 0x00, 0x01)
    bench.clock.run_until(3 * SECOND)
    assert bench.read(0, 4) == b"\x01\x00\x01\x01"


def test_watchdog_resets_when_it_is_not_fed(bench: Bench) -> None:
    """Unfed for its seed of 4096 Hz ticks, RST is low for 250 ms, once, at the exact time."""
    bench.dog(4096 * 2)
    bench.clock.run_until(10 * SECOND)
    assert bench.edges == [(2 * SECOND, "reset", 0), (2 * SECOND + 250 * MS, "reset", 1)]
    assert bench.resets == [2 * SECOND]
    assert bench.part.snapshot()["counters"] == {"feeds": 0, "resets": 1, "interrupts": 0}


def test_reading_the_counter_feeds_the_watchdog(bench: Bench) -> None:
    """Each read starts the counter over; the read shows how far it had come."""
    bench.dog(4096)
    for n in range(1, 11):
        bench.clock.run_until(n * SECOND // 2)
        assert bench.read(4, 3) == (2048).to_bytes(3, "little")
    assert not bench.resets
    bench.clock.run_until(7 * SECOND)
    assert bench.resets == [6 * SECOND]


def test_other_traffic_does_not_feed(bench: Bench) -> None:
    """Reading the time of day is no feed."""
    bench.dog(4096)
    bench.clock.run_until(SECOND // 2)
    bench.read(0, 4)
    bench.clock.run_until(2 * SECOND)
    assert bench.resets == [SECOND]


def test_during_the_pulse_nobody_answers(bench: Bench) -> None:
    """Accesses are not acknowledged while RST is low; afterwards AF is clear."""
    bench.dog(4096)
    bench.clock.run_until(SECOND + 249 * MS)
    assert bench.write(0, 1) == -1
    assert bench.read(8, 1) is None
    bench.clock.run_until(SECOND + 250 * MS)
    assert bench.read(8, 1) == b"\x80"


@pytest.mark.parametrize(("control", "edges"), [(0x69, 2), (0x68, 0)])
def test_watchdog_can_interrupt_instead(bench: Bench, control: int, edges: int) -> None:
    """With WDSTR the pulse is on INT and only with AIE; the part goes on answering, AF set."""
    bench.dog(4096, control)
    bench.clock.run_until(SECOND + MS)
    assert bench.read(8, 1) == b"\x81"
    bench.clock.run_until(9 * SECOND)
    assert [pin for _, pin, _ in bench.edges] == ["int"] * edges
    assert not bench.resets


def test_a_standing_flag_fires_at_once(bench: Bench) -> None:
    """With AF set when the watchdog is enabled the output acts immediately."""
    bench.dog(1, 0x40)
    bench.clock.run_until(SECOND)
    assert bench.read(8, 1) == b"\x81"
    bench.write(7, 0x60)
    assert bench.resets == [SECOND]


def test_alarm_counts_seconds_over_and_over(bench: Bench) -> None:
    """As alarm AF comes every seed seconds, INT follows it, and writing AF to 0 clears both."""
    bench.dog(3, 0x41)
    bench.clock.run_until(2 * SECOND)
    assert bench.read(4, 3) == b"\x01\x00\x00"
    bench.clock.run_until(4 * SECOND)
    bench.write(8, 0x80)
    bench.clock.run_until(7 * SECOND)
    assert bench.edges == [(3 * SECOND, "int", 0), (4 * SECOND, "int", 1), (6 * SECOND, "int", 0)]


def test_disabled_the_counter_is_memory(bench: Bench) -> None:
    """Without WACE three octets keep what is written; a seed of zero never fires."""
    bench.write(4, 1, 2, 3)
    bench.clock.run_until(SECOND)
    assert bench.read(4, 3) == b"\x01\x02\x03"
    bench.dog(0)
    bench.clock.run_until(100 * SECOND)
    assert not bench.edges


def test_how_long_a_dead_computer_may_wait(bench: Bench) -> None:
    """The rig can ask within what time the watchdog acts: its seed, or never."""
    assert bench.part.acts_within_s == 0.0
    bench.dog(4096 * 5)
    assert bench.part.acts_within_s == 5.0
