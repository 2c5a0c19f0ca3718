"""How the receiver finds time and position: start, fix, loss, limits, noise.

Data sheet UBX-19014285 (NEO-M9N): time to first fix, operational limits 80 km and 500 m/s;
integration manual UBX-19014286: limits of the dynamic platform models. Noise is a sum of bounded
uniform draws of the same angle in latitude and longitude.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

import numpy as np

from hil.parts.ublox import ubx
from hil.parts.ublox.gps_time import GPS_EPOCH, WEEK_MS, leap_seconds
from hil.parts.ublox.solution import GOOD_DOPS, NO_DOPS, SYSTEMS, Solution, System, sky

SECOND_NS: Final = 1_000_000_000
#: Mean radius for carrying a position over less than a second, and for metres to degrees.
EARTH_RADIUS_M: Final = 6_371_000.0
METRES_PER_DEGREE: Final = 111_195.0
#: Four uniform draws of +-w have a standard deviation of 2 w / sqrt(3).
_DRAWS: Final = 4
_SIGMA_TO_WIDTH: Final = 0.8660254037844386
UNKNOWN_ACCURACY: Final = 0xFFFF_FFFF
#: Highest altitude (m), horizontal and vertical speed (m/s) by CFG-NAVSPG-DYNMODEL; the airborne
#: models check the altitude only.
MODELS: Final[dict[int, tuple[float, float, float]]] = {
    0: (12_000, 310, 50),
    2: (9_000, 10, 6),
    3: (9_000, 30, 20),
    4: (6_000, 100, 15),
    5: (500, 25, 5),
    6: (80_000, math.inf, math.inf),
    7: (80_000, math.inf, math.inf),
    8: (80_000, math.inf, math.inf),
    9: (9_000, 30, 20),
}
#: limits of the terrestrial firmware, whatever the model
MAX_ALTITUDE_M, MAX_SPEED_M_S = 80_000.0, 500.0
#: Leap seconds that the firmware assumes until it has heard of them.
FIRMWARE_LEAP_S: Final = 18
#: bits of ``navBbrMask`` of UBX-CFG-RST
EPHEMERIS, POSITION, UTC_PARAMETERS, RTC = 0x0001, 0x0010, 0x0080, 0x0100


class Timing(NamedTuple):
    """How long things take, seconds."""

    ttff_s: float
    warm_s: float
    #: hot start, and after a loss
    reacquisition_s: float
    #: how long before the first fix after a cold start the time is known
    time_before_fix_s: float
    #: how long after it leap seconds stay unknown
    utc_s: float


class Noise(NamedTuple):
    """Standard deviations, and the height of the geoid over the ellipsoid."""

    noise_m: float
    velocity_noise_m_s: float
    geoid_separation_m: float


class Navigator:
    """The state of the fix. ``epoch_utc`` is set before :meth:`begin`."""

    epoch_utc: datetime

    def __init__(
        self,
        values: Mapping[str, float],
        random: np.random.Generator,
        timing: Timing,
        noise: Noise,
        satellites: int,
        space: bool,
    ) -> None:
        self.values = values
        self.counters: dict[str, int] = dict.fromkeys(("fixes", "losses", "outside_limits"), 0)
        self.fixed = False
        #: CFG-NAVSPG-DYNMODEL, and the systems that are enabled
        self.model = 0
        self.systems: tuple[System, ...] = SYSTEMS
        self._random = random
        self._timing = timing
        self._space = space
        self._satellites = satellites
        self._geoid_mm = round(noise.geoid_separation_m * 1e3)
        angle = round(noise.noise_m * _SIGMA_TO_WIDTH * 1e7 / METRES_PER_DEGREE)
        height = round(1.5 * noise.noise_m * _SIGMA_TO_WIDTH * 1e3)
        speed = round(noise.velocity_noise_m_s * _SIGMA_TO_WIDTH * 1e3)
        #: half width of each uniform draw: latitude, longitude, height, north, east, down
        self._widths = (angle, angle, height, speed, speed, speed)
        self._known = False  # time known
        self._had_fix = False  # a position since the last cold start, so that a fix comes back soon
        self._utc_known = False  # leap seconds heard of
        self._first_fix_ns = 0
        self._ready_ns = 0  # no fix before this
        self._begun_ns = 0
        self._ttff_ns = -1  # since the last start; -1: no fix yet
        self._wait_ns = 0  # from sight of the sky to a fix
        self._position = (0, 0, 0)  # last lat_1e7, lon_1e7, height_mm
        self._lost_ns = 0
        self._top_ns = 0

    def begin(self, t_ns: int, forget: int = 0xFFFF) -> None:
        """Start at ``t_ns`` after forgetting what ``navBbrMask`` says: cold, warm or hot."""
        timing = self._timing
        self.fixed = False
        if forget & RTC:
            self._known = False
        if forget & UTC_PARAMETERS:
            self._utc_known = False
        if forget & POSITION:
            self._position = (0, 0, 0)
        wait_s = timing.reacquisition_s
        if forget & EPHEMERIS:
            wait_s = timing.ttff_s if forget & (POSITION | RTC) else timing.warm_s
        self._had_fix = wait_s == timing.reacquisition_s and self._had_fix
        if not forget & EPHEMERIS and not self._had_fix:
            wait_s = timing.ttff_s  # there was nothing to start from
        self._begun_ns = self._top_ns = self._lost_ns = t_ns
        self._ttff_ns = -1
        self._wait_ns = round(wait_s * 1e9)
        self._ready_ns = t_ns + self._wait_ns

    def utc(self, t_ns: int) -> datetime:
        """Return true UTC at virtual time ``t_ns``, to the microsecond."""
        return self.epoch_utc + timedelta(microseconds=t_ns // 1000)

    def judge(self, t_ns: int) -> None:
        """Follow the sky at the top of a second: a fix needs sight of it, and takes its time."""
        self._top_ns = t_ns
        timing = self._timing
        if self.values["fix"] < 0.5 or not self._within_limits():
            if self.fixed:
                self.counters["losses"] += 1
                self._lost_ns = t_ns
            self.fixed = False
            if self._had_fix:
                self._wait_ns = round(timing.reacquisition_s * 1e9)
            self._ready_ns = t_ns + self._wait_ns
        elif not self.fixed and t_ns >= self._ready_ns:
            if self._ttff_ns < 0:
                self._ttff_ns = t_ns - self._begun_ns
            if not self._had_fix:
                self._first_fix_ns = t_ns
            self.fixed = self._known = self._had_fix = True
            self.counters["fixes"] += 1
        if not self._known and t_ns >= self._ready_ns - round(timing.time_before_fix_s * 1e9):
            self._known = True
        if self._had_fix and t_ns >= self._first_fix_ns + round(timing.utc_s * 1e9):
            self._utc_known = True

    def _within_limits(self) -> bool:
        """Tell whether the platform model and the firmware allow for this altitude and speed."""
        if self._space:
            return True
        altitude, horizontal, vertical = MODELS[self.model]
        north, east, down = (self.values[name] for name in ("vn_m_s", "ve_m_s", "vd_m_s"))
        ground = math.hypot(north, east)
        good = (
            self.values["alt_m"] <= min(altitude, MAX_ALTITUDE_M)
            and ground <= horizontal
            and abs(down) <= vertical
            and math.hypot(ground, down) <= MAX_SPEED_M_S
        )
        self.counters["outside_limits"] += not good
        return good

    def solve(self, t_ns: int) -> Solution:
        """Return the navigation solution of the epoch ``t_ns``."""
        fixed, known = self.fixed, self._known
        true = self.utc(t_ns)
        leap = true_leap = leap_seconds(true)
        if not self._utc_known:
            leap = FIRMWARE_LEAP_S
        # Until it has heard of them, UTC is GPS time less the leap seconds of the firmware.
        utc = true + timedelta(seconds=true_leap - leap)
        if not known:
            utc = GPS_EPOCH + timedelta(microseconds=t_ns // 1000)
        gps_ms = (true - GPS_EPOCH) // timedelta(milliseconds=1) + 1000 * true_leap
        north = east = down = ground = heading = 0
        if fixed:
            north, east, down = self._measure(t_ns)
            ground = math.isqrt(north * north + east * east)
            heading = round(math.degrees(math.atan2(east, north)) * 1e5) % 36_000_000
        lat, lon, height = self._position
        age_s = 0 if fixed else (t_ns - self._lost_ns) // SECOND_NS
        valid = ubx.VALID_DATE | ubx.VALID_TIME if known else 0
        used = self._satellites if fixed else 0
        pvt = ubx.NavPvt(
            itow_ms=gps_ms % WEEK_MS if known else t_ns // 1_000_000,
            year=utc.year,
            month=utc.month,
            day=utc.day,
            hour=utc.hour,
            minute=utc.minute,
            second=utc.second,
            valid=valid | ubx.FULLY_RESOLVED if known and self._utc_known else valid,
            # A crystal without sight of the sky drifts about a microsecond a second.
            t_acc_ns=30 + 1000 * age_s if known else UNKNOWN_ACCURACY,
            nano=utc.microsecond * 1000,
            fix_type=ubx.FIX_3D if fixed else ubx.FIX_NONE,
            flags=ubx.GNSS_FIX_OK if fixed else 0,
            flags2=ubx.CONFIRMED if known and self._utc_known else 0,
            num_sv=used,
            lon_1e7=lon,
            lat_1e7=lat,
            height_mm=height,
            msl_mm=height - self._geoid_mm,
            h_acc_mm=2000 if fixed else UNKNOWN_ACCURACY,
            v_acc_mm=3000 if fixed else UNKNOWN_ACCURACY,
            vel_n_mm_s=north,
            vel_e_mm_s=east,
            vel_d_mm_s=down,
            ground_mm_s=ground,
            head_motion_1e5=heading,
            s_acc_mm_s=50 if fixed else 20_000,
            head_acc_1e5=30_000 if fixed else 18_000_000,
            pdop_centi=GOOD_DOPS.position if fixed else NO_DOPS.position,
            flags3=0 if fixed else ubx.INVALID_LLH,
        )
        return Solution(
            pvt=pvt,
            utc=utc if known else None,
            fixed=fixed,
            week=gps_ms // WEEK_MS if known else 0,
            ftow_ns=true.microsecond % 1000 * 1000,
            leap_s=leap,
            leap_known=known and self._utc_known,
            satellites=sky(t_ns // SECOND_NS, used, self.systems) if fixed else (),
            systems=self.systems,
            dops=GOOD_DOPS if fixed else NO_DOPS,
            ttff_ms=max(self._ttff_ns, 0) // 1_000_000,
            msss_ms=(t_ns - self._begun_ns) // 1_000_000,
        )

    def _measure(self, t_ns: int) -> tuple[int, int, int]:
        """Sample position and velocity with noise; return velocity north, east, down in mm/s."""
        lat, lon, alt = self._carried((t_ns - self._top_ns) / SECOND_NS)
        values = self.values
        sums = self._random.integers(0, 1 << 16, (6, _DRAWS)).sum(axis=1).tolist()
        noise = [
            ((2 * total - _DRAWS * 0xFFFF) * width + 0xFFFF) // 0x1_FFFE
            for total, width in zip(sums, self._widths, strict=True)
        ]
        lat_1e7 = min(max(round(lat * 1e7) + noise[0], -900_000_000), 900_000_000)
        lon_1e7 = round(lon * 1e7) + noise[1]
        lon_1e7 = (lon_1e7 + 1_800_000_000) % 3_600_000_000 - 1_800_000_000
        self._position = (lat_1e7, lon_1e7, round(alt * 1e3) + noise[2])
        return (
            round(values["vn_m_s"] * 1e3) + noise[3],
            round(values["ve_m_s"] * 1e3) + noise[4],
            round(values["vd_m_s"] * 1e3) + noise[5],
        )

    def _carried(self, after_s: float) -> tuple[float, float, float]:
        """Return latitude, longitude (deg) and height (m) carried on by ``after_s`` < 1 s."""
        values = self.values
        lat, lon, alt = values["lat_deg"], values["lon_deg"], values["alt_m"]
        if not after_s:
            return lat, lon, alt
        radius_m = EARTH_RADIUS_M + alt
        moved_lat = lat + math.degrees(values["vn_m_s"] * after_s / radius_m)
        shrink = max(math.cos(math.radians(lat)), 1e-6)
        moved_lon = lon + math.degrees(values["ve_m_s"] * after_s / (radius_m * shrink))
        return moved_lat, moved_lon, alt - values["vd_m_s"] * after_s


def as_utc(epoch: datetime) -> datetime:
    """Return an instant that may lack its zone as UTC."""
    return epoch.replace(tzinfo=UTC) if epoch.tzinfo is None else epoch
