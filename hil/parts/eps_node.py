"""An electrical power system as a node on the CAN bus.

The protocol is declared in ``flightsw.codec.eps_frames``: battery, solar and bus frames and a
heartbeat each second, commands that switch the payload's supplies, an acknowledgement each. It is
of the kind that flies (big-endian scaled integers, one frame a subsystem), not that of one maker.

Values saturate at the ends of their fields, as a converter does. Not modelled: temperatures, cell
voltages, over-current trips, the watchdog of the EPS itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, ClassVar, Final

from flightsw.codec import eps_frames as eps
from flightsw.codec.errors import TruncatedError
from hil.parts.base import Param, Part, Quantity, Scheduler, unwired
from hil.parts.limits import check_limits
from hil.time.phase import Phase

SECOND_NS: Final = 1_000_000_000
NSWITCHES: Final = 8


class EpsNode(Part):
    """The node. ``on_switch(t_ns, switch, on)`` is set by the rig to act on the supplies."""

    QUANTITIES: ClassVar[Mapping[str, Quantity]] = {
        "battery_v": Quantity("V", 0.0, 327.0, 0.0026),
        "battery_a": Quantity("A", -327.0, 327.0, 0.0051),
        "battery_soc": Quantity("1", 0.0, 1.0, 0.0026),
        "solar_w": Quantity("W", 0.0, 655.0, 0.0051),
        "load_w": Quantity("W", 0.0, 655.0, 0.0051),
    }
    PARAMS: ClassVar[Mapping[str, Param]] = {
        "period_s": Param("s", 1.0),
        "offset_s": Param("s", 0.25),
        "reply_s": Param("s", 0.005),
        "low_soc": Param("1", 0.3),
        "switches_on": Param(None, 0x0001),
    }

    def __init__(
        self,
        name: str,
        seed: int = 0,
        *,
        period_s: float = 1.0,
        offset_s: float = 0.25,
        reply_s: float = 0.005,
        low_soc: float = 0.3,
        switches_on: int = 0x0001,
    ) -> None:
        super().__init__(name, seed)
        check_limits(
            name,
            {
                "period_s": (period_s, 1e-3, 3600),
                "offset_s": (offset_s, 0, 3600),
                "reply_s": (reply_s, 0, 60),
                "low_soc": (low_soc, 0, 1),
                "switches_on": (switches_on, 0, (1 << NSWITCHES) - 1),
            },
        )
        self.values.update(dict.fromkeys(self.QUANTITIES, 0.0))
        self.can_send: Callable[[int, int, bytes], None] = unwired
        self.on_switch: Callable[[int, int, bool], None] = unwired
        #: bit n is set while switch n is on
        self.switches = switches_on
        #: a silent node neither broadcasts nor answers, as one that hangs
        self.silent = False
        self.counters: dict[str, int] = dict.fromkeys(
            ("broadcasts", "commands", "refused", "silent"), 0
        )
        self._period_ns = round(period_s * 1e9)
        self._offset_ns = round(offset_s * 1e9)
        self._reply_ns = round(reply_s * 1e9)
        self._low_soc = low_soc
        self._count = 0
        self._start_ns = 0
        self._cycling = 0  # switches in a power-cycle, as bits

    def start(self, scheduler: Scheduler, source: int) -> None:
        """Power the node on: the first broadcast comes ``offset_s`` from now."""
        self._scheduler, self._source = scheduler, source
        self._start_ns = scheduler.now_ns
        scheduler.at(self._start_ns + self._offset_ns, Phase.PART, source, self._broadcast)

    def can_receive(self, t_ns: int, can_id: int, data: bytes) -> None:
        """Take a command; every other frame is for someone else."""
        if can_id != eps.COMMAND_ID:
            return
        self.counters["commands"] += 1
        if self.silent:
            self.counters["silent"] += 1
            return
        answer = self._act(t_ns, data)
        if answer.result != eps.Result.ACCEPTED:
            self.counters["refused"] += 1
        self._scheduler.at(
            t_ns + self._reply_ns, Phase.PART, self._source, partial(self._reply, answer)
        )

    def snapshot(self) -> dict[str, Any]:
        """Return counters for the report."""
        return super().snapshot() | {"counters": dict(self.counters), "switches": self.switches}

    def _broadcast(self, t_ns: int) -> None:
        self._scheduler.at(t_ns + self._period_ns, Phase.PART, self._source, self._broadcast)
        if self.silent:
            self.counters["silent"] += 1
            return
        self.counters["broadcasts"] += 1
        for frame in self._telemetry(t_ns):
            self.can_send(t_ns, *eps.encode(frame))
        self._count = (self._count + 1) & 0xFFFF

    def _telemetry(self, t_ns: int) -> tuple[eps.Frame, ...]:
        values = self.values
        soc = values["battery_soc"]
        flags = eps.BatteryFlag(0)
        if values["battery_a"] > 0:
            flags |= eps.BatteryFlag.CHARGING
        if soc < self._low_soc:
            flags |= eps.BatteryFlag.LOW
        solar = eps.scaled(values["solar_w"], eps.POWER_LSB_W, 0, 0xFFFF)
        return (
            eps.Battery(
                eps.scaled(values["battery_v"], eps.VOLTAGE_LSB_V, 0, 0xFFFF),
                eps.scaled(values["battery_a"], eps.CURRENT_LSB_A, -0x8000, 0x7FFF),
                eps.scaled(soc, eps.CHARGE_LSB, 0, 200),
                int(flags),
                self._count,
            ),
            eps.Solar(solar, int(eps.SolarFlag.LIT) if solar else 0, 0, self._count),
            eps.BusLoad(
                eps.scaled(values["load_w"], eps.POWER_LSB_W, 0, 0xFFFF),
                self.switches,
                self._count,
            ),
            eps.Heartbeat(eps.OPERATIONAL, (t_ns - self._start_ns) // SECOND_NS & 0xFFFF_FFFF),
        )

    def _act(self, t_ns: int, data: bytes) -> eps.Acknowledge:
        """Carry out a command; return what to answer."""
        try:
            command = eps.decode(eps.COMMAND_ID, data)
        except TruncatedError:
            padded = (data + bytes(5))[:5]
            return eps.Acknowledge(
                padded[0], padded[1], padded[4], eps.Result.MALFORMED, self.switches
            )
        assert isinstance(command, eps.Command), "the layout of 0x200 is a command"
        opcode, switch, off_time, sequence = command
        result = eps.Result.ACCEPTED
        if switch >= NSWITCHES:
            result = eps.Result.UNKNOWN_SWITCH
        elif opcode not in tuple(eps.Opcode):
            result = eps.Result.UNKNOWN_OPCODE
        elif self._cycling >> switch & 1:
            result = eps.Result.BUSY
        elif opcode == eps.Opcode.POWER_CYCLE:
            self._turn(t_ns, switch, False)
            self._cycling |= 1 << switch
            back_ns = t_ns + round(off_time * eps.OFF_TIME_LSB_S * 1e9)
            self._scheduler.at(back_ns, Phase.PART, self._source, partial(self._back, switch))
        else:
            self._turn(t_ns, switch, opcode == eps.Opcode.SWITCH_ON)
        return eps.Acknowledge(opcode, switch, sequence, result, self.switches)

    def _back(self, switch: int, t_ns: int) -> None:
        self._cycling &= ~(1 << switch)
        self._turn(t_ns, switch, True)

    def _turn(self, t_ns: int, switch: int, on: bool) -> None:
        bit = 1 << switch
        if bool(self.switches & bit) == on:
            return
        self.switches ^= bit
        self.on_switch(t_ns, switch, on)

    def _reply(self, answer: eps.Acknowledge, t_ns: int) -> None:
        self.can_send(t_ns, *eps.encode(answer))
