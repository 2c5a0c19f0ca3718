"""Counters of the whole program, for tests and reports."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flightsw.app import App
    from flightsw.hal import Hal


def link_status(hal: Hal) -> dict[str, int]:
    """Return what was counted about the link to the bench; nothing where none can break."""
    session = getattr(hal, "session", None)
    return {} if session is None else dict(session.link_status())


def status(app: App) -> dict[str, Any]:
    """Return counters by subject."""
    return {
        "mode": app.modes.mode.name,
        "link": link_status(app.hal),
        "boot_count": app.boot_count,
        "events": dict(app.events.counts),
        "telecommands": {
            "accepted": app.verification.accepted,
            "rejected": app.verification.rejected,
            "completed": app.verification.completed,
            "failed": app.verification.failed,
            **app.router.counters,
        },
        "uplink": {**app.uplink.counters, **app.uplink.farm.counters},
        "units": app.uplink.unit_counters(),
        "downlink": {
            "passes": app.downlink.passes,
            "frames": app.downlink.frames,
            "idle_frames": app.downlink.idle_frames,
            "parts": app.downlink.parts,
            "parts_resent": app.compute.outbox.parts_resent,
        },
        "store": {
            "waiting": app.store.waiting,
            "dropped": app.store.dropped,
            "unsaved": app.store.unsaved,
        },
        "jobs": dict(app.compute.store.totals()),
        "overruns": {g.spec.name: g.overruns for g in app.scheduler.groups},
        "skipped": {g.spec.name: g.skipped for g in app.scheduler.groups},
        "watchdog": {"kicks": app.monitors.kicks, "withheld": app.monitors.withheld},
        "traffic": {
            slot.role.name.lower(): {
                "errors": slot.driver.traffic.errors,
                "retries": slot.driver.traffic.retries,
                "missing": slot.missing,
            }
            for slot in app.parts.slots.values()
        },
        "storage_repairs": app.storage.repairs,
        "storage_unshortened": app.storage.unshortened,
        "parameters": {
            "saves": app.parameters.saves,
            "save_errors": app.parameters.save_errors,
            "unsaved": app.parameters.unsaved,
        },
        "schedule": {
            "released": app.schedule.released,
            "late": app.schedule.late,
            "unsaved": app.schedule.unsaved,
        },
        "line_unsaved": app.compute.outbox.unsaved,
        "abandoned_batches": app.compute.abandoned,
        "clamped_housekeeping": app.housekeeping.clamped,
    }
