"""The time pulse: what its faults do to the edges."""

from __future__ import annotations

import pytest

from hil.parts.base import stream
from hil.parts.pps import PulseFault, TimePulse
from hil.testing.simple_scheduler import SimpleScheduler

SECOND_NS = 10**9
WIDTH_NS = 100_000_000


def edges(*faults: PulseFault, seconds: int = 1, seed: int = 1) -> list[tuple[int, int]]:
    """Return (time, level) of all that a pulse does in some seconds."""
    scheduler, random = SimpleScheduler(), stream(seed, "pps")
    found: list[tuple[int, int]] = []
    pulse = TimePulse(
        lambda t_ns, level: found.append((t_ns, level)), lambda n: int(random.integers(n))
    )
    for fault in faults:
        pulse.faults.add(fault)
    for second in range(seconds):
        scheduler.run_until(second * SECOND_NS)
        pulse.fire(scheduler, 1, second * SECOND_NS)
    scheduler.run_until(seconds * SECOND_NS)
    return found


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (PulseFault("missing"), []),
        (PulseFault("shifted", value_ns=500), [(500, 1), (WIDTH_NS + 500, 0)]),
        (
            PulseFault("duplicate", value_ns=50),
            [(0, 1), (WIDTH_NS, 0), (WIDTH_NS + 50, 1), (2 * WIDTH_NS + 50, 0)],
        ),
        (PulseFault("runt", value_ns=200), [(0, 1), (200, 0)]),
    ],
    ids=lambda value: value.kind if isinstance(value, PulseFault) else "",
)
def test_faults_move_the_edges(fault: PulseFault, expected: list[tuple[int, int]]) -> None:
    """Missing, late, double and too short pulses, to the nanosecond."""
    assert edges(fault) == expected


def test_jitter_stays_in_its_bound_and_comes_from_the_seed() -> None:
    """Each rising edge is 0 to 1000 ns late, drawn; the pulse keeps its width."""
    fault = PulseFault("jittered", value_ns=1_000)
    found = edges(fault, seconds=50)
    rises = [t_ns % SECOND_NS for t_ns, level in found if level]
    assert len(set(rises)) > 25
    assert 0 <= min(rises) < 200
    assert 800 < max(rises) <= 1_000
    assert all(b[0] - a[0] == WIDTH_NS for a, b in zip(found[::2], found[1::2], strict=True))
    assert found == edges(fault, seconds=50) != edges(fault, seconds=50, seed=2)
