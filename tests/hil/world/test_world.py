"""The world of the default mission: names, times, light, passes, energy, repeatability."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hil.errors import UsageError
from hil.missions import load
from hil.world import World

MISSION = load("tiansuan_bupt1")
SECOND = 1_000_000_000
GROUPS = {
    "orbit": ("lat_deg", "lon_deg", "alt_km", "alt_m", "vn_m_s", "ve_m_s", "vd_m_s"),
    "sun": ("illumination", "beta_deg"),
    "power": (
        "solar_w", "battery_v", "battery_soc", "battery_a", "load_w", "payload_v", "payload_a",
        "payload_w", "bus_v", "bus_a", "solar_v", "solar_a",
    ),
    "thermal": ("chip_c", "board_c", "environment_c"),
    "att": ("gyro_x_rad_s", "gyro_y_rad_s", "gyro_z_rad_s", "accel_x_m_s2", "accel_y_m_s2",
            "accel_z_m_s2", "mag_x_t", "mag_y_t", "mag_z_t"),
    "link": ("elevation_deg", "locked"),
}  # fmt: skip
NAMES = [f"{group}.{name}" for group, names in GROUPS.items() for name in names]


@pytest.fixture(scope="module")
def flown() -> World:
    """A world after one whole orbit."""
    world = World(MISSION)
    world.step(int(world.period_s) * SECOND)
    return world


def test_state_holds_every_name_that_parts_bind_to(flown: World) -> None:
    """The state has the agreed names and no other, all of them finite floats."""
    assert sorted(flown.state) == sorted(NAMES)
    assert all(isinstance(v, float) and math.isfinite(v) for v in flown.state.values())


def test_period_and_eclipse_fraction_are_those_of_the_satellite() -> None:
    """Period within 0.1 % of 94.156 min, dark share within 0.005 of 0.368."""
    world = World(MISSION)
    assert world.period_s / 60.0 == pytest.approx(94.156, rel=1e-3)
    assert world.eclipse_fraction == pytest.approx(0.368, abs=0.005)


def test_the_period_is_that_of_the_propagated_motion() -> None:
    """Fifteen orbits from node to node, and from perigee's rate, take 15 periods within 0.1 %."""
    world = World(MISSION)
    t_s = np.arange(0.0, 16.0 * world.period_s, 5.0)
    r, _ = world.orbit.states_teme(t_s)
    up = np.flatnonzero((r.z[:-1] < 0.0) & (r.z[1:] >= 0.0))
    nodes = t_s[up] + 5.0 * r.z[up] / (r.z[up] - r.z[up + 1])
    nodal_s = (nodes[15] - nodes[0]) / 15.0
    assert nodal_s == pytest.approx(94.156 * 60.0, rel=1e-3)


def test_the_default_run_has_an_early_pass_and_two_later_ones() -> None:
    """The first pass begins within five minutes; three whole passes lie in the orbit."""
    world = World(MISSION)
    end_ns = int(world.duration_s * 1e9)
    whole = [p for p in world.passes if p.aos_ns >= 0 and p.los_ns <= end_ns]
    assert world.passes[0].aos_ns < 300 * SECOND
    assert len(whole) >= 3
    for one in whole:
        assert one.aos_ns < one.max_t_ns < one.los_ns
        station = next(s for s in MISSION.stations if s.name == one.station)
        assert one.max_elevation_deg > station.min_elevation_deg


def test_lock_is_exactly_the_time_of_passes(flown: World) -> None:
    """link.locked is 1 inside a pass and 0 outside."""
    world = World(MISSION)
    for second in range(1, int(world.duration_s), 7):
        world.step(second * SECOND)
        inside = any(p.aos_ns <= second * SECOND < p.los_ns for p in world.passes)
        assert world.state["link.locked"] == float(inside)


