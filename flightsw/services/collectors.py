"""Where the values of each housekeeping structure come from, in wire order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from flightsw.codec.dictionary import Role
from flightsw.drivers import lsm6dsox

if TYPE_CHECKING:
    from flightsw.app import App
    from flightsw.services.parts import Parts

_SECOND_NS = 1_000_000_000
_MS_NS = 1_000_000
_AGE_MAX_MS = 0xFFFFFFFF


def status(app: App) -> Sequence[int]:
    """Structure 1."""
    return (
        app.modes.mode,
        app.sensors.power.ladder.state,
        app.sensors.thermal.ladder.state,
        app.parts.mask(),
        app.boot_count,
        (app.clock.now_ns() - app.started_ns) // _SECOND_NS,
        app.verification.accepted,
        app.verification.rejected,
        app.router.last_sequence,
        app.schedule.enabled,
        len(app.schedule.entries),
        app.events.total,
        sum(group.overruns for group in app.scheduler.groups),
        app.monitors.kicks,
        app.monitors.withheld,
        app.store.waiting,
        app.store.dropped,
        app.downlink.pass_octets,
    )


def power(app: App) -> Sequence[int]:
    """Structure 2."""
    sensors = app.sensors
    eps = sensors.eps
    if eps is None:
        told: tuple[int, ...] = (0, 0, 0, 0, 0, _AGE_MAX_MS)
    else:
        age_ms = (app.clock.now_ns() - eps.t_ns) // _MS_NS
        told = (
            eps.battery_mv,
            eps.battery_ma,
            eps.soc_permille,
            eps.solar_mw,
            eps.load_mw,
            min(age_ms, _AGE_MAX_MS),
        )
    return (*sensors.rails, *told, sensors.power.battery.suspicion == 0)


def thermal(app: App) -> Sequence[int]:
    """Structure 3."""
    governor = app.sensors.thermal
    return (
        governor.chip.raw,
        governor.board.raw,
        governor.imu.raw,
        governor.acted_cdeg,
        governor.chip.suspicion,
        governor.board.suspicion,
        governor.imu.suspicion,
    )


def motion(app: App) -> Sequence[int]:
    """Structure 4."""
    fix = app.gnss.fix if app.gnss else None
    where: tuple[int, ...] = (0,) * 8
    if fix is not None:
        where = (
            fix.latitude,
            fix.longitude,
            fix.height_mm // 1000,
            fix.north_mm_s,
            fix.east_mm_s,
            fix.down_mm_s,
            fix.fix,
            fix.satellites,
        )
    row = app.sensors.motion
    return (
        *where,
        app.clock_offset_ns // 1000,
        app.gnss.pulse_count if app.gnss else 0,
        *map(lsm6dsox.urad_s, row[1:4]),
        *map(lsm6dsox.um_s2, row[4:7]),
    )


def compute(app: App) -> Sequence[int]:
    """Structure 5."""
    service = app.compute
    job, totals = service.job, service.store.totals()
    ended = {name: totals[name] for name in ("DISCARDED", "FAILED", "SENT", "ACKNOWLEDGED")}
    made = totals["QUEUED"] + ended["SENT"] + ended["ACKNOWLEDGED"]
    return (
        service.paused,
        job.id if job else 0,
        job.tiles_done if job else 0,
        job.tiles_total if job else 0,
        service.open_jobs(),
        totals.total(),
        totals.total() - totals["ACCEPTED"],
        made,
        ended["DISCARDED"],
        ended["FAILED"],
        ended["SENT"] + ended["ACKNOWLEDGED"],
        ended["ACKNOWLEDGED"],
        service.resumed,
        service.outbox.waiting(),
        service.checkpoints,
        service.work_ns // _MS_NS,
        round(service.energy_j * 1000),
    )


def errors(parts: Parts, role: Role) -> int:
    """Return the operations that a driver gave up."""
    slot = parts.slots.get(role)
    return slot.driver.traffic.errors if slot else 0


def counters(app: App) -> Sequence[int]:
    """Structure 6."""
    slots = app.parts.slots.values()
    gnss, eps, ttc = app.gnss, app.sensors.eps, app.ttc
    stream = gnss.stream if gnss else None
    return (
        sum(slot.driver.traffic.errors for slot in slots),
        sum(slot.driver.traffic.retries for slot in slots),
        *(
            errors(app.parts, role)
            for role in (Role.POWER, Role.TEMP_BOARD, Role.TEMP_CHIP, Role.IMU, Role.FLASH)
        ),
        stream.good_ubx + stream.good_nmea if stream else 0,
        stream.bad if stream else 0,
        stream.skipped if stream else 0,
        eps.frames if eps else 0,
        eps.bad + eps.foreign if eps else 0,
        ttc.overruns if ttc else 0,
        app.uplink.accepted,
        app.uplink.refused,
        app.downlink.frames,
        app.downlink.parts,
        app.downlink.passes,
        app.parameters.slot,
        app.storage.repairs,
    )
