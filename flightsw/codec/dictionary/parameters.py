"""Parameters of service 20: kept in two slots of the flash, set by ground within their range."""

from __future__ import annotations

from typing import Any, NamedTuple

from construct import Float32b, Int8ub, Int16ub, Int32ub

from flightsw.codec.columns.declaration import field


class Parameter(NamedTuple):
    """One on-board parameter. ``kind`` is the construct type on the wire and in the flash."""

    id: int
    name: str
    kind: Any
    unit: str
    default: float
    lower: float
    upper: float
    doc: str

    def subcon(self) -> Any:
        """Return the parameter as a documented construct field."""
        return field(self.name, self.kind, self.unit, self.doc)


#: Defaults that a mission profile may replace have the same name in :mod:`flightsw.config`.
PARAMETERS: tuple[Parameter, ...] = (
    Parameter(0x8001, "battery_slow_v", Float32b, "V", 14.4, 5, 40, "lower cadence below"),
    Parameter(0x8002, "battery_pause_v", Float32b, "V", 13.8, 5, 40, "pause compute below"),
    Parameter(0x8003, "battery_safe_v", Float32b, "V", 12.8, 5, 40, "safe mode below"),
    Parameter(
        0x8004, "battery_hysteresis_v", Float32b, "V", 0.3, 0, 5, "step back up above + this"
    ),
    Parameter(0x8005, "soc_slow", Float32b, "1", 0.45, 0, 1, "lower cadence below"),
    Parameter(0x8006, "soc_pause", Float32b, "1", 0.35, 0, 1, "pause compute below"),
    Parameter(0x8007, "soc_safe", Float32b, "1", 0.20, 0, 1, "safe mode below"),
    Parameter(0x8008, "soc_hysteresis", Float32b, "1", 0.03, 0, 0.5, "step back up above + this"),
    Parameter(0x8009, "chip_slow_c", Float32b, "degC", 65, -20, 120, "lower cadence above"),
    Parameter(0x800A, "chip_pause_c", Float32b, "degC", 72, -20, 120, "pause compute above"),
    Parameter(0x800B, "chip_safe_c", Float32b, "degC", 82, -20, 120, "safe mode above"),
    Parameter(
        0x800C, "chip_hysteresis_c", Float32b, "degC", 4, 0, 40, "step back down below - this"
    ),
    Parameter(
        0x800D, "sensor_max_age_s", Float32b, "s", 30, 1, 600, "last good value holds so long"
    ),
    Parameter(0x800E, "max_cloud_percent", Int8ub, "%", 90, 0, 100, "discard images cloudier"),
    Parameter(
        0x800F, "exposure_us", Int32ub, "us", 2000, 10, 1_000_000, "exposure if none is given"
    ),
    Parameter(0x8010, "tiles_per_batch", Int8ub, "", 8, 1, 64, "tiles between checkpoints"),
    Parameter(0x8011, "slow_gap_s", Int16ub, "s", 20, 0, 3600, "rest between batches when slow"),
    Parameter(0x8012, "late_activity_s", Int16ub, "s", 60, 1, 3600, "older activities are not run"),
    Parameter(0x8013, "imu_divider", Int8ub, "", 1, 1, 100, "control cycles per IMU sample"),
)
PARAMETER_BY_ID: dict[int, Parameter] = {p.id: p for p in PARAMETERS}
PARAMETER_BY_NAME: dict[str, Parameter] = {p.name: p for p in PARAMETERS}
