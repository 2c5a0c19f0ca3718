"""Maxim DS1374: a counter of seconds, and a watchdog that is fed over I2C.

Source: data sheet DS1374 (19-5707), sections "Time-of-Day Counter", "Watchdog/Alarm Counter",
"Special-Purpose Registers" (table 2). As watchdog the counter runs down from its seed at 4096 Hz;
reading or writing it starts it over. At zero it sets AF and stops: by WDSTR the RST output is low
for 250 ms, in which the part does not answer and after which AF is clear, or INT pulses as long if
AIE is set. As alarm it counts seconds, over and over; INT follows AF and AIE.

Pins: ``reset`` is RST, ``int`` is INT. Not modelled: the square wave (BBSQW, RS2, RS1 are tagged),
the switch to the battery, EOSC without a supply, the trickle charger (tagged), the debounced input
function of RST.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from hil.parts.base import Param, Quantity, Scheduler, unwired
from hil.parts.conversion import NEVER_NS
from hil.parts.guide import Guide
from hil.parts.registers import Register, RegisterMap, RegisterTarget
from hil.time.phase import Phase

SECONDS, COUNTER, CONTROL, STATUS = 0x00, 0x04, 0x07, 0x08
WACE, WATCHDOG, WDSTR, AIE = 1 << 6, 1 << 5, 1 << 3, 1 << 0
OSF, AF = 1 << 7, 1 << 0
SECOND_NS, PULSE_NS, TICK_HZ = 1_000_000_000, 250_000_000, 4096


class Ds1374(RegisterTarget):
    """DS1374 at register level. ``on_reset(t_ns)`` is set by the rig: what RST does."""

    MAP = RegisterMap(
        (
            *(Register(SECONDS + n, f"TIME_OF_DAY_{n}") for n in range(4)),
            *(Register(COUNTER + n, f"WATCHDOG_{n}") for n in range(3)),
            Register(CONTROL, "CONTROL", 0x06, unmodelled=0x96),
            Register(STATUS, "STATUS", OSF, writable=0, w0c=OSF | AF),
            Register(0x09, "TRICKLE_CHARGER", unmodelled=0xFF),
        ),
        size=10,
    )
    QUANTITIES: ClassVar[Mapping[str, Quantity]] = {}
    PARAMS: ClassVar[Mapping[str, Param]] = {}
    ADDRESSES: ClassVar[tuple[int, ...]] = (0x68,)
    GUIDE: ClassVar[Guide] = Guide(
        fields={
            "CONTROL": "EOSC 7, WACE 6, WD_ALM 5, BBSQW 4, WDSTR 3, RS 2:1, AIE 0",
            "STATUS": "OSF 7, AF 0",
        },
    )
    #: direction of each pin, seen from the part
    PINS: ClassVar[Mapping[str, str]] = {"reset": "out", "int": "out"}
    #: both are open-drain outputs, pulled up
    PIN_IDLE: ClassVar[Mapping[str, int]] = {"reset": 1, "int": 1}

    def __init__(self, name: str, seed: int = 0) -> None:
        super().__init__(name, seed)
        self.gpio_drive: Callable[[int, str, int], None] = unwired
        self.on_reset: Callable[[int], None] = unwired
        self.counters = {"feeds": 0, "resets": 0, "interrupts": 0}
        self._scheduler: Scheduler | None = None
        self._source = 0
        self._check_ns = NEVER_NS  # when the one outstanding check is due
        self._epoch_ns = 0  # when the time of day was 0
        self._reload = 0  # the seed register
        self._zero_ns = NEVER_NS  # when the counter reaches zero
        self._pulse: tuple[str, int] = ("", 0)  # pin that is low, and until when
        self._int_low = False

    @property
    def acts_within_s(self) -> float:
        """The longest that a computer can be dead before a reset, once the watchdog is set up."""
        return self._reload / TICK_HZ if self.file.values[CONTROL] & WATCHDOG else 0.0

    def start(self, scheduler: Scheduler, source: int) -> None:
        """Act on its own from now on, not only when it is accessed."""
        self._scheduler, self._source = scheduler, source
        self._schedule()

    def snapshot(self) -> dict[str, Any]:
        """Return counters for the report."""
        return super().snapshot() | {"counters": dict(self.counters)}

    # Counting -----------------------------------------------------------------------------------

    @property
    def _hertz(self) -> int:
        return TICK_HZ if self.file.values[CONTROL] & WATCHDOG else 1

    def _restart(self, t_ns: int) -> None:
        """Load the counter from its seed; without WACE, or from a seed of zero, it stands."""
        runs = self.file.values[CONTROL] & WACE and self._reload
        self._zero_ns = t_ns + self._reload * SECOND_NS // self._hertz if runs else NEVER_NS
        self._schedule()

    def refresh(self, t_ns: int) -> None:
        """Bring counters, flags and pins up to ``t_ns``."""
        while True:
            pin, end_ns = self._pulse
            if pin and end_ns <= min(t_ns, self._zero_ns):
                self._end_pulse(pin, end_ns)
            elif self._zero_ns <= t_ns:
                self._reached_zero(self._zero_ns, t_ns)
            else:
                break
        values = self.file.values
        seconds = (t_ns - self._epoch_ns) // SECOND_NS & 0xFFFFFFFF
        values[SECONDS : SECONDS + 4] = seconds.to_bytes(4, "little")
        if values[CONTROL] & WACE:
            left_ns = self._zero_ns - t_ns
            left = -(-left_ns * self._hertz // SECOND_NS) if self._zero_ns != NEVER_NS else 0
            values[COUNTER : COUNTER + 3] = min(left, self._reload).to_bytes(3, "little")

    def _reached_zero(self, zero_ns: int, t_ns: int) -> None:
        values = self.file.values
        values[STATUS] |= AF
        if values[CONTROL] & WATCHDOG:
            self._zero_ns = NEVER_NS
            self._fire(zero_ns)
        else:
            # The alarm goes on; what passed unseen since then would only set AF again.
            period_ns = self._reload * SECOND_NS // self._hertz
            self._zero_ns = zero_ns + period_ns * (1 + (t_ns - zero_ns) // period_ns)
            self._follow(zero_ns)

    def _fire(self, t_ns: int) -> None:
        """Pulse the output that WDSTR chooses."""
        control = self.file.values[CONTROL]
        if control & WDSTR and not control & AIE:
            return
        pin = "int" if control & WDSTR else "reset"
        self.counters["interrupts" if pin == "int" else "resets"] += 1
        self._pulse = (pin, t_ns + PULSE_NS)
        self.gpio_drive(t_ns, pin, 0)
        self._schedule()
        if pin == "reset":
            self.on_reset(t_ns)

    def _end_pulse(self, pin: str, t_ns: int) -> None:
        self._pulse = ("", 0)
        if pin == "reset":
            self.file.values[STATUS] &= ~AF
        self.gpio_drive(t_ns, pin, 1)

    def _follow(self, t_ns: int) -> None:
        """As alarm, let INT be low while AF and AIE are set."""
        values = self.file.values
        low = bool(values[STATUS] & AF and values[CONTROL] & AIE)
        low = low and not values[CONTROL] & WATCHDOG
        if low != self._int_low:
            self._int_low = low
            self.counters["interrupts"] += low
            self.gpio_drive(t_ns, "int", 0 if low else 1)

    def _schedule(self) -> None:
        """Look again when something is due; one look is outstanding however often it is fed."""
        due_ns = min(self._zero_ns, self._pulse[1] if self._pulse[0] else NEVER_NS)
        if self._scheduler is not None and due_ns < self._check_ns:
            self._check_ns = due_ns = max(due_ns, self._scheduler.now_ns)
            self._scheduler.at(due_ns, Phase.PART, self._source, self._look)

    def _look(self, t_ns: int) -> None:
        if t_ns == self._check_ns:
            self._check_ns = NEVER_NS
        self.refresh(t_ns)
        self._schedule()

    # Bus face -----------------------------------------------------------------------------------

    def _inhibited(self, t_ns: int) -> bool:
        self.refresh(t_ns)
        return self._pulse[0] == "reset"

    def i2c_write(self, t_ns: int, data: bytes) -> int:
        """Write as usual; during a reset pulse the part does not answer."""
        return -1 if self._inhibited(t_ns) else super().i2c_write(t_ns, data)

    def i2c_read(self, t_ns: int, nbytes: int) -> bytes | None:
        """Read as usual; during a reset pulse the part does not answer."""
        return None if self._inhibited(t_ns) else super().i2c_read(t_ns, nbytes)

    def i2c_write_read(self, t_ns: int, data: bytes, nread: int) -> bytes | int:
        """Run a whole transaction in one call."""
        if (data or not nread) and self.i2c_write(t_ns, data) < 0:
            return -1
        answer = self.i2c_read(t_ns, nread) if nread else b""
        return answer if answer is not None else -2 if data else -1

    def on_read(self, t_ns: int, address: int) -> None:
        """As watchdog, reading the counter feeds it."""
        if COUNTER <= address < CONTROL and self.file.values[CONTROL] & WATCHDOG:
            self.counters["feeds"] += 1
            self._restart(t_ns)

    def on_write(self, t_ns: int, address: int, value: int) -> None:
        """Counters take what is written; CONTROL starts the counter and fires on a standing AF."""
        values = self.file.values
        if address < COUNTER:
            seconds = int.from_bytes(bytes(values[SECONDS : SECONDS + 4]), "little")
            self._epoch_ns = t_ns - seconds * SECOND_NS
        elif address < CONTROL:
            self._reload = int.from_bytes(bytes(values[COUNTER : COUNTER + 3]), "little")
            self.counters["feeds"] += bool(values[CONTROL] & WATCHDOG)
            self._restart(t_ns)
        elif address == CONTROL:
            self._restart(t_ns)
            if value & WACE and value & WATCHDOG and values[STATUS] & AF and not self._pulse[0]:
                self._fire(t_ns)
        self._follow(t_ns)
