"""What the report is made of. The composer of a run fills these; the page shows what is there.

Times are seconds of virtual time since the start of the run. Sections whose key is absent do not
appear.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NotRequired, TypedDict

import numpy as np
from numpy.typing import NDArray


class Condition(TypedDict):
    """One condition of the verdict, as judged."""

    name: str
    good: bool
    figure: str
    limit: str
    rests_on: NotRequired[Sequence[str]]


class Series(TypedDict):
    """Samples on one time axis: ``columns[name][i]`` was true at ``t_s[i]``.

    Names that the page knows: battery_v, battery_soc (0 to 1), solar_w, load_w, payload_w, chip_c,
    board_c, environment_c, illumination (0 to 1), elevation_deg. Others get a chart of their own.
    """

    t_s: Sequence[float]
    columns: Mapping[str, Sequence[float]]


class PassRow(TypedDict):
    """One pass over a ground station."""

    station: str
    aos_s: float
    los_s: float
    max_elevation_deg: float
    frames: NotRequired[int]
    damaged: NotRequired[int]
    octets: NotRequired[int]
    telecommands: NotRequired[int]
    #: True if the run ends before the pass does; ``los_s`` is the end of the run then
    cut: NotRequired[bool]


class ImageRow(TypedDict):
    """One image taken and what became of it."""

    job: int
    t_s: float
    #: how it ended, in the words of the verdict: ``acknowledged``, ``discarded (cloud)``, ...
    state: str
    lat_deg: NotRequired[float]
    lon_deg: NotRequired[float]
    #: share of the pixels in each class, 0 to 1
    shares: NotRequired[Mapping[str, float]]
    product_nbytes: NotRequired[int]
    delivered_s: NotRequired[float]
    #: uint8, shape (height, width, 3)
    pixels: NotRequired[NDArray[np.uint8]]
    #: uint8, shape (height, width): 0 water, 1 land, 2 cloud, anything else unknown
    classes: NotRequired[NDArray[np.uint8]]


class TelemetryRow(TypedDict):
    """What the ground received of one kind of report."""

    name: str
    count: int
    octets: NotRequired[int]


class RateGroupRow(TypedDict):
    """How one rate group of the flight software kept its time, as its telemetry told."""

    name: str
    overruns: int
    #: the longest that it ended after its next release
    worst_late_ms: float


class Report(TypedDict):
    """A whole report."""

    title: str
    mission: str
    board: str
    seed: int
    #: ``good`` or ``bad``
    verdict: str
    start_utc: str
    virtual_s: float
    wall_s: float
    real_time_factor: float
    transport: str
    pace: str
    digest: str
    #: the command that flies the same run again
    command: str
    version: str
    #: False if no command can fly the same again
    repeatable: NotRequired[bool]
    conditions: Sequence[Condition]
    #: keys of the mission profile that the verdict rests on and nobody knows, with the reason
    unknowns: NotRequired[Mapping[str, str]]
    series: Series
    #: series name -> extremes that lie between the samples
    extremes: NotRequired[Mapping[str, Sequence[float]]]
    #: limits to draw, by series name
    limits: NotRequired[Mapping[str, float]]
    #: (start, end) of each eclipse; found in the illumination if absent
    eclipses: NotRequired[Sequence[tuple[float, float]]]
    passes: NotRequired[Sequence[PassRow]]
    images: NotRequired[Sequence[ImageRow]]
    telemetry: NotRequired[Sequence[TelemetryRow]]
    rate_groups: NotRequired[Sequence[RateGroupRow]]
    #: (upper edge in us, events released up to that late), for the paces real and xN
    lateness: NotRequired[Sequence[tuple[float, int]]]
    #: the same in figures: the pacer's own snapshot
    pacing: NotRequired[Mapping[str, Any]]
    #: which boards took part and what they came to, as ``hil.boards.desk`` tells it
    boards: NotRequired[Mapping[str, Any]]
    #: group -> counter -> count: everything dropped, skipped, refused or not modelled
    counters: NotRequired[Mapping[str, Mapping[str, Any]]]
    #: (what, seconds of wall time)
    time_breakdown: NotRequired[Sequence[tuple[str, float]]]
    #: {"t_s", "source", "severity", "name", ...}; severity 1 is information, 4 is the worst
    events: NotRequired[Sequence[Mapping[str, Any]]]
