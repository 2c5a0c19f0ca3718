"""Texas Instruments TMP117: temperature sensor, 7.8125 m°C per LSB.

Source: data sheet SNOSD82D (September 2022), sections 7.3 (averaging, alert), 7.4 (modes), 7.5
(EEPROM programming, general-call reset), 7.6 (registers). Results latch at the end of each
conversion.

Not modelled: the ALERT pin (its flags are), SMBus alert response, the error
of the sensor (0.1 °C over -20..50 °C), self-heating. During the 2 ms of a soft reset the part
answers, with the values after the reset.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, ClassVar

from hil.parts.base import Param, Quantity
from hil.parts.guide import Guide, Reading
from hil.parts.registers import Register, RegisterMap, RegisterTarget, clamp, ro, signed

RESULT, CONFIG, HIGH_LIMIT, LOW_LIMIT, UNLOCK = 0x00, 0x01, 0x02, 0x03, 0x04
EEPROM1, EEPROM2, OFFSET, EEPROM3, DEVICE_ID = 0x05, 0x06, 0x07, 0x08, 0x0F
LSB_C = 0.0078125
SAMPLE_NS = 15_500_000
RESET_NS = 2_000_000
PROGRAM_NS = 7_000_000
AVERAGES = (1, 8, 32, 64)
#: Table 7-7: time from one conversion to the next, by CONV, then AVG
CYCLE_NS = tuple(
    tuple(max(standby, busy) for busy in (15_500_000, 125_000_000, 500_000_000, 1_000_000_000))
    for standby in (
        15_500_000,
        125_000_000,
        250_000_000,
        500_000_000,
        1_000_000_000,
        4_000_000_000,
        8_000_000_000,
        16_000_000_000,
    )
)
HIGH_ALERT, LOW_ALERT, DATA_READY, BUSY = 1 << 15, 1 << 14, 1 << 13, 1 << 12
THERM, SOFT_RESET = 1 << 4, 1 << 1
SHUTDOWN, ONE_SHOT = 1, 3
#: registers that the EEPROM keeps (section 7.5.1.4)
STORED = (CONFIG, HIGH_LIMIT, LOW_LIMIT, EEPROM1, EEPROM2, OFFSET, EEPROM3)


class Tmp117(RegisterTarget):
    """TMP117 at register level."""

    MAP = RegisterMap(
        (
            ro(RESULT, "TEMP_RESULT", 0x8000),
            Register(CONFIG, "CONFIG", 0x0220, 0x0FFE, 0, SOFT_RESET, unmodelled=0x000C),
            Register(HIGH_LIMIT, "HIGH_LIMIT", 0x6000),
            Register(LOW_LIMIT, "LOW_LIMIT", 0x8000),
            Register(UNLOCK, "EEPROM_UL", writable=0x8000),
            Register(EEPROM1, "EEPROM1"),
            Register(EEPROM2, "EEPROM2"),
            Register(OFFSET, "TEMP_OFFSET"),
            Register(EEPROM3, "EEPROM3"),
            ro(DEVICE_ID, "DEVICE_ID", 0x0117),
        ),
        width=16,
        increment=False,
        size=16,
    )
    QUANTITIES: ClassVar[Mapping[str, Quantity]] = {
        "temperature_c": Quantity("degC", -55.0, 150.0, LSB_C)
    }
    PARAMS: ClassVar[Mapping[str, Param]] = {}
    #: pin ADD0 at GND, V+, SDA, SCL (section "Serial Bus Address")
    ADDRESSES: ClassVar[tuple[int, ...]] = (0x48, 0x49, 0x4A, 0x4B)
    GUIDE: ClassVar[Guide] = Guide(
        identity=("DEVICE_ID",),
        fields={
            "CONFIG": "HIGH 15, LOW 14, READY 13, BUSY 12, MOD 11:10, CONV 9:7, AVG 6:5, THERM 4, "
            "POL 3, DR 2, RESET 1",
            "EEPROM_UL": "EUN 15, BUSY 14",
        },
        readings={"temperature_c": Reading("TEMP_RESULT", LSB_C)},
        volatile=dict.fromkeys(("EEPROM1", "EEPROM2", "EEPROM3"), 0xFFFF),
        careful={"EEPROM_UL": "it opens the EEPROM for what is written next"},
    )

    def __init__(self, name: str, seed: int = 0) -> None:
        super().__init__(name, seed)
        self.values = {"temperature_c": 25.0}
        #: EEPROM writes that came while it was still programming, which the part ignores
        self.eeprom_dropped = 0
        self._eeprom = {address: self.file.values[address] for address in STORED}
        # The factory leaves an NIST-traceable identity in EEPROM1..3 (section 7.6.1.7).
        identity = hashlib.blake2b(f"{seed}:{name}".encode(), digest_size=6).digest()
        for at, address in enumerate((EEPROM1, EEPROM2, EEPROM3)):
            self._eeprom[address] = int.from_bytes(identity[2 * at : 2 * at + 2])
        self._busy_until_ns = 0
        self._reset(0)

    def snapshot(self) -> dict[str, Any]:
        """Return counters for the report."""
        return {**super().snapshot(), "eeprom_dropped": self.eeprom_dropped}

    # Conversion -------------------------------------------------------------------------------

    def _reset(self, t_ns: int) -> None:
        """Load the registers from the EEPROM and start over, as power-up and soft reset do."""
        self.file.reset()
        for address, word in self._eeprom.items():
            self.file.values[address] = word
        self._configure(t_ns)

    def i2c_general_call(self, t_ns: int, data: bytes) -> int:
        """Take the reset, 06h; other octets behind the general call are not acknowledged."""
        if data[:1] != b"\x06":
            return 0
        self._reset(t_ns)
        return 1

    def _configure(self, t_ns: int) -> None:
        """Abort the conversion under way and start over with what CONFIG says."""
        config = self.file.values[CONFIG]
        average = config >> 5 & 3
        self._mode = config >> 10 & 3
        self._start_ns = t_ns
        self._first_ns = CYCLE_NS[0][average]
        self._cycle_ns = CYCLE_NS[config >> 7 & 7][average]
        self._done = 0  # conversions already latched
        self._held = self.values["temperature_c"]  # input of a one-shot conversion

    def refresh(self, t_ns: int) -> None:
        """Latch the result if a conversion has ended since the last access."""
        values = self.file.values
        if self._busy_until_ns and t_ns >= self._busy_until_ns:
            self._busy_until_ns = 0
            values[CONFIG] &= ~BUSY
            values[UNLOCK] &= ~0x4000
        mode = self._mode
        since = t_ns - self._start_ns - self._first_ns
        if mode == SHUTDOWN or since < 0:
            return
        done = 1 if mode == ONE_SHOT else 1 + since // self._cycle_ns
        if done <= self._done:
            return
        self._done = done
        if mode == ONE_SHOT:
            # Section 7.4.3: back to shutdown by itself, the result stays.
            values[CONFIG] = (values[CONFIG] & ~0x0C00) | SHUTDOWN << 10
            self._mode = SHUTDOWN
            self._latch(self._held)
        else:
            self._latch(self.values["temperature_c"])

    def _latch(self, temperature_c: float) -> None:
        values = self.file.values
        counts = round(temperature_c / LSB_C) + signed(values[OFFSET])
        counts = clamp(counts, -0x8000, 0x7FFF)
        values[RESULT] = counts & 0xFFFF
        config = values[CONFIG] | DATA_READY
        if config & THERM:
            # Section 7.4.5: one flag with hysteresis between the two limits.
            if counts > signed(values[HIGH_LIMIT]):
                config |= HIGH_ALERT
            elif counts < signed(values[LOW_LIMIT]):
                config &= ~HIGH_ALERT
            config &= ~LOW_ALERT
        else:
            if counts > signed(values[HIGH_LIMIT]):
                config |= HIGH_ALERT
            if counts < signed(values[LOW_LIMIT]):
                config |= LOW_ALERT
        values[CONFIG] = config

    # Side effects of the bus --------------------------------------------------------------------

    def on_read(self, t_ns: int, address: int) -> None:
        """Reading the result or CONFIG clears data ready; CONFIG also the alerts (7.6.1.3)."""
        values = self.file.values
        if address == RESULT:
            values[CONFIG] &= ~DATA_READY
        elif address == CONFIG:
            keep = 0 if not values[CONFIG] & THERM else HIGH_ALERT
            values[CONFIG] &= ~(DATA_READY | (HIGH_ALERT & ~keep) | LOW_ALERT)

    def on_write(self, t_ns: int, address: int, value: int) -> None:
        """Program the EEPROM when it is unlocked; CONFIG also starts conversions over."""
        values = self.file.values
        if address == CONFIG and value & SOFT_RESET:
            self._reset(t_ns + RESET_NS)
            return
        if address in self._eeprom and values[UNLOCK] & 0x8000:
            if self._busy_until_ns:
                self.eeprom_dropped += 1
            else:
                self._eeprom[address] = values[address] & (0x0FFC if address == CONFIG else 0xFFFF)
                self._busy_until_ns = t_ns + PROGRAM_NS
                values[CONFIG] |= BUSY
                values[UNLOCK] |= 0x4000
        if address == CONFIG:
            self._configure(t_ns)
