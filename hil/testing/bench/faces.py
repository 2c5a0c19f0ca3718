"""The buses of a bench on which nobody flies, as drivers in the test's own process know them.

Each call takes the time that it takes on the bus, and virtual time goes on with it. A driver that
sleeps does so in virtual time inside ``virtual_sleep(rig.clock, driver_module)``
(:func:`hil.faces.busio.virtual_sleep`). ``rig.serial`` and ``rig.can`` do the same with timeouts.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from flightsw.codec import bus_payload
from flightsw.codec.wire import Kind
from hil.config import nearest
from hil.errors import UnknownNameError, UsageError
from hil.faces import busio, busio_spi, smbus2, spidev
from hil.testing.bench.lines import RigCAN, RigSerial
from hil.time.transports.direct import DirectPort
from hil.uut import PROGRAM

if TYPE_CHECKING:
    from hil.testing.bench.bench import Bench

#: the participant that stands for the test
NAME = "test"


class Faces:
    """The look-alikes, all on one participant."""

    def __init__(self, bench: Bench) -> None:
        if bench.options.flight_name != "none":
            raise UsageError(
                f"{bench.options.flight_name} flies and has the buses; a test has them with "
                'flight="none"'
            )
        hal: Any = importlib.import_module(f"{PROGRAM}.hal.bench")
        exchange = bench.emulation.exchange
        self._bench = bench
        self._hal = hal.DirectHal(DirectPort(exchange, exchange.join(NAME)))

    # --- time: the clock of busio.virtual_sleep ------------------------------------------------

    def now_ns(self) -> int:
        """Return virtual time."""
        return self._bench.now_ns

    def sleep_until(self, t_ns: int) -> None:
        """Let virtual time pass until ``t_ns``."""
        self._bench.run_until(max(t_ns, self._bench.now_ns))

    def present(self) -> Any:
        """Return the hal, its clock brought to now."""
        if self._bench.over:
            raise UsageError("the run is over: open the bench with a longer duration_s")
        self._hal.clock.sleep_until(self._bench.now_ns)
        return self._hal

    # --- buses --------------------------------------------------------------------------------

    def smbus(self, number: int) -> smbus2.SMBus:
        """Return ``smbus2.SMBus(number)``."""
        name = f"i2c-{number}"
        self._of(name, "i2c")
        module = smbus2.look_alike({number: self._adapter(name)})
        opened: smbus2.SMBus = module.SMBus(number)
        return opened

    def _adapter(self, name: str) -> smbus2.Adapter:
        messages = partial(self._messages, name)
        return smbus2.Adapter(partial(self._transfer, name), messages)

    def busio(self, name: str) -> busio.I2C | busio_spi.SPI:
        """Return CircuitPython's ``busio.I2C`` or ``busio.SPI`` on a bus."""
        bus = self._of(name, "i2c", "spi")
        if bus.kind == "i2c":
            return busio.I2C(partial(self._transfer, name), self)
        return busio_spi.SPI(partial(self._segments, name), bus.configure)

    def spidev(self, number: int, device: int) -> spidev.SpiDev:
        """Return ``spidev.SpiDev(number, device)``."""
        name = f"spi-{number}"
        bus = self._of(name, "spi")
        made = spidev.bound(lambda _bus, _device: (partial(self._segments, name), bus.configure))
        return made(number, device)

    def serial(self, name: str, timeout: float | None = None) -> RigSerial:
        """Return a serial line like ``serial.Serial``; ``timeout`` is virtual seconds."""
        self._of(name, "uart")
        return RigSerial(self._bench, self, name, timeout)

    def can(self, name: str) -> RigCAN:
        """Return a CAN bus like ``can.Bus``."""
        self._of(name, "can")
        return RigCAN(self._bench, self, name)

    def _of(self, name: str, *kinds: str) -> Any:
        buses = self._bench.emulation.wiring.buses
        there = [one for one, bus in buses.items() if bus.kind in kinds]
        if name not in there:
            raise UnknownNameError(
                f"board {self._bench.board} has no {' or '.join(kinds)} bus {name!r}"
                f"{nearest(name, there)}; it has {', '.join(there) or 'none'}"
            )
        return buses[name]

    # --- transactions -------------------------------------------------------------------------

    def _transfer(self, name: str, address: int, write: bytes, nread: int) -> bytes:
        return bytes(self.present().i2c(name).transfer(address, bytes(write), nread))

    def _messages(self, name: str, messages: list[tuple[int, int, bytes | int]]) -> list[bytes]:
        """Run I2C messages as one transaction; return what each read brought."""
        port = self._port(name)
        status, reply = port.session.call(
            int(Kind.I2C), port.index, messages[0][0], _packed(messages)
        )
        port.fail(status, f"transfer with 0x{messages[0][0]:02x}")
        answers = bus_payload.unpack_i2c(reply, reply=True)
        pairs = zip(messages, answers, strict=True)
        return [
            bytes(data)
            for (_, _, asked), (_, _, data) in pairs
            if isinstance(asked, int) and isinstance(data, bytes)
        ]

    def _segments(
        self, name: str, device: int, segments: Sequence[busio_spi.Segment]
    ) -> list[bytes]:
        port = self._port(name)
        request = bus_payload.pack_spi(list(segments))
        status, reply = port.session.call(int(Kind.SPI), port.index, device, request)
        port.fail(status, f"transfer with chip select {device}")
        return bus_payload.unpack_spi(reply, reply=True)[1]

    def _port(self, name: str) -> Any:
        """Return the channel of a bus, with a session that knows what time it is."""
        return self.present()._ports[name]


def _packed(messages: list[tuple[int, int, bytes | int]]) -> bytes:
    """Return I2C messages as the payload of a request."""
    return b"".join(
        bus_payload.I2C_MESSAGE.pack(
            address, flags, message if isinstance(message, int) else len(message)
        )
        + (b"" if isinstance(message, int) else message)
        for address, flags, message in messages
    )
