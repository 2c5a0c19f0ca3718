"""Configuration items of the receiver, as data.

u-blox M9 interface description (UBX-19035940), chapter "Configuration interface": keys, types,
defaults and ranges. Bits 28 to 30 of a key say how large its value is. An item marked ``!`` is
stored and has no effect; setting it to something else is counted.
"""

from __future__ import annotations

from typing import Final, NamedTuple

#: Octets of a value by bits 28 to 30 of its key.
VALUE_NBYTES: Final = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8}
#: The ports of a message rate or information mask, in the order of their keys.
I2C, UART1 = 0, 1
PORTS: Final = {I2C: "I2C", UART1: "UART1"}


class Item(NamedTuple):
    """One configuration item; values are unsigned as they stand in a message."""

    name: str
    key: int
    default: int
    #: values that are taken
    allowed: range | frozenset[int]
    has_effect: bool = True

    @property
    def nbytes(self) -> int:
        """Return the octets of its value."""
        return VALUE_NBYTES[self.key >> 28 & 7]


# Name, key, default, and what is allowed: nothing (all that fits), a-b, or a choice a|b|c.
_TABLE: Final = """
RATE-MEAS 30210001 1000 40-65535
RATE-NAV 30210002 1 1-127
RATE-TIMEREF 20210003 1 0-4 !
UART1-BAUDRATE 40520001 38400 4800|9600|19200|38400|57600|115200|230400|460800|921600
UART1-STOPBITS 20520002 1 1
UART1-DATABITS 20520003 0 0
UART1-PARITY 20520004 0 0
UART1-ENABLED 10520005 1
UART1INPROT-UBX 10730001 1
UART1INPROT-NMEA 10730002 1
UART1INPROT-RTCM3X 10730004 1 !
UART1OUTPROT-UBX 10740001 1
UART1OUTPROT-NMEA 10740002 1
I2C-ADDRESS 20510001 132 132
I2C-EXTENDEDTIMEOUT 10510002 0
I2C-ENABLED 10510003 1
I2CINPROT-UBX 10710001 1
I2CINPROT-NMEA 10710002 1
I2CINPROT-RTCM3X 10710004 1 !
I2COUTPROT-UBX 10720001 1
I2COUTPROT-NMEA 10720002 1
INFMSG-UBX_I2C 20920001 0 0-31
INFMSG-UBX_UART1 20920002 0 0-31
INFMSG-NMEA_I2C 20920006 7 0-31
INFMSG-NMEA_UART1 20920007 7 0-31
NAVSPG-FIXMODE 20110011 3 1-3 !
NAVSPG-INIFIX3D 10110013 0 !
NAVSPG-WKNROLLOVER 30110017 2048 !
NAVSPG-UTCSTANDARD 2011001c 0 0|3|5|6|7 !
NAVSPG-DYNMODEL 20110021 0 0|2|3|4|5|6|7|8|9
NAVSPG-ACKAIDING 10110025 0 !
NAVSPG-INFIL_MINSVS 201100a1 3 !
NAVSPG-INFIL_MAXSVS 201100a2 32 !
NAVSPG-INFIL_MINCNO 201100a3 6 !
NAVSPG-INFIL_MINELEV 201100a4 10 !
NAVSPG-INFIL_NCNOTHRS 201100aa 0 !
NAVSPG-INFIL_CNOTHRS 201100ab 0 !
NAVSPG-OUTFIL_PDOP 301100b1 250 !
NAVSPG-OUTFIL_TDOP 301100b2 250 !
NAVSPG-OUTFIL_PACC 301100b3 100 !
NAVSPG-OUTFIL_TACC 301100b4 350 !
NAVSPG-CONSTR_ALT 401100c1 0 !
NAVSPG-CONSTR_ALTVAR 401100c2 10000 !
NAVSPG-CONSTR_DGNSSTO 201100c4 60 !
MOT-GNSSSPEED_THRS 20250038 0 !
MOT-GNSSDIST_THRS 3025003b 0 !
NMEA-PROTVER 20930001 42 21|23|40|41|42
NMEA-MAXSVS 20930002 0 0|8|12|16
NMEA-COMPAT 10930003 0 !
NMEA-CONSIDER 10930004 1 !
NMEA-LIMIT82 10930005 0 !
NMEA-HIGHPREC 10930006 0
NMEA-SVNUMBERING 20930007 0 0|1 !
NMEA-FILT_GPS 10930011 0
NMEA-FILT_SBAS 10930012 0 !
NMEA-FILT_GAL 10930013 0
NMEA-FILT_QZSS 10930015 0 !
NMEA-FILT_GLO 10930016 0
NMEA-FILT_BDS 10930017 0
NMEA-OUT_INVFIX 10930021 0 !
NMEA-OUT_MSKFIX 10930022 0 !
NMEA-OUT_INVTIME 10930023 0 !
NMEA-OUT_INVDATE 10930024 0 !
NMEA-OUT_ONLYGPS 10930025 0 !
NMEA-OUT_FROZENCOG 10930026 0 !
NMEA-MAINTALKERID 20930031 0 0-5
NMEA-GSVTALKERID 20930032 0 0|1
NMEA-BDSTALKERID 30930033 0 !
SIGNAL-GPS_ENA 1031001f 1
SIGNAL-GPS_L1CA_ENA 10310001 1
SIGNAL-SBAS_ENA 10310020 1 !
SIGNAL-SBAS_L1CA_ENA 10310005 1 !
SIGNAL-GAL_ENA 10310021 1
SIGNAL-GAL_E1_ENA 10310007 1
SIGNAL-BDS_ENA 10310022 1
SIGNAL-BDS_B1_ENA 1031000d 1
SIGNAL-QZSS_ENA 10310024 1 !
SIGNAL-QZSS_L1CA_ENA 10310012 1 !
SIGNAL-QZSS_L1S_ENA 10310014 1 !
SIGNAL-GLO_ENA 10310025 1
SIGNAL-GLO_L1_ENA 10310018 1
TP-PULSE_DEF 20050023 0 0|1
TP-PULSE_LENGTH_DEF 20050030 1 0|1
TP-ANT_CABLEDELAY 30050001 50 !
TP-PERIOD_TP1 40050002 1000000 10-60000000
TP-PERIOD_LOCK_TP1 40050003 1000000 10-60000000
TP-LEN_TP1 40050004 0
TP-LEN_LOCK_TP1 40050005 100000
TP-USER_DELAY_TP1 40050006 0 !
TP-TP1_ENA 10050007 1
TP-SYNC_GNSS_TP1 10050008 1 !
TP-USE_LOCKED_TP1 10050009 1
TP-ALIGN_TO_TOW_TP1 1005000a 1 !
TP-POL_TP1 1005000b 1
TP-TIMEGRID_TP1 2005000c 0 0-4
TP-FREQ_TP1 40050024 1 1-100000
TP-FREQ_LOCK_TP1 40050025 1 1-100000
TP-DUTY_TP1 5005002a 0
TP-DUTY_LOCK_TP1 5005002b 0
"""

