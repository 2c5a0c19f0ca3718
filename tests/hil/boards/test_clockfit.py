"""A board's clock in host time: wraps, noise, drift, resets."""

from __future__ import annotations

from random import Random

import pytest
from hostboard import MS, Bench, Trouble

from hil.boards.clockfit import WRAP, ClockFit
from hil.boards.link import LinkState
from hil.boards.protocol import Request

SECOND = 1_000 * MS


def sampled(
    drift_ppm: float, start_us: int, count: int, jitter_us: float, seed: int = 1
) -> tuple[ClockFit, list[tuple[int, int]]]:
    """Return a fit of a made-up board, and its stamps with the host times they stand for."""
    random, fit, truth = Random(seed), ClockFit(), []
    for nth in range(count):
        asked_ns = nth * SECOND
        there_ns = asked_ns + 100_000 + int(random.expovariate(1) * jitter_us * 1_000)
        stamp = (start_us + int(there_ns / 1_000 * (1 + drift_ppm * 1e-6))) % WRAP
        back_ns = there_ns + 130_000 + int(random.expovariate(1) * jitter_us * 1_000)
        fit.add(asked_ns, back_ns, (stamp, (stamp + 30) % WRAP), (100_000, 100_000))
        truth.append((stamp, there_ns))
    return fit, truth


@pytest.mark.parametrize("drift_ppm", [0.0, 50.0, -100.0])
def test_stamps_become_host_time_across_the_wrap(drift_ppm: float) -> None:
    """Stamps of 32 bits are taken as what they were, before and after their counter wraps."""
    fit, truth = sampled(drift_ppm, WRAP - 20_000_000, 60, 0.0)
    assert fit.ready
    for stamp, there_ns in truth:
        assert abs(fit.to_host_ns(stamp) - there_ns) < 2_000
    assert fit.drift_ppm == pytest.approx(drift_ppm, abs=0.2)
    assert fit.residual_ns is not None
    assert fit.residual_ns < 1_500


def test_slow_round_trips_do_not_move_the_fit() -> None:
    """Only the best quartile counts: waiting on either side leaves the fit near the truth."""
    fit, truth = sampled(20.0, 0, 64, 300.0)
    errors = [abs(fit.to_host_ns(stamp) - there_ns) for stamp, there_ns in truth]
    assert max(errors) < 150_000
    assert fit.fitted == 16
    assert fit.residual_ns is not None
    assert max(errors) < 5 * fit.residual_ns + 50_000


def test_after_a_reset_nothing_of_before_is_left() -> None:
    """A board that starts anew counts from anew, and so does the fit."""
    fit, _ = sampled(0.0, 4_000_000_000, 20, 10.0)
    fit.reset()
    assert not fit.ready
    assert fit.figures() == {
        "samples": 0, "fitted": 0, "residual_ns": None, "drift_ppm": None, "resets": 1,
    }  # fmt: skip
    fit.add(100 * SECOND, 100 * SECOND + 200_000, (5, 5), (0, 0))
    assert fit.to_host_ns(1_000_005) == 101 * SECOND + 100_000


@pytest.mark.parametrize("baud", [0, 9_600, 115_200])
def test_a_board_on_a_line_is_known_to_within_its_residual(baud: int) -> None:
    """Over a line of any rate the fit is right to the microseconds that the stamps have."""
    bench = Bench(baud=baud, trouble=Trouble(latency_ns=50_000))
    bench.skew_ppm, bench.offset_us = 40.0, 4_290_000_000
    bench.open()
    bench.wait_ms(30_000)
    link = bench.link
    assert link.counters["clock_samples"] >= 30
    assert link.clock.residual_ns is not None
    assert link.clock.residual_ns < 60_000  # the core looks at the line when 16 octets are there
    stamp = bench.board_ns() // 1_000 % WRAP
    assert abs(link.clock.to_host_ns(stamp) - bench.now_ns) < 150_000
    bench.reset_board()
    assert bench.run(lambda: link.clock.resets == 2 and not link.clock.ready)
    assert bench.run(lambda: link.state is LinkState.OPEN and link.clock.ready)


def test_a_repeated_time_request_is_no_sample() -> None:
    """A round trip that took two tries says nothing about the clock, and is left out."""
    bench = Bench(baud=115_200).open()
    before = bench.link.counters["clock_samples"]
    bench.lines.to_board.put(b"", bench.now_ns)
    bench.wait_ms(350)
    lost = bench.link.output()
    while not lost:
        bench.step(bench.now_ns + 1_000 * MS)
        bench.link.service(bench.now_ns)
        lost = bench.link.output()
    assert lost[3] == Request.TIME or Request.TIME in lost
    assert bench.run(lambda: bench.link.unanswered == 0)
    assert bench.link.counters["timeouts"] == 1
    assert bench.link.counters["clock_samples"] == before
