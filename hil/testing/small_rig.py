"""A rig of one bus of each kind with the simplest device on it, for tests of what lies above buses.

Nothing here models a part: the I2C memory and SPI shifter of ``check_bus``, a serial line that
echoes what it hears, a CAN node that answers each frame, a GPIO pin that follows another, a camera
of eight pixels.
"""

from __future__ import annotations

from collections.abc import Callable

from flightsw.codec import bus_payload
from flightsw.codec.wire import Kind, Record, unpack_all
from hil.buses.can import CANBus
from hil.buses.frames import FrameBus
from hil.buses.gpio import GPIOChip
from hil.buses.i2c import I2CBus
from hil.buses.spi import SPIBus
from hil.buses.uart import UARTBus
from hil.digest import RecordStream
from hil.exchange import Exchange
from hil.testing.contracts.bus import ADDRESS, I2CMemory, SPIShifter
from hil.time.kernel import Kernel
from hil.time.phase import Phase

I2C, SPI, UART, CAN, GPIO, FRAMES = range(6)
FOLLOWER_DELAY_NS = 30_000


class Echo:
    """A serial device that sends back what it receives, as soon as it has it."""

    uart_send: Callable[[int, bytes], None]

    def uart_receive(self, t_ns: int, data: bytes) -> None:
        self.uart_send(t_ns, data)


class Answerer:
    """A CAN node that answers each frame with the same data under the next identifier."""

    can_send: Callable[[int, int, bytes], None]

    def can_receive(self, t_ns: int, can_id: int, data: bytes) -> None:
        if not can_id >> 29:
            self.can_send(t_ns, can_id + 1, data)


class Follower:
    """A part whose pin ``out`` follows its pin ``in`` after a delay, and ``wire`` at once."""

    gpio_drive: Callable[[int, str, int], None]

    def gpio_change(self, t_ns: int, pin: str, level: int) -> None:
        self.gpio_drive(t_ns, "wire", level)
        self.gpio_drive(t_ns + FOLLOWER_DELAY_NS, "out", level)


class Camera:
    """A frame source whose pixels tell the exposure."""

    def __init__(self, width: int = 4, height: int = 2) -> None:
        self.width, self.height = width, height

    def frame_capture(self, t_ns: int, exposure_us: int) -> tuple[int, bytes]:
        head = bus_payload.FRAME_HEADER.pack(self.width, self.height, 1, 8, 0)
        pixels = bytes((exposure_us + n) & 0xFF for n in range(self.width * self.height))
        return exposure_us * 1000, head + pixels


class SmallRig:
    """The rig: ``kernel``, ``stream`` and ``exchange`` with six channels on it."""

    def __init__(self, end_ns: int, camera: Camera | None = None) -> None:
        self.kernel = Kernel()
        self.stream = RecordStream(self._keep)
        self.octets = bytearray()
        self.exchange = exchange = Exchange(self.kernel, self.stream, end_ns)
        self.i2c = I2CBus("i2c-1", 400_000, "bcm2835")
        self.memory = I2CMemory()
        self.i2c.attach(ADDRESS, self.memory)
        spi = SPIBus("spi-0", "bcm2835")
        spi.attach(0, SPIShifter(), speed_hz=1_000_000)
        self.uart = UARTBus("ttyAMA1", self.kernel, 1, exchange.emitter(UART, Kind.UART), 115_200)
        self.echo = Echo()
        self.uart.attach(self.echo)
        self.can = CANBus("can0", self.kernel, 2, exchange.emitter(CAN, Kind.CAN), 500_000)
        self.can.attach(Answerer())
        gpio = GPIOChip("gpiochip0", self.kernel, 3, exchange.emitter(GPIO, Kind.GPIO), 4)
        gpio.attach(Follower(), {"in": (0, "in"), "out": (1, "out"), "wire": (3, "out")})
        frames = FrameBus("csi0")
        frames.attach(camera or Camera())
        for index, bus in enumerate((self.i2c, spi, self.uart, self.can, gpio, frames)):
            profile = getattr(bus, "profile", None)
            exchange.connect(index, bus, profile.errno if profile else None)
        exchange.transactor.on_load = lambda name, t_ns, model_class, units: (units * 1000, units)
        exchange.identity = {"rig": "small", "board": "none"}

    def _keep(self, octets: bytes) -> None:
        self.octets += octets

    def records(self) -> list[Record]:
        """Return every record so far."""
        self.stream.flush()
        return list(unpack_all(bytes(self.octets)))

    def pulse(self, t_ns: int, act: Callable[[int], None], phase: int = Phase.PART) -> None:
        """Do something at a virtual time."""
        self.kernel.at(t_ns, phase, 9, act)
