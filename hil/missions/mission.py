"""A mission profile in memory: values with their evidence, and typed views of the groups."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from hil.config import nearest
from hil.errors import ConfigError


class Value(NamedTuple):
    """One value of a profile, in the unit of its key, and how it is known.

    ``unknown`` means that nobody published it: ``value`` is then an assumption to go on with.
    """

    key: str
    value: Any
    unit: str
    evidence: str
    source: str
    unknown: bool


class Station(NamedTuple):
    """A ground station on WGS-84."""

    name: str
    lat_deg: float
    lon_deg: float
    alt_m: float
    min_elevation_deg: float


class ModelClass(NamedTuple):
    """What one unit (an image, a tile, a run) of a class of model takes at full clock.

    ``energy_j`` is what it adds to the idle computer.
    """

    name: str
    time_s: float
    energy_j: float


class Mission:
    """A checked mission profile."""

    def __init__(
        self,
        path: str,
        values: Mapping[str, Value],
        start_utc: datetime,
        stations: tuple[Station, ...],
        model_classes: Mapping[str, ModelClass],
        source: str = "",
    ) -> None:
        self.path = path
        #: the text of the file, stored in the capture
        self.source = source
        self.values = values
        #: the instant of t_ns = 0
        self.start_utc = start_utc
        self.stations = stations
        self.model_classes = model_classes

    @property
    def id(self) -> str:
        """Return the short name of the mission."""
        return self.text("mission.id")

    @property
    def title(self) -> str:
        """Return the name to print."""
        return self.text("mission.title")

    @property
    def norad(self) -> int | None:
        """Return the catalogue number, where there is one."""
        return int(self.values["mission.norad"].value) if "mission.norad" in self.values else None

    @property
    def duration_s(self) -> float | None:
        """Return how long a run lasts by default; None: one orbit."""
        return self.number("time.duration") if "time.duration" in self.values else None

    @property
    def tle(self) -> tuple[str, str]:
        """Return the two lines of the element set."""
        return self.text("orbit.line1"), self.text("orbit.line2")

    def value(self, key: str) -> Value:
        """Return a value with its provenance; an unknown key is an error naming the nearest."""
        try:
            return self.values[key]
        except KeyError:
            hint = nearest(key, self.values)
            raise ConfigError(f"{self.path}: has no value {key!r}{hint}") from None

    def number(self, key: str) -> float:
        """Return a quantity in the unit of its key."""
        return float(self.value(key).value)

    def integer(self, key: str) -> int:
        """Return a whole quantity in the unit of its key."""
        return int(self.value(key).value)

    def curve(self, key: str) -> tuple[float, ...]:
        """Return a list of quantities."""
        return tuple(float(v) for v in self.value(key).value)

    def text(self, key: str) -> str:
        """Return a text."""
        return str(self.value(key).value)

    def group(self, name: str) -> dict[str, Any]:
        """Return the plain values of one group, by key: the verdict, the governor, flight..."""
        lead = name + "."
        return {k[len(lead) :]: v.value for k, v in self.values.items() if k.startswith(lead)}

    def unknowns(self, used_keys: Iterable[str]) -> list[Value]:
        """Return those of the used values that nobody published; a group's name means all of it.

        A name that is neither is an error: what a verdict rests on must not vanish by a misprint.
        """
        found: dict[str, Value] = {}
        for used in used_keys:
            lead = used + "."
            matches = [v for k, v in self.values.items() if k == used or k.startswith(lead)]
            if not matches:
                self.value(used)
            found.update((v.key, v) for v in matches if v.unknown)
        return [value for key, value in self.values.items() if key in found]

    def by_evidence(self) -> dict[str, int]:
        """Return how many values stand on each kind of evidence, and how many are unknown."""
        counts: dict[str, int] = {}
        for value in self.values.values():
            kind = "unknown" if value.unknown else value.evidence
            counts[kind] = counts.get(kind, 0) + 1
        return dict(sorted(counts.items()))
