"""The payload computer: jobs, power rail, boot, throttling."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hil.errors import UsageError
from hil.missions import load
from hil.world import World

MISSION = load("tiansuan_bupt1")
SECOND = 1_000_000_000


def ready(duration_s: float = 4000.0) -> World:
    """Return a world whose computer has booted."""
    world = World(MISSION, duration_s=duration_s)
    world.step(60 * SECOND)
    return world


def test_a_job_takes_the_time_and_energy_of_its_class() -> None:
    """Forty tiles of segmentation at full clock take 40 x 0.48 s and 40 x 0.75 J."""
    assert ready().payload.begin("segmentation", 40) == (19_200_000_000, 30_000_000)


@settings(max_examples=20, deadline=None)
@given(units=st.integers(1, 400))
def test_the_energy_of_a_job_is_drawn_from_the_bus(units: int) -> None:
    """What begin() says is what the computer draws over idle, however short the job."""
    idle, busy = ready(), ready()
    duration_ns, energy_uj = busy.payload.begin("segmentation", units)
    extra_j, end_ns = 0.0, busy.t_ns + duration_ns + 3 * SECOND
    while busy.t_ns < end_ns:
        idle.step(idle.t_ns + SECOND)
        busy.step(busy.t_ns + SECOND)
        leak_w = busy.payload.leakage_w_k * (
            busy.state["thermal.chip_c"] - idle.state["thermal.chip_c"]
        )
        extra_j += busy.state["power.payload_w"] - idle.state["power.payload_w"] - leak_w
    assert extra_j == pytest.approx(energy_uj * 1e-6, rel=1e-6)


def test_a_job_warms_the_chip_and_drains_the_battery() -> None:
    """A long job shows in the computer's rail, in heat and in the bus's load."""
    idle, busy = ready(), ready()
    busy.payload.begin("yolo_v5_lite", 40)
    idle.step(500 * SECOND)
    busy.step(500 * SECOND)
    assert busy.state["power.payload_a"] > idle.state["power.payload_a"] + 0.3
    assert busy.state["thermal.chip_c"] > idle.state["thermal.chip_c"] + 15.0
    assert busy.state["power.load_w"] > idle.state["power.load_w"] + 2.0
    assert busy.state["power.battery_soc"] < idle.state["power.battery_soc"]


def test_an_ended_job_stops_drawing() -> None:
    """After end() at most one more second of the job's power is drawn."""
    world = ready()
    world.payload.begin("yolo_v5_lite", 100)
    world.step(80 * SECOND)
    assert world.state["power.payload_w"] > 4.0
    world.payload.end()
    world.step(82 * SECOND)
    assert world.state["power.payload_w"] < 2.6


def test_power_off_stops_everything_and_cools() -> None:
    """Without its rail the computer draws nothing, refuses jobs and cools down."""
    world = ready()
    world.payload.set_active_cores(4)
    world.step(400 * SECOND)
    hot_c = world.state["thermal.chip_c"]
    world.payload.set_powered(False)
    world.step(1400 * SECOND)
    assert world.state["power.payload_w"] == world.state["power.payload_v"] == 0.0
    assert world.state["thermal.chip_c"] < hot_c - 40.0
    with pytest.raises(UsageError, match="powered off"):
        world.payload.begin("segmentation", 1)


def test_switching_on_boots_first() -> None:
    """After power on the computer boots for its boot time, then idles."""
    world = ready()
    world.payload.set_powered(False)
    world.step(100 * SECOND)
    world.payload.set_powered(True)
    assert world.payload.booting
    world.step(110 * SECOND)
    assert world.payload.booting
    assert world.payload.counters["power_cycles"] == 1
    world.step(140 * SECOND)
    assert not world.payload.booting


def test_a_throttled_clock_stretches_jobs() -> None:
    """At a lower clock the same job takes longer by the ratio of clocks, and adds less power."""
    world = ready()
    cold_ns, cold_uj = world.payload.begin("vessel", 10)
    world.payload.end()
    world.payload.set_active_cores(4)
    world.step(1500 * SECOND)
    step = world.payload.clock_step
    assert step >= 3
    hot_ns, hot_uj = world.payload.begin("vessel", 10)
    ratio = world.payload.clock_hz[0] / world.payload.clock_hz[step]
    assert hot_ns == pytest.approx(cold_ns * ratio, rel=1e-9)
    assert hot_uj / hot_ns < cold_uj / cold_ns
    assert world.payload.counters["throttle_begins"] == 1
    assert world.payload.counters["throttled_s"] > 100


@pytest.mark.parametrize(
    ("model_class", "units", "text"),
    [
        ("segmentatoin", 1, "did you mean 'segmentation'"),
        ("segmentation", 0, "at least one"),
        ("segmentation", -3, "at least one"),
    ],
)
def test_a_wrong_job_is_refused_with_a_hint(model_class: str, units: int, text: str) -> None:
    """Unknown classes and impossible counts are refused, naming the nearest class."""
    with pytest.raises(UsageError, match=text):
        ready().payload.begin(model_class, units)


@pytest.mark.parametrize("count", [-1, 5])
def test_an_impossible_number_of_cores_is_refused(count: int) -> None:
    """The computer has four cores."""
    with pytest.raises(UsageError, match="active cores"):
        ready().payload.set_active_cores(count)


def test_a_measured_power_is_drawn_while_it_is_fresh() -> None:
    """For thirty seconds the bus feeds what a real computer measured, and the chip warms by it;
    the jobs of that time are in it, and afterwards the profile holds again."""
    world, other = ready(), ready()
    idle_w = world.payload.power_w
    world.payload.begin("segmentation", 40)
    world.payload.measure(idle_w + 6.0)
    for _ in range(30):
        world.step(world.t_ns + SECOND)
        other.step(other.t_ns + SECOND)
        assert world.payload.power_w == idle_w + 6.0
    assert world.state["thermal.chip_c"] > other.state["thermal.chip_c"] + 1.0
    world.step(world.t_ns + SECOND)
    leak_w = world.payload.leakage_w_k * (
        world.state["thermal.chip_c"] - other.state["thermal.chip_c"]
    )
    assert world.payload.power_w == pytest.approx(other.payload.power_w + leak_w, abs=0.1)


def test_a_computer_without_power_measures_nothing() -> None:
    """What was measured before the rail went off is not drawn when it is back."""
    world = ready()
    world.payload.measure(50.0)
    world.payload.set_powered(False)
    world.step(world.t_ns + SECOND)
    assert world.payload.power_w == 0.0
    world.payload.set_powered(True)
    world.step(world.t_ns + SECOND)
    assert world.payload.power_w < 10.0
