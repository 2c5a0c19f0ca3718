"""NXP LM75B: temperature sensor and watchdog, 0.125 °C a step.

Source: data sheet LM75B (revision 6.1, February 2015), sections 7.1 (operation), 7.4 (registers),
7.5 to 7.8 (temperature, limits, fault queue, OS). A conversion every 100 ms takes 10 ms. The
overtemperature output is :attr:`os_active`; in interrupt mode any read clears it.

Not modelled: the OS pin itself and its polarity (tagged), the error of the sensor (2 °C),
self-heating, the SMBus time-out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from hil.parts.base import Param, Quantity
from hil.parts.conversion import Converter
from hil.parts.guide import Guide, Reading
from hil.parts.registers import Register, RegisterMap, RegisterTarget, clamp, ro, signed

TEMP, CONF, THYST, TOS = range(4)
PERIOD_NS, FIRST_NS = 100_000_000, 10_000_000
SHUTDOWN, INTERRUPT = 1 << 0, 1 << 1
#: conversions in a row beyond a limit before OS changes, by OS_F_QUE (table 8)
QUEUE = (1, 2, 4, 6)


class Lm75(RegisterTarget):
    """LM75B at register level."""

    MAP = RegisterMap(
        (
            ro(TEMP, "TEMP"),
            Register(CONF, "CONF", writable=0x1F, unmodelled=0x04, width=8),
            Register(THYST, "THYST", 0x4B00, writable=0xFF80),
            Register(TOS, "TOS", 0x5000, writable=0xFF80),
        ),
        width=16,
        increment=False,
        size=4,
    )
    QUANTITIES: ClassVar[Mapping[str, Quantity]] = {
        "temperature_c": Quantity("degC", -55.0, 125.0, 0.125)
    }
    PARAMS: ClassVar[Mapping[str, Param]] = {}
    #: pins A2, A1, A0 (section 7.3)
    ADDRESSES: ClassVar[tuple[int, ...]] = tuple(range(0x48, 0x50))
    GUIDE: ClassVar[Guide] = Guide(
        fields={"CONF": "FAULTS 4:3, POL 2, INT 1, SHUTDOWN 0"},
        readings={"temperature_c": Reading("TEMP", 0.125, shift=5)},
    )

    def __init__(self, name: str, seed: int = 0) -> None:
        super().__init__(name, seed)
        self.values = {"temperature_c": 25.0}
        #: whether the overtemperature output is asserted
        self.os_active = False
        self._beyond = 0  # conversions in a row beyond the limit that matters now
        self._wants_cold = False  # interrupt mode: THYST is next
        self._converter = Converter()
        self._converter.start(0, PERIOD_NS, FIRST_NS)

    def refresh(self, t_ns: int) -> None:
        """Latch the temperature and follow the limits."""
        count = self._converter.ended(t_ns)
        if not count:
            return
        values = self.file.values
        counts = clamp(round(self.values["temperature_c"] * 8), -440, 1016)
        values[TEMP] = counts << 5 & 0xFFFF
        conf = values[CONF]
        waiting = self._wants_cold if conf & INTERRUPT else self.os_active
        # Section 7.4.4: limits have 9 bits, and only as many of the temperature are compared.
        limit, counts = signed(values[THYST if waiting else TOS]) >> 7, counts >> 2
        beyond = counts < limit if waiting else counts > limit
        self._beyond = self._beyond + count if beyond else 0
        if self._beyond >= QUEUE[conf >> 3 & 3]:
            self._beyond = 0
            self._wants_cold = not waiting
            # Section 7.1: in comparator mode the output follows, in interrupt mode it is an event.
            self.os_active = True if conf & INTERRUPT else not waiting

    def on_read(self, t_ns: int, address: int) -> None:
        """In interrupt mode reading any register clears the output."""
        if self.file.values[CONF] & INTERRUPT:
            self.os_active = False

    def on_write(self, t_ns: int, address: int, value: int) -> None:
        """Shutdown stops conversions; the last result stays. It clears OS in interrupt mode."""
        if address != CONF:
            return
        if value & SHUTDOWN:
            self._converter.stop()
            if value & INTERRUPT:
                self.os_active = False
        elif not self._converter.busy:
            self._converter.start(t_ns, PERIOD_NS, FIRST_NS)
