"""Which buses are the computer's own, and the objects that stand for them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar, cast

from flightsw.codec.wire import Kind
from flightsw.errors import DeviceTableError
from flightsw.hal import Clock
from flightsw.hal.linux.bus import KernelBus, LocalChannel, Tell
from flightsw.hal.linux.camera import LinuxImager
from flightsw.hal.linux.can import LinuxCAN
from flightsw.hal.linux.gpio import LinuxGPIO, LinuxGPIOChip
from flightsw.hal.linux.i2c import LinuxI2C
from flightsw.hal.linux.slcan import SerialCAN
from flightsw.hal.linux.spi import LinuxSPI
from flightsw.hal.linux.uart import LinuxUART

_B = TypeVar("_B", bound=KernelBus)

#: name of a bus of a board file -> the device that Linux has for it; anything else is below /dev
_DEFAULTS = (
    (re.compile(r"spi-(\d+)"), r"/dev/spidev\1"),
    (re.compile(r"(can\d+)"), r"\1"),
    (re.compile(r"csi(\d+)"), r"/dev/video\1"),
)
#: kind of a channel -> kind of the records that tell of it, and what it is called
KINDS: Mapping[str, tuple[int, str]] = {
    "i2c": (int(Kind.I2C), "I2C"),
    "spi": (int(Kind.SPI), "SPI"),
    "uart": (int(Kind.UART), "UART"),
    "can": (int(Kind.CAN), "CAN"),
    "gpio": (int(Kind.GPIO), "GPIO"),
    "frames": (int(Kind.FRAME), "frame"),
}

#: Says who is told of what crosses a bus: (channel, kind of the records).
Teller = Callable[[str, int], Tell | None]


def default_device(bus: str) -> str:
    """Return the device of a bus by its name in the board file: of ``i2c-1`` ``/dev/i2c-1``."""
    for pattern, device in _DEFAULTS:
        if match := pattern.fullmatch(bus):
            return match.expand(device)
    return f"/dev/{bus}"


def parse_locals(words: Iterable[str]) -> dict[str, str]:
    """Return bus -> device of words such as ``i2c-1`` and ``i2c-1=/dev/i2c-4``.

    Raises :class:`~flightsw.errors.DeviceTableError` for words that say nothing, or two things.
    """
    found: dict[str, str] = {}
    for word in words:
        bus, equals, device = word.partition("=")
        if not bus or (equals and not device):
            raise DeviceTableError(f"--local {word!r}: give BUS or BUS=DEVICE, as i2c-1=/dev/i2c-1")
        if bus in found:
            raise DeviceTableError(f"--local {word!r}: {bus} is {found[bus]} already; say one")
        found[bus] = device or default_device(bus)
    return found


class LocalBuses:
    """The buses of this computer by the names of the board file; each is opened when asked for."""

    def __init__(
        self,
        channels: Iterable[LocalChannel],
        clock: Clock,
        teller: Teller = lambda name, kind: None,
    ) -> None:
        self._channels = {channel.name: channel for channel in channels}
        self._clock = clock
        self._teller = teller
        self._open: dict[tuple[str, int], KernelBus] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._channels

    def _bus(self, name: str, kind: str, make: Callable[[LocalChannel], _B], select: int = 0) -> _B:
        """Return a bus. Raises ``DeviceTableError`` for one that there is not, or cannot be."""
        found: Any = self._open.get((name, select))
        channel = self._channels.get(name)
        if channel is None or channel.kind != kind:
            there = ", ".join(n for n, c in self._channels.items() if c.kind == kind) or "none"
            word = KINDS[kind][1]
            raise DeviceTableError(f"no {word} bus {name!r} on this computer; there is {there}")
        if found is None:
            found = self._open[name, select] = make(channel)
        return cast(_B, found)

    def _told(self, channel: LocalChannel) -> tuple[Clock, Tell | None]:
        return self._clock, self._teller(channel.name, KINDS[channel.kind][0])

    def i2c(self, name: str) -> LinuxI2C:
        """Return an I2C controller."""
        return self._bus(name, "i2c", lambda at: LinuxI2C(at, *self._told(at)))

    def spi(self, name: str, chip_select: int) -> LinuxSPI:
        """Return one chip select of an SPI controller."""
        return self._bus(
            name, "spi", lambda at: LinuxSPI(at, chip_select, *self._told(at)), chip_select
        )

    def uart(self, name: str) -> LinuxUART:
        """Return a serial line."""
        return self._bus(name, "uart", lambda at: LinuxUART(at, *self._told(at)))

    def can(self, name: str) -> LinuxCAN | SerialCAN:
        """Return a CAN controller: a network interface, or with a path a serial adapter."""

        def make(at: LocalChannel) -> LinuxCAN | SerialCAN:
            kind = SerialCAN if "/" in at.device else LinuxCAN
            return kind(at, *self._told(at))

        return self._bus(name, "can", make)

    def gpio(self, name: str, line: int) -> LinuxGPIO:
        """Return one line of a GPIO chip."""
        return self._bus(name, "gpio", lambda at: LinuxGPIOChip(at, *self._told(at))).line(line)

    def imager(self, name: str) -> LinuxImager:
        """Return a camera port."""
        return self._bus(name, "frames", lambda at: LinuxImager(at, *self._told(at)))

    def close(self) -> None:
        """Give every device back."""
        for bus in self._open.values():
            bus.close()
        self._open.clear()


def check_kinds(channels: Iterable[LocalChannel]) -> None:
    """Raise ``DeviceTableError`` for a bus of a kind that is not reached through the kernel."""
    for channel in channels:
        if channel.kind not in KINDS:
            raise DeviceTableError(
                f"{channel.name} is of kind {channel.kind}, which is not reached through the "
                f"kernel here (that are {', '.join(KINDS)}); leave it to the bench"
            )
