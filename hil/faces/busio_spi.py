"""Look-alikes of CircuitPython's ``busio.SPI`` and of the ``digitalio`` pin that selects a chip.

In CircuitPython chip select is a pin of its own: a driver pulls it low, makes any number of
transfers, and lets it go. Each edge goes to the bus where it happens, as a segment without octets,
and transfers in between keep the chip selected::

    spi = SPI(lambda select, segments: ..., setup=bus.configure)
    driver = adafruit_max31865.MAX31865(spi, ChipSelect(spi, 0))

While no chip is selected, what is read is what an idle line gives: ones.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from hil.errors import UsageError

#: (octets, clock, bits per word, flags, delay after it), as in ``hil.buses.spi``
Segment = tuple[bytes, int, int, int, int]
#: transfer(chip select, segments) -> octets received, segment by segment; raises OSError
Transfer = Callable[[int, list[Segment]], list[bytes]]
#: setup(chip_select, mode=, speed_hz=, bits=): what the controller is set to for a chip select
Setup = Callable[..., None]
Buffer = bytes | bytearray | memoryview

_KEEP: Final = 1  # a last segment with CS_CHANGE leaves the chip selected
_EDGE: Final = (b"", 0, 0)


class SPI:
    """``busio.SPI`` over a transfer function. Slices are given by ``start`` and ``end``."""

    def __init__(self, transfer: Transfer, setup: Setup | None = None) -> None:
        self._transfer = transfer
        self._setup = setup
        self._locked = False
        self._selected: int | None = None
        self._settings: dict[str, int] = {"mode": 0, "speed_hz": 100_000, "bits": 8}
        #: transfers while no chip was selected
        self.unselected = 0

    def __enter__(self) -> SPI:
        return self

    def __exit__(self, *_: object) -> None:
        self.deinit()

    def deinit(self) -> None:
        """Release the bus."""
        self._locked = False

    @property
    def frequency(self) -> int:
        """The clock in Hz."""
        return self._settings["speed_hz"]

    def try_lock(self) -> bool:
        """Take the lock; False when it is taken."""
        if self._locked:
            return False
        self._locked = True
        return True

    def unlock(self) -> None:
        """Give the lock back."""
        if not self._locked:
            raise ValueError("SPI bus: unlock without lock; call try_lock first")
        self._locked = False

    def configure(
        self, *, baudrate: int = 100_000, polarity: int = 0, phase: int = 0, bits: int = 8
    ) -> None:
        """Set clock, mode and word size for what follows."""
        if not self._locked:
            raise RuntimeError("SPI bus: configure without lock; call try_lock first")
        self._settings = {"mode": polarity << 1 | phase, "speed_hz": baudrate, "bits": bits}

    def write(self, buffer: Buffer, *, start: int = 0, end: int | None = None) -> None:
        """Write a slice of ``buffer``."""
        self._exchange(bytes(buffer[start:end]))

    def readinto(
        self, buffer: bytearray, *, start: int = 0, end: int | None = None, write_value: int = 0
    ) -> None:
        """Read into a slice of ``buffer`` while writing ``write_value``."""
        nread = len(buffer[start:end])
        buffer[start : start + nread] = self._exchange(bytes((write_value,)) * nread)

    def write_readinto(
        self,
        out_buffer: Buffer,
        in_buffer: bytearray,
        *,
        out_start: int = 0,
        out_end: int | None = None,
        in_start: int = 0,
        in_end: int | None = None,
    ) -> None:
        """Write a slice and read into another of the same length."""
        tx = bytes(out_buffer[out_start:out_end])
        if len(tx) != len(in_buffer[in_start:in_end]):
            raise ValueError("SPI bus: the slices to write and to read differ in length")
        in_buffer[in_start : in_start + len(tx)] = self._exchange(tx)

    def _exchange(self, tx: bytes) -> bytes:
        if self._selected is None:
            self.unselected += 1
            return b"\xff" * len(tx)
        segment = (tx, self._settings["speed_hz"], 0, _KEEP, 0)
        return b"".join(self._transfer(self._selected, [segment])) if tx else b""

    def select(self, chip_select: int) -> None:
        """See a chip select fall."""
        if self._selected not in (None, chip_select):
            raise UsageError(
                f"SPI bus: chip select {chip_select} falls while {self._selected} is low; "
                "two chips would drive one line"
            )
        if self._setup is not None:
            self._setup(chip_select, **self._settings)
        self._transfer(chip_select, [(*_EDGE, _KEEP, 0)])
        self._selected = chip_select

    def deselect(self, chip_select: int) -> None:
        """See a chip select rise."""
        if self._selected == chip_select:
            self._selected = None
            self._transfer(chip_select, [(*_EDGE, 0, 0)])


class ChipSelect:
    """``digitalio.DigitalInOut`` on the pin of a chip select."""

    def __init__(self, spi: SPI, chip_select: int) -> None:
        self._spi = spi
        self._chip_select = chip_select
        self._value = True
        self.direction: Any = None
        self.drive_mode: Any = None
        self.pull: Any = None

    def switch_to_output(self, value: bool = False, drive_mode: Any = None) -> None:
        """Drive the pin."""
        self.direction, self.drive_mode = "output", drive_mode
        self.value = value

    def deinit(self) -> None:
        """Let the pin go; it is pulled up."""
        self.value = True

    @property
    def value(self) -> bool:
        """The level of the pin; low selects the chip."""
        return self._value

    @value.setter
    def value(self, value: bool) -> None:
        if bool(value) != self._value:
            self._value = bool(value)
            (self._spi.deselect if self._value else self._spi.select)(self._chip_select)


class Pin:
    """``digitalio.DigitalInOut`` on any other output pin; each change goes to ``drive``."""

    def __init__(self, drive: Callable[[bool], None]) -> None:
        self._drive = drive
        self._value = False
        self.direction: Any = None

    def switch_to_output(self, value: bool = False, drive_mode: Any = None) -> None:
        """Drive the pin."""
        self.direction = "output"
        self.value = value

    @property
    def value(self) -> bool:
        """The level of the pin."""
        return self._value

    @value.setter
    def value(self, value: bool) -> None:
        self._value = bool(value)
        self._drive(self._value)
