"""What a mission asks of the bench: the images of its plan, and what flight software is told."""

from __future__ import annotations

from itertools import pairwise

import pytest

from hil.camera import sun_elevation_deg
from hil.fitting import SECOND, flight_config, planned_images
from hil.missions import load as load_mission
from hil.world.world import World

MISSION = load_mission("tiansuan_bupt1")


@pytest.fixture(scope="module")
def world() -> World:
    """The default orbit."""
    return World(MISSION)


def test_the_plan_is_sunlit_spaced_and_after_the_first_contact(world: World) -> None:
    """No image is taken in the dark, close to another, before its upload or near the end."""
    end_ns = round(world.duration_s * SECOND)
    planned = planned_images(MISSION, world, end_ns)
    assert len(planned) == MISSION.integer("plan.images")
    times_ns = [acquisition.t_ns for acquisition in planned]
    first = next(p for p in world.passes if p.aos_ns >= 0)
    assert times_ns[0] > first.los_ns
    assert times_ns[-1] < end_ns - MISSION.number("plan.margin") * SECOND
    spaces_ns = [later - one for one, later in pairwise(times_ns)]
    assert min(spaces_ns) >= MISSION.number("plan.min_spacing") * SECOND
    lowest_deg = min(sun_elevation_deg(world, t_ns) for t_ns in times_ns)
    assert lowest_deg >= MISSION.number("plan.min_sun_elevation")


def test_a_run_that_ends_in_the_first_contact_plans_nothing(world: World) -> None:
    """Where no image fits between first contact and end, the plan is empty."""
    first = next(p for p in world.passes if p.aos_ns >= 0)
    assert planned_images(MISSION, world, first.los_ns) == []


def test_flight_software_is_told_limits_link_and_epoch() -> None:
    """Governor and flight group go to the flight software as they are, with what the link is."""
    told = flight_config(MISSION, "threshold")
    assert told["soc_slow"] == 0.70
    assert told["model_class"] == "segmentation"
    assert told["downlink_bps"] == MISSION.integer("link.downlink_bps")
    assert told["epoch_unix_s"] == MISSION.start_utc.timestamp()
    assert told["inference"] == "threshold"
