"""Asahi Kasei AK09916: three axes of magnetic flux density, 0.15 µT per LSB.

Source: data sheet 016014242-E-00 (MS1807), sections 9 (modes, data ready, overflow), 10 and 11
(registers). Alone on a bus, or inside an ICM-20948.

Axes are the part's own. Not modelled (touches are counted): self-test, the temperature compensation
behind TMPS, noise, the test registers. The measurement time is the typical 7.2 ms.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import ClassVar

from hil.parts.base import Param, Quantity
from hil.parts.guide import Guide, Reading
from hil.parts.registers import Register, RegisterMap, RegisterTarget, ro
from hil.parts.sampling import Counts

ST1, DATA, ST2, CNTL2, CNTL3 = 0x10, 0x11, 0x18, 0x31, 0x32
DRDY, DOR, HOFL = 0x01, 0x02, 0x08
SINGLE, SELF_TEST = 0x01, 0x10
LSB_T = 0.15e-6
LIMIT_T = 4912e-6
MEASURE_NS = 7_200_000
#: period by mode (section 9.4.3)
PERIOD_NS = {2: 100_000_000, 4: 50_000_000, 6: 20_000_000, 8: 10_000_000}
AXES = ("mag_x_t", "mag_y_t", "mag_z_t")
QUANTITIES = {axis: Quantity("T", -LIMIT_T, LIMIT_T, LSB_T / 2 + 1e-12) for axis in AXES}


class Ak09916(RegisterTarget):
    """AK09916 at register level."""

    MAP = RegisterMap(
        (
            ro(0x00, "WIA1", 0x48),
            ro(0x01, "WIA2", 0x09),
            ro(0x02, "RSV1"),
            ro(0x03, "RSV2"),
            ro(ST1, "ST1"),
            *(ro(DATA + n, f"H{axis}") for n, axis in enumerate(("XL", "XH", "YL", "YH", "ZL"))),
            ro(0x16, "HZH"),
            ro(0x17, "TMPS"),
            ro(ST2, "ST2"),
            Register(0x30, "CNTL1", unmodelled=0xFF),
            Register(CNTL2, "CNTL2", writable=0x1F, unmodelled=SELF_TEST),
            Register(CNTL3, "CNTL3", clearing=0xFF),
        ),
        size=64,
    )
    QUANTITIES: ClassVar[Mapping[str, Quantity]] = QUANTITIES
    PARAMS: ClassVar[Mapping[str, Param]] = {}
    ADDRESSES: ClassVar[tuple[int, ...]] = (0x0C,)
    GUIDE: ClassVar[Guide] = Guide(
        identity=("WIA1", "WIA2"),
        fields={"ST1": "DOR 1, DRDY 0", "ST2": "HOFL 3", "CNTL2": "MODE 4:0", "CNTL3": "SRST 0"},
        readings={
            f"mag_{axis}_t": Reading(f"H{axis.upper()}L", 0.15e-6, nbytes=2, order="little")
            for axis in "xyz"
        },
        setup=(("CNTL2", 0x00), ("CNTL2", 0x08)),  # 100 Hz
    )

    def __init__(self, name: str, seed: int = 0) -> None:
        super().__init__(name, seed)
        # Section 10.3: the pointer goes round in two loops.
        self.file.after[0x03], self.file.after[ST2], self.file.after[CNTL3] = ST1, 0x00, 0x30
        self.values = dict.fromkeys(AXES, 0.0)
        self.counts = Counts()
        self._mode = 0
        self._start_ns = 0
        self._done = 0  # measurements that ended since the mode was set
        self._held = False  # data protection: between a read of data and that of ST2

    def refresh(self, t_ns: int) -> None:
        """Latch the measurement that ended last."""
        period_ns = PERIOD_NS.get(self._mode, 0)
        since_ns = t_ns - self._start_ns - MEASURE_NS
        if since_ns < 0 or not (period_ns or self._mode == SINGLE):
            return
        done = 1 + (since_ns // period_ns if period_ns else 0)
        if done == self._done or self._held:
            return
        values = self.file.values
        # Section 9.4.3.2: data that nobody read is overrun.
        overrun = bool(values[ST1] & DRDY) or done > self._done + 1
        self._done = done
        values[ST1] = DRDY | (DOR if overrun else 0)
        if self._mode == SINGLE:
            self._mode = values[CNTL2] = 0
        field = [self.values[axis] for axis in AXES]
        words = (self.counts(one / LSB_T, -32752, 32752) for one in field)
        values[DATA : DATA + 6] = struct.pack("<3h", *words)
        values[ST2] = HOFL if sum(map(abs, field)) >= LIMIT_T else 0

    def on_read(self, t_ns: int, address: int) -> None:
        """Data ready falls with a read of data or ST2, which also ends data protection."""
        if DATA <= address <= ST2:
            self.file.values[ST1] = 0
            self._held = address != ST2 and self._mode in PERIOD_NS

    def on_write(self, t_ns: int, address: int, value: int) -> None:
        """Start a mode over, or reset."""
        if address == CNTL3 and value & 1:
            self.file.reset()
        if address in (CNTL2, CNTL3):
            self._mode = self.file.values[CNTL2]
            self._start_ns, self._done, self._held = t_ns, 0, False
