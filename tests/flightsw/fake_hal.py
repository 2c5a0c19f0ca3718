"""A scripted payload computer for unit tests: the hal's interfaces over plain Python objects.

Parts are register dictionaries; a test changes them, makes them fail, or runs a callback at a time
of the virtual clock. ``Ground`` speaks the real codec with the flight software's serial line.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any

import numpy as np

from flightsw.codec import eps_frames
from flightsw.codec.coding import cltu
from flightsw.codec.dictionary import FUNCTIONS, PARAMETER_BY_NAME, TELECOMMANDS
from flightsw.codec.link import tc_frame, tm_frame
from flightsw.codec.link.frames import Frames
from flightsw.codec.packet import pus
from flightsw.codec.time_code import pack_cuc
from flightsw.errors import BusError, Shutdown
from flightsw.hal import CanFrame, Charge, Device, Edge, Image

SECOND = 1_000_000_000
SCID = 0x2A
NMEA = b"$GNTXT,01,01,02,ok*57\r\n"
CARRIER, KICK, PPS = ("gpiochip0", 23), ("gpiochip0", 24), ("gpiochip0", 18)


def set_parameters(**values: float) -> bytes:
    """Return the data of a TC[20,3] that sets on-board parameters by name."""
    rows = [(PARAMETER_BY_NAME[name], value) for name, value in values.items()]
    body = b"".join(p.id.to_bytes(2, "big") + p.kind.build(value) for p, value in rows)
    return TELECOMMANDS[20, 3].build({"count": len(rows), "rows": body})


class Clock:
    """Virtual time; ``at`` schedules what the outside world does."""

    def __init__(self, start_ns: int, end_ns: int) -> None:
        self.t_ns = start_ns
        self.end_ns = end_ns
        self._events: list[tuple[int, int, Callable[[int], None]]] = []
        self._order = 0

    def now_ns(self) -> int:
        return self.t_ns

    def at(self, t_ns: int, action: Callable[[int], None]) -> None:
        self._order += 1
        heappush(self._events, (t_ns, self._order, action))

    def advance(self, duration_ns: int) -> None:
        self.t_ns += duration_ns
        if self.t_ns > self.end_ns + SECOND:
            raise Shutdown("a script that never sleeps")

    def sleep_until(self, t_ns: int) -> None:
        if t_ns >= self.end_ns:
            raise Shutdown("end of script")
        while self._events and self._events[0][0] <= t_ns:
            when, _, action = heappop(self._events)
            self.t_ns = max(self.t_ns, when)
            action(when)
        self.t_ns = max(self.t_ns, t_ns)


class I2C:
    """Targets by address: register -> octets. ``failing`` addresses do not answer."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.targets: dict[int, dict[int, bytes]] = {}
        self.failing: dict[int, int] = {}
        self.transactions = 0

    def transfer(self, address: int, write: bytes, nread: int = 0) -> bytes:
        self._clock.advance(100_000)
        self.transactions += 1
        left = self.failing.get(address, 0)
        if left or address not in self.targets:
            if left > 0:
                self.failing[address] = left - 1
            raise BusError(errno.EREMOTEIO, f"i2c 0x{address:02X}: no answer")
        registers = self.targets[address]
        if len(write) > 1:
            registers[write[0]] = write[1:]
        return registers.get(write[0], b"").ljust(nread, b"\0")[:nread]


