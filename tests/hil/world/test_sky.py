"""What depends on time alone is computed once, and for no other mission than that one."""

from __future__ import annotations

from hil.missions import Mission, load
from hil.world import World
from hil.world.frames import Epoch
from hil.world.orbit import Orbit
from hil.world.sky import KEPT, compute, sky_of


def orbit_of(mission: Mission) -> Orbit:
    """Return the orbit that a mission flies."""
    return Orbit(*mission.tle, Epoch.of(mission.start_utc), mission.path)


def test_the_sky_of_a_mission_is_kept_and_equals_a_fresh_one() -> None:
    """A second world of the same mission has the very tables of the first, and they are right."""
    one, other = load("tiansuan_bupt1"), load("tiansuan_bupt1")
    kept = sky_of(one, orbit_of(one), 600.0)
    assert sky_of(other, orbit_of(other), 600.0) is kept
    fresh = compute(one, orbit_of(one), 600.0)
    assert {n: c.tolist() for n, c in fresh.columns.items()} == {
        n: c.tolist() for n, c in kept.columns.items()
    }
    assert fresh[1:] == kept[1:]


def test_a_mission_with_another_value_has_another_sky() -> None:
    """Changing a value of a profile, or the duration, is never answered from what was kept."""
    mission = load("tiansuan_bupt1")
    orbit = orbit_of(mission)
    kept = sky_of(mission, orbit, 600.0)
    values = dict(mission.values)
    key = next(n for n in values if n.startswith("power.") and isinstance(values[n].value, float))
    values[key] = values[key]._replace(value=values[key].value * 2)
    changed = Mission(
        mission.path,
        values,
        mission.start_utc,
        mission.stations,
        mission.model_classes,
        mission.source,
    )
    assert sky_of(changed, orbit, 600.0) is not kept
    assert sky_of(mission, orbit, 601.0) is not kept


def test_no_more_than_a_few_skies_are_kept() -> None:
    """A suite with a duration of its own for each test does not fill the memory."""
    mission = load("tiansuan_bupt1")
    orbit = orbit_of(mission)
    first = sky_of(mission, orbit, 10.0)
    for n in range(KEPT):
        sky_of(mission, orbit, 11.0 + n)
    assert sky_of(mission, orbit, 10.0) is not first


def test_a_world_cannot_spoil_the_sky_of_another() -> None:
    """What one run does to its lists of passes and eclipses, the next run of the mission lacks."""
    mission = load("tiansuan_bupt1")
    one = World(mission)
    assert one.passes
    one.passes.clear()
    one.eclipses.clear()
    assert World(mission).passes
    assert World(mission).eclipses
