"""NXP PCA9685: 16 pulse width outputs of 12 bits, for servos and LEDs.

Source: data sheet PCA9685 (revision 4, April 2015), sections 7.3 (registers), 7.3.1.1 (restart),
7.3.5 (prescaler), 7.3.4 (ALL_LED). The world asks :meth:`Pca9685.duty` and
:attr:`Pca9685.frequency_hz`.

06h to the general call resets the part (section 7.1.4).

Not modelled: the All Call and sub-addresses (their bits and registers are tagged), the EXTCLK pin
(tagged), the OE pin and OUTNE, open-drain against totem-pole outputs (tagged), the 500 us of the
oscillator's start.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from hil.parts.base import Param, Quantity
from hil.parts.guide import Guide
from hil.parts.limits import check_limits
from hil.parts.registers import Register, RegisterMap, RegisterTarget

MODE1, MODE2, LED0, ALL_LED, PRESCALE = 0x00, 0x01, 0x06, 0xFA, 0xFE
RESTART, INCREMENT, SLEEP = 1 << 7, 1 << 5, 1 << 4
INVERT, FULL = 1 << 4, 1 << 4
_LED_ROWS = tuple(
    Register(
        LED0 + 4 * n + k, f"LED{n}_{name}", FULL if k == 3 else 0, writable=0x1F if k & 1 else 0xFF
    )
    for n in range(16)
    for k, name in enumerate(("ON_L", "ON_H", "OFF_L", "OFF_H"))
)


class Pca9685(RegisterTarget):
    """PCA9685 at register level; ``oscillator_hz`` is the clock that it is built with."""

    MAP = RegisterMap(
        (
            Register(MODE1, "MODE1", 0x11, writable=0x7F, unmodelled=0x4F),
            Register(MODE2, "MODE2", 0x04, writable=0x1F, unmodelled=0x0F),
            *(
                Register(2 + n, f"SUBADR{n + 1}", 0xE2 + (0, 2, 6)[n], 0xFE, unmodelled=0xFE)
                for n in range(3)
            ),
            Register(5, "ALLCALLADR", 0xE0, 0xFE, unmodelled=0xFE),
            *_LED_ROWS,
            *(Register(ALL_LED + k, f"ALL_LED_{k}", clearing=0xFF) for k in range(4)),
            Register(PRESCALE, "PRE_SCALE", 0x1E, writable=0),
        ),
        increment=False,
        tagged=((0xFF, "TestMode"),),
    )
    QUANTITIES: ClassVar[Mapping[str, Quantity]] = {}
    PARAMS: ClassVar[Mapping[str, Param]] = {"oscillator_hz": Param("Hz", 25e6)}
    #: pins A5 to A0 (section 7.1.1), without what is reserved or All Call
    ADDRESSES: ClassVar[tuple[int, ...]] = tuple(
        address for address in range(0x40, 0x78) if address != 0x70
    )
    GUIDE: ClassVar[Guide] = Guide(
        fields={
            "MODE1": "RESTART 7, EXTCLK 6, AI 5, SLEEP 4, SUB1 3, SUB2 2, SUB3 1, ALLCALL 0",
            "MODE2": "INVRT 4, OCH 3, OUTDRV 2, OUTNE 1:0",
        },
        volatile={"PRE_SCALE": 0xFF},  # takes a value while asleep only
    )

    def __init__(self, name: str, seed: int = 0, oscillator_hz: float = 25e6) -> None:
        super().__init__(name, seed)
        check_limits(name, {"oscillator_hz": (oscillator_hz, 1e6, 50e6)})
        self.oscillator_hz = oscillator_hz
        #: writes to the prescaler while the oscillator ran, which the part ignores
        self.prescale_ignored = 0
        self._steps = (list(range(256)), [(at + 1) % 256 for at in range(256)])
        self._steps[1][LED0 + 63] = self._steps[1][PRESCALE] = MODE1
        self._stopped = False  # outputs wait for a restart
        self._awake = False

    def snapshot(self) -> dict[str, object]:
        """Return counters for the report."""
        return {**super().snapshot(), "prescale_ignored": self.prescale_ignored}

    # World face -----------------------------------------------------------------------------------

    @property
    def frequency_hz(self) -> float:
        """The frequency of all outputs (section 7.3.5)."""
        return self.oscillator_hz / 4096 / (self.file.values[PRESCALE] + 1)

    def duty(self, channel: int) -> float:
        """Return the part of the time that an output is on, 0 to 1."""
        values = self.file.values
        on_low, on_high, off_low, off_high = values[LED0 + 4 * channel : LED0 + 4 * channel + 4]
        if off_high & FULL:
            share = 0.0
        elif on_high & FULL:
            share = 1.0
        elif values[MODE1] & SLEEP or self._stopped:
            share = 0.0
        else:
            on, off = on_low | (on_high & 15) << 8, off_low | (off_high & 15) << 8
            share = (off - on) % 4096 / 4096
        return 1.0 - share if values[MODE2] & INVERT else share

    def i2c_general_call(self, t_ns: int, data: bytes) -> int:
        """Take the software reset, 06h."""
        if data[:1] != b"\x06":
            return 0
        self.file.reset()
        self.file.after = self._steps[0]
        self._stopped = self._awake = False
        return 1

    # Side effects of the bus --------------------------------------------------------------------

    def on_write(self, t_ns: int, address: int, value: int) -> None:
        """MODE1 sleeps, wakes and restarts; ALL_LED writes all outputs; PRE_SCALE needs sleep."""
        values = self.file.values
        if address == MODE1:
            self._mode(value)
        elif LED0 <= address < LED0 + 64:
            self._restart()
        elif ALL_LED <= address < PRESCALE:
            for n in range(16):
                self.file.store(LED0 + 4 * n + address - ALL_LED, value)
            self._restart()
        elif address == PRESCALE:
            if values[MODE1] & SLEEP:
                values[PRESCALE] = max(value, 3)
            else:
                self.prescale_ignored += 1

    def _restart(self) -> None:
        """Let outputs run again, as RESTART and, while awake, any new pulse do."""
        if not self.file.values[MODE1] & SLEEP:
            self.file.values[MODE1] &= ~RESTART
            self._stopped = False

    def _mode(self, value: int) -> None:
        """Section 7.3.1.1: sleep with outputs running sets RESTART; writing 1 to it restarts."""
        values = self.file.values
        self.file.after = self._steps[bool(value & INCREMENT)]
        if value & SLEEP:
            running = any(not values[LED0 + 4 * n + 3] & FULL for n in range(16))
            if running and not self._stopped and self._awake:
                values[MODE1] |= RESTART
                self._stopped = True
        elif value & RESTART:
            self._restart()
        self._awake = not value & SLEEP
