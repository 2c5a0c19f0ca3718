"""What the receiver answers: UBX messages and polls, PUBX sentences and NMEA polls.

u-blox M9 interface description (UBX-19035940), chapters "UBX protocol" and "NMEA protocol". A
message of class CFG is answered with UBX-ACK-ACK, or UBX-ACK-NAK when it is malformed, out of range
or not modelled, and then changes nothing; UBX-CFG-RST is not answered. Anything else that is not
known is passed over in silence and counted.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from hil.parts.ublox import ubx
from hil.parts.ublox.items import PORTS, UART1
from hil.parts.ublox.legacy import Legacy
from hil.parts.ublox.messages import MESSAGES, NMEA_NUMBERS, Id
from hil.parts.ublox.navigator import EPHEMERIS
from hil.parts.ublox.ports import Port, mon_txbuf

if TYPE_CHECKING:
    from hil.parts.ublox.receiver import Ublox

CFG: Final = 0x06
MON_TXBUF: Final = (0x0A, 0x08)
SOFTWARE: Final = "EXT CORE 4.04 (7f89f7)"
HARDWARE: Final = "00190000"
EXTENSIONS: Final = ("FWVER=SPG 4.04", "PROTVER=32.01", "MOD=NEO-M9N", "GPS;GLO;GAL;BDS")
#: ``resetMode`` of UBX-CFG-RST: those that restart everything, the navigation, stop it, start it
WHOLE_RESETS, NAVIGATION_RESET, STOP, GO = (0, 1, 4), 2, 8, 9
#: bits of GPS, GLONASS, BeiDou and Galileo in UBX-MON-GNSS
GNSS_BITS: Final = {"GPS": 1, "GLO": 2, "BDS": 4, "GAL": 8}
#: PUBX sentences that are polled: what they are among the messages
PUBX_POLLS: Final = {"00": (0xF1, 0x00), "03": (0xF1, 0x03), "04": (0xF1, 0x04)}


class Commands:
    """Acts on what comes in for one receiver."""

    def __init__(self, receiver: Ublox, seed: int) -> None:
        self._receiver = receiver
        self._legacy = Legacy(receiver.store, receiver.touch)
        self.counters = dict.fromkeys(("acknowledged", "refused", "unknown_messages"), 0)
        self.greeting = ("u-blox AG - www.u-blox.com", f"HW UBX 9 {HARDWARE}", *EXTENSIONS[:3])
        identity = hashlib.blake2b(f"{seed}:{receiver.name}".encode(), digest_size=5)
        self._identity = identity.digest()

    def answer(self, message: Id, payload: bytes, port: Port, t_ns: int) -> list[bytes]:
        """Act on one message that came in by ``port``; return the messages to send there."""
        if message == ubx.NMEA_LINE:
            return self._sentence(payload)
        if message[0] == CFG:
            return self._configure(message, payload, port, t_ns)
        if not payload:
            return self._poll(message, port, t_ns)
        return self._unknown(message)

    def _poll(self, message: Id, port: Port, t_ns: int) -> list[bytes]:
        """Answer a message without payload."""
        receiver = self._receiver
        if message in MESSAGES:
            return [receiver.message(message)] if receiver.solution is not None else []
        if message == ubx.MON_VER:
            return [ubx.frame(message, version())]
        if message == MON_TXBUF:
            return [ubx.frame(message, mon_txbuf(receiver.ports, t_ns))]
        if message == ubx.MON_GNSS:
            enabled = sum(GNSS_BITS[system.name] for system in receiver.navigator.systems)
            return [ubx.frame(message, bytes((0, 0x0F, 0x0F, enabled, 4, 0, 0, 0)))]
        if message == ubx.SEC_UNIQID:
            return [ubx.frame(message, b"\x01\0\0\0" + self._identity)]
        return self._unknown(message)

    def _configure(self, message: Id, payload: bytes, port: Port, t_ns: int) -> list[bytes]:
        """Act on a message of class CFG."""
        store = self._receiver.store
        if message == ubx.CFG_RST:
            return self._reset(payload, t_ns)
        if message == ubx.CFG_VALGET:
            found = store.valget(payload)
            return self._polled(message, found)
        if self._legacy.knows(message):
            found, accepted = self._legacy.answer(message, payload, port.number)
            return (
                self._acknowledge(message, accepted)
                if found is None
                else self._polled(message, found)
            )
        sets = {ubx.CFG_VALSET: store.valset, ubx.CFG_VALDEL: store.valdel, ubx.CFG_CFG: store.cfg}
        if message in sets:
            return self._acknowledge(message, sets[message](payload))
        self._unknown(message)
        return self._acknowledge(message, False)

    def _reset(self, payload: bytes, t_ns: int) -> list[bytes]:
        """Act on UBX-CFG-RST, which is not acknowledged."""
        if len(payload) != 4:
            return self._acknowledge(ubx.CFG_RST, False)
        forget, mode = int.from_bytes(payload[:2], "little"), payload[2]
        receiver = self._receiver
        if mode in WHOLE_RESETS:
            receiver.restart(t_ns, forget, True)
        elif mode == NAVIGATION_RESET:
            receiver.restart(t_ns, forget, False)
        elif mode == STOP:
            receiver.stopped = True
        elif mode == GO:
            receiver.restart(t_ns, forget & ~EPHEMERIS, False)
        else:
            receiver.touch(f"resetMode {mode}")
        return []

    def _polled(self, message: Id, found: bytes | None) -> list[bytes]:
        if found is None:
            return self._acknowledge(message, False)
        return [ubx.frame(message, found), *self._acknowledge(message, True)]

    def _acknowledge(self, message: Id, accepted: bool) -> list[bytes]:
        self.counters["acknowledged" if accepted else "refused"] += 1
        return [ubx.frame(ubx.ACK_ACK if accepted else ubx.ACK_NAK, bytes(message))]

    def _unknown(self, message: Id) -> list[bytes]:
        self.counters["unknown_messages"] += 1
        self._receiver.touch(f"UBX {message[0]:02X} {message[1]:02X}")
        return []

    # -- NMEA ------------------------------------------------------------------------------------

    def _sentence(self, body: bytes) -> list[bytes]:
        """Act on a sentence: a poll, or one of u-blox's own."""
        name, *fields = body.decode("ascii").split(",")
        receiver = self._receiver
        polled: Id | None = None
        if name[2:] in ("GPQ", "GNQ", "GLQ", "GAQ", "GBQ") and len(fields) == 1:
            polled = NMEA_NUMBERS.get(fields[0])
        elif name == "PUBX" and len(fields) == 1:
            polled = PUBX_POLLS.get(fields[0])
        if polled is not None:
            return [receiver.message(polled)] if receiver.solution is not None else []
        if name == "PUBX" and fields[:1] == ["40"] and self._set_rates(fields[1:]):
            return []
        if name == "PUBX" and fields[:1] == ["41"] and self._set_port(fields[1:]):
            return []
        self.counters["unknown_messages"] += 1
        receiver.touch(f"NMEA {name},{fields[0] if fields else ''}")
        return []

    def _set_rates(self, fields: list[str]) -> bool:
        """Act on PUBX,40: message, rates on DDC, UART1, UART2, USB, SPI, reserved."""
        message = NMEA_NUMBERS.get(fields[0]) if fields else None
        if message is None or len(fields) != 7 or not all(map(_is_number, fields[1:])):
            return False
        name = MESSAGES[message].name
        return self._receiver.store.set_all(
            {f"MSGOUT-{name}_{port}": int(fields[1 + number]) for number, port in PORTS.items()}
        )

    def _set_port(self, fields: list[str]) -> bool:
        """Act on PUBX,41: port, protocols in and out (hexadecimal), baud rate, automatic rate."""
        if len(fields) != 5 or not all(map(_is_number, (fields[0], fields[3]))):
            return False
        number = int(fields[0])
        try:
            took, gave = int(fields[1], 16), int(fields[2], 16)
        except ValueError:
            return False
        if number not in PORTS:
            return False
        name = PORTS[number]
        values = {
            f"{name}{way}PROT-{kind}": mask >> bit & 1
            for way, mask in (("IN", took), ("OUT", gave))
            for bit, kind in ((0, "UBX"), (1, "NMEA"))
        }
        if number == UART1:
            values["UART1-BAUDRATE"] = int(fields[3])
        return self._receiver.store.set_all(values)


def version() -> bytes:
    """Return the payload of UBX-MON-VER: 30 octets software, 10 hardware, 30 per extension."""
    return SOFTWARE.encode().ljust(30, b"\0") + b"".join(
        text.encode().ljust(width, b"\0")
        for text, width in ((HARDWARE, 10), *((extension, 30) for extension in EXTENSIONS))
    )


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 9
