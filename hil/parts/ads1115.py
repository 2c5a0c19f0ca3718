"""Texas Instruments ADS1115: 16-bit converter with an input multiplexer and a gain stage.

Source: data sheet SBAS444E (December 2024), sections 7.3 (multiplexer, gain), 7.4 (modes), 8.1
(registers). A single conversion takes 25 us of power-up and one data period, during which OS reads
0. A change of settings in continuous mode takes effect when the conversion under way has ended
(section 7.4.2.2).

06h to the general call resets the part (section 7.5.1.2).

Not modelled: the comparator and the ALERT/RDY pin (bits COMP_* are tagged), the 10 % tolerance of
the data rate, offset, gain error and noise, currents into an input beyond the supply.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from hil.parts.base import Param, Quantity
from hil.parts.conversion import Converter
from hil.parts.limits import check_limits
from hil.parts.registers import Register, RegisterMap, RegisterTarget, clamp, ro

RESULT, CONFIG, LOW, HIGH = range(4)
OS, SINGLE = 1 << 15, 1 << 8
POWER_UP_NS = 25_000
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
            Register(CONFIG, "CONFIG", 0x8583, writable=0x7FFF, unmodelled=0x001F),
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

    def __init__(self, name: str, seed: int = 0, vdd: float = 3.3) -> None:
        super().__init__(name, seed)
        check_limits(name, {"vdd": (vdd, 2.0, 5.5)})
        self.QUANTITIES = {  # type: ignore[misc]
            key: spec._replace(upper=vdd + 0.3) for key, spec in Ads1115.QUANTITIES.items()
        }
        self.values = dict.fromkeys(self.QUANTITIES, 0.0)
        self._converter = Converter()
        self._active = 0  # settings of the conversion under way

    def refresh(self, t_ns: int) -> None:
        """Latch the result of the last conversion that ended, then do what CONFIG says."""
        converter, values = self._converter, self.file.values
        end_ns = converter.due_ns
        if not converter.ended(t_ns):
            return
        self._latch(converter.held or self.values)
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

    def on_write(self, t_ns: int, address: int, value: int) -> None:
        """Start a conversion; what is under way ends with the settings that it began with."""
        if address == CONFIG and not self._converter.busy and (value & OS or not value & SINGLE):
            self._begin(t_ns)

    def i2c_general_call(self, t_ns: int, data: bytes) -> int:
        """Take the reset, 06h."""
        if data[:1] != b"\x06":
            return 0
        self._converter.stop()
        self._active = 0
        self.file.reset()
        return 1
