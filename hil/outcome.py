"""What a run shows while it flies, and what it came to."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hil import verdict

#: line of the table of times -> its key in JSON
TIME_KEYS = {
    "rig (processor)": "rig",
    "rig with flight software": "rig_with_flight_software",
    "  of it capture": "rig.capture",
    "  of it images": "rig.images",
    "  of it snapshots": "rig.snapshots",
    "flight software": "flight_software",
    "waiting, switching": "waiting",
}


@dataclass(frozen=True)
class View:
    """What a progress bar shows."""

    done: float
    orbit_phase: float
    illumination: float
    battery_v: float
    battery_soc: float
    chip_c: float
    jobs: int
    jobs_done: int
    station: str
    real_time_factor: float


@dataclass(frozen=True)
class Outcome:
    """What a run came to."""

    verdict: verdict.Verdict
    digest: str
    records: int
    virtual_s: float
    wall_s: float
    run_dir: Path
    command: str
    #: (what, wall seconds); a name that is indented is a part of the line above it
    where_time_goes: list[tuple[str, float]]
    lateness: dict[str, Any]
    #: seed, mission, board and version of the run
    identity: Mapping[str, Any] = field(default_factory=dict)
    #: False if something from outside stopped the payload computer, or something was real: no
    #: command repeats that
    repeatable: bool = True
    #: the flight software heard how late it was on the wall's clock
    lateness_told: bool = False
    #: roles of the flight software that no part of the board plays
    missing_roles: tuple[str, ...] = ()
    #: which boards took part, what of the payload computer was real; empty: all was emulated
    boards: Mapping[str, Any] = field(default_factory=dict)
    #: records that are not in the capture, by topic
    lost: Mapping[str, int] = field(default_factory=dict)
    #: why there is no report.html; empty if there is one
    report_error: str = ""

    @property
    def real_time_factor(self) -> float:
        """How many times faster than real time it flew."""
        return self.virtual_s / self.wall_s if self.wall_s else math.inf

    def as_json(self) -> dict[str, Any]:
        """Return the object of ``hil run --json``."""
        return {
            **self.identity,
            "verdict": verdict.GOOD if self.verdict.good else verdict.BAD,
            "digest": self.digest,
            "records": self.records,
            "real_time_factor": round(self.real_time_factor, 2),
            "virtual_s": self.virtual_s,
            "wall_s": round(self.wall_s, 3),
            "run_dir": str(self.run_dir),
            "command": self.command,
            "conditions": [
                {
                    "name": c.name,
                    "good": c.good,
                    "figure": c.figure,
                    "limit": c.limit,
                    **({"value": c.value} if c.value is not None else {}),
                    **({"limit_value": c.limit_value} if c.limit_value is not None else {}),
                    **({"unit": c.unit} if c.unit else {}),
                }
                for c in self.verdict.conditions
            ],
            "unknowns": dict(self.verdict.unknowns),
            "where_time_goes_s": {
                TIME_KEYS[name]: round(value, 3) for name, value in self.where_time_goes
            },
            "repeatable": self.repeatable,
            "missing_roles": list(self.missing_roles),
            **({"boards": dict(self.boards)} if self.boards else {}),
            **({"records_lost": dict(self.lost)} if self.lost else {}),
            "lateness": self.lateness,
            # run.json is written before the report is, so it says nothing of it.
            **({"report_error": self.report_error} if self.report_error else {}),
        }
