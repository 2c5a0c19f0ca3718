"""How a u-blox receiver is configured: message rates, navigation rate, version.

u-blox M9 interface description (UBX-19035940), messages UBX-CFG-MSG, UBX-CFG-RATE, UBX-CFG-VALSET,
UBX-MON-VER and chapter "Configuration interface" for the keys. Everything that sets something is
answered with UBX-ACK-ACK, or UBX-ACK-NAK when it is malformed, out of range or not modelled.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from hil.parts import ubx

Message = tuple[int, int]

#: Message rate on UART1 by key: CFG-MSGOUT-*_UART1.
RATE_KEYS: Final[dict[int, Message]] = {
    0x2091_0007: ubx.NAV_PVT,
    0x2091_00BB: ubx.NMEA_GGA,
    0x2091_00AC: ubx.NMEA_RMC,
}
KEY_RATE_MEAS, KEY_RATE_NAV = 0x3021_0001, 0x3021_0002
#: Octets of a value by bits 30..28 of its key.
VALUE_NBYTES: Final = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8}
#: Messages that this receiver has but the model does not send; switching them off is accepted.
UNMODELLED_NMEA: Final = frozenset((0xF0, number) for number in range(0x10))
#: Index of UART1 among the six ports of UBX-CFG-MSG.
UART1: Final = 1
#: 25 Hz is the limit of the NEO-M9N (data sheet UBX-19014285, "Performance").
MEAS_MIN_MS: Final = 40
TIME_REFERENCE_GPS: Final = 1

SOFTWARE: Final = "EXT CORE 4.04 (7f89f7)"
HARDWARE: Final = "00190000"
EXTENSIONS: Final = ("FWVER=SPG 4.04", "PROTVER=32.01", "MOD=NEO-M9N", "GPS;GLO;GAL;BDS")


class Configuration:
    """The settings of a receiver and its answers; ``touch`` counts what is not modelled."""

    def __init__(self, nmea: bool, binary: bool, touch: Callable[[str], None]) -> None:
        #: navigation solutions per message, 0: never
        self.rates: dict[Message, int] = {
            ubx.NMEA_RMC: int(nmea),
            ubx.NMEA_GGA: int(nmea),
            ubx.NAV_PVT: int(binary),
        }
        self.meas_ms = 1000
        self.nav_rate = 1
        self._touch = touch

    @property
    def period_ns(self) -> int:
        """Time between navigation solutions, nanoseconds."""
        return self.meas_ms * self.nav_rate * 1_000_000

    def answer(self, message: Message, payload: bytes) -> bytes:
        """Act on one message to the receiver; return the frames that it sends back."""
        if message == ubx.MON_VER and not payload:
            return ubx.frame(ubx.MON_VER, version())
        if message == ubx.CFG_RATE and not payload:
            return ubx.frame(ubx.CFG_RATE, self._rate()) + _acknowledge(message, True)
        if message == ubx.CFG_MSG and len(payload) == 2:
            return self._poll_message(payload)
        if message == ubx.CFG_MSG:
            return _acknowledge(message, self._set_message(payload))
        if message == ubx.CFG_RATE:
            return _acknowledge(message, self._set_rate(payload))
        if message == ubx.CFG_VALSET:
            return _acknowledge(message, self._set_values(payload))
        self._touch(f"UBX {message[0]:02X} {message[1]:02X}")
        return _acknowledge(message, False) if message[0] == 0x06 else b""

    def _rate(self) -> bytes:
        return b"".join(
            value.to_bytes(2, "little")
            for value in (self.meas_ms, self.nav_rate, TIME_REFERENCE_GPS)
        )

    def _poll_message(self, payload: bytes) -> bytes:
        rate = self.rates.get((payload[0], payload[1]), 0)
        ports = bytes(rate if port == UART1 else 0 for port in range(6))
        return ubx.frame(ubx.CFG_MSG, payload + ports) + _acknowledge(ubx.CFG_MSG, True)

    def _set_message(self, payload: bytes) -> bool:
        if len(payload) not in (3, 8):
            return False
        rate = payload[2] if len(payload) == 3 else payload[2 + UART1]
        return self._set_message_rate((payload[0], payload[1]), rate)

    def _set_message_rate(self, message: Message, rate: int) -> bool:
        if message in self.rates:
            self.rates[message] = rate
            return True
        if rate == 0 and message in UNMODELLED_NMEA:
            return True
        self._touch(f"rate of message {message[0]:02X} {message[1]:02X}")
        return False

    def _set_rate(self, payload: bytes) -> bool:
        if len(payload) != 6:
            return False
        return self._set_period(
            int.from_bytes(payload[0:2], "little"), int.from_bytes(payload[2:4], "little")
        )

    def _set_period(self, meas_ms: int, nav_rate: int) -> bool:
        if meas_ms < MEAS_MIN_MS or not 1 <= nav_rate <= 128:
            return False
        self.meas_ms, self.nav_rate = meas_ms, nav_rate
        return True

    def _set_values(self, payload: bytes) -> bool:
        """Apply the key and value pairs of UBX-CFG-VALSET in order; stop at the first refused."""
        at = 4  # version, layers, transaction, reserved
        while at < len(payload):
            key = int.from_bytes(payload[at : at + 4], "little")
            size = VALUE_NBYTES.get(key >> 28 & 7, 0)
            end = at + 4 + size
            if not size or end > len(payload):
                return False
            if not self._set_value(key, int.from_bytes(payload[at + 4 : end], "little")):
                return False
            at = end
        return len(payload) > 4

    def _set_value(self, key: int, value: int) -> bool:
        if key in RATE_KEYS:
            return self._set_message_rate(RATE_KEYS[key], value)
        if key == KEY_RATE_MEAS:
            return self._set_period(value, self.nav_rate)
        if key == KEY_RATE_NAV:
            return self._set_period(self.meas_ms, value)
        self._touch(f"configuration key {key:08X}")
        return False


def version() -> bytes:
    """Return the payload of UBX-MON-VER: 30 octets software, 10 hardware, 30 per extension."""
    return SOFTWARE.encode().ljust(30, b"\0") + b"".join(
        text.encode().ljust(width, b"\0")
        for text, width in ((HARDWARE, 10), *((extension, 30) for extension in EXTENSIONS))
    )


def _acknowledge(message: Message, accepted: bool) -> bytes:
    return ubx.frame(ubx.ACK_ACK if accepted else ubx.ACK_NAK, bytes(message))
