"""What a mission profile asks of the bench: of parts, of the flight software, of the ground."""

from __future__ import annotations

from typing import Any

from flightsw.codec.link.tm_frame import ASM
from hil.camera import coastal_score, sun_elevation_deg
from hil.config import nearest
from hil.errors import ConfigError
from hil.ground import plan
from hil.ground.segment import Acquisition
from hil.missions.mission import Mission
from hil.world.world import World

SECOND = 1_000_000_000
FRAME_NBYTES = 256


def part_overrides(mission: Mission) -> dict[str, dict[str, Any]]:
    """Return what the mission says of parts: rates of the radio, size of the camera."""
    return {
        "ttc": {
            "downlink_bps": mission.integer("link.downlink_bps"),
            "uplink_bps": mission.integer("link.uplink_bps"),
            "cadu_nbytes": FRAME_NBYTES + len(ASM),
        },
        "imager": {
            "width": mission.integer("imager.width"),
            "height": mission.integer("imager.height"),
            "readout_ms": mission.number("imager.readout") * 1000.0,
        },
    }


def flight_config(mission: Mission, inference: str) -> dict[str, Any]:
    """Return what the flight software is told of the mission in its welcome."""
    config = {**mission.group("governor"), **mission.group("flight")}
    config.setdefault("scid", mission.integer("link.spacecraft_id"))
    config.setdefault("downlink_bps", mission.integer("link.downlink_bps"))
    config.setdefault("pass_budget_octets", mission.integer("link.pass_byte_budget"))
    config.setdefault("epoch_unix_s", int(mission.start_utc.timestamp()))
    config["inference"] = inference
    model_class = config.get("model_class")
    if model_class is None:
        raise ConfigError(
            f"{mission.path}: flight: key 'model_class' is missing; give one of "
            f"{', '.join(mission.model_classes)}"
        )
    if model_class not in mission.model_classes:
        hint = nearest(str(model_class), mission.model_classes)
        raise ConfigError(
            f"{mission.path}: flight.model_class: {model_class!r} has no entry in "
            f"payload.model_classes{hint}"
        )
    return config


def planned_images(mission: Mission, world: World, end_ns: int) -> list[Acquisition]:
    """Choose the images: sunlit, after the first contact has had time to load the plan."""
    whole = [p for p in world.passes if p.aos_ns >= 0] or world.passes
    if not whole:
        return []
    first_s = whole[0].los_ns // SECOND + 5
    last_s = end_ns // SECOND - round(mission.number("plan.margin"))
    lowest_deg = mission.number("plan.min_sun_elevation")
    step = plan.CANDIDATE_STEP_S
    times = [
        t_s
        for t_s in range(first_s, last_s, step)
        if sun_elevation_deg(world, t_s * SECOND) >= lowest_deg
    ]
    scores = {t_s: coastal_score(world, t_s * SECOND) for t_s in times}
    chosen = plan.choose(
        times,
        scores.__getitem__,
        mission.integer("plan.images"),
        mission.number("plan.min_spacing"),
    )
    exposure_us = round(mission.number("imager.exposure") * 1e6)
    return plan.acquisitions(chosen, scores.__getitem__, exposure_us)
