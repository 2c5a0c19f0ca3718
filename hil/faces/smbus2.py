"""A look-alike of smbus2 (0.6): ``SMBus`` and ``i2c_msg``, so that its drivers run unmodified.

smbus2 hands each call to the kernel, which makes I2C messages of it
(``drivers/i2c/i2c-core-smbus.c``, ``i2c_smbus_xfer_emulated``); here the same messages go to the
transfer function that :mod:`hil.faces.busio` takes. Errors are OSError with the adapter's errno.
Values are cut to 8 or 16 bits as smbus2's C structures cut them.

Many drivers open a bus by number, ``SMBus(1)``: :func:`installed` puts a module in the place of
``smbus2`` whose buses are the ones given::

    with installed({1: Adapter(transfer)}):
        import ADS1115                     # says smbus2.SMBus(1)

Block reads and block process calls, whose length the target gives, need an adapter that takes
messages and a bus that follows such a length; elsewhere they are EOPNOTSUPP. Not done: host notify,
10-bit addresses, and ``fd`` is no number.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from ctypes import create_string_buffer
from enum import IntFlag
from types import ModuleType
from typing import Any, NamedTuple

from hil.buses.i2c_messages import LENGTH_FIRST
from hil.buses.smbus import pec as pec_of
from hil.faces.busio import Transfer

I2C_SMBUS_BLOCK_MAX = 32
I2C_M_RD = 1
#: of one I2C_RDWR call (``I2C_RDWR_IOCTL_MAX_MSGS``)
MESSAGES_MAX = 42

#: messages as (address, flags, octets to write or how many to read) -> what each read brought
Messages = Callable[[list[tuple[int, int, bytes | int]]], list[bytes]]


class I2cFunc(IntFlag):
    """What an adapter can do (``linux/i2c.h``)."""

    I2C = 0x00000001
    ADDR_10BIT = 0x00000002
    PROTOCOL_MANGLING = 0x00000004
    SMBUS_PEC = 0x00000008
    NOSTART = 0x00000010
    SLAVE = 0x00000020
    SMBUS_BLOCK_PROC_CALL = 0x00008000
    SMBUS_QUICK = 0x00010000
    SMBUS_READ_BYTE = 0x00020000
    SMBUS_WRITE_BYTE = 0x00040000
    SMBUS_READ_BYTE_DATA = 0x00080000
    SMBUS_WRITE_BYTE_DATA = 0x00100000
    SMBUS_READ_WORD_DATA = 0x00200000
    SMBUS_WRITE_WORD_DATA = 0x00400000
    SMBUS_PROC_CALL = 0x00800000
    SMBUS_READ_BLOCK_DATA = 0x01000000
    SMBUS_WRITE_BLOCK_DATA = 0x02000000
    SMBUS_READ_I2C_BLOCK = 0x04000000
    SMBUS_WRITE_I2C_BLOCK = 0x08000000
    SMBUS_HOST_NOTIFY = 0x10000000
    SMBUS_BYTE = 0x00060000
    SMBUS_BYTE_DATA = 0x00180000
    SMBUS_WORD_DATA = 0x00600000
    SMBUS_BLOCK_DATA = 0x03000000
    SMBUS_I2C_BLOCK = 0x0C000000
    SMBUS_EMUL = 0x0EFF0008


class Adapter(NamedTuple):
    """What stands behind a bus number."""

    transfer: Transfer
    #: for ``i2c_rdwr`` calls that are more than a write, a read, or the one after the other
    messages: Messages | None = None
    funcs: int = int(I2cFunc.I2C | I2cFunc.SMBUS_EMUL)


class i2c_msg:  # noqa: N801 - smbus2's name
    """One message of :meth:`SMBus.i2c_rdwr`; iterates over its octets."""

    def __init__(self, addr: int = 0, flags: int = 0, len: int = 0, buf: Any = None) -> None:
        self.addr, self.flags, self.len, self.buf = addr, flags, len, buf

    @staticmethod
    def read(address: int, length: int) -> i2c_msg:
        """Return a message that reads ``length`` octets."""
        return i2c_msg(address, I2C_M_RD, length, create_string_buffer(length))

    @staticmethod
    def write(address: int, buf: str | Iterable[int]) -> i2c_msg:
        """Return a message that writes ``buf``, octets or a string of them."""
        octets = bytes(map(ord, buf)) if isinstance(buf, str) else bytes(buf)
        return i2c_msg(address, 0, len(octets), create_string_buffer(octets, len(octets)))

    def __bytes__(self) -> bytes:
        return bytes(self.buf[: self.len]) if self.len else b""

    def __iter__(self) -> Iterator[int]:
        return iter(bytes(self))

    def __len__(self) -> int:
        return self.len

    def __str__(self) -> str:
        return bytes(self).decode(errors="ignore")

    def __repr__(self) -> str:
        return f"i2c_msg({self.addr},{self.flags},{bytes(self)!r})"


class SMBus:
    """``smbus2.SMBus`` on the adapters of :attr:`adapters`."""

    #: who answers for a bus number, or for its path
    adapters: Mapping[int, Adapter] = {}

    def __init__(self, bus: int | str | None = None, force: bool = False) -> None:
        self.fd: Adapter | None = None
        self.funcs = 0
        self.force = force
        self.address: int | None = None
        self._pec = 0
        if bus is not None:
            self.open(bus)

    def __enter__(self) -> SMBus:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def open(self, bus: int | str) -> None:
        """Open a bus by number or path. Raises FileNotFoundError when it is not there."""
        if not isinstance(bus, int | str):
            raise TypeError(f"Unexpected type(bus)={type(bus)}")
        path = f"/dev/i2c-{bus}" if isinstance(bus, int) else bus
        found = [adapter for n, adapter in self.adapters.items() if path == f"/dev/i2c-{n}"]
        if not found:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        self.fd = found[0]
        self.funcs = self.fd.funcs

    def close(self) -> None:
        """Close the bus; closing twice does nothing."""
        self.fd = None
        self.address = None
        self._pec = 0

    def _get_pec(self) -> int:
        return self._pec

    def enable_pec(self, enable: bool = True) -> None:
        """Add a packet error code to what has one, and check it; EBADMSG when it is wrong."""
        if not self.funcs & I2cFunc.SMBUS_PEC:
            raise OSError("SMBUS_PEC is not a feature")
        self._pec = int(enable)

    pec = property(_get_pec, enable_pec)

    # What the kernel makes of a call -------------------------------------------------------------

    def _open_adapter(self) -> Adapter:
        if self.fd is None:
            raise TypeError("argument must be an int, or have a fileno() method.")
        return self.fd

    def _select(self, address: int) -> Adapter:
        """Choose the target of the next call, as the ioctl I2C_SLAVE does."""
        adapter = self._open_adapter()
        if not 0 <= address <= 0x7F:
            raise _error(errno.EINVAL)
        self.address = address
        return adapter

    def _run(self, address: int, write: list[int], nread: int = 0, checked: bool = True) -> bytes:
        """Run one transaction; ``checked``: this kind of call carries a packet error code."""
        transfer = self._select(address).transfer
        out = bytes(octet & 0xFF for octet in write)
        if not (self._pec and checked):
            return transfer(address, out, nread)
        sent = bytes((address << 1, *out)) if out else b""
        if not nread:
            return transfer(address, out + bytes((pec_of(sent),)), 0)
        data = transfer(address, out, nread + 1)
        if pec_of(sent + bytes((address << 1 | 1,)) + data[:-1]) != data[-1]:
            raise _error(errno.EBADMSG)
        return data[:-1]

    def _run_block(self, address: int, write: list[int]) -> list[int]:
        """Run a transaction that reads a block; its length comes first."""
        messages = self._select(address).messages
        if messages is None:
            raise _error(errno.EOPNOTSUPP)
        out = bytes(octet & 0xFF for octet in write)
        read = (address, I2C_M_RD | LENGTH_FIRST, 1 + self._pec)
        data = messages([(address, 0, out), read])[0]
        if self._pec:
            sent = bytes((address << 1, *out, address << 1 | 1))
            if pec_of(sent + data[:-1]) != data[-1]:
                raise _error(errno.EBADMSG)
        return list(data[1 : 1 + data[0]])

    # smbus2's calls -------------------------------------------------------------------------------

    def write_quick(self, i2c_addr: int, force: bool | None = None) -> None:
        """Address the target, nothing more."""
        self._run(i2c_addr, [], checked=False)

    def read_byte(self, i2c_addr: int, force: bool | None = None) -> int:
        """Read an octet."""
        return self._run(i2c_addr, [], 1)[0]

    def write_byte(self, i2c_addr: int, value: int, force: bool | None = None) -> None:
        """Write an octet."""
        self._run(i2c_addr, [value])

    def read_byte_data(self, i2c_addr: int, register: int, force: bool | None = None) -> int:
        """Read an octet from a register."""
        return self._run(i2c_addr, [register], 1)[0]

    def write_byte_data(
        self, i2c_addr: int, register: int, value: int, force: bool | None = None
    ) -> None:
        """Write an octet to a register."""
        self._run(i2c_addr, [register, value])

    def read_word_data(self, i2c_addr: int, register: int, force: bool | None = None) -> int:
        """Read two octets, the lower one first."""
        return int.from_bytes(self._run(i2c_addr, [register], 2), "little")

    def write_word_data(
        self, i2c_addr: int, register: int, value: int, force: bool | None = None
    ) -> None:
        """Write two octets, the lower one first."""
        self._run(i2c_addr, [register, value, value >> 8])

    def process_call(
        self, i2c_addr: int, register: int, value: int, force: bool | None = None
    ) -> int:
        """Write two octets and, after a repeated start, read two."""
        return int.from_bytes(self._run(i2c_addr, [register, value, value >> 8], 2), "little")

    def read_block_data(self, i2c_addr: int, register: int, force: bool | None = None) -> list[int]:
        """Read a length from a register, and as many octets, at most 32."""
        return self._run_block(i2c_addr, [register])

    def write_block_data(
        self, i2c_addr: int, register: int, data: list[int], force: bool | None = None
    ) -> None:
        """Write a length and as many octets."""
        _check_length(len(data), "Data length cannot exceed")
        self._run(i2c_addr, [register, len(data), *data])

    def block_process_call(
        self, i2c_addr: int, register: int, data: list[int], force: bool | None = None
    ) -> list[int]:
        """Write a block and, after a repeated start, read one."""
        _check_length(len(data), "Data length cannot exceed")
        return self._run_block(i2c_addr, [register, len(data), *data])

    def read_i2c_block_data(
        self, i2c_addr: int, register: int, length: int, force: bool | None = None
    ) -> list[int]:
        """Read ``length`` octets from a register on."""
        _check_length(length, "Desired block length over")
        return list(self._run(i2c_addr, [register], length, checked=False))

    def write_i2c_block_data(
        self, i2c_addr: int, register: int, data: list[int], force: bool | None = None
    ) -> None:
        """Write octets from a register on."""
        _check_length(len(data), "Data length cannot exceed")
        self._run(i2c_addr, [register, *data], checked=False)

    def i2c_rdwr(self, *i2c_msgs: i2c_msg) -> None:
        """Run messages as one transaction; what was read is in them afterwards."""
        adapter = self._open_adapter()
        if not 0 < len(i2c_msgs) <= MESSAGES_MAX:
            raise _error(errno.EINVAL)
        reads = [message for message in i2c_msgs if message.flags & I2C_M_RD]
        plain = [(m.addr, m.flags, m.len if m.flags & I2C_M_RD else bytes(m)) for m in i2c_msgs]
        if adapter.messages is not None:
            answers = adapter.messages(plain)
        else:
            answers = [self._as_transfer(adapter.transfer, plain)]
        for message, octets in zip(reads, answers, strict=False):
            message.buf[: message.len] = octets

    def _as_transfer(self, transfer: Transfer, plain: list[tuple[int, int, bytes | int]]) -> bytes:
        """Run messages that are one write, one read, or a write and a read of one target."""
        address = plain[0][0]
        kinds = [type(what) for _, _, what in plain]
        if kinds not in ([bytes], [int], [bytes, int]) or {m[0] for m in plain} != {address}:
            raise _error(errno.EOPNOTSUPP)
        write = b"".join(what for _, _, what in plain if isinstance(what, bytes))
        nread = sum(what for _, _, what in plain if isinstance(what, int))
        return transfer(address, write, nread)


def _error(code: int) -> OSError:
    return OSError(code, os.strerror(code))


def _check_length(length: int, complaint: str) -> None:
    if length > I2C_SMBUS_BLOCK_MAX:
        raise ValueError(f"{complaint} {I2C_SMBUS_BLOCK_MAX} bytes")


def look_alike(adapters: Mapping[int, Adapter], name: str = "smbus2") -> ModuleType:
    """Return a module like smbus2 whose buses are ``adapters``, looked up when one is opened."""
    module = ModuleType(name, __doc__)
    bound = type("SMBus", (SMBus,), {"adapters": adapters, "__doc__": SMBus.__doc__})
    for key, value in {"SMBus": bound, "i2c_msg": i2c_msg, "I2cFunc": I2cFunc}.items():
        setattr(module, key, value)
    return module


@contextmanager
def installed(
    adapters: MutableMapping[int, Adapter], *names: str
) -> Iterator[MutableMapping[int, Adapter]]:
    """Let ``import smbus2`` (or the ``names`` given) find the look-alike inside the ``with`` block.

    A module imported inside keeps it; change ``adapters`` to put other buses behind it.
    """
    wanted = names or ("smbus2",)
    before = {name: sys.modules.get(name) for name in wanted}
    for name in wanted:
        sys.modules[name] = look_alike(adapters, name)
    try:
        yield adapters
    finally:
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module
