"""Texas Instruments INA219: shunt and bus voltage, current and power by a calibration.

Source: data sheet SBOS448G (December 2015), sections 8.5 (programming), 8.6.2 to 8.6.4
(registers), tables 4 to 6 (gain, conversion times, modes). All results of a cycle latch at its
end. The shunt register holds at the ends of the gain's range; a current or power that does not fit
its register sets OVF (section 8.6.3.2). Power has no sign bit: it is the magnitude.

Not modelled: the coarser steps of the 9 to 11-bit settings (their times are), the 40 us of
recovery from power-down, offset, gain error and noise of the converter, high-speed mode.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from hil.parts.base import Param, Quantity
from hil.parts.conversion import Converter
from hil.parts.guide import Guide, Reading
from hil.parts.limits import check_limits
from hil.parts.registers import Register, RegisterMap, RegisterTarget, clamp, ro, signed

CONFIG, SHUNT, BUS, POWER, CURRENT, CALIBRATION = range(6)
SHUNT_LSB_V, BUS_LSB_V = 10e-6, 4e-3
RESET, CNVR, OVF = 1 << 15, 1 << 1, 1 << 0
#: Table 5: BADC and SADC, 9 to 12 bits, then 1 to 128 samples of 12 bits
_BITS_NS = (84_000, 148_000, 276_000, 532_000)
_SAMPLES_NS = (532, 1_060, 2_130, 4_260, 8_510, 17_020, 34_050, 68_100)
CONVERSION_NS = (*_BITS_NS, *_BITS_NS, *(us * 1000 for us in _SAMPLES_NS))


class Ina219(RegisterTarget):
    """INA219 at register level; ``shunt`` is the shunt resistor in ohm."""

    MAP = RegisterMap(
        (
            Register(CONFIG, "CONFIG", 0x399F, writable=0xBFFF, clearing=RESET),
            ro(SHUNT, "SHUNT_VOLTAGE"),
            ro(BUS, "BUS_VOLTAGE"),
            ro(POWER, "POWER"),
            ro(CURRENT, "CURRENT"),
            Register(CALIBRATION, "CALIBRATION", writable=0xFFFE),
        ),
        width=16,
        increment=False,
        size=8,
    )
    # For the usual 100 mohm; each part has its own current range.
    QUANTITIES: ClassVar[Mapping[str, Quantity]] = {
        "bus_v": Quantity("V", 0.0, 26.0, BUS_LSB_V),
        "current_a": Quantity("A", -3.2, 3.2, SHUNT_LSB_V / 0.1),
    }
    PARAMS: ClassVar[Mapping[str, Param]] = {"shunt": Param("ohm", 0.1)}
    #: pins A1 and A0, each at GND, VS, SDA, SCL (table 1)
    ADDRESSES: ClassVar[tuple[int, ...]] = tuple(range(0x40, 0x50))
    GUIDE: ClassVar[Guide] = Guide(
        fields={
            "CONFIG": "RST 15, BRNG 13, PG 12:11, BADC 10:7, SADC 6:3, MODE 2:0",
            "BUS_VOLTAGE": "BD 15:3, CNVR 1, OVF 0",
        },
        readings={
            "bus_v": Reading("BUS_VOLTAGE", BUS_LSB_V, shift=3, signed=False),
            "shunt_v": Reading("SHUNT_VOLTAGE", SHUNT_LSB_V, unit="V"),
            "current_a": Reading("SHUNT_VOLTAGE", SHUNT_LSB_V, per="shunt"),
        },
        settle_s=0.1,
    )

    def __init__(self, name: str, seed: int = 0, shunt: float = 0.1) -> None:
        super().__init__(name, seed)
        check_limits(name, {"shunt": (shunt, 1e-5, 1e3)})
        self.shunt = shunt
        self.QUANTITIES = {  # type: ignore[misc]
            "bus_v": Ina219.QUANTITIES["bus_v"],
            "current_a": Quantity("A", -0.32 / shunt, 0.32 / shunt, SHUNT_LSB_V / shunt),
        }
        self.values = dict.fromkeys(self.QUANTITIES, 0.0)
        self._converter = Converter()
        self._configure(0)

    def _configure(self, t_ns: int) -> None:
        """Start over with the mode in CONFIG (table 6)."""
        config = self.file.values[CONFIG]
        mode = config & 7
        time_ns = CONVERSION_NS[config >> 3 & 15] if mode & 1 else 0
        time_ns += CONVERSION_NS[config >> 7 & 15] if mode & 2 else 0
        if not time_ns:
            self._converter.stop()
            return
        self.file.values[BUS] &= ~CNVR
        if mode & 4:
            self._converter.start(t_ns, time_ns)
        else:
            self._converter.once(t_ns, time_ns, self.values)

    def refresh(self, t_ns: int) -> None:
        """Latch the outputs if a cycle has ended since the last access."""
        if not self._converter.ended(t_ns):
            return
        inputs, values = self._converter.held or self.values, self.file.values
        config = values[CONFIG]
        if config & 1:
            full = 4000 << (config >> 11 & 3)
            counts = round(inputs["current_a"] * self.shunt / SHUNT_LSB_V)
            values[SHUNT] = clamp(counts, -full, full) & 0xFFFF
        bus = values[BUS] >> 3
        if config & 2:
            bus = clamp(round(inputs["bus_v"] / BUS_LSB_V), 0, 8000 if config & 0x2000 else 4000)
        # Section 8.5.1, equations 4 and 5.
        current = signed(values[SHUNT]) * values[CALIBRATION] // 4096
        power = abs(current) * bus // 5000
        overflow = OVF if not -0x8000 <= current <= 0x7FFF or power > 0xFFFF else 0
        values[CURRENT], values[POWER] = current & 0xFFFF, power & 0xFFFF
        values[BUS] = bus << 3 | CNVR | overflow

    def on_read(self, t_ns: int, address: int) -> None:
        """Reading POWER clears conversion ready (section 8.6.3.2)."""
        if address == POWER:
            self.file.values[BUS] &= ~CNVR

    def on_write(self, t_ns: int, address: int, value: int) -> None:
        """Writing CONFIG starts conversions over; its top bit resets the part."""
        if address == CONFIG:
            if value & RESET:
                self.file.reset()
            self._configure(t_ns)
