"""``periphery.I2C``: messages as one transaction."""

from __future__ import annotations

import errno
import os

from flightsw.codec.bus_payload import I2C_MESSAGE, I2C_READ, I2C_TEN_BIT, unpack_i2c
from flightsw.codec.wire import Kind
from hil.faces.nodes import Node
from hil.faces.periphery.machine import DeviceFile, closed

_TEN, _READ = 0x0010, 0x0001
_I2C = 0x0001  # I2C_FUNC_I2C
#: of one I2C_RDWR call, and of one message of it (``i2c-dev.c``)
MESSAGES_MAX, MESSAGE_NBYTES_MAX = 42, 8192

Data = bytes | bytearray | list[int]


class I2CError(IOError):
    """Base class for I2C errors."""


class I2C(DeviceFile):
    """An I2C adapter."""

    class Message:
        """One message of a transfer; of a read ``data`` says how much, and has it afterwards."""

        def __init__(self, data: Data, read: bool = False, flags: int = 0) -> None:
            if not isinstance(data, bytes | bytearray | list):
                raise TypeError("Invalid data type, should be bytes, bytearray, or list.")
            if not isinstance(read, bool):
                raise TypeError("Invalid read type, should be boolean.")
            if not isinstance(flags, int):
                raise TypeError("Invalid flags type, should be integer.")
            self.data, self.read, self.flags = data, read, flags

    def __init__(self, devpath: str) -> None:
        self._node: Node | None = None
        self._devpath = devpath
        try:
            self._node = self.machine.open(devpath, "i2c")
        except OSError as error:
            what = "Opening I2C device: "
            if error.errno == errno.ENOTTY:
                what = "Querying supported functions: "
            raise I2CError(error.errno, what + str(error.strerror)) from None
        if not self._node.lane.bus.profile.i2c_functions & _I2C:
            self.close()
            raise I2CError(None, f'I2C not supported on device "{devpath}"')

    def transfer(self, address: int, messages: list[Message]) -> None:
        """Run messages as one transaction. Raises ``I2CError``, ``TypeError``, ``ValueError``."""
        if not isinstance(messages, list):
            raise TypeError("Invalid messages type, should be list of I2C.Message.")
        if not messages:
            raise ValueError("Invalid messages data, should be non-zero length.")
        octets = [bytes(bytearray(message.data)) for message in messages]
        if self._node is None:
            raise closed()
        try:
            replies = self._run(self._node, address & 0xFFFF, messages, octets)
        except OSError as error:
            raise I2CError(error.errno, f"I2C transfer: {error.strerror}") from None
        for message, reply in zip(messages, replies, strict=True):
            if message.read:
                message.data = type(message.data)(reply)

    def _run(
        self, node: Node, address: int, messages: list[Message], octets: list[bytes]
    ) -> list[bytes]:
        too_long = any(len(one) > MESSAGE_NBYTES_MAX for one in octets)
        if len(messages) > MESSAGES_MAX or too_long:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        payload = b""
        for message, data in zip(messages, octets, strict=True):
            if message.flags & ~(_TEN | _READ):  # protocol mangling, which no adapter here has
                raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
            read = message.read or message.flags & _READ
            flags = (I2C_READ if read else 0) | (I2C_TEN_BIT if message.flags & _TEN else 0)
            payload += I2C_MESSAGE.pack(address, flags, len(data)) + (b"" if read else data)
        record = self.machine.call(int(Kind.I2C), node.lane, address, payload)
        return [bytes(data) for _, _, data in unpack_i2c(record, reply=True)]

    def __str__(self) -> str:
        return f"I2C (device={self.devpath:s}, fd={self.fd:d})"