def test_light_falls_and_rises_at_the_edges_of_the_eclipse() -> None:
    """Illumination is 1 outside, 0 in the umbra, between in the penumbra."""
    world = World(MISSION)
    (eclipse,) = world.eclipses
    assert eclipse.umbra_in is not None
    assert eclipse.umbra_out is not None
    for t_ns, low, high in (
        (eclipse.penumbra_in - 2 * SECOND, 1.0, 1.0),
        ((eclipse.penumbra_in + eclipse.umbra_in) // 2, 0.01, 0.99),
        (eclipse.umbra_in + 2 * SECOND, 0.0, 0.0),
        (eclipse.umbra_out - 2 * SECOND, 0.0, 0.0),
        (eclipse.penumbra_out + 2 * SECOND, 1.0, 1.0),
    ):
        world.step(t_ns)
        assert low <= world.state["sun.illumination"] <= high
        assert (world.state["power.solar_w"] > 0.0) == (high > 0.0)


def test_no_brown_out_and_a_visible_eclipse_in_the_nominal_run() -> None:
    """The battery never browns out, and gives at least 2 % of its charge in the dark."""
    world = World(MISSION)
    (eclipse,) = world.eclipses
    world.step(eclipse.penumbra_in)
    before = world.state["power.battery_soc"]
    world.step(eclipse.penumbra_out)
    after = world.state["power.battery_soc"]
    assert before - after > 0.02
    assert world.power.brown_outs == 0


def test_mean_solar_power_is_the_measured_one() -> None:
    """Over one orbit the array gives the published mean of 16.60 W within 1 %."""
    world = World(MISSION)
    world.step(int(world.period_s) * SECOND)
    mean_w = world.power.ledger_j["available"] / int(world.period_s)
    assert mean_w == pytest.approx(16.60, rel=0.01)


def test_the_same_run_gives_the_same_bits_however_it_is_cut() -> None:
    """Stepping at once, by seconds or by odd amounts ends in the same state, bit for bit."""
    states = []
    for stride_ns in (600 * SECOND, SECOND, 777_777_777):
        world = World(MISSION, duration_s=600.0)
        for t_ns in range(stride_ns, 600 * SECOND + 1, stride_ns):
            world.step(t_ns)
        world.step(600 * SECOND)
        states.append(world.state)
    assert states[0] == states[1] == states[2]


def test_places_of_the_state_and_of_a_point_in_time_agree(flown: World) -> None:
    """geodetic() at a whole second is the place in the state."""
    t_ns = flown.t_ns
    latitude, longitude, height = flown.geodetic(t_ns)
    assert latitude == pytest.approx(flown.state["orbit.lat_deg"], abs=1.1e-7)
    assert longitude == pytest.approx(flown.state["orbit.lon_deg"], abs=1.1e-7)
    assert height == pytest.approx(flown.state["orbit.alt_km"], abs=1.1e-6)


def test_ground_velocity_is_the_change_of_place() -> None:
    """North, east and down velocities are the derivative of the geodetic place."""
    world = World(MISSION, duration_s=3000.0)
    world.step(1500 * SECOND)
    a = world.geodetic(1500 * SECOND - SECOND // 2)
    b = world.geodetic(1500 * SECOND + SECOND // 2)
    radius_m = 6_371_000.0 + world.state["orbit.alt_km"] * 1000.0
    north = math.radians(b[0] - a[0]) * radius_m
    east = math.radians(b[1] - a[1]) * radius_m * math.cos(math.radians(a[0]))
    assert world.state["orbit.vn_m_s"] == pytest.approx(north, rel=0.01)
    assert world.state["orbit.ve_m_s"] == pytest.approx(east, rel=0.01)
    assert world.state["orbit.vd_m_s"] == pytest.approx(-(b[2] - a[2]) * 1000.0, abs=0.5)


def test_the_body_turns_once_an_orbit_about_minus_y(flown: World) -> None:
    """Nadir pointing turns about pitch at the orbital rate and feels free fall."""
    rate = flown.state["att.gyro_y_rad_s"]
    assert rate == pytest.approx(-2.0 * math.pi / flown.period_s, rel=0.01)
    assert flown.state["att.gyro_x_rad_s"] == flown.state["att.accel_z_m_s2"] == 0.0


def test_orbit_phase_starts_at_the_ascending_node() -> None:
    """The phase is 0 going north over the equator, a quarter at the northern turn."""
    world = World(MISSION)
    for t_ns in range(0, int(world.period_s) * SECOND, 60 * SECOND):
        phase = world.orbit_phase(t_ns)
        (_, _, z), (_, _, vz) = world.position_at(t_ns)
        assert 0.0 <= phase < 1.0
        if 0.02 < phase < 0.48:
            assert z > 0.0
        if 0.52 < phase < 0.98:
            assert z < 0.0
        if phase < 0.24 or phase > 0.76:
            assert vz > 0.0


def test_a_run_past_its_end_is_refused() -> None:
    """Stepping beyond what was prepared is an error, not silence."""
    world = World(MISSION, duration_s=10.0)
    with pytest.raises(UsageError, match="prepared for 10 s"):
        world.step(20_000 * SECOND)


@pytest.mark.parametrize("duration_s", [0.0, -5.0, math.nan, 1e9])
def test_an_impossible_duration_is_refused(duration_s: float) -> None:
    """Durations that are not positive or too long are refused before anything is computed."""
    with pytest.raises(UsageError, match="duration"):
        World(MISSION, duration_s=duration_s)


@settings(max_examples=12, deadline=None)
@given(
    cores=st.lists(st.integers(0, 4), min_size=4, max_size=4),
    off=st.integers(0, 3),
    mode=st.sampled_from(["nominal", "safe"]),
)
def test_energy_balance_closes(cores: list[int], off: int, mode: str) -> None:
    """Whatever the load does, the array gives what loads and battery take."""
    world = World(MISSION, duration_s=4000.0)
    world.power.mode = mode
    start_soc = world.power.battery.soc
    for part, count in enumerate(cores):
        world.payload.set_powered(part != off)
        if part != off:
            world.payload.set_active_cores(count)
        world.step((part + 1) * 1000 * SECOND)
    ledger = world.power.ledger_j
    stored = ledger["charged"] - ledger["discharged"]
    assert ledger["solar"] - ledger["load"] == pytest.approx(stored, abs=1e-3)
    assert ledger["available"] == pytest.approx(ledger["solar"] + ledger["curtailed"], abs=1e-3)
    # Stored at the terminals is charge at the curve's voltage plus what the resistance heats.
    moved_c = (world.power.battery.soc - start_soc) * world.power.battery.capacity_c
    inner = stored - ledger["resistance"]
    assert inner / moved_c == pytest.approx(15.8, abs=0.5)
