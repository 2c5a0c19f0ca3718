"""Mission configuration of the flight software: every key, its default and its range.

The keys arrive in ``hal.config`` from the mission profile. A key that is also an on-board parameter
(:mod:`flightsw.codec.dictionary.parameters`) replaces the default of that parameter.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any, NamedTuple

from flightsw.codec.dictionary import APID, PARAMETER_BY_NAME
from flightsw.compute.providers import asked
from flightsw.computer.kinds import KINDS
from flightsw.errors import DeviceTableError


class Key(NamedTuple):
    """One key: numbers lie in lower..upper, words are one of ``choices`` (empty: any word)."""

    kind: type
    default: Any
    lower: float = 0
    upper: float = 0
    choices: tuple[str, ...] = ()
    doc: str = ""


KEYS: dict[str, Key] = {
    "scid": Key(int, 0x2A, 0, 1023, doc="spacecraft id of transfer frames"),
    "apid": Key(int, APID, 0, 2046, doc="application process of the payload computer"),
    "downlink_bps": Key(int, 38400, 100, 100_000_000, doc="rate of the downlink, octets on air"),
    "pass_budget_octets": Key(int, 1_000_000, 260, 1 << 40, doc="octets allowed in one pass"),
    "model_class": Key(str, "segmentation", doc="class of model in the mission's table of loads"),
    "inference": Key(str, "onnx", choices=("onnx", "threshold"), doc="what classifies tiles"),
    "store_max_packets": Key(int, 4096, 16, 65535, doc="telemetry packets kept for a pass"),
    "product_max_octets": Key(int, 6000, 400, 65536, doc="products are decimated to fit"),
    "jobs_max_open": Key(int, 64, 1, 1000, doc="jobs accepted and not yet sent"),
    "jobs_max_kept": Key(int, 128, 1, 1000, doc="sent products kept for ground to ask again"),
    "plan_max_entries": Key(int, 200, 1, 255, doc="activities in the time-based schedule"),
    "epoch_unix_s": Key(int, -1, -1, 1 << 40, doc="mission epoch, for whole seconds of GNSS time"),
    "fsync": Key(bool, True, doc="force commit points to the medium"),
    "computer": Key(str, "none", choices=KINDS, doc="what is read of the computer itself"),
    "thermal": Key(
        str, "bench", choices=("bench", "board", "max"), doc="whose temperature is governed"
    ),
    "providers": Key(str, "cpu", doc="what may run the network, in order: tensorrt,cuda or auto"),
}


class FlightConfig:
    """Checked configuration; each key of :data:`KEYS` is an attribute."""

    scid: int
    apid: int
    downlink_bps: int
    pass_budget_octets: int
    model_class: str
    inference: str
    store_max_packets: int
    product_max_octets: int
    jobs_max_open: int
    jobs_max_kept: int
    plan_max_entries: int
    epoch_unix_s: int
    fsync: bool
    computer: str
    thermal: str
    providers: str

    def __init__(self, given: Mapping[str, Any]) -> None:
        """Check ``given``; raises :class:`~flightsw.errors.DeviceTableError` naming the key."""
        for name, key in KEYS.items():
            setattr(self, name, _checked(name, key, given.get(name, key.default)))
        try:
            asked(self.providers)
        except ValueError as error:
            raise DeviceTableError(f"flight configuration: providers: {error}") from None
        #: defaults of on-board parameters that the mission replaces
        self.parameters: dict[str, float] = {}
        for name, value in given.items():
            if name in PARAMETER_BY_NAME:
                self.parameters[name] = _parameter(name, value)
            elif name not in KEYS:
                raise DeviceTableError(f"flight configuration: unknown key {name!r}{_near(name)}")


def _near(name: str) -> str:
    near = difflib.get_close_matches(name, [*KEYS, *PARAMETER_BY_NAME], n=1)
    return f"; nearest known is {near[0]!r}" if near else f"; known are {', '.join(KEYS)}"


def _checked(name: str, key: Key, value: Any) -> Any:
    # bool is an int to Python, not to the reader of a mission profile
    bad = not isinstance(value, key.kind) or (key.kind is int and isinstance(value, bool))
    if bad:
        raise DeviceTableError(
            f"flight configuration: {name} = {value!r} must be of type {key.kind.__name__}"
        )
    if key.kind is int and not key.lower <= value <= key.upper:
        raise DeviceTableError(
            f"flight configuration: {name} = {value} lies outside {key.lower}..{key.upper}"
        )
    if key.choices and value not in key.choices:
        raise DeviceTableError(
            f"flight configuration: {name} = {value!r} must be one of {', '.join(key.choices)}"
        )
    return value


def _parameter(name: str, value: Any) -> float:
    spec = PARAMETER_BY_NAME[name]
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise DeviceTableError(f"flight configuration: {name} = {value!r} must be a number")
    if not spec.lower <= value <= spec.upper:
        raise DeviceTableError(
            f"flight configuration: {name} = {value} lies outside "
            f"{spec.lower}..{spec.upper} {spec.unit}"
        )
    return float(value)
