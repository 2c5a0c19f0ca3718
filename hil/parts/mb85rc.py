"""Fujitsu MB85RC64TA, 256V and 512T: ferroelectric memory on I2C.

Sources: data sheets DS501-00044 (64TA), DS501-00017 (256V), DS501-00028 (512T), sections "I2C
communication protocol", "Command" and "Device ID".

Every octet is stored when it is acknowledged: there is no page, no write cycle and nothing to wait
for. Addresses go on over the end of the memory. The part tells its identity at the reserved address
7Ch: manufacturer 00Ah, then density and product.

Not modelled: sleep mode of the 64TA and 512T, high-speed mode, the 10**13 cycles of its life.
"""

from __future__ import annotations

from typing import ClassVar

from hil.parts.at24 import I2CMemory, Model


class Fram(I2CMemory):
    """A ferroelectric memory; its identity is what the bus serves for it at 7Ch."""

    #: 12 bits manufacturer, 12 bits density and product
    i2c_device_id: ClassVar[int]

    def write_block(self, t_ns: int, block: int, data: bytes) -> int:
        """Store octets at once."""
        if len(data) < 2:
            self.ignored["cut"] += bool(data)
            return len(data)
        size = self.MODEL.size
        start = int.from_bytes(data[:2], "big") % size
        octets = data[2:]
        self._pointer = (start + len(octets)) % size
        if octets and self.write_protected:
            self.ignored["protected"] += 1
            return len(data)
        for at, octet in enumerate(octets, start):
            self.cells[at % size] = octet
        return len(data)


class Mb85rc64(Fram):
    """MB85RC64TA: 8 KiB."""

    MODEL = Model(8192, 8192, 2, 0)
    i2c_device_id = 0x00A358


class Mb85rc256(Fram):
    """MB85RC256V: 32 KiB."""

    MODEL = Model(32768, 32768, 2, 0)
    i2c_device_id = 0x00A510


class Mb85rc512(Fram):
    """MB85RC512T: 64 KiB."""

    MODEL = Model(65536, 65536, 2, 0)
    i2c_device_id = 0x00A658