# Low digits of the key of each message's rate on I2C; the one on UART1 is one more.
_MSGOUT: Final = """
NMEA_ID_RMC 0ab NMEA_ID_VTG 0b0 NMEA_ID_GGA 0ba NMEA_ID_GSA 0bf NMEA_ID_GSV 0c4 NMEA_ID_GLL 0c9
NMEA_ID_GNS 0b5 NMEA_ID_ZDA 0d8 PUBX_ID_POLYP 0ec PUBX_ID_POLYS 0f1 PUBX_ID_POLYT 0f6
UBX_NAV_PVT 006 UBX_NAV_POSECEF 024 UBX_NAV_POSLLH 029 UBX_NAV_STATUS 01a UBX_NAV_DOP 038
UBX_NAV_VELECEF 03d UBX_NAV_VELNED 042 UBX_NAV_TIMEGPS 047 UBX_NAV_TIMEUTC 05b UBX_NAV_TIMELS 060
UBX_NAV_CLOCK 065 UBX_NAV_SAT 015 UBX_NAV_EOE 15f UBX_TIM_TP 17d UBX_MON_HW 1b4
"""
_WORDS: Final = _MSGOUT.split()
MSGOUT: Final[dict[str, int]] = {
    name: 0x2091_0000 + int(low, 16) for name, low in zip(_WORDS[::2], _WORDS[1::2], strict=True)
}
#: What a receiver from the factory sends.
_SENT: Final = frozenset(f"NMEA_ID_{name}" for name in ("RMC", "VTG", "GGA", "GSA", "GSV", "GLL"))


def _item(row: str) -> Item:
    name, key, default, *rest = row.split()
    effect = "!" not in rest
    rule = next((word for word in rest if word != "!"), "")
    number = int(key, 16)
    allowed: range | frozenset[int] = range(1 << 8 * VALUE_NBYTES[number >> 28 & 7])
    if number >> 28 == 1:
        allowed = range(2)
    if "-" in rule:
        lower, upper = rule.split("-")
        allowed = range(int(lower), int(upper) + 1)
    elif rule:
        allowed = frozenset(map(int, rule.split("|")))
    return Item(f"CFG-{name}", number, int(default), allowed, effect)


#: Every item that the receiver knows, by key and by name.
ITEMS: Final[dict[int, Item]] = {
    item.key: item
    for item in (
        *(_item(row) for row in _TABLE.strip().splitlines()),
        *(
            Item(f"CFG-MSGOUT-{name}_{port}", key + number, int(name in _SENT), range(256))
            for name, key in MSGOUT.items()
            for number, port in PORTS.items()
        ),
    )
}
KEYS: Final[dict[str, int]] = {item.name.removeprefix("CFG-"): item.key for item in ITEMS.values()}
