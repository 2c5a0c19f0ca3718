"""Who answers the reserved I2C addresses (NXP UM10204, section 3.1.12) and the SMBus alert.

==========  =================  ===============================================================
address     name               here
==========  =================  ===============================================================
00h write   general call       every part that has ``i2c_general_call``
00h read    START byte         nobody may acknowledge it
01h to 03h  CBUS, others       nobody
04h to 07h  high-speed code    nobody may acknowledge it; see ``high_speed_hz`` of the bus
0Ch read    SMBus alert        the part that alerts, lowest address first (SMBus 3.1, app. A.2)
78h to 7Bh  10-bit addresses   through the flag ``TEN_BIT``
7Ch         device ID          parts that have an ``i2c_device_id`` of 24 bits
==========  =================  ===============================================================

Each is an :class:`~hil.parts.base.I2CTarget` that looks through to the parts of its bus.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Protocol

from hil.parts.base import I2CTarget

GENERAL_CALL: Final = 0x00
ALERT_RESPONSE: Final = 0x0C
DEVICE_ID: Final = 0x7C

Targets = Mapping[int, I2CTarget]


class Called(Protocol):
    """A part that hears the general call."""

    def i2c_general_call(self, t_ns: int, data: bytes) -> int:
        """Take the octets behind the address; return how many it acknowledged, -1: not even it."""


class Alerting(Protocol):
    """A part that pulls SMBALERT#."""

    def smbus_alert(self, t_ns: int) -> bool:
        """Tell whether it pulls the line."""

    def smbus_alert_served(self, t_ns: int) -> None:
        """Let go of the line: its address went out without losing arbitration."""


class _Reserved:
    def __init__(self, targets: Targets) -> None:
        self._targets = targets

    def i2c_write(self, t_ns: int, data: bytes) -> int:
        return -1

    def i2c_read(self, t_ns: int, nbytes: int) -> bytes | None:
        return None

    def i2c_stop(self, t_ns: int) -> None:
        return


class GeneralCall(_Reserved):
    """Address 00h: an octet is acknowledged if one part acknowledges it."""

    def i2c_write(self, t_ns: int, data: bytes) -> int:
        """Let every part that listens take the octets."""
        called = (getattr(part, "i2c_general_call", None) for part in self._targets.values())
        return max((call(t_ns, data) for call in called if call is not None), default=-1)


class AlertResponse(_Reserved):
    """Address 0Ch: every part that alerts sends its address, and the lowest one wins."""

    def i2c_read(self, t_ns: int, nbytes: int) -> bytes | None:
        """Serve the address of the winner, above a bit that is 0; FFh behind it."""
        for address in sorted(self._targets):
            alert: Callable[[int], bool] | None
            alert = getattr(self._targets[address], "smbus_alert", None)
            if alert is not None and alert(t_ns):
                self._targets[address].smbus_alert_served(t_ns)  # type: ignore[attr-defined]
                return bytes((address << 1,)).ljust(nbytes, b"\xff")[:nbytes]
        return None


class DeviceId(_Reserved):
    """Address 7Ch (UM10204, section 3.1.17): write whose, then read 12, 9 and 3 bits."""

    _ident: int | None = None

    def i2c_write(self, t_ns: int, data: bytes) -> int:
        """Take the address of the part that is asked; it alone acknowledges that."""
        if not any(hasattr(part, "i2c_device_id") for part in self._targets.values()):
            return -1
        if not data:
            return 0
        self._ident = getattr(self._targets.get(data[0] >> 1), "i2c_device_id", None)
        return 0 if self._ident is None else 1

    def i2c_read(self, t_ns: int, nbytes: int) -> bytes | None:
        """Serve manufacturer, part and revision, over and over."""
        if self._ident is None:
            return None
        return (self._ident.to_bytes(3, "big") * (nbytes // 3 + 1))[:nbytes]

    def i2c_stop(self, t_ns: int) -> None:
        """Forget who was asked."""
        self._ident = None


def reserved(targets: Targets) -> dict[int, I2CTarget]:
    """Return what sits at the reserved addresses of a bus with these parts."""
    return {
        GENERAL_CALL: GeneralCall(targets),
        ALERT_RESPONSE: AlertResponse(targets),
        DEVICE_ID: DeviceId(targets),
    }
