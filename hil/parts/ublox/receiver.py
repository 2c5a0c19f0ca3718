"""A u-blox GNSS receiver: UBX and NMEA on a serial line or on I2C, a time pulse on a pin.

Modelled on the NEO-M9N: data sheet UBX-19014285 (time to first fix, accuracy, limits, 25 Hz),
interface description UBX-19035940 (messages, configuration), integration manual UBX-19014286
(platform models, time pulse), M8 protocol specification UBX-13003221 (the older messages, DDC).

``factory`` is a receiver as it is sold: six NMEA sentences a second at 38400 baud. Otherwise its
flash holds what an integrator put there: the baud rate of the line, RMC, GGA and UBX-NAV-PVT.
``space`` lifts the limits of the terrestrial firmware (80 km, 500 m/s) and of the platform model,
beyond which there is no fix.

Each navigation epoch is sampled at its instant and reported a computation time later. Before the
first fix, and while quantity ``fix`` is below a half, the messages say so and the time pulse rests.
What is sent in answer to a change of the baud rate leaves at the old rate; the documents leave that
open.

Not modelled: real satellites (NAV-SAT, GSA and GSV tell of invented ones, which is counted), raw
measurements, assistance data, dead reckoning after a loss, power save modes, 7 data bits, parity,
SPI and USB ports, TX-ready pin, antenna supervisor, jamming, geofences, logging, the leap second
itself while it happens; UTC standards, navigation filters and NMEA filters by items that are stored
without effect (counted when they are set).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Any, ClassVar, Final

from hil.errors import ConfigError
from hil.parts.base import Param, Part, Quantity, Scheduler
from hil.parts.limits import check_limits
from hil.parts.pps import TimePulse
from hil.parts.ublox import legacy, nmea, ubx
from hil.parts.ublox.commands import Commands
from hil.parts.ublox.items import PORTS
from hil.parts.ublox.messages import MESSAGES, TIM_TP
from hil.parts.ublox.navigator import SECOND_NS, Navigator, Noise, Timing, as_utc
from hil.parts.ublox.ports import STREAM, I2CPort, Port, UartPort
from hil.parts.ublox.solution import SYSTEMS, Solution
from hil.parts.ublox.store import Store
from hil.parts.ublox.timepulse import plan
from hil.time.phase import Phase

#: From a reset to the first octet; the documents give no number.
BOOT_NS: Final = 500_000_000


#: what a board file may give of each numeric parameter
LIMITS: Final = {
    **dict.fromkeys(Timing._fields, (0, 1e5)),
    "noise_m": (0, 1e4),
    "velocity_noise_m_s": (0, 1e3),
    "geoid_separation_m": (-200, 200),
    "latency_s": (0, 10),
    "pulse_s": (1e-6, 0.999),
    "satellites": (4, 92),
    "tx_buffer": (256, 65_535),
}


class Ublox(Part):
    """The receiver. ``epoch_utc``: the instant of t = 0, set by the rig before :meth:`start`."""

    QUANTITIES: ClassVar[Mapping[str, Quantity]] = {
        "lat_deg": Quantity("deg", -90.0, 90.0, 2e-5),
        "lon_deg": Quantity("deg", -180.0, 180.0, 2e-5),
        "alt_m": Quantity("m", -1_000.0, 2_000_000.0, 3.0),
        "vn_m_s": Quantity("m/s", -12_000.0, 12_000.0, 0.08),
        "ve_m_s": Quantity("m/s", -12_000.0, 12_000.0, 0.08),
        "vd_m_s": Quantity("m/s", -12_000.0, 12_000.0, 0.08),
        # sight of the sky: a driver sees 0 or 1 of it
        "fix": Quantity("1", 0.0, 1.0, 0.5),
    }
    PARAMS: ClassVar[Mapping[str, Param]] = {
        "ttff_s": Param("s", 29.0),
        "warm_s": Param("s", 25.0),
        "reacquisition_s": Param("s", 2.0),
        "time_before_fix_s": Param("s", 0.0),
        "utc_s": Param("s", 0.0),
        "latency_s": Param("s", 0.060),
        "pulse_s": Param("s", 0.100),
        "noise_m": Param("m", 0.5),
        "velocity_noise_m_s": Param("m/s", 0.02),
        "geoid_separation_m": Param("m", 0.0),
        "satellites": Param(None, 14),
        "send_nmea": Param(None, True),
        "send_ubx": Param(None, True),
        "factory": Param(None, False),
        "space": Param(None, False),
        "tx_buffer": Param(None, 4096),
    }
    #: direction of each pin, seen from the part
    PINS: ClassVar[Mapping[str, str]] = {"pps": "out"}
    ADDRESSES: ClassVar[tuple[int, ...]] = (0x42,)

    def __init__(
        self,
        name: str,
        seed: int = 0,
        *,
        ttff_s: float = 29.0,
        warm_s: float = 25.0,
        reacquisition_s: float = 2.0,
        time_before_fix_s: float = 0.0,
        utc_s: float = 0.0,
        latency_s: float = 0.060,
        pulse_s: float = 0.100,
        noise_m: float = 0.5,
        velocity_noise_m_s: float = 0.02,
        geoid_separation_m: float = 0.0,
        satellites: int = 14,
        send_nmea: bool = True,
        send_ubx: bool = True,
        factory: bool = False,
        space: bool = False,
        tx_buffer: int = 4096,
    ) -> None:
        super().__init__(name, seed)
        timing = Timing(ttff_s, warm_s, reacquisition_s, time_before_fix_s, utc_s)
        noise = Noise(noise_m, velocity_noise_m_s, geoid_separation_m)
        given = {**timing._asdict(), **noise._asdict(), "latency_s": latency_s}
        given |= {"pulse_s": pulse_s, "satellites": satellites, "tx_buffer": tx_buffer}
        check_limits(name, {key: (value, *LIMITS[key]) for key, value in given.items()})
        self.values.update(dict.fromkeys(self.QUANTITIES, 0.0), fix=1.0)
        self.epoch_utc: datetime | None = None
        self.gpio_drive: Callable[[int, str, int], None] = _unwired
        #: set by a serial line: takes the rate of this end from an instant on
        self.uart_set_baud: Callable[[int, int], None] = lambda t_ns, baud: None
        self.navigator = Navigator(self.values, self.random, timing, noise, satellites, space)
        flash = {} if factory else _flash(send_nmea, send_ubx, round(pulse_s * 1e6))
        self._factory = factory
        self.store = Store(flash, self.touch)
        self.store.check = legacy.can_be
        self.uart = UartPort(tx_buffer, self.store)
        self.i2c = I2CPort(tx_buffer, self.store)
        self.ports: tuple[Port, ...] = (self.uart, self.i2c)
        self.commands = Commands(self, seed)
        self.pulse = TimePulse(self._drive, lambda n: int(self.random.integers(n)))
        self.counters: dict[str, int] = dict.fromkeys(("epochs", "octets_in", "resets"), 0)
        self._latency_ns = round(latency_s * 1e9)
        self._splitters = {port.number: ubx.Splitter() for port in self.ports}
        self._scheduler: Scheduler | None = None
        self._source = 0
        self._first_ns = 0
        self._top_ns = -1
        self._boot_ns = 0  # deaf and mute before this
        self._polarity = 1
        self._life = 0  # starts so far: what was queued before a reset is lost
        self.stopped = False
        self.solution: Solution | None = None
        self.store.changed = self._configured
        self._configured()

    # -- wiring ----------------------------------------------------------------------------------

    @property
    def uart_send(self) -> Callable[[int, bytes], None]:
        """What sends octets towards the payload computer; set by the serial line."""
        return self.uart.write or _unwired

    @uart_send.setter
    def uart_send(self, write: Callable[[int, bytes], None]) -> None:
        self.uart.write = write

    def uart_attached(self, baud: int) -> int:
        """Learn the rate of the line, which set up in the flash; return its own."""
        if not self._factory:
            self.store.preset("UART1-BAUDRATE", baud)
        self.uart.baud = self.store["UART1-BAUDRATE"]
        return self.uart.baud

    def start(self, scheduler: Scheduler, source: int) -> None:
        """Power the receiver on now: first epoch at the next top of a UTC second."""
        if self.epoch_utc is None:
            raise ConfigError(f"part {self.name}: start without epoch_utc; set it first")
        epoch = self.navigator.epoch_utc = as_utc(self.epoch_utc)
        self._scheduler, self._source = scheduler, source
        now_ns = scheduler.now_ns
        self.navigator.begin(now_ns)
        phase_ns = -epoch.microsecond * 1000 % SECOND_NS
        self._first_ns = self._top_ns = now_ns + (phase_ns - now_ns) % SECOND_NS
        scheduler.at(self._first_ns, Phase.PART, source, self._second)
        scheduler.at(self._first_ns, Phase.PART, source, self._epoch)
        if self._factory:
            scheduler.at(now_ns, Phase.PART, source, self._greet)

    # -- bus faces -------------------------------------------------------------------------------

    def uart_receive(self, t_ns: int, data: bytes) -> None:
        """Take octets from the payload computer and answer each message in them."""
        self._receive(t_ns, data, self.uart)

    def i2c_write(self, t_ns: int, data: bytes) -> int:
        """Take a register address, or two and more octets as a stream of messages."""
        if len(data) == 1:
            self.i2c.select(data[0])
        elif data:
            self.i2c.select(STREAM)
            self._receive(t_ns, data, self.i2c)
        return len(data)

    def i2c_read(self, t_ns: int, nbytes: int) -> bytes:
        """Read from the register that was selected, or the stream."""
        return self.i2c.read(t_ns, nbytes)

    def i2c_stop(self, t_ns: int) -> None:
        """See the stop condition: nothing waits for it."""

    def gpio_change(self, t_ns: int, pin: str, level: int) -> None:
        """Have no input pins; a wire to one is counted."""
        self.touch(f"pin {pin} driven to {level}")

    def snapshot(self) -> dict[str, Any]:
        """Return counters for the report."""
        counters = {**self.counters, **self.navigator.counters, **self.commands.counters}
        for port in self.ports:
            for name, count in {**port.counters, **self._splitters[port.number].counters}.items():
                counters[name] = counters.get(name, 0) + count
        counters |= {f"pulse_{name}": count for name, count in self.pulse.counters.items()}
        return super().snapshot() | {"counters": counters}

    # -- what happens by itself ------------------------------------------------------------------

    def _second(self, t_ns: int) -> None:
        """Top of a second: judge the fix and give the time pulse."""
        assert self._scheduler is not None, "seconds come after start"
        self._top_ns = t_ns
        if t_ns >= self._boot_ns and not self.stopped:
            self.navigator.judge(t_ns)
            pulses = plan(self.store, self.navigator.fixed)
            self.pulse.width_ns = pulses.width_ns
            for offset_ns in pulses.offsets((t_ns - self._first_ns) // SECOND_NS):
                if offset_ns:
                    fire = partial(self._fire, self._life)
                    self._scheduler.at(t_ns + offset_ns, Phase.PART, self._source, fire)
                else:
                    self.pulse.fire(self._scheduler, self._source, t_ns)
        self._scheduler.at(t_ns + SECOND_NS, Phase.PART, self._source, self._second)

    def _fire(self, life: int, t_ns: int) -> None:
        """Give a pulse within a second, if the receiver was not reset since."""
        assert self._scheduler is not None, "pulses come after start"
        if life == self._life:
            self.pulse.fire(self._scheduler, self._source, t_ns)

    def _drive(self, t_ns: int, level: int) -> None:
        self.gpio_drive(t_ns, "pps", level if self.store["TP-POL_TP1"] else 1 - level)

    def _epoch(self, t_ns: int) -> None:
        """Take a navigation solution and have it sent after the computation time."""
        assert self._scheduler is not None, "epochs come after start"
        if t_ns >= self._boot_ns and not self.stopped:
            self.solution = self.navigator.solve(t_ns)
            out = {port: self._due(port, t_ns) for port in self.ports}
            self.counters["epochs"] += 1
            if any(out.values()):
                send = partial(self._report, self._life, out)
                self._scheduler.at(t_ns + self._latency_ns, Phase.PART, self._source, send)
        # Epochs stay on multiples of the period after the first, whatever it was before.
        period_ns = self.store["RATE-MEAS"] * self.store["RATE-NAV"] * 1_000_000
        next_ns = t_ns + period_ns - (t_ns - self._first_ns) % period_ns
        self._scheduler.at(next_ns, Phase.PART, self._source, self._epoch)

    def _due(self, port: Port, t_ns: int) -> list[bytes]:
        """Return what is to be sent of the last solution on a port."""
        if not port.is_listened_to(t_ns):
            return []
        count = self.counters["epochs"]
        return [
            self.message(message)
            for message, rate in self._rates[port.number]
            if count % rate == 0 and (message != TIM_TP or t_ns == self._top_ns)
        ]

    def message(self, message: tuple[int, int]) -> bytes:
        """Return a message of the last solution."""
        assert self.solution is not None, "messages come after the first epoch"
        row = MESSAGES[message]
        if row.has_satellites:
            self.touch(f"{row.name} tells of invented satellites")
        return row.build(self.solution, self._style)

    def _report(self, life: int, out: Mapping[Port, list[bytes]], t_ns: int) -> None:
        if life == self._life:
            for port, messages in out.items():
                port.send(t_ns, messages)

    def _greet(self, t_ns: int) -> None:
        """Say who it is, as far as notices are switched on."""
        for port in self.ports:
            if self.store[f"INFMSG-NMEA_{port.name}"] & 4:
                port.send(t_ns, [nmea.txt(2, text) for text in self.commands.greeting])

    # -- commands --------------------------------------------------------------------------------

    def _receive(self, t_ns: int, data: bytes, port: Port) -> None:
        if t_ns < self._boot_ns or not data:
            return
        self.counters["octets_in"] += len(data)
        for message, payload in self._splitters[port.number].feed(data):
            if not port.takes_in(message == ubx.NMEA_LINE):
                self.touch(f"{'NMEA' if message == ubx.NMEA_LINE else 'UBX'} not taken in")
                continue
            answers = self.commands.answer(message, payload, port, t_ns)
            port.send(t_ns, answers)
            self._follow_baud(t_ns)

    def _configured(self) -> None:
        """Bring what is derived from the items up to date."""
        store = self.store
        systems = tuple(s for s in SYSTEMS if legacy.is_on(store.__getitem__, s.name))
        if self._scheduler is not None and systems != self.navigator.systems:
            self.navigator.begin(self._scheduler.now_ns, forget=0)
        #: by port: message and rate of those that are sent at all
        self._rates = {
            number: [
                (message, rate)
                for message, row in MESSAGES.items()
                if (rate := store[f"MSGOUT-{row.name}_{port}"])
            ]
            for number, port in PORTS.items()
        }
        self.navigator.systems = systems
        self.navigator.model = store["NAVSPG-DYNMODEL"]
        if store["TP-POL_TP1"] != self._polarity and self._scheduler is not None:
            self._polarity = store["TP-POL_TP1"]
            self._drive(self._scheduler.now_ns, 0)
        talker = nmea.TALKERS[store["NMEA-MAINTALKERID"]]
        self._style = nmea.Style(
            version=store["NMEA-PROTVER"],
            high_precision=bool(store["NMEA-HIGHPREC"]),
            talker=talker or ("GN" if len(systems) > 1 else systems[0].talker),
            gsv_talker=(talker or "GN") if store["NMEA-GSVTALKERID"] else "",
            max_satellites=store["NMEA-MAXSVS"],
            hidden=frozenset(s.name for s in systems if store[f"NMEA-FILT_{s.name}"]),
        )

    def _follow_baud(self, t_ns: int) -> None:
        """Change the rate of the line once what was sent before is out."""
        baud = self.store["UART1-BAUDRATE"]
        if baud != self.uart.baud:
            self.uart_set_baud(t_ns, baud)
            self.uart.baud = baud

    def restart(self, t_ns: int, forget: int, whole: bool) -> None:
        """Reset the navigation, or the ``whole`` receiver with its configuration in RAM."""
        self.navigator.begin(t_ns, forget)
        self.stopped = False
        self.counters["resets"] += 1
        if not whole:
            return
        self._life += 1
        self._boot_ns = t_ns + BOOT_NS
        self.store.start()
        self._follow_baud(t_ns)
        if self._scheduler is not None:
            self._scheduler.at(self._boot_ns, Phase.PART, self._source, self._greet)


def _flash(send_nmea: bool, send_ubx: bool, pulse_us: int) -> dict[str, int]:
    """Return what an integrator has stored: which messages are sent, and the length of a pulse."""
    rates = {f"MSGOUT-NMEA_ID_{name}_UART1": 0 for name in ("GLL", "GSA", "GSV", "VTG")}
    rates |= {f"MSGOUT-NMEA_ID_{name}_UART1": int(send_nmea) for name in ("RMC", "GGA")}
    return rates | {"MSGOUT-UBX_NAV_PVT_UART1": int(send_ubx), "TP-LEN_LOCK_TP1": pulse_us}


def _unwired(t_ns: int, *_: object) -> None:
    """Stand for a line or pin that the board does not connect."""
