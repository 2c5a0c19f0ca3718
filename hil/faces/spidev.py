"""A look-alike of spidev 3.x (``spidev.SpiDev``) for programs that take or import it.

:func:`module` makes a stand-in for the module itself, for programs that hard-code the import::

    sys.modules["spidev"] = spidev.module(lambda bus, device: (transfer, setup))

As in the original a list given to ``xfer`` and ``xfer2`` is overwritten with what was received and
returned, a tuple gives a new tuple, and more than a block of 4096 octets is refused except by
``xfer3`` and ``writebytes2``, which split it (chip select is released in between).
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Iterable, Sequence
from types import ModuleType
from typing import Any, Final, TypeVar

from hil.errors import ConfigError
from hil.faces.busio_spi import Segment, Setup, Transfer

BLOCK_NBYTES: Final = 4096
#: connect(bus, device) -> (transfer, setup) of one chip select; raises OSError for none
Connect = Callable[[int, int], tuple[Transfer, Setup | None]]
#: bits of the kernel's mode word (``linux/spi/spi.h``)
_CS_HIGH, _LSB_FIRST, _THREE_WIRE, _LOOP, _NO_CS = 0x04, 0x08, 0x10, 0x20, 0x40
#: what of it is the bus's affair
_BUS_MODE: Final = 0x1F
#: segment flag: the controller lets go of the single line and reads
_RECEIVE: Final = 8

Values = TypeVar("Values", list[int], tuple[int, ...])


def _octets(values: Any) -> bytes:
    """Return values as octets, the low eight bits of each, as the original takes them."""
    if not isinstance(values, Iterable):
        raise TypeError("Empty argument list.")
    taken = list(values)
    if not taken:
        raise TypeError("Empty argument list.")
    for value in taken:
        if not isinstance(value, int):
            raise TypeError(f"Non-Int/Long value in arguments: {value!r}.")
    return bytes(value & 0xFF for value in taken)


def _flag(bit: int) -> Any:
    def get(self: SpiDev) -> bool:
        return bool(self._mode & bit)

    def put(self: SpiDev, value: bool) -> None:
        self._set("_mode", self._mode | bit if value else self._mode & ~bit)

    return property(get, put)


class SpiDev:
    """``spidev.SpiDev``: one chip select of one bus."""

    #: how to reach a chip select; set by :func:`module` or :func:`bound`
    connect: Connect

    def __init__(self, bus: int | None = None, device: int | None = None) -> None:
        self._transfer: Transfer | None = None
        self._setup: Setup | None = None
        self._device = 0
        self._mode = 0
        self._bits = 8
        self._speed_hz = 0
        self.read0 = False
        if bus is not None and device is not None:
            self.open(bus, device)

    def __enter__(self) -> SpiDev:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Opening -------------------------------------------------------------------------------------

    def open(self, bus: int, device: int) -> None:
        """Connect to a chip select; raises OSError when there is none."""
        self._transfer, self._setup = type(self).connect(bus, device)
        self._device = device
        self._mode, self._bits, self._speed_hz = 0, 8, 500_000
        self._apply()

    def open_path(self, path: str) -> None:
        """Connect to ``/dev/spidevB.C``."""
        found = re.fullmatch(r".*spidev(\d+)\.(\d+)", os.fspath(path))
        if found is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        self.open(int(found[1]), int(found[2]))

    def close(self) -> None:
        """Disconnect."""
        self._transfer = None
        self._mode = self._bits = self._speed_hz = 0

    def fileno(self) -> int:
        """Raise OSError: nothing here is a file."""
        raise OSError(errno.EBADF, "this SPI device is emulated in the process and has no file")

    def _open(self) -> Transfer:
        if self._transfer is None:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        return self._transfer

    # Settings ------------------------------------------------------------------------------------

    def _apply(self) -> None:
        if self._setup is not None:
            self._setup(
                self._device,
                mode=self._mode & _BUS_MODE,
                speed_hz=self._speed_hz,
                bits=self._bits,
                lsb_first=bool(self._mode & _LSB_FIRST),
            )

    def _set(self, name: str, value: int) -> None:
        """Change a setting; what the controller cannot do is EINVAL, and changes nothing."""
        self._open()
        before = getattr(self, name)
        setattr(self, name, value)
        try:
            self._apply()
        except ConfigError as wrong:
            setattr(self, name, before)
            raise OSError(errno.EINVAL, str(wrong)) from None

    @property
    def mode(self) -> int:
        """CPOL and CPHA: 0 to 3."""
        return self._mode & 3

    @mode.setter
    def mode(self, value: int) -> None:
        if not 0 <= value <= 3:
            raise TypeError("The mode attribute must be an integer between 0 and 3.")
        self._set("_mode", (self._mode & ~3) | value)

    cshigh = _flag(_CS_HIGH)
    lsbfirst = _flag(_LSB_FIRST)
    threewire = _flag(_THREE_WIRE)
    loop = _flag(_LOOP)
    no_cs = _flag(_NO_CS)

    @property
    def bits_per_word(self) -> int:
        """Bits of a word: 8 to 32."""
        return self._bits

    @bits_per_word.setter
    def bits_per_word(self, value: int) -> None:
        if not 8 <= value <= 32:
            raise TypeError("invalid bits_per_word (8 to 32)")
        self._set("_bits", value)

    @property
    def max_speed_hz(self) -> int:
        """The clock in Hz."""
        return self._speed_hz

    @max_speed_hz.setter
    def max_speed_hz(self, value: int) -> None:
        self._set("_speed_hz", value)

    # Transfers -----------------------------------------------------------------------------------

    def _run(
        self, tx: bytes, speed_hz: int = 0, delay_us: int = 0, bits: int = 0, reads: bool = False
    ) -> bytes:
        transfer = self._open()
        if self._mode & _LOOP:
            return tx
        if self._mode & _NO_CS:
            return b"\xff" * len(tx)  # nobody is selected
        flags = _RECEIVE if reads and self._mode & _THREE_WIRE else 0
        segment: Segment = (tx, speed_hz or self._speed_hz, bits or self._bits, flags, delay_us)
        return b"".join(transfer(self._device, [segment]))

    def _exchange(self, values: Values, speed_hz: int, delay_us: int, bits: int) -> Values:
        tx = _octets(values)
        if len(tx) > BLOCK_NBYTES:
            raise OverflowError(f"Argument list size exceeds {BLOCK_NBYTES} bytes.")
        rx = self._run(tx, speed_hz, delay_us, bits)
        if isinstance(values, tuple):
            return tuple(rx)
        if isinstance(values, list):
            values[:] = rx
            return values
        return list(rx)

    def xfer(
        self, values: Values, speed_hz: int = 0, delay_usecs: int = 0, bits_per_word: int = 0, /
    ) -> Values:
        """Exchange octets under one chip select."""
        return self._exchange(values, speed_hz, delay_usecs, bits_per_word)

    xfer2 = xfer

    def xfer3(
        self,
        values: Sequence[int],
        speed_hz: int = 0,
        delay_usecs: int = 0,
        bits_per_word: int = 0,
        /,
    ) -> tuple[int, ...]:
        """Exchange any number of octets, block by block."""
        tx = _octets(values)
        blocks = (tx[at : at + BLOCK_NBYTES] for at in range(0, len(tx), BLOCK_NBYTES))
        return tuple(
            b"".join(self._run(block, speed_hz, delay_usecs, bits_per_word) for block in blocks)
        )

    def readbytes(self, n: int, /) -> list[int]:
        """Read octets while writing zeros, at least one and at most a block."""
        return list(self._run(bytes(min(max(n, 1), BLOCK_NBYTES)), reads=True))

    def writebytes(self, values: Sequence[int], /) -> None:
        """Write octets, at most a block."""
        tx = _octets(values)
        if len(tx) > BLOCK_NBYTES:
            raise OverflowError(f"Argument list size exceeds {BLOCK_NBYTES} bytes.")
        self._run(tx)

    def writebytes2(self, values: Any, /) -> None:
        """Write a buffer or a sequence of any length, block by block."""
        self.xfer3(_octets(memoryview(values).cast("B") if _is_buffer(values) else values))


def _is_buffer(values: object) -> bool:
    try:
        memoryview(values)  # type: ignore[arg-type]
    except TypeError:
        return False
    return True


def bound(connect: Connect) -> type[SpiDev]:
    """Return a class ``SpiDev`` whose ``open`` goes to ``connect``."""
    return type("SpiDev", (SpiDev,), {"connect": staticmethod(connect)})


def module(connect: Connect) -> ModuleType:
    """Return a stand-in for the module ``spidev``."""
    made = ModuleType("spidev", "hil.faces.spidev in place of spidev")
    made.SpiDev = bound(connect)  # type: ignore[attr-defined]
    made.__version__ = "3.8"  # type: ignore[attr-defined]
    return made
