"""Vishay VEML7700: ambient light sensor with gain, integration time and power saving.

Sources: data sheet 84286 (revision 1.8), tables 1 to 8 (command registers), and application note
84323 (designing the VEML7700 into an application): resolution by gain and integration time,
refresh times of the power saving modes, and the correction for gains 1/4 and 1/8: with these the
counts are compressed as the note's polynomial undoes, with gains 1 and 2 they are linear.

Registers are 16 bits, the lower octet first. Not modelled: the start-up of 2.5 ms, the spectral
response (both channels take what the world gives, in the unit of the ALS channel), noise.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from hil.parts.base import Param, Quantity
from hil.parts.conversion import Converter
from hil.parts.guide import Guide
from hil.parts.registers import Register, RegisterMap, RegisterTarget, ro

CONF, HIGH, LOW, SAVING, ALS, WHITE, EVENT, IDENTITY = range(8)
SHUTDOWN, INT_ENABLE, TH_HIGH, TH_LOW = 1 << 0, 1 << 1, 1 << 14, 1 << 15
#: lx a count at gain 2 and 800 ms (application note 84323)
FINEST_LX = 0.0042
#: gain relative to 2, by ALS_GAIN: 1, 2, 1/8, 1/4
GAIN = (0.5, 1.0, 1 / 16, 1 / 8)
#: integration time by ALS_IT; what the table does not have integrates 100 ms
INTEGRATION_MS = {0b1100: 25, 0b1000: 50, 0b0000: 100, 0b0001: 200, 0b0010: 400, 0b0011: 800}
PERSISTENCE = (1, 2, 4, 8)
SAVING_MS = (500, 1000, 2000, 4000)


def corrected_lx(apparent_lx: float) -> float:
    """Return the light behind an apparent one (application note 84323)."""
    x = apparent_lx
    return (((6.0135e-13 * x - 9.3924e-9) * x + 8.1488e-5) * x + 1.0023) * x


def apparent_lx(light_lx: float) -> float:
    """Return the light that :func:`corrected_lx` takes for this one."""
    low, high = 0.0, light_lx
    for _ in range(48):
        middle = (low + high) / 2
        if corrected_lx(middle) < light_lx:
            low = middle
        else:
            high = middle
    return low


class Veml7700(RegisterTarget):
    """VEML7700 at register level."""

    MAP = RegisterMap(
        (
            Register(CONF, "ALS_CONF_0", SHUTDOWN, writable=0x1BF3),
            Register(HIGH, "ALS_WH"),
            Register(LOW, "ALS_WL"),
            Register(SAVING, "POWER_SAVING", writable=0x0007),
            ro(ALS, "ALS"),
            ro(WHITE, "WHITE"),
            ro(EVENT, "ALS_INT"),
            ro(IDENTITY, "ID", 0xC481),
        ),
        width=16,
        order="little",
        increment=False,
        size=8,
    )
    QUANTITIES: ClassVar[Mapping[str, Quantity]] = {
        "light_lx": Quantity("lx", 0.0, 120_000.0, FINEST_LX),
        "white_lx": Quantity("lx", 0.0, 120_000.0, FINEST_LX),
    }
    PARAMS: ClassVar[Mapping[str, Param]] = {}
    ADDRESSES: ClassVar[tuple[int, ...]] = (0x10,)
    GUIDE: ClassVar[Guide] = Guide(
        identity=("ID",),
        fields={
            "ALS_CONF_0": "GAIN 12:11, IT 9:6, PERS 5:4, INT_EN 1, SD 0",
            "POWER_SAVING": "PSM 2:1, PSM_EN 0",
            "ALS_INT": "TH_LOW 15, TH_HIGH 14",
        },
        note="lux depend on gain and integration time: the counts are in ALS and WHITE",
    )

    def __init__(self, name: str, seed: int = 0) -> None:
        super().__init__(name, seed)
        self.values = {"light_lx": 0.0, "white_lx": 0.0}
        #: results at the end of the range
        self.saturated = 0
        self._beyond = [0, 0]  # results in a row above HIGH, below LOW
        self._converter = Converter()

    def snapshot(self) -> dict[str, object]:
        """Return counters for the report."""
        return {**super().snapshot(), "saturated": self.saturated}

    def _configure(self, t_ns: int) -> None:
        values = self.file.values
        if values[CONF] & SHUTDOWN:
            self._converter.stop()
            return
        self._time_ms = INTEGRATION_MS.get(values[CONF] >> 6 & 15, 100)
        saving_ms = SAVING_MS[values[SAVING] >> 1 & 3] if values[SAVING] & 1 else 0
        first_ns = self._time_ms * 1_000_000
        self._converter.start(t_ns, first_ns + saving_ms * 1_000_000, first_ns)

    def refresh(self, t_ns: int) -> None:
        """Latch both channels and compare with the window."""
        count = self._converter.ended(t_ns)
        if not count:
            return
        values = self.file.values
        gain = GAIN[values[CONF] >> 11 & 3]
        for register, quantity in ((ALS, "light_lx"), (WHITE, "white_lx")):
            lx = self.values[quantity]
            lx = apparent_lx(lx) if gain < 0.5 else lx
            counts = round(lx * gain * self._time_ms / (FINEST_LX * 800))
            self.saturated += counts > 0xFFFF
            values[register] = min(counts, 0xFFFF)
        if values[CONF] & INT_ENABLE:
            needed = PERSISTENCE[values[CONF] >> 4 & 3]
            beyond = (values[ALS] > values[HIGH], values[ALS] < values[LOW])
            for n, (is_beyond, flag) in enumerate(zip(beyond, (TH_HIGH, TH_LOW), strict=True)):
                self._beyond[n] = self._beyond[n] + count if is_beyond else 0
                if self._beyond[n] >= needed:
                    values[EVENT] |= flag

    def on_read(self, t_ns: int, address: int) -> None:
        """Reading ALS_INT clears its flags."""
        if address == EVENT:
            self.file.values[EVENT] = 0

    def on_write(self, t_ns: int, address: int, value: int) -> None:
        """A change of settings starts an integration over."""
        if address in (CONF, SAVING):
            self._configure(t_ns)
