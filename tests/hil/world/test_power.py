"""The bus: what the array gives, the regulator sheds, the loads take."""

from __future__ import annotations

from pathlib import Path

import pytest

from hil.missions import Mission, load
from hil.missions.loader import FOLDER
from hil.world import World
from hil.world.power import PowerBus

SECOND = 1_000_000_000
TEXT = (FOLDER / "tiansuan_bupt1.toml").read_text(encoding="utf-8")


def changed(folder: Path, *changes: tuple[str, str]) -> Mission:
    """Return the default mission with changes of its text."""
    text = TEXT
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = folder / "changed.toml"
    path.write_text(text, encoding="utf-8")
    return load(path)


def test_a_zenith_panel_sees_the_cosine_of_the_sun(tmp_path: Path) -> None:
    """A fixed panel gives at most the tracking array's power, and on average far less."""
    fixed = World(changed(tmp_path, ('value = "sun"', 'value = "zenith"')))
    tracking = World(load("tiansuan_bupt1"))
    for world in (fixed, tracking):
        world.step(int(world.period_s) * SECOND)
    ratio = fixed.power.ledger_j["available"] / tracking.power.ledger_j["available"]
    # Mean of cos(beta) max(cos u, 0) over a turn, over the sunlit share, for beta of 24 deg.
    assert ratio == pytest.approx(0.913 / 3.1416 / 0.632, rel=0.03)


def test_a_full_battery_makes_the_regulator_shed(tmp_path: Path) -> None:
    """With a full battery in sunlight, harvest falls to the load and the rest is counted."""
    world = World(changed(tmp_path, ("value = 0.85", "value = 1.0")), duration_s=900.0)
    world.step(700 * SECOND)
    assert world.state["power.solar_w"] == pytest.approx(world.state["power.load_w"])
    assert world.power.available_w > world.state["power.solar_w"] + 1.0
    assert world.power.ledger_j["curtailed"] > 500.0
    assert world.state["power.battery_soc"] == 1.0


def test_charge_falls_all_through_the_eclipse() -> None:
    """In the umbra the state of charge falls every second and the array gives nothing."""
    world = World(load("tiansuan_bupt1"))
    (eclipse,) = world.eclipses
    assert eclipse.umbra_in is not None
    assert eclipse.umbra_out is not None
    world.step(eclipse.umbra_in + SECOND)
    last = world.state["power.battery_soc"]
    while world.t_ns + 2 * SECOND < eclipse.umbra_out:
        world.step(world.t_ns + SECOND)
        assert world.state["power.battery_soc"] < last
        assert world.state["power.solar_w"] == world.state["power.solar_a"] == 0.0
        last = world.state["power.battery_soc"]


def test_an_exhausted_battery_browns_out_once(tmp_path: Path) -> None:
    """A battery that runs empty in the dark is one brown-out, and the shortfall is counted."""
    poor = changed(tmp_path, ("value = 230", "value = 8"), ("value = 0.85", "value = 0.5"))
    world = World(poor)
    world.step(int(world.duration_s) * SECOND)
    assert world.power.brown_outs == 1
    assert world.power.ledger_j["shortfall"] > 0.0
    assert world.counters()["power.brown_outs"] == 1.0


def test_the_supply_comes_back_at_the_recovery_voltage_and_not_before() -> None:
    """What the voltage gains when the load goes does not bring the load back; a charge does."""
    mission = load("tiansuan_bupt1")
    bus = PowerBus(mission)
    bus.battery.soc = 0.0095  # 12.37 V open: 12.29 V with the payload computer, 12.31 V without
    for _ in range(20):
        bus.solve(0.0, 0.0 if bus.browned_out else 5.0)
        assert bus.browned_out
    assert bus.brown_outs == 1
    while bus.browned_out:
        below_v = bus.battery.voltage_v
        bus.solve(mission.number("power.array"), 0.0)
        bus.advance(1.0)
    recovery_v = mission.number("power.brown_out_recovery")
    assert below_v < recovery_v <= bus.battery.voltage_v < below_v + 0.1
    bus.solve(0.0, 5.0)
    assert not bus.browned_out


def test_safe_mode_and_silence_lower_the_load() -> None:
    """The bus draws less in safe mode, and more while it transmits in a pass."""
    world = World(load("tiansuan_bupt1"))
    first = world.passes[0]
    world.step(first.aos_ns - 5 * SECOND)
    quiet_w = world.state["power.load_w"]
    world.step(first.aos_ns + 5 * SECOND)
    assert world.state["power.load_w"] - quiet_w == pytest.approx(7.7, abs=0.1)
    world.step(first.los_ns + 5 * SECOND)
    nominal_w = world.state["power.load_w"]
    world.power.mode = "safe"
    world.step(first.los_ns + 10 * SECOND)
    assert nominal_w - world.state["power.load_w"] == pytest.approx(13.52 - 9.3, abs=0.1)


def test_volts_amperes_and_watts_agree() -> None:
    """On each rail the power is voltage times current."""
    world = World(load("tiansuan_bupt1"), duration_s=1000.0)
    world.step(800 * SECOND)
    s = world.state
    assert s["power.bus_v"] * s["power.bus_a"] == pytest.approx(s["power.load_w"])
    assert s["power.payload_v"] * s["power.payload_a"] == pytest.approx(s["power.payload_w"])
    assert s["power.solar_v"] * s["power.solar_a"] == pytest.approx(s["power.solar_w"])
    battery_w = s["power.battery_v"] * s["power.battery_a"]
    assert battery_w == pytest.approx(s["power.solar_w"] - s["power.load_w"])
