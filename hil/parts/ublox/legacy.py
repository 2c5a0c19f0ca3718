"""The configuration messages from before the item interface, as views of the items.

u-blox M8 protocol specification (UBX-13003221) and M9 interface description (UBX-19035940),
messages UBX-CFG-PRT, MSG, INF, RATE, NAV5, TP5, GNSS. Each is answered from the items and sets
them; one that asks for what the model has not is refused and changes nothing.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Final

from hil.parts.ublox import ubx
from hil.parts.ublox.items import I2C, KEYS, PORTS, UART1
from hil.parts.ublox.messages import MESSAGES, Id
from hil.parts.ublox.solution import SYSTEMS
from hil.parts.ublox.store import Store

#: Messages that this receiver has but the model does not send; switching them off is accepted.
UNMODELLED_NMEA: Final = frozenset((0xF0, number) for number in range(0x10))
_PORT_COUNT: Final = 6
#: Mode of UART1 in UBX-CFG-PRT: 8 data bits, no parity, one stop bit; all that is modelled.
MODE_8N1: Final = 0x08D0
_PRT: Final = struct.Struct("<BBHIIHHHH")
_NAV5: Final = struct.Struct("<HBBIIBBHHHHBBBBHHB5x")
_TP5: Final = struct.Struct("<BBHhhIIIIiI")
#: The fields of UBX-CFG-NAV5 by bit of its mask, with their items; None: not an item.
NAV5_FIELDS: Final[tuple[tuple[int, str | None], ...]] = (
    (0, "NAVSPG-DYNMODEL"),
    (2, "NAVSPG-FIXMODE"),
    (2, "NAVSPG-CONSTR_ALT"),
    (2, "NAVSPG-CONSTR_ALTVAR"),
    (1, "NAVSPG-INFIL_MINELEV"),
    (3, None),  # drLimit
    (4, "NAVSPG-OUTFIL_PDOP"),
    (5, "NAVSPG-OUTFIL_TDOP"),
    (4, "NAVSPG-OUTFIL_PACC"),
    (5, "NAVSPG-OUTFIL_TACC"),
    (6, "MOT-GNSSSPEED_THRS"),
    (7, "NAVSPG-CONSTR_DGNSSTO"),
    (8, "NAVSPG-INFIL_NCNOTHRS"),
    (8, "NAVSPG-INFIL_CNOTHRS"),
    (8, None),  # reserved
    (6, "MOT-GNSSDIST_THRS"),
    (10, "NAVSPG-UTCSTANDARD"),
)
#: Flags of UBX-CFG-TP5 by bit.
TP5_FLAGS: Final = (
    "TP-TP1_ENA",
    "TP-SYNC_GNSS_TP1",
    "TP-USE_LOCKED_TP1",
    "TP-PULSE_DEF",
    "TP-PULSE_LENGTH_DEF",
    "TP-ALIGN_TO_TOW_TP1",
    "TP-POL_TP1",
)
_GRID_BIT: Final = 7
#: gnssId, items that switch it on, channels reserved and most, mask of its one signal
GNSS_BLOCKS: Final = (
    (0, ("GPS_ENA", "GPS_L1CA_ENA"), 8, 16),
    (1, ("SBAS_ENA", "SBAS_L1CA_ENA"), 3, 3),
    (2, ("GAL_ENA", "GAL_E1_ENA"), 8, 12),
    (3, ("BDS_ENA", "BDS_B1_ENA"), 2, 5),
    (5, ("QZSS_ENA", "QZSS_L1CA_ENA"), 3, 4),
    (6, ("GLO_ENA", "GLO_L1_ENA"), 8, 12),
)
_CHANNELS: Final = 60

Values = dict[str, int]


class Legacy:
    """Answers the older messages; ``port`` is the number of the port that a message came by."""

    def __init__(self, store: Store, touch: Callable[[str], None]) -> None:
        self._store = store
        self._touch = touch
        self._polls: Mapping[Id, Callable[[bytes, int], bytes | None]] = {
            ubx.CFG_PRT: self._poll_port,
            ubx.CFG_MSG: self._poll_message,
            ubx.CFG_INF: self._poll_inf,
            ubx.CFG_RATE: self._poll_rate,
            ubx.CFG_NAV5: self._poll_nav5,
            ubx.CFG_TP5: self._poll_tp5,
            ubx.CFG_GNSS: self._poll_gnss,
        }
        self._sets: Mapping[Id, Callable[[bytes, int], Values | None]] = {
            ubx.CFG_PRT: self._set_port,
            ubx.CFG_MSG: self._set_message,
            ubx.CFG_INF: self._set_inf,
            ubx.CFG_RATE: self._set_rate,
            ubx.CFG_NAV5: self._set_nav5,
            ubx.CFG_TP5: self._set_tp5,
            ubx.CFG_GNSS: self._set_gnss,
        }
        #: payload lengths that poll
        self._poll_nbytes = {
            ubx.CFG_PRT: (0, 1),
            ubx.CFG_MSG: (2,),
            ubx.CFG_INF: (1,),
            ubx.CFG_TP5: (0, 1),
        }

    def knows(self, message: Id) -> bool:
        """Tell whether this is one of the messages served here."""
        return message in self._sets

    def answer(self, message: Id, payload: bytes, port: int) -> tuple[bytes | None, bool]:
        """Return (payload of the answer to a poll or None, whether it was accepted)."""
        if len(payload) in self._poll_nbytes.get(message, (0,)):
            polled = self._polls[message](payload, port)
            return polled, polled is not None
        values = self._sets[message](payload, port)
        return None, values is not None and self._store.set_all(values)

    # -- ports -----------------------------------------------------------------------------------

    def _poll_port(self, payload: bytes, port: int) -> bytes | None:
        number = payload[0] if payload else port
        if number not in PORTS:
            self._touch(f"port {number}")
            return None
        name, store = PORTS[number], self._store
        took, gave = (
            sum(
                store[f"{name}{way}PROT-{kind}"] << bit
                for bit, kind in kinds
                if f"{name}{way}PROT-{kind}" in KEYS
            )
            for way, kinds in (
                ("IN", ((0, "UBX"), (1, "NMEA"), (5, "RTCM3X"))),
                ("OUT", ((0, "UBX"), (1, "NMEA"))),
            )
        )
        if number == UART1:
            return _PRT.pack(number, 0, 0, MODE_8N1, store["UART1-BAUDRATE"], took, gave, 0, 0)
        flags = store["I2C-EXTENDEDTIMEOUT"] << 1
        return _PRT.pack(number, 0, 0, store["I2C-ADDRESS"], 0, took, gave, flags, 0)

    def _set_port(self, payload: bytes, port: int) -> Values | None:
        if len(payload) != _PRT.size:
            return None
        number, _, ready, mode, baud, took, gave, flags, _ = _PRT.unpack(payload)
        if number not in PORTS or ready & 1:
            self._touch("pin TX ready" if number in PORTS else f"port {number}")
            return None
        name = PORTS[number]
        values = {
            f"{name}INPROT-UBX": took & 1,
            f"{name}INPROT-NMEA": took >> 1 & 1,
            f"{name}INPROT-RTCM3X": took >> 5 & 1,
            f"{name}OUTPROT-UBX": gave & 1,
            f"{name}OUTPROT-NMEA": gave >> 1 & 1,
        }
        if number == I2C:
            return values | {"I2C-ADDRESS": mode & 0xFE, "I2C-EXTENDEDTIMEOUT": flags >> 1 & 1}
        # Bits 6-7 length, 9-11 parity (10x: none), 12-13 stop bits; the others do not matter.
        if mode & 0x34C0 != 0x00C0 or not mode & 0x0800:
            self._touch(f"UART mode {mode:08X}")
            return None
        return values | {"UART1-BAUDRATE": baud}

    # -- messages --------------------------------------------------------------------------------

    def _poll_message(self, payload: bytes, port: int) -> bytes:
        row = MESSAGES.get((payload[0], payload[1]))
        name = None if row is None else row.name
        rates = (
            self._store[f"MSGOUT-{name}_{PORTS[port]}"] if name and port in PORTS else 0
            for port in range(_PORT_COUNT)
        )
        return payload + bytes(rates)

    def _set_message(self, payload: bytes, port: int) -> Values | None:
        if len(payload) not in (3, 2 + _PORT_COUNT):
            return None
        message = (payload[0], payload[1])
        rates = {port: payload[2]} if len(payload) == 3 else dict(enumerate(payload[2:]))
        rates = {number: rate for number, rate in rates.items() if number in PORTS}
        row = MESSAGES.get(message)
        if row is not None:
            return {f"MSGOUT-{row.name}_{PORTS[port]}": rate for port, rate in rates.items()}
        if message in UNMODELLED_NMEA and not any(rates.values()):
            return {}
        self._touch(f"rate of message {message[0]:02X} {message[1]:02X}")
        return None

    def _poll_inf(self, payload: bytes, port: int) -> bytes | None:
        if payload[0] > 1:
            return None
        kind = ("UBX", "NMEA")[payload[0]]
        masks = (self._store[f"INFMSG-{kind}_{name}"] for name in PORTS.values())
        return payload + bytes(3) + bytes(masks) + bytes(_PORT_COUNT - len(PORTS))

    def _set_inf(self, payload: bytes, port: int) -> Values | None:
        if not payload or len(payload) % 10:
            return None
        values = {}
        for at in range(0, len(payload), 10):
            if payload[at] > 1:
                return None
            kind = ("UBX", "NMEA")[payload[at]]
            for number, name in PORTS.items():
                values[f"INFMSG-{kind}_{name}"] = payload[at + 4 + number] & 0x1F
        return values

    # -- navigation ------------------------------------------------------------------------------

    def _poll_rate(self, payload: bytes, port: int) -> bytes:
        names = ("RATE-MEAS", "RATE-NAV", "RATE-TIMEREF")
        return struct.pack("<3H", *(self._store[name] for name in names))

    def _set_rate(self, payload: bytes, port: int) -> Values | None:
        if len(payload) != 6:
            return None
        meas, nav, reference = struct.unpack("<3H", payload)
        return {"RATE-MEAS": meas, "RATE-NAV": nav, "RATE-TIMEREF": reference}

    def _poll_nav5(self, payload: bytes, port: int) -> bytes:
        values = [0 if name is None else self._store[name] for _, name in NAV5_FIELDS]
        return _NAV5.pack(0xFFFF, *values)

    def _set_nav5(self, payload: bytes, port: int) -> Values | None:
        if len(payload) != _NAV5.size:
            return None
        mask, *values = _NAV5.unpack(payload)
        return {
            name: value
            for (bit, name), value in zip(NAV5_FIELDS, values, strict=True)
            if name is not None and mask >> bit & 1
        }

    def _poll_gnss(self, payload: bytes, port: int) -> bytes:
        out = bytes((0, _CHANNELS, _CHANNELS, len(GNSS_BLOCKS)))
        for gnss, (enable, signal), reserved, most in GNSS_BLOCKS:
            flags = self._store[f"SIGNAL-{enable}"] | self._store[f"SIGNAL-{signal}"] << 16
            out += struct.pack("<BBBBI", gnss, reserved, most, 0, flags)
        return out

    def _set_gnss(self, payload: bytes, port: int) -> Values | None:
        if len(payload) < 4 or len(payload) != 4 + 8 * payload[3]:
            return None
        names = {gnss: items for gnss, items, _, _ in GNSS_BLOCKS}
        values = {}
        for at in range(4, len(payload), 8):
            gnss, _, _, _, flags = struct.unpack_from("<BBBBI", payload, at)
            if gnss not in names:
                if flags & 1:
                    self._touch(f"gnssId {gnss}")
                    return None
                continue
            enable, signal = names[gnss]
            values[f"SIGNAL-{enable}"] = flags & 1
            if flags & 1:
                values[f"SIGNAL-{signal}"] = flags >> 16 & 1
        return values

    # -- time pulse ------------------------------------------------------------------------------

    def _poll_tp5(self, payload: bytes, port: int) -> bytes | None:
        if payload not in (b"", b"\0"):
            self._touch("time pulse 2")
            return None
        store = self._store
        what = "FREQ" if store["TP-PULSE_DEF"] else "PERIOD"
        every = [store[f"TP-{what}{lock}_TP1"] for lock in ("", "_LOCK")]
        if store["TP-PULSE_LENGTH_DEF"]:
            length = [store[f"TP-LEN{lock}_TP1"] for lock in ("", "_LOCK")]
        else:
            length = [_ratio(store[f"TP-DUTY{lock}_TP1"]) for lock in ("", "_LOCK")]
        flags = sum(store[name] << bit for bit, name in enumerate(TP5_FLAGS))
        flags |= store["TP-TIMEGRID_TP1"] << _GRID_BIT
        delay = _signed(store["TP-USER_DELAY_TP1"], 32)
        cable = _signed(store["TP-ANT_CABLEDELAY"], 16)
        return _TP5.pack(0, 1, 0, cable, 0, *every, *length, delay, flags)

    def _set_tp5(self, payload: bytes, port: int) -> Values | None:
        if len(payload) != _TP5.size:
            return None
        index, _, _, cable, _, every, every_lock, length, length_lock, delay, flags = _TP5.unpack(
            payload
        )
        if index:
            self._touch("time pulse 2")
            return None
        values = {name: flags >> bit & 1 for bit, name in enumerate(TP5_FLAGS)}
        values["TP-TIMEGRID_TP1"] = flags >> _GRID_BIT & 0xF
        values["TP-ANT_CABLEDELAY"] = cable & 0xFFFF
        values["TP-USER_DELAY_TP1"] = delay & 0xFFFF_FFFF
        what = "FREQ" if values["TP-PULSE_DEF"] else "PERIOD"
        values |= {f"TP-{what}_TP1": every, f"TP-{what}_LOCK_TP1": every_lock}
        if values["TP-PULSE_LENGTH_DEF"]:
            return values | {"TP-LEN_TP1": length, "TP-LEN_LOCK_TP1": length_lock}
        return values | {
            "TP-DUTY_TP1": _duty(length),
            "TP-DUTY_LOCK_TP1": _duty(length_lock),
        }


def has_a_system(ram: Mapping[int, int]) -> bool:
    """Tell whether at least one satellite system with its signal is on, as the receiver needs."""
    return any(is_on(lambda name: ram[KEYS[name]], system.name) for system in SYSTEMS)


def is_on(value: Callable[[str], int], system: str) -> bool:
    """Tell whether a satellite system and its signal are switched on."""
    signal = {"GPS": "L1CA", "GLO": "L1", "GAL": "E1", "BDS": "B1"}[system]
    return bool(value(f"SIGNAL-{system}_ENA") and value(f"SIGNAL-{system}_{signal}_ENA"))


def can_be(ram: Mapping[int, int]) -> bool:
    """Tell whether a whole set of values is one that the receiver takes."""
    duties = (duty_percent(ram[KEYS[f"TP-DUTY{lock}_TP1"]]) for lock in ("", "_LOCK"))
    return has_a_system(ram) and all(0 <= duty <= 100 for duty in duties)


def duty_percent(value: int) -> float:
    """Return an R8 item as a number."""
    return float(struct.unpack("<d", value.to_bytes(8, "little"))[0])


def _ratio(duty: int) -> int:
    """Return a duty cycle in per cent as 2**-32 of the period."""
    return min(round(duty_percent(duty) / 100 * 2**32), 0xFFFF_FFFF)


def _duty(ratio: int) -> int:
    return int.from_bytes(struct.pack("<d", ratio * 100 / 2**32), "little")


def _signed(value: int, bits: int) -> int:
    return value - (1 << bits) if value >> bits - 1 else value
