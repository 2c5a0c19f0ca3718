"""Maxim DS3231: a clock with calendar, two alarms and a temperature-compensated crystal.

Source: data sheet 19-5170 (revision 10), sections "Address Map" (figure 1), "Clock and Calendar",
"Alarms" (table 2), "Control Register", "Status Register", "Aging Offset", "Temperature Registers".
The time registers are latched at the start of a transaction; writing the seconds restarts the
second. The temperature is measured every 64 s and on CONV, 125 ms at a time.

Without ``time`` the part has lost its battery: it counts from 2000-01-01 00:00:00 and OSF is set.

The pin ``int`` is INT/SQW with INTCN set: low while an alarm that is enabled stands, from the
second of the alarm on while the part is started.

Not modelled: the square wave (RS2, RS1) and the 32kHz pin (EN32kHz; both tagged), the switch to the
battery and EOSC and BBSQW with it (EOSC stops nothing while there is a supply), RST, the start of
the crystal. An illogical date, of which the data sheet says nothing, counts on from the nearest
logical one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from typing import ClassVar

from hil.errors import ConfigError
from hil.parts.base import Param, Quantity, Scheduler, unwired
from hil.parts.conversion import Converter
from hil.parts.guide import Guide, Reading
from hil.parts.limits import check_limits
from hil.parts.registers import Register, RegisterMap, RegisterTarget, ro, signed
from hil.time.phase import Phase

SECONDS, HOURS, DAY, DATE, MONTH, YEAR, ALARM1, ALARM2 = 0, 2, 3, 4, 5, 6, 0x07, 0x0B
CONTROL, STATUS, AGING, TEMPERATURE = 0x0E, 0x0F, 0x10, 0x11
INTCN, CONV, OSF, BUSY, A2F, A1F = 1 << 2, 1 << 5, 1 << 7, 1 << 2, 1 << 1, 1 << 0
SECOND_NS = 1_000_000_000
CONVERSION_NS, EVERY_NS = 125_000_000, 64_000_000_000
#: a conversion that CONV asked for does not show in BSY before
BUSY_NS = 2_000_000
#: frequency change of one step of the aging register at 25 degC ("Aging Offset")
AGING_PPB = 100
_EPOCH = date(2000, 1, 1).toordinal()
_NAMES = ("SECONDS", "MINUTES", "HOURS", "DAY", "DATE", "MONTH", "YEAR")
_MASKS = (0x7F, 0x7F, 0x7F, 0x07, 0x3F, 0x9F, 0xFF)
_TWELVE, _PM = 1 << 6, 1 << 5


def _bcd(number: int) -> int:
    return number // 10 << 4 | number % 10


def _number(bcd: int) -> int:
    return (bcd >> 4) * 10 + (bcd & 15)


def _hour_of(register: int) -> int:
    """Return the hour that an hours register means, 12 or 24-hour."""
    if register & _TWELVE:
        return _number(register & 0x1F) % 12 + (12 if register & _PM else 0)
    return min(_number(register & 0x3F), 23)


def _register_of(hour: int, like: int) -> int:
    """Return the hours register of an hour, in the mode of ``like``."""
    if like & _TWELVE:
        return _TWELVE | (_PM if hour >= 12 else 0) | _bcd((hour - 1) % 12 + 1)
    return _bcd(hour)


class Ds3231(RegisterTarget):
    """DS3231 at register level; ``time`` is what it shows at power-up, ISO 8601, or nothing."""

    MAP = RegisterMap(
        (
            *(Register(n, name, writable=_MASKS[n]) for n, name in enumerate(_NAMES)),
            *(Register(ALARM1 + n, f"ALARM1_{n}") for n in range(4)),
            *(Register(ALARM2 + n, f"ALARM2_{n}") for n in range(3)),
            Register(CONTROL, "CONTROL", 0x1C, unmodelled=0xD8),
            Register(STATUS, "STATUS", 0x08, 0x08, unmodelled=0x08, w0c=OSF | A1F | A2F),
            Register(AGING, "AGING"),
            ro(TEMPERATURE, "TEMPERATURE_MSB"),
            ro(TEMPERATURE + 1, "TEMPERATURE_LSB"),
        ),
        size=0x13,
    )
    QUANTITIES: ClassVar[Mapping[str, Quantity]] = {
        "temperature_c": Quantity("degC", -40.0, 85.0, 0.25)
    }
    PARAMS: ClassVar[Mapping[str, Param]] = {
        "time": Param(None, ""),
        "drift_ppm": Param(None, 0.0),
    }
    ADDRESSES: ClassVar[tuple[int, ...]] = (0x68,)
    GUIDE: ClassVar[Guide] = Guide(
        fields={
            "HOURS": "H12 6, TENS 5:4, ONES 3:0",
            "MONTH": "CENTURY 7, TENS 4, ONES 3:0",
            "CONTROL": "EOSC 7, BBSQW 6, CONV 5, RS 4:3, INTCN 2, A2IE 1, A1IE 0",
            "STATUS": "OSF 7, EN32KHZ 3, BSY 2, A2F 1, A1F 0",
        },
        readings={"temperature_c": Reading("TEMPERATURE_MSB", 0.25, shift=6, nbytes=2)},
        settle_s=130.0,
        volatile={**dict.fromkeys(("DAY", "DATE", "MONTH"), 0xFF), "STATUS": 0x84, "CONTROL": 0x20},
        careful=dict.fromkeys(
            ("SECONDS", "MINUTES", "HOURS", "DAY", "DATE", "MONTH", "YEAR"), "it is the time"
        ),
    )
    #: direction of each pin, seen from the part
    PINS: ClassVar[Mapping[str, str]] = {"int": "out"}
    #: open drain, pulled up
    PIN_IDLE: ClassVar[Mapping[str, int]] = {"int": 1}

    def __init__(self, name: str, seed: int = 0, time: str = "", drift_ppm: float = 0.0) -> None:
        super().__init__(name, seed)
        check_limits(name, {"drift_ppm": (drift_ppm, -1000, 1000)})
        self.values = {"temperature_c": 25.0}
        self.drift_ppb = round(drift_ppm * 1000)
        self._rate_ppb = self.drift_ppb  # with the aging register in it
        self._start_ns = 0  # when the count of seconds below began
        self._counted = 0  # seconds since then that the registers show
        values = self.file.values
        values[DAY : YEAR + 1] = (1, 1, 1, 0)
        if time:
            self._show(self._parse(time))
        else:
            values[STATUS] |= OSF
        self._converter = Converter()
        self._converter.start(0, EVERY_NS, CONVERSION_NS)
        self.gpio_drive: Callable[[int, str, int], None] = unwired
        self._scheduler: Scheduler | None = None
        self._source = 0
        self._ticking = False  # a look at the next second is outstanding
        self._level = 1  # of the pin
        self._asked = Converter()  # the conversion that CONV asked for

    def _parse(self, text: str) -> int:
        """Return seconds since 2000 of a time in ISO 8601."""
        try:
            when = datetime.fromisoformat(text).replace(tzinfo=None)
        except ValueError:
            when = None
        if when is None or not 2000 <= when.year <= 2199:
            raise ConfigError(
                f"part {self.name!r}: time is {text!r}; give a time of the years 2000 to 2199, "
                "as 2026-01-31T12:00:00"
            )
        day = when.toordinal() - _EPOCH
        self.file.values[DAY] = (day + 5) % 7 + 1  # Monday is 1 until software says otherwise
        return day * 86400 + when.hour * 3600 + when.minute * 60 + when.second

    # Clock --------------------------------------------------------------------------------------

    def _seconds(self) -> int:
        """Return what the time registers show, as seconds since 2000 (or the nearest logical)."""
        values = self.file.values
        year = 2000 + (100 if values[MONTH] & 0x80 else 0) + min(_number(values[YEAR]), 99)
        month = min(max(_number(values[MONTH] & 0x1F), 1), 12)
        first = date(year, month, 1)
        last = (first + timedelta(days=31)).replace(day=1) - timedelta(days=1)
        day = min(max(_number(values[DATE]), 1), last.day)
        minute, second = min(_number(values[1]), 59), min(_number(values[0]), 59)
        days = first.toordinal() + day - 1 - _EPOCH
        return days * 86400 + _hour_of(values[HOURS]) * 3600 + minute * 60 + second

    def _show(self, seconds: int) -> None:
        """Put ``seconds`` since 2000 into all time registers but the day of the week."""
        values = self.file.values
        seconds %= 73049 * 86400  # the calendar of 200 years starts over
        days, rest = divmod(seconds, 86400)
        when = date.fromordinal(_EPOCH + days)
        values[0], values[1] = _bcd(rest % 60), _bcd(rest // 60 % 60)
        values[HOURS] = _register_of(rest // 3600, values[HOURS])
        values[DATE] = _bcd(when.day)
        values[MONTH] = _bcd(when.month) | (0x80 if when.year >= 2100 else 0)
        values[YEAR] = _bcd(when.year % 100)

    def _elapsed_ns(self, t_ns: int) -> int:
        """Return the crystal's time since the count began."""
        since_ns = t_ns - self._start_ns
        return since_ns + since_ns * self._rate_ppb // SECOND_NS

    def refresh(self, t_ns: int) -> None:
        """Move the clock to ``t_ns``, raise alarms that were passed, take in the temperature."""
        elapsed = self._elapsed_ns(t_ns) // SECOND_NS
        if elapsed > self._counted:
            before = self._seconds()
            now = before + elapsed - self._counted
            self._counted = elapsed
            values = self.file.values
            values[DAY] = (values[DAY] - 1 + now // 86400 - before // 86400) % 7 + 1
            self._show(now)
            self._alarms(before, now, values[DAY])
        self._temperature(t_ns)
        self._drive(t_ns)

    @property
    def _converting(self) -> bool:
        return bool(self.file.values[STATUS] & BUSY) or self._asked.busy

    def _temperature(self, t_ns: int) -> None:
        values = self.file.values
        for converter in (self._converter, self._asked):
            if converter.ended(t_ns):
                inputs = converter.held or self.values
                counts = round(inputs["temperature_c"] * 4)
                values[TEMPERATURE], values[TEMPERATURE + 1] = counts >> 2 & 0xFF, (counts & 3) << 6
        by_itself = t_ns >= self._converter.due_ns - CONVERSION_NS
        seen_ns = self._asked.due_ns - CONVERSION_NS + BUSY_NS
        shown = by_itself or (self._asked.busy and t_ns >= seen_ns)
        values[STATUS] = values[STATUS] & ~BUSY | (BUSY if shown else 0)
        if not self._asked.busy:
            values[CONTROL] &= ~CONV

    # Alarms (table 2) -----------------------------------------------------------------------------

    def _alarms(self, before: int, now: int, weekday: int) -> None:
        """Raise the flags of alarms that match a second in (before, now]."""
        values = self.file.values
        for flag, at, second in ((A1F, ALARM1, values[ALARM1]), (A2F, ALARM2 - 1, 0)):
            fields = (second, *values[at + 1 : at + 4])
            if not values[STATUS] & flag and self._passed(fields, before, now, weekday):
                values[STATUS] |= flag

    def _passed(self, fields: tuple[int, ...], before: int, now: int, weekday: int) -> bool:
        """Tell whether seconds, minutes, hours, day with mask bits match in (before, now]."""
        wanted = (_number(fields[0] & 0x7F), _number(fields[1] & 0x7F), _hour_of(fields[2] & 0x7F))
        second, minute, hour = (
            None if field & 0x80 else value for field, value in zip(fields, wanted, strict=False)
        )
        last = now // 86400
        for day in range((before + 1) // 86400, min(last, (before + 1) // 86400 + 366) + 1):
            if not fields[3] & 0x80:
                shown = fields[3] & 0x3F
                if fields[3] & 0x40:
                    here = (weekday - 1 - (last - day)) % 7 + 1
                    shown &= 0x0F
                else:
                    here = date.fromordinal(_EPOCH + day % 73049).day
                if here != _number(shown):
                    continue
            start = max(before + 1 - day * 86400, 0)
            at = _first_from(start, hour, minute, second)
            if at is not None and day * 86400 + at <= now:
                return True
        return False

    # Pin ------------------------------------------------------------------------------------------

    def start(self, scheduler: Scheduler, source: int) -> None:
        """Drive the pin on its own from now on, not only when the part is accessed."""
        self._scheduler, self._source = scheduler, source
        self._tick()

    def _tick(self) -> None:
        """Look at every second while an alarm can move the pin."""
        enabled = self.file.values[CONTROL] & (A1F | A2F)
        if self._scheduler is None or not enabled or self._ticking:
            return
        self._ticking = True
        rate = SECOND_NS + self._rate_ppb
        since_ns = -(-(self._counted + 1) * SECOND_NS * SECOND_NS // rate)
        at_ns = max(self._start_ns + since_ns, self._scheduler.now_ns)
        self._scheduler.at(at_ns, Phase.PART, self._source, self._look)

    def _look(self, t_ns: int) -> None:
        self._ticking = False
        self.refresh(t_ns)
        self._tick()

    def _drive(self, t_ns: int) -> None:
        """Pull INT low while an alarm stands that is enabled; both have the same bits."""
        control, status = self.file.values[CONTROL], self.file.values[STATUS]
        level = 0 if control & INTCN and control & status & (A1F | A2F) else 1
        if level != self._level:
            self._level = level
            self.gpio_drive(t_ns, "int", level)

    # Side effects of the bus --------------------------------------------------------------------

    def on_write(self, t_ns: int, address: int, value: int) -> None:
        """Setting the seconds restarts the second; AGING changes the rate from now on."""
        if address == SECONDS:
            self._start_ns, self._counted = t_ns, 0
        elif address == AGING:
            self._start_ns, self._counted = t_ns - self._elapsed_ns(t_ns) % SECOND_NS, 0
            self._rate_ppb = self.drift_ppb - AGING_PPB * signed(value, 8)
        elif address == CONTROL and value & CONV and not self._converting:
            self._asked.once(t_ns, CONVERSION_NS, self.values)
        self._temperature(t_ns)
        self._drive(t_ns)
        self._tick()


def _first_from(start: int, hour: int | None, minute: int | None, second: int | None) -> int | None:
    """Return the first second of the day from ``start`` that has these fields; None is any."""
    for h in range(24) if hour is None else (hour,):
        if h * 3600 + 3599 < start:
            continue
        for m in range(60) if minute is None else (minute,):
            at = h * 3600 + m * 60
            if at + 59 < start:
                continue
            s = max(start - at, 0) if second is None else second
            if s <= 59 and at + s >= start:
                return at + s
    return None
