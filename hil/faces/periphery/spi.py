"""``periphery.SPI``: one chip select; its settings belong to the device, as in the kernel."""

from __future__ import annotations

import errno
import os

from flightsw.codec.bus_payload import pack_spi, unpack_spi
from flightsw.codec.wire import Kind, Status
from hil.faces.nodes import Node
from hil.faces.periphery.machine import DeviceFile, closed
from hil.faces.spi_settings import SETTINGS

_LSB_FIRST, _MODES = 0x8, 0x3
#: bits of a mode word that a device can have: those of the bus, and how many lines (linux/spi.h)
_KNOWN = 0x1F | 0xF00

Data = bytes | bytearray | list[int]


class SPIError(IOError):
    """Base class for SPI errors."""


def _checked_mode(mode: object) -> None:
    if not isinstance(mode, int):
        raise TypeError("Invalid mode type, should be integer.")
    if mode not in (0, 1, 2, 3):
        raise ValueError("Invalid mode, can be 0, 1, 2, 3.")


def _checked_speed(max_speed: object) -> None:
    if not isinstance(max_speed, int | float):
        raise TypeError("Invalid max_speed type, should be integer or float.")


def _checked_order(bit_order: object) -> None:
    if not isinstance(bit_order, str):
        raise TypeError("Invalid bit_order type, should be string.")
    if bit_order.lower() not in ("msb", "lsb"):
        raise ValueError('Invalid bit_order, can be "msb" or "lsb".')


def _checked_bits(bits: object, complaint: str) -> None:
    if not isinstance(bits, int):
        raise TypeError("Invalid bits_per_word type, should be integer.")
    if not 0 <= bits <= 255:
        raise ValueError(f"Invalid bits_per_word, {complaint} 0-255.")


def _checked_flags(flags: object) -> None:
    if not isinstance(flags, int):
        raise TypeError("Invalid extra_flags type, should be integer.")


class SPI(DeviceFile):
    """A chip select of an SPI controller."""

    def __init__(
        self,
        devpath: str,
        mode: int,
        max_speed: float,
        bit_order: str = "msb",
        bits_per_word: int = 8,
        extra_flags: int = 0,
    ) -> None:
        self._node: Node | None = None
        if not isinstance(devpath, str):
            raise TypeError("Invalid devpath type, should be string.")
        _checked_mode(mode)
        _checked_speed(max_speed)
        _checked_order(bit_order)
        _checked_bits(bits_per_word, "must be")
        _checked_flags(extra_flags)
        self._devpath = devpath
        try:
            self._node = self.machine.open(devpath, "spi")
        except OSError as error:
            what = "Setting SPI mode: " if error.errno == errno.ENOTTY else "Opening SPI device: "
            raise SPIError(error.errno, what + str(error.strerror)) from None
        lsb = _LSB_FIRST if bit_order.lower() == "lsb" else 0
        self._set("SPI mode", spi_mode=mode | lsb | extra_flags)
        self._set("SPI max speed", spi_speed_hz=int(max_speed))
        self._set("SPI bits per word", spi_bits=bits_per_word or 8)

    def _settings(self) -> dict[str, int]:
        if self._node is None:
            raise closed()
        return self.machine.spi.of(self._node)

    def _set(self, what: str, **changes: int) -> None:
        """Change settings of the device. Raises ``SPIError`` for those that it cannot have."""
        now = {**self._settings(), **changes}
        assert self._node is not None
        code = 0
        if now["spi_mode"] & ~_KNOWN:
            code = errno.EOPNOTSUPP
        elif not now["spi_speed_hz"]:
            code = errno.EINVAL
        else:
            payload = SETTINGS.pack(now["spi_mode"], now["spi_speed_hz"], now["spi_bits"])
            if self.machine.spi.change(self._node, payload) != Status.OK:
                code = errno.EINVAL
        if code:
            raise SPIError(code, f"Setting {what}: {os.strerror(code)}")

    def transfer(self, data: Data) -> Data:
        """Exchange octets under one chip select; return as many, in the type of ``data``."""
        if not isinstance(data, bytes | bytearray | list):
            raise TypeError("Invalid data type, should be bytes, bytearray, or list.")
        if isinstance(data, list) and any(isinstance(o, int) and not 0 <= o < 256 for o in data):
            raise ValueError("Invalid data bytes.")
        tx = bytes(data)
        settings = self._settings()
        assert self._node is not None
        try:
            if len(tx) > settings["bufsiz"]:
                raise OSError(errno.EMSGSIZE, os.strerror(errno.EMSGSIZE))
            rx = self._exchange(self._node, tx) if tx else b""
        except OSError as error:
            raise SPIError(error.errno, f"SPI transfer: {error.strerror}") from None
        return type(data)(rx)

    def _exchange(self, node: Node, tx: bytes) -> bytes:
        payload = pack_spi([(tx, 0, 0, 0, 0)])
        record = self.machine.call(int(Kind.SPI), node.lane, node.chip_select, payload)
        return unpack_spi(record, reply=True)[1][0]

    @property
    def mode(self) -> int:
        """CPOL and CPHA: 0 to 3."""
        return self._settings()["spi_mode"] & _MODES

    @mode.setter
    def mode(self, mode: int) -> None:
        _checked_mode(mode)
        self._set("SPI mode", spi_mode=self._settings()["spi_mode"] & ~_MODES | mode)

    @property
    def max_speed(self) -> float:
        """The clock in Hz."""
        return self._settings()["spi_speed_hz"]

    @max_speed.setter
    def max_speed(self, max_speed: float) -> None:
        _checked_speed(max_speed)
        self._set("SPI max speed", spi_speed_hz=int(max_speed))

    @property
    def bit_order(self) -> str:
        """``msb`` or ``lsb``."""
        return "lsb" if self._settings()["spi_mode"] & _LSB_FIRST else "msb"

    @bit_order.setter
    def bit_order(self, bit_order: str) -> None:
        _checked_order(bit_order)
        lsb = _LSB_FIRST if bit_order.lower() == "lsb" else 0
        self._set("SPI mode", spi_mode=self._settings()["spi_mode"] & ~_LSB_FIRST | lsb)

    @property
    def bits_per_word(self) -> int:
        """Bits of a word."""
        return self._settings()["spi_bits"]

    @bits_per_word.setter
    def bits_per_word(self, bits_per_word: int) -> None:
        _checked_bits(bits_per_word, "must be")
        self._set("SPI bits per word", spi_bits=bits_per_word or 8)

    @property
    def extra_flags(self) -> int:
        """Mode bits besides mode and bit order."""
        return self._settings()["spi_mode"] & ~(_LSB_FIRST | _MODES)

    @extra_flags.setter
    def extra_flags(self, extra_flags: int) -> None:
        _checked_flags(extra_flags)
        mode = self._settings()["spi_mode"] & (_LSB_FIRST | _MODES)
        self._set("SPI mode", spi_mode=mode | extra_flags)

    def __str__(self) -> str:
        return (
            f"SPI (device={self.devpath:s}, fd={self.fd:d}, mode={self.mode:d}, "
            f"max_speed={self.max_speed:d}, bit_order={self.bit_order:s}, "
            f"bits_per_word={self.bits_per_word:d}, extra_flags=0x{self.extra_flags:08x})"
        )
