"""The keys that a mission profile may hold: one table that the loader walks.

``Field(kind, unit, required)``. Kinds: ``number`` and ``count`` (a quantity in ``unit``, the latter
whole), ``curve`` (numbers in ``unit``), ``text``, ``flag``, ``free`` (any plain TOML value; handed
on as it is). Group names ending in ``.*`` hold any number of named tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from flightsw.codec.dictionary import FLIGHT_KEYS

#: how a value is known; see docs of the profile format in :mod:`hil.missions`
EVIDENCE = ("measured", "primary", "secondary", "vendor", "inferred", "assumed")


class Field(NamedTuple):
    """What one key holds; a quantity is converted to ``unit``."""

    kind: str
    unit: str = ""
    required: bool = True
    lower: float = -1e30
    upper: float = 1e30


def _number(
    unit: str, lower: float = -1e30, upper: float = 1e30, *, required: bool = True
) -> Field:
    return Field("number", unit, required, lower, upper)


def _count(unit: str, lower: float, upper: float, *, required: bool = True) -> Field:
    return Field("count", unit, required, lower, upper)


_TINY = 1e-9

SCHEMA: Mapping[str, Mapping[str, Field]] = {
    "mission": {
        "id": Field("text"),
        "title": Field("text"),
        "norad": _count("1", 1, 999_999_999, required=False),
        "note": Field("text", required=False),
    },
    "time": {
        "start_utc": Field("text"),
        "duration": _number("s", 1.0, 366.0 * 86400.0, required=False),
    },
    "orbit": {"line1": Field("text"), "line2": Field("text")},
    "stations.*": {
        "title": Field("text", required=False),
        "latitude": _number("deg", -90.0, 90.0),
        "longitude": _number("deg", -180.0, 360.0),
        "altitude": _number("m", -500.0, 9000.0),
        "min_elevation": _number("deg", -5.0, 90.0),
    },
    "link": {
        "uplink_bps": _count("bit/s", 1, 1e9),
        "downlink_bps": _count("bit/s", 1, 1e9),
        "frame_error_rate": _number("1", 0.0, 1.0),
        "pass_byte_budget": _count("B", 0, 1e12),
        "spacecraft_id": _count("1", 0, 1023),
        "transmitter": _number("W", 0.0, 1e4),
    },
    "power": {
        "array": _number("W", 0.0, 1e6),
        "array_pointing": Field("text"),
        "array_voltage": _number("V", _TINY, 1000.0),
        "battery_capacity": _number("J", 1.0, 1e12),
        "battery_curve": Field("curve", "V", True, _TINY, 1000.0),
        "battery_resistance": _number("ohm", _TINY, 100.0),
        "battery_charge_limit": _number("V", _TINY, 1000.0),
        "battery_initial_soc": _number("1", 0.0, 1.0),
        "brown_out": _number("V", 0.0, 1000.0),
        "brown_out_recovery": _number("V", 0.0, 1000.0),
        "bus_nominal": _number("W", 0.0, 1e6),
        "bus_safe": _number("W", 0.0, 1e6),
    },
    "thermal": {
        "fast_time_constant": _number("s", 2.0, 1e6),
        "fast_resistance": _number("K/W", 0.0, 1e3),
        "slow_time_constant": _number("s", 2.0, 1e6),
        "slow_resistance": _number("K/W", 0.0, 1e3),
        "environment_sun": _number("degC", -150.0, 150.0),
        "environment_eclipse": _number("degC", -150.0, 150.0),
        "environment_time_constant": _number("s", 2.0, 1e6),
    },
    "payload": {
        "title": Field("text", required=False),
        "voltage": _number("V", _TINY, 1000.0),
        "core_power": Field("curve", "W", True, 0.0, 1e5),
        "core_power_reference": _number("degC", -100.0, 200.0),
        "leakage": _number("W/K", 0.0, 0.05),
        "boot_time": _number("s", 0.0, 3600.0),
        "boot_power": _number("W", 0.0, 1e5),
        "throttle_onset": Field("curve", "degC", True, -50.0, 200.0),
        "throttle_clock": Field("curve", "Hz", True, 1.0, 1e12),
        "throttle_power": Field("curve", "1", True, 0.0, 1.0),
        "throttle_hysteresis": _number("K", 0.0, 50.0),
    },
    "payload.model_classes.*": {
        "title": Field("text", required=False),
        "time": _number("s", _TINY, 1e6),
        "energy": _number("J", 0.0, 1e9),
    },
    "imager": {
        "width": _count("1", 2, 4096),
        "height": _count("1", 2, 4096),
        "footprint": _number("m", 1.0, 1e7),
        "exposure": _number("s", 1e-6, 60.0),
        "readout": _number("s", 0.0, 600.0),
    },
    "plan": {
        "images": _count("1", 0, 1000),
        "min_spacing": _number("s", 1.0, 1e6),
        "min_sun_elevation": _number("deg", -90.0, 90.0),
        "margin": _number("s", 0.0, 1e6),
    },
    # The names are those of the on-board parameters that they set before launch.
    "governor": {
        "battery_slow_v": _number("V", 5.0, 40.0, required=False),
        "battery_pause_v": _number("V", 5.0, 40.0, required=False),
        "battery_safe_v": _number("V", 5.0, 40.0, required=False),
        "battery_hysteresis_v": _number("V", 0.0, 5.0, required=False),
        "soc_slow": _number("1", 0.0, 1.0, required=False),
        "soc_pause": _number("1", 0.0, 1.0, required=False),
        "soc_safe": _number("1", 0.0, 1.0, required=False),
        "soc_hysteresis": _number("1", 0.0, 0.5, required=False),
        "chip_slow_c": _number("degC", -20.0, 120.0, required=False),
        "chip_pause_c": _number("degC", -20.0, 120.0, required=False),
        "chip_safe_c": _number("degC", -20.0, 120.0, required=False),
        "chip_hysteresis_c": _number("K", 0.0, 40.0, required=False),
        "sensor_max_age_s": _number("s", 1.0, 600.0, required=False),
        "slow_gap_s": _count("s", 0, 3600, required=False),
    },
    "verdict": {
        "min_battery_v": _number("V", 0.0, 1000.0, required=False),
        "max_chip_c": _number("degC", -50.0, 200.0, required=False),
        "max_board_c": _number("degC", -50.0, 200.0, required=False),
        "min_products": _count("1", 0, 1e9, required=False),
        "max_overruns": _count("1", 0, 1e9, required=False),
        "no_brown_out": Field("flag", required=False),
        "jobs_accounted": Field("flag", required=False),
        "products_equal": Field("flag", required=False),
        "telecommands_verified": Field("flag", required=False),
        "no_crash": Field("flag", required=False),
    },
    "flight": {name: Field("free", required=False) for name in FLIGHT_KEYS},
}
