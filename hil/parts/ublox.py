"""A u-blox GNSS receiver: UBX and NMEA on a serial line, a time pulse on a pin.

Modelled on the NEO-M9N: data sheet UBX-19014285 (time to first fix, accuracy, 25 Hz), interface
description UBX-19035940 (messages, configuration), integration manual UBX-19014286 (time pulse).
The limits of the terrestrial firmware (80 km, 500 m/s) are taken to be lifted, as they are for
receivers that fly; nothing else changes.

Each navigation epoch is sampled at its instant and reported a computation time later: GNRMC,
GNGGA, then NAV-PVT, unless switched off. Before the first fix, and while quantity ``fix`` is 0,
the messages say so and the time pulse rests.

Not modelled: satellites as such (NAV-SAT, GSV), dead reckoning after a loss, raw measurements,
power save modes, baud rate changes (UBX-CFG-PRT), I2C and USB ports, time pulse settings, antenna
supervisor, the leap second itself while it happens. Noise is a sum of bounded uniform draws of the
same angle in latitude and longitude.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, ClassVar, Final

from hil.errors import ConfigError
from hil.parts import nmea, ubx
from hil.parts.base import Param, Part, Quantity, Scheduler
from hil.parts.gps_time import GPS_EPOCH, time_of_week_ms
from hil.parts.limits import check_limits
from hil.parts.pps import TimePulse
from hil.parts.ublox_config import Configuration
from hil.time.phase import Phase

SECOND_NS: Final = 1_000_000_000
#: Mean radius for carrying a position over less than a second, and for metres to degrees.
EARTH_RADIUS_M: Final = 6_371_000.0
METRES_PER_DEGREE: Final = 111_195.0
#: Four uniform draws of +-w have a standard deviation of 2 w / sqrt(3).
_DRAWS: Final = 4
_SIGMA_TO_WIDTH: Final = 0.8660254037844386
UNKNOWN_ACCURACY: Final = 0xFFFF_FFFF


class Ublox(Part):
    """The receiver. ``epoch_utc``: the instant of t = 0, set by the rig before :meth:`start`."""

    QUANTITIES: ClassVar[Mapping[str, Quantity]] = {
        "lat_deg": Quantity("deg", -90.0, 90.0, 2e-5),
        "lon_deg": Quantity("deg", -180.0, 180.0, 2e-5),
        "alt_m": Quantity("m", -1_000.0, 2_000_000.0, 3.0),
        "vn_m_s": Quantity("m/s", -12_000.0, 12_000.0, 0.08),
        "ve_m_s": Quantity("m/s", -12_000.0, 12_000.0, 0.08),
        "vd_m_s": Quantity("m/s", -12_000.0, 12_000.0, 0.08),
        "fix": Quantity("1", 0.0, 1.0, 0.0),
    }
    PARAMS: ClassVar[Mapping[str, Param]] = {
        "ttff_s": Param("s", 29.0),
        "reacquisition_s": Param("s", 2.0),
        "latency_s": Param("s", 0.060),
        "pulse_s": Param("s", 0.100),
        "noise_m": Param("m", 0.5),
        "velocity_noise_m_s": Param("m/s", 0.02),
        "geoid_separation_m": Param("m", 0.0),
        "satellites": Param(None, 14),
        "send_nmea": Param(None, True),
        "send_ubx": Param(None, True),
    }
    #: direction of each pin, seen from the part
    PINS: ClassVar[Mapping[str, str]] = {"pps": "out"}

    def __init__(
        self,
        name: str,
        seed: int = 0,
        *,
        ttff_s: float = 29.0,
        reacquisition_s: float = 2.0,
        latency_s: float = 0.060,
        pulse_s: float = 0.100,
        noise_m: float = 0.5,
        velocity_noise_m_s: float = 0.02,
        geoid_separation_m: float = 0.0,
        satellites: int = 14,
        send_nmea: bool = True,
        send_ubx: bool = True,
    ) -> None:
        super().__init__(name, seed)
        check_limits(
            name,
            {
                "ttff_s": (ttff_s, 0, 1e5),
                "reacquisition_s": (reacquisition_s, 0, 1e5),
                "latency_s": (latency_s, 0, 10),
                "pulse_s": (pulse_s, 1e-6, 0.999),
                "noise_m": (noise_m, 0, 1e4),
                "velocity_noise_m_s": (velocity_noise_m_s, 0, 1e3),
                "geoid_separation_m": (geoid_separation_m, -200, 200),
                "satellites": (satellites, 4, 92),
            },
        )
        self.values.update(dict.fromkeys(self.QUANTITIES, 0.0), fix=1.0)
        self.epoch_utc: datetime | None = None
        self.uart_send: Callable[[int, bytes], None] = _unwired
        self.gpio_drive: Callable[[int, str, int], None] = _unwired
        self.config = Configuration(send_nmea, send_ubx, self.touch)
        self.pulse = TimePulse(
            lambda t_ns, level: self.gpio_drive(t_ns, "pps", level),
            lambda n: int(self.random.integers(n)),
            width_ns=round(pulse_s * 1e9),
        )
        self.counters: dict[str, int] = dict.fromkeys(
            ("epochs", "fixes", "losses", "octets_in", "octets_out"), 0
        )
        self._ttff_ns = round(ttff_s * 1e9)
        self._reacquisition_ns = round(reacquisition_s * 1e9)
        self._latency_ns = round(latency_s * 1e9)
        angle = round(noise_m * _SIGMA_TO_WIDTH * 1e7 / METRES_PER_DEGREE)
        height = round(1.5 * noise_m * _SIGMA_TO_WIDTH * 1e3)
        speed = round(velocity_noise_m_s * _SIGMA_TO_WIDTH * 1e3)
        #: half width of each uniform draw: latitude, longitude, height, north, east, down
        self._widths = (angle, angle, height, speed, speed, speed)
        self._geoid_mm = round(geoid_separation_m * 1e3)
        self._satellites = satellites
        self._splitter = ubx.Splitter()
        self._fixed = False  # a fix now
        self._known = False  # time and position known since power on
        self._ready_ns = 0  # no fix before this
        self._position = (0, 0, 0)  # last lat_1e7, lon_1e7, height_mm
        self._lost_ns = 0

    def start(self, scheduler: Scheduler, source: int) -> None:
        """Power the receiver on now: first epoch at the next top of a UTC second."""
        if self.epoch_utc is None:
            raise ConfigError(f"part {self.name}: start without epoch_utc; set it first")
        if self.epoch_utc.tzinfo is None:
            self.epoch_utc = self.epoch_utc.replace(tzinfo=UTC)
        self._scheduler, self._source = scheduler, source
        now_ns = scheduler.now_ns
        self._ready_ns = now_ns + self._ttff_ns
        phase_ns = -self.epoch_utc.microsecond * 1000 % SECOND_NS
        first_ns = now_ns + (phase_ns - now_ns) % SECOND_NS
        self._first_ns = self._top_ns = first_ns
        scheduler.at(first_ns, Phase.PART, source, self._second)
        scheduler.at(first_ns, Phase.PART, source, self._epoch)

    def utc(self, t_ns: int) -> datetime:
        """Return UTC at virtual time ``t_ns``, to the microsecond."""
        assert self.epoch_utc is not None, "the receiver runs only after start"
        return self.epoch_utc + timedelta(microseconds=t_ns // 1000)

    def uart_receive(self, t_ns: int, data: bytes) -> None:
        """Take octets from the payload computer and answer each UBX frame in them."""
        self.counters["octets_in"] += len(data)
        for message, payload in self._splitter.feed(data):
            answer = self.config.answer(message, payload)
            if answer:
                self._send(answer, t_ns)

    def gpio_change(self, t_ns: int, pin: str, level: int) -> None:
        """Have no input pins; a wire to one is counted."""
        self.touch(f"pin {pin} driven to {level}")

    def snapshot(self) -> dict[str, Any]:
        """Return counters for the report."""
        counters = {**self.counters, **self._splitter.counters}
        counters |= {f"pulse_{name}": count for name, count in self.pulse.counters.items()}
        return super().snapshot() | {"counters": counters}

    def _second(self, t_ns: int) -> None:
        """Top of a second: judge the fix and give the time pulse."""
        self._top_ns = t_ns
        self._judge(t_ns)
        if self._fixed:
            self.pulse.fire(self._scheduler, self._source, t_ns)
        self._scheduler.at(t_ns + SECOND_NS, Phase.PART, self._source, self._second)

    def _judge(self, t_ns: int) -> None:
        """Follow the sky: a fix needs sight of it for the time to first fix or to reacquire."""
        if self.values["fix"] < 0.5:
            if self._fixed:
                self.counters["losses"] += 1
                self._lost_ns = t_ns
            self._fixed = False
            wait_ns = self._reacquisition_ns if self._known else self._ttff_ns
            self._ready_ns = t_ns + wait_ns
        elif not self._fixed and t_ns >= self._ready_ns:
            self._fixed = self._known = True
            self.counters["fixes"] += 1

    def _epoch(self, t_ns: int) -> None:
        """Take a navigation solution and have it sent after the computation time."""
        config = self.config
        count = self.counters["epochs"]
        self.counters["epochs"] = count + 1
        solution = self._solve(t_ns)
        out = b"".join(
            self._message(message, solution, t_ns)
            for message, rate in config.rates.items()
            if rate and count % rate == 0
        )
        if out:
            self._scheduler.at(
                t_ns + self._latency_ns, Phase.PART, self._source, partial(self._send, out)
            )
        # Epochs stay on multiples of the period after the first, whatever it was before.
        period_ns = config.period_ns
        next_ns = t_ns + period_ns - (t_ns - self._first_ns) % period_ns
        self._scheduler.at(next_ns, Phase.PART, self._source, self._epoch)

    def _send(self, data: bytes, t_ns: int) -> None:
        self.counters["octets_out"] += len(data)
        self.uart_send(t_ns, data)

    def _message(self, message: tuple[int, int], solution: ubx.NavPvt, t_ns: int) -> bytes:
        if message == ubx.NAV_PVT:
            return ubx.nav_pvt(solution)
        utc = self.utc(t_ns) if self._known else None
        fix, lat, lon = self._fixed, solution.lat_1e7, solution.lon_1e7
        if message == ubx.NMEA_RMC:
            return nmea.rmc(utc, fix, lat, lon, solution.ground_mm_s, solution.head_motion_1e5)
        return nmea.gga(
            utc, fix, lat, lon, solution.num_sv, 80, solution.height_mm, solution.msl_mm
        )

    def _solve(self, t_ns: int) -> ubx.NavPvt:
        """Return the navigation solution of the epoch ``t_ns``."""
        utc = self.utc(t_ns) if self._known else GPS_EPOCH + timedelta(microseconds=t_ns // 1000)
        itow_ms = time_of_week_ms(utc) if self._known else t_ns // 1_000_000
        north = east = down = ground = heading = 0
        if self._fixed:
            north, east, down = self._measure(t_ns)
            ground = math.isqrt(north * north + east * east)
            heading = round(math.degrees(math.atan2(east, north)) * 1e5) % 36_000_000
        lat, lon, height = self._position
        fixed = self._fixed
        age_s = 0 if fixed else (t_ns - self._lost_ns) // SECOND_NS
        return ubx.NavPvt(
            itow_ms=itow_ms,
            year=utc.year,
            month=utc.month,
            day=utc.day,
            hour=utc.hour,
            minute=utc.minute,
            second=utc.second,
            valid=ubx.VALID_DATE | ubx.VALID_TIME | ubx.FULLY_RESOLVED if self._known else 0,
            # A crystal without sight of the sky drifts about a microsecond a second.
            t_acc_ns=30 + 1000 * age_s if self._known else UNKNOWN_ACCURACY,
            nano=utc.microsecond * 1000,
            fix_type=ubx.FIX_3D if fixed else ubx.FIX_NONE,
            flags=ubx.GNSS_FIX_OK if fixed else 0,
            flags2=ubx.CONFIRMED if self._known else 0,
            num_sv=self._satellites if fixed else 0,
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
            pdop_centi=120 if fixed else 9999,
            flags3=0 if fixed else ubx.INVALID_LLH,
        )

    def _measure(self, t_ns: int) -> tuple[int, int, int]:
        """Sample position and velocity with noise; return velocity north, east, down in mm/s."""
        lat, lon, alt = self._carried((t_ns - self._top_ns) / SECOND_NS)
        values = self.values
        sums = self.random.integers(0, 1 << 16, (6, _DRAWS)).sum(axis=1).tolist()
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


def _unwired(t_ns: int, *_: object) -> None:
    """Stand for a line or pin that the board does not connect."""
