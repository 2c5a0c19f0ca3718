"""Texas Instruments INA3221: three channels of shunt and bus voltage.

Source: data sheet SBOS576B (March 2016), sections 8.3 (alerts), 8.4 (modes, averaging), 8.6.2
(registers). Outputs latch at the end of a measurement cycle: number of averages times the sum of
the conversion times of all enabled measurements (section 8.4.2.2).

Not modelled: the alert pins (their flags are), the timing-control sequence (TCF stays set, as it
does when no supply sequence fails), offset and gain errors and noise of the converter, SMBus alert
response, high-speed mode. All averages of a cycle see the input as it is when the cycle is read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from hil.errors import ConfigError
from hil.parts.base import Param, Quantity
from hil.parts.guide import Guide, Reading
from hil.parts.registers import Register, RegisterMap, RegisterTarget, clamp, ro, signed

CONFIG, SHUNT_SUM, SUM_LIMIT, MASK_ENABLE = 0x00, 0x0D, 0x0E, 0x0F
POWER_VALID_UPPER, POWER_VALID_LOWER = 0x10, 0x11
SHUNT_LSB_V = 40e-6
BUS_LSB_V = 8e-3
#: Table 5 and Table 6: VBUSCT and VSHCT
CONVERSION_NS = (140_000, 204_000, 332_000, 588_000, 1_100_000, 2_116_000, 4_156_000, 8_244_000)
#: Table 4: AVG
AVERAGES = (1, 4, 16, 64, 128, 256, 512, 1024)

CVRF, TCF, PVF, SF = 1 << 0, 1 << 1, 1 << 2, 1 << 6
#: flags that reading MASK_ENABLE clears (section 8.6.2.16)
FLAGS = 0x03F8 | SF | CVRF
CEN, WEN = 1 << 10, 1 << 11


def _limits(channel: int) -> tuple[Register, Register]:
    at = 0x07 + 2 * channel
    return (
        Register(at, f"CRITICAL_LIMIT_{channel + 1}", 0x7FF8, writable=0xFFF8),
        Register(at + 1, f"WARNING_LIMIT_{channel + 1}", 0x7FF8, writable=0xFFF8),
    )


class Ina3221(RegisterTarget):
    """INA3221 at register level; ``shunts`` are the three shunt resistors in ohm."""

    MAP = RegisterMap(
        (
            Register(CONFIG, "CONFIG", 0x7127, clearing=0x8000),
            *(ro(1 + n, f"{'BUS' if n & 1 else 'SHUNT'}_VOLTAGE_{n // 2 + 1}") for n in range(6)),
            *_limits(0),
            *_limits(1),
            *_limits(2),
            ro(SHUNT_SUM, "SHUNT_SUM"),
            Register(SUM_LIMIT, "SHUNT_SUM_LIMIT", 0x7FFE, writable=0xFFFE),
            Register(MASK_ENABLE, "MASK_ENABLE", 0x0002, writable=0x7C00),
            Register(POWER_VALID_UPPER, "POWER_VALID_UPPER", 0x2710, writable=0xFFF8),
            Register(POWER_VALID_LOWER, "POWER_VALID_LOWER", 0x2328, writable=0xFFF8),
            ro(0xFE, "MANUFACTURER_ID", 0x5449),
            ro(0xFF, "DIE_ID", 0x3220),
        ),
        width=16,
        increment=False,
    )
    # A reading is within half an LSB plus rounding of the driver; currents for a 10 mohm shunt, and
    # for those that a part has in the part.
    QUANTITIES: ClassVar[Mapping[str, Quantity]] = {
        **{f"bus{n}_v": Quantity("V", 0.0, 26.0, BUS_LSB_V) for n in (1, 2, 3)},
        **{f"current{n}_a": Quantity("A", -16.38, 16.38, SHUNT_LSB_V / 0.01) for n in (1, 2, 3)},
    }
    PARAMS: ClassVar[Mapping[str, Param]] = {"shunts": Param("ohm", [0.1, 0.1, 0.1])}
    #: the steps of AVG, and of VBUSCT and VSHCT
    AVERAGES: ClassVar[tuple[int, ...]] = AVERAGES
    CONVERSION_NS: ClassVar[tuple[int, ...]] = CONVERSION_NS
    #: pin A0 at GND, VS, SDA, SCL (section "Serial Bus Address")
    ADDRESSES: ClassVar[tuple[int, ...]] = (0x40, 0x41, 0x42, 0x43)
    GUIDE: ClassVar[Guide] = Guide(
        identity=("MANUFACTURER_ID", "DIE_ID"),
        fields={
            "CONFIG": "RST 15, CH1 14, CH2 13, CH3 12, AVG 11:9, VBUSCT 8:6, VSHCT 5:3, MODE 2:0",
            "MASK_ENABLE": "SCC 14:12, WEN 11, CEN 10, CF 9:7, SF 6, WF 5:3, PVF 2, TCF 1, CVRF 0",
        },
        readings={
            **{f"bus{n}_v": Reading(f"BUS_VOLTAGE_{n}", BUS_LSB_V, shift=3) for n in (1, 2, 3)},
            **{
                f"current{n}_a": Reading(
                    f"SHUNT_VOLTAGE_{n}", SHUNT_LSB_V, shift=3, per=f"shunts.{n - 1}"
                )
                for n in (1, 2, 3)
            },
        },
    )

    def __init__(self, name: str, seed: int = 0, shunts: Sequence[float] = (0.1, 0.1, 0.1)) -> None:
        if len(shunts) != 3 or not all(shunt > 0 for shunt in shunts):
            raise ConfigError(f"part {name!r}: shunts must be three positive resistances in ohm")
        super().__init__(name, seed)
        self.shunts = tuple(shunts)
        self.QUANTITIES = {  # type: ignore[misc]
            **Ina3221.QUANTITIES,
            **{
                f"current{n}_a": Quantity("A", -0.16384 / ohm, 0.1638 / ohm, SHUNT_LSB_V / ohm)
                for n, ohm in enumerate(shunts, 1)
            },
        }
        self.values = dict.fromkeys(self.QUANTITIES, 0.0)
        self._start_ns = 0
        self._cycle_ns = 0
        self._cycles = 0  # cycles already latched since the configuration was written
        self._held: dict[str, float] | None = None  # inputs of a single-shot conversion
        self._stale = True  # an input, limit or mode changed since the last latch
        self._raised = 0  # flags that the last latch raised
        self._configure(0)

    def set(self, quantity: str, value: float) -> None:
        """Set a physical input; the next conversion cycle sees it."""
        super().set(quantity, value)
        self._stale = True

    # Conversion -------------------------------------------------------------------------------

    def _configure(self, t_ns: int) -> None:
        """Start over with the mode in CONFIG (section 8.6.2.1)."""
        config = self.file.values[CONFIG]
        mode = config & 7
        shunt = CONVERSION_NS[config >> 3 & 7] if mode & 1 else 0
        bus = CONVERSION_NS[config >> 6 & 7] if mode & 2 else 0
        channels = (config >> 12 & 7).bit_count()
        self._cycle_ns = AVERAGES[config >> 9 & 7] * channels * (shunt + bus)
        self._start_ns = t_ns
        self._cycles = 0
        self._held = dict(self.values) if mode in (1, 2, 3) else None
        self._stale = True
        if mode & 3:
            self.file.values[MASK_ENABLE] &= ~CVRF

    def refresh(self, t_ns: int) -> None:
        """Latch the outputs if a cycle has ended since the last access."""
        if not self._cycle_ns:
            return
        cycles = (t_ns - self._start_ns) // self._cycle_ns
        if cycles <= self._cycles:
            return
        single_shot = self._held is not None
        if single_shot and self._cycles:
            return
        self._cycles = cycles
        if not self._stale:
            self.file.values[MASK_ENABLE] |= self._raised
            return
        self._stale = False
        self._latch(self.values if self._held is None else self._held)

    def _latch(self, inputs: Mapping[str, float]) -> None:
        registers = self.file.values
        config = registers[CONFIG]
        for channel in range(3):
            if not config >> (14 - channel) & 1:
                continue
            if config & 1:
                volts = inputs[f"current{channel + 1}_a"] * self.shunts[channel]
                counts = clamp(round(volts / SHUNT_LSB_V), -4096, 4095)
                registers[1 + 2 * channel] = (counts << 3) & 0xFFFF
            if config & 2:
                counts = clamp(round(inputs[f"bus{channel + 1}_v"] / BUS_LSB_V), -4096, 4095)
                registers[2 + 2 * channel] = (counts << 3) & 0xFFFF
        self._alerts(config)

    def _alerts(self, config: int) -> None:
        """Compare with the limits (section 8.3.2)."""
        registers = self.file.values
        mask = registers[MASK_ENABLE]
        if not mask & CEN:
            mask &= ~0x0380  # transparent: flags follow the comparison
        if not mask & WEN:
            mask &= ~0x0038
        raised = CVRF
        total = 0
        for channel in range(3):
            shunt = signed(registers[1 + 2 * channel]) >> 3
            if config >> (14 - channel) & 1:
                if shunt > signed(registers[7 + 2 * channel]) >> 3:
                    raised |= 1 << (9 - channel)
                if shunt > signed(registers[8 + 2 * channel]) >> 3:
                    raised |= 1 << (5 - channel)
            if mask >> (14 - channel) & 1:
                total += shunt
        registers[SHUNT_SUM] = (total << 1) & 0xFFFF
        if total > signed(registers[SUM_LIMIT]) >> 1:
            raised |= SF
        if config & 2:
            mask = self._power_valid(config, mask)
        registers[MASK_ENABLE] = mask | raised
        self._raised = raised

    def _power_valid(self, config: int, mask: int) -> int:
        """Section 8.3.2.3: valid once all channels passed the upper limit, until one is below."""
        registers = self.file.values
        volts = [
            signed(registers[2 + 2 * channel]) >> 3
            for channel in range(3)
            if config >> (14 - channel) & 1
        ]
        if volts and all(v > signed(registers[POWER_VALID_UPPER]) >> 3 for v in volts):
            mask |= PVF
        elif any(v < signed(registers[POWER_VALID_LOWER]) >> 3 for v in volts):
            mask &= ~PVF
        return mask

    # Side effects of the bus --------------------------------------------------------------------

    def on_read(self, t_ns: int, address: int) -> None:
        """Reading MASK_ENABLE clears the flags."""
        if address == MASK_ENABLE:
            self.file.values[MASK_ENABLE] &= ~FLAGS

    def on_write(self, t_ns: int, address: int, value: int) -> None:
        """Writing CONFIG starts conversions over; its top bit resets the part."""
        self._stale = True
        if address != CONFIG:
            return
        if value & 0x8000:
            self.file.reset()
        self._configure(t_ns)
