"""The orbit of a two-line element set, by SGP4 (the ``sgp4`` package, WGS-72 constants)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from sgp4.api import SGP4_ERRORS, WGS72, Satrec

from hil.errors import ConfigError
from hil.world.frames import (
    NS_PER_DAY,
    Array,
    Epoch,
    Vector,
    ecef_to_geodetic,
    gmst_rad,
    teme_to_ecef,
)

#: Earth's gravitational parameter of WGS-72, km3/s2, which element sets are made with
MU_KM3_S2 = 398600.8


class Orbit:
    """Positions and velocities in TEME, from a two-line element set.

    Times are seconds (arrays) or integer nanoseconds (``at``) after ``epoch``, which is the start
    of the mission, not that of the element set. ``source`` is the file that holds the lines, for
    messages.
    """

    def __init__(self, line1: str, line2: str, epoch: Epoch, source: str = "") -> None:
        self._what = what = f"{source}: element set" if source else "element set"
        _check_line(line1, 1, what)
        _check_line(line2, 2, what)
        self._lines = line1, line2
        try:
            self.satellite = Satrec.twoline2rv(line1, line2, WGS72)
        except ValueError as wrong:
            raise ConfigError(f"{what}: cannot be read: {wrong}") from None
        if self.satellite.error:
            raise ConfigError(f"{what}: {SGP4_ERRORS[self.satellite.error]}")
        self.epoch = epoch

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy needs: the lines, of which SGP4 makes its constants anew."""
        return {name: value for name, value in self.__dict__.items() if name != "satellite"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.satellite = Satrec.twoline2rv(*self._lines, WGS72)

    @property
    def period_s(self) -> float:
        """Return the period of the element set's mean motion (the anomalistic period)."""
        return float(120.0 * math.pi / self.satellite.no_kozai)

    @property
    def age_s(self) -> float:
        """Return how old the element set is at the start of the mission."""
        days = self.epoch.jd - self.satellite.jdsatepoch
        return float(days + self.epoch.fraction - self.satellite.jdsatepochF) * 86400.0

    def states_teme(self, t_s: Array) -> tuple[Vector, Vector]:
        """Return positions (km) and velocities (km/s) in TEME at many times."""
        jd = np.full(t_s.shape, self.epoch.jd)
        code, r, v = self.satellite.sgp4_array(jd, self.epoch.fraction + t_s / 86400.0)
        if code.any():
            first = int(np.flatnonzero(code)[0])
            raise ConfigError(
                f"{self._what}: SGP4 fails {t_s[first]:.0f} s after the start of the mission: "
                f"{SGP4_ERRORS[int(code[first])]}; use elements nearer to the start time"
            )
        return Vector(r[:, 0], r[:, 1], r[:, 2]), Vector(v[:, 0], v[:, 1], v[:, 2])

    def at(self, t_ns: int) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
        """Return one position (km) and velocity (km/s) in TEME."""
        days, rest = divmod(t_ns, NS_PER_DAY)
        code, r, v = self.satellite.sgp4(
            self.epoch.jd + days, self.epoch.fraction + rest / NS_PER_DAY
        )
        if code:
            raise ConfigError(f"{self._what}: SGP4 fails at t={t_ns} ns: {SGP4_ERRORS[code]}")
        return r, v

    def gmst(self, t_s: Array) -> Array:
        """Return Greenwich mean sidereal time, rad."""
        return gmst_rad(self.epoch.days_since_j2000(t_s))

    def ecef(self, t_s: Array) -> Vector:
        """Return Earth-fixed positions, km."""
        return teme_to_ecef(self.states_teme(t_s)[0], self.gmst(t_s))

    def geodetic(self, t_s: Array) -> tuple[Array, Array, Array]:
        """Return (latitude deg, longitude deg, height km) on WGS-84."""
        latitude, longitude, height = ecef_to_geodetic(self.ecef(t_s))
        return np.degrees(latitude), np.degrees(longitude), height


def _check_line(line: str, number: int, what: str) -> None:
    """Raise ConfigError unless a line of an element set has its length, number and checksum."""
    text = line.rstrip()
    where = f"{what}, line {number}"
    if len(text) != 69 or not text.isascii():
        raise ConfigError(f"{where}: has {len(text)} characters; a line has 69")
    if not text.startswith(f"{number} "):
        raise ConfigError(f"{where}: starts with {text[:2]!r}; expected '{number} '")
    total = sum(int(c) if c.isdigit() else c == "-" for c in text[:68]) % 10
    if text[68] != str(total):
        raise ConfigError(
            f"{where}: checksum is {text[68]!r}; its digits add up to {total}; copy the line again"
        )