class Flash:
    """The commands of a W25Q128 that the driver uses."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.memory = bytearray(b"\xff" * 16384)
        self.busy_until_ns = 0
        self.fail = False
        self._enabled = False

    def transfer(self, tx: bytes) -> bytes:
        self._clock.advance(20_000)
        if self.fail:
            raise BusError(errno.EIO, "spi: transfer failed")
        command, at = tx[0], int.from_bytes(tx[1:4], "big")
        if command == 0x9F:
            return b"\xff\xef\x40\x18"
        if command == 0x05:
            return bytes((0xFF, self._clock.t_ns < self.busy_until_ns))
        if command == 0x03:
            return b"\xff" * 4 + bytes(self.memory[at : at + len(tx) - 4])
        if command == 0x06:
            self._enabled = True
        elif command == 0x20 and self._enabled:
            at &= ~0xFFF
            self.memory[at : at + 4096] = b"\xff" * 4096
            self.busy_until_ns, self._enabled = self._clock.t_ns + 45_000_000, False
        elif command == 0x02 and self._enabled:
            for i, octet in enumerate(tx[4:]):
                self.memory[at + i] &= octet
            self.busy_until_ns, self._enabled = self._clock.t_ns + 700_000, False
        return b"\xff" * len(tx)


class Uart:
    def __init__(self) -> None:
        self.rx = bytearray()
        self.tx = bytearray()
        self.overruns = 0

    def write(self, data: bytes) -> None:
        self.tx += data

    def read(self) -> bytes:
        data = bytes(self.rx)
        self.rx.clear()
        return data


class Can:
    def __init__(self) -> None:
        self.rx: list[CanFrame] = []
        self.sent: list[tuple[int, bytes]] = []

    def send(self, can_id: int, data: bytes) -> None:
        self.sent.append((can_id, data))

    def receive(self) -> list[CanFrame]:
        frames, self.rx = self.rx, []
        return frames


class Gpio:
    def __init__(self) -> None:
        self.level = 0
        self.changes = 0
        self.pending: list[Edge] = []

    def set(self, value: int) -> None:
        self.changes += value != self.level
        self.level = value

    def get(self) -> int:
        return self.level

    def edges(self) -> list[Edge]:
        edges, self.pending = self.pending, []
        return edges


class Camera:
    """Sea on the left, land on the right, cloud in the lowest rows."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.fail = 0
        self.cloudy = False
        self.captures = 0
        self.shape = (256, 384)

    def capture(self, exposure_us: int) -> Image:
        t_ns = self._clock.t_ns
        self._clock.advance(exposure_us * 1000 + 33_000_000)
        if self.fail:
            self.fail -= 1
            raise BusError(errno.ETIMEDOUT, "frames: no frame")
        self.captures += 1
        height, width = self.shape
        pixels = np.zeros((height, width, 3), np.uint8)
        pixels[:, : width // 2] = (10, 30, 90)
        pixels[:, width // 2 :] = (90, 80, 40)
        pixels[height if not self.cloudy else 0 :] = 230
        pixels[-height // 8 :] = 230
        return Image(t_ns, pixels)


class Cpu:
    def __init__(self) -> None:
        self.ns_per_unit = SECOND // 2
        self.begun: list[tuple[str, int]] = []
        self.ended = 0

    def begin(self, model_class: str, units: int) -> Charge:
        self.begun.append((model_class, units))
        return Charge(units * self.ns_per_unit, units * 0.75)

    def end(self) -> None:
        self.ended += 1


def devices() -> list[Device]:
    """The device table of the Raspberry Pi payload computer."""
    pins = {"carrier": list(CARRIER)}, {"kick": list(KICK)}, {"pps": list(PPS)}
    rows = [
        ("power", "ina3221", "i2c-1", 0x40, {"shunts": [0.01, 0.01, 0.01]}),
        ("temp_board", "tmp117", "i2c-1", 0x48, {}),
        ("temp_chip", "tmp117", "i2c-1", 0x49, {}),
        ("imu", "lsm6dsox", "i2c-1", 0x6A, {}),
        ("flash", "w25q", "spi-0", 0, {}),
        ("gnss", "gnss", "ttyAMA1", 0, {"pins": pins[2]}),
        ("ttc", "ttc", "ttyAMA2", 0, {"pins": pins[0]}),
        ("eps", "eps", "can0", 0, {}),
        ("watchdog", "watchdog", "gpiochip0", 0, {"pins": pins[1]}),
        ("imager", "imager", "csi0", 0, {}),
    ]
    return [Device(*row) for row in rows]


class FakeHal:
    """A payload computer whose parts answer well; tests spoil them."""

    def __init__(self, seconds: float = 60, start_s: float = 0, **config: Any) -> None:
        self.clock = Clock(int(start_s * SECOND), int((start_s + seconds) * SECOND))
        self.cpu = Cpu()
        self.devices = devices()
        self.config = {"scid": SCID, "inference": "threshold", "fsync": False, **config}
        self.boot_count = 1
        self.bus = I2C(self.clock)
        self.flash = Flash(self.clock)
        self.uarts: dict[str, Uart] = {}
        self.cans: dict[str, Can] = {}
        self.lines: dict[tuple[str, int], Gpio] = {}
        self.camera = Camera(self.clock)
        self.battery = [16000, 500, 190]  # mV, mA, half percents
        self.eps_silent = False
        self.gnss_silent = False
        self.bus.targets = {
            0x40: {0xFE: b"\x54\x49", 0xFF: b"\x32\x20"},
            0x48: {0x0F: b"\x01\x17"},
            0x49: {0x0F: b"\x01\x17"},
            0x6A: {0x0F: b"\x6c", 0x20: bytes(14)},
        }
        self.set_temperature(20.0, 35.0)
        self.set_rails((5000, 600), (16000, 500), (17000, 900))
        self.clock.at(self.clock.t_ns + SECOND // 4, self._eps)

    def set_temperature(self, board_c: float, chip_c: float) -> None:
        for address, value in ((0x48, board_c), (0x49, chip_c)):
            self.bus.targets[address][0] = round(value * 128).to_bytes(2, "big", signed=True)

    def set_rails(self, *rails: tuple[int, int]) -> None:
        registers = self.bus.targets[0x40]
        for number, (millivolts, milliamperes) in enumerate(rails):
            steps = milliamperes // 4  # 40 uV over 10 mohm
            registers[1 + 2 * number] = (steps << 3).to_bytes(2, "big", signed=True)
            registers[2 + 2 * number] = (millivolts // 8 << 3).to_bytes(2, "big", signed=True)

    def _eps(self, t_ns: int) -> None:
        millivolts, milliamperes, charge = self.battery
        if not self.eps_silent:
            battery = eps_frames.Battery(millivolts // 5, milliamperes // 10, charge, 0, 0)
            for frame in (battery, eps_frames.Solar(1500, 1, 0, 0), eps_frames.BusLoad(700, 1, 0)):
                self.can("can0").rx.append(CanFrame(t_ns, *eps_frames.encode(frame)))
        if not self.gnss_silent:
            self.uart("ttyAMA1").rx += NMEA
        self.clock.at(t_ns + SECOND, self._eps)

    def restarted(self, seconds: float) -> FakeHal:
        """The same hardware after the flight software stopped, ``seconds`` to run."""
        self.clock.end_ns = self.clock.t_ns + int(seconds * SECOND)
        self.boot_count += 1
        return self

    def i2c(self, channel: str) -> I2C:
        return self.bus

    def spi(self, channel: str, chip_select: int) -> Flash:
        return self.flash

    def uart(self, channel: str) -> Uart:
        return self.uarts.setdefault(channel, Uart())

    def can(self, channel: str) -> Can:
        return self.cans.setdefault(channel, Can())

    def gpio(self, channel: str, line: int) -> Gpio:
        return self.lines.setdefault((channel, line), Gpio())

    def imager(self, channel: str) -> Camera:
        return self.camera


class Ground:
    """The far end of the TTC line: telecommands as CLTUs, telemetry from CADUs."""

    def __init__(self, hal: FakeHal, apid: int = 0x101) -> None:
        self.hal = hal
        self.apid = apid
        self.line = hal.uart("ttyAMA2")
        self.carrier = hal.gpio(*CARRIER)
        self.receiver = tm_frame.Receiver(Frames("tm", 256, SCID, ocf=True))
        self.packets: list[pus.TmPacket] = []
        self.sequence = 0
        self._frame = 0
        #: frames without sequence check, for tests in which the flight software restarts
        self.bypass = False

    def contact(self, begin_s: float, end_s: float) -> None:
        """Raise the carrier for a time."""
        for t_s, level in ((begin_s, 1), (end_s, 0)):
            self.hal.clock.at(int(t_s * SECOND), lambda _, level=level: self.carrier.set(level))

    def tc(self, service: int, subtype: int, data: bytes = b"", **fields: Any) -> bytes:
        """Return a telecommand packet with the next sequence count."""
        apid = fields.pop("apid", self.apid)
        sequence = fields.pop("seq", self.sequence)
        self.sequence = sequence + 1
        return pus.pack_tc(apid, sequence, service, subtype, data, source=1, **fields)

    def function(self, name: str, **values: Any) -> bytes:
        """Return a TC[8,1]."""
        function = next(f for f in FUNCTIONS if f.name == name)
        row = {"function": function.id, "arguments": function.struct.build(values)}
        return self.tc(8, 1, TELECOMMANDS[8, 1].build(row))

    def take_image(self, job: int, priority: int = 10, max_cloud: int = 255) -> bytes:
        return self.function(
            "TAKE_IMAGE", job=job, exposure_us=2000, priority=priority, max_cloud=max_cloud
        )

    def insert(self, *activities: tuple[float, bytes]) -> bytes:
        """Return a TC[11,4] with (release time in seconds, packet) pairs."""
        body = b"".join(pack_cuc(round(t_s * SECOND)) + packet for t_s, packet in activities)
        return self.tc(
            11, 4, TELECOMMANDS[11, 4].build({"count": len(activities), "activities": body})
        )

    def send(self, packet: bytes, t_s: float | None = None) -> None:
        """Send a packet, now or at a time, in the next frame in sequence, or past the sequence."""
        frame = tc_frame.pack(SCID, 0, self._frame, packet, bypass=self.bypass)
        self._frame = (self._frame + 1) % 256
        self.send_raw(cltu.encode(frame), t_s)

    def send_raw(self, octets: bytes, t_s: float | None = None) -> None:
        """Put octets on the line, now or at a time."""
        if t_s is None:
            self.line.rx += octets
        else:
            self.hal.clock.at(int(t_s * SECOND), lambda _: self.line.rx.extend(octets))

    def listen(self) -> list[pus.TmPacket]:
        """Return the packets that came since the last call."""
        octets = bytes(self.line.tx)
        self.line.tx.clear()
        fresh = [pus.unpack_tm(packet) for _, packet in self.receiver.feed(octets)]
        self.packets += fresh
        return fresh

    def reports(self, service: int, subtype: int) -> list[bytes]:
        """Return the data of every packet of one kind so far."""
        self.listen()
        return [p.data for p in self.packets if (p.service, p.subtype) == (service, subtype)]
