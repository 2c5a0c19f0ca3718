"""Identities of parts at the reserved address 7Ch (NXP UM10204 section 3.1.17).

The controller writes the address of a part there, shifted left by one, and after a repeated start
reads three octets: 12 bits of manufacturer, 9 of part, 3 of revision. They repeat as long as it
reads. A stop in between ends it.
"""

from __future__ import annotations

ADDRESS = 0x7C


class DeviceIdentities:
    """What answers at the reserved address for all parts of one bus that have an identity."""

    name = "device identities"

    def __init__(self) -> None:
        #: identity by 7-bit address of the part
        self.identities: dict[int, int] = {}
        self._asked: int | None = None

    def i2c_write(self, t_ns: int, data: bytes) -> int:
        """Take the address of a part; it is acknowledged by that part alone."""
        if not data:
            return 0
        self._asked = self.identities.get(data[0] >> 1)
        return 0 if self._asked is None else 1

    def i2c_read(self, t_ns: int, nbytes: int) -> bytes | None:
        """Serve the identity of the part that was asked."""
        if self._asked is None:
            return None
        return (self._asked.to_bytes(3, "big") * (nbytes // 3 + 1))[:nbytes]

    def i2c_stop(self, t_ns: int) -> None:
        """Forget who was asked."""
        self._asked = None
