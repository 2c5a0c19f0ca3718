"""A report of a made-up orbit, with every section filled."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from hil.report.model import Condition, ImageRow, PassRow, Report, Series

ORBIT_S = 5650
NAMES = ("battery_v", "battery_soc", "solar_w", "load_w", "payload_w", "chip_c", "board_c")
NAMES += ("environment_c", "illumination", "elevation_deg")
ECLIPSE_S = (2050.0, 4130.0)


def series(step_s: int = 10) -> Series:
    """Return battery, power and temperature of an orbit with one eclipse."""
    times = [float(t) for t in range(0, ORBIT_S, step_s)]
    columns: dict[str, list[float]] = {name: [] for name in NAMES}
    soc, chip, board = 0.85, 38.0, 14.0
    for t in times:
        light = 0.0 if ECLIPSE_S[0] < t < ECLIPSE_S[1] else 1.0
        busy = (t // 420) % 2 == 0 and 300 < t < 3000
        payload = 4.4 if busy else 2.5
        load = 13.5 + payload + (7.7 if 5050 < t < 5400 else 0.0)
        solar = 26.3 * light
        soc += (solar - load) * step_s / 3600 / 230
        chip += ((12 + 9.6 * payload) - chip) * step_s / 260
        board += ((6 + 2.2 * payload + 3 * light) - board) * step_s / 500
        sample = (13.1 + 3.1 * soc + 0.05 * light, soc, solar, load, payload, chip, board)
        sample += (5 + 2 * light, light, 62 * math.sin((t - 100) / 500) if t < 1600 else -20.0)
        for name, value in zip(columns, sample, strict=True):
            columns[name].append(round(value, 4))
    return {"t_s": times, "columns": columns}


def image(job: int, side: int = 208) -> ImageRow:
    """Return an image of a coast under clouds and its class map."""
    rng = np.random.default_rng(job)
    y, x = np.mgrid[0:side, 0:side] / side
    coast = np.sin(5 * x + job) * 0.2 + np.sin(9 * x) * 0.06 + 0.5 > y
    cloud = np.zeros((side, side))
    for _ in range(24):
        cx, cy, r = rng.random(), rng.random(), 0.03 + 0.12 * rng.random()
        cloud += np.exp(-(((x - cx) ** 2) + (y - cy) ** 2) / r**2)
    classes = np.where(cloud > 0.75, 2, coast.astype(int)).astype(np.uint8)
    ground = np.where(coast[..., None], (92, 118, 66), (14, 38, 88)) + rng.normal(
        0, 5, (side, side, 1)
    )
    veil = np.clip(cloud, 0, 1)[..., None]
    pixels = np.clip(ground * (1 - veil) + 236 * veil, 0, 255).astype(np.uint8)
    names = ("water", "land", "cloud")
    row: ImageRow = {
        "job": job,
        "t_s": 400.0 + 190.0 * job,
        "state": ("acknowledged", "acknowledged", "discarded (cloud)", "queued")[job % 4],
        "lat_deg": 61.0 - 9 * job,
        "lon_deg": -120.0 + 11 * job,
        "shares": {name: float((classes == i).mean()) for i, name in enumerate(names)},
        "product_nbytes": 5200 + 377 * job,
        "pixels": pixels,
        "classes": classes,
    }
    if job % 4 < 2:
        row["delivered_s"] = 5080.0 + 30.0 * job
    return row


def make_events() -> list[dict[str, Any]]:
    """Return events of every severity, and a fault."""
    events: list[dict[str, Any]] = [
        {"t_s": 40.0 * i, "source": "flight", "severity": 1, "name": "housekeeping"}
        for i in range(90)
    ]
    events += [
        {"t_s": 2080.0, "source": "flight", "severity": 2, "name": "jobs_paused", "soc": 0.599},
        {"t_s": 3900.5, "source": "fault", "kind": "kill"},
        {"t_s": 3902.0, "source": "flight", "severity": 3, "name": "restarted", "boot_count": 2},
    ]
    return events


CONDITIONS: list[Condition] = [
    {
        "name": "no brown-out",
        "good": True,
        "figure": "battery down to 15.21 V",
        "limit": "above 13 V",
    },
    {
        "name": "temperature",
        "good": True,
        "figure": "chip up to 53.1 °C",
        "limit": "at most 85 °C",
    },
    {
        "name": "jobs",
        "good": True,
        "figure": "10 of 10 jobs finished or accounted for",
        "limit": "none lost, at least 4 jobs",
    },
    {
        "name": "products",
        "good": True,
        "figure": "6 of 6 equal",
        "limit": "all, at least 2",
    },
]


PASSES = (("inuvik", 120.0, 61.2), ("beijing", 1180.0, 24.0), ("troll", 5060.0, 40.8))


def make_pass(station: str, aos_s: float, max_elevation_deg: float) -> PassRow:
    """Return a pass of 340 s."""
    return {
        "station": station,
        "aos_s": aos_s,
        "los_s": aos_s + 340.0,
        "max_elevation_deg": max_elevation_deg,
        "telecommands": 4,
        "frames": 1480,
        "damaged": 6,
        "octets": 384_800,
    }


@pytest.fixture
def report() -> Report:
    """A whole report."""
    return make_report()


def make_report(images: int = 10) -> Report:
    """Return a report with every section filled."""
    return {
        "title": "BUPT-1 (Tiansuan): one orbit",
        "mission": "tiansuan_bupt1",
        "board": "raspberrypi4",
        "seed": 1,
        "verdict": "good",
        "start_utc": "2023-04-04T02:38:00Z",
        "virtual_s": float(ORBIT_S),
        "wall_s": 31.4,
        "real_time_factor": ORBIT_S / 31.4,
        "transport": "ipc",
        "pace": "max",
        "digest": "5b2c" * 16,
        "command": "hil run --board raspberrypi4 --mission tiansuan_bupt1 --seed 1 --transport ipc",
        "version": "flatsat 0.1.0",
        "conditions": CONDITIONS,
        "unknowns": {
            "power.battery_initial_soc": "in the upper part of the measured range",
            "link.pass_byte_budget": "about 9.6 kbit/s over a 340 s pass",
        },
        "series": series(),
        "limits": {"battery_v": 13.0, "chip_c": 85.0},
        "passes": [make_pass(*row) for row in PASSES],
        "images": [image(job) for job in range(images)],
        "telemetry": [
            {"name": "housekeeping", "count": 5650, "octets": 412_000},
            {"name": "verification", "count": 44, "octets": 1_100},
            {"name": "events", "count": 181, "octets": 9_300},
            {"name": "product parts", "count": 402, "octets": 90_900},
        ],
        "rate_groups": [
            {"name": name, "overruns": overruns, "worst_late_ms": 2.5 * overruns}
            for name, overruns in (("control", 1), ("housekeeping", 0), ("slow", 0))
        ],
        "pacing": {
            "lateness_p50_ns": 41_000,
            "lateness_p99_ns": 90_112,
            "lateness_p99_9_ns": 491_520,
            "lateness_max_ns": 900_123,
            "overruns": 2,
        },
        "lateness": [(50.0, 5200), (100.0, 410), (500.0, 37), (1000.0, 3)],
        "counters": {
            "bus.can0": {"retries": 3},
            "link": {"frames damaged": 18, "frames_after_budget": 0},
            "part.imu": {"touched": {"FIFO_CTRL1": 7}},
        },
        "time_breakdown": [
            ("flight software", 14.2),
            ("inference", 8.4),
            ("world", 3.2),
            ("capture", 1.1),
            ("exchange", 4.5),
        ],
        "events": make_events(),
    }
