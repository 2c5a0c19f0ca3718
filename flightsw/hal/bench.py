"""A :class:`flightsw.hal.Hal` on a bench: over a channel, or by calls in one process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from flightsw.closing import Closing
from flightsw.errors import DeviceTableError
from flightsw.hal import Device
from flightsw.hal.channel import Channel
from flightsw.hal.onewire import BenchOneWire
from flightsw.hal.ports import (
    BenchCAN,
    BenchGPIO,
    BenchGPIOChip,
    BenchI2C,
    BenchImager,
    BenchPort,
    BenchProcessor,
    BenchSPI,
    BenchUART,
    DirectI2C,
)
from flightsw.hal.session import NO_LOCAL, DirectSession, Port, Session, about, greet
from flightsw.hal.window import I2CWindow

_P = TypeVar("_P", bound=BenchPort)
_PORTS: Mapping[str, type[BenchPort]] = {
    "i2c": BenchI2C,
    "spi": BenchPort,
    "uart": BenchUART,
    "can": BenchCAN,
    "gpio": BenchGPIOChip,
    "frames": BenchImager,
    "onewire": BenchOneWire,
}


class _WelcomedHal(Closing):
    """A hal as a bench described it in its welcome."""

    def __init__(self, session: Session) -> None:
        welcome = session.welcome
        self.session = self._session = session
        self.clock = session
        self.cpu = BenchProcessor(session)
        self.devices: Sequence[Device] = [Device(**device) for device in welcome["devices"]]
        self.config: Mapping[str, Any] = welcome["config"]
        self.boot_count: int = welcome["boot_count"]
        #: name of the rig and of the board file, for messages and housekeeping
        self.rig: str = welcome["rig"]
        self.board: str = welcome["board"]
        self._ports: dict[str, BenchPort] = {}
        self._windows: dict[str, I2CWindow] = {}
        self._spi: dict[tuple[str, int], BenchSPI] = {}
        for channel in welcome["channels"]:
            port = self._make(channel)
            self._ports[port.name] = port
            session.sinks[port.index] = port.take

    def _make(self, channel: Mapping[str, Any]) -> BenchPort:
        return _PORTS[channel["kind"]](self._session, channel)

    def _port(self, name: str, kind: type[_P], what: str) -> _P:
        port = self._ports.get(name)
        if not isinstance(port, kind):
            there = ", ".join(n for n, p in self._ports.items() if isinstance(p, kind)) or "none"
            raise DeviceTableError(f"no {what} channel {name!r} on this bench; there is {there}")
        return port

    def i2c(self, channel: str) -> BenchI2C:
        """Return an I2C controller by the name of its channel."""
        return self._port(channel, BenchI2C, "I2C")

    def spi(self, channel: str, chip_select: int) -> BenchSPI:
        """Return one chip select of an SPI controller."""
        key = (channel, chip_select)
        if key not in self._spi:
            self._spi[key] = BenchSPI(self._port(channel, BenchPort, "SPI"), chip_select)
        return self._spi[key]

    def uart(self, channel: str) -> BenchUART:
        """Return a serial line."""
        return self._port(channel, BenchUART, "UART")

    def can(self, channel: str) -> BenchCAN:
        """Return a CAN controller."""
        return self._port(channel, BenchCAN, "CAN")

    def gpio(self, channel: str, line: int) -> BenchGPIO:
        """Return one line of a GPIO chip."""
        return self._port(channel, BenchGPIOChip, "GPIO").line(line)

    def onewire(self, channel: str) -> BenchOneWire:
        """Return a 1-Wire controller."""
        return self._port(channel, BenchOneWire, "1-Wire")

    def imager(self, channel: str) -> BenchImager:
        """Return a camera port."""
        return self._port(channel, BenchImager, "frame")

    def schedule_i2c(
        self, channel: str, t_ns: int, address: int, write: bytes, nread: int = 0
    ) -> int:
        """Ask for an I2C transaction at ``t_ns``; return its ticket for :meth:`result_i2c`."""
        return self.window(channel).schedule(t_ns, address, write, nread)

    def result_i2c(self, channel: str, ticket: int) -> bytes:
        """Return what a scheduled transaction read, once a sleep has passed its end."""
        return self.window(channel).result(ticket)

    def window(self, channel: str) -> I2CWindow:
        """Return the scheduled transactions of an I2C channel."""
        if channel not in self._windows:
            self._windows[channel] = I2CWindow(self.i2c(channel))
        return self._windows[channel]

    def close(self) -> None:
        """Leave the bench without a word; after the end of a run nothing is left to do."""
        self._session.close()


class BenchHal(_WelcomedHal):
    """A hal over a channel.

    ``lazy`` saves an exchange: a sleep moves local time on at once, and the bench learns of it with
    the next transaction, or when somebody reads an input. Nothing that a bus sees changes. But the
    program runs ahead of the bench by up to one sleep: if the bench resets the payload computer in
    that time, what the program did meanwhile (a file written) has happened although it should not
    have. Leave it off where resets and files matter.

    ``local`` are buses of the board file that are the computer's own, with their devices: the bench
    is told, and lets them be. :class:`flightsw.hal.linux.mixed.MixedHal` has both.
    """

    def __init__(
        self,
        channel: Channel,
        name: str = "fsw",
        lazy: bool = False,
        local: Mapping[str, str] = NO_LOCAL,
    ) -> None:
        welcome = greet(channel, name, local)
        link = welcome.get("link")
        if link is None or not about(channel):
            super().__init__(Session(channel, welcome, lazy))
            return
        # Only now: most benches are on this machine, and their links do not break.
        from flightsw.hal.island import session_over

        super().__init__(session_over(channel, name, welcome))


class DirectHal(_WelcomedHal):
    """A hal that calls a bench in the same process."""

    def __init__(self, port: Port) -> None:
        self._direct = port
        super().__init__(DirectSession(port))

    def _make(self, channel: Mapping[str, Any]) -> BenchPort:
        if channel["kind"] == "i2c":
            return DirectI2C(self._session, channel, self._direct.i2c(channel["index"]))
        return super()._make(channel)
