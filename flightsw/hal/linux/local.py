"""Which buses are the computer's own, and the objects that stand for them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from flightsw.codec.wire import Kind
from flightsw.errors import DeviceTableError
from flightsw.hal import Clock
from flightsw.hal.linux.bus import KernelBus, LocalChannel, Tell
from flightsw.hal.linux.i2c import LinuxI2C

_B = TypeVar("_B", bound=KernelBus)

#: name of a bus of a board file -> the device that Linux has for it; anything else is below /dev
_DEFAULTS = (
    (re.compile(r"spi-(\d+)"), r"/dev/spidev\1"),
    (re.compile(r"(can\d+)"), r"\1"),
)
#: kind of a channel -> kind of the records that tell of it
KINDS: Mapping[str, int] = {"i2c": int(Kind.I2C)}
_BUSES: Mapping[str, type[KernelBus]] = {"i2c": LinuxI2C}
_WORDS = {"i2c": "I2C", "spi": "SPI", "uart": "UART", "can": "CAN", "gpio": "GPIO"}

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
        self._open: dict[str, KernelBus] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._channels

    def bus(self, name: str, kind: type[_B], what: str) -> _B:
        """Return a bus. Raises ``DeviceTableError`` for one that there is not, or cannot be."""
        found = self._open.get(name)
        if found is None:
            channel = self._channels.get(name)
            if channel is None or _BUSES.get(channel.kind) is not kind:
                there = ", ".join(n for n, c in self._channels.items() if c.kind == what) or "none"
                word = _WORDS[what]
                raise DeviceTableError(f"no {word} bus {name!r} on this computer; there is {there}")
            tell = self._teller(name, KINDS[channel.kind])
            found = self._open[name] = kind(channel, self._clock, tell)
        assert isinstance(found, kind), f"{name} is of one kind"
        return found

    def i2c(self, name: str) -> LinuxI2C:
        """Return an I2C controller."""
        return self.bus(name, LinuxI2C, "i2c")

    def close(self) -> None:
        """Give every device back."""
        for bus in self._open.values():
            bus.close()
        self._open.clear()


def check_kinds(channels: Iterable[LocalChannel]) -> None:
    """Raise ``DeviceTableError`` for a bus of a kind that is not reached through the kernel."""
    for channel in channels:
        if channel.kind not in _BUSES:
            raise DeviceTableError(
                f"{channel.name} is of kind {channel.kind}, which is not reached through the "
                f"kernel here (that are {', '.join(_BUSES)}); leave it to the bench"
            )
