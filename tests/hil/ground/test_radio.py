"""The air: every unit is accounted for, errors come at the stated rate, the budget is kept."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from flightsw.codec.wire import Kind, Status
from hil.ground.plan import acquisitions, choose
from hil.ground.radio import Radio, slant_light_ns
from hil.time.kernel import Kernel

SECOND = 1_000_000_000


class Air:
    """A radio with its clock, and everything that it recorded and delivered."""

    def __init__(self, *, seed=1, rate=0.0, budget=1 << 30):
        self.kernel = Kernel()
        self.records = []
        self.received = []
        self.radio = Radio(
            self.kernel,
            1,
            lambda *record: self.records.append(record),
            channel=0xF0,
            seed=seed,
            frame_error_rate=rate,
            pass_budget_octets=budget,
            uplink_bps=9600,
            light_time_ns=lambda t_ns: 5_000_000,
        )
        self.radio.receive = lambda t_ns, octets: self.received.append((t_ns, octets))
        self.radio.transceiver = self
        self.up = []

    def uplink(self, t_ns, octets):
        """Be the transceiver."""
        self.up.append((t_ns, octets))


def test_light_time_delays_every_unit():
    """A unit is received its air time and its light time after its first bit."""
    air = Air()
    air.radio.downlink(0, SECOND, b"unit")
    air.kernel.run_until(2 * SECOND)
    assert air.received == [(SECOND + 5_000_000, b"unit")]


def test_uplink_units_follow_each_other_at_the_rate():
    """Two units handed over at once arrive one after the other, 120 octets at 9600 bit/s apart."""
    air = Air()
    air.radio.uplink(0, bytes(120))
    air.radio.uplink(0, bytes(120))
    air.kernel.run_until(SECOND)
    assert [t_ns for t_ns, _ in air.up] == [5_000_000, 105_000_000]
    assert [record[:2] for record in air.records] == [(Kind.TC, 0xF0), (Kind.TC, 0xF0)]


def test_beyond_the_budget_nothing_is_received_and_everything_is_counted():
    """The octets of a pass beyond its budget are recorded as absent and counted."""
    air = Air(budget=250)
    air.radio.begin_pass()
    for _ in range(4):
        air.radio.downlink(0, SECOND, bytes(100))
    air.kernel.run_until(2 * SECOND)
    assert len(air.received) == 2
    assert air.radio.counters["downlink_over_budget_octets"] == 200
    assert [record[3] for record in air.records] == [0, 0, Status.ABSENT, Status.ABSENT]
    assert air.radio.pass_octets == 200


def test_without_a_transceiver_what_goes_up_is_counted_and_unheard():
    """A spacecraft without a radio hears nothing, and the record says so."""
    air = Air()
    air.radio.transceiver = None
    air.radio.uplink(0, bytes(120))
    air.kernel.run_until(SECOND)
    assert [(record[0], record[3]) for record in air.records] == [(Kind.TC, Status.ABSENT)]
    assert air.radio.counters["uplink_units_unheard"] == 1


@given(st.integers(0, 1 << 20), st.binary(min_size=1, max_size=300))
def test_a_damaged_unit_differs_and_keeps_its_length(seed, octets):
    """With every unit in error, each received unit has at least one wrong bit in a short burst."""
    air = Air(seed=seed, rate=1.0)
    air.radio.downlink(0, SECOND, octets)
    air.kernel.run_until(2 * SECOND)
    received = air.received[0][1]
    assert len(received) == len(octets)
    wrong = int.from_bytes(received, "big") ^ int.from_bytes(octets, "big")
    assert wrong
    assert wrong.bit_length() - (wrong & -wrong).bit_length() < 24
    assert air.radio.counters["downlink_units_damaged"] == 1


def test_the_error_rate_is_the_stated_one_and_the_seed_decides_which():
    """Of many units the stated share is damaged, the same ones for the same seed."""

    def damaged(seed):
        air = Air(seed=seed, rate=0.1)
        for _ in range(4000):
            air.radio.downlink(0, SECOND, b"0123456789")
        return [i for i, record in enumerate(air.records) if record[3] == Status.DAMAGED]

    first = damaged(1)
    assert 320 <= len(first) <= 480
    assert damaged(1) == first
    assert damaged(2) != first


@given(
    st.lists(st.integers(0, 5000), unique=True, min_size=1, max_size=60),
    st.integers(1, 12),
    st.integers(1, 500),
)
def test_the_plan_keeps_its_spacing_and_takes_the_best_first(times, count, spacing):
    """Chosen times are sorted, spaced, at most as many as asked for, and hold the best one."""
    score = {t: (t * 7919) % 101 for t in times}
    chosen = choose(times, score.__getitem__, count, spacing)
    assert chosen == sorted(chosen)
    assert len(chosen) <= count
    assert all(b - a >= spacing for a, b in itertools.pairwise(chosen))
    best = min(times, key=lambda t: (-score[t], t))
    assert best in chosen
    numbered = acquisitions(chosen, score.__getitem__, 2000)
    assert [a.job for a in numbered] == list(range(1, len(chosen) + 1))
    assert next(a for a in numbered if a.t_ns == best * SECOND).priority == 0


def test_light_takes_longer_from_a_low_spacecraft() -> None:
    """Overhead the slant range is the height; at the horizon it is the side of a triangle."""
    assert slant_light_ns(90.0, 500.0) == round(500.0 / 299_792.458 * 1e9)
    horizon_km = (6871.0**2 - 6371.0**2) ** 0.5
    assert slant_light_ns(0.0, 500.0) == round(horizon_km / 299_792.458 * 1e9)
    assert slant_light_ns(-3.0, 500.0) == slant_light_ns(0.0, 500.0)
