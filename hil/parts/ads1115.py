"""Texas Instruments ADS1115: 16-bit converter with an input multiplexer and a gain stage.

Source: data sheet SBAS444E (December 2024), sections 7.3 (multiplexer, gain), 7.4 (modes), 8.1
(registers). A single conversion takes 25 us of power-up and one data period, during which OS reads
0. A change of settings in continuous mode takes effect when the conversion under way has ended
(section 7.4.2.2).

06h to the general call resets the part (section 7.5.1.2). The comparator (7.3.8) and the end of a
conversion (7.3.9) drive the pin ``alert``, at the time of the conversion while the part is started.

Not modelled: the 10 % tolerance of the data rate, offset, gain error and noise, currents into an
input beyond the supply.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar

from hil.parts.base import Param, Quantity, Scheduler, unwired
from hil.parts.conversion import NEVER_NS, Converter
from hil.parts.guide import Guide, Reading
from hil.parts.limits import check_limits
from hil.parts.registers import Register, RegisterMap, RegisterTarget, clamp, ro, signed
from hil.time.phase import Phase

RESULT, CONFIG, LOW, HIGH = range(4)
OS, SINGLE, WINDOW, HIGH_ACTIVE, LATCHING = 1 << 15, 1 << 8, 1 << 4, 1 << 3, 1 << 2
#: COMP_QUE: conversions in a row beyond a threshold before the comparator asserts; 0: it is off
QUEUE = (1, 2, 4, 0)
POWER_UP_NS, READY_PULSE_NS = 25_000, 8_000
#: positive and negative input, by MUX; GND is 0 V
INPUTS = (("0", "1"), ("0", "3"), ("1", "3"), ("2", "3"), *((n, "") for n in "0123"))
#: full scale by PGA
FULL_SCALE_V = (6.144, 4.096, 2.048, 1.024, 0.512, 0.256, 0.256, 0.256)
RATES_HZ = (8, 16, 32, 64, 128, 250, 475, 860)


class Ads1115(RegisterTarget):
    """ADS1115 at register level; ``vdd`` is its supply in volt, which no input reads beyond."""

    MAP = RegisterMap(
        (
            ro(RESULT, "CONVERSION"),
            Register(CONFIG, "CONFIG", 0x8583, writable=0x7FFF),
            Register(LOW, "LO_THRESH", 0x8000),
            Register(HIGH, "HI_THRESH", 0x7FFF),
        ),
        width=16,
        increment=False,
        size=4,
    )
    QUANTITIES: ClassVar[Mapping[str, Quantity]] = {
        f"ain{n}_v": Quantity("V", -0.3, 5.8, 6.144 / 32768) for n in range(4)
    }
    PARAMS: ClassVar[Mapping[str, Param]] = {"vdd": Param("V", 3.3)}
    #: pin ADDR at GND, VDD, SDA, SCL (table 7-2)
    ADDRESSES: ClassVar[tuple[int, ...]] = (0x48, 0x49, 0x4A, 0x4B)
    GUIDE: ClassVar[Guide] = Guide(
        fields={
            "CONFIG": "OS 15, MUX 14:12, PGA 11:9, MODE 8, DR 7:5, COMP_MODE 4, COMP_POL 3, "
            "COMP_LAT 2, COMP_QUE 1:0",
        },
        readings={
            "ain0_v": Reading(
                "CONVERSION",
                tuple(full_v / 32768 for full_v in (6.144, 4.096, 2.048, 1.024, *(0.256,) * 4)),
                by="CONFIG.PGA",
            )
        },
        setup=(("CONFIG", 0x4283),),  # AIN0 against ground, 4.096 V, over and over
        volatile={"CONFIG": 0x8000},
    )
    #: direction of each pin, seen from the part
    PINS: ClassVar[Mapping[str, str]] = {"alert": "out"}
    #: open drain, pulled up
    PIN_IDLE: ClassVar[Mapping[str, int]] = {"alert": 1}

    def __init__(self, name: str, seed: int = 0, vdd: float = 3.3) -> None:
        super().__init__(name, seed)
        check_limits(name, {"vdd": (vdd, 2.0, 5.5)})
        self.QUANTITIES = {  # type: ignore[misc]
            key: spec._replace(upper=vdd + 0.3) for key, spec in Ads1115.QUANTITIES.items()
        }
        self.values = dict.fromkeys(self.QUANTITIES, 0.0)
        self._converter = Converter()
        self._active = QUEUE.index(0)  # settings of the conversion under way
        self.gpio_drive: Callable[[int, str, int], None] = unwired
        self._scheduler: Scheduler | None = None
        self._source = 0
        self._check_ns = NEVER_NS  # when the one outstanding look is due
        self._asserted = False
        self._beyond = 0  # conversions in a row beyond a threshold
        self._level = 1  # of the pin

    def refresh(self, t_ns: int) -> None:
        """Latch the result of the last conversion that ended, then do what CONFIG says."""
        converter, values = self._converter, self.file.values
        end_ns = converter.due_ns
        if not converter.ended(t_ns):
            return
        periods = (t_ns - end_ns) // converter.period_ns if converter.period_ns else 0
        self._latch(converter.held or self.values)
        self._compare(end_ns, 1 + periods)
        if values[CONFIG] & SINGLE:
            converter.stop()
            values[CONFIG] |= OS
        elif values[CONFIG] != self._active:
            self._begin(end_ns)
            self.refresh(t_ns)

    def _latch(self, inputs: Mapping[str, float]) -> None:
        plus, minus = INPUTS[self._active >> 12 & 7]
        volts = inputs[f"ain{plus}_v"] - (inputs[f"ain{minus}_v"] if minus else 0.0)
        counts = round(volts * 32768 / FULL_SCALE_V[self._active >> 9 & 7])
        self.file.values[RESULT] = clamp(counts, -0x8000, 0x7FFF) & 0xFFFF

    # Comparator and pin -------------------------------------------------------------------------

    @property
    def _signals_ready(self) -> bool:
        """Whether the thresholds make the pin say that a conversion has ended (section 7.3.9)."""
        values = self.file.values
        return bool(values[HIGH] >> 15 and not values[LOW] >> 15)

    def _compare(self, t_ns: int, count: int) -> None:
        """Section 7.3.8: compare the latest of ``count`` results with the thresholds."""
        values, config = self.file.values, self._active
        needed = QUEUE[config & 3]
        if not needed:
            self._asserted, self._beyond = False, 0
        elif self._signals_ready:
            self._asserted = True
            if not config & SINGLE and self._scheduler is not None:
                at_ns = max(t_ns + READY_PULSE_NS, self._scheduler.now_ns)
                self._scheduler.at(at_ns, Phase.PART, self._source, self._end_pulse)
        else:
            result, high, low = (signed(values[at]) for at in (RESULT, HIGH, LOW))
            window = config & WINDOW
            beyond = result > high or bool(window and result < low)
            self._beyond = self._beyond + count if beyond else 0
            if self._beyond >= needed:
                self._asserted = True
            elif not config & LATCHING and not beyond and (window or result < low):
                self._asserted = False
        self._drive(t_ns)

    def _end_pulse(self, t_ns: int) -> None:
        if self._signals_ready:
            self._asserted = False
            self._drive(t_ns)

    def _drive(self, t_ns: int) -> None:
        """Show the comparator on the pin, which nobody drives while it is off."""
        active = self._active >> 3 & 1
        level = active if self._asserted else 1 - active
        level = level if QUEUE[self._active & 3] else 1
        if level != self._level:
            self._level = level
            self.gpio_drive(t_ns, "alert", level)

    def smbus_alert(self, t_ns: int) -> bool:
        """Tell whether a latched alert stands."""
        self.refresh(t_ns)
        return self._asserted and bool(self._active & LATCHING)

    def smbus_alert_served(self, t_ns: int) -> None:
        """Let go of the line (section 7.3.8)."""
        self._asserted, self._beyond = False, 0
        self._drive(t_ns)

    def start(self, scheduler: Scheduler, source: int) -> None:
        """Drive the pin on its own from now on, not only when the part is accessed."""
        self._scheduler, self._source = scheduler, source
        self._schedule()

    def _schedule(self) -> None:
        """Look again at the end of the conversion, if that can move the pin."""
        due_ns = self._converter.due_ns
        if self._scheduler is None or not QUEUE[self._active & 3] or due_ns >= self._check_ns:
            return
        self._check_ns = due_ns = max(due_ns, self._scheduler.now_ns)
        self._scheduler.at(due_ns, Phase.PART, self._source, self._look)

    def _look(self, t_ns: int) -> None:
        self._check_ns = NEVER_NS
        self.refresh(t_ns)
        self._schedule()

    # Conversion ---------------------------------------------------------------------------------

    def _begin(self, t_ns: int) -> None:
        """Start converting with what CONFIG says now."""
        values = self.file.values
        self._active = values[CONFIG] & ~OS
        period_ns = 1_000_000_000 // RATES_HZ[self._active >> 5 & 7]
        if self._active & SINGLE:
            self._converter.once(t_ns, POWER_UP_NS + period_ns, self.values)
        else:
            self._converter.start(t_ns, period_ns)
        values[CONFIG] &= ~OS
        if self._active & SINGLE and self._signals_ready:
            self._asserted = False
        self._drive(t_ns)
        self._schedule()

    def on_read(self, t_ns: int, address: int) -> None:
        """Reading the result lets go of a latched alert."""
        if address == RESULT and self._active & LATCHING and not self._signals_ready:
            self._asserted, self._beyond = False, 0
            self._drive(t_ns)

    def on_write(self, t_ns: int, address: int, value: int) -> None:
        """Start a conversion; what is under way ends with the settings that it began with."""
        if address == CONFIG and not self._converter.busy and (value & OS or not value & SINGLE):
            self._begin(t_ns)

    def i2c_general_call(self, t_ns: int, data: bytes) -> int:
        """Take the reset, 06h."""
        if data[:1] != b"\x06":
            return 0
        self._converter.stop()
        self._active, self._asserted, self._beyond = QUEUE.index(0), False, 0
        self.file.reset()
        self._drive(t_ns)
        return 1
